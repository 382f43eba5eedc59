"""Arrays that begin at a cache line, so that kernels use them in place."""

import math

import numpy as np
from numpy.typing import DTypeLike, NDArray

#: Bytes of a cache line.
ALIGNMENT = 64


def aligned_empty(shape: tuple[int, ...], dtype: DTypeLike) -> NDArray[np.generic]:
    """An uninitialised C-contiguous array whose data begins at a multiple of ``ALIGNMENT`` bytes."""
    kind = np.dtype(dtype)
    size = math.prod(shape) * kind.itemsize
    memory = np.empty(size + ALIGNMENT, dtype=np.uint8)
    begin = -memory.ctypes.data % ALIGNMENT
    return memory[begin : begin + size].view(kind).reshape(shape)
