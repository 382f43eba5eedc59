"""Exact nearest neighbours behind the interface of the approximate index: the oracle of its recall."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fingerpost.ext import hnsw as kernel
from fingerpost.tasks.ann.graph import MAX_NODES, NONE
from fingerpost.tasks.ann.search import (
    Metric,
    SearchCounters,
    SearchResult,
    VectorError,
    check_metric,
    check_search,
    checked_vectors,
    no_direction,
)

#: Rows of one matrix product.
BLOCK_ROWS = 4096
QUERY_ROWS = 256


class ExactIndex:
    """Exact search by comparison with all vectors.

    A matrix product in blocks of 4,096 rows screens candidates; all that may be among the k nearest within rounding are
    compared again by the kernel of the graph search, so that distances equal those of
    :class:`fingerpost.tasks.ann.hnsw.HnswIndex` bit for bit. VectorError for bad vectors or more than ``MAX_NODES``.
    """

    def __init__(self, vectors: ArrayLike, metric: Metric) -> None:
        check_metric(metric)
        self._vectors = checked_vectors(vectors)
        if not 0 < len(self._vectors) <= MAX_NODES:
            raise VectorError(f"vectors: expected 1 to {MAX_NODES} rows, got {len(self._vectors)}; split the corpus")
        self.metric: Metric = metric
        self._rows = self._prepared(self._vectors, "vectors")
        self._norms = np.einsum("ij,ij->i", self._rows, self._rows)

    @property
    def vectors(self) -> NDArray[np.float32]:
        """The vectors float32 (n, d) as given."""
        return self._vectors

    def _prepared(self, rows: NDArray[np.float32], name: str) -> NDArray[np.float32]:
        if self.metric != "cosine":
            return rows
        unit, bad = kernel.normalise_rows(rows)
        if bad >= 0:
            raise no_direction(name, bad)
        return unit

    def search(self, queries: ArrayLike, k: int, *, ef: int = 1, threads: int = 1) -> SearchResult:
        """The k nearest of each query (q, d); ``ef`` and ``threads`` have no effect."""
        check_search(k, ef, threads)
        rows = self._prepared(checked_vectors(queries, "queries", columns=self._vectors.shape[1]), "queries")
        ids = np.full((len(rows), k), NONE, dtype=np.uint32)
        distances = np.full((len(rows), k), np.inf, dtype=np.float32)
        compared = len(rows) * len(self._rows)
        for begin in range(0, len(rows), QUERY_ROWS):
            part = slice(begin, begin + QUERY_ROWS)
            compared += self._search_block(rows[part], ids[part], distances[part])
        return SearchResult(ids, distances, SearchCounters(distances=compared))

    def _search_block(
        self, queries: NDArray[np.float32], ids: NDArray[np.uint32], distances: NDArray[np.float32]
    ) -> int:
        """Fills one block of results; returns the number of candidates compared again."""
        k = min(ids.shape[1], len(self._rows))
        owners, candidates = self._candidates(queries, k)
        order = np.argsort(owners, kind="stable")
        owners, candidates = owners[order], np.ascontiguousarray(candidates[order])
        indptr = np.concatenate([[0], np.cumsum(np.bincount(owners, minlength=len(queries)))]).astype(np.int64)
        exact = kernel.gather_distances(queries, self._rows, indptr, candidates, self.metric)
        order = np.lexsort((candidates, exact, owners))
        first = indptr[:-1, None] + np.arange(k)
        ids[:, :k] = candidates[order][first]
        distances[:, :k] = exact[order][first]
        return len(candidates)

    def _candidates(self, queries: NDArray[np.float32], k: int) -> tuple[NDArray[np.int64], NDArray[np.uint32]]:
        """(query, row) indices of all pairs that may be among the k nearest, whatever the rounding of the products."""
        norms = np.einsum("ij,ij->i", queries, queries)
        # Bound on the rounding of a float32 product of d terms, in any order, against that of the kernel.
        unit = np.finfo(np.float32).eps * (queries.shape[1] / 4 + 16)
        slack = unit * (norms + self._norms.max() + 1.0)
        best = np.full((len(queries), 0), np.inf, dtype=np.float32)
        owners, rows, values = [], [], []
        for begin in range(0, len(self._rows), BLOCK_ROWS):
            block = self._rows[begin : begin + BLOCK_ROWS]
            screen = queries @ block.T
            if self.metric == "l2":
                screen = norms[:, None] - 2.0 * screen + self._norms[begin : begin + BLOCK_ROWS]
            else:
                screen = 1.0 - screen
            if best.shape[1] < k:
                best = _smallest(np.hstack([best, screen]), k)
                limit = best.max(axis=1) + slack if best.shape[1] == k else np.full(len(queries), np.inf)
                owner, row = np.nonzero(screen <= limit[:, None])
                value = screen[owner, row]
            else:
                owner, row = np.nonzero(screen <= (best.max(axis=1) + slack)[:, None])
                value = screen[owner, row]
                best = _merged(best, owner, value)
            owners.append(owner)
            rows.append((row + begin).astype(np.uint32))
            values.append(value)
        owner, row, value = np.concatenate(owners), np.concatenate(rows), np.concatenate(values)
        keep = value <= (best.max(axis=1) + slack)[owner]
        return owner[keep], row[keep]


def _smallest(values: NDArray[np.float32], k: int) -> NDArray[np.float32]:
    return values if values.shape[1] <= k else np.partition(values, k - 1, axis=1)[:, :k]


def _merged(best: NDArray[np.float32], owner: NDArray[np.int64], value: NDArray[np.float32]) -> NDArray[np.float32]:
    """The k smallest values of each row after adding ``value`` to rows ``owner`` (ascending)."""
    if len(owner) == 0:
        return best
    counts = np.bincount(owner, minlength=len(best))
    fresh = np.full((len(best), int(counts.max())), np.inf, dtype=np.float32)
    fresh[owner, np.arange(len(owner)) - np.repeat(np.cumsum(counts) - counts, counts)] = value
    return _smallest(np.hstack([best, fresh]), best.shape[1])
