"""Entities of both sides that share neighbours, the rarer the better: what finds pairs where names say little."""

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from fingerpost.tasks.kg.assignment import row_numbers
from fingerpost.tasks.kg.search import Nearest

#: Entities whose partners are looked up at a time.
_BLOCK = 4096


class SharedNeighbors:
    """Pairs of entities by the neighbours that they share.

    own, other: CSR of ones (entities, entities), which are neighbours by any relation. anchors: (m, 2) pairs of entities
    of both sides that count as one. A shared neighbour weighs the log of all entities over those that have it; the score
    of a pair is the sum over those shared, over the geometric mean of those of either side.
    """

    def __init__(
        self, own: sparse.csr_array, other: sparse.csr_array, anchors: NDArray[np.integer], *, most_neighbors: int
    ) -> None:
        sides = [sparse.csr_array(side[:, anchors[:, place]]) for place, side in enumerate((own, other))]
        sizes = [np.bincount(side.indices, minlength=len(anchors)) for side in sides]
        rare = np.flatnonzero((np.minimum(*sizes) > 0) & (np.maximum(*sizes) <= most_neighbors))
        weights = np.log((2 + own.shape[0] + other.shape[0]) / (1 + sizes[0][rare] + sizes[1][rare]))
        self._rows, turned = (sparse.csr_array(side[:, rare] * np.sqrt(weights)[None]) for side in sides)
        self._scales = [_scales(self._rows), _scales(turned)]
        self._turned = sparse.csr_array(turned.T)

    def nearest(
        self,
        begin: int,
        end: int,
        types: tuple[NDArray[np.integer], NDArray[np.integer]],
        *,
        most: int,
        within: bool = False,
    ) -> Nearest:
        """The ``most`` best partners of the entities from ``begin`` to ``end`` (exclusive), of the same type.

        types: see `type_numbers`; of type -1 there are none. Equal ones ascend. within: both sides are one, and an entity
        is no partner of itself.
        """
        return self.nearest_of(np.arange(begin, end), types, most=most, within=within)

    def nearest_of(
        self,
        entities: NDArray[np.integer],
        types: tuple[NDArray[np.integer], NDArray[np.integer]],
        *,
        most: int,
        within: bool = False,
    ) -> Nearest:
        """As `nearest`, of some entities, which ascend."""
        blocks = [entities[at : at + _BLOCK] for at in range(0, len(entities), _BLOCK)]
        parts = [self._block(block, types, most, within) for block in blocks]
        owners, rows, scores = (np.concatenate(column) for column in zip(*parts, strict=True)) if parts else _NOTHING
        ends = np.searchsorted(owners, entities, side="right")
        indptr = np.concatenate(([0], ends)).astype(np.int64)
        return Nearest(indptr, rows.astype(np.uint32), scores.astype(np.float32))

    def _block(
        self,
        entities: NDArray[np.integer],
        types: tuple[NDArray[np.integer], NDArray[np.integer]],
        most: int,
        within: bool,
    ) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]:
        found = (self._rows[entities] @ self._turned).tocoo()
        rows, columns = entities[found.row].astype(np.int64), found.col.astype(np.int64)
        kept = (types[0][rows] == types[1][columns]) & (types[0][rows] >= 0)
        if within:
            kept &= rows != columns
        rows, columns = rows[kept], columns[kept]
        scores = found.data[kept] * self._scales[0][rows] * self._scales[1][columns]
        order = np.lexsort((columns, -scores, rows))
        order = order[places(rows[order]) < most]
        return rows[order], columns[order], scores[order]


_NOTHING = (np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.int64), np.zeros(0))


def _scales(rows: sparse.csr_array) -> NDArray[np.float64]:
    """One over the length of each row; 1 for empty ones."""
    squares = np.bincount(row_numbers(rows), rows.data**2, minlength=rows.shape[0])
    return 1.0 / np.sqrt(np.where(squares > 0, squares, 1.0))


def mutual_nearest(left: Nearest, right: Nearest, *, least: float) -> NDArray[np.int64]:
    """(m, 2): the pairs whose entities are each the other's nearest, with a cosine of at least ``least``."""
    best = [_first(side) for side in (left, right)]
    ones = np.flatnonzero(best[0] >= 0)
    mutual = ones[best[1][best[0][ones]] == ones]
    close = left.similarities[left.indptr[mutual]] >= least
    return np.stack([mutual[close], best[0][mutual[close]]], axis=1)


def _first(nearest: Nearest) -> NDArray[np.int64]:
    found = np.full(len(nearest.indptr) - 1, -1, dtype=np.int64)
    some = np.diff(nearest.indptr) > 0
    found[some] = nearest.rows[nearest.indptr[:-1][some]]
    return found


def places(owners: NDArray[np.integer]) -> NDArray[np.int64]:
    """The place of each item among those of its owner; owners ascend."""
    starts = np.flatnonzero(np.diff(owners, prepend=-1)) if len(owners) else np.zeros(0, dtype=np.int64)
    sizes = np.diff(np.append(starts, len(owners)))
    return np.arange(len(owners)) - np.repeat(starts, sizes)
