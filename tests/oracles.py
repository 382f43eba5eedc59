"""Slow, obvious versions of what the project computes fast."""

import math


def bm25_score(query: list[str], document: list[str], documents: list[list[str]], *, k1: float, b: float) -> float:
    """BM25 of one document for one query, all given as token lists, term by term."""
    mean = sum(len(tokens) for tokens in documents) / len(documents)
    score = 0.0
    for term in query:
        frequency = sum(term in tokens for tokens in documents)
        occurrences = document.count(term)
        idf = math.log(1 + (len(documents) - frequency + 0.5) / (frequency + 0.5))
        score += idf * occurrences * (k1 + 1) / (occurrences + k1 * (1 - b + b * len(document) / mean))
    return score


def reciprocal_rank(ranked: list[int], wanted: int) -> float:
    """One over the 1-based rank of ``wanted``, 0 where it is missing."""
    for rank, row in enumerate(ranked, start=1):
        if row == wanted:
            return 1 / rank
    return 0.0
