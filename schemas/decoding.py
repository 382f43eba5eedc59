"""What the texts and bytes of a Parquet file hold, whatever its columns are, for searching. No contract is checked."""

from collections.abc import Iterator

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq


def columns_of(content: bytes, names: list[str]) -> pa.Table:
    """Some columns of a Parquet file; those that it does not have are left out."""
    file = pq.ParquetFile(pa.BufferReader(content))
    return file.read(columns=[name for name in names if name in file.schema_arrow.names])


def decoded_texts(content: bytes) -> Iterator[pa.Array]:
    """Every text and byte column of a Parquet file as arrays of large_binary: also in lists, structs and dictionaries.

    Raises pa.ArrowException or OSError for what is no Parquet.
    """
    for batch in pq.ParquetFile(pa.BufferReader(content)).iter_batches():
        for column in batch.columns:
            yield from _texts(column)


def holds(texts: pa.Array, data: bytes) -> bool:
    """Whether one of the cells contains these bytes."""
    if not len(texts):
        return False
    return bool(pc.any(pc.match_substring(texts, data)).as_py())


def equals(texts: pa.Array, data: bytes) -> bool:
    """Whether one of the cells is these bytes."""
    return bool(pc.any(pc.equal(texts, pa.scalar(data, pa.large_binary()))).as_py())


def _texts(column: pa.Array) -> Iterator[pa.Array]:
    kind = column.type
    if isinstance(column, pa.ExtensionArray):
        yield from _texts(column.storage)
    elif pa.types.is_dictionary(kind):
        yield from _texts(column.dictionary)
    elif pa.types.is_struct(kind):
        for field in column.flatten():
            yield from _texts(field)
    elif pa.types.is_map(kind):
        yield from _texts(column.keys)
        yield from _texts(column.items)
    elif pa.types.is_nested(kind):
        yield from _texts(column.flatten())
    elif pa.types.is_string_view(kind) or pa.types.is_binary_view(kind):
        yield pa.array(column.to_pylist(), pa.string()).cast(pa.large_binary())
    elif pa.types.is_large_string(kind) or pa.types.is_string(kind):
        yield column.cast(pa.large_string()).cast(pa.large_binary())
    elif pa.types.is_large_binary(kind) or pa.types.is_binary(kind) or pa.types.is_fixed_size_binary(kind):
        yield column.cast(pa.large_binary())
