"""Documents ranked by the words that they share with a query, all of them: the search of indexes of given vectors."""

import numpy as np
from numpy.typing import NDArray
from scipy import sparse


def best_by_words(
    query: sparse.csr_array, features: sparse.csr_array, keep: NDArray[np.bool_], k: int
) -> tuple[NDArray[np.int64], NDArray[np.float32], int]:
    """The rows with the highest sparse similarity, at most k, best first: (rows int64, scores float32, rows with any).

    query: CSR (1, columns). features: CSR (n, columns). keep: mask of the rows that count (n,). Rows without a common
    term are left out; ties are ordered by row.
    """
    spread = np.zeros(features.shape[1], dtype=np.float32)
    spread[query.indices] = query.data
    scores = np.asarray(features @ spread, dtype=np.float32)
    rows = np.flatnonzero(keep & (scores > 0))
    order = np.lexsort((rows, -scores[rows]))[:k]
    best = rows[order].astype(np.int64)
    return best, scores[best], len(rows)
