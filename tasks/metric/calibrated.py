"""A released threshold: the model it holds for, a check of vectors against that model, and migration to another model.

A threshold is a property of one embedding model. It carries that model's identity and canaries: a few ids with their
vectors, which detect vectors of another model where the identity is not known. A migration matches error rates on the
same rows. Source of the use of one threshold in deployment: Zhang et al., ICLR 2024 (arXiv 2307.04047).
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fingerpost.tasks.ann.search import checked_vectors
from fingerpost.tasks.metric.pairs import PairHistograms
from fingerpost.tasks.metric.recount import Recount, counted_at, refined
from fingerpost.tasks.metric.scores import Measure
from fingerpost.tasks.metric.thresholds import ClassRates, Rate, Target, ThresholdChoice, choose_threshold, class_rates

#: Maximum distance of a canary's vector from the stored one, as a fraction of its length: it allows for float32
#: rounding on another machine, not for another model.
CANARY_TOLERANCE = 1e-3
#: Below it a length counts as none: far less than float32 vectors can have, so that short vectors are told apart too.
_SMALLEST = float(np.finfo(np.float64).tiny)


class ForeignModelError(ValueError):
    """Vectors of a model other than the one that a threshold was chosen for."""


@dataclass(frozen=True)
class CalibratedThreshold:
    """A threshold (a minimum similarity, or a maximum distance), its interval, and the model it holds for.

    canary_ids, canaries: ids and that model's vectors of them, float32 (k, d). groups: (threshold, low, high) by name
    of the groups of classes that need a threshold of their own.
    """

    threshold: float
    interval: tuple[float, float]
    measure: Measure
    target: Target
    model: str
    canary_ids: tuple[str, ...]
    canaries: NDArray[np.float32]
    groups: Mapping[str, tuple[float, float, float]] = field(default_factory=dict)

    def of(self, group: str = "") -> float:
        """The threshold for comparisons with a member of a group of classes: the group's own if it has one."""
        return self.groups[group][0] if group in self.groups else self.threshold

    def check(self, *, model: str | None = None, ids: Sequence[str] = (), vectors: ArrayLike | None = None) -> int:
        """The number of canaries compared; ForeignModelError for another model, dimension or vector of a canary.

        model: the identity of the model that produced the vectors (n, d) of ``ids``, if known.
        """
        if model is not None and model != self.model:
            raise ForeignModelError(
                f"threshold: expected vectors of model {self.model}, got those of {model}; migrate the threshold "
                "(fingerpost threshold --migrate) or embed with that model"
            )
        if vectors is None or not len(np.asarray(vectors)):
            return 0
        rows = checked_vectors(vectors)
        if rows.shape[1] != self.canaries.shape[1]:
            raise ForeignModelError(
                f"threshold: expected vectors of {self.canaries.shape[1]} dimensions as model {self.model} gives, got "
                f"{rows.shape[1]}; they are of another model"
            )
        row_of = {str(key): row for row, key in enumerate(ids)}
        known = [number for number, key in enumerate(self.canary_ids) if key in row_of]
        for number in known:
            self._compare(number, rows[row_of[self.canary_ids[number]]])
        return len(known)

    def _compare(self, number: int, vector: NDArray[np.float32]) -> None:
        canary = self.canaries[number].astype(np.float64)
        distance = float(np.linalg.norm(vector - canary) / max(float(np.linalg.norm(canary)), _SMALLEST))
        if distance > CANARY_TOLERANCE:
            raise ForeignModelError(
                f"threshold: expected the vector of '{self.canary_ids[number]}' that model {self.model} gives, got one"
                f" at a distance of {distance:.2g} of its length; the vectors are of another model"
            )

    def search_radius(self, group: str = "") -> float:
        """The threshold as a distance of fingerpost.tasks.ann: 1 - similarity, or the squared Euclidean distance
        (l2).
        """
        return 1 - self.of(group) if self.measure == "cosine" else self.of(group) ** 2


