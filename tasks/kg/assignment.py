"""One-to-one matching of scored candidate pairs: Sinkhorn scaling and mutual best pairs, over sparse scores.

Pairs that are not stored are no candidates. Sums run in the order of the stored entries on one thread, so that results do
not depend on threads.
"""

import numpy as np
from numpy.typing import NDArray
from scipy import sparse


def row_numbers(scores: sparse.csr_array) -> NDArray[np.int64]:
    """int64 (entries,): the row of each stored entry."""
    return np.repeat(np.arange(scores.shape[0]), np.diff(scores.indptr))


def sinkhorn(scores: sparse.csr_array, *, temperature: float, iterations: int) -> sparse.csr_array:
    """Probabilities of the candidate pairs: exp(score / temperature) scaled until rows and columns sum to at most 1.

    A step divides columns and a step divides rows, ``iterations`` times; the last is one of columns, so that these sum to
    1. Rows and columns without candidates stay empty. Source: Cuturi, Sinkhorn distances, NIPS 2013; as a decoder of
    alignments: Mao et al., From alignment to assignment, EMNLP 2021.
    """
    rows = row_numbers(scores)
    most = np.full(scores.shape[0], -np.inf)
    np.maximum.at(most, rows, scores.data)
    # The largest of a row is subtracted against overflow; scaling takes it out again.
    kernel = sparse.csr_array(
        (np.exp((scores.data - most[rows]) / temperature), scores.indices, scores.indptr), shape=scores.shape
    )
    turned = sparse.csr_array(kernel.T)
    of_column = np.ones(scores.shape[1])
    of_row = np.ones(scores.shape[0])
    for _ in range(iterations):
        of_row = _inverse(kernel @ of_column)
        of_column = _inverse(turned @ of_row)
    return sparse.csr_array(
        (kernel.data * of_row[rows] * of_column[kernel.indices], kernel.indices, kernel.indptr), shape=kernel.shape
    )


def _inverse(sums: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.divide(1.0, sums, out=np.zeros_like(sums), where=sums > 0)


def best_columns(scores: sparse.csr_array) -> NDArray[np.int64]:
    """int64 (rows,): the column of the largest entry of each row, the smaller column of equal ones; -1 for none."""
    rows = row_numbers(scores)
    order = np.lexsort((scores.indices, -scores.data, rows))
    first = order[np.diff(rows[order], prepend=-1) != 0]
    best = np.full(scores.shape[0], -1, dtype=np.int64)
    best[rows[first]] = scores.indices[first]
    return best


def mutual_best(scores: sparse.csr_array) -> NDArray[np.int64]:
    """int64 (pairs, 2): rows and columns that are each other's best."""
    column, row = best_columns(scores), best_columns(sparse.csr_array(scores.T))
    rows = np.flatnonzero(column >= 0)
    rows = rows[row[column[rows]] == rows]
    return np.stack([rows, column[rows]], axis=1)
