"""Rows times a matrix: the sums of the definition on every path, and a row's bits whatever the other rows."""

from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fingerpost.ext import row_products as kernel
from fingerpost.ext.sources import source_hash


@pytest.fixture(autouse=True)
def restored_path() -> Iterator[None]:
    before = kernel.active_path()
    yield
    kernel.force_path(before)


def given_arrays(sizes: tuple[int, int, int], seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    count, dim, columns = sizes
    random = np.random.default_rng(seed)
    shapes = ((count, dim), (dim, columns), (columns,))
    rows, matrix, shift = (random.standard_normal(shape).astype(np.float32) for shape in shapes)
    return rows, matrix, shift


def slow_products(rows: np.ndarray, matrix: np.ndarray, shift: np.ndarray) -> np.ndarray:
    """One product and one sum after the other, each rounded to float32."""
    out = np.empty((len(rows), matrix.shape[1]), np.float32)
    for row in range(len(rows)):
        for column in range(matrix.shape[1]):
            total = np.float32(0)
            for k in range(rows.shape[1]):
                total = np.float32(total + np.float32(rows[row, k] * matrix[k, column]))
            out[row, column] = np.float32(total + shift[column])
    return out


@settings(max_examples=25, deadline=None)
@given(sizes=st.tuples(st.integers(0, 20), st.integers(0, 12), st.integers(0, 70)), seed=st.integers(0, 99))
def test_products_are_those_of_the_definition_on_every_path(sizes: tuple[int, int, int], seed: int) -> None:
    arrays = given_arrays(sizes, seed)
    expected = slow_products(*arrays)
    for path in kernel.available_paths():
        kernel.force_path(path)
        found = kernel.row_products(*arrays)
        assert found.shape == expected.shape
        assert found.tobytes() == expected.tobytes(), path


@settings(max_examples=60)
@given(sizes=st.tuples(st.integers(0, 40), st.integers(0, 70), st.integers(0, 80)), seed=st.integers(0, 99))
def test_a_row_has_the_same_bits_in_any_company(sizes: tuple[int, int, int], seed: int) -> None:
    rows, matrix, shift = given_arrays(sizes, seed)
    whole = kernel.row_products(rows, matrix, shift)
    order = np.random.default_rng(seed).permutation(len(rows))
    for path in kernel.available_paths():
        kernel.force_path(path)
        assert kernel.row_products(rows[order], matrix, shift).tobytes() == whole[order].tobytes(), path
        for first in range(min(len(rows), 9)):
            assert kernel.row_products(rows[first:], matrix, shift).tobytes() == whole[first:].tobytes(), path
        for row in order[:3]:
            assert kernel.row_products(rows[[row]], matrix, shift).tobytes() == whole[[row]].tobytes(), path


@pytest.mark.parametrize("sizes", [(4096, 12, 8), (300, 300, 100), (33, 1000, 65)])
def test_products_are_near_the_true_ones(sizes: tuple[int, int, int]) -> None:
    rows, matrix, shift = given_arrays(sizes, 0)
    true = rows.astype(np.float64) @ matrix.astype(np.float64) + shift
    results = []
    for path in kernel.available_paths():
        kernel.force_path(path)
        results.append(kernel.row_products(rows, matrix, shift))
    assert abs(results[0] - true).max() < 1e-6 * sizes[1]
    assert all(found.tobytes() == results[0].tobytes() for found in results)


def test_what_is_no_number_stays_in_its_row_and_column() -> None:
    rows, matrix, shift = given_arrays((19, 5, 37), 0)
    rows[3, 1], rows[7, 0], matrix[2, 36] = np.inf, np.nan, np.nan
    expected = np.zeros((19, 37), bool)
    expected[[3, 7]] = expected[:, 36] = True
    for path in kernel.available_paths():
        kernel.force_path(path)
        assert (np.isfinite(kernel.row_products(rows, matrix, shift)) == ~expected).all(), path


def test_without_columns_a_row_is_the_shift() -> None:
    rows, matrix, shift = given_arrays((3, 0, 4), 1)
    assert kernel.row_products(rows, matrix, shift).tolist() == [shift.tolist()] * 3
    assert kernel.row_products(*given_arrays((0, 4, 3), 0)).shape == (0, 3)
    assert kernel.row_products(*given_arrays((4, 3, 0), 0)).shape == (4, 0)


def test_the_kernel_is_built_from_the_sources_here() -> None:
    assert source_hash("row_products") == kernel.SOURCE_HASH


def test_shapes_that_do_not_fit_are_refused() -> None:
    rows, matrix, shift = given_arrays((4, 3, 5), 0)
    with pytest.raises(ValueError, match="matrix: expected 3 rows, one for each column of the rows, got 2"):
        kernel.row_products(rows, matrix[:2], shift)
    with pytest.raises(ValueError, match="shift: expected 5 values, one for each column of the matrix, got 4"):
        kernel.row_products(rows, matrix, shift[:4])
    with pytest.raises(ValueError, match="SIMD path: expected one of"):
        kernel.force_path("sse9")
