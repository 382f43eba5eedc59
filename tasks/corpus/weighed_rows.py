"""TF-IDF rows from counts in columns of a vocabulary: weights, the families side by side, rows of norm 1. Needs no scipy."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from fingerpost.tasks.corpus.vocabulary import Vocabulary

if TYPE_CHECKING:
    from scipy import sparse

#: Entries of a family, row by row: their number in each row int64 (n,), columns in the family int32, and counts float32.
Entries = tuple[NDArray[np.int64], NDArray[np.int32], NDArray[np.float32]]


@dataclass(frozen=True)
class TfidfParams:
    """How counts become features.

    sublinear: replace a count of at least 1 by 1 + ln(count); smaller counts, from field weights below 1, stay as they
    are, which keeps weights monotone. family_weights: factors of the families, in their order, before normalisation.
    TypeError for values of other types.
    """

    sublinear: bool = False
    family_weights: tuple[float, ...] = (1.0, 0.6)

    def __post_init__(self) -> None:
        if not isinstance(self.sublinear, bool) or not all(isinstance(w, float | int) for w in self.family_weights):
            raise TypeError(
                f"features: expected sublinear to be true or false and numbers as family_weights, got {self.sublinear!r} and"
                f" {self.family_weights!r}; correct them"
            )


@dataclass(frozen=True)
class SparseRows:
    """Rows whose columns ascend: indptr int64 (n + 1,), indices int32, data float32, shape (n, columns)."""

    indptr: NDArray[np.int64]
    indices: NDArray[np.int32]
    data: NDArray[np.float32]
    shape: tuple[int, int]
    format: Literal["csr"] = "csr"

    def tocsr(self) -> "sparse.csr_array":
        """The same as a matrix."""
        from scipy import sparse

        return sparse.csr_array((self.data, self.indices, self.indptr), shape=self.shape)


def known_entries(
    indptr: NDArray[np.int64], indices: NDArray[np.int32], values: NDArray[np.float32], columns: NDArray[np.int32]
) -> Entries:
    """The entries of rows over other terms in the columns of a vocabulary, int32 (terms,), -1 for those that it lacks."""
    named = columns[indices] if len(columns) else indices
    known = named >= 0
    ends = np.concatenate(([0], np.cumsum(known)))[indptr]
    return np.diff(ends).astype(np.int64), named[known], values[known]


def weighed_rows(parts: Sequence[Entries], vocabulary: Vocabulary, params: TfidfParams) -> SparseRows:
    """The TF-IDF of the counts of all families, in their order; a row depends on its own counts only."""
    weighed = [_weighed(part, vocabulary, number, params) for number, part in enumerate(parts)]
    sizes, indices, values = _join(weighed, vocabulary.offsets)
    indptr = np.concatenate(([0], np.cumsum(sizes))).astype(np.int64)
    rows = np.repeat(np.arange(len(sizes), dtype=np.int32), sizes)
    # bincount adds float64 in order, so a row's norm does not depend on the number of rows.
    norms = np.sqrt(np.bincount(rows, weights=np.square(values), minlength=len(sizes)))
    norms[norms == 0] = 1.0
    values *= np.repeat((1.0 / norms).astype(np.float32), sizes)
    return SparseRows(indptr, indices, values, (len(sizes), vocabulary.size))


def _weighed(part: Entries, vocabulary: Vocabulary, number: int, params: TfidfParams) -> Entries:
    """The values of one family, not yet normalised, in place of its counts."""
    sizes, indices, values = part
    if params.sublinear:
        values = np.where(values >= 1, 1 + np.log(np.maximum(values, 1)), values)
    # The order of the two products is the same in both branches, so a single query has the same bits as in a batch.
    idf, weight = vocabulary.idf[number], params.family_weights[number]
    if len(indices) < len(idf):
        scale = (idf[indices] * weight).astype(np.float32)
    else:
        scale = (idf * weight).astype(np.float32)[indices]
    return sizes, indices, values * scale


def _join(parts: Sequence[Entries], offsets: tuple[int, ...]) -> Entries:
    """The families' columns concatenated."""
    if len(parts) == 1:
        return parts[0]
    sizes = np.sum([part[0] for part in parts], axis=0).astype(np.int64)
    filled = np.cumsum(sizes) - sizes
    indices = np.empty(sizes.sum(), dtype=np.int32)
    values = np.empty(len(indices), dtype=np.float32)
    for offset, (part_sizes, columns, part_values) in zip(offsets, parts, strict=True):
        target = np.arange(len(columns)) + np.repeat(filled - (np.cumsum(part_sizes) - part_sizes), part_sizes)
        indices[target] = columns + np.int32(offset)
        values[target] = part_values
        filled += part_sizes
    return sizes, indices, values
