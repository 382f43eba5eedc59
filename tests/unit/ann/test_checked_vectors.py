"""Vectors are taken or refused by their values alone."""

import warnings

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fingerpost.tasks.ann.search import VectorError, checked_vectors


@given(
    rows=st.integers(0, 5),
    columns=st.integers(1, 70),
    size=st.sampled_from([0.0, 1.0, 1e19, 1e38]),
    bad=st.sampled_from([None, np.nan, np.inf, -np.inf]),
    data=st.data(),
)
def test_only_what_is_no_number_is_refused(
    rows: int, columns: int, size: float, bad: float | None, data: st.DataObject
) -> None:
    """Values whose squares or sums are beyond float32 are numbers all the same."""
    values = np.full((rows, columns), size, np.float32)
    row = data.draw(st.integers(0, max(rows - 1, 0)))
    if bad is not None and rows:
        values[row, data.draw(st.integers(0, columns - 1))] = bad
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        if bad is None or not rows:
            assert checked_vectors(values) is values
            return
        with pytest.raises(VectorError, match=f"vectors row {row}: expected finite numbers"):
            checked_vectors(values)
