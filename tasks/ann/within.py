"""All rows within a distance of a query: the search is widened until the farthest result lies beyond it."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fingerpost.tasks.ann.exact import ExactIndex
from fingerpost.tasks.ann.graph import NONE
from fingerpost.tasks.ann.search import Index, SearchCounters, checked_vectors, size_of

#: Factor by which a search is widened, and the fraction of all rows from which exact search is cheaper.
WIDER, EXACT_SHARE = 4, 1 / 8


@dataclass(frozen=True)
class Within:
    """Rows int64 (m,) and distances float32 (m,), nearest first; complete: no other rows are within the radius."""

    rows: NDArray[np.int64]
    distances: NDArray[np.float32]
    complete: bool
    counters: SearchCounters


def rows_within(
    index: Index, query: ArrayLike, radius: float, *, most: int, keep: NDArray[np.bool_] | None = None, ef: int = 100
) -> Within:
    """The rows within ``radius`` (in the index's metric) of a query (d,), at most ``most`` of them.

    keep: bool (n,), the rows that count; by default all. Results are as complete as the index's recall allows; a search
    as wide as an eighth of all rows is exact. ValueError for a NaN radius and for most or ef below 1.
    """
    if np.isnan(radius) or most < 1 or ef < 1:
        raise ValueError(
            f"radius: expected a number, and most and ef of at least 1, got {radius}, {most}, {ef}; correct them"
        )
    count, queries = size_of(index), checked_vectors(np.asarray(query)[None], "query")
    width, work = min(count, max(ef, most + 1)), SearchCounters()
    while True:
        searched = index
        if width >= count * EXACT_SHARE:
            searched, width = ExactIndex(index.vectors, index.metric), count
        result = searched.search(queries, width, ef=width)
        work = added(work, result.counters)
        inside = (result.ids[0] != NONE) & (result.distances[0] <= radius)
        rows, distances = result.ids[0][inside].astype(np.int64), result.distances[0][inside]
        if keep is not None:
            distances, rows = distances[keep[rows]], rows[keep[rows]]
        if len(rows) > most:
            return Within(rows[:most], distances[:most], False, work)
        if width == count or not inside.all():
            return Within(rows, distances, True, work)
        width = min(count, WIDER * width)


def added(left: SearchCounters, right: SearchCounters) -> SearchCounters:
    """The work of two searches together."""
    return SearchCounters(
        left.distances + right.distances, left.expansions + right.expansions, left.estimates + right.estimates
    )
