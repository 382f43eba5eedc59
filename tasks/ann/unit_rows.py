"""Scaling of vectors to length one, whatever their length: no square overflows, and none vanishes."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fingerpost.tasks.ann.search import Metric


def unit_rows(rows: ArrayLike) -> NDArray[np.float32]:
    """Rows (n, d) scaled to length one, float32; rows of zeros stay as they are."""
    wide = np.asarray(rows, dtype=np.float64)
    largest = np.abs(wide).max(axis=1, keepdims=True, initial=0.0)
    wide = wide / np.where(largest > 0, largest, 1.0)
    lengths = np.sqrt(np.einsum("ij,ij->i", wide, wide))[:, None]
    return (wide / np.where(lengths > 0, lengths, 1.0)).astype(np.float32)


def coded_metric(rows: NDArray[np.float32], metric: Metric, *, unit: bool) -> Metric:
    """The metric under which rows (n, d) are coded and packed; cosine where all have norm 1 and ``metric`` is ip.

    Both order rows alike. Codes of cosine estimate the distance to what a code stands for, whose error shrinks with the
    distance; those of ip estimate the product, whose error does not. unit: whether every row has norm 1 or is zero. A row
    of zeros has no direction, and leaves all under ip.
    """
    return "cosine" if unit and metric == "ip" and bool(rows.any(axis=1).all()) else metric
