"""Tables of the nearest neighbours among the vectors of an index."""

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fingerpost.tasks.ann.search import Index, SearchResult


class Searcher(Protocol):
    """An index that finds the nearest of vectors."""

    def search(self, queries: ArrayLike, k: int, *, ef: int, threads: int = 1) -> SearchResult: ...


@dataclass(frozen=True)
class NeighborParams:
    """The table of nearest neighbours.

    k: neighbours that are listed for each document.
    ef: width of the search for neighbours.
    rows_per_shard: documents whose neighbours are searched in one shard.
    """

    k: int = 10
    ef: int = 100
    rows_per_shard: int = 8192


def without_self(result: SearchResult, rows: NDArray[np.integer]) -> SearchResult:
    """A result of k + 1 columns without each query's own row, or without the last column if that is missing."""
    own = result.ids == rows.astype(np.uint32)[:, None]
    # A row that did not find itself (more equal vectors than k, or missed by the search) drops its last neighbour.
    own[~own.any(axis=1), -1] = True
    shape = (len(rows), result.ids.shape[1] - 1)
    return SearchResult(result.ids[~own].reshape(shape), result.distances[~own].reshape(shape), result.counters)


def neighbor_table(index: Index, lo: int, hi: int, k: int, *, ef: int, threads: int = 1) -> SearchResult:
    """The k nearest of the rows lo to hi - 1 of the index's own vectors, excluding each row itself.

    Ids uint32 and distances float32 (hi - lo, k), padded with 0xFFFFFFFF and inf. Raises ValueError for a bad range.
    """
    n = len(index.vectors)
    if not 0 <= lo <= hi <= n:
        raise ValueError(f"rows: expected a range within 0 to {n}, got {lo} to {hi}; restrict it to the index")
    return row_neighbors(index, index.vectors[lo:hi], lo, k, ef=ef, threads=threads)


def row_neighbors(
    index: Searcher, vectors: NDArray[np.float32], start: int, k: int, *, ef: int, threads: int = 1
) -> SearchResult:
    """The k nearest of vectors (m, d), which are the rows of the index from ``start`` on, excluding each row itself."""
    result = index.search(vectors, k + 1, ef=max(ef, k + 1), threads=threads)
    return without_self(result, np.arange(start, start + len(vectors)))
