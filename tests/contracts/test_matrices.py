"""Matrices, tensors and their way through Arrow and Parquet."""

import io

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import sparse

from fingerpost.schemas.errors import ContractError
from fingerpost.schemas.matrices import (
    dense_from_arrow,
    dense_table,
    dense_to_arrow,
    figures_to_arrow,
    fixed_lists,
    fixed_matrix,
    sparse_from_arrow,
    sparse_table,
    sparse_to_arrow,
    tensor_table,
    tensors_from_arrow,
    tensors_to_arrow,
)
from fingerpost.schemas.tensors import lent_tensors, tensors_in_place, tensors_table
from tests.strategies import csr_matrices, dense_matrices, tensors


def through_parquet(table: pa.Table) -> pa.Table:
    sink = io.BytesIO()
    pq.write_table(table, sink)
    return pq.read_table(pa.BufferReader(sink.getvalue()))


def halves(table: pa.Table, cut: int) -> pa.Table:
    """The same rows as two chunks, as two shards give them."""
    return pa.concat_tables([table.slice(0, cut), table.slice(cut)])


@given(dense_matrices(), st.integers(0, 9))
def test_dense_rows_come_back_bit_by_bit(matrix: np.ndarray, cut: int) -> None:
    table = dense_table("rows").check(dense_to_arrow(matrix), where="test")
    for found in (table, through_parquet(table), halves(table, min(cut, len(matrix)))):
        back = dense_from_arrow(found)
        assert back.dtype == np.float32
        assert back.shape == matrix.shape
        assert back.tobytes() == matrix.tobytes()


@given(csr_matrices(), st.integers(0, 8))
def test_sparse_rows_come_back_entry_by_entry(matrix: sparse.csr_array, cut: int) -> None:
    table = sparse_table("rows").check(sparse_to_arrow(matrix), where="test")
    for found in (table, through_parquet(table), halves(table, min(cut, matrix.shape[0]))):
        back = sparse_from_arrow(found, columns=matrix.shape[1])
        assert back.shape == matrix.shape
        assert back.dtype == np.float32
        assert np.array_equal(back.indptr, matrix.indptr)
        assert np.array_equal(back.indices, matrix.indices)
        assert back.data.tobytes() == matrix.data.tobytes()


@given(csr_matrices(), st.integers(0, 8), st.integers(0, 8))
def test_a_slice_of_sparse_rows_is_those_rows(matrix: sparse.csr_array, start: int, count: int) -> None:
    start = min(start, matrix.shape[0])
    part = sparse_from_arrow(sparse_to_arrow(matrix).slice(start, count), columns=matrix.shape[1])
    assert np.array_equal(part.toarray(), matrix.toarray()[start : start + count])


@given(tensors())
def test_tensors_keep_dtype_shape_and_bits(arrays: dict[str, np.ndarray]) -> None:
    table = tensor_table("tensors").check(tensors_to_arrow(arrays), where="test")
    for found in (table, through_parquet(table)):
        back = tensors_from_arrow(found)
        assert list(back) == sorted(arrays)
        for name, array in arrays.items():
            little = array.astype(array.dtype.newbyteorder("<"))
            assert back[name].dtype == little.dtype
            assert back[name].shape == array.shape
            assert back[name].tobytes() == little.tobytes()


def test_tables_of_equal_tensors_are_equal_whatever_their_order_and_layout() -> None:
    matrix = np.arange(6.0).reshape(2, 3)
    assert tensors_to_arrow({"b": matrix, "a": np.int64(1)}).equals(
        tensors_to_arrow({"a": np.array(1), "b": np.asfortranarray(matrix)})
    )


@given(st.integers(0, 6), st.integers(1, 5), st.sampled_from([np.uint32, np.float32, np.int64]))
def test_fixed_lists_keep_their_dtype(rows: int, width: int, dtype: type) -> None:
    matrix = np.arange(rows * width, dtype=dtype).reshape(rows, width)
    for column in (pa.chunked_array([fixed_lists(matrix)]), pa.chunked_array([], fixed_lists(matrix).type)):
        back = fixed_matrix(column)
        assert back.dtype == dtype
        assert np.array_equal(back, matrix[: len(column)])


