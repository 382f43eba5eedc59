"""Graph search whose frontier is ordered by estimates: an exact distance is computed when a node comes to its head."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fingerpost.ext import deferred as kernel
from fingerpost.tasks.ann.edge_blocks import EdgeBlocks
from fingerpost.tasks.ann.finger_basis import checked_rows
from fingerpost.tasks.ann.graph import Graph
from fingerpost.tasks.ann.search import (
    Metric,
    SearchCounters,
    SearchResult,
    check_metric,
    check_search,
    checked_vectors,
    no_direction,
)


class DeferredIndex:
    """Best-first search over any graph by estimates from blocks of the same graph, vectors and metric.

    vectors: numbers (n, d), one row per node. A neighbour whose estimate is below the worst of ``ef`` candidates joins
    them by its estimate; its distance is computed when it is the nearest that was not expanded, and only if it still is
    then, it is expanded. All candidates are expanded in the end, so distances in results are exact. Searches begin from
    entries that are nearest by estimate, and not by way of the upper levels. Rows of whole cache lines and blocks that
    lie on cache lines are referred to, others copied. Raises VectorError for vectors, ValueError for blocks that do not
    fit.
    """

    def __init__(self, vectors: ArrayLike, graph: Graph, blocks: EdgeBlocks, metric: Metric) -> None:
        check_metric(metric)
        self._vectors = checked_rows(np.asarray(vectors), graph)
        self.graph = graph
        self.coder = blocks.coder
        self.metric: Metric = metric
        coder = blocks.coder
        self._store = kernel.Store(
            self._vectors,
            metric,
            coder.directions,
            blocks.lines,
            blocks.first,
            blocks.entries,
            stride=blocks.stride,
            bits=coder.bits,
        )
        if self._store.bad_row >= 0:
            raise no_direction("vectors", self._store.bad_row)

    @property
    def vectors(self) -> NDArray[np.float32]:
        """The vectors float32 (n, d) as given."""
        return self._vectors

    @property
    def nbytes(self) -> int:
        """Bytes of what a search reads: vectors, blocks and directions."""
        return self._store.nbytes

    def search(self, queries: ArrayLike, k: int, *, ef: int, threads: int = 1) -> SearchResult:
        """The approximate k nearest of each query (q, d), by a search of width max(ef, k)."""
        check_search(k, ef, threads)
        rows = checked_vectors(queries, "queries", columns=self._vectors.shape[1])
        width = min(ef, len(self._vectors))
        ids, distances, full, expansions, estimates, bad = self._store.search(rows, k, width, threads)
        if bad >= 0:
            raise no_direction("queries", bad)
        return SearchResult(ids, distances, SearchCounters(full, expansions, estimates))

    def estimate(self, query: ArrayLike, node: int | None) -> tuple[NDArray[np.uint32], NDArray[np.float32]]:
        """Level-0 neighbours of a node, or the entries (None), and a query's (d,) estimated distances to them."""
        row = checked_vectors(np.asarray(query)[None], "query", columns=self._vectors.shape[1])
        return self._store.estimate(row[0], -1 if node is None else node)
