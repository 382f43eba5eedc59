"""Confidence interval for a threshold by inverting a t test on the log rate.

The interval holds all thresholds at which the logarithm of the pooled rate does not differ significantly from the
target's (Student's t). Variance: delete-one-class jackknife, a class being left out with all pairs that have an end in
it. Degrees of freedom: Satterthwaite (1946), classes weighted by their pairs. For FAR the jackknife double-counts the
pairwise component (Efron and Stein 1981); it is estimated from sampled class pairs and subtracted once. Where the
target amounts to too few class pairs for that, the interval is the plain jackknife interval, and an interval for FRR is
never narrower than it.

Simulated coverage: tests/bench/RESULTS.md, "Intervals of thresholds, simulated".
"""

import math

import numpy as np
from numpy.typing import NDArray

from fingerpost.tasks.metric.class_pairs import ClassPairs
from fingerpost.tasks.metric.pairs import CLASS_BLOCK, PairHistograms, tails

#: Minimum number of class pairs that the target rate amounts to, for the pairwise component to be subtracted.
MIN_CLASS_PAIRS = 4
#: Minimum fraction of the variance that remains: independent class pairs are counted exactly twice.
MIN_VARIANCE_LEFT = 0.5


class _Sums:
    """Sums over classes of w, w² and w·m at each edge, float64 (g,), and of m²; w: wrong pairs, m: all pairs.

    accepted: whether accepted pairs are the wrong ones (FAR) or rejected pairs (FRR).
    """

    def __init__(self, counts: NDArray[np.int64], *, accepted: bool) -> None:
        edges = counts.shape[1] + 1
        self.wrong, self.squares, self.mixed = np.zeros(edges), np.zeros(edges), np.zeros(edges)
        weights = counts.sum(axis=1).astype(np.float64)
        for begin in range(0, len(counts), CLASS_BLOCK):
            m = weights[begin : begin + CLASS_BLOCK, None]
            above = tails(counts[begin : begin + CLASS_BLOCK]).astype(np.float64)
            w = above if accepted else m - above
            self.wrong += w.sum(axis=0)
            self.squares += (w**2).sum(axis=0)
            self.mixed += (w * m).sum(axis=0)
        self.classes, self.total, self.weight = len(counts), float(weights.sum()), float((weights**2).sum())
        self.freedom = max(self.weight**2 / float((weights**4).sum()) - 1, 1.0)


def score_interval(
    pairs: PairHistograms, rate: str, share: float, score: float, without: NDArray[np.float64], *, level: float = 0.95
) -> tuple[float, float]:
    """The lowest and highest score around ``score`` whose pooled FAR or FRR does not differ from ``share`` at a level.

    without: the delete-one-class estimates of the score, float64 (c,), for the plain jackknife interval. That is the
    result for a FAR that amounts to fewer than ``MIN_CLASS_PAIRS`` class pairs, and the minimum width for FRR. An FRR
    of 0 counts as half a pair. ValueError for a level outside 0 to 1.
    """
    half = half_width(without, level)
    # Similarities lie within -1 to 1; distances are not below 0.
    lowest, highest = (-1.0, 1.0) if pairs.measure == "cosine" else (-math.inf, 0.0)
    plain = max(score - half, lowest), min(score + half, highest)
    far, edges = rate == "far", pairs.edges
    counts = pairs.outside if far else pairs.inside
    sums = _Sums(counts[counts.any(axis=1)], accepted=far)
    if far and share * sums.classes * (sums.classes - 1) / 2 < MIN_CLASS_PAIRS:
        return plain
    left = 1 - twice_counted(pairs, share, score) if far else 1.0
    # A negative pair has two ends and is counted in the classes of both.
    ends = 2 if far else 1
    away = np.abs(_deviation(sums, max(share, 0.5 / sums.total), ends, left)) / _student(sums.freedom, level)
    after = int(np.clip(np.searchsorted(edges, score), 1, len(edges) - 1))
    low = _outwards(edges, away, range(after - 1, -1, -1), score)
    high = _outwards(edges, away, range(after, len(edges)), score)
    return (low, high) if far else (min(low, plain[0]), max(high, plain[1]))


def half_width(without: NDArray[np.float64], level: float) -> float:
    """Half the width of the jackknife interval (Student's t) from delete-one estimates (c,).

    ValueError for a level outside 0 to 1.
    """
    if not 0 < level < 1:
        raise ValueError(f"level: expected a probability between 0 and 1, got {level}; use 0.95")
    count = len(without)
    error = math.sqrt((count - 1) / count * float(((without - without.mean()) ** 2).sum()))
    return _student(count - 1, level) * error


def _student(freedom: float, level: float) -> float:
    # Loading it takes a tenth of a program's start, and every flow loads this module.
    from scipy.special import stdtrit

    return float(stdtrit(freedom, (1 + level) / 2))


def _outwards(edges: NDArray[np.float64], away: NDArray[np.float64], indices: range, score: float) -> float:
    """The score at which the deviation first exceeds 1, searching edges outwards from ``score``; else the last edge."""
    at, before = score, 0.0
    for index in indices:
        if not away[index] <= 1:
            # An infinite deviation cannot be interpolated: the crossing is at the edge itself.
            part = (1 - before) / (away[index] - before) if np.isfinite(away[index]) else 1.0
            return float(at + part * (edges[index] - at))
        at, before = float(edges[index]), float(away[index])
    return at


def _deviation(sums: _Sums, share: float, ends: int, left: float) -> NDArray[np.float64]:
    """Standard errors between the log rate and the log target at each edge, float64 (g,); infinite for a rate of 0."""
    rate = sums.wrong / sums.total
    spread = np.maximum(sums.squares - 2 * rate * sums.mixed + rate**2 * sums.weight, 0)
    error = ends * np.sqrt(spread * sums.classes / (sums.classes - 1) * left) / sums.total
    with np.errstate(divide="ignore", invalid="ignore"):
        errors_away = np.log(rate / share) * rate / error
    return np.where(np.isnan(errors_away), np.where(np.isclose(rate, share), 0.0, math.inf), errors_away)


def twice_counted(pairs: PairHistograms, share: float, score: float) -> float:
    """The fraction of the jackknife variance at a score that is the pairwise component, which it counts twice."""
    sample: ClassPairs | None = pairs.between
    if sample is None:
        return 0.0
    accepted, negatives = pairs.accepted([score])[1][:, 0], pairs.negatives
    whole = float(((accepted - share * negatives) ** 2).sum())
    count = int((negatives > 0).sum())
    own = sample.squares(pairs.bins, share, score) * count * (count - 1) / 2
    return min(own / whole, 1 - MIN_VARIANCE_LEFT) if whole > 0 else 0.0
