"""Exact best documents of weighted query terms over an inverted index, and places of terms in sorted texts."""

import numpy as np
from numpy.typing import NDArray

SOURCE_HASH: str

def find_texts(texts: list[str], offsets: NDArray[np.int64], letters: NDArray[np.uint8]) -> NDArray[np.int64]:
    """The place of each text among sorted, distinct ones, int64 (texts,), -1 where it is absent.

    Text i of the sorted ones has the UTF-8 bytes letters[offsets[i]:offsets[i + 1]]. A text with unpaired surrogates has no
    UTF-8 and is absent. TypeError for what is no str; ValueError for offsets that do not fit the letters.
    """

def count_texts(
    texts: list[str], offsets: NDArray[np.int64], letters: NDArray[np.uint8]
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """The places of those texts that are among the sorted ones, ascending, int64, and how often each is given, float32.

    Texts, offsets and letters as in `find_texts`.
    """

def invert(
    indptr: NDArray[np.int64], terms: NDArray[np.int32], weights: NDArray[np.float32], columns: int
) -> tuple[NDArray[np.int64], NDArray[np.uint32], NDArray[np.float32], NDArray[np.float32]]:
    """The lists of a matrix of documents and ``columns`` terms: (indptr, documents, weights, maxima), see `Lists`.

    Document i has the terms of indptr[i] to indptr[i + 1], ascending, with finite weights above 0 (those below 2^-90 are not
    told apart in scores). ValueError for others.
    """

class Lists:
    """An inverted index with its documents' rows, checked once.

    Term t has the documents of indptr[t] to indptr[t + 1]: documents uint32, ascending; weights float32; maxima float32
    (terms,), the largest weight. forward_indptr int64 (documents + 1,), forward_terms int32, forward_weights float32: the
    rows that the lists were made of by `invert`. Arrays are referred to, not copied. ValueError for what does not fit
    together.

    Queries are columns int64 (q,), -1 for a term that is absent, and weights float32 (q,), finite and none negative. A score
    is the sum over terms of weight in the query times weight in the document. Parts are rounded to a unit of at most 2^-29
    of the largest score possible, the sum of weights times maxima, and summed as integers: scores have the same bits in all
    methods, and for any number of threads. ValueError for columns out of range and for other weights.
    """

    def __init__(
        self,
        indptr: NDArray[np.int64],
        documents: NDArray[np.uint32],
        weights: NDArray[np.float32],
        maxima: NDArray[np.float32],
        forward_indptr: NDArray[np.int64],
        forward_terms: NDArray[np.int32],
        forward_weights: NDArray[np.float32],
    ) -> None: ...
    def best(
        self, columns: NDArray[np.int64], weights: NDArray[np.float32], k: int, keep: NDArray[np.bool_] | None
    ) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """The at most k documents with the highest scores above 0, best first, ties by number: rows and scores.

        keep bool (documents,): only these. MaxScore (Turtle and Flood, IP&M 31(6), 1995) over windows of documents.
        """

    def best_many(
        self,
        indptr: NDArray[np.int64],
        columns: NDArray[np.int64],
        weights: NDArray[np.float32],
        k: int,
        keep: NDArray[np.bool_] | None,
        threads: int,
    ) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """The same for queries of terms indptr[i] to indptr[i + 1]: rows (queries, k), -1 where there are fewer; scores."""

    def scores_of(
        self, columns: NDArray[np.int64], weights: NDArray[np.float32], rows: NDArray[np.int64]
    ) -> NDArray[np.float32]:
        """The scores of given documents, float32 (rows,)."""

    def contributions(
        self, columns: NDArray[np.int64], weights: NDArray[np.float32], rows: NDArray[np.int64]
    ) -> NDArray[np.float32]:
        """What each term adds to the scores of given documents, float32 (rows, q)."""
