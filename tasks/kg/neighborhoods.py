"""Capped neighbourhoods of nodes, as many hops deep as asked.

A node has one sample, whichever node it is reached from, so that a neighbourhood of two hops is the samples of a node and
of its neighbours, each stored once.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fingerpost.ext.sampling import sample_neighbors
from fingerpost.tasks.kg.graph import GraphError, RelationGraph
from fingerpost.tasks.kg.lookups import spread


@dataclass(frozen=True)
class SamplingParams:
    """Parameters of sampled neighbourhoods.

    cap: neighbours of a node that are kept.
    hops: depth of a neighbourhood.
    seed: seed of the sampled neighbours.
    weighted: whether an edge is drawn with a weight of 1 / the neighbours that share its relation, so that a rare
        relation is hardly ever lost; otherwise all are alike.
    """

    cap: int = 10
    hops: int = 2
    seed: int = 0
    weighted: bool = True

    def __post_init__(self) -> None:
        if self.cap < 1 or self.hops < 1:
            raise ValueError(
                f"sampling: expected a cap and hops of at least 1, got {self.cap} and {self.hops}; 10 and 2 are usual"
            )


@dataclass(frozen=True)
class Neighborhoods:
    """The sampled neighbours of nodes.

    nodes: uint32 (m,), ascending; neighbors, relations: uint32, those of nodes[i] from indptr[i] to indptr[i + 1]
    (int64), ascending by relation and neighbour. relations: see `RelationGraph`.
    """

    nodes: NDArray[np.uint32]
    indptr: NDArray[np.int64]
    neighbors: NDArray[np.uint32]
    relations: NDArray[np.uint32]

    def of(self, node: int) -> tuple[NDArray[np.uint32], NDArray[np.uint32]]:
        """The relations and neighbours of one node; KeyError for one that was not sampled."""
        place = int(np.searchsorted(self.nodes, node))
        if place == len(self.nodes) or self.nodes[place] != node:
            raise KeyError(node)
        found = slice(self.indptr[place], self.indptr[place + 1])
        return self.relations[found], self.neighbors[found]


def sampled_neighborhoods(
    graph: RelationGraph, roots: NDArray[np.integer], params: SamplingParams, *, threads: int = 1
) -> Neighborhoods:
    """The samples of the roots and of all that is reached from them in ``params.hops - 1`` steps.

    roots: (m,) nodes in any order. Neither the other roots nor ``threads`` change a sample. GraphError for nodes out of
    range.
    """
    roots = np.asarray(roots)
    if len(roots) and not 0 <= roots.min() <= roots.max() < graph.nodes:
        raise GraphError(f"roots: expected nodes of 0 to {graph.nodes - 1}, got others; correct them")
    known = np.zeros(graph.nodes, dtype=bool)
    known[roots] = True
    frontier = np.flatnonzero(known).astype(np.uint32)
    for _ in range(params.hops - 1):
        reached = np.zeros(graph.nodes, dtype=bool)
        reached[_sample(graph, frontier, params, threads).neighbors] = True
        reached &= ~known
        known |= reached
        frontier = np.flatnonzero(reached).astype(np.uint32)
    # Once more for the inner hops: less work than to merge theirs with the far larger last one.
    return _sample(graph, np.flatnonzero(known).astype(np.uint32), params, threads)


def _sample(graph: RelationGraph, nodes: NDArray[np.uint32], params: SamplingParams, threads: int) -> Neighborhoods:
    indptr, neighbors, relations = sample_neighbors(
        graph.run_ranges,
        graph.relations,
        graph.starts,
        graph.neighbors,
        nodes,
        cap=params.cap,
        seed=params.seed,
        weighted=params.weighted,
        threads=threads,
    )
    return Neighborhoods(nodes, indptr, neighbors, relations)


def merged(parts: list[Neighborhoods]) -> Neighborhoods:
    """The samples of several shards in one, a node that occurs in several once; ValueError without any part."""
    if not parts:
        raise ValueError("neighbourhoods: expected at least one part, got none; sample some nodes")
    if len(parts) == 1:
        return parts[0]
    nodes, order = np.unique(np.concatenate([part.nodes for part in parts]), return_index=True)
    sizes = np.concatenate([np.diff(part.indptr) for part in parts])
    begins = (np.cumsum(sizes) - sizes)[order]
    indptr = np.concatenate(([0], np.cumsum(sizes[order])))
    places = spread(begins, sizes[order])
    return Neighborhoods(
        nodes,
        indptr,
        np.concatenate([part.neighbors for part in parts])[places],
        np.concatenate([part.relations for part in parts])[places],
    )
