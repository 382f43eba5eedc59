"""One day's file of an input that is read over several days: its rows, and the keys that it marks as deleted.

The column ``deleted`` (true or false, 1 or 0, yes or no; empty is false) marks a row whose key is to be gone from the
days before; the other columns of such a row may be empty. Within a file the order counts: a deletion removes the rows
of its key above it, and not those below it.
"""

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Protocol

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from fingerpost.schemas.inputs.checks_cells import text_cells
from fingerpost.schemas.inputs.checks_rows import check_batches
from fingerpost.schemas.inputs.days import identity_once
from fingerpost.schemas.inputs.embeddings import EMBEDDINGS, _with_vectors
from fingerpost.schemas.inputs.files import input_files, input_fingerprint
from fingerpost.schemas.inputs.formats import RawBatch, Reading
from fingerpost.schemas.inputs.forms import DOCUMENTS, Form, Quarantine, checked_mapping
from fingerpost.schemas.inputs.interaction_rows import (
    INTERACTIONS,
    LABELS,
    UnknownLabels,
    check_interactions,
    check_labels,
    split_mapping,
)
from fingerpost.schemas.inputs.keyed_files import keyed_identity, read_files
from fingerpost.schemas.inputs.merging import LABEL_SCHEMA, InteractionBatch, Interactions, merged
from fingerpost.schemas.inputs.negatives import suppressed_negatives, with_negatives
from fingerpost.schemas.inputs.suppression import Suppressed, without_rows
from fingerpost.schemas.refs import digest_of

DELETED = "deleted"

#: The columns of one day's files.
DAILY_DOCUMENTS = replace(DOCUMENTS, names=(*DOCUMENTS.names, DELETED), some=(*DOCUMENTS.some, DELETED))
DAILY_EMBEDDINGS = replace(EMBEDDINGS, names=(*EMBEDDINGS.names, DELETED))
DAILY_INTERACTIONS = replace(INTERACTIONS, names=(*INTERACTIONS.names, DELETED))

#: The columns of stored interactions of one day.
INTERACTION_ROWS = pa.schema(
    [
        ("id", pa.string()),
        ("query", pa.string()),
        ("label", pa.string()),
        ("weight", pa.float64()),
        ("day", pa.string()),
    ]
)

_FLAGS = {
    **dict.fromkeys(("true", "t", "yes", "y", "1", "1.0"), True),
    **dict.fromkeys(("false", "f", "no", "n", "0", "0.0", ""), False),
}

Key = tuple[str, ...]


@dataclass(frozen=True)
class DailyBatch:
    """The accepted rows of one day, the keys that it deletes, the quarantined rows, and their number by reason."""

    accepted: pa.Table
    deleted: pa.Table
    quarantined: pa.Table
    reasons: dict[str, int]


class DailySource(Protocol):
    """The rows of one day from outside the store; ``str`` is their name for users."""

    def __str__(self) -> str:
        """The path or name."""
        ...

    def identity(self) -> str:
        """A digest of its content."""
        ...

    def read(self) -> DailyBatch:
        """The rows, deleted keys, and bad rows quarantined."""
        ...


@dataclass(frozen=True)
class DailyFile:
    """Base class: a file (or a folder of Parquet files) of one day.

    mapping: pairs (our column, the file's) where they differ. suppressed: keys whose rows are left out.
    """

    path: str
    mapping: tuple[tuple[str, str], ...] = ()
    suppressed: Suppressed | None = None
    form: ClassVar[Form]
    #: The columns of the stored keys that are deleted, and for each the columns of a row that give it: the first that
    #: is not empty.
    keys: ClassVar[Mapping[str, tuple[str, ...]]] = {"id": ("id",)}

    def __str__(self) -> str:
        return self.path

    def identity(self) -> str:
        """sha256 over contents, mapping and the digests of suppressed keys in them; InputError if it cannot be read."""
        return identity_once(self.path, self._identity, self.mapping, self.suppressed)

    def _identity(self) -> str:
        return keyed_identity(self.path, self._reading(keys_only=True))

    def read(self) -> DailyBatch:
        """The rows, deleted keys, and bad rows quarantined; InputError if it cannot be read."""
        checked_mapping(dict(self.mapping), self.form)
        deletions = self._deletions()
        reading = self._reading()
        kept = _kept(self._batches(reading), deletions, self.keys, reading.quarantine)
        accepted = self._accepted(kept, reading.quarantine)
        columns = [pa.array([key[i] for key in deletions], pa.string()) for i in range(len(self.keys))]
        deleted = pa.table(columns, names=list(self.keys))
        return DailyBatch(accepted, deleted, reading.quarantine.table(), reading.quarantine.reasons())

    def _reading(self, *, keys_only: bool = False) -> Reading:
        return Reading(dict(self.mapping), suppressed=self.suppressed, keys_only=keys_only, form=self.form)

    def _batches(self, reading: Reading) -> Iterator[RawBatch]:
        return read_files(self.path, reading)

    def marks_deletions(self) -> bool:
        """Whether a row is marked as deleted; reads no more than the first rows of a file without such a column."""
        batch = next(self._batches(self._reading()), None)
        cells = None if batch is None else batch.columns.get(DELETED)
        empty = cells is None or (not isinstance(cells, pa.Array) and all(cell is None for cell in cells))
        return not empty and bool(self._deletions())

    def _deletions(self) -> dict[Key, int]:
        """The keys that are marked as deleted, with the position of the last such row of each."""
        found: dict[Key, int] = {}
        alone = len(input_files(self.path)) == 1
        for batch in self._batches(self._reading()):
            if alone and DELETED not in batch.columns:
                break  # the other rows of the file have no such column either
            flags = _flags(batch, _ignored)
            if any(flags):
                keys = _keys(batch, self.keys)
                found |= {key: row for key, row, flag in zip(keys, batch.rows, flags, strict=True) if flag and all(key)}
        return found

    def _accepted(self, batches: Iterable[RawBatch], quarantine: Quarantine) -> pa.Table:
        """The valid rows in the columns that are stored; the others are quarantined."""
        raise NotImplementedError


