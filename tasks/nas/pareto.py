"""Pareto fronts: non-dominated sorting (Deb et al., "NSGA-II", IEEE TEC 2002, section III A) and the hypervolume of a front
(Zitzler and Thiele, 1999), by slicing along one objective at a time (While et al., IEEE TEC 2006).
"""

import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.float64]


def front_ranks(values: Values) -> NDArray[np.int64]:
    """The rank of each row's front, from 0: the rows that no other row dominates once those of lower ranks are left out.

    values: float64 (n, d), every objective smaller is better, no NaN. Rows with equal values are in the same front.
    """
    ranks = np.full(len(values), -1, dtype=np.int64)
    dominators = np.zeros(len(values), dtype=np.int64)
    dominates = np.zeros((len(values), len(values)), dtype=bool)
    for row, value in enumerate(values):
        dominates[row] = np.all(value <= values, axis=1) & np.any(value < values, axis=1)
        dominators += dominates[row]
    rank = 0
    while (left := ranks < 0).any():
        free = left & (dominators == 0)
        ranks[free] = rank
        dominators -= dominates[free].sum(axis=0)
        rank += 1
    return ranks


def first_front(values: Values) -> NDArray[np.int64]:
    """The rows that no other row dominates, ascending."""
    return np.flatnonzero(front_ranks(values) == 0)


def hypervolume(values: Values, worst: Values) -> float:
    """The volume between ``worst`` (d,) and the front of the rows (n, d), smaller is better; rows beyond it add nothing."""
    inside = values[np.all(values < worst, axis=1)]
    if not len(inside):
        return 0.0
    return _volume(inside, worst)


def _volume(values: Values, worst: Values) -> float:
    if values.shape[1] == 1:
        return float(worst[0] - values[:, 0].min())
    order = np.argsort(values[:, 0], kind="stable")
    values = values[order]
    ends = np.append(values[1:, 0], worst[0])
    # Between two neighbours along the first objective, all rows before count, each with its other objectives.
    return sum(
        float(end - values[row, 0]) * _volume(values[: row + 1, 1:], worst[1:])
        for row, end in enumerate(ends)
        if end > values[row, 0]
    )
