"""Re-ranking of dense candidates by the similarity of their sparse features."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import sparse


@dataclass(frozen=True)
class RerankParams:
    """candidates: number retrieved from the index per query; dense_share: weight of the dense similarity, 0 to 1."""

    candidates: int = 1_000
    dense_share: float = 0.0

    def __post_init__(self) -> None:
        if self.candidates < 1 or not 0 <= self.dense_share <= 1:
            raise ValueError(
                "rerank: expected at least 1 candidate and 0 <= dense_share <= 1, "
                f"got {self.candidates} and {self.dense_share}; correct them"
            )


def rerank(
    queries: sparse.csr_array,
    candidates: NDArray[np.integer],
    features: sparse.csr_array,
    *,
    dense_scores: NDArray[np.float32] | None = None,
    dense_share: float = 0.0,
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Candidates ordered by sparse similarity: (rows int64 (queries, c), scores float32 (queries, c)), best first.

    candidates: rows of ``features``, (queries, c); -1 marks a missing one, which is ranked last with a score of -inf.
    dense_scores: similarities of the candidates in the index, (queries, c), blended in with weight ``dense_share``.
    Ties are ordered by row. A query's result does not depend on other queries. ValueError for other shapes.
    """
    candidates = np.asarray(candidates, dtype=np.int64)
    if candidates.shape[0] != queries.shape[0]:
        raise ValueError(f"candidates: expected {queries.shape[0]} rows, got {candidates.shape[0]}; pass one per query")
    if dense_share and (dense_scores is None or dense_scores.shape != candidates.shape):
        shape = None if dense_scores is None else dense_scores.shape
        raise ValueError(f"dense_scores: expected shape {candidates.shape}, got {shape}; pass what the index returned")
    rows = np.empty(candidates.shape, dtype=np.int64)
    scores = np.empty(candidates.shape, dtype=np.float32)
    spread = np.zeros(features.shape[1], dtype=np.float32)
    for query, chosen in enumerate(candidates):
        begin, end = queries.indptr[query], queries.indptr[query + 1]
        terms = queries.indices[begin:end]
        spread[terms] = queries.data[begin:end]
        score = features[np.maximum(chosen, 0)] @ spread if features.shape[0] else np.zeros(len(chosen), np.float32)
        spread[terms] = 0.0
        if dense_share:
            assert dense_scores is not None
            score = (1 - dense_share) * score + dense_share * dense_scores[query]
        score = np.where(chosen < 0, -np.inf, score).astype(np.float32)
        order = np.lexsort((chosen, -score))
        rows[query] = chosen[order]
        scores[query] = score[order]
    return rows, scores
