"""Graphs of tables: each row an entity, chosen columns entities that rows share, other columns attributes."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

import pyarrow as pa

from fingerpost.schemas.errors import InputError
from fingerpost.schemas.inputs.files import input_files, input_fingerprint
from fingerpost.schemas.inputs.formats import RawBatch, Reading
from fingerpost.schemas.inputs.forms import ROW_NUMBER, Form
from fingerpost.schemas.inputs.graphs import Attribute, GraphBatch, GraphRows
from fingerpost.schemas.inputs.keyed_files import columns_of, read_files
from fingerpost.schemas.inputs.suppression import Suppressed
from fingerpost.schemas.refs import digest_of

_XSD = "http://www.w3.org/2001/XMLSchema#"
#: From here on not every whole number is a float.
_EXACT = 2**53
#: What a column "id" is called beside the key, where that is another column.
_OTHER_ID = "id (column)"
#: The rows of a table by their keys alone, for what only looks for these.
GRAPH_ROWS = Form(("id",), needed=("id",), option="--id ")


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


def shared_column(text: str) -> SharedColumn:
    """The shared column of "COLUMN", "COLUMN:SEPARATOR" for several values in a cell, or "COLUMN:SEPARATOR:TYPE"."""
    column, _, rest = text.partition(":")
    separator, _, kind = rest.partition(":")
    return SharedColumn(column, separator, kind)


@dataclass(frozen=True)
class TableGraph:
    """A Parquet, CSV or JSON Lines file (or a folder of Parquet files) whose rows are entities.

    kind: the type of the rows. id: the column of their keys; by default "id" where there is one, else the number of the
    row, from 0. name: the column of their names, also an attribute. shared: columns that become entities. attributes: the
    columns of attributes; all others by default. suppressed: keys of rows, and of shared entities, to leave out. renamed:
    pairs (a name, the file's), where columns have other names here; all of the above are names here.
    """

    path: str
    kind: str = "row"
    id: str = ""
    name: str = ""
    shared: tuple[SharedColumn, ...] = ()
    attributes: tuple[str, ...] | None = None
    suppressed: Suppressed | None = None
    renamed: tuple[tuple[str, str], ...] = ()

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
            self.renamed,
        ]
        dropped = sorted(self._gathered().dropped) if self.suppressed is not None else []
        return digest_of(["table", input_fingerprint(self.path, {"id": self.id}), chosen, dropped])

    def check(self) -> None:
        """InputError for a file that is missing or lacks a column; reads no rows."""
        self._reading()

    def compared(self) -> list[str]:
        """The columns of attributes, as they are named here."""
        own, shared = self._key_column(self._columns()), {one.column for one in self.shared}
        names = [name for name in self._columns() if name != own and name not in shared]
        return [name for name in names if self.attributes is None or name in (*self.attributes, self.name)]

    def read(self) -> GraphBatch:
        """The graph; rows without a key, of a key that occurred before, or with a list in a cell are quarantined.

        InputError if it cannot be read.
        """
        return self._gathered().batch()

    def _gathered(self) -> GraphRows:
        reading = self._reading()
        rows, met = GraphRows(reading.quarantine, self.suppressed), set[str]()
        for batch in read_files(self.path, reading):
            for place, cells in zip(batch.rows, _records(batch), strict=True):
                self._add(place, cells, rows, met)
        rows.dropped |= reading.dropped.keys()
        return rows

    def _add(self, place: int, cells: dict[str, Any], rows: GraphRows, met: set[str]) -> None:
        found = {column: _text_of(value) for column, value in cells.items()}
        found.pop("id", None)
        key = _key_of(cells.get("id"))
        if _OTHER_ID in found:
            found["id"] = found.pop(_OTHER_ID)
        if not key:
            rows.quarantine.add(place, None, "no id", f"the cell of {self._key_column(self._columns())} is empty")
            return
        wrong = next((column for column, value in cells.items() if _is_nested(value)), None)
        if wrong is not None:
            rows.quarantine.add(place, key, "wrong type", f"{wrong} is a {type(cells[wrong]).__name__}")
            return
        values = [(one, found[one.column]) for one in self.shared if found.get(one.column)]
        others = [(one.type, *pair) for one, value in values if value for pair in one.keys(value[0])]
        if key in met or rows.has(key) or any(other in met for _, other, _ in others):
            rows.quarantine.add(place, key, "duplicate id", "an earlier row or a shared value has it")
            return
        met.add(key)
        rows.rows += 1
        named = found.get(self.name) if self.name else None
        rows.entity(key, kind=self.kind, name=named[0] if named else "")
        shared = {one.column for one in self.shared}
        for kind, other, name in others:
            rows.entity(other, kind=kind, name=name)
            rows.relation(key, kind, other)
        for column, value in found.items():
            if value is not None and column not in shared and column in (self.attributes or found):
                rows.attribute(key, Attribute(column, *value))

    def _columns(self) -> dict[str, str]:
        """The columns by their names here to their names in the file; InputError for two of one name."""
        theirs = dict.fromkeys(name for file in input_files(self.path) for name in columns_of(file))
        for ours, name in self.renamed:
            if name not in theirs:
                raise InputError(
                    f"{self.path}: expected a column {name!r} for {ours!r}, found {', '.join(list(theirs)[:20])}; name one"
                    " of these"
                )
            if ours in theirs and ours not in dict(self.renamed).values():
                raise InputError(
                    f"{self.path}: expected one column {ours!r}, found it beside {name!r}, which is to be called that; rename"
                    " one of them"
                )
        named = {name: ours for ours, name in self.renamed}
        return {named.get(name, name): name for name in theirs}

    def _key_column(self, columns: Mapping[str, str]) -> str:
        return self.id or ("id" if "id" in columns else ROW_NUMBER)

    def _reading(self) -> Reading:
        columns = self._columns()
        own = self._key_column(columns)
        asked = [own, self.name, *(one.column for one in self.shared), *(self.attributes or ())]
        for name in asked:
            if name and name != ROW_NUMBER and name not in columns:
                raise InputError(
                    f"{self.path}: expected a column {name!r}, found {', '.join(list(columns)[:20])}; name one of these"
                )
        wanted = [name for name in columns if name != own and (self.attributes is None or name in asked)]
        # The reader calls the key "id", whatever its name here.
        mapping = {name if name != "id" else _OTHER_ID: columns[name] for name in wanted}
        mapping["id"] = own if own == ROW_NUMBER else columns[own]
        form = Form(("id", *(name for name in mapping if name != "id")), needed=(), vectors=(), numbers=())
        return Reading(mapping, suppressed=self.suppressed, form=form)


def _records(batch: RawBatch) -> Iterable[dict[str, Any]]:
    columns: list[Sequence[Any]] = [
        cells.to_pylist() if isinstance(cells, pa.Array) else cells for cells in batch.columns.values()
    ]
    return (dict(zip(batch.columns, cells, strict=True)) for cells in zip(*columns, strict=True))


def _key_of(value: object) -> str:
    """The key in a cell: as of links, a whole number may be written as a float; empty for none."""
    whole = isinstance(value, float) and value.is_integer() and abs(value) < _EXACT
    found = _text_of(int(value) if whole and isinstance(value, float) else value)
    return found[0] if found else ""


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
