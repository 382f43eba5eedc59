"""Vectors scaled to length one, whatever their length."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from fingerpost.tasks.ann.unit_rows import unit_rows


@given(arrays.arrays(np.float64, (3, 4), elements=st.floats(-1, 1)), st.integers(-280, 280))
def test_the_direction_stays_and_the_length_is_one(rows: np.ndarray, exponent: int) -> None:
    kept = np.abs(rows).max(axis=1) > 0.01
    expected = rows[kept] / np.linalg.norm(rows[kept], axis=1, keepdims=True)
    assert unit_rows(rows[kept] * 10.0**exponent) == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("length", [1e38, 1e20, 1.0, 1e-25, 1e-44])
def test_float32_too(length: float) -> None:
    found = unit_rows(np.array([[length, 0.0, -length]], dtype=np.float32))
    assert found == pytest.approx(np.array([[0.5**0.5, 0, -(0.5**0.5)]]), abs=1e-6)
    assert found.dtype == np.float32


def test_zeros_stay() -> None:
    assert not unit_rows(np.zeros((2, 3))).any()
    assert unit_rows(np.zeros((0, 3))).shape == (0, 3)