@dataclass(frozen=True)
class DailyDocuments(DailyFile):
    """One day's file of documents; a deleted row needs only an id."""

    form: ClassVar[Form] = DAILY_DOCUMENTS

    def _accepted(self, batches: Iterable[RawBatch], quarantine: Quarantine) -> pa.Table:
        return check_batches(batches, quarantine=quarantine).accepted


@dataclass(frozen=True)
class DailyEmbeddings(DailyFile):
    """One day's file of labelled embeddings; a deleted row needs only an id."""

    form: ClassVar[Form] = DAILY_EMBEDDINGS

    def _accepted(self, batches: Iterable[RawBatch], quarantine: Quarantine) -> pa.Table:
        checked = check_batches(
            _with_vectors(iter(batches), quarantine), quarantine=quarantine, columns=EMBEDDINGS.names
        )
        return checked.accepted


@dataclass(frozen=True)
class DailyInteractions(DailyFile):
    """One day's file of interactions; a deleted row withdraws what the days before say of its query and label."""

    form: ClassVar[Form] = DAILY_INTERACTIONS
    keys: ClassVar[Mapping[str, tuple[str, ...]]] = {"id": ("query_id", "query"), "label": ("label",)}

    def _accepted(self, batches: Iterable[RawBatch], quarantine: Quarantine) -> pa.Table:
        rows = check_interactions(batches, quarantine=quarantine)
        # Merged only to quarantine the rows of a query that has another text.
        merged(rows, LABEL_SCHEMA.empty_table(), quarantine=quarantine)
        table = rows.where(~np.isin(rows.rows, list(quarantine.found))).table
        return table.rename_columns({"query_id": "id"}).select(INTERACTION_ROWS.names)


@dataclass(frozen=True)
class Catalogue:
    """The labels and negatives beside interactions of several days: those of the run's own day ("" for none).

    mapping: pairs (our column, the file's) of interactions and labels where they differ. suppressed: keys whose rows
    are left out.
    """

    labels_path: str = ""
    mapping: tuple[tuple[str, str], ...] = ()
    unknown_labels: UnknownLabels = "keep"
    suppressed: Suppressed | None = None
    negatives_path: str = ""

    def __str__(self) -> str:
        return " and ".join(filter(None, (self.labels_path, self.negatives_path))) or "no labels"

    def identity(self) -> str:
        """A digest of contents, mapping, the treatment of unknown labels, and the suppressed keys in the files.

        InputError if they cannot be read.
        """
        parts: list[Any] = []
        digests: set[str] = set()
        if self.labels_path:
            reading = self._labels_reading(keys_only=True)
            parts += [input_fingerprint(self.labels_path, reading.mapping), self.unknown_labels]
            if reading.suppressed is not None:
                for _ in _batches_of(self.labels_path, reading):
                    pass
            digests |= set(reading.dropped)
        if self.negatives_path:
            parts.append(input_fingerprint(self.negatives_path, {}))
            digests |= set(suppressed_negatives(self.negatives_path, self.suppressed))
        return digest_of([*parts, sorted(digests)])

    def batch(self, rows: Interactions) -> InteractionBatch:
        """Queries, labels and pairs of checked rows, with these labels; bad rows of the labels are quarantined.

        InputError if a file cannot be read.
        """
        labels, reading = LABEL_SCHEMA.empty_table(), self._labels_reading()
        if self.labels_path:
            labels = check_labels(_batches_of(self.labels_path, reading), quarantine=reading.quarantine)
        unknown = Quarantine()
        only = bool(self.labels_path) and self.unknown_labels == "quarantine"
        tables = merged(rows, labels, quarantine=unknown, only_labels=only)
        bad = pa.concat_tables([unknown.table(), reading.quarantine.table()])
        reasons = dict(sorted((unknown.reasons() | reading.quarantine.reasons()).items()))
        found = InteractionBatch(*tables, bad, reasons)
        return with_negatives(found, self.negatives_path, self.suppressed) if self.negatives_path else found

    def _labels_reading(self, *, keys_only: bool = False) -> Reading:
        """A reading of labels, whose ids are the column ``label`` of interactions."""
        _, mapping = split_mapping(dict(self.mapping), labelled=bool(self.labels_path))
        mine = self.suppressed if self.suppressed is not None and self.suppressed.column in ("id", "label") else None
        bad = Quarantine(prefix="label: ")
        return Reading(mapping, bad, suppressed=mine, keys_only=keys_only, form=LABELS, key_columns=("id",))


