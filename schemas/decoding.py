"""Search in all texts and bytes of a Parquet or Arrow file, whatever its columns; no contract is checked."""

from collections.abc import Iterable, Iterator

import pyarrow as pa
import pyarrow.compute as pc

from fingerpost.schemas.arrow_files import owned, parquet_file, read_arrow
from fingerpost.schemas.errors import CorruptArtifactError
from fingerpost.schemas.memory import tell_memory


def columns_of(content: bytes, names: list[str], *, where: str) -> pa.Table:
    """The named columns of a stored file, as far as it has them; CorruptArtifactError that names ``where``."""
    try:
        if is_arrow(content):
            table = read_arrow(content)
            return table.select([name for name in names if name in table.column_names])
        file = parquet_file(owned(content))
        return file.read(columns=[name for name in names if name in file.schema_arrow.names])
    except (pa.ArrowException, OSError) as problem:
        tell_memory(problem, where)
        raise CorruptArtifactError(
            f"{where}: expected a Parquet or Arrow file, found {' '.join(str(problem).split())}; rebuild its artifact with"
            " --force, or remove that"
        ) from problem


def is_arrow(content: bytes) -> bool:
    """Whether these are the bytes of an Arrow file, by their beginning."""
    return content.startswith(b"ARROW1")


def decoded_texts(content: bytes) -> Iterator[pa.Array]:
    """All text and byte columns of a Parquet or Arrow file as large_binary arrays, including those in nested types.

    Raises pa.ArrowException or OSError for another file.
    """
    batches = read_arrow(content).to_batches() if is_arrow(content) else parquet_file(owned(content)).iter_batches()
    for batch in batches:
        for column in batch.columns:
            yield from _texts(column)


def holds(texts: pa.Array, data: bytes) -> bool:
    """Whether a cell contains these bytes."""
    if not len(texts):
        return False
    return bool(pc.any(pc.match_substring(texts, data)).as_py())


def held(texts: pa.Array, wanted: Iterable[bytes]) -> set[bytes]:
    """Those of some byte strings that a cell contains; as `holds` for each, but much faster for many."""
    data = texts.buffers()[2] if len(texts) else None
    content = data.to_pybytes() if data is not None else b""
    # What is in the bytes of all cells may still be in no single one.
    return {one for one in wanted if one in content and holds(texts, one)}


def equals(texts: pa.Array, data: bytes) -> bool:
    """Whether a cell equals these bytes."""
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
