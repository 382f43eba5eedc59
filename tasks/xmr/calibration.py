"""Scores as chances: Platt's sigmoid or an isotonic step function, fitted on held-out rankings."""

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray


class Calibrator(Protocol):
    """Turns scores into chances that never fall while scores rise."""

    def chances(self, scores: ArrayLike) -> NDArray[np.float32]: ...


def _checked(scores: ArrayLike, right: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    s, r = np.asarray(scores, dtype=np.float64).ravel(), np.asarray(right, dtype=np.float64).ravel()
    if len(s) != len(r) or len(s) == 0 or not np.isfinite(s).all():
        raise ValueError(
            f"calibration: expected finite scores, each right or not, got {len(s)} and {len(r)}; pass both"
        )
    return s, r


@dataclass(frozen=True)
class PlattCalibrator:
    """chance = 1 / (1 + exp(-(slope * score + offset)))."""

    slope: float
    offset: float

    def chances(self, scores: ArrayLike) -> NDArray[np.float32]:
        """Chances float32 in the shape of the scores."""
        values = self.slope * np.asarray(scores, dtype=np.float64) + self.offset
        return (0.5 * (1 + np.tanh(values / 2))).astype(np.float32)


@dataclass(frozen=True)
class IsotonicCalibrator:
    """Chances at knots float64 (m,), straight lines between, level outside."""

    knots: NDArray[np.float64]
    levels: NDArray[np.float64]

    def chances(self, scores: ArrayLike) -> NDArray[np.float32]:
        """Chances float32 in the shape of the scores."""
        return np.interp(np.asarray(scores, dtype=np.float64), self.knots, self.levels).astype(np.float32)


def fit_platt(scores: ArrayLike, right: ArrayLike, *, max_iter: int = 100) -> PlattCalibrator:
    """Most likely sigmoid for scores (n,) that were right or not, by Newton steps with halving.

    Targets are drawn in from 0 and 1 by the counts of either kind, as Platt 1999 proposes. The slope is not below 0.
    """
    s, r = _checked(scores, right)
    count = r.sum()
    goal = np.where(r > 0, (count + 1) / (count + 2), 1 / (len(r) - count + 2))
    slope, offset = 0.0, float(np.log((count + 1) / (len(r) - count + 1)))

    def loss(a: float, b: float) -> float:
        z = a * s + b
        return float((np.logaddexp(0, z) - goal * z).sum())

    now = loss(slope, offset)
    for _ in range(max_iter):
        chance = 0.5 * (1 + np.tanh((slope * s + offset) / 2))
        away, curve = chance - goal, chance * (1 - chance)
        gradient = np.array([away @ s, away.sum()])
        hessian = np.array([[curve @ (s * s), curve @ s], [curve @ s, curve.sum()]]) + 1e-9 * np.eye(2)
        step = np.linalg.solve(hessian, gradient)
        size = 1.0
        while size > 1e-8 and loss(slope - size * step[0], offset - size * step[1]) > now:
            size /= 2
        slope, offset = slope - size * float(step[0]), offset - size * float(step[1])
        before, now = now, loss(slope, offset)
        if before - now < 1e-10 * max(1.0, abs(before)):
            break
    if slope < 0:
        return PlattCalibrator(0.0, float(np.log((count + 1) / (len(r) - count + 1))))
    return PlattCalibrator(slope, offset)


def fit_isotonic(scores: ArrayLike, right: ArrayLike) -> IsotonicCalibrator:
    """The rising function nearest to the outcomes in squares: neighbours that fall are pooled."""
    s, r = _checked(scores, right)
    knots, place = np.unique(s, return_inverse=True)
    weights = np.bincount(place).astype(np.float64)
    means = np.bincount(place, weights=r) / weights
    pools: list[list[float]] = []  # sum, weight, number of knots
    for mean, weight in zip(means.tolist(), weights.tolist(), strict=True):
        pools.append([mean * weight, weight, 1])
        while len(pools) > 1 and pools[-2][0] * pools[-1][1] >= pools[-1][0] * pools[-2][1]:
            last = pools.pop()
            pools[-1] = [mine + theirs for mine, theirs in zip(pools[-1], last, strict=True)]
    levels = np.repeat([total / weight for total, weight, _ in pools], [int(size) for _, _, size in pools])
    return IsotonicCalibrator(knots, levels)


def calibration_error(chances: ArrayLike, right: ArrayLike, bins: int = 10) -> float:
    """Mean distance between stated chance and share that was right, over bins of equal width."""
    c, r = _checked(chances, right)
    place = np.minimum((c * bins).astype(int), bins - 1)
    counts = np.bincount(place, minlength=bins)
    gap = np.abs(np.bincount(place, weights=c, minlength=bins) - np.bincount(place, weights=r, minlength=bins))
    return float(gap.sum() / counts.sum())
