"""Merging of the columns of two chunks; a chunk is defined in tasks/xmr/model.py."""

import numpy as np
from numpy.typing import NDArray

SOURCE_HASH: str

#: features uint32 (f,) ascending, start uint32 (f + 1,), columns uint16 (e,) and values float32 (e,); positions int64,
#: one per column.
Part = tuple[NDArray[np.uint32], NDArray[np.uint32], NDArray[np.uint16], NDArray[np.float32], NDArray[np.int64]]

def merge_chunks(
    first: Part, second: Part, width: int
) -> tuple[NDArray[np.uint32], NDArray[np.uint32], NDArray[np.uint16], NDArray[np.float32]]:
    """The features, start, columns and values of both parts merged, each column at its position below ``width``.

    A position of -1 drops a column; positions are distinct. Columns ascend within a feature; features without entries
    are dropped. Raises ValueError for pointers or positions that do not fit.
    """
