"""One threshold for all classes at a wanted rate: what it is, how sure, and what each class gets by it.

FAR: share of negative pairs that are accepted; FRR: share of positive pairs that are rejected (FMR and FNMR of one
comparison each). Source: the article's "Measuring consistency" (rates that bound thresholds); algorithms.md 3.1.

Intervals over classes: tasks/metric/intervals.py.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from tasks.metric.crossing import crossings
from tasks.metric.intervals import score_interval
from tasks.metric.pairs import CLASS_BLOCK, PairHistograms, Pairs, tails
from tasks.metric.scores import score_of, threshold_of

Rate = Literal["far", "frr"]


@dataclass(frozen=True)
class Target:
    """The global rate that a threshold is to keep."""

    rate: Rate = "far"
    share: float = 0.01

    def __post_init__(self) -> None:
        if self.rate not in ("far", "frr") or not 0 <= self.share < 1:
            raise ValueError(
                f"target: expected far or frr and a share from 0 to below 1, got {self.rate!r} and {self.share};"
                " correct it"
            )


@dataclass(frozen=True)
class ClassRates:
    """What classes ``names`` (c,) get at one threshold: FAR and FRR float64 (c,), NaN without such pairs, and their pairs."""

    threshold: float
    names: NDArray[np.generic]
    far: NDArray[np.float64]
    frr: NDArray[np.float64]
    negatives: NDArray[np.int64]
    positives: NDArray[np.int64]

    @property
    def global_far(self) -> float:
        """Share of all negative pairs accepted."""
        return _pooled(self.far, self.negatives)

    @property
    def global_frr(self) -> float:
        """Share of all positive pairs rejected."""
        return _pooled(self.frr, self.positives)

    def worst(self, rate: Rate, count: int = 10) -> list[tuple[str, float]]:
        """Names and rates of the classes with the highest rate, the worst first, ties in the order of names."""
        values = self.far if rate == "far" else self.frr
        known = np.flatnonzero(~np.isnan(values))
        order = known[np.argsort(-values[known], kind="stable")][:count]
        return [(str(self.names[place]), float(values[place])) for place in order]


def _pooled(rates: NDArray[np.float64], pairs: NDArray[np.int64]) -> float:
    return float(np.nansum(rates * pairs) / pairs.sum()) if pairs.sum() else math.nan


def class_rates(pairs: Pairs, threshold: float) -> ClassRates:
    """FAR and FRR of each class at a threshold (a similarity, or a distance), of these classes or of others."""
    accepted, wrong = pairs.accepted([score_of(threshold, pairs.measure)])
    with np.errstate(invalid="ignore"):
        far, frr = wrong[:, 0] / pairs.negatives, 1 - accepted[:, 0] / pairs.positives
    return ClassRates(threshold, pairs.names, far, frr, pairs.negatives, pairs.positives)


@dataclass(frozen=True)
class ThresholdChoice:
    """A threshold as users know it (a least similarity, or a largest distance), its interval, and what comes of it.

    held_out: the target's rate over all classes, each at the threshold that the others chose without it: what classes not
    seen before are to expect.
    """

    threshold: float
    interval: tuple[float, float]
    target: Target
    held_out: float
    rates: ClassRates


def choose_threshold(pairs: PairHistograms, target: Target, *, level: float = 0.95) -> ThresholdChoice:
    """The most accepting threshold at which global FAR is at most the target, or the strictest at which FRR is.

    ValueError for fewer than two classes with such pairs, for which there is no interval.
    """
    share, highest, counts = side(pairs, target)
    score = pairs.score_at_far(target.share) if target.rate == "far" else pairs.score_at_frr(target.share)
    having = np.flatnonzero(counts.any(axis=1))
    if len(having) < 2:
        raise ValueError(f"threshold: expected two classes with pairs for {target.rate}, got {len(having)}; give more")
    # A negative pair has two ends and is counted in the classes of both.
    whole = tails(counts.sum(axis=0)) / (2 if target.rate == "far" else 1)
    without, got, pairs_of = [], 0.0, 0
    for own in class_tails(counts, having):
        scores = crossings(pairs.bins.edges, whole - own, share, highest=highest)
        # With two classes no negative pair is left without one of them.
        known = ~np.isnan(scores)
        without.append(scores[known])
        accepted = _at(own[known], pairs, scores[known])
        got += float((accepted if target.rate == "far" else own[known, 0] - accepted).sum())
        pairs_of += int(own[known, 0].sum())
    left = np.concatenate(without)
    if len(left) < 2:
        raise ValueError("threshold: expected three classes with pairs between them, got two; give more")
    interval = score_interval(pairs, target.rate, target.share, score, left, level=level)
    ends = [threshold_of(end, pairs.measure) for end in interval]
    threshold = threshold_of(score, pairs.measure)
    return ThresholdChoice(threshold, (min(ends), max(ends)), target, got / pairs_of, class_rates(pairs, threshold))


def side(pairs: PairHistograms, target: Target) -> tuple[float, bool, NDArray[np.int64]]:
    """The share of pairs that is accepted at the target, whether the highest such score is wanted, and the pairs."""
    if target.rate == "far":
        return target.share, False, pairs.outside
    return 1 - target.share, True, pairs.inside


def class_tails(counts: NDArray[np.int64], classes: NDArray[np.int64]) -> Iterator[NDArray[np.float64]]:
    """Accepted pairs at the ends of bins, float64 (at most CLASS_BLOCK, bins + 1) at a time."""
    for begin in range(0, len(classes), CLASS_BLOCK):
        yield tails(counts[classes[begin : begin + CLASS_BLOCK]]).astype(np.float64)


def _at(own: NDArray[np.float64], pairs: PairHistograms, scores: NDArray[np.float64]) -> NDArray[np.float64]:
    """Accepted pairs of each class at a score of its own, float64 (c,)."""
    place = np.clip((scores - pairs.bins.low) / pairs.bins.width, 0, pairs.bins.count)
    left = np.minimum(place.astype(np.int64), pairs.bins.count - 1)
    rows = np.arange(len(own))
    return own[rows, left] * (1 - (place - left)) + own[rows, left + 1] * (place - left)


@dataclass(frozen=True)
class Curve:
    """FAR and FRR along thresholds float64 (g,), from the most accepting to the strictest: (g,), or by class (c, g).

    FAR against FRR is the DET curve, FAR against 1 - FRR the ROC curve.
    """

    thresholds: NDArray[np.float64]
    far: NDArray[np.float64]
    frr: NDArray[np.float64]


def global_curve(pairs: PairHistograms) -> Curve:
    """The curve of all pairs at the ends of all bins."""
    wrong, accepted = tails(pairs.outside.sum(axis=0)), tails(pairs.inside.sum(axis=0))
    if wrong[0] == 0 or accepted[0] == 0:
        raise ValueError("pairs: expected some of either kind, got none; give classes of two rows and two classes")
    thresholds = np.array([threshold_of(edge, pairs.measure) for edge in pairs.bins.edges])
    return Curve(thresholds, wrong / wrong[0], 1 - accepted / accepted[0])


def equal_error(pairs: PairHistograms) -> tuple[float, float]:
    """The threshold at which global FAR equals FRR, and that rate."""
    curve = global_curve(pairs)
    gap = curve.far - curve.frr
    after = max(1, int(np.argmax(gap <= 0)))
    part = float(gap[after - 1] / (gap[after - 1] - gap[after])) if gap[after - 1] > gap[after] else 0.0
    part = min(max(part, 0.0), 1.0)

    def between(values: NDArray[np.float64]) -> float:
        return float(values[after - 1] + part * (values[after] - values[after - 1]))

    return between(curve.thresholds), between(curve.far)


def fnmr_at_fmr(pairs: Pairs, rates: Sequence[float]) -> list[float]:
    """Global FRR at the most accepting threshold of each global FAR."""
    accepted, _ = pairs.accepted([pairs.score_at_far(rate) for rate in rates])
    return [float(share) for share in 1 - accepted.sum(axis=0) / pairs.positives.sum()]
