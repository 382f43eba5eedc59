"""Anchors: neighbours of two entities that are known to be the same."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fingerpost.tasks.kg.entity_texts import Linked
from fingerpost.tasks.kg.paired_texts import Floats, PairedEntities
from fingerpost.tasks.kg.term_rows import TermRows, overlap

#: What is measured of common anchors, as of common words.
MEASURES = ("cosine", "contained", "jaccard", "rarest_common")


@dataclass(frozen=True)
class Anchors:
    """The anchors next to the entities of both sides, by number, and how rare each is: next to how few entities."""

    left: Linked
    right: Linked
    rarity: NDArray[np.float32]

    @staticmethod
    def of(left: Linked, right: Linked, pairs: NDArray[np.integer]) -> "Anchors":
        """From the neighbours of both sides and pairs (m, 2) known to be the same."""
        ours, theirs = _numbered(left, pairs[:, 0]), _numbered(right, pairs[:, 1])
        counts = sum(np.bincount(side.neighbors, minlength=len(pairs)) for side in (ours, theirs))
        rarity = np.log((1.0 + left.entities + right.entities) / (1.0 + counts))
        return Anchors(ours, theirs, rarity.astype(np.float32))

    def measures(self, chosen: PairedEntities) -> dict[str, Floats]:
        """Of pairs, NaN where either entity has no anchor."""
        rows = [self._rows(*side) for side in ((self.left, chosen.left), (self.right, chosen.right))]
        found = overlap(rows, chosen.pairs)
        sizes = [np.diff(one.indptr)[chosen.pairs[:, side]] for side, one in enumerate(rows)]
        has = (sizes[0] > 0) & (sizes[1] > 0)
        return {measure: np.where(has, getattr(found, measure), np.nan) for measure in MEASURES}

    def _rows(self, linked: Linked, rows: NDArray[np.int64]) -> TermRows:
        sizes = np.diff(linked.indptr)[rows]
        indptr = np.append(0, np.cumsum(sizes)).astype(np.int64)
        places = np.arange(indptr[-1]) + np.repeat(linked.indptr[rows] - indptr[:-1], sizes)
        terms = linked.neighbors[places]
        return TermRows.weighted(indptr, terms, np.ones(len(terms)), self.rarity[terms])


def _numbered(linked: Linked, anchors: NDArray[np.integer]) -> Linked:
    """The neighbours that are anchors, by the number of these; of an entity in several the first.

    An entity that is related to itself is no neighbour: that it is known would tell a training pair its own label.
    """
    numbers = np.full(linked.entities, -1, dtype=np.int64)
    numbers[anchors[::-1]] = np.arange(len(anchors))[::-1]
    found = numbers[linked.neighbors]
    owners = np.repeat(np.arange(linked.entities), np.diff(linked.indptr))
    kept = (found >= 0) & (linked.neighbors != owners)
    return Linked.of(owners[kept], found[kept], linked.entities)