def _batches_of(path: str, reading: Reading) -> Iterator[RawBatch]:
    return read_files(path, reading)


def _kept(
    batches: Iterable[RawBatch],
    deletions: Mapping[Key, int],
    columns: Mapping[str, tuple[str, ...]],
    quarantine: Quarantine,
) -> Iterator[RawBatch]:
    """The batches without deleted rows, and without the rows of their keys above them."""
    for batch in batches:
        values = {name: cells for name, cells in batch.columns.items() if name != DELETED}
        dropped: set[int] = set()
        if DELETED in batch.columns or deletions:

            def report(i: int, reason: str, detail: str, batch: RawBatch = batch) -> None:
                quarantine.add(batch.rows[i], "/".join(_keys(batch, columns)[i]), reason, detail)

            flags = _flags(batch, report)
            for i, key in enumerate(_keys(batch, columns) if deletions or any(flags) else ()):
                if flags[i] and not all(key):
                    quarantine.add(batch.rows[i], "/".join(filter(None, key)), "no id", "a deleted row without its key")
                if flags[i] or batch.rows[i] < deletions.get(key, -1):
                    dropped.add(i)
        if len(dropped) == len(batch.rows):
            continue
        rows = [position for i, position in enumerate(batch.rows) if i not in dropped]
        yield RawBatch(without_rows(values, dropped, len(batch.rows)) if dropped else values, rows)


def _keys(batch: RawBatch, columns: Mapping[str, tuple[str, ...]]) -> list[Key]:
    """The key of each row; its parts are empty where the row has none."""
    absent = pa.nulls(len(batch.rows))
    parts = []
    for given in columns.values():
        texts = [
            pc.utf8_trim_whitespace(text_cells(name, batch.columns.get(name, absent), _ignored, keys=given))
            for name in given
        ]
        part = texts[-1]
        for other in reversed(texts[:-1]):
            part = pc.if_else(pc.equal(other, ""), part, other)
        parts.append(part.to_pylist())
    return list(zip(*parts, strict=True))


def _flags(batch: RawBatch, report: Callable[[int, str, str], None]) -> list[bool]:
    """Whether each row is marked as deleted; a value that says neither is reported."""
    cells: pa.Array | Sequence[Any] | None = batch.columns.get(DELETED)
    if cells is None:
        return [False] * len(batch.rows)
    flags = []
    for i, value in enumerate(cells.to_pylist() if isinstance(cells, pa.Array) else cells):
        text = "" if value is None or (isinstance(value, float) and math.isnan(value)) else str(value).strip().lower()
        if text not in _FLAGS:
            report(i, "wrong type", f"deleted is {str(value)[:40]!r}, not true or false")
        flags.append(_FLAGS.get(text, False))
    return flags


def _ignored(i: int, reason: str, detail: str) -> None:
    """Reports nothing."""


def rows_of_days(tables: Sequence[pa.Table]) -> Interactions:
    """Stored interactions of several days, oldest first, as checked rows; each query has the text of its newest row."""
    rows = pa.concat_tables(tables)
    codes = rows["id"].combine_chunks().dictionary_encode().indices.to_numpy()
    newest = np.zeros(codes.max(initial=-1) + 1, dtype=np.int64)
    newest[codes] = np.arange(len(codes))  # the last assignment wins
    texts = rows["query"].take(pa.array(newest[codes]))
    columns = [texts, rows["label"], rows["weight"], rows["day"], rows["id"]]
    names = ["query", "label", "weight", "day", "query_id"]
    return Interactions(pa.table(columns, names=names), np.arange(rows.num_rows))
