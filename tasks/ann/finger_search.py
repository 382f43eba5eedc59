"""Graph search that compares exactly only neighbours whose distance FINGER estimates to be small enough."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fingerpost.ext import finger as kernel
from fingerpost.tasks.ann.finger_basis import checked_rows
from fingerpost.tasks.ann.finger_tables import FingerTables
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


class FingerIndex:
    """Best-first search over any graph, screened by FINGER tables of the same graph, vectors and metric.

    vectors: numbers (n, d), one row per node. Levels above 0 are searched with exact distances, and level 0 too until
    ``ef`` candidates are found; from then on a neighbour is compared exactly only if its estimate is below the worst
    candidate. Distances in results are exact. The index holds a reference to the vectors and an aligned copy, and the
    tables in the kernel's own layout. Raises VectorError for vectors, ValueError for tables that do not fit.
    """

    def __init__(self, vectors: ArrayLike, graph: Graph, tables: FingerTables, metric: Metric) -> None:
        check_metric(metric)
        self._vectors = checked_rows(np.asarray(vectors), graph)
        self.graph = graph
        self.basis = tables.basis
        self.metric: Metric = metric
        upper = [(level.nodes, level.indptr, level.indices) for level in graph.upper]
        self._store = kernel.Store(self._vectors, metric, graph.indptr, graph.indices, upper, graph.entry_points)
        if self._store.bad_row >= 0:
            raise no_direction("vectors", self._store.bad_row)
        self._store.set_tables(
            tables.basis.directions,
            tables.basis.code,
            tables.basis.scale,
            tables.basis.bias,
            graph.indptr,
            graph.indices,
            tables.node_norm2,
            tables.node_projection,
            tables.edge_coefficient,
            tables.edge_residual,
            tables.edge_codes,
        )

    @property
    def vectors(self) -> NDArray[np.float32]:
        """The vectors float32 (n, d) as given."""
        return self._vectors

    @property
    def table_bytes(self) -> int:
        """Memory of the tables in the kernel's layout in bytes, including the level-0 ids."""
        return self._store.table_bytes

    def search(self, queries: ArrayLike, k: int, *, ef: int, threads: int = 1) -> SearchResult:
        """The approximate k nearest of each query (q, d), by a screened search of width max(ef, k)."""
        check_search(k, ef, threads)
        rows = checked_vectors(queries, "queries", columns=self._vectors.shape[1])
        ids, distances, full, expansions, estimates, bad = self._store.search(rows, k, ef, threads)
        if bad >= 0:
            raise no_direction("queries", bad)
        return SearchResult(ids, distances, SearchCounters(full, expansions, estimates))

    def estimate(self, query: ArrayLike, node: int) -> NDArray[np.float32] | None:
        """Estimated distances of a query (d,) to each level-0 neighbour of a node, float32 (degree,).

        None if the node's norm is too small for an estimate, so that its neighbours are always compared exactly.
        """
        row = checked_vectors(np.asarray(query)[None], "query", columns=self._vectors.shape[1])
        return self._store.estimate(row[0], node, int(self.graph.degrees[node]))