@pytest.mark.parametrize(("indices", "found"), [([0, 3], "0 to 3"), ([-1, 2], "-1 to 2")])
def test_an_index_outside_the_columns_is_refused(indices: list[int], found: str) -> None:
    table = pa.table(
        {"indices": pa.array([indices], pa.list_(pa.int32())), "values": pa.array([[1, 2]], pa.list_(pa.float32()))}
    )
    with pytest.raises(ContractError, match=f"sparse matrix: expected indices below 3, found {found}; rebuild"):
        sparse_from_arrow(table, columns=3)


def test_lists_of_unequal_length_break_the_sparse_contract() -> None:
    table = pa.table(
        {"indices": pa.array([[0, 1]], pa.list_(pa.int32())), "values": pa.array([[1]], pa.list_(pa.float32()))}
    )
    with pytest.raises(ContractError, match="1 rows in which 'indices' and 'values' differ in length"):
        sparse_table("rows").check(table, where="test")


def _tensor_row(dtype: str, shape: list[int], content: bytes) -> pa.Table:
    return pa.table(
        {
            "name": ["t"],
            "dtype": [dtype],
            "shape": pa.array([shape], pa.list_(pa.int64())),
            "bytes": pa.array([content], pa.large_binary()),
        }
    )


@pytest.mark.parametrize(
    ("dtype", "shape", "content"),
    [
        ("<f4", [2], b"1234567"),
        ("<f4", [3], b"12345678"),
        ("<f4", [-1, -2], b"12345678"),
        ("<f4", [0, -1], b""),
        ("|O", [1], b"12345678"),
        ("nonsense", [1], b"1"),
        ("<U1", [1], b"1234"),
        ("", [1], b"1"),
    ],
)
def test_a_tensor_whose_bytes_do_not_fit_is_refused(dtype: str, shape: list[int], content: bytes) -> None:
    with pytest.raises(ContractError, match=r"tensor 't': expected .*, found .*; rebuild the artifact"):
        tensors_from_arrow(_tensor_row(dtype, shape, content))


@pytest.mark.parametrize("array", [np.array(["text"]), np.array([None]), np.array([1j])])
def test_text_objects_and_complex_numbers_are_no_tensors(array: np.ndarray) -> None:
    with pytest.raises(ContractError, match=r"tensor 'x': expected a numeric dtype, got .*; store text in a table"):
        tensors_to_arrow({"x": array})


def test_a_shard_with_too_many_non_zeros_is_refused() -> None:
    class Huge:
        indptr = np.array([0, 2**31])

    with pytest.raises(
        ContractError, match=r"expected fewer than 2\^31 nonzeros per shard, got 2147483648; use smaller"
    ):
        sparse_to_arrow(Huge())  # type: ignore[arg-type]


def test_figures_become_rows_also_where_there_are_none() -> None:
    figures = [("exact", "k 10", "recall", 0.5), ("graph", "ef 20", "recall", 0.25)]
    assert [tuple(row.values()) for row in figures_to_arrow(figures).to_pylist()] == figures
    empty = figures_to_arrow([])
    assert empty.num_rows == 0
    assert empty.schema == figures_to_arrow(figures).schema


@given(tensors())
def test_a_table_of_large_tensors_is_that_of_others(arrays: dict[str, np.ndarray]) -> None:
    table = tensors_to_arrow(arrays)
    assert tensors_table(arrays).equals(table)
    assert lent_tensors(arrays).combine_chunks().equals(table)
    for made in (table, lent_tensors(arrays)):
        back = tensors_in_place(made)
        assert [(name, back[name].dtype, back[name].shape, back[name].tobytes()) for name in back] == [
            (name, array.dtype, array.shape, array.tobytes()) for name, array in tensors_from_arrow(table).items()
        ]


def test_text_is_no_large_tensor() -> None:
    with pytest.raises(ContractError, match=r"tensor 'x': expected a numeric dtype, got .*; store text in a table"):
        tensors_table({"x": np.array(["text"])})
    with pytest.raises(ContractError, match=r"tensor 'x': expected a numeric dtype, got .*; store text in a table"):
        lent_tensors({"x": np.array(["text"])})
