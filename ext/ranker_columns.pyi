"""Columns of two chunks put together; see the model of rankers for what a chunk is."""

import numpy as np
from numpy.typing import NDArray

SOURCE_HASH: str

#: features uint32 (f,) ascending, start uint32 (f + 1,), columns uint16 (e,) and values float32 (e,); places int64, one a
#: column.
Part = tuple[NDArray[np.uint32], NDArray[np.uint32], NDArray[np.uint16], NDArray[np.float32], NDArray[np.int64]]

def merge_chunks(
    first: Part, second: Part, width: int
) -> tuple[NDArray[np.uint32], NDArray[np.uint32], NDArray[np.uint16], NDArray[np.float32]]:
    """The features, start, columns and values of both parts in one, each column at its place below ``width``.

    A place of -1 leaves a column out; no place is taken twice. Columns ascend within a feature; features without entries
    are left out. Raises ValueError for pointers or places that do not fit.
    """
