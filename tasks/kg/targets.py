"""Thresholds of a probability for targets: the best F1, a precision, a number of matches, a false acceptance rate (FAR).

Chosen on judged pairs (tasks/kg/judged.py), each with its interval: that of the precision after Wilson (1927), that of the
threshold by drawing entities again (Efron 1979); that of a FAR is the metric domain's, over entities as classes.
"""

import math
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

from fingerpost.tasks.kg.calibration import fit_line, log_odds_of, probabilities_of
from fingerpost.tasks.kg.judged import Judged, SameEntities
from fingerpost.tasks.kg.lookups import spread
from fingerpost.tasks.metric.pairs import PairHistograms
from fingerpost.tasks.metric.scores import ScoreBins
from fingerpost.tasks.metric.thresholds import Target as RateTarget
from fingerpost.tasks.metric.thresholds import choose_threshold

Name = Literal["f1", "precision", "accepted", "far"]
#: A threshold lies this far below the lowest pair that it accepts where there is none below.
_BELOW = 1e-3
#: Bins of scores for a FAR, and the most classes whose pairs are counted.
_BINS, _CLASSES = 2048, 4096


@dataclass(frozen=True)
class AlignmentTarget:
    """What a threshold is to keep.

    name: what the threshold is chosen for: f1, the highest F1; precision, at least ``value``; accepted, at most
        ``value`` matches; far, at most a fraction ``value`` of all pairs of two entities accepted.
    value: the value that ``name`` is about; 0 for f1.
    """

    name: Name = "f1"
    value: float = 0.0

    def __post_init__(self) -> None:
        allowed = {
            "f1": self.value == 0,
            "precision": 0 < self.value <= 1,
            "accepted": self.value >= 1,
            "far": 0 <= self.value < 1,
        }
        if not allowed.get(self.name, False):
            raise ValueError(
                "target: expected f1 with 0, precision above 0 to 1, accepted from 1 on, or far from 0 to below 1, got"
                f" {self.name!r} with {self.value}; correct it"
            )


@dataclass(frozen=True)
class AlignmentThreshold:
    """A threshold, a probability, with its interval, and what it means for the pairs that it was chosen on.

    population: of these pairs. accepted: those accepted. precision, recall: of them; a precision of 1 if none is accepted.
    precision_low, precision_high: its interval. kept: whether the target is kept; if not, no threshold keeps it, and it is
    that of the most probable pair.
    """

    target: AlignmentTarget
    population: str
    threshold: float
    low: float
    high: float
    accepted: int
    precision: float
    precision_low: float
    precision_high: float
    recall: float
    kept: bool


@dataclass(frozen=True)
class IntervalParams:
    """Parameters of confidence intervals.

    level: confidence level of intervals.
    resamples: number of resamples of entities for intervals of thresholds.
    seed: seed of the resamples.
    """

    level: float = 0.95
    resamples: int = 200
    seed: int = 0

    def __post_init__(self) -> None:
        if not 0 < self.level < 1 or self.resamples < 1:
            raise ValueError(
                f"intervals: expected a level between 0 and 1 and resamples of at least 1, got {self.level} and"
                f" {self.resamples}; correct them"
            )


def wilson(matches: float, count: float, level: float) -> tuple[float, float]:
    """The interval of a share: matches of count; 0 to 1 without any. Source: Wilson, JASA 22 (1927)."""
    if count <= 0:
        return 0.0, 1.0
    z, share = float(ndtri((1 + level) / 2)), matches / count
    centre, spread = share + z**2 / (2 * count), z * math.sqrt(share * (1 - share) / count + z**2 / (4 * count**2))
    low, high = ((centre + sign * spread) / (1 + z**2 / count) for sign in (-1, 1))
    # Rounding may leave the share itself outside where it is 0 or 1.
    return max(min(low, share), 0.0), min(max(high, share), 1.0)


def at_threshold(judged: Judged, threshold: float, *, level: float) -> dict[str, float]:
    """accepted, precision with its interval, recall and f1 of accepting the pairs of at least these log odds."""
    over = judged.pairs.scores >= threshold
    matches, count = float(judged.truth[over].sum()), int(over.sum())
    every = float(judged.truth.sum()) + judged.missed
    low, high = wilson(matches, count, level)
    return {
        "accepted": count,
        "precision": matches / count if count else 1.0,
        "precision_low": low,
        "precision_high": high,
        "recall": matches / every if every else 0.0,
        "f1": 2 * matches / (count + every) if count + every else 0.0,
    }


