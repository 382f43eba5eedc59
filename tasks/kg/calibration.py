"""From scores to probabilities that a pair is one entity: an increasing function, fitted to labelled pairs.

Platt: two coefficients, a line of log odds. Beta: three, a line of its own for negative and for positive log odds, joined
smoothly (Kull et al., AISTATS 2017; the scores are log odds already). Isotonic: as many steps as the pairs ask for, joined by
lines. The more complex one is taken only where it predicts held-out pairs better by more than two standard errors.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fingerpost.tasks.xmr.calibration import fit_isotonic

#: The functions from the simplest to the most complex; the first is that of pairs without labels.
KINDS = ("identity", "platt", "beta", "isotonic")
#: Parts of the labelled pairs, each predicted from the others, when a function is chosen.
FOLDS = 5
#: Standard errors by which a more complex function must predict held-out pairs better.
_ERRORS = 2.0
#: Slope of log odds along the steps of isotonic regression, so that equal probabilities keep the order of their scores.
_SLOPE = 1e-3
#: Log odds are bounded, so that no probability is 0 or 1 exactly.
_BOUND = 25.0


@dataclass(frozen=True)
class Calibration:
    """A calibration as arrays.

    tensors: "kind", int64 (), the place among `KINDS`; "coefficients" float64 (3,), of Platt and beta (slope below, slope
    above, offset); "knots" and "levels" float64 (m,), scores and log odds of isotonic regression; "shift" float64 (), added
    to all log odds.
    """

    tensors: Mapping[str, NDArray[Any]]

    @property
    def kind(self) -> str:
        """The function, one of `KINDS`."""
        return KINDS[int(self.tensors["kind"])]

    def log_odds(self, scores: ArrayLike) -> NDArray[np.float64]:
        """Log odds float64 in the shape of the scores, which they never decrease with."""
        values = np.asarray(scores, dtype=np.float64)
        if self.kind == "isotonic":
            knots, levels = self.tensors["knots"], self.tensors["levels"]
            found = np.interp(values, knots, levels) + _SLOPE * (values - knots[len(knots) // 2])
        else:
            below, above, offset = self.tensors["coefficients"].tolist()
            found = _line(values, below, above, offset)
        return np.clip(found + float(self.tensors["shift"]), -_BOUND, _BOUND)

    def probabilities(self, scores: ArrayLike) -> NDArray[np.float64]:
        """Probabilities float64 in the shape of the scores, which they never decrease with."""
        return probabilities_of(self.log_odds(scores))


def probabilities_of(log_odds: NDArray[np.float64]) -> NDArray[np.float64]:
    """1 / (1 + exp(-x))."""
    small = np.exp(-np.abs(log_odds))
    return np.where(log_odds >= 0, 1 / (1 + small), small / (1 + small))


def log_odds_of(probabilities: ArrayLike) -> NDArray[np.float64]:
    """The inverse of `probabilities_of`, bounded as calibrated log odds are."""
    values = np.asarray(probabilities, dtype=np.float64)
    with np.errstate(divide="ignore"):
        return np.clip(np.log(values) - np.log1p(-values), -_BOUND, _BOUND)


def _line(scores: NDArray[np.float64], below: float, above: float, offset: float) -> NDArray[np.float64]:
    """below * log p - above * log(1 - p) + offset, where p is the probability of log odds ``scores``."""
    if below == above:
        return below * scores + offset
    return below * -np.logaddexp(0, -scores) + above * np.logaddexp(0, scores) + offset


def _calibration(
    kind: str,
    coefficients: tuple[float, float, float] = (1.0, 1.0, 0.0),
    knots: ArrayLike = (),
    levels: ArrayLike = (),
) -> Calibration:
    return Calibration(
        {
            "kind": np.array(KINDS.index(kind), dtype=np.int64),
            "coefficients": np.array(coefficients, dtype=np.float64),
            "knots": np.array(knots, dtype=np.float64),
            "levels": np.array(levels, dtype=np.float64),
            "shift": np.array(0.0),
        }
    )


def uncalibrated() -> Calibration:
    """Scores as log odds: what is known of them without a label."""
    return _calibration("identity")


def shifted(calibration: Calibration, scores: ArrayLike, labels: ArrayLike) -> Calibration:
    """The calibration with its log odds moved so that they fit other pairs (n,), at least one, with labels 0 or 1.

    Source: a change of the share of matches moves log odds by a constant (Saerens et al., Neural Computation 14, 2002).
    """
    odds, right = calibration.log_odds(scores), np.asarray(labels, dtype=np.float64)
    # The order of the pairs must not change the last bits of the sums.
    order = np.lexsort((right, odds))
    (shift,), _ = _logistic(np.ones((len(odds), 1)), right[order], known=odds[order])
    return Calibration({**calibration.tensors, "shift": calibration.tensors["shift"] + shift})


def fitted(scores: ArrayLike, labels: ArrayLike, groups: NDArray[np.integer]) -> Calibration:
    """The calibration of scores (n,) with labels (n,) 0 or 1; groups (n,): pairs that are held out together.

    ValueError for scores that are not finite, and unless there are pairs of both labels.
    """
    values, labels = np.asarray(scores, dtype=np.float64), np.asarray(labels, dtype=np.float64)
    if not (np.any(labels == 0) and np.any(labels == 1)) or not np.isfinite(values).all():
        raise ValueError(
            f"calibration: expected finite scores of pairs of both labels, got {int((labels == 1).sum())} of 1 and"
            f" {int((labels == 0).sum())} of 0; give some of the other"
        )
    # The order of the pairs must not change the last bits of the coefficients.
    order = np.lexsort((groups, labels, values))
    values, labels, groups = values[order], labels[order], np.asarray(groups)[order]
    fits = {"platt": fit_line, "beta": fit_bent_line, "isotonic": fit_steps}
    best, least = "platt", _held_out_losses(values, labels, groups, fits["platt"])
    for kind in ("beta", "isotonic"):
        losses = _held_out_losses(values, labels, groups, fits[kind])
        if losses is None or least is None:
            continue
        gained = least - losses
        if gained.mean() > _ERRORS * gained.std() / np.sqrt(len(gained)):
            best, least = kind, losses
    return fits[best](values, labels)


def _held_out_losses(
    scores: NDArray[np.float64],
    labels: NDArray[np.float64],
    groups: NDArray[np.integer],
    fit: Callable[[NDArray[np.float64], NDArray[np.float64]], Calibration],
) -> NDArray[np.float64] | None:
    """Log losses of each pair, predicted without its fold; None where a fold's others lack a label."""
    fold = np.unique(groups, return_inverse=True)[1] % FOLDS
    losses = np.zeros(len(scores))
    for held in np.unique(fold):
        inside = fold == held
        known = labels[~inside]
        if not (np.any(known == 0) and np.any(known == 1)):
            return None
        found = fit(scores[~inside], known).log_odds(scores[inside])
        losses[inside] = np.logaddexp(0, found) - labels[inside] * found
    return losses


