"""Graph search with a filter for each query, and search within a radius, over one graph and its vectors."""

from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fingerpost.ext import filtered as kernel
from fingerpost.tasks.ann.filter_methods import chosen_methods
from fingerpost.tasks.ann.graph import NONE, Graph
from fingerpost.tasks.ann.keep import Keep, KeepLike, keep_rows
from fingerpost.tasks.ann.search import (
    Metric,
    SearchCounters,
    SearchResult,
    VectorError,
    check_metric,
    check_search,
    checked_vectors,
    no_direction,
)
from fingerpost.tasks.ann.set_products import by_sets, nearest_of_set, prepared_rows

#: Where all rows pass.
_NO_BITS = np.zeros((0, 0), np.uint64)


class FilteredIndex:
    """Search of a graph for the nearest rows that pass a filter, another one for each query if wanted.

    vectors: numbers (n, d), one row per node of the graph. Per query, the graph is searched or all rows that pass are
    compared, whichever costs less by the number of rows that pass: the choice depends on the arguments alone. The index
    holds a reference to the vectors and an aligned copy. Raises VectorError for vectors that do not fit.
    """

    def __init__(self, vectors: ArrayLike, graph: Graph, metric: Metric) -> None:
        check_metric(metric)
        self._vectors = checked_vectors(vectors)
        if len(self._vectors) != graph.size:
            raise VectorError(
                f"vectors: expected {graph.size} rows, one per node, got {len(self._vectors)}; pass the graph's rows"
            )
        self.graph = graph
        self.metric: Metric = metric
        upper = [(level.nodes, level.indptr, level.indices) for level in graph.upper]
        self._store = kernel.Store(self._vectors, metric, graph.indptr, graph.indices, upper, graph.entry_points)
        if self._store.bad_row >= 0:
            raise no_direction("vectors", self._store.bad_row)

    @property
    def vectors(self) -> NDArray[np.float32]:
        """The vectors float32 (n, d) as given."""
        return self._vectors

    def search(
        self, queries: ArrayLike, k: int, *, ef: int, threads: int = 1, keep: KeepLike | None = None
    ) -> SearchResult:
        """The approximate k nearest of each query (q, d) among the rows that it may find, by a search of width max(ef, k).

        keep: see :func:`fingerpost.tasks.ann.keep.keep_rows`; by default all rows. Recall is about that of a search
        without filter of the same width, or better. Where fewer than k rows pass, all are returned.
        """
        check_search(k, ef, threads)
        rows = checked_vectors(queries, "queries", columns=self._vectors.shape[1])
        ef = min(ef, len(self._vectors))
        if keep is None:
            return self._graph_search(rows, None, np.zeros(1, np.uint8), max(ef, k), k, threads)
        sets = keep_rows(keep, size=len(self._vectors), queries=len(rows))
        shared, size = sets.shared(len(rows)), len(self._vectors)
        methods = chosen_methods(sets.counts, shared, size=size, columns=rows.shape[1], ef=max(ef, k))
        return by_sets(
            rows,
            sets,
            methods,
            k,
            product=lambda asked, own: self._product(asked, own, k),
            search=lambda asked, own: self._graph_search(asked, own, methods, max(ef, k), k, threads),
        )

    def within(
        self,
        queries: ArrayLike,
        radius: float,
        *,
        most: int,
        ef: int = 100,
        threads: int = 1,
        keep: KeepLike | None = None,
    ) -> SearchResult:
        """The rows within ``radius`` of each query (q, d), the nearest ``most`` of them, as columns of a result.

        The search goes on until it has seen ``ef`` rows that pass and all nodes left are beyond the radius, or ``most``
        rows are nearer. ValueError for a NaN radius and for most, ef or threads below 1.
        """
        if np.isnan(radius):
            raise ValueError("radius: expected a number, got nan; give a distance")
        check_search(most, ef, threads)
        rows = checked_vectors(queries, "queries", columns=self._vectors.shape[1])
        size = len(self._vectors)
        sets = None if keep is None else keep_rows(keep, size=size, queries=len(rows))
        methods = np.zeros(1, np.uint8)
        if sets is not None:
            methods = chosen_methods(sets.counts, np.ones(sets.sets, np.int64), size=size, columns=rows.shape[1], ef=ef)
        ef, width = min(ef, size), min(most, size)
        found = self._graph_search(rows, sets, methods, min(ef, width), width, threads, radius)
        if width == most:
            return found
        padding = ((0, 0), (0, most - width))
        return SearchResult(
            np.pad(found.ids, padding, constant_values=NONE),
            np.pad(found.distances, padding, constant_values=np.inf),
            found.counters,
        )

    def _graph_search(
        self,
        queries: NDArray[np.float32],
        keep: Keep | None,
        methods: NDArray[np.uint8],
        ef: int,
        columns: int,
        threads: int,
        radius: float = -np.inf,
    ) -> SearchResult:
        """A search with the method of each set, uint8 (s,), or the one method without sets."""
        owners = np.zeros(len(queries), np.int64) if keep is None else keep.owners(len(queries))
        bits = _NO_BITS if keep is None else keep.bits
        passing = np.array([len(self._vectors)], np.int64) if keep is None else keep.counts
        ids, distances, full, expansions, _, bad = self._store.search(
            queries, bits, passing, owners, methods[owners], ef, columns, radius, threads
        )
        if bad >= 0:
            raise no_direction("queries", bad)
        return SearchResult(ids, distances, SearchCounters(full, expansions))

    def _product(self, queries: NDArray[np.float32], rows: NDArray[np.int64], k: int) -> SearchResult:
        """The k nearest among some rows by a matrix product."""
        asked, held = prepared_rows(queries, "queries", self.metric), self._unit_rows[rows]
        return nearest_of_set(asked, held, rows, k, self.metric)

    @cached_property
    def _unit_rows(self) -> NDArray[np.float32]:
        """The vectors as products need them."""
        return prepared_rows(self._vectors, "vectors", self.metric)
