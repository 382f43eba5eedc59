"""Sparse rows in the format that the kernels expect: CSR float32, int64 pointers, int32 ascending indices."""

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:  # ranking makes no sparse matrix, and scipy takes time and memory
    from scipy import sparse

#: Rows scaled per batch.
BLOCK_ROWS = 4_096


class MatrixError(ValueError):
    """A matrix that a ranker cannot be trained or queried with."""


def checked_rows(matrix: "sparse.sparray", name: str, *, columns: int | None = None) -> "sparse.csr_array":
    """The matrix as CSR float32 with int64 pointers and ascending int32 indices; arrays of that form are not copied.

    Raises MatrixError for an unexpected number of columns and for non-finite values.
    """
    from scipy import sparse

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
        raise MatrixError(f"{name}: expected finite numbers, got NaN or infinity; remove such rows")
    indptr = np.ascontiguousarray(rows.indptr, dtype=np.int64)
    return csr_rows(data, np.ascontiguousarray(rows.indices, dtype=np.int32), indptr, columns=rows.shape[1])


def csr_rows(
    data: NDArray[np.float32], indices: NDArray[np.int32], indptr: NDArray[np.int64], *, columns: int
) -> "sparse.csr_array":
    """A CSR array that shares these arrays; indices must ascend in every row.

    The arrays are assigned instead of passed, because the constructor narrows the pointers.
    """
    from scipy import sparse

    rows = sparse.csr_array((len(indptr) - 1, columns), dtype=np.float32)
    rows.data, rows.indices, rows.indptr = data, indices, indptr
    rows.has_sorted_indices = True
    rows.has_canonical_format = True
    return rows


def normalised_rows(matrix: "sparse.csr_array") -> "sparse.csr_array":
    """Rows scaled to unit L2 norm, with norms summed in float64; empty rows stay empty."""
    data = np.empty(len(matrix.data), dtype=np.float32)
    for begin in range(0, matrix.shape[0], BLOCK_ROWS):
        starts = matrix.indptr[begin : begin + BLOCK_ROWS + 1]
        sizes, part = np.diff(starts), slice(starts[0], starts[-1])
        ids = np.repeat(np.arange(len(sizes)), sizes)
        # bincount adds in order, so that a row does not depend on its batch.
        squares = np.bincount(ids, weights=np.square(matrix.data[part], dtype=np.float64), minlength=len(sizes))
        squares[squares == 0] = 1.0
        data[part] = matrix.data[part] * (1.0 / np.sqrt(squares))[ids]
    return csr_rows(data, matrix.indices, matrix.indptr, columns=matrix.shape[1])
