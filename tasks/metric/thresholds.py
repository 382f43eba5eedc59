"""One threshold for all classes at a target rate: its value, its interval, and the error rates of each class.

FAR: fraction of negative pairs accepted; FRR: fraction of positive pairs rejected (FMR and FNMR of single comparisons).
Source: Zhang et al., ICLR 2024 (arXiv 2307.04047); intervals over classes: tasks/metric/intervals.py.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from fingerpost.tasks.metric.crossing import crossings, safe_edges
from fingerpost.tasks.metric.intervals import score_interval
from fingerpost.tasks.metric.pairs import CLASS_BLOCK, PairHistograms, Pairs, tails
from fingerpost.tasks.metric.scores import score_of, threshold_of

Rate = Literal["far", "frr"]


@dataclass(frozen=True)
class Target:
    """The global rate that a threshold keeps.

    rate: which rate of the test pairs the threshold keeps: far (pairs of two classes accepted) or frr (pairs of one
        class refused).
    share: the value of that rate, from 0 to below 1.
    """

    rate: Rate = "far"
    share: float = 0.01

    def __post_init__(self) -> None:
        if self.rate not in ("far", "frr") or not 0 <= self.share < 1:
            raise ValueError(
                f"target: expected far or frr and a rate from 0 to below 1, got {self.rate!r} and {self.share};"
                " correct it"
            )


@dataclass(frozen=True)
class ClassRates:
    """Error rates of classes ``names`` (c,) at one threshold: FAR and FRR float64 (c,), NaN without such pairs.

    negatives, positives: numbers of pairs of each class, int64 (c,).
    """

    threshold: float
    names: NDArray[np.generic]
    far: NDArray[np.float64]
    frr: NDArray[np.float64]
    negatives: NDArray[np.int64]
    positives: NDArray[np.int64]

    @property
    def global_far(self) -> float:
        """Fraction of all negative pairs accepted."""
        return _pooled(self.far, self.negatives)

    @property
    def global_frr(self) -> float:
        """Fraction of all positive pairs rejected."""
        return _pooled(self.frr, self.positives)

    def worst(self, rate: Rate, count: int = 10) -> list[tuple[str, float]]:
        """Names and rates of the ``count`` classes with the highest rate, the worst first, ties by name."""
        values = self.far if rate == "far" else self.frr
        known = np.flatnonzero(~np.isnan(values))
        order = known[np.argsort(-values[known], kind="stable")][:count]
        return [(str(self.names[row]), float(values[row])) for row in order]


def _pooled(rates: NDArray[np.float64], pairs: NDArray[np.int64]) -> float:
    return float(np.nansum(rates * pairs) / pairs.sum()) if pairs.sum() else math.nan


def class_rates(pairs: Pairs, threshold: float) -> ClassRates:
    """FAR and FRR of each class at a threshold (a similarity, or a distance), whatever classes it was chosen on.

    ValueError for histograms that have no exact counts there (:func:`fingerpost.tasks.metric.recount.counted_at`).
    """
    score = score_of(threshold, pairs.measure)
    if not pairs.exact_at(score):
        raise ValueError(
            f"threshold: expected an end of a bin, where counts of pairs are exact, got {threshold}; count the pairs"
            " again there (counted_at)"
        )
    return _rates_at(pairs, score)


def estimated_rates(pairs: PairHistograms, target: Target) -> ClassRates:
    """Estimates of the rates at the threshold of a target, both within a bin: to compare trials with each other."""
    return _rates_at(
        pairs, pairs.score_at_far(target.share) if target.rate == "far" else pairs.score_at_frr(target.share)
    )


def _rates_at(pairs: Pairs, score: float) -> ClassRates:
    accepted, wrong = pairs.accepted([score])
    with np.errstate(invalid="ignore"):
        far, frr = wrong[:, 0] / pairs.negatives, 1 - accepted[:, 0] / pairs.positives
    threshold = threshold_of(score, pairs.measure)
    return ClassRates(threshold, pairs.names, far, frr, pairs.negatives, pairs.positives)


@dataclass(frozen=True)
class ThresholdChoice:
    """A threshold (a minimum similarity, or a maximum distance), its interval, and the rates of the classes at it.

    held_out: leave-one-class-out estimate of the target's rate: pooled over all classes, each at the threshold chosen
    without it. kept: whether the threshold keeps the target; if not, it is the strictest that scores tell apart, and
    no threshold does.
    """

    threshold: float
    interval: tuple[float, float]
    target: Target
    held_out: float
    rates: ClassRates
    kept: bool = True


def choose_threshold(pairs: PairHistograms, target: Target, *, level: float = 0.95) -> ThresholdChoice:
    """The most permissive threshold at which global FAR is at most the target, or the strictest at which FRR is.

    Of the ends of bins: the one on the safe side of the bin that the target falls into, which
    :func:`fingerpost.tasks.metric.recount.refined` makes as narrow as need be. level: confidence level of the interval.
    ValueError for fewer than two classes with such pairs, since no interval exists.
    """
    share, highest, counts = side(pairs, target)
    estimate = pairs.score_at_far(target.share) if target.rate == "far" else pairs.score_at_frr(target.share)
    having = np.flatnonzero(counts.any(axis=1))
    if len(having) < 2:
        raise ValueError(
            f"threshold: expected two classes with pairs for {target.rate}, got {len(having)}; provide more classes"
        )
    # A negative pair has two ends and is counted in the classes of both.
    whole = tails(counts.sum(axis=0)) / (2 if target.rate == "far" else 1)
    edges, kept = safe_edges(whole, share, highest=highest)
    score = float(pairs.edges[edges[0]])
    without, errors, total = [], 0.0, 0
    for own in class_tails(counts, having):
        scores = crossings(pairs.edges, whole - own, share, highest=highest)
        # With two classes no negative pair is left without one of them.
        known = ~np.isnan(scores)
        without.append(scores[known])
        safe, _ = safe_edges((whole - own)[known], share, highest=highest)
        accepted = own[known][np.arange(len(safe)), safe]
        errors += float((accepted if target.rate == "far" else own[known, 0] - accepted).sum())
        total += int(own[known, 0].sum())
    left = np.concatenate(without)
    if len(left) < 2:
        raise ValueError("threshold: expected three classes with pairs between them, got two; provide more classes")
    interval = score_interval(pairs, target.rate, target.share, estimate, left, level=level)
    ends = [threshold_of(end, pairs.measure) for end in (*interval, score)]
    threshold = threshold_of(score, pairs.measure)
    rates = class_rates(pairs, threshold)
    return ThresholdChoice(threshold, (min(ends), max(ends)), target, errors / total, rates, bool(kept[0]))


def side(pairs: PairHistograms, target: Target) -> tuple[float, bool, NDArray[np.int64]]:
    """The fraction of pairs accepted at the target, whether to take the highest such score, and the pairs' counts."""
    if target.rate == "far":
        return target.share, False, pairs.outside
    return 1 - target.share, True, pairs.inside


