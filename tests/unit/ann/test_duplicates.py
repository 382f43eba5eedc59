"""Near-duplicates: which are left out of a ranking, and how like documents are, against sums written out."""

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import sparse

from fingerpost.tasks.ann.duplicates import first_distinct, term_likeness, vector_likeness

MATRICES = st.lists(
    st.lists(st.sampled_from([0.0, 0.0, 0.5, 1.0, 3.0]), min_size=4, max_size=4), min_size=2, max_size=8
)


def jaccard(left: Sequence[float], right: Sequence[float]) -> float:
    either = sum(max(a, b) for a, b in zip(left, right, strict=True))
    return sum(min(a, b) for a, b in zip(left, right, strict=True)) / either if either else 0.0


@given(MATRICES)
def test_terms_are_as_alike_as_a_sum_says(rows: list[list[float]]) -> None:
    matrix = sparse.csr_array(np.array(rows, np.float32))
    likeness = term_likeness(matrix.indptr.astype(np.int64), matrix.indices.astype(np.int32), matrix.data)
    others = list(range(1, len(rows)))
    assert likeness(0, others) == pytest.approx([jaccard(rows[0], rows[other]) for other in others])


def test_vectors_are_as_alike_as_their_angle_says() -> None:
    vectors = np.array([[1, 0], [2, 0], [0, 3], [1, 1], [0, 0]], np.float32)
    assert vector_likeness(vectors)(0, [1, 2, 3, 4]) == pytest.approx([1, 0, 0.5**0.5, 0])


@given(MATRICES, st.integers(0, 9), st.sampled_from([0.3, 0.7, 1.0]))
def test_the_first_of_each_group_stays(rows: list[list[float]], count: int, least: float) -> None:
    def likeness(row: int, others: Sequence[int]) -> NDArray[np.float64]:
        return np.array([jaccard(rows[row], rows[other]) for other in others])

    ranking = list(reversed(range(len(rows))))
    found = first_distinct(ranking, count, likeness, least)
    kept: list[int] = []
    left_out = 0
    for row in ranking:
        if len(kept) < count:
            same = any(jaccard(rows[row], rows[other]) >= least for other in kept)
            left_out += same
            kept += [] if same else [row]
    assert ([ranking[place] for place in found.places], found.collapsed) == (kept, left_out)
