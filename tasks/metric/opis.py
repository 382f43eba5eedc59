"""The operating-point-inconsistency score: how differently one threshold works for different classes.

Source: Zhang et al., Threshold-consistent margin loss, ICLR 2024; the article's "Measuring consistency"; algorithms.md 3.1 (the variance across classes at each
threshold is a reading of the paper; the article's wording, deviation from the average over the whole range, is ``range``).
"""

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from tasks.metric.pairs import Pairs
from tasks.metric.scores import Measure, score_of, threshold_of

#: Resampled sets of classes whose weights are held at a time.
DRAW_BLOCK = 100


@dataclass(frozen=True)
class CalibrationRange:
    """The thresholds that count: given as such, or as those of a global false-accept or false-reject rate.

    ``low`` and ``high``: thresholds as users know them (similarities, or distances), or rates of 0 to 1.
    """

    low: float = 0.01
    high: float = 0.1
    bounds: Literal["far", "frr", "thresholds"] = "far"

    def __post_init__(self) -> None:
        if self.bounds not in ("far", "frr", "thresholds"):
            raise ValueError(f"calibration range: expected far, frr or thresholds, got {self.bounds!r}; choose one")
        rates = self.bounds != "thresholds"
        if (
            not self.low < self.high
            or not math.isfinite(self.high - self.low)
            or (rates and not 0 <= self.low < self.high <= 1)
        ):
            raise ValueError(
                f"calibration range: expected low below high{' and rates of 0 to 1' if rates else ''}, got {self.low}"
                f" and {self.high}; correct them"
            )

    def scores(self, pairs: Pairs) -> tuple[float, float]:
        """The lowest and the highest score of the range, the rates being those of ``pairs``."""
        if self.bounds == "thresholds":
            ends = [score_of(self.low, pairs.measure), score_of(self.high, pairs.measure)]
        else:
            at = pairs.score_at_far if self.bounds == "far" else pairs.score_at_frr
            ends = [at(self.low), at(self.high)]
        low, high = sorted(ends)
        if low == high:
            raise ValueError(
                f"calibration range: expected different thresholds at {self.bounds} {self.low} and {self.high}, found "
                f"{threshold_of(low, pairs.measure)} for both; widen it"
            )
        return low, high

    def fixed(self, pairs: Pairs) -> "CalibrationRange":
        """The same range as thresholds, to be used on other classes than those whose rates these are."""
        low, high = sorted(threshold_of(score, pairs.measure) for score in self.scores(pairs))
        return CalibrationRange(low, high, "thresholds")


@dataclass(frozen=True)
class OpisParams:
    """How OPIS is computed.

    weight: c of the utility (1 + c²)·φψ / (c²·φ + ψ), φ the share of a class's positive pairs that are accepted and ψ the
    share of its negative pairs that are rejected; 1 is their harmonic mean, a larger c weighs ψ more, a smaller one φ. steps: equally spaced
    thresholds, both ends included. worst: share of classes with the lowest mean utility that ε-OPIS sets apart.
    least_pairs: classes with fewer positive or negative pairs are reported, and count in nothing else. around: utilities are
    compared with the mean over classes at each ``threshold``, or with the mean over classes and the whole ``range``.
    draws: resampled sets of classes for the intervals of ``level`` (0: none).
    """

    weight: float = 1.0
    steps: int = 101
    worst: float = 0.1
    least_pairs: int = 1
    around: Literal["threshold", "range"] = "threshold"
    draws: int = 1000
    level: float = 0.95
    seed: int = 0

    def __post_init__(self) -> None:
        if (
            not (self.weight > 0 and math.isfinite(self.weight))
            or self.steps < 2
            or self.least_pairs < 1
            or self.draws < 0
        ):
            raise ValueError(
                "OPIS: expected a weight above 0, at least 2 steps, least_pairs of at least 1 and draws of at least 0,"
                f" got {self.weight}, {self.steps}, {self.least_pairs}, {self.draws}; correct them"
            )
        if not (0 < self.worst < 1 and 0 < self.level < 1) or self.around not in ("threshold", "range"):
            raise ValueError(
                "OPIS: expected worst and level between 0 and 1 and around threshold or range, got "
                f"{self.worst}, {self.level}, {self.around!r}; both groups of classes must hold some"
            )


@dataclass(frozen=True)
class FewPairs:
    """A class that has too few pairs to count, and how many it has."""

    name: str
    positives: int
    negatives: int


@dataclass(frozen=True)
class OpisReport:
    """OPIS and ε-OPIS with intervals from resampled classes (None without draws), and what they come from.

    thresholds float64 (g,), from the lowest score to the highest, as users know them; utility float64 (c, g) of every class
    in the order of ``names``, NaN without pairs of either kind; counted bool (c,): enough pairs; worst: names of the classes
    that ε-OPIS sets apart, the worst first.
    """

    measure: Measure
    opis: float
    opis_interval: tuple[float, float] | None
    worst_opis: float
    worst_opis_interval: tuple[float, float] | None
    thresholds: NDArray[np.float64]
    names: NDArray[np.generic]
    utility: NDArray[np.float64]
    counted: NDArray[np.bool_]
    worst: list[str]
    few: list[FewPairs]

    @property
    def mean_utility(self) -> NDArray[np.float64]:
        """Mean over the classes that count, at each threshold: float64 (g,)."""
        return self.utility[self.counted].mean(axis=0)


