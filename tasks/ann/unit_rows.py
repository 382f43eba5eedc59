"""Scaling of vectors to length one, whatever their length: no square overflows, and none vanishes."""

import numpy as np
from numpy.typing import ArrayLike, NDArray


def unit_rows(rows: ArrayLike) -> NDArray[np.float32]:
    """Rows (n, d) scaled to length one, float32; rows of zeros stay as they are."""
    wide = np.asarray(rows, dtype=np.float64)
    largest = np.abs(wide).max(axis=1, keepdims=True, initial=0.0)
    wide = wide / np.where(largest > 0, largest, 1.0)
    lengths = np.sqrt(np.einsum("ij,ij->i", wide, wide))[:, None]
    return (wide / np.where(lengths > 0, lengths, 1.0)).astype(np.float32)
