"""How sure a threshold is that keeps a rate over classes: all thresholds whose rate cannot be told from the target.

At each threshold the logarithm of the pooled rate is compared with the target's by Student's t. Its variance is that of classes
left out one by one, with all pairs that have an end in them; its degrees of freedom are those of classes that weigh by their
pairs (Satterthwaite 1946). For FAR that variance counts twice what single pairs of classes differ by (Efron and Stein 1981), which
pairs of drawn classes tell: it is taken off once. Where too few pairs of classes would make up the share for that, the interval is the
plain jackknife's; one for FRR is never narrower than that.

Simulated: 200 sets of classes of three kinds (alike, of uneven sizes and spreads, tight), FAR 1 and 5 %, FRR 3 and 10 %, level 95 %; how often
the threshold of 1,500 classes was held, and by the plain jackknife. FAR, 20 to 60 classes, where something is taken off: 91 to
98 % (98 to 100 %) at 0.68 to 0.74 times the width. FRR, 20 to 60 classes: 85 to 98 % (73 to 91 %), at 1.1 to 1.8 times the
width; least where sizes are uneven or 3 % of few pairs decide. FRR, 3 to 10 classes: 74 to 96 % (71 to 89 %): still too narrow.
FAR, 3 to 10 classes: the jackknife, 80 to 99 %.
"""

import math

import numpy as np
from numpy.typing import NDArray

from tasks.metric.class_pairs import ClassPairs
from tasks.metric.pairs import CLASS_BLOCK, PairHistograms, tails

#: Pairs of classes that a target's share must be of all pairs of classes, for their part of the variance to be taken off.
FEWEST_ACCEPTED = 4
#: Of a variance at least this share is left: pairs of classes that differ independently are counted exactly twice.
LEAST_LEFT = 0.5


class _Sums:
    """Sums over classes of wrong pairs w at each edge (g,) and of all pairs m: of w, w squared, w times m, and of m squared."""

    def __init__(self, counts: NDArray[np.int64], *, accepted: bool) -> None:
        edges = counts.shape[1] + 1
        self.wrong, self.squares, self.mixed = np.zeros(edges), np.zeros(edges), np.zeros(edges)
        weights = counts.sum(axis=1).astype(np.float64)
        for begin in range(0, len(counts), CLASS_BLOCK):
            m = weights[begin : begin + CLASS_BLOCK, None]
            found = tails(counts[begin : begin + CLASS_BLOCK]).astype(np.float64)
            w = found if accepted else m - found
            self.wrong += w.sum(axis=0)
            self.squares += (w**2).sum(axis=0)
            self.mixed += (w * m).sum(axis=0)
        self.classes, self.total, self.weight = len(counts), float(weights.sum()), float((weights**2).sum())
        self.freedom = max(self.weight**2 / float((weights**4).sum()) - 1, 1.0)


def score_interval(
    pairs: PairHistograms, rate: str, share: float, score: float, without: NDArray[np.float64], *, level: float = 0.95
) -> tuple[float, float]:
    """The lowest and the highest score around ``score`` whose pooled FAR or FRR is not told from ``share`` at a level.

    without (c,): the scores that keep the share without one class each, for the plain jackknife interval. It is the interval for a FAR
    that so few pairs of classes would make that they tell little, and an interval for FRR is never narrower. An FRR of 0 counts as
    half a pair. ValueError for a level outside 0 to 1.
    """
    half = half_width(without, level)
    # No similarity is beyond -1 to 1 and no distance below 0.
    lowest, highest = (-1.0, 1.0) if pairs.measure == "cosine" else (-math.inf, 0.0)
    plain = max(score - half, lowest), min(score + half, highest)
    far, edges = rate == "far", pairs.bins.edges
    counts = pairs.outside if far else pairs.inside
    sums = _Sums(counts[counts.any(axis=1)], accepted=far)
    if far and share * sums.classes * (sums.classes - 1) / 2 < FEWEST_ACCEPTED:
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
    """Half the jackknife interval (Student's t) from the estimates that leave one out each."""
    if not 0 < level < 1:
        raise ValueError(f"level: expected a share between 0 and 1, got {level}; take 0.95")
    count = len(without)
    error = math.sqrt((count - 1) / count * float(((without - without.mean()) ** 2).sum()))
    return _student(count - 1, level) * error


def _student(freedom: float, level: float) -> float:
    # Loading it takes a tenth of a program's start, and every flow loads this module.
    from scipy.special import stdtrit

    return float(stdtrit(freedom, (1 + level) / 2))


def _outwards(edges: NDArray[np.float64], away: NDArray[np.float64], places: range, score: float) -> float:
    """The score at which the deviation first exceeds 1, looking along places away from ``score``; the last place if it never does."""
    at, before = score, 0.0
    for place in places:
        if not away[place] <= 1:
            # What is infinitely far lies beyond this place at once.
            part = (1 - before) / (away[place] - before) if np.isfinite(away[place]) else 1.0
            return float(at + part * (edges[place] - at))
        at, before = float(edges[place]), float(away[place])
    return at


def _deviation(sums: _Sums, share: float, ends: int, left: float) -> NDArray[np.float64]:
    """How many standard errors the logarithm of the rate is from the target's at each edge (g,), infinite where there is no rate."""
    rate = sums.wrong / sums.total
    spread = np.maximum(sums.squares - 2 * rate * sums.mixed + rate**2 * sums.weight, 0)
    error = ends * np.sqrt(spread * sums.classes / (sums.classes - 1) * left) / sums.total
    with np.errstate(divide="ignore", invalid="ignore"):
        found = np.log(rate / share) * rate / error
    return np.where(np.isnan(found), np.where(np.isclose(rate, share), 0.0, math.inf), found)


def twice_counted(pairs: PairHistograms, share: float, score: float) -> float:
    """The part of the variance over classes at a score that single pairs of classes make, and that is therefore in it twice."""
    drawn: ClassPairs | None = pairs.between
    if drawn is None:
        return 0.0
    accepted, negatives = pairs.accepted([score])[1][:, 0], pairs.negatives
    whole = float(((accepted - share * negatives) ** 2).sum())
    count = int((negatives > 0).sum())
    own = drawn.squares(pairs.bins, share, score) * count * (count - 1) / 2
    return min(own / whole, 1 - LEAST_LEFT) if whole > 0 else 0.0
