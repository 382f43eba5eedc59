"""The inverted index of a collection: which documents have a term, and with what weight."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from fingerpost.ext.postings import Lists, invert

if TYPE_CHECKING:  # queries have no sparse matrix, and scipy takes time and memory
    from scipy import sparse

_LISTS = ("indptr", "documents", "weights", "maxima")
_ROWS = ("forward_indptr", "forward_terms", "forward_weights", "norms")


@dataclass(frozen=True)
class Postings:
    """What terms weigh in documents, by term and by document.

    Term t has the documents of indptr[t] to indptr[t + 1]: indptr int64 (terms + 1,), documents uint32 (entries,),
    ascending, weights float32 (entries,), maxima float32 (terms,), the largest weight. Document d has the terms of
    forward_indptr[d] to forward_indptr[d + 1]: forward_indptr int64 (documents + 1,), forward_terms int32 (entries,),
    ascending, forward_weights float32 (entries,), the same weights; norms float32 (documents,) are their Euclidean norms.

    A query is columns int64 (q,) of the lexicon, -1 for terms that it lacks, and weights float32 (q,), none negative. A
    document's score is the sum over terms of weight in the query times weight in the document; all methods give the same
    bits for it. ValueError for columns, weights and rows that do not fit.
    """

    indptr: NDArray[np.int64]
    documents: NDArray[np.uint32]
    weights: NDArray[np.float32]
    maxima: NDArray[np.float32]
    forward_indptr: NDArray[np.int64]
    forward_terms: NDArray[np.int32]
    forward_weights: NDArray[np.float32]
    norms: NDArray[np.float32]

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray]) -> "Postings":
        """The index of `arrays` and `forward_arrays` together."""
        return cls(**{name: arrays[name] for name in (*_LISTS, *_ROWS)})

    def arrays(self) -> dict[str, NDArray]:
        """The arrays by term, by name."""
        return {name: getattr(self, name) for name in _LISTS}

    def forward_arrays(self) -> dict[str, NDArray]:
        """The arrays by document, by name."""
        return {name: getattr(self, name) for name in _ROWS}

    def check(self) -> None:
        """ValueError for arrays that do not fit each other, as the first search says."""
        self.best(np.empty(0, np.int64), np.empty(0, np.float32), 1)

    @property
    def size(self) -> int:
        """Number of documents."""
        return len(self.norms)

    @cached_property
    def forward(self) -> "sparse.csr_array":
        """The documents' weights, CSR float32 (documents, terms)."""
        from scipy import sparse

        matrix = sparse.csr_array(
            (self.forward_weights, self.forward_terms, self.forward_indptr), shape=(self.size, len(self.maxima))
        )
        matrix.has_canonical_format = True
        return matrix

    def best(
        self,
        columns: NDArray[np.int64],
        weights: NDArray[np.float32],
        k: int,
        keep: NDArray[np.bool_] | None = None,
    ) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """The at most k documents with the highest scores above 0: (rows int64, scores float32), best first, ties by row.

        keep bool (documents,): only these.
        """
        return self._lists.best(*_query(columns, weights), k, keep)

    def best_many(
        self,
        queries: "sparse.csr_array",
        k: int,
        keep: NDArray[np.bool_] | None = None,
        *,
        threads: int = 1,
    ) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """The same for every row of queries, CSR (queries, terms): rows int64 (queries, k), -1 for none, and scores.

        k is limited to the number of documents. The number of threads changes nothing but time.
        """
        indptr = queries.indptr.astype(np.int64, copy=False)
        return self._lists.best_many(indptr, *_query(queries.indices, queries.data), k, keep, threads)

    def scores_of(
        self, columns: NDArray[np.int64], weights: NDArray[np.float32], rows: NDArray[np.int64]
    ) -> NDArray[np.float32]:
        """The scores of given documents, float32 (rows,), 0 without a common term."""
        return self._lists.scores_of(*_query(columns, weights), np.ascontiguousarray(rows, dtype=np.int64))

    def contributions(
        self, columns: NDArray[np.int64], weights: NDArray[np.float32], rows: NDArray[np.int64]
    ) -> NDArray[np.float32]:
        """What each term adds to the score of each given document, float32 (rows, q)."""
        return self._lists.contributions(*_query(columns, weights), np.ascontiguousarray(rows, dtype=np.int64))

    @cached_property
    def _lists(self) -> Lists:
        return Lists(*(getattr(self, name) for name in (*_LISTS, *_ROWS[:-1])))


def build_postings(impacts: "sparse.csr_array") -> Postings:
    """The inverted index of what terms weigh in documents, CSR float32 (documents, terms) with ascending rows.

    ValueError for weights that are not above 0.
    """
    indptr = impacts.indptr.astype(np.int64, copy=False)
    terms = impacts.indices.astype(np.int32, copy=False)
    rows = np.repeat(np.arange(impacts.shape[0]), np.diff(indptr))
    squares = np.bincount(rows, weights=impacts.data.astype(np.float64) ** 2, minlength=impacts.shape[0])
    lists = invert(indptr, terms, impacts.data, impacts.shape[1])
    return Postings(*lists, indptr, terms, impacts.data, np.sqrt(squares).astype(np.float32))


def _query(columns: NDArray, weights: NDArray) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    return np.ascontiguousarray(columns, dtype=np.int64), np.ascontiguousarray(weights, dtype=np.float32)
