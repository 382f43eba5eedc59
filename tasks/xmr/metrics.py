"""How good rankings are: precision, recall, nDCG, propensity-scored precision, frequency bands, coverage."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from tasks.xmr.ranking import NONE, Ranking
from tasks.xmr.sparse_rows import MatrixError, checked_rows

CUTOFFS = (1, 3, 5, 10, 100)


def hits(ranking: Ranking, truth: sparse.csr_array) -> NDArray[np.bool_]:
    """Which ranked labels are among the true ones, (q, k); padding never is."""
    true = checked_rows(truth, "truth")
    if true.shape[0] != len(ranking.ids):
        raise MatrixError(f"truth: expected {len(ranking.ids)} rows, got {true.shape[0]}; give those of the queries")
    # One number a (query, label), ascending because rows and indices do.
    keys = np.repeat(np.arange(true.shape[0]), np.diff(true.indptr)) * np.int64(true.shape[1]) + true.indices
    asked = np.arange(len(ranking.ids))[:, None] * np.int64(true.shape[1]) + ranking.ids
    if len(keys) == 0:
        return np.zeros(ranking.ids.shape, dtype=bool)
    place = np.minimum(np.searchsorted(keys, asked), len(keys) - 1)
    return (keys[place] == asked) & (ranking.ids < true.shape[1])


def precision_at(found: NDArray[np.bool_], k: int) -> float:
    """Mean share of true labels among the first k; a short list counts as misses."""
    return float(found[:, :k].sum(axis=1).mean() / k) if len(found) else 0.0


def recall_at(found: NDArray[np.bool_], sizes: NDArray[np.int64], k: int) -> float:
    """Mean share of the true labels that are among the first k; sizes: how many true ones each query has."""
    return float((found[:, :k].sum(axis=1) / np.maximum(sizes, 1)).mean()) if len(found) else 0.0


def ndcg_at(found: NDArray[np.bool_], sizes: NDArray[np.int64], k: int) -> float:
    """Mean discounted gain (1 / log2(rank + 1)) of the first k, over that of the best order."""
    if not len(found):
        return 0.0
    discount = 1 / np.log2(np.arange(2, k + 2))
    gained = found[:, :k] @ discount[: found.shape[1]]
    best = np.concatenate(([0.0], np.cumsum(discount)))[np.minimum(sizes, k)]
    return float(np.where(best > 0, gained / np.where(best > 0, best, 1), 0).mean())


def propensities(counts: NDArray[np.int64], rows: int, *, a: float = 0.55, b: float = 1.5) -> NDArray[np.float64]:
    """Chance that a true label is seen as such, by its training count (Jain, Prabhu, Varma, KDD 2016)."""
    c = (np.log(max(rows, 3)) - 1) * (b + 1) ** a
    return 1 / (1 + c * (counts + b) ** -a)


def propensity_precision_at(
    ranking: Ranking, found: NDArray[np.bool_], truth: sparse.csr_array, chances: NDArray[np.float64], k: int
) -> float:
    """Precision at k with hits weighted by one over their propensity, over what the best order would get."""
    worth = 1 / chances
    known = np.where(ranking.ids == NONE, 0, ranking.ids)[:, :k]
    gained = float((found[:, :k] * worth[known]).sum())
    best = 0.0
    for row in range(truth.shape[0]):
        mine = worth[truth.indices[truth.indptr[row] : truth.indptr[row + 1]]]
        best += float(np.sort(mine)[::-1][:k].sum())
    return gained / best if best > 0 else 0.0


@dataclass(frozen=True)
class Band:
    """Labels seen ``least`` to ``most`` times in training: how many, their true occurrences, recall at k, coverage at k."""

    least: int
    most: int
    labels: int
    occurrences: int
    recall: float
    coverage: float


def bands(
    ranking: Ranking,
    found: NDArray[np.bool_],
    truth: sparse.csr_array,
    counts: NDArray[np.int64],
    k: int,
    edges: Sequence[int] = (1, 3, 10, 30, 100, 1000),
) -> list[Band]:
    """Recall and coverage of labels by training count, in bands that begin at the edges; the first one holds all below."""
    right = ranking.ids[:, :k][found[:, :k]]
    met = np.bincount(right, minlength=len(counts))
    wanted = np.bincount(truth.indices, minlength=len(counts))
    limits = [0, *edges[1:], int(max(counts.max(initial=0), edges[-1])) + 1]
    out = []
    for least, beyond in pairwise(limits):
        mine = (counts >= least) & (counts < beyond)
        occurrences, asked = int(wanted[mine].sum()), int((wanted[mine] > 0).sum())
        out.append(
            Band(
                least=least,
                most=beyond - 1,
                labels=int(mine.sum()),
                occurrences=occurrences,
                recall=float(met[mine].sum() / max(occurrences, 1)),
                coverage=float((met[mine] > 0).sum() / max(asked, 1)),
            )
        )
    return out


def coverage_at(ranking: Ranking, found: NDArray[np.bool_], truth: sparse.csr_array, k: int) -> float:
    """Share of the labels that are true somewhere which are found somewhere among the first k."""
    wanted = len(np.unique(truth.indices))
    return len(np.unique(ranking.ids[:, :k][found[:, :k]])) / wanted if wanted else 0.0


def evaluate(
    ranking: Ranking,
    truth: sparse.csr_array,
    *,
    counts: NDArray[np.int64],
    rows: int,
    cutoffs: Sequence[int] = CUTOFFS,
) -> dict[str, float]:
    """All figures at the cutoffs that the ranking is long enough for, by name ("precision_at_5").

    truth: true labels (q, labels); counts: how often each label was seen in training, over ``rows`` rows.
    """
    true = checked_rows(truth, "truth", columns=len(counts))
    found, sizes, chances = hits(ranking, true), np.diff(true.indptr), propensities(counts, rows)
    out: dict[str, float] = {}
    for k in cutoffs:
        if k > ranking.ids.shape[1]:
            continue
        out[f"precision_at_{k}"] = precision_at(found, k)
        out[f"recall_at_{k}"] = recall_at(found, sizes, k)
        out[f"ndcg_at_{k}"] = ndcg_at(found, sizes, k)
        out[f"propensity_precision_at_{k}"] = propensity_precision_at(ranking, found, true, chances, k)
        out[f"coverage_at_{k}"] = coverage_at(ranking, found, true, k)
    return out
