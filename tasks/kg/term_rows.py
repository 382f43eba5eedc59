"""Texts as rows of weighted terms, and what pairs of such rows have in common."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fingerpost.ext.overlaps import compare_rows
from fingerpost.tasks.kg.terms import Rarity, TermParams, hashed

#: Texts whose terms are weighed at a time: the memory that this takes is several times that of the rows.
_TEXTS = 2**15


@dataclass(frozen=True)
class TermRows:
    """The terms of each text, ascending, their parts of a unit vector (square root of the count times rarity), and rarity."""

    indptr: NDArray[np.int64]
    terms: NDArray[np.uint32]
    parts: NDArray[np.float32]
    rarity: NDArray[np.float32]

    @staticmethod
    def of(texts: Sequence[str], family: str, rarity: Rarity, params: TermParams) -> "TermRows":
        """The rows of texts, in the terms of a family."""
        dense, parts = rarity.dense(params.buckets), []
        for begin in range(0, max(len(texts), 1), _TEXTS):
            indptr, terms, counts = hashed(texts[begin : begin + _TEXTS], family, params)
            parts.append(TermRows.weighted(indptr, terms, np.sqrt(counts), dense[terms]))
        if len(parts) == 1:
            return parts[0]
        sizes = np.concatenate([np.diff(part.indptr) for part in parts])
        columns = (np.concatenate([getattr(part, name) for part in parts]) for name in ("terms", "parts", "rarity"))
        return TermRows(np.append(0, np.cumsum(sizes)), *columns)

    @staticmethod
    def weighted(
        indptr: NDArray[np.int64], terms: NDArray[np.uint32], counts: NDArray[np.floating], rarity: NDArray[np.float32]
    ) -> "TermRows":
        """Rows of terms with their counts, already rooted, and rarity."""
        parts = counts * rarity.astype(np.float64)
        owners = np.repeat(np.arange(len(indptr) - 1), np.diff(indptr))
        squares = np.bincount(owners, parts**2, minlength=len(indptr) - 1)
        parts /= np.sqrt(np.where(squares > 0, squares, 1.0))[owners]
        return TermRows(indptr, terms, parts.astype(np.float32), rarity)

    @staticmethod
    def alike(indptr: NDArray[np.int64], terms: NDArray[np.uint32]) -> "TermRows":
        """Rows whose terms all have the weight 1."""
        ones = np.ones(len(terms), dtype=np.float32)
        return TermRows(indptr, terms, ones, ones)


@dataclass(frozen=True)
class Overlap:
    """What pairs of rows have in common, float32 (m,) each.

    cosine: of the unit vectors. contained, jaccard: rarity of the common terms over that of the terms of the lesser side,
    and of either. rarest_common: the largest rarity of a common term. rarest_alone: that of a term which one side alone
    has, the lesser one of both sides.
    """

    cosine: NDArray[np.float32]
    contained: NDArray[np.float32]
    jaccard: NDArray[np.float32]
    rarest_common: NDArray[np.float32]
    rarest_alone: NDArray[np.float32]


def overlap(sides: Sequence[TermRows], pairs: NDArray[np.uint32]) -> Overlap:
    """Of pairs (m, 2) of a left and a right row; sides: these rows."""
    left, right = sides
    found = compare_rows(
        left.indptr, left.terms, left.parts, left.rarity, right.indptr, right.terms, right.parts, right.rarity, pairs
    )
    product, common, ours, theirs, most_common, most_alone = found.T
    least = np.maximum(np.minimum(ours, theirs), np.float32(1e-9))
    union = np.maximum(ours + theirs - common, np.float32(1e-9))
    return Overlap(product, common / least, common / union, most_common, most_alone)
