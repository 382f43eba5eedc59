"""Graphs of tables: each row an entity, chosen columns entities that rows share, other columns attributes."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from fingerpost.schemas.errors import InputError
from fingerpost.schemas.inputs.files import input_files, input_fingerprint
from fingerpost.schemas.inputs.formats import RawBatch, Reading
from fingerpost.schemas.inputs.forms import ROW_NUMBER, Form, Quarantine
from fingerpost.schemas.inputs.graph_cells import Cells, cells_of, keys_of
from fingerpost.schemas.inputs.graph_columns import GraphColumns
from fingerpost.schemas.inputs.graphs import GraphBatch
from fingerpost.schemas.inputs.keyed_files import columns_of, read_files
from fingerpost.schemas.inputs.suppression import Suppressed
from fingerpost.schemas.refs import digest_of
from fingerpost.schemas.wording import cut

#: What a column "id" is called beside the key, where that is another column.
_OTHER_ID = "id (column)"
#: What a column of names is called, the likelier one first.
_NAMES = ("name", "title")
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

    def entities(self, texts: pa.Array) -> tuple[NDArray[np.int64], pa.Array, pa.Array]:
        """The entities of all cells of a column: the rows of the cells (int64), ids and names; each distinct cell is split
        once.
        """
        codes = texts.dictionary_encode()
        found = [self.keys(text) for text in codes.dictionary.to_pylist()]
        starts = np.concatenate([[0], np.cumsum([len(keys) for keys in found], dtype=np.int64)])
        ids = pa.array([key for keys in found for key, _ in keys], pa.string())
        names = pa.array([name for keys in found for _, name in keys], pa.string())
        rows = np.flatnonzero(texts.is_valid().to_numpy(zero_copy_only=False))
        cell = codes.indices.drop_null().to_numpy().astype(np.int64)
        sizes = starts[cell + 1] - starts[cell]
        places = np.arange(sizes.sum()) + np.repeat(starts[cell] - (np.cumsum(sizes) - sizes), sizes)
        return np.repeat(rows, sizes), ids.take(pa.array(places)), names.take(pa.array(places))


def shared_column(text: str) -> SharedColumn:
    """The shared column of "COLUMN", "COLUMN:SEPARATOR" for several values in a cell, or "COLUMN:SEPARATOR:TYPE"."""
    column, _, rest = text.partition(":")
    separator, _, kind = rest.partition(":")
    return SharedColumn(column, separator, kind)


@dataclass(frozen=True)
class TableGraph:
    """A Parquet, CSV or JSON Lines file (or a folder of Parquet files) whose rows are entities.

    kind: the type of the rows. id: the column of their keys; by default "id" where there is one, else the number of the
    row, from 0. name: the column of their names, also an attribute; by default one that is called so. shared: columns that become entities. attributes: the
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
            self.name_column(),
            [[s.column, s.separator, s.type] for s in self.shared],
            self.attributes,
            self.renamed,
        ]
        dropped = sorted(self._gathered().suppressed_keys()) if self.suppressed is not None else []
        return digest_of(["table", input_fingerprint(self.path, {"id": self.id}), chosen, dropped])

    def check(self) -> None:
        """InputError for a file that is missing or lacks a column; reads no rows."""
        self._reading()

    def compared(self) -> list[str]:
        """The columns of attributes, as they are named here."""
        own, shared = self.key_column(), {one.column for one in self.shared}
        names = [name for name in self._columns() if name != own and name not in shared]
        return [name for name in names if self.attributes is None or name in (*self.attributes, self.name)]

    def name_column(self) -> str:
        """The column of the names, as it is named here; empty for none.

        Of none that is chosen, that which is called name or title, or the only one whose name ends in one of these words.
        """
        return self.name or next(filter(None, (_called(word, self.compared()) for word in _NAMES)), "")

    def read(self) -> GraphBatch:
        """The graph; rows without a key, of a key that occurred before, or with a list in a cell are quarantined.

        InputError if it cannot be read.
        """
        return self._gathered().batch()

    def _gathered(self) -> GraphColumns:
        reading = self._reading()
        found, rows = GraphColumns(reading.quarantine, self.suppressed), _Rows(self, reading.quarantine)
        for batch in read_files(self.path, reading):
            rows.add(batch, found)
        found.dropped |= reading.dropped.keys()
        return found

    def _columns(self) -> dict[str, str]:
        """The columns by their names here to their names in the file; InputError for two of one name."""
        found = [name for file in input_files(self.path) for name in columns_of(file)]
        # The numbers of rows that pandas writes along have no name, or this one.
        theirs = dict.fromkeys(name for name in found if name not in ("", "__index_level_0__"))
        if len(theirs) == 1 and (mark := next((mark for mark in ";\t|" if mark in next(iter(theirs))), "")):
            raise InputError(
                f"{self.path}: expected columns that are separated by commas, found one column {cut(next(iter(theirs)), 60)!r};"
                f" separate them by commas, not by {mark!r}"
            )
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

    def key_column(self) -> str:
        """The column of the keys, as it is named here."""
        return self.id or ("id" if "id" in self._columns() else ROW_NUMBER)

    def _reading(self) -> Reading:
        columns = self._columns()
        own = self.key_column()
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