def chosen_threshold(judged: Judged, target: AlignmentTarget, params: IntervalParams) -> AlignmentThreshold:
    """The threshold of a target but accepted: that of the best expected F1, or the lowest one that keeps another target.

    The scores of the pairs are calibrated log odds. The rate of a FAR is that of all pairs (`far_threshold` has its
    interval). Where there is no pair, a probability of one half is that of neither accepting nor refusing too much.
    """
    if not len(judged.truth):
        return _measured(judged, target, (0.0, -math.inf, math.inf), kept=True, params=params)
    # The order of the pairs must change neither what is drawn nor the last bits of a sum.
    order = np.lexsort((judged.pairs.right, judged.pairs.left))
    judged = replace(judged, pairs=judged.pairs.where(order), truth=judged.truth[order], decided=judged.decided[order])
    found, kept = _chosen(judged, target)
    low, high = _resampled(judged, target, params)
    ends = min(low, found), max(high, found)
    return _measured(judged, target, (found, *ends), kept=bool(kept), params=params)


def accepted_threshold(judged: Judged, target: AlignmentTarget, decided: NDArray[np.float64]) -> AlignmentThreshold:
    """The highest threshold that ``target.value`` of the ``decided`` pairs, given by their log odds, pass, or all if fewer.

    More may pass where scores are equal: decisions take no more of them. No sample is involved, so the interval is the
    threshold.
    """
    scores = np.unique(decided)[::-1]
    if not len(scores):
        return _measured(judged, target, (0.0, 0.0, 0.0), kept=True, params=IntervalParams())
    counts = len(decided) - np.searchsorted(np.sort(decided), scores)
    place = min(int(np.searchsorted(counts, target.value)), len(scores) - 1)
    found = _between(scores, place)
    return _measured(judged, target, (found, found, found), kept=True, params=IntervalParams())


def far_threshold(
    judged: Judged, same: SameEntities, target: AlignmentTarget, params: IntervalParams
) -> AlignmentThreshold:
    """The threshold of a FAR, by the metric domain's, over entities as classes.

    same: which entities are one. ValueError for fewer than three classes with pairs of two entities.
    """
    values, place = np.unique(judged.pairs.scores, return_inverse=True)
    ends = np.stack(same.classes(judged.pairs.left, judged.pairs.right))
    names, numbers = np.unique(ends, return_inverse=True)
    # Of very many entities some are left out together: a jackknife of groups.
    numbers, names = numbers.reshape(ends.shape) % _CLASSES, names[:_CLASSES]
    count = _BINS
    # Bins of about as many distinct scores each: counts at their ends are exact, wherever the scores crowd.
    bins = place * count // max(len(values), 1)
    inside, outside = (np.zeros((len(names), count), dtype=np.int64) for _ in range(2))
    is_match = judged.truth == 1
    np.add.at(inside, (numbers[0][is_match], bins[is_match]), 1)
    for end in numbers:
        np.add.at(outside, (end[~is_match], bins[~is_match]), 1)
    pairs = PairHistograms(ScoreBins.cosine(count), names, inside, outside)
    choice = choose_threshold(pairs, RateTarget("far", target.value), level=params.level)
    of_bin = np.arange(len(values)) * count // max(len(values), 1)
    found = []
    for edge in (choice.threshold, *choice.interval):
        first = int(np.searchsorted(of_bin, math.ceil((edge + 1) / 2 * count - 1e-9)))
        found.append(
            _between(values[::-1], len(values) - 1 - first) if first < len(values) else float(values[-1]) + _BELOW
        )
    return _measured(judged, target, (found[0], min(found), max(found)), kept=choice.kept, params=params)


def _measured(
    judged: Judged, target: AlignmentTarget, ends: tuple[float, float, float], *, kept: bool, params: IntervalParams
) -> AlignmentThreshold:
    threshold, low, high = (float(value) for value in probabilities_of(np.array(ends)))
    figures = at_threshold(judged, ends[0], level=params.level)
    return AlignmentThreshold(
        target,
        judged.population,
        threshold,
        low,
        high,
        int(figures["accepted"]),
        figures["precision"],
        figures["precision_low"],
        figures["precision_high"],
        figures["recall"],
        kept,
    )


