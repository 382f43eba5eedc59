"""The dense side of text queries: how texts become vectors, the search for the nearest, and the neighbours of documents."""

from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from fingerpost.ext import hnsw as kernel
from fingerpost.tasks.ann.exact import ExactIndex
from fingerpost.tasks.ann.filtered import NOTHING, Nearest, nearest_kept
from fingerpost.tasks.ann.neighbors import without_self
from fingerpost.tasks.ann.search import Index, Metric
from fingerpost.tasks.corpus.projected_row import project_row
from fingerpost.tasks.corpus.term_weights import TermWeights

#: Rows of neighbours uint32 (r, m), padded with 0xFFFFFFFF, and cosines float32 (r, m).
Near = tuple[NDArray[np.uint32], NDArray[np.float32]]


class Neighbors(Protocol):
    """The documents nearest to each document, itself left out."""

    def of(self, rows: NDArray[np.int64]) -> Near:
        """The neighbours of rows."""


@dataclass(frozen=True)
class NeighborTable:
    """Neighbours that were found with the index: ids uint32 (n, m), padded with 0xFFFFFFFF, and cosines float32 (n, m)."""

    ids: NDArray[np.uint32]
    cosines: NDArray[np.float32]

    def of(self, rows: NDArray[np.int64]) -> Near:
        """The neighbours of rows."""
        return self.ids[rows], self.cosines[rows]


@dataclass(frozen=True)
class ExactNeighbors:
    """Neighbours by comparison with all vectors, of norm 1 or zero; count: of each document. Each is found once."""

    index: ExactIndex
    count: int
    _found: dict[int, Near] = field(default_factory=dict, init=False, repr=False, compare=False)

    def of(self, rows: NDArray[np.int64]) -> Near:
        """The neighbours of rows."""
        new = np.array([row for row in np.unique(rows).tolist() if row not in self._found], dtype=np.int64)
        if len(new):
            result = without_self(self.index.search(self.index.vectors[new], self.count + 1), new)
            distances = result.distances / 2 if self.index.metric == "l2" else result.distances
            cosines = np.where(np.isfinite(distances), 1.0 - distances, 0.0).astype(np.float32)
            self._found.update(zip(new.tolist(), zip(result.ids, cosines, strict=True), strict=True))
        shape = (len(rows), self.count)
        near = [self._found[row] for row in rows.tolist()]
        ids = np.array([one for one, _ in near], dtype=np.uint32).reshape(shape)
        return ids, np.array([one for _, one in near], dtype=np.float32).reshape(shape)


@dataclass(frozen=True)
class DenseSide:
    """The vectors of documents, rows of norm 1 or zero, and how terms become one.

    terms: their weights in a vector. components: float32 (columns, d). neighbors: the nearest of each document.
    """

    terms: TermWeights
    components: NDArray[np.float32]
    index: Index
    neighbors: Neighbors

    @property
    def metric(self) -> Metric:
        """The metric that orders rows of norm 1 as the index does, and that a row of zeros has a distance under."""
        return "ip" if self.index.metric == "cosine" else self.index.metric

    def vector(self, columns: NDArray[np.int64], weights: NDArray[np.float32]) -> NDArray[np.float32]:
        """The vector of a text with these terms, float32 (d,), of norm 1; zeros if it has none."""
        return project_row(*self.terms.row(columns, weights), self.components)

    def nearest(self, vector: NDArray[np.float32], count: int, keep: NDArray[np.bool_] | None) -> Nearest:
        """The rows nearest to a vector (d,), of those in ``keep``; none to a vector of zeros."""
        return nearest_kept(self.index, vector, count, keep=keep) if vector.any() else NOTHING

    def cosines(self, vector: NDArray[np.float32], rows: NDArray[np.int64]) -> NDArray[np.float32]:
        """The cosines of a vector (d,) with rows, float32: the same bits whichever side proposed a row."""
        bounds = np.array([0, len(rows)], dtype=np.int64)
        found = kernel.gather_distances(vector[None], self.index.vectors, bounds, rows.astype(np.uint32), "ip")
        return (1.0 - found).astype(np.float32)
