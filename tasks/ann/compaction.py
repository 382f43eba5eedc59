"""Removal of rows from a graph with a guard of its recall: where that falls too far, the graph is built again."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fingerpost.tasks.ann.exact import ExactIndex
from fingerpost.tasks.ann.graph import Graph
from fingerpost.tasks.ann.growth import GrowthCounters, changed_graph, without_rows
from fingerpost.tasks.ann.hnsw import HnswIndex, HnswParams, build
from fingerpost.tasks.ann.neighbors import without_self
from fingerpost.tasks.ann.recall import recall
from fingerpost.tasks.ann.search import Metric, SearchResult, checked_vectors


@dataclass(frozen=True)
class GuardParams:
    """How far the recall of a changed graph may fall before it is built again.

    max_fall: how far the recall of the graph that was brought up to date may be below that of the last full build, as
        a fraction.
    queries: number of rows whose nearest others are searched to measure it.
    k: number of nearest rows that are searched for each.
    ef: width of these searches.
    seed: seed of the sample of rows.

    ValueError for values out of range.
    """

    max_fall: float = 0.01
    queries: int = 400
    k: int = 10
    ef: int = 40
    seed: int = 0

    def __post_init__(self) -> None:
        if not 0 <= self.max_fall <= 1:
            raise ValueError(f"max_fall: expected 0 to 1, got {self.max_fall}; 0.01 is a point of recall")
        for name in ("queries", "k", "ef"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name}: expected at least 1, got {getattr(self, name)}; raise it")


@dataclass(frozen=True)
class ChangedGraph:
    """A changed graph and what was done for it.

    counters: None where it was built again. recall: of the graph, as the guard measures it. base: that of the last full
    build, which the next change is compared with; its own where this is one. reason: why it was built again, or "".
    """

    graph: Graph
    counters: GrowthCounters | None
    recall: float
    base: float
    reason: str = ""


def guard_recall(vectors: ArrayLike, graph: Graph, metric: Metric, params: GuardParams) -> float:
    """Recall of a graph: the fraction of the nearest others found of sampled rows.

    A figure to compare graphs with each other: that of queries which the graph was not built with is lower.
    """
    rows = checked_vectors(vectors)
    if len(rows) < 2:
        return 1.0
    count = min(params.queries, len(rows))
    chosen = np.sort(np.random.default_rng(params.seed).choice(len(rows), count, replace=False))
    k = min(params.k, len(rows) - 1)

    def others(result: SearchResult) -> SearchResult:
        return without_self(result, chosen)

    exact = others(ExactIndex(rows, metric).search(rows[chosen], k + 1))
    return recall(others(HnswIndex(rows, graph, metric).search(rows[chosen], k + 1, ef=params.ef)), exact)


def guarded_graph(
    vectors: ArrayLike,
    graph: Graph,
    origin: NDArray[np.int64],
    params: HnswParams,
    *,
    base: float,
    guard: GuardParams = GuardParams(),
    threads: int = 1,
    progress: Callable[[int], None] = lambda inserted: None,
) -> ChangedGraph:
    """The changed graph of :func:`fingerpost.tasks.ann.growth.changed_graph`, built again where its recall fell too far.

    base: the recall of the graph of the last full build, as :func:`guard_recall` measures it with the same guard.
    """
    changed, counters = changed_graph(vectors, graph, origin, params, threads=threads, progress=progress)
    found = guard_recall(vectors, changed, params.metric, guard)
    if found >= base - guard.max_fall:
        return ChangedGraph(changed, counters, found, base)
    reason = f"recall {found:.4f} is more than {guard.max_fall:g} below {base:.4f} of the last full build"
    again, _ = build(vectors, params, threads=threads)
    own = guard_recall(vectors, again, params.metric, guard)
    return ChangedGraph(again, None, own, own, reason)


def repaired_graph(
    vectors: ArrayLike, graph: Graph, removed: NDArray[np.bool_], metric: Metric, *, threads: int = 1
) -> Graph:
    """The same graph, of any source, without the edges from and to removed rows; lists that named them are repaired.

    See :func:`fingerpost.tasks.ann.growth.without_rows`. Lists grow no longer than the longest of the graph.
    """
    widest = [int(np.diff(level.indptr).max()) for level in graph.upper]
    most = max(2, -(-int(graph.degrees.max()) // 2), *widest)
    return without_rows(vectors, graph, removed, HnswParams(max_neighbors=most, metric=metric), threads=threads)
