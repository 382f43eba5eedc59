"""Neighbour graphs as arrays, as searches use them, from any source."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

#: Padding of tables of ids with fewer neighbours than columns.
NONE = 0xFFFFFFFF
#: Number of entry points of a graph that defines none.
DEFAULT_ENTRY_POINTS = 64
#: Node numbers share 64 bits with a distance and a flag.
MAX_NODES = 2**31 - 1
#: Nodes whose lists are checked at a time: the owners of all edges would take as much memory as the edges.
_BLOCK_NODES = 1 << 16


class GraphError(ValueError):
    """A graph that cannot be searched."""


@dataclass(frozen=True)
class UpperLevel:
    """One level above 0: nodes uint32 (m,) ascending; the neighbours of node i are indices[indptr[i]:indptr[i + 1]]."""

    nodes: NDArray[np.uint32]
    indptr: NDArray[np.int64]
    indices: NDArray[np.uint32]


@dataclass(frozen=True)
class Graph:
    """Level 0 as indptr int64 (n + 1,) and indices uint32 (nnz,), levels 1 and up, entry points uint32 (e,).

    A search starts at the nearest entry point on the top level. Raises GraphError if ids are out of range, a node is
    its own neighbour, levels are not nested, or a list contains a node that is not on its level.
    """

    indptr: NDArray[np.int64]
    indices: NDArray[np.uint32]
    upper: tuple[UpperLevel, ...]
    entry_points: NDArray[np.uint32]

    def __post_init__(self) -> None:
        n = self.size
        if not 0 < n <= MAX_NODES:
            raise GraphError(f"graph: expected 1 to {MAX_NODES} nodes, got {n}; split the corpus into shards")
        _check_level("level 0", self.indptr, self.indices, np.arange(n, dtype=np.uint32), n)
        below: NDArray[np.uint32] | None = None
        for number, level in enumerate(self.upper, start=1):
            _check_nodes(f"level {number}", level.nodes, below, n)
            _check_level(f"level {number}", level.indptr, level.indices, level.nodes, n)
            below = level.nodes
        _check_type("entry points", self.entry_points, np.uint32)
        if len(self.entry_points) == 0 or int(self.entry_points.max()) >= n:
            raise GraphError(f"entry points: expected rows below {n}, at least one; got {self.entry_points[:5]}")
        if below is not None and not np.isin(self.entry_points, below).all():
            raise GraphError("entry points: expected nodes of the top level, got others; choose them from that level")

    @property
    def size(self) -> int:
        """Number of nodes."""
        return len(self.indptr) - 1

    @property
    def degrees(self) -> NDArray[np.int64]:
        """Number of neighbours of each node on level 0, int64 (n,)."""
        return np.diff(self.indptr)


def _check_type(name: str, array: NDArray[np.generic], dtype: type[np.generic]) -> None:
    if not isinstance(array, np.ndarray) or array.dtype != dtype or array.ndim != 1 or not array.flags.c_contiguous:
        found = f"{getattr(array, 'dtype', type(array).__name__)} {getattr(array, 'shape', '')}"
        raise GraphError(f"{name}: expected contiguous {np.dtype(dtype)} (m,), got {found}; convert it")


def _check_nodes(name: str, nodes: NDArray[np.uint32], below: NDArray[np.uint32] | None, n: int) -> None:
    _check_type(f"{name} nodes", nodes, np.uint32)
    if len(nodes) == 0 or int(nodes[-1]) >= n or (nodes[1:] <= nodes[:-1]).any():
        raise GraphError(f"{name} nodes: expected ascending rows below {n}, at least one; leave empty levels out")
    if below is not None and not np.isin(nodes, below, assume_unique=True).all():
        raise GraphError(f"{name} nodes: expected nodes of the level below, got others; levels must be nested")


def _check_level(
    name: str, indptr: NDArray[np.int64], indices: NDArray[np.uint32], nodes: NDArray[np.uint32], n: int
) -> None:
    _check_type(f"{name} indptr", indptr, np.int64)
    _check_type(f"{name} indices", indices, np.uint32)
    if len(indptr) != len(nodes) + 1 or indptr[0] != 0 or indptr[-1] != len(indices) or (np.diff(indptr) < 0).any():
        raise GraphError(f"{name} indptr: expected {len(nodes) + 1} ascending numbers from 0 to {len(indices)}")
    if len(indices) == 0:
        return
    if int(indices.max()) >= n:
        raise GraphError(f"{name} indices: expected rows below {n}, got {int(indices.max())}; drop foreign nodes")
    for begin in range(0, len(nodes), _BLOCK_NODES):
        pointers = indptr[begin : begin + _BLOCK_NODES + 1]
        owners = np.repeat(nodes[begin : begin + _BLOCK_NODES], np.diff(pointers))
        loops = np.flatnonzero(owners == indices[pointers[0] : pointers[-1]])
        if len(loops):
            raise GraphError(f"{name} indices: expected no node in its own list, got node {owners[loops[0]]}; drop it")
    if len(nodes) < n and not np.isin(indices, nodes).all():
        raise GraphError(f"{name} indices: expected nodes of that level, got others; a search would leave the level")


def from_adjacency(indptr: ArrayLike, indices: ArrayLike, entry_points: ArrayLike | None = None) -> Graph:
    """A one-level graph from any CSR adjacency; by default up to 64 evenly spaced rows are entry points.

    Raises GraphError for ids that are not rows.
    """
    pointers = np.ascontiguousarray(indptr, dtype=np.int64)
    ids = np.asarray(indices)
    if ids.size and (ids.min() < 0 or ids.max() > NONE):
        raise GraphError(f"level 0 indices: expected rows, got {ids.min()}; use from_table for lists with padding")
    if entry_points is None:
        n = len(pointers) - 1
        entry_points = np.unique(np.linspace(0, max(n - 1, 0), min(max(n, 1), DEFAULT_ENTRY_POINTS)).astype(np.uint32))
    return Graph(
        pointers, np.ascontiguousarray(ids, dtype=np.uint32), (), np.ascontiguousarray(entry_points, dtype=np.uint32)
    )


def from_table(table: ArrayLike, entry_points: ArrayLike | None = None) -> Graph:
    """A one-level graph from a table (n, k) of neighbours, nearest first; negative ids and NONE are padding.

    A node is removed from its own row, so that tables of k nearest neighbours can be used as they are. Raises
    GraphError for another shape.
    """
    ids = np.asarray(table)
    if ids.ndim != 2:
        raise GraphError(f"table: expected (n, k), got {ids.shape}; pass one row per node")
    keep = (ids >= 0) & (ids != NONE) & (ids != np.arange(len(ids))[:, None])
    indptr = np.concatenate([[0], np.cumsum(keep.sum(axis=1))])
    return from_adjacency(indptr, ids[keep], entry_points)


def reachable(graph: Graph) -> NDArray[np.bool_]:
    """Mask of the nodes, bool (n,), that can be reached over level 0 from the entry points."""
    seen = np.zeros(graph.size, dtype=np.bool_)
    frontier = np.unique(graph.entry_points).astype(np.int64)
    while len(frontier):
        seen[frontier] = True
        degrees = graph.degrees[frontier]
        offsets = np.repeat(graph.indptr[frontier] - np.concatenate([[0], np.cumsum(degrees)[:-1]]), degrees)
        following = np.unique(graph.indices[offsets + np.arange(len(offsets))])
        frontier = following[~seen[following]].astype(np.int64)
    return seen


def faults(graph: Graph, max_neighbors: int | None = None) -> list[str]:
    """Defects of a graph beyond those that its constructor refuses; empty for a sound graph.

    Checks for nodes that no search can reach, duplicates in a list, and, with ``max_neighbors``, lists longer than an
    HNSW graph allows (twice that number on level 0).
    """
    defects = []
    lost = int(graph.size - reachable(graph).sum())
    if lost:
        defects.append(f"{lost} of {graph.size} nodes are not reachable from the entry points")
    levels = [(graph.indptr, graph.indices)] + [(level.indptr, level.indices) for level in graph.upper]
    for number, (indptr, indices) in enumerate(levels):
        degrees = np.diff(indptr)
        owners = np.repeat(np.arange(len(degrees), dtype=np.int64), degrees)
        if len(np.unique(owners << 32 | indices)) < len(indices):
            defects.append(f"level {number}: a list names a node twice")
        cap = None if max_neighbors is None else max_neighbors * (2 if number == 0 else 1)
        if cap is not None and degrees.max(initial=0) > cap:
            defects.append(f"level {number}: a list has {degrees.max()} nodes, more than {cap}")
    return defects
