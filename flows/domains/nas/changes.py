"""Changes of images, latencies, fronts and architectures between two networks. Imports no Prefect."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from fingerpost.flows.ops.compare.changes import DataChange, figure_changes, listed, row_changes, share, tables_of
from fingerpost.schemas import nas
from fingerpost.schemas.figures import significant
from fingerpost.schemas.refs import Ref
from fingerpost.schemas.store import Store
from fingerpost.tasks.nas.architecture import Architecture
from fingerpost.tasks.nas.differences import differences

_OPERATOR = ("kind", "size", "inputs", "outputs", "kernel", "stride", "output_size", "relu", "added")
_WHEN = ("before", "after")


def images(store: Store, before: Ref, after: Ref) -> list[DataChange]:
    """Images that were added, removed or changed."""
    return [row_changes(store, before, after, nas.IMAGES, "images")]


def measurements(store: Store, before: Ref, after: Ref) -> list[DataChange]:
    """What the device is, and by how much operators that both have become faster or slower."""
    sides = tables_of(store, before, after, nas.MEASUREMENTS, "operators")
    old, new = (
        {tuple(row[name] for name in _OPERATOR): row["latency_ms"] for row in side.to_pylist()} for side in sides
    )
    common = sorted(old.keys() & new.keys())
    figures: dict[str, Any] = {"before": len(old), "after": len(new), "in both": len(common)}
    if ratios := [new[key] / old[key] for key in common if old[key] > 0]:
        figures["median latency after, as a multiple of before"] = round(float(np.median(ratios)), 4)
    return [DataChange("operators", figures), _device(store, before, after)]


def _device(store: Store, before: Ref, after: Ref) -> DataChange:
    sides = tables_of(store, before, after, nas.MEASUREMENTS, "device")
    old, new = (dict(zip(side["name"].to_pylist(), side["value"].to_pylist(), strict=True)) for side in sides)
    moved = [name for name in sorted(old.keys() | new.keys()) if old.get(name) != new.get(name)]
    examples = [f"{name}: {old.get(name, 'none')} → {new.get(name, 'none')}" for name in moved]
    return DataChange("device", {"properties of another value": len(moved)}, examples)


def latency(store: Store, before: Ref, after: Ref) -> list[DataChange]:
    """Changed errors of the latency estimator."""
    return [figure_changes(store, before, after, nas.LATENCY)]


def search(store: Store, before: Ref, after: Ref) -> list[DataChange]:
    """Front against front: networks that joined and left it, and the best accuracy and latency of each."""
    sides = tables_of(store, before, after, nas.SEARCH, "evaluated")
    evaluated = [side.to_pylist() for side in sides]
    fronts = [{row["architecture"]: row for row in rows if row["front"] == 0} for rows in evaluated]
    figures: dict[str, Any] = {}
    for when, rows, front in zip(_WHEN, evaluated, fronts, strict=True):
        figures |= {f"evaluated {when}": len(rows), f"front {when}": len(front)}
        if front:
            figures[f"best score {when}"] = round(max(row["score"] for row in front.values()), 6)
        latencies = [row["latency_ms"] for row in front.values() if row["latency_ms"] is not None]
        if latencies:
            figures[f"lowest latency of the front {when}, ms"] = round(min(latencies), 6)
    old, new = fronts
    figures["in both fronts"] = len(old.keys() & new.keys())
    figures["share of the earlier front kept"] = share(figures["in both fronts"], len(old))
    moved = (("joined the front", new, old), ("left the front", old, new))
    examples = [f"{word}: {listed(_named(here, there))}" for word, here, there in moved if here.keys() - there.keys()]
    return [DataChange("front", figures, examples)]


def _named(front: Mapping[str, Mapping[str, Any]], other: Mapping[str, Any]) -> list[str]:
    """The networks of a front that another has not, the best first, with score and latency."""
    rows = sorted(
        (row for key, row in front.items() if key not in other), key=lambda row: (-row["score"], row["number"])
    )
    return [
        f"{row['architecture']} (score {significant(row['score'])}, {_milliseconds(row['latency_ms'])})" for row in rows
    ]


def _milliseconds(value: float | None) -> str:
    return "latency unknown" if value is None else f"{significant(value)} ms"


def patterns(store: Store, before: Ref, after: Ref) -> list[DataChange]:
    """Patterns that were found or given up, and the changes of latency and accuracy that they promise."""
    sides = tables_of(store, before, after, nas.PATTERNS, "patterns")
    old, new = ({f"{row['edit']} {row['where']}": row for row in side.to_pylist()} for side in sides)
    both = sorted(old.keys() & new.keys())
    figures = {"before": len(old), "after": len(new), "in both": len(both)}
    moved = (("found", sorted(new.keys() - old.keys())), ("given up", sorted(old.keys() - new.keys())))
    examples = [f"{word}: {listed(names)}" for word, names in moved if names]
    return [DataChange("patterns", figures, examples)]


def trained(store: Store, before: Ref, after: Ref) -> list[DataChange]:
    """Architecture against architecture, and the epochs of the training."""
    old, new = (
        Architecture.parse(side["description"].to_pylist()[0])
        for side in tables_of(store, before, after, nas.TRAINED, "architecture")
    )
    moved = differences(old, new)
    epochs = [side.num_rows for side in tables_of(store, before, after, nas.TRAINED, "epochs")]
    figures = {"before": old.id, "after": new.id, "differences": len(moved)}
    trained_for = dict(zip((f"epochs {when}" for when in _WHEN), epochs, strict=True))
    return [DataChange("architecture", figures, moved), DataChange("training", trained_for)]


def measured(store: Store, before: Ref, after: Ref) -> list[DataChange]:
    """Predicted and measured latency of the chosen network and of the reference."""
    figures: dict[str, Any] = {}
    for when, side in zip(_WHEN, tables_of(store, before, after, nas.MEASURED, "networks"), strict=True):
        for row in side.to_pylist():
            if row["role"] in ("chosen", "reference"):
                figures[f"{row['role']} predicted {when}, ms"] = round(row["predicted_ms"], 6)
                if row["measured_ms"] is not None:
                    figures[f"{row['role']} measured {when}, ms"] = round(row["measured_ms"], 6)
    return [DataChange("latencies", figures)]


def evaluation(store: Store, before: Ref, after: Ref) -> list[DataChange]:
    """Changed metrics of the network and of the reference on test images."""
    return [figure_changes(store, before, after, nas.EVALUATION)]
