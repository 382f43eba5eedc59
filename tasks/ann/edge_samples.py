"""Sampled residuals of a graph's edges, and their principal directions.

Pairs of neighbours of one node stand for a query and a neighbour: a query for which the node is expanded would be one
of its neighbours were it stored. Source: Chen et al., FINGER, WWW 2023, section 3.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fingerpost.tasks.ann.finger_basis import BLOCK_ROWS, TINY_NORM2, checked_rows
from fingerpost.tasks.ann.graph import Graph


@dataclass(frozen=True)
class EdgeSample:
    """Residuals of two different neighbours for each sampled node.

    first, second: (pairs, dim) float64, orthogonal to the node, in an order drawn at random. directions: (dim, dim) float64, right singular vectors
    of the first residuals, most important first, largest entry of each positive. tiny_norm2: squared norm below which a
    node has no direction.
    """

    first: NDArray[np.float64]
    second: NDArray[np.float64]
    directions: NDArray[np.float64]
    tiny_norm2: float


def sample_edges(vectors: np.ndarray, graph: Graph, *, nodes: int, seed: int) -> EdgeSample:
    """A sample of at most so many nodes with two neighbours; VectorError for vectors that do not fit the graph."""
    rows = checked_rows(vectors, graph)
    tiny = TINY_NORM2 * _mean_norm2(rows)
    pairs = _pairs(graph, nodes=nodes, seed=seed)
    centres = rows[pairs[:, 0]].astype(np.float64)
    norm2 = np.einsum("ij,ij->i", centres, centres)
    usable = (norm2 >= tiny) & (norm2 > 0)
    pairs, centres, norm2 = pairs[usable], centres[usable], norm2[usable]
    first, second = (_residuals(rows[pairs[:, i]].astype(np.float64), centres, norm2) for i in (1, 2))
    lengths = np.linalg.norm(first, axis=1) * np.linalg.norm(second, axis=1)
    told = lengths > 1e-12 * max(float(lengths.max(initial=0.0)), 1e-300)
    return EdgeSample(first[told], second[told], _directions(first), tiny)


def _mean_norm2(rows: np.ndarray) -> float:
    total = 0.0
    for begin in range(0, len(rows), BLOCK_ROWS):
        block = rows[begin : begin + BLOCK_ROWS].astype(np.float64)
        total += float(np.einsum("ij,ij->", block, block))
    return total / max(len(rows), 1)


def _pairs(graph: Graph, *, nodes: int, seed: int) -> NDArray[np.int64]:
    """(pairs, 3): a node and two different neighbours of it."""
    random = np.random.default_rng(seed)
    degree = graph.degrees
    centres = np.flatnonzero(degree > 1)
    centres = random.permutation(centres)[:nodes]
    first = random.integers(0, degree[centres])
    second = random.integers(0, degree[centres] - 1)
    second += second >= first
    start = graph.indptr[centres]
    return np.stack([centres, graph.indices[start + first], graph.indices[start + second]], axis=1).astype(np.int64)


def _residuals(others: np.ndarray, centres: np.ndarray, norm2: np.ndarray) -> NDArray[np.float64]:
    coefficient = np.einsum("ij,ij->i", centres, others) / norm2
    return others - coefficient[:, None] * centres


def _directions(residuals: np.ndarray) -> NDArray[np.float64]:
    """All right singular vectors, through the dim × dim Gram matrix; the axes where there are no residuals."""
    gram = residuals.T @ residuals
    if not gram.any():
        return np.eye(residuals.shape[1])
    _, columns = np.linalg.eigh(gram)
    directions = columns[:, ::-1].T
    largest = np.take_along_axis(directions, np.abs(directions).argmax(axis=1)[:, None], axis=1)
    return np.ascontiguousarray(directions * np.sign(largest))
