"""Accuracy and intersection over union from counts of classes; needs no torch."""

import math

import numpy as np
from numpy.typing import NDArray

from fingerpost.tasks.nas.architecture import Task
from fingerpost.tasks.nas.resizing import resized

#: The 97.5 % quantile of the normal distribution.
_Z = 1.959963984540054


def softmax(logits: NDArray[np.floating]) -> NDArray[np.float32]:
    """Probabilities by class of logits (n, classes, ...), float32."""
    shifted = np.exp(logits - logits.max(axis=1, keepdims=True))
    return (shifted / shifted.sum(axis=1, keepdims=True)).astype(np.float32)


def predicted(probabilities: NDArray[np.float32], size: int) -> NDArray[np.int64]:
    """The class of each image int64 (n,), or of each pixel (n, size, size); -1 where a probability is not finite.

    probabilities: float32 (n, classes), or (n, classes, output, output) of pixels, which are resized.
    """
    rows = probabilities
    if rows.ndim == 4:
        rows = resized(rows.transpose(0, 2, 3, 1), size).transpose(0, 3, 1, 2)
    return np.where(np.isfinite(rows).all(axis=1), rows.argmax(axis=1), -1)


def confusion(said: NDArray[np.integer], truth: NDArray[np.integer], classes: int) -> NDArray[np.int64]:
    """Counts int64 (n, classes, classes + 1) of each image by true and predicted class.

    said, truth: classes of images (n,), or of pixels (n, size, size). Predictions below 0 count in the last column.
    """
    width = classes * (classes + 1)
    whole = (np.arange(len(said), dtype=np.int64)[:, None] * width + _cells(said, truth, classes)).ravel()
    return np.bincount(whole, minlength=len(said) * width).reshape(len(said), classes, classes + 1)


def summed_confusion(said: NDArray[np.integer], truth: NDArray[np.integer], classes: int) -> NDArray[np.int64]:
    """The sum (classes, classes + 1) of :func:`confusion` over images, whose number does not matter for its memory."""
    cells = _cells(said, truth, classes).ravel()
    return np.bincount(cells, minlength=classes * (classes + 1)).reshape(classes, classes + 1)


def _cells(said: NDArray[np.integer], truth: NDArray[np.integer], classes: int) -> NDArray[np.int64]:
    """Of each image and each of its pixels, the position in its flat counts, int64 (n, pixels)."""
    columns = np.where(said < 0, classes, said).astype(np.int64).reshape(len(said), -1)
    return truth.astype(np.int64).reshape(len(truth), -1) * (classes + 1) + columns


def by_class(counts: NDArray[np.integer], task: Task) -> NDArray[np.float64]:
    """Of each class the fraction found (recall), or for segmentation the intersection over union, float64 (classes,).

    counts: (classes, classes + 1), summed over images. NaN for a class that neither occurs nor is predicted (recall: that
    does not occur).
    """
    hits, truth = np.diagonal(counts).astype(np.float64), counts.sum(axis=1).astype(np.float64)
    whole = truth if task == "classification" else truth + counts[:, : len(counts)].sum(axis=0) - hits
    return np.divide(hits, whole, out=np.full(len(hits), np.nan), where=whole > 0)


def figure(counts: NDArray[np.integer], task: Task) -> float:
    """Accuracy, or for segmentation the mean intersection over union of the classes that occur or are predicted."""
    if task == "classification":
        return float(np.trace(counts[:, : len(counts)]) / max(int(counts.sum()), 1))
    found = by_class(counts, task)
    return float(np.nanmean(found)) if np.any(~np.isnan(found)) else 0.0


def bootstrapped(counts: NDArray[np.int64], *, resamples: int, seed: int = 0) -> tuple[float, float]:
    """The 95 % interval of a mean intersection over union, from the counts (n, classes, classes + 1) of each image.

    The percentiles of bootstrap samples of images (Efron, 1979), since pixels of an image are not independent. (0, 1) without
    images.
    """
    if not len(counts):
        return 0.0, 1.0
    random, flat = np.random.default_rng(seed), counts.reshape(len(counts), -1).astype(np.float64)
    found = []
    for _ in range(resamples):
        drawn = np.bincount(random.integers(0, len(counts), len(counts)), minlength=len(counts))
        found.append(figure((drawn @ flat).reshape(counts.shape[1:]).astype(np.int64), "segmentation"))
    low, high = np.quantile(found, (0.025, 0.975))
    return float(low), float(high)


def wilson(fraction: float, count: int) -> tuple[float, float]:
    """The 95 % score interval of a fraction of ``count``, which is at least 1 (Wilson, 1927)."""
    middle = (fraction + _Z**2 / (2 * count)) / (1 + _Z**2 / count)
    half = _Z / (1 + _Z**2 / count) * math.sqrt(fraction * (1 - fraction) / count + _Z**2 / (4 * count**2))
    return max(middle - half, 0.0), min(middle + half, 1.0)
