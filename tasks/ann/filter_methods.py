"""How the rows that pass a filter are searched: whichever way costs least, by a model of nanoseconds.

The constants were measured on 59,000 to 250,000 vectors of 128 to 784 dimensions; only their ratios matter, and they are
constants, so that the same search on another machine gives the same result.
"""

import numpy as np
from numpy.typing import NDArray

from fingerpost.ext.filtered import COMPARE, CROSS, SCAN

#: The way that compares all rows that pass with all queries of a set by a matrix product.
PRODUCT = 3
#: The fraction of rows that pass from which a graph search compares all that it meets. Below, it would have to meet many
#: to find enough, above all where the query lies among rows that fail.
COMPARED_SHARE = 0.3
#: How much less than a comparison of all rows that pass a graph search has to cost by the model to be chosen.
MARGIN = 0.8


def chosen_methods(
    passing: NDArray[np.int64], queries: NDArray[np.int64], *, size: int, columns: int, ef: int
) -> NDArray[np.uint8]:
    """The method of each set, uint8 (s,): one of the extension ``filtered``, or ``PRODUCT``.

    passing: rows of each set, int64 (s,). queries: that share it, int64 (s,), 0 for a set that none has. size, columns:
    of the vectors. ef: width of the search.
    """
    rows, shared = passing.astype(np.float64), np.maximum(queries, 1).astype(np.float64)
    scan = rows * (40 + 0.25 * columns)
    product = rows * ((100 + 1.8 * columns) / shared + 8 + 0.03 * columns) + 20_000 / shared + 3_000
    share = np.maximum(rows, 1) / max(size, 1)
    compare = (ef / share + 15) * 13 * (65 + 0.28 * columns)
    cross = (ef + 25) * (5_500 + 2.5 * columns)
    graph = np.where(share >= COMPARED_SHARE, COMPARE, CROSS)
    exact = np.where(scan <= product, SCAN, PRODUCT)
    worth = np.where(graph == COMPARE, compare, cross) < MARGIN * np.minimum(scan, product)
    # A search of that many rows ends in comparing them all.
    return np.where(worth & (passing > ef), graph, np.where(passing == 0, SCAN, exact)).astype(np.uint8)
