"""HNSW: deterministic construction of a layered neighbour graph from data, parameters and seed, and its search.

Source: Malkov and Yashunin, "Efficient and robust approximate nearest neighbor search using Hierarchical Navigable
Small World graphs" (arXiv 1603.09320). Deviations: rows are inserted in batches of 128; a batch searches the graph as
it was before it, and rows of one batch are compared exactly. Finally, every unreachable node receives an edge.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fingerpost.ext import hnsw as kernel
from fingerpost.tasks.ann.graph import MAX_NODES, Graph, GraphError, UpperLevel
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


@dataclass(frozen=True)
class HnswParams:
    """Parameters of a build.

    max_neighbors: maximum degree above level 0, and half the maximum on level 0.
    ef_construction: width of the search during the build.
    metric: how vectors are compared: cosine, ip (inner product) or l2 (Euclidean distance).
    seed: seed of the levels of the nodes.

    ValueError for values out of range.
    """

    max_neighbors: int = 16
    ef_construction: int = 200
    metric: Metric = "cosine"
    seed: int = 0

    def __post_init__(self) -> None:
        check_metric(self.metric)
        if not 2 <= self.max_neighbors <= 1024:
            raise ValueError(f"max_neighbors: expected 2 to 1024, got {self.max_neighbors}; 8 to 64 is usual")
        if self.ef_construction < 1:
            raise ValueError(f"ef_construction: expected at least 1, got {self.ef_construction}; 100 to 500 is usual")
        if not 0 <= self.seed < 2**64:
            raise ValueError(f"seed: expected 0 to 2**64 - 1, got {self.seed}; choose another")


@dataclass(frozen=True)
class BuildCounters:
    """Work of a build: full distances, expanded nodes, and nodes that received an edge to become reachable."""

    distances: int
    expansions: int
    connected: int


class HnswBuilder:
    """Step-by-step construction of a graph that can be interrupted and resumed.

    vectors: numbers (n, d), finite, n at least 1; for cosine no zero row. Raises VectorError naming the row. Float32 in
    C order is read where it lies and must not change. Distances are those of whole numbers where all values are such,
    else of 8-bit codes, and of the floats where rows are near to each other (see ext/hnsw). levels: uint8 (n,), the top levels of the nodes where
    they are not to be drawn.
    """

    def __init__(
        self,
        vectors: ArrayLike,
        params: HnswParams,
        *,
        threads: int = 1,
        levels: NDArray[np.uint8] | None = None,
    ) -> None:
        rows = checked_vectors(vectors)
        if not 0 < len(rows) <= MAX_NODES:
            raise VectorError(f"vectors: expected 1 to {MAX_NODES} rows, got {len(rows)}; split the corpus into shards")
        self.params = params
        self.size = len(rows)
        drawn = kernel.node_levels(self.size, params.max_neighbors, params.seed) if levels is None else levels
        self._levels: NDArray[np.uint8] = drawn
        if threads < 1:
            raise ValueError(f"threads: expected at least 1, got {threads}; raise it")
        self._builder = kernel.Builder(
            rows,
            params.metric,
            params.max_neighbors,
            params.ef_construction,
            params.seed,
            threads=threads,
            levels=drawn,
        )
        if self._builder.bad_row >= 0:
            raise no_direction("vectors", self._builder.bad_row)

    @property
    def inserted(self) -> int:
        """Number of rows in the graph so far: a multiple of the batch size of 128, or all."""
        return self._builder.inserted

    def insert_until(self, count: int, *, threads: int = 1) -> None:
        """Inserts complete batches until at least ``count`` rows, or all, are inserted."""
        if threads < 1:
            raise ValueError(f"threads: expected at least 1, got {threads}; raise it")
        self._builder.insert_until(max(count, 0), threads)

    def _nodes(self, level: int) -> NDArray[np.uint32]:
        return np.flatnonzero(self._levels[: self.inserted] >= level).astype(np.uint32)

    def state(self) -> dict[str, NDArray[np.generic]]:
        """The state for :meth:`restore`, besides vectors and parameters, as arrays by name; valid before ``graph``."""
        distances, expansions, _ = self._builder.counters
        state: dict[str, NDArray[np.generic]] = {
            "progress": np.array([self.inserted, distances, expansions], dtype=np.int64)
        }
        top = int(self._levels[: self.inserted].max(initial=0))
        for level in range(top + 1):
            indptr, indices = self._builder.level_links(level, self._nodes(level))
            state |= {f"indptr_{level}": indptr, f"indices_{level}": indices}
        return state

    @classmethod
    def restore(
        cls,
        vectors: ArrayLike,
        params: HnswParams,
        state: Mapping[str, NDArray[np.generic]],
        *,
        threads: int = 1,
        levels: NDArray[np.uint8] | None = None,
    ) -> "HnswBuilder":
        """A builder that resumes from a state and produces the identical graph.

        levels: as the builder had been given them. Raises GraphError if the state does not fit the vectors and parameters.
        """
        builder = cls(vectors, params, threads=threads, levels=levels)
        if len(state.get("progress", ())) != 3:
            raise GraphError(f"state: expected three numbers of progress, got the names {sorted(state)}; start again")
        inserted, distances, expansions = (int(value) for value in state["progress"])
        complete = inserted == builder.size or inserted % kernel.BATCH == 0
        if not (0 <= inserted <= builder.size and complete):
            raise GraphError(
                f"state: expected complete batches of {kernel.BATCH} rows, got {inserted} of {builder.size}; start"
                " again"
            )
        tops = builder._levels[:inserted]
        for level in range(int(tops.max(initial=0)) + 1 if inserted else 0):
            nodes = np.flatnonzero(tops >= level).astype(np.uint32)
            indptr, indices = state.get(f"indptr_{level}"), state.get(f"indices_{level}")
            cap = params.max_neighbors * (2 if level == 0 else 1)
            if indptr is None or indices is None or len(indptr) != len(nodes) + 1:
                raise GraphError(f"state: expected lists of {len(nodes)} nodes on level {level}; start again")
            pointers = np.require(indptr, np.int64, ["C", "A"])
            ids = np.require(indices, np.uint32, ["C", "A"])
            degrees = np.diff(pointers)
            if pointers[0] != 0 or pointers[-1] != len(ids) or degrees.min() < 0 or degrees.max() > cap:
                raise GraphError(f"state: expected lists of at most {cap} nodes on level {level}; start again")
            if len(ids) and (int(ids.max()) >= inserted or not (tops[ids] >= level).all()):
                raise GraphError(f"state: expected nodes of level {level} in its lists, got others; start again")
            builder._builder.restore_level(level, nodes, pointers, ids, threads=threads)
        builder._builder.restore_end(inserted, distances, expansions)
        return builder

    def graph(self) -> Graph:
        """The finished graph; every node is reachable on level 0. Raises GraphError before all rows are inserted."""
        if self.inserted < self.size:
            raise GraphError(f"builder: expected {self.size} inserted rows, got {self.inserted}; insert the rest first")
        self._builder.connect()
        indptr, indices = self._builder.level_links(0, self._nodes(0))
        upper = []
        for level in range(1, int(self._levels.max()) + 1):
            nodes = self._nodes(level)
            upper.append(UpperLevel(nodes, *self._builder.level_links(level, nodes)))
        return Graph(indptr, indices, tuple(upper), np.array([self._builder.entry_point], dtype=np.uint32))

    @property
    def counters(self) -> BuildCounters:
        """Work so far, including that before a restored state."""
        return BuildCounters(*self._builder.counters)


def build(vectors: ArrayLike, params: HnswParams, *, threads: int = 1) -> tuple[Graph, BuildCounters]:
    """The HNSW graph of vectors (n, d), the same for any number of threads."""
    builder = HnswBuilder(vectors, params, threads=threads)
    builder.insert_until(builder.size, threads=threads)
    return builder.graph(), builder.counters


class HnswIndex:
    """Best-first search over any graph with exact distances.

    vectors: numbers (n, d), one row per node of the graph. The index holds a reference to them and an aligned copy; a
    read-only array on a cache line is used where it lies if its rows need no padding and no scaling. Raises VectorError
    for vectors that do not fit.
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
        self._store = kernel.Store(
            self._vectors,
            metric,
            graph.indptr,
            graph.indices,
            upper,
            graph.entry_points,
            lasting=not self._vectors.flags.writeable,
        )
        if self._store.bad_row >= 0:
            raise no_direction("vectors", self._store.bad_row)

    @property
    def vectors(self) -> NDArray[np.float32]:
        """The vectors float32 (n, d) as given."""
        return self._vectors

    def search(self, queries: ArrayLike, k: int, *, ef: int, threads: int = 1) -> SearchResult:
        """The approximate k nearest of each query (q, d), by a search of width max(ef, k)."""
        check_search(k, ef, threads)
        rows = checked_vectors(queries, "queries", columns=self._vectors.shape[1])
        ids, distances, full, expansions, bad = self._store.search(rows, k, ef, threads)
        if bad >= 0:
            raise no_direction("queries", bad)
        return SearchResult(ids, distances, SearchCounters(full, expansions))
