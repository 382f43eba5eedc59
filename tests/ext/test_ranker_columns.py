"""Columns of two chunks put together equal columns of dense matrices put together; parts that do not fit are refused."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fingerpost.ext import ranker_columns
from fingerpost.ext.ranker_columns import merge_chunks
from fingerpost.ext.sources import source_hash
from tests.oracles import merged_columns


def chunk_of(matrix: np.ndarray):
    """Features, start, columns and values of a dense matrix (features, columns)."""
    features = np.flatnonzero(matrix.any(axis=1))
    kept = matrix[features]
    start = np.concatenate(([0], np.cumsum((kept != 0).sum(axis=1))))
    rows, columns = np.nonzero(kept)
    return features.astype(np.uint32), start.astype(np.uint32), columns.astype(np.uint16), kept[rows, columns]


def test_the_binary_is_of_these_sources() -> None:
    assert source_hash("ranker_columns") == ranker_columns.SOURCE_HASH


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 10**6), rows=st.integers(0, 12), left=st.integers(0, 6), right=st.integers(0, 6))
def test_merged_chunks_are_merged_matrices(seed: int, rows: int, left: int, right: int) -> None:
    rng = np.random.default_rng(seed)
    width = left + right + 2
    taken = rng.permutation(width)[: left + right]  # in any order
    places = [np.where(rng.random(len(part)) < 0.3, -1, part) for part in (taken[:left], taken[left:])]
    matrices = [
        (rng.random((rows, count)) * (rng.random((rows, count)) < 0.4)).astype(np.float32) for count in (left, right)
    ]
    parts = [(*chunk_of(matrix), place) for matrix, place in zip(matrices, places, strict=True)]
    expected = chunk_of(merged_columns(list(zip(matrices, places, strict=True)), width))
    for mine, theirs in zip(merge_chunks(*parts, width), expected, strict=True):
        assert mine.dtype == theirs.dtype
        assert np.array_equal(mine, theirs)


def test_parts_that_do_not_fit_are_refused() -> None:
    features, start, columns, values = chunk_of(np.eye(3, dtype=np.float32))
    places = np.arange(3)
    fine = (features, start, columns, values, places)
    for bad in (
        (features, start[:-1], columns, values, places),
        (features, start + np.uint32(1), columns, values, places),
        (features, start, columns, values[:-1], places),
    ):
        with pytest.raises(ValueError, match="chunk: expected pointers from 0"):
            merge_chunks(fine, bad, 3)
    for bad in ((features, start, columns, values, places[:-1]), (features, start, columns, values, places + 1)):
        with pytest.raises(ValueError, match="places: expected one below 3"):
            merge_chunks(bad, fine, 3)
