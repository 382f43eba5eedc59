"""Latencies as a report shows them: errors of the estimator, networks predicted beside measured, and the landscape."""

from dataclasses import dataclass, field

import numpy as np

from fingerpost.schemas import nas
from fingerpost.schemas.errors import FingerpostError
from fingerpost.schemas.refs import Ref
from fingerpost.schemas.store import Store
from fingerpost.tasks.nas.architecture import Architecture
from fingerpost.tasks.nas.operators import operators_of
from fingerpost.tasks.nas.stages.latency_tables import read_latency

#: Methods and settings by display name, in the order in which they are shown.
_METHODS = {
    "forest": "estimator: operators by random forests, added up",
    "linear": "control: linear in multiply-accumulates",
}
_SETTINGS = {"networks": "whole networks", "operators": "operators"}
ROLES = {"chosen": "chosen", "reference": "reference", "live": "live before", "front": "of the front"}
#: Points of a plot.
_NETWORKS = 400


@dataclass(frozen=True)
class Errors:
    """How far predictions of a method are from measured latencies; fractions within 5 and 10 percent."""

    method: str
    on: str
    count: int
    within_5: float
    within_10: float
    spearman: float | None


@dataclass(frozen=True)
class Measured:
    """A network on the device: latencies in milliseconds."""

    architecture: str
    role: str
    predicted_ms: float
    predicted_spread_ms: float
    measured_ms: float | None
    spread_ms: float | None

    @property
    def error(self) -> float | None:
        """The prediction's relative error."""
        return self.predicted_ms / self.measured_ms - 1 if self.measured_ms else None


@dataclass(frozen=True)
class Predicted:
    """Networks that the estimator had not seen: measured, and predicted by it and by the control, in milliseconds."""

    measured: list[float] = field(default_factory=list)
    forest: list[float] = field(default_factory=list)
    linear: list[float] = field(default_factory=list)


@dataclass(frozen=True)
class Axis:
    """The latencies along one axis of the search space, by number of channels; ``macs`` of the uncurated points."""

    name: str
    curated: list[tuple[float, float]] = field(default_factory=list)
    uncurated: list[tuple[float, float]] = field(default_factory=list)
    macs: list[tuple[float, float]] = field(default_factory=list)


@dataclass(frozen=True)
class Landscape:
    """The axes around the chosen network, and the latency at each step of the ways down."""

    axes: list[Axis] = field(default_factory=list)
    ways: dict[str, list[float]] = field(default_factory=dict)


def read_errors(store: Store, latency: Ref) -> list[Errors]:
    """The errors on whole networks and on operators."""
    rows = store.open(latency, nas.LATENCY).read("figures").to_pylist()
    found = {(row["method"], row["setting"], row["metric"]): row["value"] for row in rows}
    return [
        Errors(
            title,
            words,
            int(found[method, setting, "count"]),
            found[method, setting, "within_5"],
            found[method, setting, "within_10"],
            found.get((method, setting, "spearman")),
        )
        for setting, words in _SETTINGS.items()
        for method, title in _METHODS.items()
        if (method, setting, "count") in found
    ]


def read_measured(store: Store, measured: Ref) -> list[Measured]:
    """The chosen network, the reference and others, measured again."""
    rows = store.open(measured, nas.MEASURED).read("networks").to_pylist()
    order = list(ROLES)
    rows.sort(key=lambda row: (order.index(row["role"]), row["predicted_ms"]))
    return [Measured(**{**row, "role": ROLES[row["role"]]}) for row in rows]


def read_predicted(store: Store, measurements: Ref, latency: Ref) -> Predicted:
    """The networks of the estimator's test, predicted again."""
    rows = store.open(measurements, nas.MEASUREMENTS).read("networks").to_pylist()
    rows = [row for row in rows if row["split"] == "test"][:_NETWORKS]
    if not rows:
        return Predicted()
    estimator = read_latency(store, latency)
    networks = [Architecture.parse(row["description"]) for row in rows]
    macs = [float(sum(one.macs for one in operators_of(network))) for network in networks]
    linear = estimator.linear_ms(np.array(macs)).tolist() if any(estimator.macs_rates) else []
    try:
        forest = estimator.predict(networks)[0].tolist()
    except ValueError as problem:
        raise FingerpostError(f"{latency}: {problem}") from problem
    return Predicted([row["latency_ms"] for row in rows], forest, linear)


def read_landscape(store: Store, landscape: Ref) -> Landscape:
    """The landscape around the chosen network."""
    opened = store.open(landscape, nas.LANDSCAPE)
    axes: dict[str, Axis] = {}
    for row in sorted(opened.read("points").to_pylist(), key=lambda row: row["value"]):
        axis = axes.setdefault(row["axis"], Axis(row["axis"]))
        (axis.curated if row["space"] == "curated" else axis.uncurated).append((row["value"], row["latency_ms"]))
        if row["space"] != "curated":
            axis.macs.append((row["value"], float(row["macs"])))
    ways: dict[str, list[float]] = {}
    for row in sorted(opened.read("steps").to_pylist(), key=lambda row: row["step"]):
        ways.setdefault(row["space"], []).append(row["latency_ms"])
    return Landscape([axes[name] for name in sorted(axes, key=_place)], ways)


def _place(axis: str) -> tuple[int, str]:
    """The stem first, then stages by number."""
    number = axis.rsplit(" ", 1)[-1]
    return (int(number) if number.isdigit() else 0, axis)
