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

#: Of each set, or of one alone.
Numbers = float | NDArray[np.float64]
Condition = bool | NDArray[np.bool_]


def chosen_methods(
    passing: NDArray[np.int64], queries: NDArray[np.int64], *, size: int, columns: int, ef: int
) -> NDArray[np.uint8]:
    """The method of each set over float vectors, uint8 (s,): one of the extension ``filtered``, or ``PRODUCT``.

    passing: rows of each set, int64 (s,). queries: that share it, int64 (s,), 0 for a set that none has. size, columns:
    of the vectors. ef: width of the search.
    """
    rows, shared = _numbers(passing, queries)
    scan = _scan(rows, shared, columns, again=8 + 0.1 * columns)
    return _chosen(rows, scan, _product(rows, shared, columns), size=size, met=65 + 0.28 * columns, ef=ef)


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
    rows, shared = _numbers(passing, queries)
    scan, met = _scan(rows, shared, columns, again=10 + 0.22 * columns), 65 + 0.28 * columns
    if lines is not None:
        met = 15 + 10.0 * lines
        # A query's own code, and the best by estimate compared exactly.
        code, again = 12.0 * lines, 3 + 1.7 * lines
        estimated = rows * (again + (code - again) / shared) + 3_000 + 15 * columns + 30 * _row(columns)
        scan = _where(rows <= exact_rows, scan, estimated)
    return _chosen(rows, scan, _product(rows, shared, columns), size=size, met=met, ef=ef)


def _numbers(passing: NDArray[np.int64], queries: NDArray[np.int64]) -> tuple[Numbers, Numbers]:
    """Rows that pass and queries that share them, at least 1, as float64 (s,); of one set as two numbers.

    A search of one query takes less time than a few operations on arrays.
    """
    if len(passing) == 1:
        return float(passing[0]), max(float(queries[0]), 1.0)
    return passing.astype(np.float64), np.maximum(queries, 1).astype(np.float64)


def _where(condition: Condition, yes: Numbers, no: Numbers) -> Numbers:
    if isinstance(condition, bool):
        return yes if condition else no
    return np.where(condition, yes, no)


def _row(columns: int) -> float:
    """A comparison with a row that memory has to bring."""
    return 40 + 0.25 * columns


def _scan(rows: Numbers, shared: Numbers, columns: int, *, again: float) -> Numbers:
    """Comparisons with all rows of a set.

    again: a comparison with a row that an earlier query of the set has brought into the caches, as far as they hold it.
    """
    held = rows * columns
    warm = again + 0.12 * columns * held / (held + 2_000_000)
    cold = _row(columns) - warm
    return rows * (warm + _where(cold > 0, cold, 0.0 * warm) / shared)


def _product(rows: Numbers, shared: Numbers, columns: int) -> Numbers:
    # Products of many rows do not stay in the caches until the nearest are selected.
    each = 1 + 0.0225 * columns + 3 * rows / (rows + 8_000)
    once = 40_000 + rows * (50 + 0.8 * columns)
    return once / shared + rows * each + 350 + 0.8 * columns


def _chosen(rows: Numbers, scan: Numbers, product: Numbers, *, size: int, met: float, ef: int) -> NDArray[np.uint8]:
    """A graph search where that costs less than to compare all rows that pass, else the cheaper way to do that.

    scan, product: what the two cost. met: what a node costs that a graph search compares.
    """
    share = _where(rows < 1, 1.0, rows) / max(size, 1)
    # A scan looks through all bits of a set.
    scan = scan + 300 + 0.005 * size
    compare = (ef / share + 15) * 13 * met
    cross = (ef + 25) * (4_500 + 13 * met)
    compared = share >= COMPARED_SHARE
    worth = _where(compared, compare, cross) < MARGIN * _where(scan < product, scan, product)
    exact = _where((scan <= product) | (rows == 0), SCAN, PRODUCT)
    # A search as wide as the number of rows ends in comparing them all.
    found = _where(worth & (rows > ef), _where(compared, COMPARE, CROSS), exact)
    return np.atleast_1d(np.asarray(found, np.uint8))