def _cumulative(
    judged: Judged,
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """The distinct scores, descending, with the matches and the pairs that have at least each."""
    order = np.argsort(-judged.pairs.scores, kind="stable")
    scores = judged.pairs.scores[order]
    last = np.append(np.diff(scores) != 0, True)
    return scores[last], np.cumsum(judged.truth[order])[last], (np.flatnonzero(last) + 1).astype(np.float64)


def expected_f1_threshold(judged: Judged) -> float:
    """The score of the highest F1 that is expected where log odds of a match are a line of the scores.

    The best threshold is where the probability is half of the best F1 (Lipton et al., Optimal thresholding of classifiers to
    maximize F1, ECML 2014). Unlike the best threshold of the pairs themselves it does not hang on single ones, of which there
    may be few near it. Where all pairs have one label the line is the calibration's own, as scores are calibrated log odds;
    where scores say nothing, the threshold is the best one of the pairs themselves.
    """
    scores, (slope, offset) = judged.pairs.scores, _curve(judged)
    probabilities = np.sort(probabilities_of(slope * scores + offset))[::-1]
    counts = np.arange(1, len(scores) + 1)
    best = float(np.max(2 * np.cumsum(probabilities) / (counts + probabilities.sum() + judged.missed)))
    if slope <= 0:
        scores, matches, some = _cumulative(judged)
        every = float(judged.truth.sum()) + judged.missed
        return _between(scores, int(np.argmax(2 * matches / np.maximum(some + every, 1e-300))))
    threshold = (float(log_odds_of(best / 2)) - offset) / slope
    # Pairs of one label say nothing of where those of the other begin.
    return float(np.clip(threshold, scores.min() - _BELOW, scores.max() + _BELOW)) if judged.usable else threshold


def _curve(judged: Judged) -> tuple[float, float]:
    """Slope and offset of the log odds of a match."""
    if judged.population == "estimated" or not judged.usable:
        return 1.0, 0.0
    slope, _, offset = fit_line(judged.pairs.scores, judged.truth).tensors["coefficients"].tolist()
    return slope, offset


def _chosen(judged: Judged, target: AlignmentTarget) -> tuple[float, bool]:
    """The score of a target, and whether it is kept."""
    scores, matches, counts = _cumulative(judged)
    if target.name == "f1":
        return expected_f1_threshold(judged), True
    best, kept = _place(matches, counts, target)
    return _between(scores, best), kept


def _place(matches: NDArray[np.float64], counts: NDArray[np.float64], target: AlignmentTarget) -> tuple[int, bool]:
    """The place of the lowest score accepted, and whether the target is kept."""
    if target.name == "far":
        wrong = counts - matches
        kept = wrong <= target.value * wrong[-1] * (1 + 1e-12)
    else:
        kept = (counts > 0) & (matches >= target.value * counts * (1 - 1e-12))
    return (int(np.flatnonzero(kept)[-1]), True) if kept.any() else (0, False)


def _between(scores: NDArray[np.float64], place: int) -> float:
    """Log odds halfway between a score and the next lower one."""
    return float((scores[place] + scores[place + 1]) / 2 if place + 1 < len(scores) else scores[place] - _BELOW)


def _resampled(judged: Judged, target: AlignmentTarget, params: IntervalParams) -> tuple[float, float]:
    """The interval of a threshold in log odds, by drawing left entities with replacement, with all of their pairs."""
    if judged.population == "estimated":
        # Without labels nothing is known of how far it may be off.
        return -math.inf, math.inf
    _, entity = np.unique(judged.pairs.left, return_inverse=True)
    random, found = np.random.default_rng(params.seed), []
    count = int(entity.max()) + 1
    order = np.argsort(entity, kind="stable")
    begins = np.searchsorted(entity[order], np.arange(count + 1))
    for _ in range(params.resamples):
        drawn = random.integers(0, count, count)
        sizes = begins[drawn + 1] - begins[drawn]
        rows = order[spread(begins[drawn], sizes)]
        some = Judged(
            judged.population, judged.pairs.where(rows), judged.truth[rows], judged.missed, judged.decided[rows]
        )
        found.append(_chosen(some, target)[0])
    low, high = np.quantile(found, [(1 - params.level) / 2, (1 + params.level) / 2])
    return float(low), float(high)
