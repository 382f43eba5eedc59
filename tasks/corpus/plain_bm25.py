"""Plain BM25 over words, the rival that search is measured beside: no stems, no stop words, no fields."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from fingerpost.tasks.corpus.bm25 import Bm25Params, rank_scores, weigh_bm25
from fingerpost.tasks.corpus.ngrams import FamilyParams, count_family


def rank_plain(
    titles: Sequence[str],
    texts: Sequence[str],
    queries: Sequence[str],
    *,
    depth: int,
    params: Bm25Params = Bm25Params(),
) -> NDArray[np.int64]:
    """The documents that answer each query, int64 (queries, depth), best first, ties by row, padded with -1.

    A document is its title and its text; one without a word of the query is no answer.
    """
    documents = [f"{title} {text}" for title, text in zip(titles, texts, strict=True)]
    counts, _ = count_family([*documents, *queries], FamilyParams("word", 1, 1))
    ranked, scores = rank_scores(counts[len(documents) :], weigh_bm25(counts[: len(documents)], params), top=depth)
    padded = np.full((len(queries), depth), -1, dtype=np.int64)
    padded[:, : ranked.shape[1]] = np.where(scores > 0, ranked, -1)
    return padded
