"""One threshold for all classes at a wanted rate: what it is, how sure, and what each class gets by it.

FAR: share of negative pairs that are accepted; FRR: share of positive pairs that are rejected (FMR and FNMR of one
comparison each). Source: the article's "Measuring consistency" (rates that bound thresholds); algorithms.md 3.1.

Intervals are jackknife intervals over classes: a class is left out with all pairs that have an end in it. For FAR they are
cautious, by up to 1.4 times where pairs of classes differ more than classes do (Efron and Stein 1981); for FRR, where few
wide classes decide, they hold the true threshold somewhat less often than they say (simulated: 89 to 91 % at a level of 95 %).
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tasks.metric.crossing import crossings
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
                f"target: expected far or frr and a share from 0 to below 1, got {self.rate!r} and {self.share}; correct it"
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
    share, highest, counts = _side(pairs, target)
    score = pairs.score_at_far(target.share) if target.rate == "far" else pairs.score_at_frr(target.share)
    having = np.flatnonzero(counts.any(axis=1))
    if len(having) < 2:
        raise ValueError(f"threshold: expected two classes with pairs for {target.rate}, got {len(having)}; give more")
    # A negative pair has two ends and is counted in the classes of both.
    whole = tails(counts.sum(axis=0)) / (2 if target.rate == "far" else 1)
    without, got, pairs_of = [], 0.0, 0
    for own in _class_tails(counts, having):
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
    half = _half_width(left, level)
    # No similarity is beyond -1 to 1 and no distance below 0.
    lowest, highest_score = (-1.0, 1.0) if pairs.measure == "cosine" else (-math.inf, 0.0)
    within = (max(score - half, lowest), min(score + half, highest_score))
    ends = [threshold_of(end, pairs.measure) for end in within]
    threshold = threshold_of(score, pairs.measure)
    return ThresholdChoice(threshold, (min(ends), max(ends)), target, got / pairs_of, class_rates(pairs, threshold))


def _side(pairs: PairHistograms, target: Target) -> tuple[float, bool, NDArray[np.int64]]:
    """The share of pairs that is accepted at the target, whether the highest such score is wanted, and the pairs."""
    if target.rate == "far":
        return target.share, False, pairs.outside
    return 1 - target.share, True, pairs.inside


def _class_tails(counts: NDArray[np.int64], classes: NDArray[np.int64]) -> Iterator[NDArray[np.float64]]:
    """Accepted pairs at the ends of bins, float64 (at most CLASS_BLOCK, bins + 1) at a time."""
    for begin in range(0, len(classes), CLASS_BLOCK):
        yield tails(counts[classes[begin : begin + CLASS_BLOCK]]).astype(np.float64)


def _at(own: NDArray[np.float64], pairs: PairHistograms, scores: NDArray[np.float64]) -> NDArray[np.float64]:
    """Accepted pairs of each class at a score of its own, float64 (c,)."""
    place = np.clip((scores - pairs.bins.low) / pairs.bins.width, 0, pairs.bins.count)
    left = np.minimum(place.astype(np.int64), pairs.bins.count - 1)
    rows = np.arange(len(own))
    return own[rows, left] * (1 - (place - left)) + own[rows, left + 1] * (place - left)


def _half_width(without: NDArray[np.float64], level: float) -> float:
    """Half the jackknife interval (Student's t) from the estimates that leave one out each."""
    if not 0 < level < 1:
        raise ValueError(f"level: expected a share between 0 and 1, got {level}; take 0.95")
    count = len(without)
    error = math.sqrt((count - 1) / count * float(((without - without.mean()) ** 2).sum()))
    # Loading it takes a tenth of a program's start, and every flow loads this module.
    from scipy.special import stdtrit

    return float(stdtrit(count - 1, (1 + level) / 2)) * error


@dataclass(frozen=True)
class GroupThreshold:
    """What a group of classes needs for itself.

    rate: the target's rate over the group at the global threshold. worth: the interval of the group's own threshold, at a
    level shared out over all groups, does not hold the global one. The negatives of a group are those of its classes.
    """

    name: str
    classes: int
    threshold: float
    interval: tuple[float, float]
    rate: float
    worth: bool


@dataclass(frozen=True)
class GroupThresholds:
    """Thresholds by group, in the order of names, and groups left without one for having too few classes."""

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
    """Thresholds for groups (c,) of the classes at the target of a global one, and whether they differ from it."""
    labels = np.asarray(groups)
    if labels.shape != (len(pairs.names),) or least_classes < 2:
        raise ValueError(
            f"groups: expected one for each of {len(pairs.names)} classes and least_classes of at least 2, got shape "
            f"{labels.shape} and {least_classes}; correct them"
        )
    _, _, counts = _side(pairs, choice.target)
    having = counts.any(axis=1)
    members = {str(name): np.flatnonzero(having & (labels == name)) for name in np.unique(labels)}
    small = [(name, len(own)) for name, own in members.items() if len(own) < least_classes]
    large = {name: own for name, own in members.items() if len(own) >= least_classes}
    shared = 1 - (1 - level) / max(1, len(large))
    found = [_group(pairs, name, own, choice, shared) for name, own in large.items()]
    return GroupThresholds(found, small)


def _group(
    pairs: PairHistograms, name: str, members: NDArray[np.int64], choice: ThresholdChoice, level: float
) -> GroupThreshold:
    share, highest, counts = _side(pairs, choice.target)
    whole = tails(counts[members].sum(axis=0)).astype(np.float64)
    score = float(crossings(pairs.bins.edges, whole, share, highest=highest)[0])
    without = np.concatenate(
        [crossings(pairs.bins.edges, whole - own, share, highest=highest) for own in _class_tails(counts, members)]
    )
    half = _half_width(without, level)
    low, high = sorted(threshold_of(end, pairs.measure) for end in (score - half, score + half))
    at_global = np.array([score_of(choice.threshold, pairs.measure)])
    accepted = float(_at(whole[None], pairs, at_global)[0] / whole[0])
    rate = accepted if choice.target.rate == "far" else 1 - accepted
    worth = not low <= choice.threshold <= high
    return GroupThreshold(name, len(members), threshold_of(score, pairs.measure), (low, high), rate, worth)


@dataclass(frozen=True)
class Curve:
    """FAR and FRR along thresholds float64 (g,), from the most accepting to the strictest: (g,), or by class (c, g).

    FAR against FRR is the DET curve, FAR against 1 - FRR the ROC curve.
    """

    thresholds: NDArray[np.float64]
    far: NDArray[np.float64]
    frr: NDArray[np.float64]


def class_curves(pairs: Pairs, scores: ArrayLike) -> Curve:
    """The curves of each class at ascending scores (g,); NaN without such pairs."""
    wanted = np.asarray(scores, dtype=np.float64)
    accepted, wrong = pairs.accepted(wanted)
    with np.errstate(invalid="ignore"):
        far, frr = wrong / pairs.negatives[:, None], 1 - accepted / pairs.positives[:, None]
    return Curve(np.array([threshold_of(score, pairs.measure) for score in wanted]), far, frr)


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