def fit_line(scores: NDArray[np.float64], labels: NDArray[np.float64]) -> Calibration:
    """Platt scaling; the slope is at least 0."""
    (slope, offset), _ = _fit(np.stack([scores, np.ones_like(scores)], axis=1), labels, (0,))
    return _calibration("platt", (slope, slope, offset))


def fit_bent_line(scores: NDArray[np.float64], labels: NDArray[np.float64]) -> Calibration:
    """Beta calibration; both slopes are at least 0."""
    columns = np.stack([-np.logaddexp(0, -scores), np.logaddexp(0, scores), np.ones_like(scores)], axis=1)
    (below, above, offset), _ = _fit(columns, labels, (0, 1))
    return _calibration("beta", (below, above, offset))


def fit_steps(scores: NDArray[np.float64], labels: NDArray[np.float64]) -> Calibration:
    """Isotonic regression, the pools' log odds joined by lines between their mean scores."""
    found = fit_isotonic(scores, labels)
    pool = np.unique(found.levels, return_inverse=True)[1][np.searchsorted(found.knots, scores)]
    sizes = np.bincount(pool)
    matches = np.bincount(pool, weights=labels)
    # Half a pair of each label: a pool of matches alone is not certain.
    levels = np.maximum.accumulate(log_odds_of((matches + 0.5) / (sizes + 1)))
    return _calibration("isotonic", knots=np.bincount(pool, weights=scores) / sizes, levels=levels)


def _fit(
    columns: NDArray[np.float64], labels: NDArray[np.float64], slopes: tuple[int, ...]
) -> tuple[tuple[float, ...], float]:
    """Coefficients of log odds and their log loss, those of ``slopes`` at least 0: the best choice of ones that are 0."""
    best: tuple[tuple[float, ...], float] | None = None
    for kept in product((True, False), repeat=len(slopes)):
        used = [at for at in range(columns.shape[1]) if at not in slopes or kept[slopes.index(at)]]
        coefficients, loss = _logistic(columns[:, used], labels)
        if any(value < 0 for at, value in zip(used, coefficients, strict=True) if at in slopes):
            continue
        if best is None or loss < best[1]:
            placed = dict(zip(used, coefficients, strict=True))
            best = tuple(placed.get(at, 0.0) for at in range(columns.shape[1])), loss
    assert best is not None  # without any slope all constraints hold
    return best


def _logistic(
    columns: NDArray[np.float64], labels: NDArray[np.float64], *, known: NDArray[np.float64] | float = 0.0
) -> tuple[list[float], float]:
    """Maximum likelihood by Newton's method with step halving, of labels smoothed as Platt does (1999).

    known: log odds that are added to those of the columns.
    """
    count = labels.sum()
    target = np.where(labels > 0, (count + 1) / (count + 2), 1 / (len(labels) - count + 2))
    weights = np.zeros(columns.shape[1])

    def loss(of: NDArray[np.float64]) -> float:
        z = columns @ of + known
        return float((np.logaddexp(0, z) - target * z).sum())

    current = loss(weights)
    for _ in range(100):
        probability = probabilities_of(columns @ weights + known)
        curvature = (columns * (probability * (1 - probability))[:, None]).T @ columns
        step = np.linalg.solve(curvature + 1e-9 * np.eye(len(weights)), columns.T @ (probability - target))
        size = 1.0
        while size > 1e-8 and loss(weights - size * step) > current:
            size /= 2
        weights = weights - size * step
        previous, current = current, loss(weights)
        if previous - current < 1e-10 * max(1.0, abs(previous)):
            break
    return weights.tolist(), current
