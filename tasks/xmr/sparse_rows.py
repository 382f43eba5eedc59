"""Sparse rows as the kernels take them."""

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

#: Rows that are scaled together.
BLOCK_ROWS = 4_096


class MatrixError(ValueError):
    """A matrix that a ranker cannot be trained on or asked with."""


def checked_rows(matrix: sparse.sparray, name: str, *, columns: int | None = None) -> sparse.csr_array:
    """CSR float32 with int64 pointers, int32 indices ascending in each row, without a copy of what is so already.

    Raises MatrixError for other columns than expected and for numbers that are not finite.
    """
    if not sparse.issparse(matrix) or matrix.ndim != 2:
        raise MatrixError(f"{name}: expected a sparse matrix of rows, got {type(matrix).__name__}; make a CSR matrix")
    if columns is not None and matrix.shape[1] != columns:
        raise MatrixError(f"{name}: expected {columns} columns, got {matrix.shape[1]}; use one vocabulary")
    rows = matrix.tocsr()
    if not rows.has_canonical_format:
        rows = rows.copy()
        rows.sum_duplicates()
    data = np.ascontiguousarray(rows.data, dtype=np.float32)
    if not np.isfinite(data.sum(dtype=np.float64)):
        raise MatrixError(f"{name}: expected finite numbers, got NaN or infinity; leave such rows out")
    indptr = np.ascontiguousarray(rows.indptr, dtype=np.int64)
    return csr_rows(data, np.ascontiguousarray(rows.indices, dtype=np.int32), indptr, columns=rows.shape[1])


def csr_rows(
    data: NDArray[np.float32], indices: NDArray[np.int32], indptr: NDArray[np.int64], *, columns: int
) -> sparse.csr_array:
    """A CSR array around these very arrays, whose indices ascend in every row.

    Assigned instead of given, because the constructor narrows the pointers.
    """
    rows = sparse.csr_array((len(indptr) - 1, columns), dtype=np.float32)
    rows.data, rows.indices, rows.indptr = data, indices, indptr
    rows.has_sorted_indices = True
    rows.has_canonical_format = True
    return rows


def normalised_rows(matrix: sparse.csr_array) -> sparse.csr_array:
    """Rows scaled to length one by float64 sums; rows without entries stay empty."""
    data = np.empty(len(matrix.data), dtype=np.float32)
    for begin in range(0, matrix.shape[0], BLOCK_ROWS):
        starts = matrix.indptr[begin : begin + BLOCK_ROWS + 1]
        sizes, part = np.diff(starts), slice(starts[0], starts[-1])
        ids = np.repeat(np.arange(len(sizes)), sizes)
        # bincount adds in order, so a row does not depend on its block.
        squares = np.bincount(ids, weights=np.square(matrix.data[part], dtype=np.float64), minlength=len(sizes))
        squares[squares == 0] = 1.0
        data[part] = matrix.data[part] * (1.0 / np.sqrt(squares))[ids]
    return csr_rows(data, matrix.indices, matrix.indptr, columns=matrix.shape[1])
