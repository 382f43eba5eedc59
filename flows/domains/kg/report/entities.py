"""The joined entities of an alignment in the report: sizes, merges and splits of ids, conflicts, and pairs to review."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow.compute as pc

from fingerpost.schemas import kg
from fingerpost.schemas.figures import significant
from fingerpost.schemas.refs import Ref
from fingerpost.schemas.store import Store

#: Events of ids since the version before.
EVENTS = {
    "new": "new",
    "gone": "gone",
    "merged": "merged into another",
    "split": "split from another",
    "moved": "members moved to another",
}
#: Sizes that are listed alone; larger ones together.
_SIZES = 5
_FIRST = 10


@dataclass(frozen=True)
class Clusters:
    """sizes: entities of a joined entity, as text, and the number of such. events: number of each, and the first of them."""

    sizes: list[tuple[str, int]]
    events: dict[str, int]
    first: list[Mapping[str, Any]]


def read_clusters(store: Store, ref: Ref) -> Clusters:
    """The sizes of clusters, and the history; new ids are counted and not listed."""
    artifact = store.open(ref, kg.CLUSTERS)
    counts = artifact.read("members")["cluster"].value_counts().field("counts").to_numpy()
    sizes = np.bincount(np.minimum(counts, _SIZES))
    history = artifact.read("history")
    kinds = {row["values"]: row["counts"] for row in history["event"].value_counts().to_pylist()}
    old = history.filter(pc.not_equal(history["event"], "new"))
    old = old.sort_by(
        [("members", "descending"), ("event", "ascending"), ("before", "ascending"), ("after", "ascending")]
    )
    return Clusters(
        [
            (f"{size} or more" if size == _SIZES else str(size), int(count))
            for size, count in enumerate(sizes.tolist())
            if count
        ],
        {event: kinds[event] for event in EVENTS if event in kinds},
        old.slice(0, _FIRST).to_pylist(),
    )


@dataclass(frozen=True)
class Conflict:
    """An attribute, the rule for its conflicts, the joined entities that have it and those with several values of it."""

    attribute: str
    rule: str
    entities: int
    conflicts: int


def read_conflicts(store: Store, ref: Ref) -> list[Conflict]:
    """The attributes with most conflicts."""
    rows = store.open(ref, kg.JOINED).read("rules")
    rows = rows.filter(pc.greater(rows["conflicts"], 0)).sort_by(
        [("conflicts", "descending"), ("attribute", "ascending")]
    )
    return [Conflict(**row) for row in rows.slice(0, _FIRST).to_pylist()]


@dataclass(frozen=True)
class Doubtful:
    """A pair to review."""

    left: str
    right: str
    left_name: str
    right_name: str
    probability: float
    accepted: bool
    reason: str


def read_doubtful(store: Store, ref: Ref) -> tuple[int, list[Doubtful]]:
    """The number of pairs of a queue, and the first of them."""
    rows = store.open(ref, kg.REVIEW).read("pairs")
    return rows.num_rows, [Doubtful(**row) for row in rows.slice(0, _FIRST).to_pylist()]


@dataclass(frozen=True)
class Threshold:
    """A target, its threshold with an interval, and what it accepts; chosen: whether it decides."""

    target: str
    threshold: float
    low: float
    high: float
    precision: float
    recall: float
    accepted: int
    kept: bool
    chosen: bool


def read_thresholds(store: Store, ref: Ref) -> list[Threshold]:
    """The thresholds of several targets, in stored order."""
    words = {
        "f1": "best F1",
        "precision": "precision of at least {}",
        "accepted": "{} accepted pairs",
        "far": "FAR of {}",
    }
    return [
        Threshold(
            words.get(row["target"], row["target"]).format(significant(row["value"], 6)),
            *(row[name] for name in ("threshold", "low", "high", "precision", "recall", "accepted", "kept", "chosen")),
        )
        for row in store.open(ref, kg.CALIBRATION).read("thresholds").to_pylist()
    ]
