"""Queries that an index has not seen, with their exact neighbours: what its recall is measured on.

A document that is in the graph is found more easily than a new vector like it, as the lists of its neighbours were made
for it. So documents that serve as queries are held out: nothing leads to them, and lists that named them are repaired.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fingerpost.ext import hnsw as kernel
from fingerpost.tasks.ann.exact import ExactIndex
from fingerpost.tasks.ann.graph import NONE, Graph
from fingerpost.tasks.ann.search import Metric, SearchCounters, SearchResult, checked_vectors

#: documents: rows of the collection itself, held out. queries: vectors that the user gave.
Population = Literal["documents", "queries"]
#: How a graph is made in which nothing leads to some of its nodes (bool (n,)).
Repaired = Callable[[Graph, NDArray[np.bool_]], Graph]
#: Neighbours that are found beyond those wanted, since some rows are held out.
_SPARE = 10


@dataclass(frozen=True)
class AskedVectors:
    """Queries float32 (q, d), and their exact k nearest among the rows that are not held out."""

    vectors: NDArray[np.float32]
    exact: SearchResult

    @property
    def size(self) -> int:
        """Number of queries."""
        return len(self.vectors)


@dataclass(frozen=True)
class HeldOut:
    """Queries that an index has not seen, float32 (q, d).

    population: what they are a sample of. removed: rows that are held out, int64 ascending. choosing: queries that the plan
    is chosen on; certifying: others, on which recall is measured.
    """

    population: Population
    removed: NDArray[np.int64]
    choosing: NDArray[np.float32]
    certifying: NDArray[np.float32]


def rows_to_hold_out(graph: Graph, count: int, *, share: float, seed: int) -> NDArray[np.int64]:
    """Up to ``count`` rows, and up to a share of all, in random order: int64, of nodes on level 0 alone.

    Levels are drawn without regard to the vectors, so that this is a random sample of all.
    """
    free = np.ones(graph.size, dtype=bool)
    free[graph.entry_points] = False
    for level in graph.upper:
        free[level.nodes] = False
    rows = np.flatnonzero(free)
    most = min(count, int(graph.size * share), len(rows))
    return np.random.default_rng(seed).permutation(rows)[:most].astype(np.int64)


def held_out_graph(graph: Graph, rows: NDArray[np.int64], repaired: Repaired) -> Graph:
    """The graph with the same numbers of nodes, in which nothing leads to ``rows``."""
    if not len(rows):
        return graph
    removed = np.zeros(graph.size, dtype=bool)
    removed[rows] = True
    return repaired(graph, removed)


def held_out_documents(vectors: NDArray[np.float32], rows: NDArray[np.int64], *, choosing: float) -> HeldOut:
    """Rows (in random order) as queries of an index that lacks them; ``choosing``: the fraction for choosing the plan."""
    first, second = _parts(rows, choosing)
    return HeldOut("documents", np.sort(rows), vectors[first], vectors[second])


def given_queries(queries: ArrayLike, *, columns: int, count: int, choosing: float, seed: int) -> HeldOut:
    """Up to ``count`` distinct vectors of a user's queries (q, columns), at random; no document is held out.

    Equal vectors count once, so that no query is in both parts. Raises VectorError for vectors that do not fit.
    """
    given = np.unique(checked_vectors(queries, "queries", columns=columns), axis=0)
    rows = np.random.default_rng(seed).permutation(len(given))[:count]
    first, second = _parts(rows, choosing)
    return HeldOut("queries", np.empty(0, dtype=np.int64), given[first], given[second])


def asked(
    queries: NDArray[np.float32], vectors: NDArray[np.float32], removed: NDArray[np.int64], metric: Metric, *, k: int
) -> AskedVectors:
    """Queries with their exact k nearest among the vectors (n, d) that are not ``removed``."""
    exact, rows, found = ExactIndex(vectors, metric), np.ascontiguousarray(queries), _nothing(len(queries), k)
    left, depth = np.arange(len(rows)), k + (_SPARE if len(removed) else 0)
    while len(left):
        depth = min(depth, len(vectors))
        result = exact.search(rows[left], depth)
        kept = (result.ids != NONE) & ~np.isin(result.ids, removed)
        # A stable sort brings the rows that are kept to the front, in their order.
        order = np.argsort(~kept, axis=1, kind="stable")[:, :k]
        ids, distances, real = (
            np.take_along_axis(part, order, axis=1) for part in (result.ids, result.distances, kept)
        )
        found.ids[left, : ids.shape[1]] = np.where(real, ids, NONE)
        found.distances[left, : ids.shape[1]] = np.where(real, distances, np.inf)
        left = left[kept.sum(axis=1) < k] if depth < len(vectors) else left[:0]
        depth *= 4
    return AskedVectors(rows, found)


def recalls(
    found: SearchResult, asked: AskedVectors, vectors: NDArray[np.float32], metric: Metric
) -> NDArray[np.float64]:
    """The fraction of each query's true neighbours that was found, float64 (q,).

    Distances are computed again from the vectors, whatever the index compared: a neighbour counts if it is no farther than
    the last of the true ones, so that ties may be broken either way.
    """
    k = asked.exact.ids.shape[1]
    ids = np.sort(found.ids[:, :k], axis=1)
    new = ids != NONE
    new[:, 1:] &= ids[:, 1:] != ids[:, :-1]
    owners, _ = np.nonzero(new)
    indptr = np.concatenate([[0], np.cumsum(new.sum(axis=1))]).astype(np.int64)
    distances = _distances(asked.vectors, vectors, indptr, ids[new], metric)
    there = (asked.exact.ids != NONE).sum(axis=1)
    limits = np.where(there > 0, asked.exact.distances[np.arange(asked.size), np.maximum(there - 1, 0)], -np.inf)
    hits = np.bincount(owners[distances <= limits[owners]], minlength=asked.size)
    return np.where(there > 0, np.minimum(hits, there) / np.maximum(there, 1), 1.0)


def _distances(
    queries: NDArray[np.float32],
    vectors: NDArray[np.float32],
    indptr: NDArray[np.int64],
    ids: NDArray[np.uint32],
    metric: Metric,
) -> NDArray[np.float32]:
    """Exact distances of each query to its rows, by the kernels that exact search uses."""
    if not len(ids):
        return np.empty(0, dtype=np.float32)
    rows, places = np.unique(ids, return_inverse=True)
    compared = vectors[rows]
    if metric == "cosine":
        queries, compared = kernel.normalise_rows(queries)[0], kernel.normalise_rows(compared)[0]
    return kernel.gather_distances(queries, compared, indptr, places.astype(np.uint32), metric)


def _parts(rows: NDArray[np.int64], choosing: float) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    first = round(len(rows) * choosing)
    return rows[:first], rows[first:]


def _nothing(queries: int, k: int) -> SearchResult:
    shape = (queries, k)
    return SearchResult(np.full(shape, NONE, np.uint32), np.full(shape, np.inf, np.float32), SearchCounters())
