"""One hop of an aligner: which rows go through which matrix, and which of the results are a node's neighbours."""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from fingerpost.tasks.kg.aligner_graphs import NONE, AlignerGraph


@dataclass(frozen=True)
class Hop:
    """The rows of a hop; each node goes through a matrix once, however many have it as a neighbour.

    before: int64 (b,), the nodes whose vectors it needs, ascending. own: int64 (n,), the places of the nodes themselves in
    these. rows: int64 (p,), places of neighbours in these, grouped by matrix. groups: matrix, begin and end of each group
    of rows. slots: int64 (n, slots), rows of the neighbours of each node, or `NONE`. matrices: int32 (n, slots), the matrix
    of each neighbour.
    """

    before: NDArray[np.int64]
    own: NDArray[np.int64]
    rows: NDArray[np.int64]
    groups: tuple[tuple[int, int, int], ...]
    slots: NDArray[np.int64]
    matrices: NDArray[np.int32]

    @property
    def means(self) -> sparse.csr_array:
        """CSR float32 (n, p): the mean of each node's neighbours; empty rows for nodes without any."""
        known = self.slots != NONE
        counts = known.sum(axis=1)
        weights = np.repeat(1 / np.maximum(counts, 1), counts).astype(np.float32)
        ranges = np.concatenate(([0], np.cumsum(counts)))
        return sparse.csr_array((weights, self.slots[known], ranges), shape=(len(self.slots), len(self.rows)))

    def packed(self) -> "Hop":
        """The same with the neighbours in the first slots, and as many slots as a node has neighbours at most."""
        known = self.slots != NONE
        order = np.argsort(~known, axis=1, kind="stable")[:, : max(int(known.sum(axis=1).max(initial=0)), 1)]
        rows = np.arange(len(order))[:, None]
        return replace(self, slots=self.slots[rows, order], matrices=self.matrices[rows, order])

    @property
    def crowds(self) -> NDArray[np.float32]:
        """float32 (n, slots): logarithm of the number of neighbours of the same node that go through the same matrix."""
        through = np.where(self.slots != NONE, self.matrices, -1)
        return np.log((through[:, :, None] == through[:, None]).sum(axis=2)).astype(np.float32)


def hop(graph: AlignerGraph, nodes: NDArray[np.integer]) -> Hop:
    """The hop to some nodes (n,) from their neighbours; nodes that are values have none."""
    nodes = np.asarray(nodes, np.int64)
    width, total = graph.neighbors.shape[1], graph.nodes
    entities = nodes < graph.entities
    neighbors = np.full((len(nodes), width), NONE, np.int64)
    neighbors[entities] = graph.neighbors[nodes[entities]]
    matrices = np.zeros((len(nodes), width), np.int32)
    matrices[entities] = graph.matrices[nodes[entities]]
    known = neighbors != NONE
    keys, places = np.unique(matrices[known].astype(np.int64) * total + neighbors[known], return_inverse=True)
    slots = np.full((len(nodes), width), NONE, np.int64)
    slots[known] = places
    through, ends = keys // total, keys % total
    before = np.unique(np.concatenate([nodes, ends]))
    begins = np.flatnonzero(np.diff(through, prepend=-1))
    groups = zip(through[begins].tolist(), begins.tolist(), np.append(begins, len(keys))[1:].tolist(), strict=True)
    return Hop(before, np.searchsorted(before, nodes), np.searchsorted(before, ends), tuple(groups), slots, matrices)
