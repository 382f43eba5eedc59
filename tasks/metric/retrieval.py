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


def retrieval(vectors: ArrayLike, labels: ArrayLike, measure: Measure, *, queries: int | None = None) -> Retrieval:
    """Recall@1 and mAP@R of rows (n, d) with labels (n,), by exact search; equal distances rank by class, then by row.

    ``queries``: how many rows ask at most, evenly by class; by default all.
    """
    data = class_rows(vectors, labels, measure)
    asks = None if queries is None else evenly(len(data.rows), queries)
    return summary(data.classes, *ranked_hits(data.rows, data.classes, measure, 0, len(data.rows), asks=asks))


def ranked_hits(
    rows: NDArray[np.float32],
    classes: NDArray[np.int64],
    measure: Measure,
    start: int,
    stop: int,
    *,
    asks: NDArray[np.bool_] | None = None,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """For rows ``start`` to ``stop``: whether the nearest other is of its class, and the average precision at R.

    rows (n, d) as the measure takes them (of length one under cosine), classes (n,) from 0 on; float64 (stop - start,)
    each, NaN for a row that is alone in its class, and for one that does not ask (``asks`` bool (n,); by default all do).
    """
    sizes = np.bincount(classes)
    able = sizes[classes[start:stop]] > 1
    asking = start + np.flatnonzero(able if asks is None else able & asks[start:stop])
    first, average = np.full(stop - start, np.nan), np.full(stop - start, np.nan)
    if len(asking) == 0:
        return first, average
    # The index would scale rows to length one again, which moves their last bits alone.
    index = ExactIndex(rows, "cosine" if measure == "cosine" else "l2")
    for begin in range(0, len(asking), QUERY_ROWS):
        mine = asking[begin : begin + QUERY_ROWS]
        others = sizes[classes[mine]] - 1
        same = classes[_others(index, rows, mine, int(others.max()))] == classes[mine][:, None]
        first[mine - start] = same[:, 0]
        average[mine - start] = average_precision(same, others)
    return first, average


def evenly(rows: int, queries: int) -> NDArray[np.bool_]:
    """Which of sorted rows ask, bool (n,): about ``queries`` of them at equal distances, or all where they are fewer."""
    asks = np.zeros(rows, dtype=bool)
    asks[np.linspace(0, rows - 1, min(queries, rows)).round().astype(np.int64)] = True
    return asks


def summary(classes: NDArray[np.int64], first: NDArray[np.float64], average: NDArray[np.float64]) -> Retrieval:
    """The means of what :func:`ranked_hits` gives for all rows, whose classes (n,) are numbers from 0 on."""
    sizes = np.bincount(classes)
    asked = np.flatnonzero(~np.isnan(first))
    lone = int((sizes == 1).sum())
    if len(asked) == 0:
        return Retrieval(math.nan, math.nan, math.nan, math.nan, 0, lone)
    counts = np.bincount(classes[asked])
    having = counts > 0
    by_class = [
        float((np.bincount(classes[asked], values[asked])[having] / counts[having]).mean())
        for values in (first, average)
    ]
    return Retrieval(
        float(first[asked].mean()), float(average[asked].mean()), by_class[0], by_class[1], len(asked), lone
    )


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
