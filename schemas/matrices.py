"""Matrices, tensors and blobs as Arrow tables and back, without copies where Arrow allows it."""

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from fingerpost.schemas.arrow_files import read_arrow
from fingerpost.schemas.contract import Table, same_lengths
from fingerpost.schemas.errors import ContractError
from fingerpost.schemas.fields import INDICES, TENSOR_BYTES, TENSOR_DTYPE, TENSOR_NAME, TENSOR_SHAPE, VALUES, VECTOR

if TYPE_CHECKING:  # most readers have no sparse matrix, and scipy takes time and memory
    from scipy import sparse


def dense_table(name: str) -> Table:
    """The contract table of a dense float32 matrix, one table row per matrix row."""
    return Table(name, (VECTOR,), compression="none")


def sparse_table(name: str) -> Table:
    """The contract table of a CSR matrix, one table row per matrix row.

    The number of columns is stored elsewhere, as a quality value or a tensor.
    """
    return Table(name, (INDICES, VALUES), rule=same_lengths("indices", "values"), compression="none")


def tensor_table(name: str) -> Table:
    """The contract table of named arrays of any dtype and shape."""
    return Table(name, (TENSOR_NAME, TENSOR_DTYPE, TENSOR_SHAPE, TENSOR_BYTES), key=("name",), compression="none")


def fixed_lists(matrix: np.ndarray) -> pa.FixedSizeListArray:
    """A 2-d array (n, d) as a fixed-size list column of its own dtype."""
    flat = pa.array(np.ascontiguousarray(matrix).reshape(-1))
    return pa.FixedSizeListArray.from_arrays(flat, matrix.shape[1])


def fixed_matrix(column: pa.ChunkedArray) -> np.ndarray:
    """A fixed-size list column as a 2-d array (n, d)."""
    width = column.type.list_size
    parts = [chunk.flatten().to_numpy(zero_copy_only=False) for chunk in column.chunks]
    if not parts:
        # Named by Arrow's function for pandas, this would import it.
        parts = [pa.array([], column.type.value_type).to_numpy(zero_copy_only=False)]
    flat = parts[0] if len(parts) == 1 else np.concatenate(parts)
    return flat.reshape(len(column), width)


def dense_to_arrow(matrix: np.ndarray) -> pa.Table:
    """A float32 matrix (n, d) as the rows of a dense table."""
    return pa.table({"vector": fixed_lists(np.asarray(matrix, dtype=np.float32))})


def dense_from_arrow(table: pa.Table) -> np.ndarray:
    """The float32 matrix (n, d) of a dense table."""
    return fixed_matrix(table["vector"])


def sparse_to_arrow(matrix: "sparse.csr_array") -> pa.Table:
    """A CSR matrix (n, m) with sorted indices as the rows of a sparse table (values as float32)."""
    if matrix.indptr[-1] >= 2**31:
        raise ContractError(
            f"sparse matrix: expected fewer than 2^31 nonzeros per shard, got {matrix.indptr[-1]}; use smaller shards"
        )
    offsets = pa.array(matrix.indptr.astype(np.int32))
    indices = pa.ListArray.from_arrays(offsets, pa.array(matrix.indices.astype(np.int32)))
    values = pa.ListArray.from_arrays(offsets, pa.array(matrix.data.astype(np.float32)))
    return pa.table({"indices": indices, "values": values})


