"""Graphs of tables: each row an entity, chosen columns entities that rows share, other columns attributes."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from itertools import islice
from pathlib import Path
from typing import Any
from uuid import UUID

import pyarrow as pa

from fingerpost.schemas.arrow_files import owned, parquet_file
from fingerpost.schemas.errors import InputError
from fingerpost.schemas.inputs.files import input_files, input_fingerprint, is_compressed, kind_of, lines_of, opened
from fingerpost.schemas.inputs.formats import RawBatch, Reading, csv_records, json_object
from fingerpost.schemas.inputs.forms import ROW_NUMBER, Form
from fingerpost.schemas.inputs.graphs import Attribute, GraphBatch, GraphRows
from fingerpost.schemas.inputs.keyed_files import dropped_in, read_files
from fingerpost.schemas.inputs.suppression import Suppressed
from fingerpost.schemas.refs import digest_of

_XSD = "http://www.w3.org/2001/XMLSchema#"
#: What a column "id" is called beside the key, where that is another column.
_OTHER_ID = "id (column)"
#: Rows of JSON Lines that are looked at for columns.
_SAMPLE = 4096


@dataclass(frozen=True)
class SharedColumn:
    """A column whose values are entities of their own, which the rows with the same value share.

    separator: between several values in a cell; "" for one value. kind: the type of these entities, and the name of the
    relation to them; the column's name by default.
    """

    column: str
    separator: str = ""
    kind: str = ""

    @property
    def type(self) -> str:
        """The type of the entities, and the name of the relation."""
        return self.kind or self.column

    def keys(self, text: str) -> list[tuple[str, str]]:
        """The ids and the names of the entities of a cell: spelling aside from case and blanks makes the id."""
        parts = text.split(self.separator) if self.separator else [text]
        names = [" ".join(part.split()) for part in parts]
        return [(f"{self.type}={name.casefold()}", name) for name in names if name]


@dataclass(frozen=True)
class TableGraph:
    """A Parquet, CSV or JSON Lines file (or a folder of Parquet files) whose rows are entities.

    kind: the type of the rows. id: the column of their keys; the number of the row, from 0, by default. name: the column of
    their names, also an attribute. shared: columns that become entities. attributes: the columns of attributes; all others
    by default. suppressed: keys of rows to leave out.
    """

    path: str
    kind: str = "row"
    id: str = ROW_NUMBER
    name: str = ""
    shared: tuple[SharedColumn, ...] = ()
    attributes: tuple[str, ...] | None = None
    suppressed: Suppressed | None = None

    def __str__(self) -> str:
        return self.path

    def identity(self) -> str:
        """sha256 over contents, choice of columns and suppressed keys in them; InputError if it cannot be read."""
        chosen = [
            self.kind,
            self.id,
            self.name,
            [[s.column, s.separator, s.type] for s in self.shared],
            self.attributes,
        ]
        dropped = dropped_in(self.path, self._reading())
        return digest_of(["table", input_fingerprint(self.path, {"id": self.id}), chosen, dropped])

    def read(self) -> GraphBatch:
        """The graph; rows without a key, of a key that occurred before, or with a list in a cell are quarantined.

        InputError if it cannot be read.
        """
        reading = self._reading()
        rows, met = GraphRows(reading.quarantine), set[str]()
        for batch in read_files(self.path, reading):
            for place, cells in zip(batch.rows, _records(batch), strict=True):
                self._add(place, cells, rows, met)
        return rows.batch()

    def _add(self, place: int, cells: dict[str, Any], rows: GraphRows, met: set[str]) -> None:
        found = {column: _text_of(value) for column, value in cells.items()}
        key = found.pop("id", None)
        if _OTHER_ID in found:
            found["id"] = found.pop(_OTHER_ID)
        if key is None or not key[0]:
            rows.quarantine.add(place, None, "no id", f"the cell of {self.id} is empty")
            return
        wrong = next((column for column, value in cells.items() if _is_nested(value)), None)
        if wrong is not None:
            rows.quarantine.add(place, key[0], "wrong type", f"{wrong} is a {type(cells[wrong]).__name__}")
            return
        values = [(one, found[one.column]) for one in self.shared if found.get(one.column)]
        others = [(one.type, *pair) for one, value in values if value for pair in one.keys(value[0])]
        if key[0] in met or rows.has(key[0]) or any(other in met for _, other, _ in others):
            rows.quarantine.add(place, key[0], "duplicate id", "an earlier row or a shared value has it")
            return
        met.add(key[0])
        rows.rows += 1
        named = found.get(self.name) if self.name else None
        rows.entity(key[0], kind=self.kind, name=named[0] if named else "")
        shared = {one.column for one in self.shared}
        for kind, other, name in others:
            rows.entity(other, kind=kind, name=name)
            rows.relation(key[0], kind, other)
        for column, value in found.items():
            if value is not None and column not in shared and column in (self.attributes or found):
                rows.attribute(key[0], Attribute(column, *value))

    def _reading(self) -> Reading:
        columns = list(dict.fromkeys(name for file in input_files(self.path) for name in columns_of(file)))
        asked = [self.id, self.name, *(one.column for one in self.shared), *(self.attributes or ())]
        for name in asked:
            if name and name != ROW_NUMBER and name not in columns:
                raise InputError(
                    f"{self.path}: expected a column {name!r}, found {', '.join(columns[:20])}; name one of these"
                )
        wanted = [name for name in columns if name != self.id and (self.attributes is None or name in asked)]
        mapping = {"id": self.id}
        if "id" in wanted:
            wanted.remove("id")
            mapping[_OTHER_ID] = "id"
        names = ("id", *wanted, *(ours for ours in mapping if ours != "id"))
        form = Form(names, needed=(), option="--set kg.columns.", vectors=(), numbers=())
        return Reading(mapping, suppressed=self.suppressed, form=form)


def columns_of(file: Path) -> list[str]:
    """The names of a table's columns; of JSON Lines those in its first rows. InputError if it cannot be read."""
    with opened(file) as handle:
        if kind_of(file) == "Parquet":
            try:
                return list(parquet_file(owned(handle.read()) if is_compressed(file) else file).schema_arrow.names)
            except (pa.ArrowException, OSError) as problem:
                raise InputError(f"{file}: expected a Parquet file, found {problem}; write it again") from problem
        if kind_of(file) == "CSV":
            records = (record for _, record in csv_records(file, handle) if isinstance(record, list) and record)
            return [name.strip() for name in next(records, [])]
        rows = (json_object(line) for line in islice(lines_of(file, handle), _SAMPLE) if line.strip())
        return list(dict.fromkeys(name for row in rows if isinstance(row, dict) for name in row))


def _records(batch: RawBatch) -> Iterable[dict[str, Any]]:
    columns: list[Sequence[Any]] = [
        cells.to_pylist() if isinstance(cells, pa.Array) else cells for cells in batch.columns.values()
    ]
    return (dict(zip(batch.columns, cells, strict=True)) for cells in zip(*columns, strict=True))


def _is_nested(value: object) -> bool:
    return isinstance(value, list | tuple | dict | bytes)


def _text_of(value: object) -> tuple[str, str] | None:
    """A cell's text without blanks around it and the datatype; None for an empty cell, and for a number that is none."""
    if value is None or value != value:
        return None
    if isinstance(value, str | UUID):
        text = str(value).strip()
        return (text, "") if text else None
    if isinstance(value, bool):
        return ("true" if value else "false"), f"{_XSD}boolean"
    if isinstance(value, int | Decimal):
        return str(value), _XSD + ("integer" if isinstance(value, int) else "decimal")
    if isinstance(value, float):
        return repr(value), f"{_XSD}double"
    if isinstance(value, datetime | date):
        return value.isoformat(), _XSD + ("dateTime" if isinstance(value, datetime) else "date")
    return str(value), ""