def _called(word: str, columns: Sequence[str]) -> str:
    """The column that is called a word, or the only one whose name ends in it; empty for none."""
    lower = {name: re.split("[^a-z]+", name.lower()) for name in columns}
    alike = [name for name, words in lower.items() if words == [word]]
    ending = [name for name, words in lower.items() if words[-1] == word]
    return alike[0] if alike else ending[0] if len(ending) == 1 else ""


class _Rows:
    """The rows of a table as they become entities: each key once, and none that is the id of a shared value."""

    def __init__(self, table: TableGraph, quarantine: Quarantine) -> None:
        self.table, self.quarantine, self.name = table, quarantine, table.name_column()
        self.keys, self.shared = set[str](), set[str]()

    def add(self, batch: RawBatch, found: GraphColumns) -> None:
        """Adds the good rows of a batch, and quarantines the others."""
        cells = {name: cells_of(values) for name, values in batch.columns.items() if name != "id"}
        if _OTHER_ID in cells:
            cells["id"] = cells.pop(_OTHER_ID)
        keys = keys_of(batch.columns["id"])
        shared = [(one, cells[one.column].texts) for one in self.table.shared if one.column in cells]
        others = [(one, *one.entities(texts)) for one, texts in shared]
        good = self._good(batch, keys, cells, others)
        found.rows += len(good)
        ids = pa.array([keys[i] for i in good], pa.string())
        chosen = pa.array(good, pa.int64())
        named = cells[self.name].texts.take(chosen).fill_null("") if self.name in cells else None
        found.entities(ids, kind=self.table.kind, names=named)
        place = np.full(len(keys), -1, dtype=np.int64)
        place[good] = np.arange(len(good))
        for one, owners, entities, names in others:
            kept = pa.array(place[owners] >= 0)
            mine, tails = pa.array(place[owners]).filter(kept), entities.filter(kept)
            found.entities(tails, kind=one.type, names=names.filter(kept))
            found.relations(ids.take(mine), one.type, tails)
        columns = {one.column for one in self.table.shared}
        for name in cells:
            if name not in columns and (self.table.attributes is None or name in self.table.attributes):
                _add_attribute(name, cells[name].take(chosen), ids, found)

    def _good(
        self,
        batch: RawBatch,
        keys: list[str],
        cells: Mapping[str, Cells],
        others: "list[tuple[SharedColumn, NDArray[np.int64], pa.Array, pa.Array]]",
    ) -> list[int]:
        wrong = {i: f"{name} is {what}" for name, cell in list(cells.items())[::-1] for i, what in cell.wrong.items()}
        of_row: dict[int, list[str]] = {}
        for _, owners, entities, _ in others:
            for i, key in zip(owners.tolist(), entities.to_pylist(), strict=True):
                of_row.setdefault(i, []).append(key)
        good = []
        for i, key in enumerate(keys):
            mine = of_row.get(i, ())
            if not key:
                detail = f"the cell of {self.table.key_column()} is empty"
                self.quarantine.add(batch.rows[i], None, "no id", detail)
            elif i in wrong:
                self.quarantine.add(batch.rows[i], key, "wrong type", wrong[i])
            elif key in self.keys or key in self.shared or not self.keys.isdisjoint(mine):
                detail = "an earlier row or a shared value has it"
                self.quarantine.add(batch.rows[i], key, "duplicate id", detail)
            else:
                self.keys.add(key)
                self.shared.update(mine)
                good.append(i)
        return good


def _add_attribute(name: str, cells: Cells, owners: pa.Array, found: GraphColumns) -> None:
    """The cells of a column that are not empty, as attributes."""
    known = cells.texts.is_valid()
    datatypes = cells.datatypes if isinstance(cells.datatypes, str) else cells.datatypes.filter(known)
    found.attributes(owners.filter(known), name, cells.texts.filter(known), datatypes)