def sparse_from_arrow(table: pa.Table, *, columns: int) -> "sparse.csr_array":
    """The CSR matrix (n, columns) of a sparse table; ContractError for an index out of range."""
    from scipy import sparse

    indices, values = table["indices"].combine_chunks(), table["values"].combine_chunks()
    if isinstance(indices, pa.ChunkedArray):
        indices, values = (
            pa.concat_arrays(indices.chunks or [pa.array([], indices.type)]),
            pa.concat_arrays(values.chunks or [pa.array([], values.type)]),
        )
    columns_of = indices.flatten().to_numpy(zero_copy_only=False)
    lengths = np.diff(indices.offsets.to_numpy())
    indptr = np.concatenate([[0], np.cumsum(lengths, dtype=np.int64)])
    if len(columns_of) and (columns_of.min() < 0 or columns_of.max() >= columns):
        raise ContractError(
            f"sparse matrix: expected indices below {columns}, found {columns_of.min()} to {columns_of.max()}; rebuild"
            " the artifact"
        )
    matrix = sparse.csr_array(
        (values.flatten().to_numpy(zero_copy_only=False), columns_of, indptr), shape=(len(lengths), columns)
    )
    matrix.has_sorted_indices = True
    return matrix


def tensors_to_arrow(tensors: Mapping[str, np.ndarray]) -> pa.Table:
    """Named arrays (numeric or boolean dtypes) as the rows of a tensor table, in name order."""
    rows = []
    for name in sorted(tensors):
        array = np.asarray(tensors[name])
        if array.dtype.kind not in "biuf":
            raise ContractError(
                f"tensor '{name}': expected a numeric dtype, got {array.dtype}; store text in a table of its own"
            )
        little = np.ascontiguousarray(array).astype(array.dtype.newbyteorder("<"), copy=False)
        rows.append((name, little.dtype.str, list(array.shape), little.tobytes()))
    names, dtypes, shapes, blobs = (list(column) for column in zip(*rows, strict=True)) if rows else ([], [], [], [])
    return pa.table(
        {
            "name": pa.array(names, pa.string()),
            "dtype": pa.array(dtypes, pa.string()),
            "shape": pa.array(shapes, pa.list_(pa.int64())),
            "bytes": pa.array(blobs, pa.large_binary()),
        }
    )


def tensors_from_arrow(table: pa.Table) -> dict[str, np.ndarray]:
    """The named arrays of a tensor table (read-only views); ContractError if a row's bytes do not fit its shape."""
    tensors = {}
    for i, (name, dtype, shape) in enumerate(
        zip(table["name"].to_pylist(), table["dtype"].to_pylist(), table["shape"].to_pylist(), strict=True)
    ):
        kind, buffer = _numeric(dtype), table["bytes"][i].as_buffer()
        if kind is None or min(shape, default=0) < 0 or buffer.size != kind.itemsize * math.prod(shape):
            raise ContractError(
                f"tensor '{name}': expected {dtype} of shape {shape}, found {buffer.size} bytes; rebuild the artifact"
            )
        tensors[name] = np.frombuffer(buffer, dtype=kind).reshape(shape)
    return tensors


def figures_to_arrow(figures: Sequence[tuple[str, str, str, float]]) -> pa.Table:
    """The rows of an evaluation's table from (method, setting, metric, value)."""
    columns = list(zip(*figures, strict=True)) or [()] * 4
    *texts, values = (list(column) for column in columns)
    names = ("method", "setting", "metric")
    return pa.table(
        {name: pa.array(column, pa.string()) for name, column in zip(names, texts, strict=True)}
        | {"value": pa.array(values, pa.float64())}
    )


def tensors_to_bytes(tensors: Mapping[str, np.ndarray]) -> bytes:
    """Named arrays as the bytes of an Arrow file, for checkpoints."""
    table, sink = tensors_to_arrow(tensors), pa.BufferOutputStream()
    with pa.ipc.new_file(sink, table.schema) as writer:
        writer.write_table(table)
    return bytes(sink.getvalue().to_pybytes())


def tensors_from_bytes(data: bytes) -> dict[str, np.ndarray]:
    """The inverse of :func:`tensors_to_bytes`."""
    return tensors_from_arrow(read_arrow(data))


def _numeric(dtype: str) -> np.dtype[Any] | None:
    """The dtype of that name if it is numeric or boolean, else None."""
    try:
        kind = np.dtype(dtype)
    except TypeError:
        return None
    return kind if kind.kind in "biuf" else None
