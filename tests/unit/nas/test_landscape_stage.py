"""The stage that maps the landscape: tables of the contract, around the network that a search chose."""

from pathlib import Path

import pyarrow as pa
import pytest

from fingerpost.schemas import nas as contracts
from fingerpost.schemas.refs import Ref
from fingerpost.schemas.store import Store
from fingerpost.tasks.environment import Environment
from fingerpost.tasks.nas.accelerator import AcceleratorParams
from fingerpost.tasks.nas.architecture import Architecture
from fingerpost.tasks.nas.costs import costs_of
from fingerpost.tasks.nas.cpu_params import CpuParams
from fingerpost.tasks.nas.landscape_params import LandscapeParams
from fingerpost.tasks.nas.latency_params import LatencyParams, MeasuringParams
from fingerpost.tasks.nas.spaces import reference_for_images, space_for_images
from fingerpost.tasks.nas.stages.devices import device_source
from fingerpost.tasks.nas.stages.landscape import map_landscape
from fingerpost.tasks.nas.stages.latency import fit_latency, measure_operators
from fingerpost.tasks.shards import SerialExecutor
from fingerpost.tasks.stage import stage
from fingerpost.tasks.stage_run import StageRun
from tests.worlds import DAY

SPACE = space_for_images(8, 1, 10)
SMALL, LARGE = SPACE.smallest(), reference_for_images(8, 1, 10)
FEW = MeasuringParams(networks=20, operators=60, rounds=0, training_networks=0, test_networks=4)


@stage(contracts.SEARCH)
def searched(run: StageRun) -> None:
    """A search that chose the second of its networks."""
    rows = [_row(number, network, 0.8 + 0.1 * number) for number, network in enumerate((SMALL, LARGE))]
    fields = contracts.SEARCH.table("evaluated").fields
    run.write(
        "evaluated", pa.table({each.name: pa.array([row[each.name] for row in rows], each.type) for each in fields})
    )
    scores = contracts.SEARCH.table("scores").fields
    run.write("scores", pa.table({each.name: pa.array([], each.type) for each in scores}))


def _row(number: int, network: Architecture, accuracy: float) -> dict[str, object]:
    costs = costs_of(network)
    known = {"number": number, "architecture": network.id, "description": network.text, "origin": "random"}
    estimated = {"latency_ms": 0.1, "latency_spread_ms": 0.0, "macs": costs.macs, "parameters": costs.parameters}
    found = {"accuracy": accuracy, "score": accuracy, "feasible": True, "trained": True, "front": 0}
    return known | estimated | found | {"generation": 0, "memory_bytes": costs.peak_values}


@pytest.fixture
def env(tmp_path: Path) -> Environment:
    return Environment(Store(str(tmp_path / "store")).prepare(), "digits", DAY, SerialExecutor())


def _mapped(env: Environment, steps: int = 3) -> Ref:
    device = device_source("accelerator", accelerator=AcceleratorParams(), cpu=CpuParams())
    latency = fit_latency.execute(
        env, measure_operators.execute(env, device, space=SPACE, params=FEW), params=LatencyParams(trees=5)
    )
    params = LandscapeParams(reach=1.0, steps=steps)
    return map_landscape.execute(env, latency, searched.execute(env), space=SPACE, params=params)


def test_the_landscape_is_that_of_the_chosen_network(env: Environment) -> None:
    ref = _mapped(env)
    artifact = env.store.open(ref, contracts.LANDSCAPE)
    points = artifact.read("points").to_pylist()
    assert {point["space"] for point in points} == {"curated", "uncurated"}
    # The network itself lies on none of the curated axes, whose other channels are its own.
    own = [
        point
        for point in points
        if point["axis"] == "channels of stage 2" and point["value"] == LARGE.stages[1].channels
    ]
    assert [(point["space"], point["macs"]) for point in own] == [("uncurated", costs_of(LARGE).macs)]
    steps = artifact.read("steps").to_pylist()
    assert [step["step"] for step in steps if step["space"] == "curated"] == [0, 1, 2, 3]
    assert artifact.quality["roughness_uncurated"] > artifact.quality["roughness_curated"]
    assert artifact.quality["turns_uncurated"] > 0
    assert _mapped(env) == ref
    assert _mapped(env, steps=2) != ref
