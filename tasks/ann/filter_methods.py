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
    """The method of each set over float vectors, uint8 (s,): one of the extension ``filtered``, or ``PRODUCT``.

    passing: rows of each set, int64 (s,). queries: that share it, int64 (s,), 0 for a set that none has. size, columns:
    of the vectors. ef: width of the search.
    """
    rows = passing.astype(np.float64)
    scan = rows * (40 + 0.25 * columns)
    return _chosen(rows, scan, _product(rows, queries, columns), size=size, met=65 + 0.28 * columns, ef=ef)


def packed_methods(
    passing: NDArray[np.int64],
    queries: NDArray[np.int64],
    *,
    size: int,
    columns: int,
    ef: int,
    lines: int | None = None,
    exact_rows: int = 0,
) -> NDArray[np.uint8]:
    """The method of each set over a packed index, uint8 (s,); arguments as those of :func:`chosen_methods`.

    lines: cache lines of a code; None where vectors themselves are compared. exact_rows: up to which a scan compares the
    vectors themselves all the same.
    """
    rows, row, met = passing.astype(np.float64), 40 + 0.25 * columns, 65 + 0.28 * columns
    scan = rows * row
    if lines is not None:
        met = 15 + 10.0 * lines
        # A query's own code, and the best by estimate compared exactly.
        estimated = rows * 12.0 * lines + 3_000 + 15 * columns + 30 * row
        scan = np.where(passing <= exact_rows, scan, estimated)
    return _chosen(rows, scan, _product(rows, queries, columns), size=size, met=met, ef=ef)


def _product(rows: NDArray[np.float64], queries: NDArray[np.int64], columns: int) -> NDArray[np.float64]:
    shared = np.maximum(queries, 1).astype(np.float64)
    # Products of many rows do not stay in the caches until the nearest are selected.
    each = 4 + 0.03 * columns + 8 * rows / (rows + 8_000)
    return rows * ((100 + 1.8 * columns) / shared + each) + 20_000 / shared + 1_000


def _chosen(
    rows: NDArray[np.float64],
    scan: NDArray[np.float64],
    product: NDArray[np.float64],
    *,
    size: int,
    met: float,
    ef: int,
) -> NDArray[np.uint8]:
    """A graph search where that costs less than to compare all rows that pass, else the cheaper way to do that.

    scan, product: what the two cost. met: what a node costs that a graph search compares.
    """
    share = np.maximum(rows, 1) / max(size, 1)
    compare = (ef / share + 15) * 13 * met
    cross = (ef + 25) * (4_500 + 13 * met)
    graph = np.where(share >= COMPARED_SHARE, COMPARE, CROSS)
    worth = np.where(graph == COMPARE, compare, cross) < MARGIN * np.minimum(scan, product)
    exact = np.where((scan <= product) | (rows == 0), SCAN, PRODUCT)
    # A search as wide as the number of rows ends in comparing them all.
    return np.where(worth & (rows > ef), graph, exact).astype(np.uint8)
