"""Balanced 2-means of sparse rows, recursively (PECOS, JMLR 23(98), 2022, section 3.1)."""

import numpy as np
from numpy.typing import NDArray

SOURCE_HASH: str

def split_rows(
    indptr: NDArray[np.int64],
    indices: NDArray[np.int32],
    data: NDArray[np.float32],
    features: int,
    members: NDArray[np.uint32],
    *,
    depth: int,
    level: int = 0,
    place: int = 0,
    max_iter: int,
    spherical: bool,
    seed: int,
) -> tuple[NDArray[np.uint32], NDArray[np.int64]]:
    """Splits ``members`` (m,), rows of a CSR matrix (n, features), in halves ``depth`` times.

    Returns the members grouped by leaf, ascending within each, and the sizes int64 (2**depth,) of the leaves. The
    smaller half of an odd number comes first. (level, place) is the node's position in the complete tree; with the seed
    it determines the first two centres, so a subtree is the same whether computed alone or with the rest.
    """
