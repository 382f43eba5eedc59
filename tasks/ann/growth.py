"""Graphs that go on: rows taken out of a finished graph and others inserted, without building it again."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fingerpost.ext import growth as kernel
from fingerpost.ext.hnsw import node_levels
from fingerpost.tasks.ann.graph import Graph, GraphError, UpperLevel
from fingerpost.tasks.ann.hnsw import HnswParams
from fingerpost.tasks.ann.search import checked_vectors, no_direction

#: Rows inserted between two calls of a builder's listener.
_STEP_ROWS = 4096


@dataclass(frozen=True)
class GrowthCounters:
    """Work of a change of a graph.

    kept, removed, added: rows. repaired: lists that lost neighbours and found others. connected: rows that received an
    edge to become reachable. distances: full distances computed.
    """

    kept: int
    removed: int
    added: int
    repaired: int
    connected: int
    distances: int


def changed_graph(
    vectors: ArrayLike,
    graph: Graph,
    origin: NDArray[np.int64],
    params: HnswParams,
    *,
    threads: int = 1,
    progress: Callable[[int], None] = lambda inserted: None,
) -> tuple[Graph, GrowthCounters]:
    """The graph of rows of which some were in another graph: its other rows are taken out, the new ones inserted.

    vectors: numbers (n, d). graph: of the earlier rows, whose vectors are not needed. origin: int64 (n,), for each row
    its node in that graph, -1 for a new row; kept rows have the same vector as then, and no two the same node. params:
    those that the graph was built with. progress: told how many rows are in the graph. Nodes keep their levels; those
    of new rows are drawn by seed and row. The result depends on these arguments alone. VectorError or GraphError for
    what does not fit, and where no row is kept.
    """
    rows = checked_vectors(vectors)
    kept = _checked_origin(origin, rows, graph)
    removed = np.ones(graph.size, dtype=np.uint8)
    removed[origin[kept]] = 0
    added = np.flatnonzero(origin < 0)
    # Nodes in the order of the builder: those of the earlier graph, then the new ones.
    place = np.empty(len(rows), np.int64)
    place[kept] = origin[kept]
    place[added] = graph.size + np.arange(len(added))
    held = _in_place(rows, place, graph.size + len(added), kept)
    levels = np.concatenate([graph_levels(graph), _drawn_levels(len(rows), params)[added]])
    builder = kernel.Builder(held, params.metric, params.max_neighbors, params.ef_construction, levels, threads=threads)
    del held
    if builder.bad_row >= 0:
        raise no_direction("vectors", int(np.flatnonzero(place == builder.bad_row)[0]))
    _restore(builder, graph, threads)
    repaired = builder.remove(removed, threads) if removed.any() else 0
    builder.arrange(threads)
    while builder.inserted < len(levels):
        builder.insert_until(builder.inserted + _STEP_ROWS, threads)
        progress(builder.inserted - graph.size + len(kept))
    builder.connect()
    distances, _, connected = builder.counters
    number = np.full(len(levels), -1, np.int64)
    number[place] = np.arange(len(rows))
    counters = GrowthCounters(len(kept), int(removed.sum()), len(added), repaired, connected, distances)
    return _numbered(builder, levels, number), counters


def without_rows(
    vectors: ArrayLike, graph: Graph, removed: NDArray[np.bool_], params: HnswParams, *, threads: int = 1
) -> Graph:
    """The same graph without the edges from and to removed rows, bool (n,), with the lists that named them repaired.

    vectors: (n, d), of which those of removed rows do not matter but for cosine, where they must not be zeros. Rows keep
    their numbers; a removed one has no neighbours, and no search meets it. VectorError or GraphError for what does not
    fit, and where no row is left.
    """
    rows = checked_vectors(vectors)
    if removed.dtype != np.bool_ or removed.shape != (graph.size,) or len(rows) != graph.size or removed.all():
        raise GraphError(
            f"removed: expected bool ({graph.size},) and as many vectors, and a row left, got {removed.dtype}"
            f" {removed.shape} and {len(rows)}; pass the graph's rows"
        )
    levels = graph_levels(graph)
    builder = kernel.Builder(rows, params.metric, params.max_neighbors, params.ef_construction, levels, threads=threads)
    if builder.bad_row >= 0:
        raise no_direction("vectors", builder.bad_row)
    _restore(builder, graph, threads)
    builder.remove(removed.astype(np.uint8), threads)
    builder.connect()
    number = np.where(removed, -1, np.arange(graph.size)).astype(np.int64)
    return _numbered(builder, levels, number, size=graph.size)


def _in_place(
    rows: NDArray[np.float32], place: NDArray[np.int64], count: int, kept: NDArray[np.int64]
) -> NDArray[np.float32]:
    """Rows (n, d) in the builder's order, without a copy where they are in it already."""
    if count == len(rows) and (place == np.arange(count)).all():
        return rows
    # A removed row stands for nothing, but a builder wants a vector of some length in every place.
    held = np.empty((count, rows.shape[1]), np.float32)
    free = np.ones(count, np.bool_)
    free[place] = False
    held[free] = rows[kept[0]]
    held[place] = rows
    return held


