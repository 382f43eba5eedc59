"""Named arrays as Arrow files that are used where they lie: mapped, not read.

Each array is a record batch of one row. A padding before its values places these at a multiple of 64 bytes in the file, and
so in memory, since mapped files begin on a page: Arrow alone would align them to 8. The schema names the version of the form.
Imports numpy and pyarrow alone.
"""

import math
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pyarrow as pa

from fingerpost.schemas.aligned import ALIGNMENT
from fingerpost.schemas.arrow_files import lent_binary
from fingerpost.schemas.contract import Table
from fingerpost.schemas.errors import ContractError, ForeignArtifactError
from fingerpost.schemas.fields import PADDING, TENSOR_BYTES, TENSOR_DTYPE, TENSOR_NAME, TENSOR_SHAPE

#: The version of the form of these files, and the key in the schema that names it.
FORMAT, _FORMAT_KEY = 1, b"fingerpost.arrays"
_FIELDS = (TENSOR_NAME, TENSOR_DTYPE, TENSOR_SHAPE, PADDING, TENSOR_BYTES)
_SCHEMA = pa.schema([(f.name, f.type) for f in _FIELDS], metadata={_FORMAT_KEY: str(FORMAT).encode()})
#: The bytes before the schema in a file.
_MAGIC = 8


def arrays_table(name: str) -> Table:
    """The contract table of named arrays that can be mapped."""
    return Table(name, _FIELDS, key=("name",), compression="none", form="arrow")


def arrays_to_arrow(arrays: Mapping[str, "np.ndarray[Any, Any]"]) -> pa.Table:
    """Named arrays (numeric or boolean dtypes) as the table of such a file, in name order, one batch each.

    The table refers to C-contiguous arrays, which must not change before it is written. ContractError for another dtype.
    """
    batches, at = [], _MAGIC + _SCHEMA.serialize().size
    for name in sorted(arrays):
        array = np.asarray(arrays[name])
        if array.dtype.kind not in "biuf":
            raise ContractError(
                f"array '{name}': expected a numeric dtype, got {array.dtype}; store text in a table of its own"
            )
        little = np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("<")).reshape(array.shape)
        values = lent_binary(little)
        # The values are the last of a batch; nothing before them depends on their number.
        before = pa.ipc.get_record_batch_size(_batch(name, little, 0, lent_binary(little.reshape(-1)[:0])))
        batch = _batch(name, little, -(at + before) % ALIGNMENT, values)
        batches.append(batch)
        at += pa.ipc.get_record_batch_size(batch)
    return pa.Table.from_batches(batches, _SCHEMA)


def _batch(name: str, array: "np.ndarray[Any, Any]", padding: int, values: pa.Array) -> pa.RecordBatch:
    columns = (
        pa.array([name], pa.string()),
        pa.array([array.dtype.str], pa.string()),
        pa.array([list(array.shape)], pa.list_(pa.int64())),
        pa.array([bytes(padding)], pa.large_binary()),
        values,
    )
    return pa.record_batch(list(columns), schema=_SCHEMA)


def arrays_from_arrow(table: pa.Table) -> dict[str, "np.ndarray[Any, Any]"]:
    """The named arrays of such a table, read-only views of its memory, which they keep.

    ForeignArtifactError for another version of the form, ContractError for bytes that do not fit their shape.
    """
    version = (table.schema.metadata or {}).get(_FORMAT_KEY, b"none")
    if version != str(FORMAT).encode():
        raise ForeignArtifactError(
            f"arrays: expected version {FORMAT} of their form, found {version.decode(errors='replace')}; rebuild the"
            " artifact with this version"
        )
    return {name: array for batch in table.to_batches() for name, array in arrays_of_batch(batch)}


def arrays_of_batch(batch: pa.RecordBatch) -> Iterator[tuple[str, "np.ndarray[Any, Any]"]]:
    """The named arrays of rows (name, dtype, shape, bytes), where they lie; ContractError for bytes that do not fit."""
    columns = [batch.column(name).to_pylist() for name in ("name", "dtype", "shape")]
    for name, dtype, shape, values in zip(*columns, _cells(batch.column("bytes")), strict=True):
        kind = _numeric(dtype)
        if kind is None or min(shape, default=0) < 0 or len(values) != kind.itemsize * math.prod(shape):
            raise ContractError(
                f"array '{name}': expected {dtype} of shape {shape}, found {len(values)} bytes; rebuild the artifact"
            )
        yield name, values.view(kind).reshape(shape)


def _cells(column: pa.LargeBinaryArray) -> "Iterator[np.ndarray[Any, Any]]":
    """The bytes of each cell, uint8, where they lie: a scalar's buffer would be a copy."""
    _, offsets, data = column.buffers()
    ends = np.frombuffer(offsets, dtype=np.int64)[column.offset : column.offset + len(column) + 1]
    values = np.frombuffer(data, dtype=np.uint8) if data is not None and data.size else np.zeros(0, dtype=np.uint8)
    if len(ends) != len(column) + 1 or (np.diff(ends) < 0).any() or not 0 <= ends[0] <= ends[-1] <= len(values):
        raise ContractError(f"arrays: expected {len(column)} cells in {len(values)} bytes, found others; rebuild them")
    for begin, end in zip(ends[:-1].tolist(), ends[1:].tolist(), strict=True):
        yield values[begin:end]


def _numeric(dtype: str) -> "np.dtype[Any] | None":
    """The dtype of that name if it is numeric or boolean, else None."""
    try:
        kind = np.dtype(dtype)
    except TypeError:
        return None
    return kind if kind.kind in "biuf" else None
