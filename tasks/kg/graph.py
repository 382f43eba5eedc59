"""A typed multi-relational graph in both directions, the neighbours of a node grouped by relation.

Two levels of index pointers, as in a CSR matrix: a node has runs, one per relation, and a run has neighbours. What only
counts the neighbours that share a relation never looks at them.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


class GraphError(ValueError):
    """Triples, types or nodes that do not form a graph."""


@dataclass(frozen=True)
class RelationGraph:
    """The neighbours of each node by relation, in both directions.

    Relation r of ``relation_count`` leads from head to tail, ``r + relation_count`` back. A triple that occurs several
    times is one; one from a node to itself makes it its own neighbour, once in each direction.

    run_ranges: int64 (nodes + 1,), the range of a node's runs. relations: uint32 (runs,), ascending within a node.
    starts: int64 (runs + 1,), the range of a run's neighbours. neighbors: uint32 (2 * triples,), ascending within a run.
    types: uint16 (nodes,), the type of each node.
    """

    run_ranges: NDArray[np.int64]
    relations: NDArray[np.uint32]
    starts: NDArray[np.int64]
    neighbors: NDArray[np.uint32]
    types: NDArray[np.uint16]
    relation_count: int

    @property
    def nodes(self) -> int:
        """Number of nodes."""
        return len(self.run_ranges) - 1

    @property
    def indptr(self) -> NDArray[np.int64]:
        """int64 (nodes + 1,): the range of a node's neighbours."""
        return self.starts[self.run_ranges]

    @property
    def degrees(self) -> NDArray[np.int64]:
        """int64 (nodes,): the neighbours of each node, counted once per relation and direction."""
        return np.diff(self.indptr)

    def neighbors_of(self, node: int) -> tuple[NDArray[np.uint32], NDArray[np.uint32]]:
        """The relations and the neighbours of one node, sorted."""
        runs = slice(self.run_ranges[node], self.run_ranges[node + 1])
        sizes = np.diff(self.starts[runs.start : runs.stop + 1])
        begin, end = self.starts[runs.start], self.starts[runs.stop]
        return np.repeat(self.relations[runs], sizes), self.neighbors[begin:end]

    def edges(self) -> NDArray[np.uint32]:
        """uint32 (2 * triples, 3): node, relation and neighbour of every edge, sorted."""
        nodes = np.repeat(np.arange(self.nodes, dtype=np.uint32), self.degrees)
        relations = np.repeat(self.relations, np.diff(self.starts))
        return np.stack([nodes, relations, self.neighbors], axis=1)

    def triples(self) -> NDArray[np.uint32]:
        """uint32 (triples, 3): head, relation and tail, sorted."""
        edges = self.edges()
        return edges[edges[:, 1] < self.relation_count]


def relation_graph(
    triples: NDArray[np.integer], *, nodes: int, relations: int, types: NDArray[np.integer] | None = None
) -> RelationGraph:
    """The graph of ``triples`` (m, 3): head, relation, tail, in any order.

    types: (nodes,), from 0; one type for all by default. GraphError for numbers out of range and other shapes.
    """
    triples, types = _checked(np.asarray(triples), nodes, relations, types)
    heads, kinds, tails = (triples[:, column].astype(np.int64) for column in range(3))
    # Packed as node, relation, neighbour: sorting these is several times as fast as sorting rows.
    node_bits, run_bits = _bits(nodes), _bits(2 * relations)
    keys = np.concatenate(
        [
            (((heads << run_bits) | kinds) << node_bits) | tails,
            (((tails << run_bits) | (kinds + relations)) << node_bits) | heads,
        ]
    )
    keys.sort()
    keys = keys[np.diff(keys, prepend=-1) != 0]
    of_run = keys >> node_bits
    begins = np.flatnonzero(np.diff(of_run, prepend=-1))
    runs = of_run[begins]
    return RelationGraph(
        np.searchsorted(runs >> run_bits, np.arange(nodes + 1)).astype(np.int64),
        (runs & ((1 << run_bits) - 1)).astype(np.uint32),
        np.append(begins, len(keys)).astype(np.int64),
        (keys & ((1 << node_bits) - 1)).astype(np.uint32),
        types,
        relations,
    )


def _bits(count: int) -> int:
    """The bits that numbers below ``count`` take."""
    return max(count - 1, 0).bit_length()


def _checked(
    triples: NDArray[np.integer], nodes: int, relations: int, types: NDArray[np.integer] | None
) -> tuple[NDArray[np.integer], NDArray[np.uint16]]:
    if triples.ndim != 2 or triples.shape[1] != 3 or triples.dtype.kind not in "iu":
        raise GraphError(
            f"triples: expected whole numbers (m, 3), got {triples.dtype} {triples.shape}; give head, relation, tail"
        )
    if nodes > 2**32 or 2 * _bits(nodes) + _bits(2 * relations) > 63:
        raise GraphError(
            f"graph: expected up to 2**32 nodes and 63 bits for an edge, got {nodes} nodes and {relations} relations;"
            " split it, or merge rare relations"
        )
    for column, (what, bound) in enumerate((("heads", nodes), ("relations", relations), ("tails", nodes))):
        values = triples[:, column]
        if len(values) and (values.min() < 0 or values.max() >= bound):
            raise GraphError(f"{what}: expected numbers of 0 to {bound - 1}, got others; number them from 0")
    given = np.zeros(nodes, np.uint16) if types is None else np.asarray(types)
    if (
        given.shape != (nodes,)
        or given.dtype.kind not in "iu"
        or (nodes and not 0 <= given.min() <= given.max() < 2**16)
    ):
        raise GraphError(f"types: expected one of 0 to 65535 for each of {nodes} nodes, got others; number them from 0")
    return triples, given.astype(np.uint16)
