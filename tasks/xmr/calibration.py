"""Calibration of scores to probabilities: Platt scaling or isotonic regression, fitted on held-out rankings."""

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray


class Calibrator(Protocol):
    """A monotonic mapping from scores to probabilities."""

    def probabilities(self, scores: ArrayLike) -> NDArray[np.float32]: ...


def _checked(scores: ArrayLike, right: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    s, r = np.asarray(scores, dtype=np.float64).ravel(), np.asarray(right, dtype=np.float64).ravel()
    if len(s) != len(r) or len(s) == 0 or not np.isfinite(s).all():
        raise ValueError(
            f"calibration: expected finite scores, each right or not, got {len(s)} and {len(r)}; pass both"
        )
    return s, r


@dataclass(frozen=True)
class PlattCalibrator:
    """probability = 1 / (1 + exp(-(slope * score + offset)))."""

    slope: float
    offset: float

    def probabilities(self, scores: ArrayLike) -> NDArray[np.float32]:
        """Probabilities float32, in the shape of the scores."""
        values = self.slope * np.asarray(scores, dtype=np.float64) + self.offset
        return (0.5 * (1 + np.tanh(values / 2))).astype(np.float32)


@dataclass(frozen=True)
class IsotonicCalibrator:
    """Piecewise linear probabilities, constant outside the knots; knots (scores) and levels float64 (m,)."""

    knots: NDArray[np.float64]
    levels: NDArray[np.float64]

    def probabilities(self, scores: ArrayLike) -> NDArray[np.float32]:
        """Probabilities float32, in the shape of the scores."""
        return np.interp(np.asarray(scores, dtype=np.float64), self.knots, self.levels).astype(np.float32)


def fit_platt(scores: ArrayLike, right: ArrayLike, *, max_iter: int = 100) -> PlattCalibrator:
    """Maximum-likelihood sigmoid for scores (n,) and outcomes (n,), by Newton's method with step halving.

    Targets are smoothed away from 0 and 1 by the class counts (Platt, Advances in Large Margin Classifiers, 1999). The
    slope is at least 0. Raises ValueError for non-finite scores and for different lengths.
    """
    s, r = _checked(scores, right)
    count = r.sum()
    target = np.where(r > 0, (count + 1) / (count + 2), 1 / (len(r) - count + 2))
    slope, offset = 0.0, float(np.log((count + 1) / (len(r) - count + 1)))

    def loss(a: float, b: float) -> float:
        z = a * s + b
        return float((np.logaddexp(0, z) - target * z).sum())

    current = loss(slope, offset)
    for _ in range(max_iter):
        probability = 0.5 * (1 + np.tanh((slope * s + offset) / 2))
        residual, curvature = probability - target, probability * (1 - probability)
        gradient = np.array([residual @ s, residual.sum()])
        hessian = np.array([[curvature @ (s * s), curvature @ s], [curvature @ s, curvature.sum()]]) + 1e-9 * np.eye(2)
        step = np.linalg.solve(hessian, gradient)
        size = 1.0
        while size > 1e-8 and loss(slope - size * step[0], offset - size * step[1]) > current:
            size /= 2
        slope, offset = slope - size * float(step[0]), offset - size * float(step[1])
        previous, current = current, loss(slope, offset)
        if previous - current < 1e-10 * max(1.0, abs(previous)):
            break
    if slope < 0:
        return PlattCalibrator(0.0, float(np.log((count + 1) / (len(r) - count + 1))))
    return PlattCalibrator(slope, offset)


def fit_isotonic(scores: ArrayLike, right: ArrayLike) -> IsotonicCalibrator:
    """Least-squares isotonic regression of outcomes (n,) on scores (n,), by pooling adjacent violators.

    Raises ValueError for non-finite scores and for different lengths.
    """
    s, r = _checked(scores, right)
    knots, knot_of = np.unique(s, return_inverse=True)
    weights = np.bincount(knot_of).astype(np.float64)
    means = np.bincount(knot_of, weights=r) / weights
    pools: list[list[float]] = []  # sum, weight, number of knots
    for mean, weight in zip(means.tolist(), weights.tolist(), strict=True):
        pools.append([mean * weight, weight, 1])
        while len(pools) > 1 and pools[-2][0] * pools[-1][1] >= pools[-1][0] * pools[-2][1]:
            last = pools.pop()
            pools[-1] = [earlier + later for earlier, later in zip(pools[-1], last, strict=True)]
    levels = np.repeat([total / weight for total, weight, _ in pools], [int(size) for _, _, size in pools])
    return IsotonicCalibrator(knots, levels)


def calibration_error(probabilities: ArrayLike, right: ArrayLike, bins: int = 10) -> float:
    """Expected calibration error: mean absolute gap of probability and hit rate, over bins of equal width."""
    c, r = _checked(probabilities, right)
    bin_of = np.minimum((c * bins).astype(int), bins - 1)
    counts = np.bincount(bin_of, minlength=bins)
    gap = np.abs(np.bincount(bin_of, weights=c, minlength=bins) - np.bincount(bin_of, weights=r, minlength=bins))
    return float(gap.sum() / counts.sum())
