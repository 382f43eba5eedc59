"""A graph as if some of its nodes had never been built into it."""

import numpy as np
from numpy.typing import NDArray

from fingerpost.ext import removal
from fingerpost.tasks.ann.compaction import repaired_graph
from fingerpost.tasks.ann.graph import Graph, GraphError, UpperLevel, reachable
from fingerpost.tasks.ann.search import Metric

#: Names no node of a level, as all have a list.
_ALL = np.empty(0, dtype=np.uint32)
#: Fraction of all nodes that may be out of reach afterwards: what they are missed by is no digit of a recall.
_LOST = 1e-4


def graph_without(
    vectors: NDArray[np.float32], graph: Graph, removed: NDArray[np.bool_], metric: Metric, *, threads: int = 1
) -> Graph:
    """The graph without the edges from and to the nodes that ``removed`` (bool (n,)) marks; numbers stay as they are.

    vectors: float32 (n, d), for cosine of length one. A list that named a removed node is chosen again, so that what lay beside
    the node is found as in a graph that was built without it: neither more easily nor less. As in a build, nodes that nothing
    leads to any more receive an edge, above all among equal vectors, which name few others. The same for any number of
    threads. GraphError if an entry point is removed, or lengths do not fit.
    """
    if len(removed) != graph.size or len(vectors) != graph.size:
        raise GraphError(
            f"removed: expected {graph.size} values and vectors, one per node, got {len(removed)} and {len(vectors)};"
            " pass those of the graph"
        )
    if (gone := graph.entry_points[removed[graph.entry_points]]).size:
        raise GraphError(f"removed: expected no entry point, got node {gone[0]}; keep it, or choose other entry points")
    marks = removed.astype(np.uint8)
    cap = int(graph.degrees.max(initial=0))
    level = removal.level_without(vectors, metric, _ALL, graph.indptr, graph.indices, marks, cap, threads=threads)
    upper = []
    for above in graph.upper:
        cap, stays = int(np.diff(above.indptr).max(initial=0)), ~removed[above.nodes]
        indptr, indices = removal.level_without(
            vectors, metric, above.nodes, above.indptr, above.indices, marks, cap, threads=threads
        )
        # Removed nodes have empty lists.
        upper.append(UpperLevel(above.nodes[stays], np.concatenate([indptr[:1], indptr[1:][stays]]), indices))
    found = Graph(*level, tuple(level for level in upper if len(level.nodes)), graph.entry_points)
    if np.count_nonzero(~reachable(found) & ~removed) <= _LOST * found.size:
        return found
    return repaired_graph(vectors, found, removed, metric, threads=threads)
