"""An index that changes: rows are deleted, which hides them at once, and added; compaction takes deleted rows out."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fingerpost.tasks.ann.compaction import ChangedGraph, GuardParams, guard_recall, guarded_graph
from fingerpost.tasks.ann.filtered_index import FilteredIndex
from fingerpost.tasks.ann.graph import Graph
from fingerpost.tasks.ann.growth import changed_graph
from fingerpost.tasks.ann.hnsw import HnswParams
from fingerpost.tasks.ann.keep import KeepLike, keep_rows
from fingerpost.tasks.ann.search import Metric, SearchResult, VectorError, checked_vectors


class LivingIndex:
    """A graph search over rows that come and go.

    vectors: numbers (n, d). graph: built of them with ``params``. guard: how far recall may fall below that of the first
    compaction's graph, or of the last full build. Rows are numbered in the order in which they came, until a compaction
    renumbers them. Not to be changed by several threads at once.
    """

    def __init__(
        self, vectors: ArrayLike, graph: Graph, params: HnswParams, *, guard: GuardParams = GuardParams()
    ) -> None:
        self.params, self.guard = params, guard
        self._index = FilteredIndex(vectors, graph, params.metric)
        self._deleted = np.zeros(len(self._index.vectors), dtype=np.bool_)
        self._base: float | None = None

    @property
    def metric(self) -> Metric:
        """The metric of distances."""
        return self.params.metric

    @property
    def vectors(self) -> NDArray[np.float32]:
        """The vectors float32 (n, d), those of deleted rows among them."""
        return self._index.vectors

    @property
    def graph(self) -> Graph:
        """The graph, deleted rows in it."""
        return self._index.graph

    @property
    def deleted(self) -> NDArray[np.bool_]:
        """Which rows are deleted, bool (n,)."""
        return self._deleted.copy()

    @property
    def deleted_share(self) -> float:
        """The fraction of rows that are deleted and still in the graph."""
        return float(self._deleted.mean())

    def search(
        self, queries: ArrayLike, k: int, *, ef: int, threads: int = 1, keep: KeepLike | None = None
    ) -> SearchResult:
        """The k nearest rows that are not deleted; as :meth:`fingerpost.tasks.ann.filtered_index.FilteredIndex.search`."""
        return self._index.search(queries, k, ef=ef, threads=threads, keep=self._left(queries, keep))

    def within(
        self,
        queries: ArrayLike,
        radius: float,
        *,
        most: int,
        ef: int = 100,
        threads: int = 1,
        keep: KeepLike | None = None,
    ) -> SearchResult:
        """The rows within a radius that are not deleted; as those of the index with a filter."""
        left = self._left(queries, keep)
        return self._index.within(queries, radius, most=most, ef=ef, threads=threads, keep=left)

    def delete(self, rows: ArrayLike) -> None:
        """Hides rows from all searches; ValueError for rows that are not there, or are deleted already."""
        chosen = np.asarray(rows, dtype=np.int64).reshape(-1)
        if len(chosen) and not 0 <= int(chosen.min()) <= int(chosen.max()) < len(self._deleted):
            raise ValueError(f"rows: expected 0 to {len(self._deleted) - 1}, got others; choose among the index's")
        if self._deleted[chosen].any() or len(np.unique(chosen)) < len(chosen):
            raise ValueError("rows: expected rows that are not deleted, each once, got others; delete a row once")
        self._deleted[chosen] = True

    def add(self, vectors: ArrayLike, *, threads: int = 1) -> NDArray[np.int64]:
        """Inserts vectors (m, d) into the graph; their rows, int64 (m,)."""
        new = checked_vectors(vectors, columns=self.vectors.shape[1])
        size = len(self._deleted)
        origin = np.concatenate([np.arange(size), np.full(len(new), -1)]).astype(np.int64)
        together = np.concatenate([self.vectors, new])
        graph, _ = changed_graph(together, self.graph, origin, self.params, threads=threads)
        self._index = FilteredIndex(together, graph, self.metric)
        self._deleted = np.concatenate([self._deleted, np.zeros(len(new), dtype=np.bool_)])
        return np.arange(size, len(together))

    def compact(self, *, threads: int = 1) -> tuple[NDArray[np.int64], ChangedGraph]:
        """Takes deleted rows out of graph and vectors; the earlier row of each row, and what was done.

        The graph is built again where its recall fell too far. VectorError where all rows are deleted.
        """
        if self._deleted.all():
            raise VectorError(f"index: expected a row that is left, got {len(self._deleted)} deleted; add rows first")
        if self._base is None:
            self._base = guard_recall(self.vectors, self.graph, self.metric, self.guard)
        rows = np.flatnonzero(~self._deleted)
        left = self.vectors[rows]
        changed = guarded_graph(left, self.graph, rows, self.params, base=self._base, guard=self.guard, threads=threads)
        self._base = changed.base
        self._index = FilteredIndex(left, changed.graph, self.metric)
        self._deleted = np.zeros(len(rows), dtype=np.bool_)
        return rows, changed

    def _left(self, queries: ArrayLike, keep: KeepLike | None) -> KeepLike | None:
        """What a search may find besides deleted rows."""
        if not self._deleted.any():
            return keep
        if keep is None:
            return ~self._deleted
        return keep_rows(keep, size=len(self._deleted), queries=len(np.asarray(queries))).without(self._deleted)