def class_tails(counts: NDArray[np.int64], classes: NDArray[np.int64]) -> Iterator[NDArray[np.float64]]:
    """Accepted pairs of ``classes`` at bin edges, in blocks float64 (at most CLASS_BLOCK, bins + 1)."""
    for begin in range(0, len(classes), CLASS_BLOCK):
        yield tails(counts[classes[begin : begin + CLASS_BLOCK]]).astype(np.float64)


@dataclass(frozen=True)
class Curve:
    """FAR and FRR along thresholds float64 (g,), from the most permissive to the strictest: (g,), or by class (c, g).

    FAR against FRR is the DET curve, FAR against 1 - FRR the ROC curve.
    """

    thresholds: NDArray[np.float64]
    far: NDArray[np.float64]
    frr: NDArray[np.float64]


def global_curve(pairs: PairHistograms) -> Curve:
    """The curve of all pairs at all bin edges; ValueError without positive or negative pairs."""
    wrong, accepted = tails(pairs.outside.sum(axis=0)), tails(pairs.inside.sum(axis=0))
    if wrong[0] == 0 or accepted[0] == 0:
        raise ValueError(
            "pairs: expected positive and negative pairs, got none; provide two classes with two rows each"
        )
    thresholds = np.array([threshold_of(edge, pairs.measure) for edge in pairs.edges])
    return Curve(thresholds, wrong / wrong[0], 1 - accepted / accepted[0])


def equal_error(pairs: PairHistograms) -> tuple[float, float]:
    """The threshold at which global FAR and FRR are closest to equal, and the equal error rate (EER): the higher one.

    Of the ends of bins, the one where the higher of the two rates is lowest.
    """
    curve = global_curve(pairs)
    higher = np.maximum(curve.far, curve.frr)[1:-1]
    best = int(np.argmin(higher))
    return float(curve.thresholds[1 + best]), float(higher[best])


def fnmr_at_fmr(pairs: PairHistograms, rates: Sequence[float]) -> list[float]:
    """Global FRR at the most permissive threshold, of the ends of bins, that keeps each global FAR.

    1 where only a threshold that nothing passes keeps it.
    """
    wrong, accepted = tails(pairs.outside.sum(axis=0)), tails(pairs.inside.sum(axis=0))
    out = []
    for rate in rates:
        edges, kept = safe_edges(wrong, rate)
        out.append(1 - float(accepted[edges[0]] / accepted[0]) if kept[0] else 1.0)
    return out
