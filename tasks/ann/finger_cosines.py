"""Estimates of the cosines of residuals from a few directions: the two estimators and their statistics.

Source: Chen et al., FINGER, WWW 2023 (low rank, distribution matching); the authors' release (signs).
"""

from typing import Literal, NamedTuple

import numpy as np

Estimator = Literal["low_rank", "signs"]


class RankStatistics(NamedTuple):
    """Comparison of the estimated cosines of the sampled pairs with the true ones at one rank."""

    rank: int
    correlation: float
    mean_true: float
    deviation_true: float
    mean_estimated: float
    deviation_estimated: float
    #: Mean absolute error after matching.
    error_matched: float
    #: Mean absolute error of the raw estimate.
    error_raw: float
    pairs: int


def estimated_cosines(
    first: np.ndarray, second: np.ndarray, *, ranks: tuple[int, ...], estimator: Estimator
) -> np.ndarray:
    """(rows, len(ranks)) float64 estimates from the first directions of two sets of projected residuals."""
    columns = np.array(ranks) - 1
    if estimator == "signs":
        hamming = np.cumsum((first > 0) != (second >= 0), axis=1)[:, columns]
        return np.cos(np.pi * hamming / np.array(ranks))
    product = np.cumsum(first * second, axis=1)[:, columns]
    norms = np.sqrt(np.cumsum(first * first, axis=1)[:, columns] * np.cumsum(second * second, axis=1)[:, columns])
    return np.divide(product, norms, out=np.zeros_like(product), where=norms > 0)


def rank_statistics(rank: int, truth: np.ndarray, estimated: np.ndarray) -> RankStatistics:
    """Statistics of estimated against true cosines, both (pairs,) float64; zeros without pairs."""
    if not len(truth):
        return RankStatistics(rank, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0)
    mean, deviation = float(truth.mean()), float(truth.std())
    mean_estimated, deviation_estimated = float(estimated.mean()), float(estimated.std())
    covariance = float(((truth - mean) * (estimated - mean_estimated)).mean())
    spread = deviation * deviation_estimated
    correlation = covariance / spread if spread > 1e-12 else 0.0
    scale = deviation / deviation_estimated if deviation_estimated > 1e-12 else 0.0
    matched = (estimated - mean_estimated) * scale + mean
    return RankStatistics(
        rank,
        correlation,
        mean,
        deviation,
        mean_estimated,
        deviation_estimated,
        float(np.abs(truth - matched).mean()),
        float(np.abs(truth - estimated).mean()),
        len(truth),
    )