class Chosen(Protocol):
    """A chosen threshold: its value, its interval and its target."""

    @property
    def threshold(self) -> float: ...
    @property
    def interval(self) -> tuple[float, float]: ...
    @property
    def target(self) -> Target: ...


def calibrated(
    choice: Chosen,
    measure: Measure,
    *,
    model: str,
    ids: Sequence[str],
    vectors: ArrayLike,
    canaries: int = 8,
    groups: Mapping[str, tuple[float, float, float]] | None = None,
) -> CalibratedThreshold:
    """A chosen threshold with the model's identity and some of its vectors (n, d) of ``ids`` as canaries.

    ValueError without a model's name or without ``canaries`` vectors that have an id each.
    """
    rows = checked_vectors(vectors)
    if not model or len(ids) != len(rows) or not 0 < canaries <= len(rows):
        raise ValueError(
            f"threshold: expected a model's name and at least {max(1, canaries)} vectors with an id each, got"
            f" {model!r}, {len(rows)} vectors and {len(ids)} ids; pass them"
        )
    chosen = canary_rows(ids, canaries)
    canary_ids = tuple(str(ids[row]) for row in chosen)
    return CalibratedThreshold(
        choice.threshold, choice.interval, measure, choice.target, model, canary_ids, rows[chosen], dict(groups or {})
    )


def canary_rows(ids: Sequence[str], count: int) -> list[int]:
    """Rows of the ids with the lowest hashes: independent of their order, and mostly stable as ids are added."""
    return sorted(range(len(ids)), key=lambda row: hashlib.blake2b(str(ids[row]).encode(), digest_size=8).digest())[
        :count
    ]


@dataclass(frozen=True)
class Migration:
    """A threshold migrated to another model: the new choice, and the rates by class before and after."""

    choice: ThresholdChoice
    before: ClassRates
    after: ClassRates

    def changes(self, rate: Rate, count: int = 10) -> list[tuple[str, float, float]]:
        """Name, old and new rate of the ``count`` classes whose rate changes most, the largest change first."""
        old, new = (getattr(rates, rate) for rates in (self.before, self.after))
        change = np.abs(new - old)
        known = np.flatnonzero(~np.isnan(change))
        order = known[np.argsort(-change[known], kind="stable")][:count]
        return [(str(self.before.names[row]), float(old[row]), float(new[row])) for row in order]


def migrate(
    threshold: float,
    rate: Rate,
    old: PairHistograms,
    new: PairHistograms,
    *,
    level: float = 0.95,
    recounts: tuple[Recount, Recount] | None = None,
) -> Migration:
    """The threshold of a new model that matches the global FAR or FRR of the old model at its threshold, or keeps it.

    ``old`` and ``new`` count the pairs of the same rows and classes, embedded by the respective model; ValueError if
    they do not, and if the rate to match is 1. recounts: how the pairs of either are counted again, for thresholds
    between the ends of bins.
    """
    same = len(old.names) == len(new.names) and bool((old.names == new.names).all())
    if not same or (old.positives != new.positives).any() or (old.negatives != new.negatives).any():
        raise ValueError(
            f"migration: expected pairs of the same rows for both models, got {len(old.names)} and {len(new.names)}"
            " classes or different numbers of pairs; embed the same rows with both"
        )
    if recounts is not None:
        old = counted_at(old, [threshold], recounts[0])
    before = class_rates(old, threshold)
    matched = before.global_far if rate == "far" else before.global_frr
    if matched >= 1:
        raise ValueError(
            f"migration: expected a threshold with a {rate} below 1, got {threshold} with {matched}; there is nothing"
            " to match"
        )
    target = Target(rate, matched)
    if recounts is not None:
        new = refined(new, target, recounts[1])
    choice = choose_threshold(new, target, level=level)
    return Migration(choice, before, choice.rates)
