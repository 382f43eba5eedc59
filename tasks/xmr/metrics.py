"""Metrics of rankings: precision, recall, nDCG, propensity-scored precision, coverage, recall by label frequency."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from fingerpost.tasks.xmr.ranking import NONE, Ranking
from fingerpost.tasks.xmr.sparse_rows import MatrixError, checked_rows

CUTOFFS = (1, 3, 5, 10, 100)


def hits(ranking: Ranking, truth: sparse.csr_array) -> NDArray[np.bool_]:
    """Whether each ranked label is a true label, bool (q, k); False for padding.

    truth: CSR (q, labels). Raises MatrixError for another number of rows.
    """
    true = checked_rows(truth, "truth")
    if true.shape[0] != len(ranking.ids):
        raise MatrixError(f"truth: expected {len(ranking.ids)} rows, got {true.shape[0]}; pass the rows of the queries")
    # One key per (query, label), ascending because rows and indices are.
    keys = np.repeat(np.arange(true.shape[0]), np.diff(true.indptr)) * np.int64(true.shape[1]) + true.indices
    ranked = np.arange(len(ranking.ids))[:, None] * np.int64(true.shape[1]) + ranking.ids
    if len(keys) == 0:
        return np.zeros(ranking.ids.shape, dtype=bool)
    index = np.minimum(np.searchsorted(keys, ranked), len(keys) - 1)
    return (keys[index] == ranked) & (ranking.ids < true.shape[1])


def precision_at(hit: NDArray[np.bool_], k: int) -> float:
    """Mean fraction of true labels among the first k; missing labels of a short list count as misses."""
    return float(hit[:, :k].sum(axis=1).mean() / k) if len(hit) else 0.0


def recall_at(hit: NDArray[np.bool_], sizes: NDArray[np.int64], k: int) -> float:
    """Mean fraction of the true labels that are among the first k; sizes: int64 (q,), true labels of each query."""
    return float((hit[:, :k].sum(axis=1) / np.maximum(sizes, 1)).mean()) if len(hit) else 0.0


def ndcg_at(hit: NDArray[np.bool_], sizes: NDArray[np.int64], k: int) -> float:
    """Mean discounted gain (1 / log2(rank + 1)) of the first k, relative to that of the ideal order."""
    if not len(hit):
        return 0.0
    discount = 1 / np.log2(np.arange(2, k + 2))
    gained = hit[:, :k] @ discount[: hit.shape[1]]
    best = np.concatenate(([0.0], np.cumsum(discount)))[np.minimum(sizes, k)]
    return float(np.where(best > 0, gained / np.where(best > 0, best, 1), 0).mean())


def propensities(counts: NDArray[np.int64], rows: int, *, a: float = 0.55, b: float = 1.5) -> NDArray[np.float64]:
    """Probability that a true label is observed, float64 (labels,), from its training count (Jain et al., KDD 2016)."""
    c = (np.log(max(rows, 3)) - 1) * (b + 1) ** a
    return 1 / (1 + c * (counts + b) ** -a)


def propensity_precision_at(
    ranking: Ranking, hit: NDArray[np.bool_], truth: sparse.csr_array, propensity: NDArray[np.float64], k: int
) -> float:
    """Precision at k with hits weighted by 1 / propensity, relative to the ideal order (Jain et al., KDD 2016)."""
    weight = 1 / propensity
    label_ids = np.where(ranking.ids == NONE, 0, ranking.ids)[:, :k]
    gained = float((hit[:, :k] * weight[label_ids]).sum())
    best = 0.0
    for row in range(truth.shape[0]):
        true_weights = weight[truth.indices[truth.indptr[row] : truth.indptr[row + 1]]]
        best += float(np.sort(true_weights)[::-1][:k].sum())
    return gained / best if best > 0 else 0.0


@dataclass(frozen=True)
class FrequencyBucket:
    """Labels with ``minimum`` to ``maximum`` training rows: number, true occurrences, recall and coverage at k."""

    minimum: int
    maximum: int
    labels: int
    occurrences: int
    recall: float
    coverage: float


def frequency_buckets(
    ranking: Ranking,
    hit: NDArray[np.bool_],
    truth: sparse.csr_array,
    counts: NDArray[np.int64],
    k: int,
    edges: Sequence[int] = (1, 3, 10, 30, 100, 1000),
) -> list[FrequencyBucket]:
    """Recall and coverage of labels by training count.

    counts: int64 (labels,). Buckets start at the edges; the first one includes all labels below the second edge.
    """
    hit_labels = ranking.ids[:, :k][hit[:, :k]]
    hits_of = np.bincount(hit_labels, minlength=len(counts))
    wanted = np.bincount(truth.indices, minlength=len(counts))
    limits = [0, *edges[1:], int(max(counts.max(initial=0), edges[-1])) + 1]
    out = []
    for lower, upper in pairwise(limits):
        members = (counts >= lower) & (counts < upper)
        occurrences, wanted_labels = int(wanted[members].sum()), int((wanted[members] > 0).sum())
        out.append(
            FrequencyBucket(
                minimum=lower,
                maximum=upper - 1,
                labels=int(members.sum()),
                occurrences=occurrences,
                recall=float(hits_of[members].sum() / max(occurrences, 1)),
                coverage=float((hits_of[members] > 0).sum() / max(wanted_labels, 1)),
            )
        )
    return out


def coverage_at(ranking: Ranking, hit: NDArray[np.bool_], truth: sparse.csr_array, k: int) -> float:
    """Fraction of the labels that are true for a query which are found among the first k of one."""
    wanted = len(np.unique(truth.indices))
    return len(np.unique(ranking.ids[:, :k][hit[:, :k]])) / wanted if wanted else 0.0


def evaluate(
    ranking: Ranking,
    truth: sparse.csr_array,
    *,
    counts: NDArray[np.int64],
    rows: int,
    cutoffs: Sequence[int] = CUTOFFS,
) -> dict[str, float]:
    """All metrics by name ("precision_at_5"), at the cutoffs that the ranking is long enough for.

    truth: CSR (q, labels). counts: int64 (labels,), training rows of each label. rows: number of training rows.
    """
    true = checked_rows(truth, "truth", columns=len(counts))
    hit, sizes, propensity = hits(ranking, true), np.diff(true.indptr), propensities(counts, rows)
    out: dict[str, float] = {}
    for k in cutoffs:
        if k > ranking.ids.shape[1]:
            continue
        out[f"precision_at_{k}"] = precision_at(hit, k)
        out[f"recall_at_{k}"] = recall_at(hit, sizes, k)
        out[f"ndcg_at_{k}"] = ndcg_at(hit, sizes, k)
        out[f"propensity_precision_at_{k}"] = propensity_precision_at(ranking, hit, true, propensity, k)
        out[f"coverage_at_{k}"] = coverage_at(ranking, hit, true, k)
    return out