def utilities(pairs: Pairs, scores: NDArray[np.float64], weight: float = 1.0) -> NDArray[np.float64]:
    """Utility of each class at each score, float64 (c, g); 0 where no positive is accepted and no negative rejected."""
    accepted, wrong = pairs.accepted(scores)
    with np.errstate(invalid="ignore", divide="ignore"):
        phi = accepted / pairs.positives[:, None]
        psi = 1 - wrong / pairs.negatives[:, None]
        below = weight**2 * phi + psi
        return np.where(below > 0, (1 + weight**2) * phi * psi / below, np.where(np.isnan(below), np.nan, 0.0))


def opis(pairs: Pairs, over: CalibrationRange = CalibrationRange(), params: OpisParams = OpisParams()) -> OpisReport:
    """OPIS of pairs by class over a calibration range; ValueError unless two classes have enough pairs."""
    low, high = over.scores(pairs)
    scores = np.linspace(low, high, params.steps)
    positives, negatives = pairs.positives, pairs.negatives
    counted = (positives >= params.least_pairs) & (negatives >= params.least_pairs)
    if counted.sum() < 2:
        raise ValueError(
            f"OPIS: expected two classes with at least {params.least_pairs} pairs of either kind, got {counted.sum()};"
            " give more rows a class or lower least_pairs"
        )
    utility = utilities(pairs, scores, params.weight)
    # From the worst class to the best: a resampled set of classes is then one of counts in this order.
    order = np.flatnonzero(counted)[np.argsort(utility[counted].mean(axis=1), kind="stable")]
    ranked = utility[order]
    apart = worst_count(len(order), params.worst)
    each = np.ones((1, len(order)))
    values = (_deviation(ranked, each, params.around), _gap(ranked, each, apart))
    intervals = _intervals(ranked, apart, params) if params.draws else (None, None)
    return OpisReport(
        pairs.measure,
        float(values[0][0]),
        intervals[0],
        float(values[1][0]),
        intervals[1],
        np.array([threshold_of(score, pairs.measure) for score in scores]),
        pairs.names,
        utility,
        counted,
        [str(pairs.names[place]) for place in order[:apart]],
        [FewPairs(str(pairs.names[c]), int(positives[c]), int(negatives[c])) for c in np.flatnonzero(~counted)],
    )


def worst_count(classes: int, share: float) -> int:
    """How many of at least two classes are set apart as the worst: the share rounded up, but not all."""
    return min(max(1, math.ceil(share * classes - 1e-9)), classes - 1)


def _deviation(ranked: NDArray[np.float64], weights: NDArray[np.float64], around: str) -> NDArray[np.float64]:
    """OPIS float64 (b,) of utilities (c, g) under class weights (b, c) that sum to c, by their own deviations."""
    total = weights.sum(axis=1)[:, None]
    # Around the plain mean first: the difference of two squares loses digits where utilities hardly differ.
    centre = ranked.mean(axis=0) if around == "threshold" else ranked.mean()
    away = ranked - centre
    mean, square = weights @ away / total, weights @ away**2 / total
    if around == "range":
        mean = mean.mean(axis=1, keepdims=True)
        return np.maximum(square.mean(axis=1) - mean[:, 0] ** 2, 0)
    return np.maximum(square - mean**2, 0).mean(axis=1)


def _gap(ranked: NDArray[np.float64], weights: NDArray[np.float64], apart: int) -> NDArray[np.float64]:
    """ε-OPIS float64 (b,): mean squared distance of the mean utility of the first ``apart`` classes from the others'."""
    before = np.cumsum(weights, axis=1) - weights
    worst = np.clip(apart - before, 0, weights)
    rest = weights - worst
    gap = worst @ ranked / apart - rest @ ranked / rest.sum(axis=1)[:, None]
    return (gap**2).mean(axis=1)


def _intervals(
    ranked: NDArray[np.float64], apart: int, params: OpisParams
) -> tuple[tuple[float, float], tuple[float, float]]:
    """Percentile intervals of OPIS and ε-OPIS over classes drawn with replacement, the calibration range held."""
    random, classes = np.random.default_rng(params.seed), len(ranked)
    found: tuple[list[NDArray[np.float64]], list[NDArray[np.float64]]] = ([], [])
    for begin in range(0, params.draws, DRAW_BLOCK):
        drawn = random.integers(0, classes, (min(DRAW_BLOCK, params.draws - begin), classes))
        weights = np.stack([np.bincount(one, minlength=classes) for one in drawn]).astype(np.float64)
        found[0].append(_deviation(ranked, weights, params.around))
        found[1].append(_gap(ranked, weights, apart))
    tail = (1 - params.level) / 2
    ends = [np.quantile(np.concatenate(values), [tail, 1 - tail]) for values in found]
    return (float(ends[0][0]), float(ends[0][1])), (float(ends[1][0]), float(ends[1][1]))
