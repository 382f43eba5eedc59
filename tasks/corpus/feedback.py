"""Relevance feedback without a user: a query gains the terms of the documents that it finds first.

Rocchio's form (Relevance feedback in information retrieval, in The SMART Retrieval System, 1971): the mean of the documents'
rows of norm 1 is added to the query, cut to its heaviest terms and mixed as in RM3 (Abdul-Jaleel et al., UMass at TREC 2004,
section 2). Documents count by their score, as in a relevance model (Lavrenko and Croft, Relevance-based language models,
SIGIR 2001), divided by their rank, so that the first ones decide but none alone.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fingerpost.tasks.corpus.postings import Postings

#: Distinct terms that make a quotation; of fewer, many documents have all.
QUOTED_TERMS = 4


@dataclass(frozen=True)
class FeedbackParams:
    """documents: how many of the best are read. terms: maximum number of terms that they add.

    keep: share of the whole weight that stays with the query's own terms, above 0 to 1. ValueError for other values.
    """

    documents: int = 10
    terms: int = 50
    keep: float = 0.5

    def __post_init__(self) -> None:
        if self.documents < 1 or self.terms < 1:
            raise ValueError(
                f"feedback: expected at least 1 document and 1 term, got {self.documents} and {self.terms}; correct them"
            )
        if not 0 < self.keep <= 1:
            raise ValueError(f"feedback keep: expected above 0 to 1, got {self.keep}; 0.5 is usual")


def expand(
    columns: NDArray[np.int64],
    weights: NDArray[np.float32],
    rows: NDArray[np.int64],
    scores: NDArray[np.float32],
    postings: Postings,
    stop: NDArray[np.bool_],
    params: FeedbackParams,
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """The query with the terms of its first documents: columns int64, ascending, and weights float32.

    columns, weights: the query, terms that the collection has. rows, scores: what it found, best first; those beyond
    ``params.documents`` and those without a score are not read. stop: bool (terms,), the terms that are never added. The
    weights of the query's own terms stay as they are, and those of the documents are added on their scale.
    """
    found = scores[: params.documents] > 0
    rows, scores = rows[: params.documents][found], scores[: params.documents][found]
    terms, gains = _heaviest(rows, _shares(scores), postings, stop, params.terms)
    gains *= weights.sum(dtype=np.float64) * (1 - params.keep) / params.keep
    joined, place = np.unique(np.concatenate((columns, terms)), return_inverse=True)
    total = np.bincount(place, np.concatenate((weights, gains)), len(joined))
    return joined[total > 0], total[total > 0].astype(np.float32)


def quotes(columns: NDArray[np.int64], rows: NDArray[np.int64], postings: Postings) -> bool:
    """Whether a query reads like a passage of one of the documents ``rows``: at least four terms, and it has all of them.

    columns: the distinct terms of the query with its stop words, -1 for terms that the collection lacks. Such a query asks
    for the document that it quotes, and terms of others only lead away from it.
    """
    if len(columns) < QUOTED_TERMS or (columns < 0).any():
        return False
    slices = (slice(*postings.forward_indptr[row : row + 2]) for row in rows)
    return any(np.isin(columns, postings.forward_terms[part]).all() for part in slices)


def _shares(scores: NDArray[np.float32]) -> NDArray[np.float64]:
    """What each document counts, by score over rank; they sum to 1."""
    shares = scores / np.arange(1.0, len(scores) + 1)
    return shares / shares.sum() if len(shares) else shares


def _heaviest(
    rows: NDArray[np.int64],
    shares: NDArray[np.float64],
    postings: Postings,
    stop: NDArray[np.bool_],
    count: int,
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """The heaviest terms of the documents' mean row and their weights, which sum to 1; ties go to the lower column."""
    slices = [slice(*postings.forward_indptr[row : row + 2]) for row in rows]
    lengths = [part.stop - part.start for part in slices]
    if not sum(lengths):
        return np.empty(0, np.int64), np.empty(0)
    terms = np.concatenate([postings.forward_terms[part] for part in slices])
    impacts = np.concatenate([postings.forward_weights[part] for part in slices]) * ~stop[terms]
    document = np.repeat(np.arange(len(rows)), lengths)
    norms = np.sqrt(np.bincount(document, impacts.astype(np.float64) ** 2, len(rows)))
    distinct, place = np.unique(terms, return_inverse=True)
    mean = np.bincount(place, impacts * (shares / np.where(norms > 0, norms, 1.0))[document], len(distinct))
    best = np.lexsort((distinct, -mean))[:count]
    best = best[mean[best] > 0]
    return distinct[best].astype(np.int64), mean[best] / (mean[best].sum() or 1.0)
