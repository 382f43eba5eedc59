"""Removal of rows from Parquet files, with what the files keep of them beside the rows.

Two things outlive the rows that a filter takes out. The dictionary of a column, at any depth, still has their values, and is
written whole. And the metadata of a field of dictionaries may list all categories, as Polars does for an Enum.
"""

import io
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from fingerpost.schemas.arrow_files import owned, parquet_file
from fingerpost.schemas.errors import InputError
from fingerpost.schemas.memory import tell_memory

#: Metadata of a field that Arrow makes of its number in the file.
_OF_PARQUET = b"PARQUET:"
#: What makes each kind of list of a field of its values.
_LISTS = (
    (pa.types.is_list, pa.list_),
    (pa.types.is_large_list, pa.large_list),
    (pa.types.is_list_view, pa.list_view),
    (pa.types.is_large_list_view, pa.large_list_view),
)


def parquet_without(
    file: Path,
    content: bytes,
    *,
    chosen: Callable[[list[str]], Mapping[str, str]],
    removes: Callable[[Iterable[str], Iterable[Any]], bool],
) -> tuple[bytes, int]:
    """The content of a Parquet file without some rows, and their number; with its schema, compression and row groups.

    chosen: of the file's columns, our key columns to the file's. removes: of key columns and a row's cells in them, whether
    the row is removed. Dictionaries hold what the other rows have, in the same order where they are ordered; metadata that
    names a category of removed rows alone is left out. InputError for a file that cannot be rewritten.
    """
    try:
        parquet = parquet_file(owned(content))
        keys = chosen(parquet.schema_arrow.names)
        keeps = [_kept(parquet, number, keys, removes) for number in range(parquet.num_row_groups)]
        removed = sum(len(keep) - sum(keep) for keep in keeps)
        return (_rewritten(parquet, keeps) if removed else content), removed
    except (pa.ArrowException, OSError) as problem:
        tell_memory(problem, str(file))
        raise InputError(
            f"{file}: expected Parquet that can be rewritten, found {' '.join(str(problem).split())}; remove the rows"
            " by hand"
        ) from problem


def _kept(
    parquet: "pq.ParquetFile",
    number: int,
    keys: Mapping[str, str],
    removes: Callable[[Iterable[str], Iterable[Any]], bool],
) -> list[bool]:
    """Which rows of a row group stay."""
    rows = parquet.read_row_group(number, columns=list(dict.fromkeys(keys.values())))
    return [not removes(keys, row) for row in zip(*(rows[name].to_pylist() for name in keys.values()), strict=True)]


def _rewritten(parquet: "pq.ParquetFile", keeps: list[list[bool]]) -> bytes:
    columns = [_column(parquet, keeps, field) for field in parquet.schema_arrow]
    schema = pa.schema([column.field for column in columns], parquet.schema_arrow.metadata)
    sink = io.BytesIO()
    with pq.ParquetWriter(sink, schema, compression=_compression(parquet.metadata)) as writer:
        for number, keep in enumerate(keeps):
            rows, mask = parquet.read_row_group(number), pa.array(keep, pa.bool_())
            made = [column.of(rows.column(place), mask) for place, column in enumerate(columns)]
            writer.write_table(pa.Table.from_arrays(made, schema=schema), row_group_size=max(len(keep), 1))
    return sink.getvalue()


@dataclass(frozen=True)
class _Column:
    """A column as it is written.

    plain: its type without dictionaries and views, whose rows Arrow can choose. order: of an ordered dictionary, the values
    that the rows of the file still have.
    """

    field: pa.Field
    plain: pa.DataType
    order: pa.Array | None = None

    def of(self, values: pa.ChunkedArray, mask: pa.Array) -> pa.ChunkedArray:
        """The values that stay, with dictionaries of their own."""
        if self.plain == self.field.type:
            return values.filter(mask)
        rest = values.cast(self.plain).filter(mask)
        if self.order is None:
            return rest.cast(self.field.type)
        places = pc.index_in(rest, value_set=self.order).cast(self.field.type.index_type)
        chunks = [pa.DictionaryArray.from_arrays(chunk, self.order, ordered=True) for chunk in places.chunks]
        return pa.chunked_array(chunks, self.field.type)


