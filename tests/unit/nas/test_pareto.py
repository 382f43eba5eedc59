"""Fronts and hypervolumes against slow definitions."""

import itertools

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

from fingerpost.tasks.nas.pareto import first_front, front_ranks, hypervolume

_GRIDS = st.tuples(st.integers(1, 12), st.integers(1, 3)).flatmap(
    lambda shape: arrays(np.float64, shape, elements=st.integers(0, 4).map(float))
)


def _ranks(values: NDArray[np.float64]) -> list[int]:
    """Peels fronts off, pair by pair."""
    ranks, left, rank = [-1] * len(values), list(range(len(values))), 0
    while left:
        front = [
            row
            for row in left
            if not any(
                all(values[other] <= values[row]) and any(values[other] < values[row]) for other in left if other != row
            )
        ]
        for row in front:
            ranks[row] = rank
        left = [row for row in left if row not in front]
        rank += 1
    return ranks


def _volume(values: NDArray[np.float64], worst: int) -> int:
    """Counts the unit cells that a row dominates."""
    cells = itertools.product(range(worst), repeat=values.shape[1])
    return sum(any(all(row <= cell) for row in values) for cell in cells)


@given(_GRIDS)
def test_ranks_are_those_of_peeled_fronts(values: NDArray[np.float64]) -> None:
    assert front_ranks(values).tolist() == _ranks(values)
    assert first_front(values).tolist() == [row for row, rank in enumerate(_ranks(values)) if rank == 0]


@given(_GRIDS)
def test_the_hypervolume_counts_the_dominated_cells(values: NDArray[np.float64]) -> None:
    assert hypervolume(values, np.full(values.shape[1], 4.0)) == _volume(values, 4)


@given(_GRIDS)
def test_the_order_of_rows_and_dominated_ones_do_not_matter(values: NDArray[np.float64]) -> None:
    order = np.random.default_rng(len(values)).permutation(len(values))
    worst = np.full(values.shape[1], 5.0)
    assert front_ranks(values)[order].tolist() == front_ranks(values[order]).tolist()
    assert hypervolume(values[first_front(values)], worst) == hypervolume(values[order], worst)


def test_no_rows_have_no_front() -> None:
    assert front_ranks(np.empty((0, 2))).tolist() == []
    assert hypervolume(np.empty((0, 2)), np.ones(2)) == 0.0
