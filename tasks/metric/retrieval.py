"""How well embeddings find rows of their own class: recall@1 and mAP@R.

The definitions of pytorch-metric-learning's AccuracyCalculator (precision_at_1, mean_average_precision_at_r): every row asks
all others; rows whose class has no other row ask nothing. Source: algorithms.md 3.4; Musgrave et al., ECCV 2020 (mAP@R).
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tasks.ann.exact import ExactIndex
from tasks.metric.scores import Measure, class_rows

#: Rows that ask at a time.
QUERY_ROWS = 1024


@dataclass(frozen=True)
class Retrieval:
    """Means over rows and over classes, and how many classes had no second row to find.

    recall_at_1: share of rows whose nearest other row is of their class. map_at_r: mean over the first R places, R being
    the other rows of the class, of the precision at each place that holds one. NaN where no class has two rows.
    """

    recall_at_1: float
    map_at_r: float
    recall_at_1_classes: float
    map_at_r_classes: float
    rows: int
    lone_classes: int


def retrieval(vectors: ArrayLike, labels: ArrayLike, measure: Measure) -> Retrieval:
    """Recall@1 and mAP@R of rows (n, d) with labels (n,), by exact search; equal distances rank by class, then by row."""
    data = class_rows(vectors, labels, measure)
    sizes = np.bincount(data.classes, minlength=len(data.names))
    asking = np.flatnonzero(sizes[data.classes] > 1)
    lone = int((sizes == 1).sum())
    if len(asking) == 0:
        return Retrieval(math.nan, math.nan, math.nan, math.nan, 0, lone)
    # Rows are of length one under cosine, as the index would make them.
    index = ExactIndex(data.rows, "cosine" if measure == "cosine" else "l2")
    first, average = np.zeros(len(asking)), np.zeros(len(asking))
    for begin in range(0, len(asking), QUERY_ROWS):
        rows = asking[begin : begin + QUERY_ROWS]
        others = sizes[data.classes[rows]] - 1
        found = _others(index, data.rows, rows, int(others.max()))
        same = data.classes[found] == data.classes[rows][:, None]
        first[begin : begin + len(rows)] = same[:, 0]
        average[begin : begin + len(rows)] = average_precision(same, others)
    classes = data.classes[asking]
    by_class = np.bincount(classes, minlength=len(sizes))
    having = by_class > 0
    means = [
        float((np.bincount(classes, values, minlength=len(sizes))[having] / by_class[having]).mean())
        for values in (first, average)
    ]
    return Retrieval(float(first.mean()), float(average.mean()), means[0], means[1], len(asking), lone)


def average_precision(same: NDArray[np.bool_], places: NDArray[np.int64]) -> NDArray[np.float64]:
    """Of each row (m, k): the precision at every hit among its first ``places`` (m,), summed and divided by them."""
    rank = np.arange(1, same.shape[1] + 1)
    hits = same & (rank <= places[:, None])
    return (hits.cumsum(axis=1) * hits / rank).sum(axis=1) / places


def _others(index: ExactIndex, vectors: NDArray[np.float32], rows: NDArray[np.int64], k: int) -> NDArray[np.int64]:
    """The k nearest rows of each of ``rows`` other than itself, int64 (m, k)."""
    ids = index.search(vectors[rows], k + 1).ids.astype(np.int64)
    own = ids == rows[:, None]
    # Where more rows than these lie in the same place the row itself may be missing: then the last one goes.
    own[~own.any(axis=1), -1] = True
    return ids[~own].reshape(len(rows), k)
