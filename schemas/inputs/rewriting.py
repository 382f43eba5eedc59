"""Taking rows out of users' files: the other rows of CSV and JSON Lines stay byte for byte, Parquet keeps schema and compression.

A file is written beside its place, flushed and renamed. What was compressed with gzip is compressed again.
"""

import csv
import gzip
import io
import os
import shutil
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import pyarrow as pa
import pyarrow.parquet as pq

from schemas.errors import InputError
from schemas.inputs.files import is_compressed, kind_of, opened
from schemas.inputs.formats import csv_records, json_object
from schemas.inputs.forms import DOCUMENTS, Form, chosen_columns
from schemas.inputs.suppression import Suppressed


@dataclass(frozen=True)
class _Rule:
    """Which rows go: those in whose columns of keys a suppressed one stands."""

    mapping: Mapping[str, str]
    suppressed: Suppressed
    form: Form

    @property
    def keys(self) -> tuple[str, ...]:
        """Our names of these columns."""
        return self.form.keys_of(self.suppressed.column)

    def columns(self, file: Path, names: list[str]) -> list[str]:
        """The file's names of those that it has; InputError if it has none."""
        chosen = chosen_columns(str(file), names, self.mapping, self.form)
        found = [chosen[key] for key in self.keys if key in chosen]
        if not found:
            raise InputError(
                f"{file}: expected a column for {' or '.join(self.keys)}, found none; map it with"
                f" {self.form.option}{self.keys[0]}=…"
            )
        return found

    def goes(self, values: Iterable[Any]) -> bool:
        """Whether a row goes that has these values in the columns."""
        return any(map(self.suppressed.match, values))

    def mentioned(self, line: str) -> bool:
        """Whether a line that is no row goes."""
        return bool(self.suppressed.mentioned(line))


def remove_rows(file: Path, mapping: Mapping[str, str], suppressed: Suppressed, form: Form = DOCUMENTS) -> int:
    """Writes a file without the rows of suppressed keys and without malformed lines that mention one; how many went.

    A file that has none is not touched, and one that is a row as a whole goes. InputError if it cannot be read or written.
    """
    if form.is_row:
        file.unlink()
        return 1
    target = file.resolve()
    content, removed = _without(target, _Rule(mapping, suppressed, form))
    if removed:
        _replace(target, gzip.compress(content, mtime=0) if is_compressed(target) else content)
    return removed


def count_rows(file: Path, mapping: Mapping[str, str], suppressed: Suppressed, form: Form = DOCUMENTS) -> int:
    """How many rows and lines `remove_rows` would take out."""
    if form.is_row:
        return int(file.exists())
    return _without(file.resolve(), _Rule(mapping, suppressed, form))[1]


def _without(target: Path, rule: _Rule) -> tuple[bytes, int]:
    with opened(target) as handle:
        if kind_of(target) == "Parquet":
            return _parquet_without(target, handle.read(), rule)
        parts = _csv_parts if kind_of(target) == "CSV" else _json_parts
        return _joined(parts(target, handle, rule))


def _joined(parts: Iterator[tuple[bytes, bool]]) -> tuple[bytes, int]:
    kept, removed = io.BytesIO(), 0
    for data, goes in parts:
        removed += goes
        kept.write(b"" if goes else data)
    return kept.getvalue(), removed


class _Recorded:
    """The lines of a file, with those that were handed out since they were last taken."""

    def __init__(self, handle: IO[bytes]) -> None:
        self.handle, self.lines = handle, list[bytes]()

    def __iter__(self) -> Iterator[bytes]:
        for line in self.handle:
            self.lines.append(line)
            yield line

    def take(self) -> bytes:
        """The bytes of these lines."""
        data = b"".join(self.lines)
        self.lines.clear()
        return data


def _csv_parts(file: Path, handle: IO[bytes], rule: _Rule) -> Iterator[tuple[bytes, bool]]:
    """The records of a CSV as they are written, header first, and whether each is to go."""
    recorded = _Recorded(handle)
    names: list[str] = []
    for _, record in csv_records(file, recorded):
        data = recorded.take()
        if not names and record and not isinstance(record, csv.Error):
            names = [name.strip() for name in record]
            places = [names.index(name) for name in rule.columns(file, names)]
            yield data, False
        elif not names or not record:
            yield data, False
        elif isinstance(record, csv.Error) or len(record) != len(names):
            yield data, rule.mentioned(data.decode("utf-8", "backslashreplace"))
        else:
            yield data, rule.goes(record[place] for place in places)
    yield recorded.take(), False


def _json_parts(file: Path, handle: IO[bytes], rule: _Rule) -> Iterator[tuple[bytes, bool]]:
    """The lines of JSON Lines, and whether each is to go."""
    names = [rule.mapping.get(key, key) for key in rule.keys]
    for line in handle:
        text = line.decode("utf-8-sig", "backslashreplace")
        record = json_object(text) if text.strip() else {}
        yield line, rule.mentioned(text) if isinstance(record, str) else rule.goes(record.get(name) for name in names)


def _parquet_without(file: Path, content: bytes, rule: _Rule) -> tuple[bytes, int]:
    try:
        parquet = pq.ParquetFile(pa.BufferReader(content))
        names = rule.columns(file, parquet.schema_arrow.names)
        sink, removed = io.BytesIO(), 0
        with pq.ParquetWriter(sink, parquet.schema_arrow, compression=_compression(parquet.metadata)) as writer:
            for number in range(parquet.num_row_groups):
                rows = parquet.read_row_group(number)
                keys = zip(*(rows[name].to_pylist() for name in names), strict=True)
                keep = [not rule.goes(values) for values in keys]
                removed += len(keep) - sum(keep)
                kept = _with_own_dictionaries(rows.filter(pa.array(keep, pa.bool_())))
                writer.write_table(kept, row_group_size=max(len(keep), 1))
    except (pa.ArrowException, OSError) as problem:
        raise InputError(
            f"{file}: expected Parquet that can be written again, found {' '.join(str(problem).split())}; take the rows"
            " out by hand"
        ) from problem
    return sink.getvalue(), removed


def _with_own_dictionaries(rows: pa.Table) -> pa.Table:
    """The rows with dictionaries of their own values alone: a filter leaves in them what it took away."""
    for place, field in enumerate(rows.schema):
        if pa.types.is_dictionary(field.type):
            values = rows.column(place).cast(field.type.value_type)
            rows = rows.set_column(place, field, values.dictionary_encode().cast(field.type))
    return rows


def _compression(metadata: pq.FileMetaData) -> "dict[str, str] | str":
    """The compression of each column, as its first pages have it."""
    if not metadata.num_row_groups:
        return "snappy"
    group = metadata.row_group(0)
    found = {group.column(i).path_in_schema: group.column(i).compression.lower() for i in range(metadata.num_columns)}
    return {path: "none" if codec == "uncompressed" else codec for path, codec in found.items()}


def _replace(target: Path, content: bytes) -> None:
    """Puts the content in a file's place with the permissions of what was there, whole or not at all."""
    beside = target.with_name(f".{target.name}.rewritten")
    try:
        if not os.access(target, os.W_OK):
            raise PermissionError(0, "it is write-protected")
        with open(beside, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        shutil.copymode(target, beside)
        os.replace(beside, target)
        folder = os.open(target.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    except OSError as problem:
        beside.unlink(missing_ok=True)
        raise InputError(
            f"{target}: expected a file that can be written, found {problem.strerror or problem}; take the rows out by"
            " hand, or make it writable and run again"
        ) from problem
