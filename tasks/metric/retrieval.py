"""Retrieval metrics of embeddings: recall@1 and mAP@R.

Definitions as in pytorch-metric-learning's AccuracyCalculator (precision_at_1, mean_average_precision_at_r): every row
is a query against all other rows, except rows of singleton classes. Source: Musgrave et al., "A Metric Learning Reality
Check", ECCV 2020 (mAP@R).
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fingerpost.tasks.ann.exact import ExactIndex
from fingerpost.tasks.metric.scores import Measure, class_rows

#: Queries per search.
QUERY_ROWS = 1024


@dataclass(frozen=True)
class Retrieval:
    """Means over queries and over classes; NaN if no class has two rows.

    recall_at_1: fraction of queries whose nearest other row is of their class. map_at_r: average precision over the
    first R ranks, R being the number of other rows of the class. recall_at_1_classes, map_at_r_classes: means over
    classes of the class means. rows: number of queries. lone_classes: number of singleton classes.
    """

    recall_at_1: float
    map_at_r: float
    recall_at_1_classes: float
    map_at_r_classes: float
    rows: int
    lone_classes: int


def retrieval(vectors: ArrayLike, labels: ArrayLike, measure: Measure, *, queries: int | None = None) -> Retrieval:
    """Recall@1 and mAP@R of rows (n, d) with labels (n,), by exact search; ties rank by class, then by row.

    queries: maximum number of query rows, evenly by class; by default all rows.
    """
    data = class_rows(vectors, labels, measure)
    is_query = None if queries is None else evenly(len(data.rows), queries)
    return summary(data.classes, *ranked_hits(data.rows, data.classes, measure, 0, len(data.rows), is_query=is_query))


def ranked_hits(
    rows: NDArray[np.float32],
    classes: NDArray[np.int64],
    measure: Measure,
    start: int,
    stop: int,
    *,
    is_query: NDArray[np.bool_] | None = None,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Hit at rank 1 (0 or 1) and average precision at R of rows ``start`` to ``stop``, float64 (stop - start,) each.

    rows: float32 (n, d), prepared for the measure (of length one for cosine). classes: int64 (n,) from 0 on. is_query:
    bool (n,), by default all rows. NaN for rows of singleton classes and for rows that are not queries.
    """
    sizes = np.bincount(classes)
    able = sizes[classes[start:stop]] > 1
    queries = start + np.flatnonzero(able if is_query is None else able & is_query[start:stop])
    first, average = np.full(stop - start, np.nan), np.full(stop - start, np.nan)
    if len(queries) == 0:
        return first, average
    # The index scales unit rows to length one again, which changes their last bits only.
    index = ExactIndex(rows, "cosine" if measure == "cosine" else "l2")
    for begin in range(0, len(queries), QUERY_ROWS):
        batch = queries[begin : begin + QUERY_ROWS]
        others = sizes[classes[batch]] - 1
        same = classes[_others(index, rows, batch, int(others.max()))] == classes[batch][:, None]
        first[batch - start] = same[:, 0]
        average[batch - start] = average_precision(same, others)
    return first, average


def evenly(rows: int, queries: int) -> NDArray[np.bool_]:
    """Mask, bool (rows,), of about ``queries`` equally spaced rows; all rows if there are fewer."""
    is_query = np.zeros(rows, dtype=bool)
    is_query[np.linspace(0, rows - 1, min(queries, rows)).round().astype(np.int64)] = True
    return is_query


def summary(classes: NDArray[np.int64], first: NDArray[np.float64], average: NDArray[np.float64]) -> Retrieval:
    """Means of the results of :func:`ranked_hits` for all rows (n,), whose classes (n,) are numbered from 0 on."""
    sizes = np.bincount(classes)
    queries = np.flatnonzero(~np.isnan(first))
    singletons = int((sizes == 1).sum())
    if len(queries) == 0:
        return Retrieval(math.nan, math.nan, math.nan, math.nan, 0, singletons)
    counts = np.bincount(classes[queries])
    having = counts > 0
    by_class = [
        float((np.bincount(classes[queries], values[queries])[having] / counts[having]).mean())
        for values in (first, average)
    ]
    return Retrieval(
        float(first[queries].mean()), float(average[queries].mean()), by_class[0], by_class[1], len(queries), singletons
    )


def average_precision(same: NDArray[np.bool_], ranks: NDArray[np.int64]) -> NDArray[np.float64]:
    """Average precision at R, float64 (m,), of hits ``same`` (m, k) in order of rank; ranks (m,): R of each row."""
    rank = np.arange(1, same.shape[1] + 1)
    hits = same & (rank <= ranks[:, None])
    return (hits.cumsum(axis=1) * hits / rank).sum(axis=1) / ranks


def _others(index: ExactIndex, vectors: NDArray[np.float32], rows: NDArray[np.int64], k: int) -> NDArray[np.int64]:
    """The k nearest other rows of each of ``rows`` (m,), int64 (m, k)."""
    ids = index.search(vectors[rows], k + 1).ids.astype(np.int64)
    own = ids == rows[:, None]
    # If more rows than k + 1 coincide, the row itself may be missing from its results: the last result is dropped then.
    own[~own.any(axis=1), -1] = True
    return ids[~own].reshape(len(rows), k)
