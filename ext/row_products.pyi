"""Rows times a matrix, such that the bits of a row depend on that row alone.

Results are the same on every SIMD path, but for the sign of a NaN, and whatever the other rows, their number and their
order. The matrix products of numpy do not promise that: with some kernels of OpenBLAS a row has other last bits at another
position of a batch.
"""

import numpy as np
from numpy.typing import NDArray

SOURCE_HASH: str

def available_paths() -> tuple[str, ...]:
    """The SIMD paths that this CPU supports, among "portable", "avx2" and "avx512"."""

def active_path() -> str:
    """The SIMD path that this extension uses in this process."""

def force_path(name: str) -> None:
    """Selects a SIMD path; ValueError if the CPU does not support it."""

def row_products(
    rows: NDArray[np.float32], matrix: NDArray[np.float32], shift: NDArray[np.float32]
) -> NDArray[np.float32]:
    """Rows (n, d) times matrix (d, h) plus shift (h,), float32 (n, h): sums over d in ascending order, then the shift.

    On one thread. All C-contiguous; memory: a copy of 32 columns of the matrix. ValueError for shapes that do not fit.
    """
