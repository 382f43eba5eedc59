"""Removal of rows from users' files.

The other rows of CSV and JSON Lines stay byte for byte the same; Parquet keeps its schema and compression. A file is
written under a temporary name, flushed and renamed; gzip files are compressed again.
"""

import csv
import gzip
import io
import os
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import IO, Any

from fingerpost.schemas.errors import InputError
from fingerpost.schemas.inputs.files import is_compressed, kind_of, opened
from fingerpost.schemas.inputs.formats import csv_records, json_object
from fingerpost.schemas.inputs.forms import DOCUMENTS, Form, chosen_columns
from fingerpost.schemas.inputs.parquet_rewriting import parquet_without
from fingerpost.schemas.inputs.suppression import Suppressed


@dataclass(frozen=True)
class _Rule:
    """The rule for removing rows: those with a suppressed key in one of the key columns."""

    mapping: Mapping[str, str]
    suppressed: Suppressed
    form: Form

    @property
    def keys(self) -> tuple[str, ...]:
        """Our names of the key columns."""
        return self.form.keys_of(self.suppressed.column)

    def columns(self, file: Path, names: list[str]) -> dict[str, str]:
        """Our key columns to the file's; InputError if it has none."""
        chosen = chosen_columns(str(file), names, self.mapping, self.form, headed=kind_of(file) != "CSV")
        columns = {key: chosen[key] for key in self.keys if key in chosen}
        if not columns:
            raise InputError(
                f"{file}: expected a column for {' or '.join(self.keys)}, found none; map it with"
                f" {self.form.option}{self.keys[0]}=…"
            )
        return columns

    def removes(self, keys: Iterable[str], values: Iterable[Any]) -> bool:
        """Whether a row with these values in key columns is removed."""
        matches = self.suppressed.match
        return any(matches(value, spelled=key in self.form.spelled) for key, value in zip(keys, values, strict=True))

    def mentioned(self, line: str) -> bool:
        """Whether a malformed line is removed."""
        return bool(self.suppressed.mentioned(line))


def remove_rows(file: Path, mapping: Mapping[str, str], suppressed: Suppressed, form: Form = DOCUMENTS) -> int:
    """Removes the rows of suppressed keys, and malformed lines that mention one, from an input; returns their number.

    A file without such rows is not modified; a file that is one row is deleted. InputError if it cannot be read or
    written.
    """
    if form.rewriter:
        return _rewriter(form)(file, suppressed, write=True)
    if form.is_row:
        file.unlink()
        return 1
    target = file.resolve()
    content, removed = _without(target, _Rule(mapping, suppressed, form))
    if removed:
        replace_content(target, content)
    return removed


def count_rows(file: Path, mapping: Mapping[str, str], suppressed: Suppressed, form: Form = DOCUMENTS) -> int:
    """The number of rows and lines that `remove_rows` would remove."""
    if form.rewriter:
        return _rewriter(form)(file, suppressed, write=False)
    if form.is_row:
        return int(file.exists())
    return _without(file.resolve(), _Rule(mapping, suppressed, form))[1]


def _rewriter(form: Form) -> Callable[..., int]:
    module, _, name = form.rewriter.partition(":")
    rewriter: Callable[..., int] = getattr(import_module(module), name)
    return rewriter


def _without(target: Path, rule: _Rule) -> tuple[bytes, int]:
    with opened(target) as handle:
        if kind_of(target) == "Parquet":
            return _parquet_without(target, handle.read(), rule)
        parts = _csv_parts if kind_of(target) == "CSV" else _json_parts
        return _joined(parts(target, handle, rule))


def _joined(parts: Iterator[tuple[bytes, bool]]) -> tuple[bytes, int]:
    rest, removed = io.BytesIO(), 0
    for data, remove in parts:
        removed += remove
        rest.write(b"" if remove else data)
    return rest.getvalue(), removed


class _Recorded:
    """The lines of a file, recording those that were read since the last call of ``take``."""

    def __init__(self, handle: IO[bytes]) -> None:
        self.handle, self.lines = handle, list[bytes]()

    def __iter__(self) -> Iterator[bytes]:
        for line in self.handle:
            self.lines.append(line)
            yield line

    def take(self) -> bytes:
        """The bytes of the recorded lines, which are then cleared."""
        data = b"".join(self.lines)
        self.lines.clear()
        return data


def _csv_parts(file: Path, handle: IO[bytes], rule: _Rule) -> Iterator[tuple[bytes, bool]]:
    """The records of a CSV as bytes, header first, and whether each is to be removed."""
    recorded = _Recorded(handle)
    names: list[str] = []
    positions: dict[str, int] = {}
    for _, record in csv_records(file, recorded):
        data = recorded.take()
        if not names and record and not isinstance(record, csv.Error):
            names = [name.strip() for name in record]
            positions = {key: names.index(name) for key, name in rule.columns(file, names).items()}
            yield data, False
        elif not names or not record:
            yield data, False
        elif isinstance(record, csv.Error) or len(record) != len(names):
            yield data, rule.mentioned(data.decode("utf-8", "backslashreplace"))
        else:
            yield data, rule.removes(positions, (record[position] for position in positions.values()))
    yield recorded.take(), False


def _json_parts(file: Path, handle: IO[bytes], rule: _Rule) -> Iterator[tuple[bytes, bool]]:
    """The lines of JSON Lines, and whether each is to be removed."""
    for line in handle:
        text = line.decode("utf-8-sig", "backslashreplace")
        record = json_object(text) if text.strip() else {}
        if isinstance(record, str):
            yield line, rule.mentioned(text)
        else:
            mapping = rule.form.mapped(rule.mapping, record)
            yield line, rule.removes(rule.keys, (record.get(mapping.get(key, key)) for key in rule.keys))


def _parquet_without(file: Path, content: bytes, rule: _Rule) -> tuple[bytes, int]:
    return parquet_without(file, content, chosen=lambda names: rule.columns(file, names), removes=rule.removes)


def replace_content(target: Path, content: bytes) -> None:
    """Replaces the content of a file atomically, compressed if its name says so, preserving its permissions.

    InputError if it cannot be written.
    """
    content = gzip.compress(content, mtime=0) if is_compressed(target) else content
    temporary = target.with_name(f".{target.name}.rewritten")
    try:
        if not os.access(target, os.W_OK):
            raise PermissionError(0, "it is write-protected")
        with open(temporary, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        shutil.copymode(target, temporary)
        os.replace(temporary, target)
        folder = os.open(target.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    except OSError as problem:
        temporary.unlink(missing_ok=True)
        raise InputError(
            f"{target}: expected a writable file, found {problem.strerror or problem}; remove the rows by hand, or make"
            " it writable and run again"
        ) from problem