def graph_levels(graph: Graph) -> NDArray[np.uint8]:
    """The top level of each node, uint8 (n,)."""
    levels = np.zeros(graph.size, dtype=np.uint8)
    for number, level in enumerate(graph.upper, start=1):
        levels[level.nodes] = number
    return levels


def _checked_origin(origin: NDArray[np.int64], rows: NDArray[np.float32], graph: Graph) -> NDArray[np.int64]:
    """The rows that were in the graph, ascending."""
    if origin.dtype != np.int64 or origin.shape != (len(rows),):
        raise GraphError(f"origin: expected int64 ({len(rows)},), got {origin.dtype} {origin.shape}; one for each row")
    kept = np.flatnonzero(origin >= 0)
    nodes = origin[kept]
    if len(nodes) == 0 or int(nodes.max()) >= graph.size or len(np.unique(nodes)) < len(nodes):
        raise GraphError(
            f"origin: expected different nodes below {graph.size} for some rows, got {len(nodes)} rows; build the graph"
            " of all rows instead"
        )
    return kept


def _drawn_levels(count: int, params: HnswParams) -> NDArray[np.uint8]:
    return node_levels(count, params.max_neighbors, params.seed)


def _restore(builder: kernel.Builder, graph: Graph, threads: int) -> None:
    nodes = np.arange(graph.size, dtype=np.uint32)
    try:
        builder.restore_level(0, nodes, graph.indptr, graph.indices, threads=threads)
        for number, level in enumerate(graph.upper, start=1):
            builder.restore_level(number, level.nodes, level.indptr, level.indices, threads=threads)
    except ValueError as problem:
        raise GraphError(f"{problem}; change it with the parameters that it was built with") from problem
    builder.restore_end(graph.size)


def _numbered(
    builder: kernel.Builder, levels: NDArray[np.uint8], number: NDArray[np.int64], *, size: int | None = None
) -> Graph:
    """The builder's graph with other numbers of its nodes, -1 for nodes that are left out.

    size: the number of rows, of which those that no node has are without neighbours; by default as many as nodes.
    """
    count = int((number >= 0).sum()) if size is None else size
    indptr, indices = _level(builder, 0, np.flatnonzero(number >= 0), number)
    order = np.sort(number[number >= 0])
    degrees = np.zeros(count, np.int64)
    degrees[order] = np.diff(indptr)
    upper = []
    top = int(levels[number >= 0].max())
    for level in range(1, top + 1):
        nodes = np.flatnonzero((levels >= level) & (number >= 0))
        pointers, ids = _level(builder, level, nodes, number)
        upper.append(UpperLevel(np.sort(number[nodes]).astype(np.uint32), pointers, ids))
    entry = np.array([number[builder.entry_point]], dtype=np.uint32)
    return Graph(np.concatenate([[0], np.cumsum(degrees)]), indices, tuple(upper), entry)


def _level(
    builder: kernel.Builder, level: int, nodes: NDArray[np.int64], number: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.uint32]]:
    """The lists of some nodes in the order of their new numbers, with new numbers."""
    ordered = nodes[np.argsort(number[nodes], kind="stable")]
    indptr, indices = builder.level_links(level, ordered.astype(np.uint32))
    return indptr, number[indices].astype(np.uint32)
