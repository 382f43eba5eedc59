"""Sums of the leaves that rows reach in binary trees."""

import numpy as np
from numpy.typing import NDArray

SOURCE_HASH: str

def tree_sums(
    features: NDArray[np.int32],
    values: NDArray[np.float64],
    missing_left: NDArray[np.uint8],
    left: NDArray[np.int32],
    right: NDArray[np.int32],
    roots: NDArray[np.int32],
    rows: NDArray[np.float32],
    *,
    start: float,
) -> NDArray[np.float64]:
    """``start`` plus the leaf of each tree, in their order, for each of ``rows`` (m, features); float64 (m,).

    The first five arrays are of the nodes of all trees: the feature that a node looks at, -1 at a leaf; the largest value
    that goes left, or what the leaf adds; whether a missing value (NaN) goes left; the numbers of both children, larger
    than the node's. roots: the first node of each tree. ValueError for arrays that do not fit each other or the rows.
    """
