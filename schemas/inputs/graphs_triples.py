"""Graphs of triples: files of head, relation and tail, and folders in the layout of DBP15K."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from fingerpost.schemas.errors import InputError
from fingerpost.schemas.inputs.checks_cells import text_cells
from fingerpost.schemas.inputs.files import check_regular, readable
from fingerpost.schemas.inputs.formats import Reading
from fingerpost.schemas.inputs.forms import Form, Quarantine, checked_mapping
from fingerpost.schemas.inputs.graph_columns import GraphColumns
from fingerpost.schemas.inputs.graph_lines import opened_lines
from fingerpost.schemas.inputs.graph_links import GIVEN, LINK_SCHEMA, LinkBatch
from fingerpost.schemas.inputs.graphs import GraphBatch, GraphRows
from fingerpost.schemas.inputs.interaction_rows import RowReport
from fingerpost.schemas.inputs.keyed_files import check_columns, keyed_identity, read_files
from fingerpost.schemas.inputs.suppression import Suppressed
from fingerpost.schemas.refs import digest_of

TRIPLES = Form(
    ("head", "relation", "tail"),
    needed=("head", "relation", "tail"),
    option="--set kg.columns.",
    keys=("head", "tail"),
)
SIDES = (1, 2)


@dataclass(frozen=True)
class TripleFile:
    """A Parquet, CSV or JSON Lines file (or a folder of Parquet files) of head, relation and tail.

    mapping: pairs (our column, the file's) where they differ. suppressed: ids to leave out, with all of their relations.
    """

    path: str
    mapping: tuple[tuple[str, str], ...] = ()
    suppressed: Suppressed | None = None

    def __str__(self) -> str:
        return self.path

    def identity(self) -> str:
        """sha256 over contents, mapping and the digests of suppressed ids in them; InputError if it cannot be read."""
        return keyed_identity(self.path, self._reading(keys_only=True))

    def check(self) -> None:
        """InputError for a file that is missing or lacks a column; reads no rows."""
        check_columns(self.path, self._reading())

    def read(self) -> GraphBatch:
        """The graph; rows with an empty cell are quarantined. InputError if it cannot be read."""
        reading = self._reading()
        found = GraphColumns(reading.quarantine, self.suppressed)
        for batch in read_files(self.path, reading):
            report = RowReport(batch, reading.quarantine, batch.columns["head"])
            cells = [text_cells(name, batch.columns[name], report, keys=TRIPLES.names) for name in TRIPLES.names]
            head, relation, tail = (pc.utf8_trim_whitespace(column) for column in cells)
            for name, column in zip(TRIPLES.names, (head, relation, tail), strict=True):
                report.every(pc.equal(column, ""), f"no {name}", "the cell is empty")
            bad = np.fromiter(reading.quarantine.found, dtype=np.int64, count=len(reading.quarantine.found))
            good = pa.array(~np.isin(np.asarray(batch.rows, dtype=np.int64), bad))
            head, relation, tail = (column.filter(good) for column in (head, relation, tail))
            found.relations(head, relation, tail)
            found.rows += len(head)
        return found.batch()

    def _reading(self, *, keys_only: bool = False) -> Reading:
        mapping = checked_mapping(dict(self.mapping), TRIPLES)
        return Reading(mapping, suppressed=self.suppressed, keys_only=keys_only, form=TRIPLES)


@dataclass(frozen=True)
class Dbp15k:
    """A folder in the layout of DBP15K (Sun et al., ISWC 2017): for each side n of 1 and 2 the files ``ent_ids_n`` (number
    and IRI), ``triples_n`` (numbers of head, relation, tail) and perhaps ``rel_ids_n`` (number and IRI), and the links
    ``ref_ent_ids`` and perhaps ``sup_ent_ids`` (two numbers), all with tabs.

    An entity's id is its IRI, its name the last part of that. The links of ``sup_ent_ids`` are of the training split,
    those of ``ref_ent_ids`` beside them of the test split, and without them of none. suppressed: ids to leave out.
    """

    path: str
    suppressed: Suppressed | None = None

    def side(self, number: int) -> "Dbp15kSide":
        """One of its graphs, 1 or 2."""
        return Dbp15kSide(self.path, number, self.suppressed)

    def links(self) -> "Dbp15kLinks":
        """Its links."""
        return Dbp15kLinks(self.path, self.suppressed)


@dataclass(frozen=True)
class Dbp15kSide:
    """One graph of a folder in the layout of DBP15K, see `Dbp15k`; number: 1 or 2."""

    path: str
    number: int
    suppressed: Suppressed | None = None

    def __str__(self) -> str:
        return f"{self.path} ({self.number})"

    def identity(self) -> str:
        """sha256 over the contents and the digests of suppressed ids in them; InputError if it cannot be read."""
        return _identity(self._files(), [f"ent_ids_{self.number}"], self.suppressed)

    def check(self) -> None:
        """InputError for a file that is missing; reads none of it."""
        self._files()

    def read(self) -> GraphBatch:
        """The graph; lines of another form, and of unknown entities, are quarantined. InputError if it cannot be read."""
        lines, side = _Lines(self._files()), self.number
        rows = GraphRows(lines.quarantine, suppressed=self.suppressed)
        keys, names = lines.numbered(f"ent_ids_{side}"), lines.numbered(f"rel_ids_{side}")
        for key in keys.values():
            rows.entity(key, name=local_name(key))
            rows.rows += 1
        for place, (head, relation, tail) in lines.of(f"triples_{side}", 3):
            unknown = next((one for one in (head, tail) if one not in keys), None)
            if unknown is not None:
                lines.quarantine.add(place, unknown, "unknown entity", f"ent_ids_{side} has no such number")
            else:
                rows.relation(keys[head], names.get(relation, relation), keys[tail])
                rows.rows += 1
        return rows.batch()

    def _files(self) -> dict[str, Path]:
        needed = [f"{name}_{self.number}" for name in ("ent_ids", "triples")]
        return _files_of(self.path, needed, [f"rel_ids_{self.number}"])


@dataclass(frozen=True)
class Dbp15kLinks:
    """The links of a folder in the layout of DBP15K, see `Dbp15k`."""

    path: str
    suppressed: Suppressed | None = None

    def __str__(self) -> str:
        return f"{self.path} (links)"

    def identity(self) -> str:
        """sha256 over the contents and the digests of suppressed ids in them; InputError if they cannot be read."""
        return _identity(self._files(), [f"ent_ids_{side}" for side in SIDES], self.suppressed)

    def check(self) -> None:
        """InputError for a file that is missing; reads none of it."""
        self._files()

    def read(self) -> LinkBatch:
        """The links; lines of another form, and links of unknown numbers, are quarantined. InputError as above."""
        files, found = self._files(), list[tuple[object, ...]]()
        lines = _Lines(files)
        keys = [lines.numbered(f"ent_ids_{side}") for side in SIDES]
        splits = {"sup_ent_ids": "training", "ref_ent_ids": "test" if "sup_ent_ids" in files else ""}
        for name, split in splits.items():
            for place, pair in lines.of(name, 2):
                unknown = next((one for one, known in zip(pair, keys, strict=True) if one not in known), None)
                if unknown is not None:
                    lines.quarantine.add(place, unknown, "unknown entity", "the ids of its side have no such number")
                    continue
                left, right = (known[one] for one, known in zip(pair, keys, strict=True))
                if self.suppressed is None or not self.suppressed.match(left) | self.suppressed.match(right):
                    found.append((place, left, right, 1, split, GIVEN))
        columns = zip(*found, strict=True) if found else [()] * len(LINK_SCHEMA)
        arrays = [pa.array(column, kind) for column, kind in zip(columns, LINK_SCHEMA.types, strict=True)]
        return LinkBatch(pa.Table.from_arrays(arrays, schema=LINK_SCHEMA), lines.quarantine)

    def _files(self) -> dict[str, Path]:
        return _files_of(self.path, [*(f"ent_ids_{side}" for side in SIDES), "ref_ent_ids"], ["sup_ent_ids"])


def _identity(files: dict[str, Path], of_ids: list[str], suppressed: Suppressed | None) -> str:
    contents = {}
    for name, file in files.items():
        with readable(file):
            contents[name] = hashlib.sha256(file.read_bytes()).hexdigest()
    dropped: set[str] = set()
    if suppressed is not None:
        lines = _Lines(files)
        for key in (key for name in of_ids for key in lines.numbered(name).values()):
            dropped |= suppressed.match(key)
    return digest_of(["dbp15k", contents, sorted(dropped)])


def _files_of(path: str, needed: list[str], optional: list[str]) -> dict[str, Path]:
    """The files of a folder by name; InputError for one that is needed and not there."""
    files = {name: Path(path) / name for name in (*needed, *optional)}
    for name in needed:
        if not files[name].is_file():
            raise InputError(f"{path}: expected a folder with {', '.join(needed)}, found no {name}; check the path")
    found = {name: file for name, file in files.items() if file.is_file()}
    for file in found.values():
        check_regular(file)
    return found


class _Lines:
    """The lines of files of fields with tabs; those with other fields are quarantined, by their place among all."""

    def __init__(self, files: dict[str, Path]) -> None:
        self.files, self.quarantine, self._met = files, Quarantine(), 0

    def of(self, name: str, fields: int) -> Iterator[tuple[int, tuple[str, ...]]]:
        """The place and the fields of each line of a file that may be absent."""
        if name not in self.files:
            return
        with opened_lines(self.files[name]) as lines:
            for line in lines:
                found = tuple(part.strip() for part in line.rstrip("\r\n").split("\t"))
                if len(found) == fields and all(found):
                    yield self._met, found
                elif line.strip():
                    wrong = f"{name}: {len(found)} fields, some empty, where {fields} are expected"
                    self.quarantine.add(self._met, None, "invalid line", wrong)
                self._met += 1

    def numbered(self, name: str) -> dict[str, str]:
        """The second field of each line by the first."""
        return {number: key for _, (number, key) in self.of(name, 2)}


def local_name(iri: str) -> str:
    """The last part of an IRI as a name: after the last "#" or "/", percent-decoded, underscores as blanks."""
    last = iri.rstrip("/#").rpartition("#")[2].rpartition("/")[2]
    return " ".join(unquote(last).replace("_", " ").split())
