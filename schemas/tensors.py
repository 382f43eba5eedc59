"""Large named arrays as a tensor table, with one copy of their bytes."""

from collections.abc import Mapping

import numpy as np
import pyarrow as pa

from fingerpost.schemas.arrow_files import binary_cells, lent_binary
from fingerpost.schemas.errors import ContractError
from fingerpost.schemas.mapped_arrays import arrays_of_batch


def tensors_table(tensors: Mapping[str, np.ndarray]) -> pa.Table:
    """The table of :func:`fingerpost.schemas.matrices.tensors_to_arrow`, equal to it, in less memory.

    The bytes of all arrays are copied once, into one buffer of Arrow. ContractError for arrays that are not numeric.
    """
    names, arrays = _by_name(tensors)
    offsets = np.concatenate([[0], np.cumsum([array.nbytes for array in arrays], dtype=np.int64)]).astype(np.int64)
    content = pa.allocate_buffer(int(offsets[-1]))
    room = np.frombuffer(content, dtype=np.uint8)
    for array, start, stop in zip(arrays, offsets[:-1], offsets[1:], strict=True):
        little = array.dtype.newbyteorder("<")
        room[start:stop].view(little).reshape(array.shape)[...] = array
    return pa.table(_columns(names, arrays) | {"bytes": binary_cells(content, offsets)})


def lent_tensors(tensors: Mapping[str, np.ndarray]) -> pa.Table:
    """The same rows, one batch each, over C-contiguous arrays where they lie: to be written, not to be kept."""
    names, arrays = _by_name(tensors)
    batches = []
    for name, array in zip(names, arrays, strict=True):
        little = np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("<")).reshape(array.shape)
        batches.append(pa.table(_columns([name], [little]) | {"bytes": lent_binary(little)}))
    return pa.concat_tables(batches) if batches else tensors_table({})


def tensors_in_place(table: pa.Table) -> dict[str, np.ndarray]:
    """The arrays of a tensor table, read-only views of its memory, which they keep; ContractError as elsewhere."""
    return {name: array for batch in table.to_batches() for name, array in arrays_of_batch(batch)}


def _by_name(tensors: Mapping[str, np.ndarray]) -> tuple[list[str], list[np.ndarray]]:
    """Names in order and their arrays; ContractError for one that is not numeric."""
    names = sorted(tensors)
    arrays = [np.asarray(tensors[name]) for name in names]
    for name, array in zip(names, arrays, strict=True):
        if array.dtype.kind not in "biuf":
            raise ContractError(
                f"tensor '{name}': expected a numeric dtype, got {array.dtype}; store text in a table of its own"
            )
    return names, arrays


def _columns(names: list[str], arrays: list[np.ndarray]) -> dict[str, pa.Array]:
    """The columns of a tensor table beside the bytes."""
    return {
        "name": pa.array(names, pa.string()),
        "dtype": pa.array([array.dtype.newbyteorder("<").str for array in arrays], pa.string()),
        "shape": pa.array([list(array.shape) for array in arrays], pa.list_(pa.int64())),
    }
