"""Similar names: cosines of weighted character n-grams between the nodes of two graphs."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from fingerpost.ext.ngrams import count_ngrams
from fingerpost.tasks.kg.assignment import row_numbers

#: Left names that are compared at a time.
_BLOCK = 2048


@dataclass(frozen=True)
class NameParams:
    """Parameters of the comparison of names.

    ngram_min: shortest character n-gram.
    ngram_max: longest character n-gram.
    keep: candidates of each left name.
    most_names: n-grams of more names than this are not looked up; they say little and cost most.
    """

    ngram_min: int = 2
    ngram_max: int = 4
    keep: int = 20
    most_names: int = 2000

    def __post_init__(self) -> None:
        if not 1 <= self.ngram_min <= self.ngram_max or self.keep < 1 or self.most_names < 1:
            raise ValueError(
                "names: expected 1 <= ngram_min <= ngram_max, and keep and most_names of at least 1, got"
                f" {self.ngram_min}, {self.ngram_max}, {self.keep} and {self.most_names}; correct them"
            )


def similar_names(left: Sequence[str], right: Sequence[str], params: NameParams) -> sparse.csr_array:
    """CSR float64 (left names, right names): the cosines of up to ``keep`` right names for each left one.

    An n-gram weighs its count times the log of all names, and one more, over those with it: what all have still counts. Equal cosines are kept by the smaller right
    number. Empty names are similar to none.
    """
    indptr, indices, counts, terms = count_ngrams(
        [*left, *right], family="char", ngram_min=params.ngram_min, ngram_max=params.ngram_max
    )
    names = sparse.csr_array((counts.astype(np.float64), indices, indptr), shape=(len(indptr) - 1, len(terms)))
    frequency = np.bincount(indices, minlength=len(terms))
    names.data *= np.log((2 + names.shape[0]) / (1 + frequency))[indices]
    squares = np.bincount(row_numbers(names), names.data**2, minlength=names.shape[0])
    lengths = np.where(squares > 0, np.sqrt(squares), 1.0)
    names.data /= lengths[row_numbers(names)]
    names = names[:, np.flatnonzero(frequency <= params.most_names)]
    first, turned = names[: len(left)], sparse.csr_array(names[len(left) :].T)
    blocks = [largest(first[at : at + _BLOCK] @ turned, params.keep) for at in range(0, len(left), _BLOCK)]
    return sparse.csr_array(sparse.vstack(blocks)) if blocks else sparse.csr_array((0, len(right)))


def largest(scores: sparse.csr_array, keep: int) -> sparse.csr_array:
    """The ``keep`` largest positive entries of each row, of equal ones those of smaller columns; columns ascending."""
    rows = row_numbers(scores)
    order = np.lexsort((scores.indices, -scores.data, rows))
    place = np.arange(len(order)) - np.repeat(scores.indptr[:-1], np.diff(scores.indptr))
    kept: NDArray[np.int64] = np.sort(order[(place < keep) & (scores.data[order] > 0)])
    found = sparse.coo_array((scores.data[kept], (rows[kept], scores.indices[kept])), shape=scores.shape).tocsr()
    found.sort_indices()
    return found
