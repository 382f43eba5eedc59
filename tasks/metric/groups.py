"""Thresholds for groups of classes (cameras, languages, shops) whose error rates differ at the global threshold.

A group's negative pairs are those with an end in one of its classes: its threshold is for comparisons with a known
member of the group. Background: Zhang et al., ICLR 2024 (arXiv 2307.04047): one threshold works differently across
classes; the groups and their test are ours.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fingerpost.tasks.metric.crossing import crossings, safe_edges
from fingerpost.tasks.metric.intervals import half_width
from fingerpost.tasks.metric.pairs import PairHistograms, tails
from fingerpost.tasks.metric.scores import threshold_of
from fingerpost.tasks.metric.thresholds import Rate, Target, ThresholdChoice, class_rates, class_tails, side


@dataclass(frozen=True)
class GroupThreshold:
    """The threshold of a group of classes at the target of the global one.

    classes: number of the group's classes with pairs. rate: rate of the group at the global threshold. worth: whether a
    threshold of its own is justified: the interval of the group's threshold, Bonferroni-corrected for the number of
    groups, excludes the global one. kept: whether its threshold keeps the target, as in ThresholdChoice.
    """

    name: str
    classes: int
    threshold: float
    interval: tuple[float, float]
    rate: float
    worth: bool
    kept: bool = True


@dataclass(frozen=True)
class GroupThresholds:
    """Thresholds by group in the order of names, and (name, classes) of the groups with too few classes for one."""

    groups: list[GroupThreshold]
    small: list[tuple[str, int]]


def group_thresholds(
    pairs: PairHistograms,
    groups: ArrayLike,
    choice: ThresholdChoice,
    *,
    level: float = 0.95,
    least_classes: int = 5,
) -> GroupThresholds:
    """Thresholds for groups of classes at the target of a global one, and whether they differ from it.

    groups: group of each class, (c,), "" for none. ValueError for another shape or ``least_classes`` below 2.
    """
    members = group_members(pairs, groups, choice.target, least_classes=least_classes)
    large = {name: own for name, own in members.items() if len(own) >= least_classes}
    small = [(name, len(own)) for name, own in members.items() if len(own) < least_classes]
    shared = 1 - (1 - level) / max(1, len(large))
    return GroupThresholds([_group(pairs, name, own, choice, shared) for name, own in large.items()], small)


def group_members(
    pairs: PairHistograms, groups: ArrayLike, target: Target, *, least_classes: int
) -> dict[str, NDArray[np.int64]]:
    """Indices of the classes of each group with pairs of the target's kind, by name of the group.

    groups: group of each class, (c,), "" for none. ValueError for another shape or ``least_classes`` below 2.
    """
    labels = np.asarray(groups)
    if labels.shape != (len(pairs.names),) or least_classes < 2:
        raise ValueError(
            f"groups: expected one for each of {len(pairs.names)} classes and least_classes of at least 2, got shape "
            f"{labels.shape} and {least_classes}; correct them"
        )
    _, _, counts = side(pairs, target)
    having = counts.any(axis=1)
    names = [name for name in np.unique(labels) if str(name)]
    return {str(name): np.flatnonzero(having & (labels == name)) for name in names}


def _group(
    pairs: PairHistograms, name: str, members: NDArray[np.int64], choice: ThresholdChoice, level: float
) -> GroupThreshold:
    share, highest, counts = side(pairs, choice.target)
    whole = tails(counts[members].sum(axis=0)).astype(np.float64)
    edges, kept = safe_edges(whole, share, highest=highest)
    score = float(pairs.edges[edges[0]])
    estimate = float(crossings(pairs.edges, whole, share, highest=highest)[0])
    without = np.concatenate(
        [crossings(pairs.edges, whole - own, share, highest=highest) for own in class_tails(counts, members)]
    )
    half = half_width(without, level)
    ends = [threshold_of(end, pairs.measure) for end in (estimate - half, estimate + half, score)]
    low, high = min(ends), max(ends)
    threshold = threshold_of(score, pairs.measure)
    rate = group_rate(pairs, members, choice.threshold, choice.target.rate)
    worth = not low <= choice.threshold <= high
    return GroupThreshold(name, len(members), threshold, (low, high), rate, worth, bool(kept[0]))


def group_rate(pairs: PairHistograms, members: NDArray[np.int64], threshold: float, rate: Rate) -> float:
    """FAR or FRR of all pairs of some classes (indices) at a threshold; NaN if they have no such pairs."""
    counts = (pairs.outside if rate == "far" else pairs.inside)[members].sum(axis=0)
    pooled = PairHistograms(pairs.bins, np.array(["all"]), counts[None], counts[None], divided=pairs.divided)
    rates = class_rates(pooled, threshold)
    return float(rates.far[0] if rate == "far" else rates.frr[0])


def group_columns(
    pairs: tuple[PairHistograms, PairHistograms],
    groups: tuple[ArrayLike, ArrayLike],
    choice: ThresholdChoice,
    *,
    level: float,
    least_classes: int,
) -> dict[str, list[object]]:
    """Thresholds of groups on validation classes and their rates on test classes, one row per group, by column.

    pairs, groups (c,): of validation and of test classes. Columns: name, classes, threshold, low, high, rate, worth,
    then test_classes and the test rates at the global threshold (test_rate) and at the group's own (own_test_rate).
    Missing values are None or NaN; a group with test classes only has a row too.
    """
    thresholds = group_thresholds(pairs[0], groups[0], choice, level=level, least_classes=least_classes)
    own = {group.name: group for group in thresholds.groups}
    classes = {group.name: group.classes for group in thresholds.groups} | dict(thresholds.small)
    tested = np.asarray(groups[1])
    names = sorted(classes.keys() | {str(name) for name in np.unique(tested) if str(name)})
    columns: dict[str, list[object]] = {name: [] for name in COLUMNS}
    for name in names:
        members = np.flatnonzero(tested == name)
        row = _group_row(own.get(name)) | {"name": name, "classes": classes.get(name, 0), "test_classes": len(members)}
        if len(members):
            row["test_rate"] = group_rate(pairs[1], members, choice.threshold, choice.target.rate)
            if name in own:
                row["own_test_rate"] = group_rate(pairs[1], members, own[name].threshold, choice.target.rate)
        for column, values in columns.items():
            values.append(row.get(column))
    return columns


COLUMNS = (
    "name",
    "classes",
    "threshold",
    "low",
    "high",
    "rate",
    "worth",
    "test_classes",
    "test_rate",
    "own_test_rate",
)


def _group_row(group: GroupThreshold | None) -> dict[str, object]:
    if group is None:
        return {"worth": False}
    low, high = group.interval
    return {"threshold": group.threshold, "low": low, "high": high, "rate": group.rate, "worth": group.worth}
