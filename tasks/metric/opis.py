"""The operating-point-inconsistency score (OPIS): variance of the utility across classes over a range of thresholds.

Source: Zhang et al., "Threshold-Consistent Margin Loss for Open-World Deep Metric Learning", ICLR 2024 (arXiv
2307.04047). The variance across classes at each threshold is our reading of the paper; ``around="range"`` is the
wording of the authors' post on Amazon Science ("Measuring consistency"): deviation from the average over the whole
range.
"""

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from fingerpost.tasks.metric.pairs import Pairs
from fingerpost.tasks.metric.scores import Measure, score_of, threshold_of

#: Bootstrap resamples whose class weights are in memory at a time.
DRAW_BLOCK = 100


@dataclass(frozen=True)
class CalibrationRange:
    """The calibration range: an interval of thresholds, or of global false-accept or false-reject rates.

    low: lower end of the range over which consistency is measured.
    high: upper end of that range.
    bounds: what the ends are: far or frr (rates of 0 to 1), or thresholds (similarities or distances).
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
        """The lowest and the highest score of the range; rates are those of ``pairs``.

        ValueError if both ends are the same score.
        """
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
        """The same range as thresholds, for use on classes other than those that the rates refer to."""
        low, high = sorted(threshold_of(score, pairs.measure) for score in self.scores(pairs))
        return CalibrationRange(low, high, "thresholds")


@dataclass(frozen=True)
class OpisParams:
    """How OPIS is computed.

    weight: c of the utility (1 + c²)·φψ / (c²·φ + ψ), where φ is the fraction of a class's positive pairs accepted
        (sensitivity) and ψ the fraction of its negative pairs rejected (specificity); 1 is their harmonic mean, a
        larger c emphasises ψ, a smaller one φ.
    steps: number of equally spaced thresholds, both ends included.
    worst: ε, the fraction of classes with the lowest mean utility that ε-OPIS compares with the rest.
    least_pairs: minimum number of positive and of negative pairs; classes below it are reported, otherwise ignored.
    around: utilities are compared with the mean over classes at each ``threshold``, or over the whole ``range``.
    draws: number of bootstrap resamples of classes for the intervals (0: none).
    level: confidence level of the intervals.
    seed: seed of the resamples.
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
                f"{self.worst}, {self.level}, {self.around!r}; correct them"
            )


@dataclass(frozen=True)
class FewPairs:
    """A class with too few pairs to count, and its numbers of pairs."""

    name: str
    positives: int
    negatives: int


@dataclass(frozen=True)
class OpisReport:
    """OPIS and ε-OPIS with bootstrap intervals over classes (None without resamples), and the utilities behind them.

    thresholds: float64 (g,), from the lowest score to the highest, as similarities or distances. utility: float64 (c,
    g) of every class in the order of ``names``, NaN without positive or negative pairs. counted: bool (c,), whether a
    class has enough pairs. worst: names of the classes with the lowest utility in ε-OPIS, the worst first. few: the
    classes that were not counted.
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
    """Utility of each class at each score, float64 (c, g); 0 if no positive is accepted and no negative rejected."""
    accepted, wrong = pairs.accepted(scores)
    with np.errstate(invalid="ignore", divide="ignore"):
        phi = accepted / pairs.positives[:, None]
        psi = 1 - wrong / pairs.negatives[:, None]
        below = weight**2 * phi + psi
        return np.where(below > 0, (1 + weight**2) * phi * psi / below, np.where(np.isnan(below), np.nan, 0.0))


def opis(pairs: Pairs, over: CalibrationRange = CalibrationRange(), params: OpisParams = OpisParams()) -> OpisReport:
    """OPIS of pairs by class over a calibration range; ValueError if fewer than two classes have enough pairs."""
    low, high = over.scores(pairs)
    scores = np.linspace(low, high, params.steps)
    positives, negatives = pairs.positives, pairs.negatives
    counted = (positives >= params.least_pairs) & (negatives >= params.least_pairs)
    if counted.sum() < 2:
        raise ValueError(
            f"OPIS: expected two classes with at least {params.least_pairs} pairs of either kind, got {counted.sum()};"
            " provide more rows per class or lower least_pairs"
        )
    utility = utilities(pairs, scores, params.weight)
    # Ascending utility: a resample of the classes is then a vector of counts in this order.
    order = np.flatnonzero(counted)[np.argsort(utility[counted].mean(axis=1), kind="stable")]
    ranked = utility[order]
    worst = worst_count(len(order), params.worst)
    once = np.ones((1, len(order)))
    values = (_deviation(ranked, once, params.around), _gap(ranked, once, worst))
    intervals = _intervals(ranked, worst, params) if params.draws else (None, None)
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
        [str(pairs.names[c]) for c in order[:worst]],
        [FewPairs(str(pairs.names[c]), int(positives[c]), int(negatives[c])) for c in np.flatnonzero(~counted)],
    )


def worst_count(classes: int, share: float) -> int:
    """The number of worst classes among two or more: the share rounded up, but never all."""
    return min(max(1, math.ceil(share * classes - 1e-9)), classes - 1)


def _deviation(ranked: NDArray[np.float64], weights: NDArray[np.float64], around: str) -> NDArray[np.float64]:
    """OPIS float64 (b,) of utilities (c, g) under class weights (b, c) that sum to c."""
    total = weights.sum(axis=1)[:, None]
    # Centred first: the difference of two squares loses digits if utilities hardly differ.
    centre = ranked.mean(axis=0) if around == "threshold" else ranked.mean()
    away = ranked - centre
    mean, square = weights @ away / total, weights @ away**2 / total
    if around == "range":
        mean = mean.mean(axis=1, keepdims=True)
        return np.maximum(square.mean(axis=1) - mean[:, 0] ** 2, 0)
    return np.maximum(square - mean**2, 0).mean(axis=1)


def _gap(ranked: NDArray[np.float64], weights: NDArray[np.float64], count: int) -> NDArray[np.float64]:
    """ε-OPIS float64 (b,): mean squared difference of the mean utility of the first ``count`` classes to the rest."""
    before = np.cumsum(weights, axis=1) - weights
    worst = np.clip(count - before, 0, weights)
    rest = weights - worst
    gap = worst @ ranked / count - rest @ ranked / rest.sum(axis=1)[:, None]
    return (gap**2).mean(axis=1)


def _intervals(
    ranked: NDArray[np.float64], worst: int, params: OpisParams
) -> tuple[tuple[float, float], tuple[float, float]]:
    """Percentile bootstrap intervals of OPIS and ε-OPIS over classes, with the calibration range fixed."""
    random, classes = np.random.default_rng(params.seed), len(ranked)
    samples: tuple[list[NDArray[np.float64]], list[NDArray[np.float64]]] = ([], [])
    for begin in range(0, params.draws, DRAW_BLOCK):
        resamples = random.integers(0, classes, (min(DRAW_BLOCK, params.draws - begin), classes))
        weights = np.stack([np.bincount(row, minlength=classes) for row in resamples]).astype(np.float64)
        samples[0].append(_deviation(ranked, weights, params.around))
        samples[1].append(_gap(ranked, weights, worst))
    tail = (1 - params.level) / 2
    ends = [np.quantile(np.concatenate(values), [tail, 1 - tail]) for values in samples]
    return (float(ends[0][0]), float(ends[0][1])), (float(ends[1][0]), float(ends[1][1]))
