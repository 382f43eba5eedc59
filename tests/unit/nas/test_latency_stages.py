"""The stages that measure a device, fit its estimator, and measure networks of a search again."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from fingerpost.schemas import nas as contracts
from fingerpost.schemas.errors import FingerpostError
from fingerpost.schemas.matrices import tensors_to_arrow
from fingerpost.schemas.refs import Ref
from fingerpost.schemas.store import Store
from fingerpost.tasks.environment import Environment
from fingerpost.tasks.nas.accelerator import Accelerator, AcceleratorParams
from fingerpost.tasks.nas.architecture import Architecture, Block, NetworkStage
from fingerpost.tasks.nas.latency_params import LatencyParams, MeasuringParams
from fingerpost.tasks.nas.operator_arrays import operators_from
from fingerpost.tasks.nas.operators import operators_of
from fingerpost.tasks.nas.spaces import reference_of, space_for_images
from fingerpost.tasks.nas.stages.devices import device_source, write_measurements
from fingerpost.tasks.nas.stages.latency import fit_latency, measure_operators
from fingerpost.tasks.nas.stages.latency_tables import read_latency, read_measurements
from fingerpost.tasks.nas.stages.measured import measure_network
from tests.support.suggestion_artifacts import committed
from tests.worlds import DAY

SPACE = space_for_images(8, 1, 10)
PARAMS = MeasuringParams(networks=40, operators=100, rounds=1, training_networks=8, test_networks=10, fronts=1)
DEVICE = device_source("accelerator")


@pytest.fixture
def env(tmp_path: Path) -> Environment:
    return Environment(Store(str(tmp_path / "store")).prepare(), "digits", DAY)


def searched(store: Store, texts: list[str], fronts: list[int]) -> Ref:
    """A search that evaluated some networks, the first of which was given."""
    count = len(texts)
    rows = {
        "number": pa.array(range(count), pa.int64()),
        "architecture": [Architecture.parse(text).id for text in texts],
        "description": texts,
        "origin": ["given"] + ["random"] * (count - 1),
        "generation": pa.array([0] * count, pa.int64()),
        "accuracy": [0.9] * count,
        "score": [0.9] * count,
        "latency_ms": [float(place + 1) for place in range(count)],
        "latency_spread_ms": [0.1] * count,
        **{name: pa.array([1] * count, pa.int64()) for name in ("macs", "parameters", "memory_bytes")},
        "feasible": [True] * count,
        "trained": [True] * count,
        "front": pa.array(fronts, pa.int64()),
    }
    scores = {
        "architecture": pa.array([], pa.string()),
        "name": pa.array([], pa.string()),
        "value": pa.array([], pa.float64()),
    }
    return committed(store, contracts.SEARCH, {"evaluated": pa.table(rows), "scores": pa.table(scores)})


def trained(store: Store, architecture: Architecture) -> Ref:
    """A network that was trained to nothing."""
    onnx = pa.table({"model": pa.array([], pa.large_binary()), "sha256": pa.array([], pa.string())})
    epochs = {
        name: pa.array([], pa.int64() if name == "epoch" else pa.float64()) for name in ("epoch", "loss", "validation")
    }
    tables = {
        "architecture": pa.table({"architecture": [architecture.id], "description": [architecture.text]}),
        "classes": pa.table({"name": ["0", "1"]}),
        "weights": tensors_to_arrow({"a": np.zeros(1)}),
        "onnx": onnx,
        "epochs": pa.table(epochs),
    }
    return committed(
        store, contracts.TRAINED, {name: tables[name] for name in (t.name for t in contracts.TRAINED.tables)}
    )


def networks(count: int) -> list[Architecture]:
    random = np.random.default_rng(3)
    return [SPACE.candidate(SPACE.sample(random)) for _ in range(count)]


def test_a_device_is_measured_and_its_estimator_read_back(env: Environment) -> None:
    odd = Architecture(8, 1, 10, 13, 1, (NetworkStage(29, 1, (Block("ibn", 3, 6),)),))
    ref = measure_operators.execute(env, DEVICE, space=SPACE, params=PARAMS, given=(odd.text,))
    found, properties = read_measurements(env.store, ref)
    assert properties == dict(Accelerator().properties())
    measured = set(operators_from(found.operators.rows))
    assert {*operators_of(odd), *operators_of(reference_of(SPACE))} <= measured
    np.testing.assert_array_equal(found.operators.ms, Accelerator().latencies(found.operators.rows))
    quality = env.store.open(ref, contracts.MEASUREMENTS).quality
    assert quality["operators"] == len(found.operators.rows) >= 100
    assert (quality["networks"], quality["device"]) == (18, "simulated accelerator")
    fitted = fit_latency.execute(env, ref, params=LatencyParams(trees=20))
    estimator = read_latency(env.store, fitted)
    assert (estimator.parallelism, estimator.bytes_per_value) == (16, 1.0)
    unseen = networks(20)
    assert estimator.predict(unseen)[0] == pytest.approx(Accelerator().measure_networks(unseen).ms, rel=0.25)
    quality = env.store.open(fitted, contracts.LATENCY).quality
    assert quality["within_10"] > quality["linear_within_10"]
    assert quality["spearman"] > 0.9
    figures = env.store.open(fitted, contracts.LATENCY).read("figures").to_pylist()
    assert {row["setting"] for row in figures} >= {"networks", "operators", "operators:conv"}
    # Measured once: only another device, other parameters or --force measure again.
    assert measure_operators.execute(env, DEVICE, space=SPACE, params=PARAMS, given=(odd.text,)) == ref
    assert sum(record.computed for record in env.records) == 2
    other = device_source("accelerator", accelerator=AcceleratorParams(clock_mhz=100))
    assert measure_operators.execute(env, other, space=SPACE, params=PARAMS, given=(odd.text,)) != ref


def test_networks_of_a_search_are_measured_beside_what_was_predicted(env: Environment) -> None:
    given, *others = networks(5)
    measurements = measure_operators.execute(env, DEVICE, space=SPACE, params=PARAMS)
    latency = fit_latency.execute(env, measurements, params=LatencyParams(trees=20))
    search = searched(env.store, [one.text for one in (given, *others)], [1, 0, 0, 0, -1])
    chosen = trained(env.store, others[1])
    ref = measure_network.execute(env, chosen, search, latency, DEVICE, params=PARAMS)
    rows = env.store.open(ref, contracts.MEASURED).read("networks").to_pylist()
    # Of the front, the fastest one that is not the chosen one.
    assert [(row["role"], row["architecture"]) for row in rows] == [
        ("chosen", others[1].id),
        ("reference", given.id),
        ("front", others[0].id),
    ]
    exact = Accelerator().measure_networks([others[1], given, others[0]]).ms
    assert [row["measured_ms"] for row in rows] == exact.tolist()
    mean, spread = read_latency(env.store, latency).predict([others[1], given, others[0]])
    assert [row["predicted_ms"] for row in rows] == pytest.approx(mean)
    assert [row["predicted_spread_ms"] for row in rows] == pytest.approx(spread)
    quality = env.store.open(ref, contracts.MEASURED).quality
    assert quality["measured_ms"] == exact[0]
    assert quality["reference_measured_ms"] == exact[1]
    assert quality["device"] == "simulated accelerator"


def test_a_table_estimates_networks_that_it_cannot_measure(env: Environment, tmp_path: Path) -> None:
    first = measure_operators.execute(env, DEVICE, space=SPACE, params=PARAMS)
    measured, properties = read_measurements(env.store, first)
    write_measurements(tmp_path / "board.csv", properties, measured)
    table = device_source(str(tmp_path / "board.csv"))
    latency = fit_latency.execute(
        env, measure_operators.execute(env, table, space=SPACE, params=PARAMS), params=LatencyParams(trees=20)
    )
    given, other = networks(2)
    search, chosen = searched(env.store, [given.text, other.text], [0, 0]), trained(env.store, other)
    ref = measure_network.execute(env, chosen, search, latency, table, params=PARAMS)
    rows = env.store.open(ref, contracts.MEASURED).read("networks").to_pylist()
    assert [row["measured_ms"] for row in rows] == [None, None]
    assert all(row["predicted_ms"] > 0 for row in rows)
    quality = env.store.open(ref, contracts.MEASURED).quality
    assert quality["measured_ms"] is quality["reference_measured_ms"] is None
    assert read_latency(env.store, latency).bytes_per_value == 1.0


def test_a_device_without_operators_of_the_space_is_refused(env: Environment, tmp_path: Path) -> None:
    (tmp_path / "empty.csv").write_text("architecture,latency_ms\na cell,1\n")
    with pytest.raises(FingerpostError, match=r"empty.csv: expected latencies of operators of the space, got none"):
        measure_operators.execute(env, device_source(str(tmp_path / "empty.csv")), space=SPACE, params=PARAMS)
