"""Measurements and latency estimators as tables of their contracts, and back."""

from collections.abc import Mapping, Sequence

import numpy as np
import pyarrow as pa

from fingerpost.schemas import nas as contracts
from fingerpost.schemas.matrices import tensors_from_arrow
from fingerpost.schemas.refs import Ref
from fingerpost.schemas.store import Store
from fingerpost.tasks.nas.latency import LatencyEstimator
from fingerpost.tasks.nas.measurements import Measurements, NetworkMeasurements, OperatorMeasurements
from fingerpost.tasks.nas.operator_arrays import COLUMNS
from fingerpost.tasks.nas.operators import OPERATOR_KINDS


def operators_table(operators: OperatorMeasurements) -> pa.Table:
    """The rows of measured operators."""
    columns = {name: pa.array(operators.rows[:, place]) for place, name in enumerate(COLUMNS)}
    columns |= {"kind": pa.array([OPERATOR_KINDS[kind] for kind in operators.rows[:, 0].tolist()], pa.string())}
    columns |= {name: columns[name].cast(pa.bool_()) for name in ("relu", "added")}
    figures = {
        "latency_ms": operators.ms,
        "spread_ms": operators.spread_ms,
        "repeats": operators.repeats,
        "round": operators.rounds,
    }
    return pa.table(columns | figures | {"split": _splits(operators.validation, "validation")})


def networks_table(networks: NetworkMeasurements, ids: Sequence[str]) -> pa.Table:
    """The rows of measured networks with their ids."""
    return pa.table(
        {
            "architecture": pa.array(ids, pa.string()),
            "description": pa.array(networks.texts, pa.string()),
            "latency_ms": networks.ms,
            "spread_ms": networks.spread_ms,
            "split": _splits(networks.test, "test"),
        }
    )


def properties_table(properties: Mapping[str, str]) -> pa.Table:
    """The properties of a device."""
    names = sorted(properties)
    return pa.table({"name": pa.array(names), "value": pa.array([properties[name] for name in names])})


def read_measurements(store: Store, ref: Ref) -> tuple[Measurements, dict[str, str]]:
    """What was measured, and the properties of the device."""
    opened = store.open(ref, contracts.MEASUREMENTS)
    rows, networks = opened.read("operators"), opened.read("networks")
    kinds = [OPERATOR_KINDS.index(kind) for kind in rows["kind"].to_pylist()]
    numbers = [np.array(kinds, dtype=np.int64)]
    numbers += [rows[name].cast(pa.int64()).to_numpy() for name in COLUMNS[1:]]
    ms, spread, repeats, rounds = (rows[name].to_numpy() for name in ("latency_ms", "spread_ms", "repeats", "round"))
    validation = np.array([split == "validation" for split in rows["split"].to_pylist()], dtype=bool)
    operators = OperatorMeasurements(np.column_stack(numbers), ms, spread, repeats, rounds, validation)
    network_ms, network_spread = (networks[name].to_numpy() for name in ("latency_ms", "spread_ms"))
    test = np.array([split == "test" for split in networks["split"].to_pylist()], dtype=bool)
    measured = NetworkMeasurements(tuple(networks["description"].to_pylist()), network_ms, network_spread, test)
    device = opened.read("device").to_pydict()
    return Measurements(operators, measured), dict(zip(device["name"], device["value"], strict=True))


def read_latency(store: Store, ref: Ref) -> LatencyEstimator:
    """The estimator of an artifact."""
    opened = store.open(ref, contracts.LATENCY)
    tensors = tensors_from_arrow(opened.read("model"))
    return LatencyEstimator.from_arrays(tensors, opened.read("kinds")["name"].to_pylist())


def _splits(held: np.ndarray, name: str) -> pa.Array:
    return pa.array([name if one else "training" for one in held.tolist()], pa.string())
