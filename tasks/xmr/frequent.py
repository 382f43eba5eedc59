"""The baseline that every ranker must beat: the most frequent labels, whatever the query."""

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from fingerpost.tasks.xmr.ranking import NONE, RankCounters, Ranking


def padded(ids: NDArray[np.uint32], scores: NDArray[np.float32], k: int) -> Ranking:
    """A ranking of exactly k columns, truncated or padded; scores of padding are 0."""
    missing = ((0, 0), (0, max(0, k - ids.shape[1])))
    filled = np.pad(ids[:, :k], missing, constant_values=NONE)
    kept = np.pad(scores[:, :k], missing)
    return Ranking(filled.astype(np.uint32), np.where(filled == NONE, 0, kept).astype(np.float32), RankCounters())


def check_k(k: int) -> None:
    """ValueError for a number of labels below 1."""
    if k < 1:
        raise ValueError(f"k: expected at least 1, got {k}; raise it")


class FrequentLabels:
    """Ranks the most frequent labels of the training rows for every query; ties by label."""

    def __init__(self, counts: NDArray[np.int64]) -> None:
        """counts: int64 (labels,), training rows of each label; labels without rows are not ranked."""
        order = np.argsort(-counts, kind="stable")
        self._ids = order[counts[order] > 0].astype(np.uint32)
        self._shares = (counts[self._ids] / max(int(counts.sum()), 1)).astype(np.float32)
        self.labels = len(counts)

    @property
    def nbytes(self) -> int:
        """Bytes of labels and scores."""
        return self._ids.nbytes + self._shares.nbytes

    def rank(self, queries: list[str] | sparse.csr_array, k: int = 10) -> Ranking:
        """The same k labels for each query, scored by their fraction of all training pairs."""
        check_k(k)
        rows = len(queries) if isinstance(queries, list) else int(queries.shape[0])
        ids, shares = np.repeat(self._ids[None, :k], rows, axis=0), np.repeat(self._shares[None, :k], rows, axis=0)
        return padded(ids, shares, k)
