"""A threshold that others use: for which model it holds, how to tell, and how it moves to another model.

A threshold is a property of one embedding model. It carries that model's identity and canaries: a few ids with their
vectors, by which vectors of another model are told apart where the identity is not known. Source: the article's use of one
threshold in deployment; the migration matches error rates on the same rows.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tasks.ann.search import checked_vectors
from tasks.metric.pairs import PairHistograms
from tasks.metric.scores import Measure
from tasks.metric.thresholds import ClassRates, Rate, Target, ThresholdChoice, choose_threshold, class_rates

#: How far a canary's vector may lie from the one kept, as a share of its length: float32 on another machine, no other model.
CANARY_TOLERANCE = 1e-3


class ForeignModelError(ValueError):
    """Vectors of another model than the one that a threshold was chosen for."""


@dataclass(frozen=True)
class CalibratedThreshold:
    """A threshold (a least similarity, or a largest distance), its interval, and the model it holds for.

    canaries: ids, and their vectors float32 (k, d) as that model gives them. groups: of classes that need a threshold of their
    own, with the ends of its interval.
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
        """What to compare with where one side is known to be of a group of classes: its own threshold if it needs one."""
        return self.groups[group][0] if group in self.groups else self.threshold

    def check(self, *, model: str | None = None, ids: Sequence[str] = (), vectors: ArrayLike | None = None) -> int:
        """How many canaries were compared; ForeignModelError for another model, dimension or vector of a canary.

        model: the identity of the model that made the vectors (n, d) of ``ids``, where it is known.
        """
        if model is not None and model != self.model:
            raise ForeignModelError(
                f"threshold: expected vectors of model {self.model}, got those of {model}; migrate the threshold "
                "(fingerpost threshold --migrate) or embed with that model"
            )
        if vectors is None:
            return 0
        rows = checked_vectors(vectors)
        if rows.shape[1] != self.canaries.shape[1]:
            raise ForeignModelError(
                f"threshold: expected vectors of {self.canaries.shape[1]} dimensions as model {self.model} gives, got "
                f"{rows.shape[1]}; they are of another model"
            )
        place = {str(key): row for row, key in enumerate(ids)}
        known = [number for number, key in enumerate(self.canary_ids) if key in place]
        for number in known:
            self._compare(number, rows[place[self.canary_ids[number]]])
        return len(known)

    def _compare(self, number: int, found: NDArray[np.float32]) -> None:
        kept = self.canaries[number].astype(np.float64)
        away = float(np.linalg.norm(found - kept) / max(float(np.linalg.norm(kept)), 1e-30))
        if away > CANARY_TOLERANCE:
            raise ForeignModelError(
                f"threshold: expected the vector of '{self.canary_ids[number]}' that model {self.model} gives, got one"
                f" that is {away:.2g} of its length away; the vectors are of another model"
            )

    def search_radius(self, group: str = "") -> float:
        """The threshold as tasks.ann measures distances: 1 - similarity, or the squared Euclidean distance (l2)."""
        return 1 - self.of(group) if self.measure == "cosine" else self.of(group) ** 2


def calibrated(
    choice: ThresholdChoice,
    measure: Measure,
    *,
    model: str,
    ids: Sequence[str],
    vectors: ArrayLike,
    canaries: int = 8,
    groups: Mapping[str, tuple[float, float, float]] | None = None,
) -> CalibratedThreshold:
    """A chosen threshold with the model's identity and some of its vectors (n, d) of ``ids`` as canaries."""
    rows = checked_vectors(vectors)
    if not model or len(ids) != len(rows) or not 0 < canaries <= len(rows):
        raise ValueError(
            f"threshold: expected a model's name and at least {max(1, canaries)} vectors with an id each, got"
            f" {model!r}, {len(rows)} vectors and {len(ids)} ids; pass them"
        )
    chosen = canary_rows(ids, canaries)
    kept = tuple(str(ids[row]) for row in chosen)
    return CalibratedThreshold(
        choice.threshold, choice.interval, measure, choice.target, model, kept, rows[chosen], dict(groups or {})
    )


def canary_rows(ids: Sequence[str], count: int) -> list[int]:
    """Rows of the ids with the lowest hashes: the same ids whatever their order, and mostly among more ids."""
    return sorted(range(len(ids)), key=lambda row: hashlib.blake2b(str(ids[row]).encode(), digest_size=8).digest())[
        :count
    ]


@dataclass(frozen=True)
class Migration:
    """A threshold moved to another model: what it is there, the rate that was matched, and both models' rates by class."""

    choice: ThresholdChoice
    before: ClassRates
    after: ClassRates

    def changes(self, rate: Rate, count: int = 10) -> list[tuple[str, float, float]]:
        """Name, rate before and after of the classes whose rate moves most, the largest move first."""
        old, new = (getattr(rates, rate) for rates in (self.before, self.after))
        moved = np.abs(new - old)
        known = np.flatnonzero(~np.isnan(moved))
        order = known[np.argsort(-moved[known], kind="stable")][:count]
        return [(str(self.before.names[place]), float(old[place]), float(new[place])) for place in order]


def migrate(
    threshold: float, rate: Rate, old: PairHistograms, new: PairHistograms, *, level: float = 0.95
) -> Migration:
    """The threshold of a new model at which the same rows have the global FAR or FRR that the old one has at its threshold.

    ``old`` and ``new`` count the pairs of the same rows and classes, embedded by either model; ValueError where they do not.
    """
    same = len(old.names) == len(new.names) and bool((old.names == new.names).all())
    if not same or (old.positives != new.positives).any() or (old.negatives != new.negatives).any():
        raise ValueError(
            f"migration: expected pairs of the same rows for both models, got {len(old.names)} and {len(new.names)}"
            " classes or other numbers of pairs; embed the same rows with both"
        )
    before = class_rates(old, threshold)
    matched = before.global_far if rate == "far" else before.global_frr
    if matched >= 1:
        raise ValueError(
            f"migration: expected a threshold with a {rate} below 1, got {threshold} with {matched}; there is nothing"
            " to match"
        )
    choice = choose_threshold(new, Target(rate, matched), level=level)
    return Migration(choice, before, choice.rates)
