"""Accuracy and intersection over union from counts of classes; needs no torch."""

import math

import numpy as np
from numpy.typing import NDArray

from fingerpost.tasks.nas.architecture import Task

#: The 97.5 % quantile of the normal distribution.
_Z = 1.959963984540054


def confusion(predicted: NDArray[np.integer], truth: NDArray[np.integer], classes: int) -> NDArray[np.int64]:
    """Counts int64 (classes, classes + 1) by true and predicted class; predictions below 0 count in the last column."""
    columns = np.where(predicted < 0, classes, predicted).astype(np.int64).ravel()
    cells = truth.astype(np.int64).ravel() * (classes + 1) + columns
    return np.bincount(cells, minlength=classes * (classes + 1)).reshape(classes, classes + 1)


def by_class(counts: NDArray[np.int64], task: Task) -> NDArray[np.float64]:
    """Of each class the fraction found (recall), or for segmentation the intersection over union, float64 (classes,).

    NaN for a class that neither occurs nor is predicted (recall: that does not occur).
    """
    hits, truth = np.diagonal(counts).astype(np.float64), counts.sum(axis=1).astype(np.float64)
    whole = truth if task == "classification" else truth + counts[:, : len(counts)].sum(axis=0) - hits
    return np.divide(hits, whole, out=np.full(len(hits), np.nan), where=whole > 0)


def figure(counts: NDArray[np.int64], task: Task) -> float:
    """Accuracy, or for segmentation the mean intersection over union of the classes that occur or are predicted."""
    if task == "classification":
        return float(np.trace(counts[:, : len(counts)]) / max(int(counts.sum()), 1))
    found = by_class(counts, task)
    return float(np.nanmean(found)) if np.any(~np.isnan(found)) else 0.0


def interval(fraction: float, count: int) -> tuple[float, float]:
    """The 95 % Wilson score interval of a fraction of ``count`` (Wilson, 1927)."""
    if count < 1:
        return 0.0, 1.0
    middle = (fraction + _Z**2 / (2 * count)) / (1 + _Z**2 / count)
    half = _Z / (1 + _Z**2 / count) * math.sqrt(fraction * (1 - fraction) / count + _Z**2 / (4 * count**2))
    return max(middle - half, 0.0), min(middle + half, 1.0)
