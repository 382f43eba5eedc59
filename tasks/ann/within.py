"""All rows within a distance of a query: the search is widened until the farthest row found lies beyond it."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tasks.ann.exact import ExactIndex
from tasks.ann.graph import NONE
from tasks.ann.search import Index, SearchCounters, checked_vectors

#: How much wider a search is than the one before, and the share of all rows from which on looking at each is cheaper.
WIDER, EXACT_SHARE = 4, 1 / 8


@dataclass(frozen=True)
class Within:
    """Rows int64 (m,) and distances float32 (m,), nearest first. whole: there are no others within the radius."""

    rows: NDArray[np.int64]
    distances: NDArray[np.float32]
    whole: bool
    counters: SearchCounters


def rows_within(
    index: Index, query: ArrayLike, radius: float, *, most: int, keep: NDArray[np.bool_] | None = None, ef: int = 100
) -> Within:
    """The rows at most ``radius`` (as the index measures) from a query (d,), among those of ``keep`` (n,), at most ``most``.

    As complete as the index is where it looks: a search that is an eighth as wide as there are rows looks at all of them.
    ValueError for a NaN radius and for most or ef below 1.
    """
    if np.isnan(radius) or most < 1 or ef < 1:
        raise ValueError(f"radius: expected a number, and most and ef of at least 1, got {radius}, {most}, {ef}")
    count, given = len(index.vectors), checked_vectors(np.asarray(query)[None], "query")
    width, work = min(count, max(ef, most + 1)), SearchCounters()
    while True:
        searched = index
        if width >= count * EXACT_SHARE:
            searched, width = ExactIndex(index.vectors, index.metric), count
        found = searched.search(given, width, ef=width)
        work = _added(work, found.counters)
        inside = (found.ids[0] != NONE) & (found.distances[0] <= radius)
        rows, distances = found.ids[0][inside].astype(np.int64), found.distances[0][inside]
        if keep is not None:
            distances, rows = distances[keep[rows]], rows[keep[rows]]
        if len(rows) > most:
            return Within(rows[:most], distances[:most], False, work)
        if width == count or not inside.all():
            return Within(rows, distances, True, work)
        width = min(count, WIDER * width)


def _added(one: SearchCounters, other: SearchCounters) -> SearchCounters:
    return SearchCounters(
        one.distances + other.distances, one.expansions + other.expansions, one.estimates + other.estimates
    )
