"""Search over several indexes of consecutive rows as over one."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fingerpost.tasks.ann.graph import NONE
from fingerpost.tasks.ann.search import Index, Metric, SearchCounters, SearchResult, check_search


class FederatedIndex:
    """Indexes of consecutive rows, each searched in full; the nearest of all answers are the answer.

    Every index is searched with the width asked for, so that recall is at least that of one index of all rows, and the
    work grows with the number of indexes. Raises ValueError for indexes of different metrics.
    """

    def __init__(self, indexes: Sequence[Index]) -> None:
        metrics = sorted({index.metric for index in indexes})
        if len(metrics) != 1:
            raise ValueError(f"indexes: expected at least one, of one metric, got {metrics}; build all alike")
        self._indexes = list(indexes)
        self.metric: Metric = indexes[0].metric
        sizes = [len(index.vectors) for index in indexes]
        self._starts = np.concatenate([[0], np.cumsum(sizes)[:-1]]).astype(np.uint32)

    @property
    def vectors(self) -> NDArray[np.float32]:
        """The vectors float32 (n, d) of all indexes, copied."""
        return np.concatenate([index.vectors for index in self._indexes])

    def search(self, queries: ArrayLike, k: int, *, ef: int, threads: int = 1) -> SearchResult:
        """The approximate k nearest of each query (q, d): the nearest of what each index finds."""
        check_search(k, ef, threads)
        found = [index.search(queries, k, ef=ef, threads=threads) for index in self._indexes]
        ids = np.hstack(
            [
                np.where(result.ids == NONE, np.uint32(NONE), result.ids + start)
                for result, start in zip(found, self._starts, strict=True)
            ]
        )
        distances = np.hstack([result.distances for result in found])
        order = np.lexsort((ids, distances), axis=1)[:, :k]
        counters = [result.counters for result in found]
        total = SearchCounters(
            sum(c.distances for c in counters), sum(c.expansions for c in counters), sum(c.estimates for c in counters)
        )
        return SearchResult(np.take_along_axis(ids, order, axis=1), np.take_along_axis(distances, order, axis=1), total)
