"""Metrics of ranked candidates: hits@k and the mean reciprocal rank."""

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from fingerpost.tasks.kg.assignment import row_numbers


def ranks_of(scores: sparse.csr_array, truth: NDArray[np.integer]) -> NDArray[np.float64]:
    """float64 (rows,): the rank of column truth[row] in each row, from 1; infinite where it is no candidate.

    Of equal scores the true one ranks last: a score that says nothing earns nothing.
    """
    scores = sparse.csr_array(scores, copy=True)
    scores.sum_duplicates()
    rows = row_numbers(scores)
    is_true = scores.indices == np.asarray(truth)[rows]
    own = np.full(scores.shape[0], np.inf)
    own[rows[is_true]] = scores.data[is_true]
    ranks = np.bincount(rows[scores.data >= own[rows]], minlength=scores.shape[0]).astype(np.float64)
    ranks[np.isinf(own)] = np.inf
    return ranks


def rank_figures(ranks: NDArray[np.float64], *, at: tuple[int, ...] = (1, 10)) -> dict[str, float]:
    """hits_at_k, the share of ranks of at most k, and mrr, the mean of 1 / rank; ValueError without any rank."""
    if len(ranks) == 0:
        raise ValueError("ranks: expected at least one entity with a known counterpart, got none; give some links")
    figures = {f"hits_at_{k}": float(np.mean(ranks <= k)) for k in at}
    return figures | {"mrr": float(np.mean(1 / ranks))}
