"""Tables of the nearest neighbours that the vectors of an index have among themselves."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tasks.ann.search import Index, SearchResult


@dataclass(frozen=True)
class NeighborParams:
    """Neighbours kept for each document, and the width of the search that finds them."""

    k: int = 10
    ef: int = 100
    rows_per_shard: int = 8192


def without_self(found: SearchResult, rows: NDArray[np.integer]) -> SearchResult:
    """A result with k + 1 columns without each query's own row (or without the last column where it is not there)."""
    own = found.ids == rows.astype(np.uint32)[:, None]
    # A row that did not find itself (more equal vectors than k, or a missed one) gives up its last neighbour instead.
    own[~own.any(axis=1), -1] = True
    shape = (len(rows), found.ids.shape[1] - 1)
    return SearchResult(found.ids[~own].reshape(shape), found.distances[~own].reshape(shape), found.counters)


def neighbor_table(index: Index, lo: int, hi: int, k: int, *, ef: int, threads: int = 1) -> SearchResult:
    """The k nearest of the rows lo to hi - 1 of the index's own vectors, each row itself left out.

    Ids uint32 and distances float32 (hi - lo, k), padded with 0xFFFFFFFF and inf. Raises ValueError for a bad range.
    """
    n = len(index.vectors)
    if not 0 <= lo <= hi <= n:
        raise ValueError(f"rows: expected a range within 0 to {n}, got {lo} to {hi}; cut it to the index")
    found = index.search(index.vectors[lo:hi], k + 1, ef=max(ef, k + 1), threads=threads)
    return without_self(found, np.arange(lo, hi))
