"""Near-duplicates among ranked documents: all but the best of each group are left out.

Documents with texts are compared by the weighted Jaccard similarity of their terms (the resemblance of Broder, On the
resemblance and containment of documents, 1997, over single terms and with their numbers), others by the cosine of their
vectors.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

#: The minimum resemblance of terms, and the minimum cosine of vectors, of near-duplicates.
SAME_TERMS, SAME_VECTORS = 0.8, 0.98

#: The similarity of a row to each row of a list, float (m,).
Likeness = Callable[[int, Sequence[int]], NDArray[np.floating]]


@dataclass(frozen=True)
class Distinct:
    """The places of rows that are kept, ascending, and the number of near-duplicates among those looked at."""

    places: list[int]
    collapsed: int


def first_distinct(rows: Iterable[int], count: int, likeness: Likeness, least: float) -> Distinct:
    """The first ``count`` of ranked rows that are no near-duplicates of a row before them.

    A row is one if it is at least ``least`` like a row that is kept; rows beyond the last one kept are not looked at.
    """
    places: list[int] = []
    kept: list[int] = []
    collapsed = 0
    for place, row in enumerate(rows):
        if len(kept) == count:
            break
        if kept and float(np.max(likeness(row, kept))) >= least:
            collapsed += 1
        else:
            places.append(place)
            kept.append(row)
    return Distinct(places, collapsed)


def term_likeness(indptr: NDArray[np.int64], terms: NDArray[np.int32], weights: NDArray[np.float32]) -> Likeness:
    """Weighted Jaccard similarity of documents by their terms, as rows of a CSR matrix; 0 for two without any."""

    def likeness(row: int, others: Sequence[int]) -> NDArray[np.float64]:
        own = slice(indptr[row], indptr[row + 1])
        found = np.empty(len(others))
        for place, other in enumerate(others):
            its = slice(indptr[other], indptr[other + 1])
            _, here, there = np.intersect1d(terms[own], terms[its], assume_unique=True, return_indices=True)
            common = float(np.minimum(weights[own][here], weights[its][there]).sum(dtype=np.float64))
            either = float(weights[own].sum(dtype=np.float64) + weights[its].sum(dtype=np.float64)) - common
            found[place] = common / either if either > 0 else 0.0
        return found

    return likeness


def vector_likeness(vectors: NDArray[np.float32]) -> Likeness:
    """Cosine of rows of vectors (n, d); 0 for one of zeros."""

    def likeness(row: int, others: Sequence[int]) -> NDArray[np.float64]:
        own, its = vectors[row].astype(np.float64), vectors[list(others)].astype(np.float64)
        lengths = np.sqrt((own @ own) * np.einsum("ij,ij->i", its, its))
        return np.einsum("ij,j->i", its, own) / np.where(lengths > 0, lengths, 1.0)

    return likeness
