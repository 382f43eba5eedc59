"""One graph from graphs of parts of the rows.

Neighbouring graphs are merged in pairs until one is left: every node searches the other graph of its pair and chooses
among its own neighbours and what it finds by the rule of an insertion (Malkov and Yashunin, arXiv 1603.09320, algorithm
4). Each node is searched for once in a round, hence log2 of the number of graphs times, by a narrow search: less work
than building a single graph, and the graphs themselves are built apart from each other.
"""

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fingerpost.ext import hnsw as kernel
from fingerpost.tasks.ann.graph import Graph, GraphError, UpperLevel
from fingerpost.tasks.ann.growth import graph_levels
from fingerpost.tasks.ann.hnsw import BuildCounters, HnswParams
from fingerpost.tasks.ann.search import checked_vectors, no_direction

#: Width of the search of a node in the other graph.
MERGE_EF = 64


def merge_graphs(
    vectors: ArrayLike,
    graphs: Sequence[Graph],
    params: HnswParams,
    *,
    ef: int = MERGE_EF,
    threads: int = 1,
    after_round: Callable[[int], None] = lambda left: None,
) -> tuple[Graph, BuildCounters]:
    """The graph of vectors (n, d) from graphs of consecutive rows, the same for any number of threads, and its work.

    ef: width of the searches; a wider one finds more, at its price. after_round: called with the number of graphs that
    are left after each round. params: as the graphs were built. Raises GraphError where the graphs do not add up to the
    rows or have longer lists than ``params`` allow.
    """
    rows = checked_vectors(vectors)
    bounds = np.concatenate([[0], np.cumsum([graph.size for graph in graphs])]).astype(np.uint64)
    if int(bounds[-1]) != len(rows):
        raise GraphError(f"graphs: expected {len(rows)} nodes in all, got {int(bounds[-1])}; pass one for each shard")
    levels = np.concatenate([graph_levels(graph) for graph in graphs])
    builder = kernel.Builder(
        rows, params.metric, params.max_neighbors, params.ef_construction, params.seed, threads=threads, levels=levels
    )
    if builder.bad_row >= 0:
        raise no_direction("vectors", builder.bad_row)
    for graph, start in zip(graphs, bounds[:-1].tolist(), strict=True):
        _restore(builder, graph, int(start), params.max_neighbors)
    builder.restore_end(len(rows), 0, 0)
    while len(bounds) > 2:
        bounds = builder.merge_pairs(bounds, ef, threads)
        after_round(len(bounds) - 1)
    builder.connect()
    return _graph(builder, levels), BuildCounters(*builder.counters)


def _restore(builder: kernel.Builder, graph: Graph, start: int, max_neighbors: int) -> None:
    everyone = np.arange(graph.size, dtype=np.uint32)
    lists = [(everyone, graph.indptr, graph.indices)] + [(u.nodes, u.indptr, u.indices) for u in graph.upper]
    for level, (nodes, indptr, indices) in enumerate(lists):
        cap = max_neighbors * (2 if level == 0 else 1)
        longest = int(np.diff(indptr).max(initial=0))
        if longest > cap:
            raise GraphError(
                f"graph from row {start}, level {level}: expected lists of at most {cap} nodes, got {longest}; merge"
                " graphs built with the same max_neighbors"
            )
        offset = np.uint32(start)
        builder.restore_level(level, nodes + offset, indptr, indices + offset)


def _graph(builder: kernel.Builder, levels: NDArray[np.uint8]) -> Graph:
    def lists(level: int) -> tuple[NDArray[np.uint32], NDArray[np.int64], NDArray[np.uint32]]:
        nodes = np.flatnonzero(levels >= level).astype(np.uint32)
        return nodes, *builder.level_links(level, nodes)

    _, indptr, indices = lists(0)
    upper = tuple(UpperLevel(*lists(level)) for level in range(1, int(levels.max(initial=0)) + 1))
    return Graph(indptr, indices, upper, np.array([builder.entry_point], dtype=np.uint32))
