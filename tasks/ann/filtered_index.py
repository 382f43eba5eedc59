"""Graph search with a filter for each query, and search within a radius, over one graph and its vectors."""

from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fingerpost.ext import filtered as kernel
from fingerpost.ext.hnsw import normalise_rows
from fingerpost.tasks.ann.filter_methods import PRODUCT, chosen_methods
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
from fingerpost.tasks.ann.within import added

#: Queries of one matrix product.
_PRODUCT_ROWS = 256


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
        if keep is None:
            return self._graph_search(rows, None, np.zeros(len(rows), np.uint8), max(ef, k), k, threads)
        sets = keep_rows(keep, size=len(self._vectors), queries=len(rows))
        owners = sets.owners(len(rows))
        shared = np.bincount(owners, minlength=sets.sets)
        methods = chosen_methods(sets.counts, shared, size=len(self._vectors), columns=rows.shape[1], ef=max(ef, k))
        by_product = methods[owners] == PRODUCT
        if not by_product.any():
            return self._graph_search(rows, sets, methods[owners], max(ef, k), k, threads)
        ids = np.full((len(rows), k), NONE, dtype=np.uint32)
        distances = np.full((len(rows), k), np.inf, dtype=np.float32)
        work = SearchCounters()
        for number in np.flatnonzero((methods == PRODUCT) & (shared > 0)):
            chosen = np.flatnonzero(owners == number)
            part = self._product(rows[chosen], sets.rows(int(number)), k)
            ids[chosen], distances[chosen], work = part.ids, part.distances, added(work, part.counters)
        others = np.flatnonzero(~by_product)
        if len(others):
            own = Keep(sets.size, sets.bits, owners[others])
            part = self._graph_search(rows[others], own, methods[owners[others]], max(ef, k), k, threads)
            ids[others], distances[others], work = part.ids, part.distances, added(work, part.counters)
        return SearchResult(ids, distances, work)

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
        methods = np.zeros(len(rows), np.uint8)
        if sets is not None:
            owners, once = sets.owners(len(rows)), np.ones(sets.sets, np.int64)
            methods = chosen_methods(sets.counts, once, size=size, columns=rows.shape[1], ef=ef)[owners]
        width = min(most, size)
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
        bits, passing = np.zeros((0, 0), np.uint64), np.array([len(self._vectors)], np.int64)
        owners = np.zeros(len(queries), np.int64)
        if keep is not None:
            bits, passing, owners = keep.bits, keep.counts, keep.owners(len(queries))
        capacity = max(ef, columns)
        ids, distances, full, expansions, _, bad = self._store.search(
            queries, bits, passing, owners, methods, ef, capacity, radius, threads
        )
        if bad >= 0:
            raise no_direction("queries", bad)
        cut = slice(None), slice(columns)
        return SearchResult(
            np.ascontiguousarray(ids[cut]), np.ascontiguousarray(distances[cut]), SearchCounters(full, expansions)
        )

    def _product(self, queries: NDArray[np.float32], rows: NDArray[np.int64], k: int) -> SearchResult:
        """The k nearest among some rows by a matrix product, then compared again by the kernel of the graph search."""
        ids = np.full((len(queries), k), NONE, dtype=np.uint32)
        distances = np.full((len(queries), k), np.inf, dtype=np.float32)
        asked, compared = _prepared(queries, "queries", self.metric), len(queries) * len(rows)
        held = self._unit_rows[rows]
        norms = np.einsum("ij,ij->i", held, held)
        for begin in range(0, len(asked), _PRODUCT_ROWS):
            part = slice(begin, begin + _PRODUCT_ROWS)
            screen, slack = _screen(asked[part], held, norms, l2=self.metric == "l2")
            least = min(k, len(rows))
            places, near, again = kernel.nearest_screened(screen, slack, asked[part], held, self.metric, least)
            ids[part, :least], distances[part, :least] = rows[places], near
            compared += again
        return SearchResult(ids, distances, SearchCounters(compared))

    @cached_property
    def _unit_rows(self) -> NDArray[np.float32]:
        """The vectors as products need them: those for cosine scaled to length one."""
        return _prepared(self._vectors, "vectors", self.metric)


def _prepared(rows: NDArray[np.float32], name: str, metric: Metric) -> NDArray[np.float32]:
    if metric != "cosine":
        return rows
    unit, bad = normalise_rows(rows)
    if bad >= 0:
        raise no_direction(name, bad)
    return unit


def _screen(
    queries: NDArray[np.float32], held: NDArray[np.float32], norms: NDArray[np.float32], *, l2: bool
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Distances (q, m) by a product, but for a summand of each query, and twice the bound of their error (q,)."""
    screen = queries @ held.T
    if l2:
        screen *= -2.0
        screen += norms
    else:
        np.negative(screen, out=screen)
    # Bound on the rounding of a float32 product of d terms, in any order, against that of the kernel.
    unit = np.finfo(np.float32).eps * (queries.shape[1] / 4 + 16)
    lengths = np.einsum("ij,ij->i", queries, queries)
    return screen, (unit * (lengths + norms.max(initial=0.0) + 1.0)).astype(np.float32)