def _column(parquet: "pq.ParquetFile", keeps: list[list[bool]], field: pa.Field) -> _Column:
    plain = _plain(field.type)
    ordered = pa.types.is_dictionary(field.type) and field.type.ordered
    if not ordered and field.equals(_without(field, lambda value: True), check_metadata=True):
        return _Column(field, plain)
    order, stay, go = pa.array([], plain), dict[bytes, None](), dict[bytes, None]()
    for number, keep in enumerate(keeps):
        values, mask = parquet.read_row_group(number, columns=[field.name]).column(0), pa.array(keep, pa.bool_())
        if ordered:
            order = pa.concat_arrays([order, *(chunk.dictionary.cast(plain) for chunk in values.chunks)]).unique()
        whole = values.cast(plain)
        stay.update(_texts(whole.filter(mask)))
        go.update(_texts(whole.filter(pc.invert(mask))))
    gone = [text for text in go if text not in stay]
    named = _without(field, lambda value: any(text in value for text in gone))
    kept = pa.array([text in stay for text in map(_text, order.to_pylist())], pa.bool_())
    return _Column(named, plain, order.filter(kept) if ordered else None)


def _texts(values: pa.ChunkedArray) -> Iterator[tuple[bytes, None]]:
    """The distinct values within a column, at any depth, as metadata may name them."""
    for chunk in values.chunks:
        for leaf in _leaves(chunk):
            yield from ((_text(value), None) for value in leaf.unique().to_pylist() if value is not None)


def _text(value: Any) -> bytes:
    return value if isinstance(value, bytes) else str(value).encode()


def _leaves(values: pa.Array) -> Iterator[pa.Array]:
    if pa.types.is_map(values.type):
        parts = [values.keys, values.items]
    elif pa.types.is_nested(values.type):
        parts = values.flatten()
        parts = parts if isinstance(parts, list) else [parts]
    else:
        yield values
        return
    for part in parts:
        yield from _leaves(part)


def _plain(kind: pa.DataType) -> pa.DataType:
    """A type with values in place of dictionaries and of views of texts, at any depth."""
    if pa.types.is_dictionary(kind):
        return _plain(kind.value_type)
    if pa.types.is_string_view(kind):
        return pa.large_string()
    if pa.types.is_binary_view(kind):
        return pa.large_binary()
    return _rebuilt(kind, lambda field: field.with_type(_plain(field.type)))


def _without(field: pa.Field, named: Callable[[bytes], bool]) -> pa.Field:
    """A field without those values of the metadata of dictionaries in it that ``named`` is true of."""
    made = field.with_type(_rebuilt(field.type, lambda inner: _without(inner, named)))
    if not pa.types.is_dictionary(field.type) or not field.metadata:
        return made
    kept = {key: value for key, value in field.metadata.items() if key.startswith(_OF_PARQUET) or not named(value)}
    return made.with_metadata(kept or None)


def _rebuilt(kind: pa.DataType, change: Callable[[pa.Field], pa.Field]) -> pa.DataType:
    """A type with other fields if it is nested, else itself."""
    if pa.types.is_struct(kind):
        return pa.struct([change(field) for field in kind])
    if pa.types.is_map(kind):
        return pa.map_(change(kind.key_field), change(kind.item_field), keys_sorted=kind.keys_sorted)
    if pa.types.is_fixed_size_list(kind):
        return pa.list_(change(kind.value_field), kind.list_size)
    made = next((made for is_such, made in _LISTS if is_such(kind)), None)
    return kind if made is None else made(change(kind.value_field))


def _compression(metadata: pq.FileMetaData) -> "dict[str, str] | str":
    """The compression of each column in the first row group."""
    if not metadata.num_row_groups:
        return "snappy"
    group = metadata.row_group(0)
    codecs = {group.column(i).path_in_schema: group.column(i).compression.lower() for i in range(metadata.num_columns)}
    return {path: "none" if codec == "uncompressed" else codec for path, codec in codecs.items()}
