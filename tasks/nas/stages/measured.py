"""The stage that measures networks of a search on the device again, beside what was predicted of them."""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from fingerpost.schemas import nas as contracts
from fingerpost.schemas.errors import FingerpostError
from fingerpost.schemas.refs import Ref
from fingerpost.schemas.store import Store
from fingerpost.tasks.nas.architecture import Architecture
from fingerpost.tasks.nas.devices import Latencies
from fingerpost.tasks.nas.latency_params import MeasuringParams
from fingerpost.tasks.nas.stages.devices import DeviceSource
from fingerpost.tasks.nas.stages.latency_tables import read_latency
from fingerpost.tasks.stage import stage
from fingerpost.tasks.stage_run import StageRun


@dataclass(frozen=True)
class _Networks:
    """Architectures and the role of each."""

    roles: list[str]
    architectures: list[Architecture]


@stage(contracts.MEASURED)
def measure_network(
    run: StageRun, trained: Ref, search: Ref, latency: Ref, device: DeviceSource, *, params: MeasuringParams
) -> None:
    """Measures the chosen network, the reference and others of the Pareto front on the device."""
    networks = _networks(run.store, trained, search, params.fronts)
    opened = device.opened()
    try:
        predicted, spread = read_latency(run.store, latency).predict(networks.architectures)
        measured = opened.measure_networks(networks.architectures)
    except ValueError as problem:
        raise FingerpostError(str(problem)) from problem
    run.write("networks", _table(networks, predicted, spread, measured))
    ms, reference = (_number(measured.ms, networks.roles.index(role)) for role in ("chosen", "reference"))
    run.quality = {
        "measured_ms": ms,
        "predicted_ms": float(predicted[0]),
        "predicted_spread_ms": float(spread[0]),
        "reference_measured_ms": reference,
        "device": opened.name,
    }


def _networks(store: Store, trained: Ref, search: Ref, fronts: int) -> _Networks:
    """The chosen network, the reference, and at most ``fronts`` others of the front, by ascending latency."""
    chosen = store.open(trained, contracts.TRAINED).read("architecture")["description"][0].as_py()
    rows = store.open(search, contracts.SEARCH).read("evaluated").to_pylist()
    given = next(row["description"] for row in rows if row["number"] == 0)
    front = sorted((row["latency_ms"] or 0.0, row["description"]) for row in rows if row["front"] == 0)
    others = [text for _, text in front if text not in (chosen, given)][:fronts]
    texts = [chosen, given, *others]
    return _Networks(["chosen", "reference", *["front"] * len(others)], [Architecture.parse(text) for text in texts])


def _table(
    networks: _Networks, predicted: NDArray[np.float64], spread: NDArray[np.float64], measured: Latencies
) -> pa.Table:
    return pa.table(
        {
            "architecture": pa.array([one.id for one in networks.architectures], pa.string()),
            "role": pa.array(networks.roles, pa.string()),
            "predicted_ms": predicted,
            "predicted_spread_ms": spread,
            "measured_ms": pa.array(measured.ms, from_pandas=True),
            "spread_ms": pa.array(measured.spread_ms, from_pandas=True),
        }
    )


def _number(values: NDArray[np.float64], place: int) -> float | None:
    return float(values[place]) if np.isfinite(values[place]) else None
