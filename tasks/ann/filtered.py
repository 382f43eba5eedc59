"""The nearest rows among those that a filter lets through, however few they are."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fingerpost.tasks.ann.exact import ExactIndex
from fingerpost.tasks.ann.graph import NONE
from fingerpost.tasks.ann.search import Index, SearchCounters, checked_vectors, size_of
from fingerpost.tasks.ann.within import EXACT_SHARE, WIDER, added


@dataclass(frozen=True)
class Nearest:
    """Rows int64 (m,) and distances float32 (m,) of one query, nearest first, ties by row, with the work done."""

    rows: NDArray[np.int64]
    distances: NDArray[np.float32]
    counters: SearchCounters


#: What nothing is near to.
NOTHING = Nearest(np.empty(0, np.int64), np.empty(0, np.float32), SearchCounters())


def nearest_kept(
    index: Index, query: NDArray[np.float32], count: int, *, keep: NDArray[np.bool_] | None = None, ef: int = 0
) -> Nearest:
    """The ``count`` rows nearest to a query (d,), of those in ``keep`` (bool (n,); by default all).

    The search is widened until enough rows pass; where at most an eighth of all rows do, or the search would be that
    wide, the rows that pass are compared exactly. ef: minimum width of the search. ValueError for a count below 1.
    """
    if count < 1:
        raise ValueError(f"count: expected at least 1, got {count}; raise it")
    queries, total = checked_vectors(query[None], "query"), size_of(index)
    passing = total if keep is None else int(np.count_nonzero(keep))
    wanted = min(count, passing)
    if not wanted:
        return NOTHING
    if keep is None or passing == total:
        result = index.search(queries, wanted, ef=max(wanted, ef))
        found = result.ids[0] != NONE
        return Nearest(result.ids[0][found].astype(np.int64), result.distances[0][found], result.counters)
    width, work = max(ef, -(-wanted * total // passing)), SearchCounters()
    while width < total * EXACT_SHARE < passing:
        result = index.search(queries, width, ef=width)
        work = added(work, result.counters)
        found = (result.ids[0] != NONE) & keep[np.minimum(result.ids[0], total - 1)]
        if np.count_nonzero(found) >= wanted:
            return Nearest(result.ids[0][found][:wanted].astype(np.int64), result.distances[0][found][:wanted], work)
        width *= WIDER
    return _exact(index, queries, np.flatnonzero(keep), wanted, work)


def _exact(
    index: Index, queries: NDArray[np.float32], rows: NDArray[np.int64], wanted: int, work: SearchCounters
) -> Nearest:
    result = ExactIndex(index.vectors[rows], index.metric).search(queries, wanted)
    return Nearest(rows[result.ids[0]], result.distances[0], added(work, result.counters))
