"""What a graph says of its nodes: facts (relation, neighbour), and the facts of one graph in the terms of another."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from fingerpost.tasks.kg.graph import RelationGraph
from fingerpost.tasks.kg.lookups import looked_up, spread


@dataclass(frozen=True)
class Facts:
    """The distinct facts (relation, neighbour) of a graph, and which nodes have them.

    relations, neighbors: int64 (facts,), sorted by both. nodes: CSR of ones (nodes, facts). kinds: CSR of ones (nodes,
    relations in both directions), those that a node has at all. linked: CSR of ones (nodes, nodes), any relation.
    """

    relations: NDArray[np.int64]
    neighbors: NDArray[np.int64]
    nodes: sparse.csr_array
    kinds: sparse.csr_array
    linked: sparse.csr_array


def facts_of(graph: RelationGraph) -> Facts:
    """The facts of a graph, in both directions."""
    owners, relations, neighbors = (column.astype(np.int64) for column in graph.edges().T)
    packed, which = np.unique(relations * max(graph.nodes, 1) + neighbors, return_inverse=True)
    of_relation, of_neighbor = np.divmod(packed, max(graph.nodes, 1))
    return Facts(
        of_relation,
        of_neighbor,
        ones(owners, which, (graph.nodes, len(packed))),
        ones(owners, relations, (graph.nodes, 2 * graph.relation_count)),
        ones(owners, neighbors, (graph.nodes, graph.nodes)),
    )


def ones(rows: NDArray[np.integer], columns: NDArray[np.integer], shape: tuple[int, int]) -> sparse.csr_array:
    """CSR of ones at the given places, each once; float64."""
    found = sparse.coo_array((np.ones(len(rows)), (rows, columns)), shape=shape).tocsr()
    found.data[:] = 1.0
    return found


def similar_relations(
    left: RelationGraph, right: RelationGraph, pairs: NDArray[np.integer], *, least: float
) -> sparse.csr_array:
    """CSR (2 * left relations, 2 * right relations): how far two relations hold between the same matched nodes.

    The number of edges between matched nodes that both have, over the geometric mean of those that each has; one is
    added to these so that a single common edge says little. Values of ``least`` and below are left out.
    """
    count, sides = len(pairs), []
    for side, graph in enumerate((left, right)):
        number = np.full(graph.nodes, -1, dtype=np.int64)
        number[pairs[:, side]] = np.arange(count)
        owners, relations, neighbors = (column.astype(np.int64) for column in graph.edges().T)
        owners, neighbors = number[owners], number[neighbors]
        known = (owners >= 0) & (neighbors >= 0)
        sides.append((relations[known], owners[known] * count + neighbors[known], 2 * graph.relation_count))
    places = np.unique(np.concatenate([keys for _, keys, _ in sides]))
    found = [ones(kinds, np.searchsorted(places, keys), (size, len(places))) for kinds, keys, size in sides]
    common = (found[0] @ found[1].T).tocoo()
    sizes = [part.sum(axis=1) + 1 for part in found]
    values = common.data / np.sqrt(sizes[0][common.row] * sizes[1][common.col])
    kept = values > least
    return sparse.coo_array((values[kept], (common.row[kept], common.col[kept])), shape=common.shape).tocsr()


def translation(left: Facts, right: Facts, matches: sparse.csr_array, relations: sparse.csr_array) -> sparse.csr_array:
    """CSR (left facts, right facts): how far a left fact says what a right one says.

    matches: CSR (left nodes, right nodes), probabilities; relations: see `similar_relations`. The value is the product of
    those of the neighbour and of the relation.
    """
    nodes = matches.shape[1]
    fact, column, value = _spread(np.arange(len(left.relations)), left.neighbors, matches)
    which, kind, similarity = _spread(np.arange(len(fact)), left.relations[fact], relations)
    wanted = kind * nodes + column[which]
    known = right.relations * nodes + right.neighbors
    place, hit = looked_up(known, wanted)
    data = (value[which] * similarity)[hit]
    shape = (len(left.relations), len(known))
    return sparse.coo_array((data, (fact[which][hit], place[hit])), shape=shape).tocsr()


def _spread(
    owners: NDArray[np.int64], rows: NDArray[np.int64], matrix: sparse.csr_array
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]:
    """The entries of a row of the matrix for each owner: owner, column and value."""
    first, sizes = matrix.indptr[rows].astype(np.int64), np.diff(matrix.indptr)[rows].astype(np.int64)
    places = spread(first, sizes)
    return np.repeat(owners, sizes), matrix.indices[places].astype(np.int64), matrix.data[places]
