"""BM25 (Robertson and Zaragoza 2009, section 3.1), the baseline that retrieval is measured against."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import sparse


@dataclass(frozen=True)
class Bm25Params:
    """k1: saturation of repeated terms, at least 0; b: length normalisation, 0 to 1."""

    k1: float = 1.2
    b: float = 0.75

    def __post_init__(self) -> None:
        if self.k1 < 0 or not 0 <= self.b <= 1:
            raise ValueError(f"bm25: expected k1 >= 0 and 0 <= b <= 1, got {self.k1} and {self.b}; correct them")


def weigh_bm25(counts: sparse.csr_array, params: Bm25Params) -> sparse.csr_array:
    """BM25 weight of every term in every document: CSR float32, the pattern of ``counts`` (documents, terms).

    The inverse document frequency is ln(1 + (n - df + 0.5) / (df + 0.5)), which is never negative.
    """
    documents, terms = counts.shape
    frequencies = np.bincount(counts.indices, minlength=terms)
    idf = np.log1p((documents - frequencies + 0.5) / (frequencies + 0.5))
    rows = np.repeat(np.arange(documents), np.diff(counts.indptr))
    data = counts.data.astype(np.float64)
    lengths = np.bincount(rows, weights=data, minlength=documents)
    mean = lengths.mean() if documents and lengths.any() else 1.0
    discount = params.k1 * (1 - params.b + params.b * lengths / mean)
    weights = idf[counts.indices] * data * (params.k1 + 1) / (data + discount[rows])
    return sparse.csr_array((weights.astype(np.float32), counts.indices, counts.indptr), shape=counts.shape)


def rank_scores(
    queries: sparse.csr_array, weights: sparse.csr_array, *, top: int, batch_rows: int = 64
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """The best documents of each query by the product of sparse rows; ties go to the lower row.

    queries: counts (queries, terms), for BM25 each term's occurrences in the query. Returns (rows int64 (queries, top),
    scores float32 (queries, top)), best first; ``top`` is limited to the number of documents.
    """
    top = min(top, weights.shape[0])
    rows = np.empty((queries.shape[0], top), dtype=np.int64)
    scores = np.empty((queries.shape[0], top), dtype=np.float32)
    postings = weights.T.tocsr()
    for begin in range(0, queries.shape[0], batch_rows):
        dense = (queries[begin : begin + batch_rows] @ postings).toarray()
        for query, row in enumerate(dense, start=begin):
            best = top_rows(row, top)
            rows[query] = best
            scores[query] = row[best]
    return rows, scores


def top_rows(scores: NDArray[np.float32], top: int) -> NDArray[np.int64]:
    """Indices of the ``top`` highest scores, int64 (top,), best first, ties by index."""
    if top >= len(scores):
        return np.argsort(-scores, kind="stable")[:top]
    limit = np.partition(scores, len(scores) - top)[len(scores) - top]
    above = np.flatnonzero(scores > limit)
    equal = np.flatnonzero(scores == limit)[: top - len(above)]
    chosen = np.sort(np.concatenate((above, equal)))
    return chosen[np.argsort(-scores[chosen], kind="stable")]
