"""Reader and row checks of interactions and labels in users' files."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from fingerpost.schemas.inputs.checks_cells import number_cells, text_cells
from fingerpost.schemas.inputs.formats import RawBatch, Reading
from fingerpost.schemas.inputs.forms import Form, Quarantine, checked_mapping
from fingerpost.schemas.inputs.keyed_files import dropped_in, read_files
from fingerpost.schemas.inputs.merging import INTERACTION_SCHEMA, LABEL_SCHEMA, InteractionBatch, Interactions, merged
from fingerpost.schemas.inputs.suppression import Suppressed

INTERACTIONS = Form(
    ("query", "label", "weight", "day", "query_id"),
    needed=("query", "label"),
    instead={"query_id": "query"},
    option="--set xmr.columns.",
    keys=("query_id", "query", "label"),
)
LABELS = Form(("id", "name", "text"), needed=("id",), option="--set xmr.columns.")

#: Treatment of rows whose label is not in the labels input.
UnknownLabels = Literal["keep", "quarantine"]

_LARGEST = float(np.finfo(np.float32).max)
_SMALLEST = float(np.finfo(np.float32).tiny)


def split_mapping(mapping: Mapping[str, str], *, labelled: bool) -> tuple[dict[str, str], dict[str, str]]:
    """The parts of a mapping for interactions and for labels; InputError for a column that neither of them has."""
    both = Form(INTERACTIONS.names + (LABELS.names if labelled else ()), ("query",), option=INTERACTIONS.option)
    checked = checked_mapping(mapping, both)
    return tuple(
        {ours: theirs for ours, theirs in checked.items() if ours in form.names} for form in (INTERACTIONS, LABELS)
    )  # type: ignore[return-value]


def read_interactions(
    path: str | Path,
    labels_path: str | Path = "",
    *,
    mapping: Mapping[str, str] | None = None,
    unknown_labels: UnknownLabels = "keep",
    suppressed: Suppressed | None = None,
) -> InteractionBatch:
    """Reads interactions and, if there are any, labels; ``mapping`` is our column to the input's, where they differ.

    Bad rows are quarantined with a reason each, by their position in their input, from 0; reasons of the labels' rows
    begin with "label". InputError for an input that cannot be read at all.
    """
    of_rows, of_labels = split_mapping(mapping or {}, labelled=bool(labels_path))
    labels, bad_labels = LABEL_SCHEMA.empty_table(), Quarantine()
    if labels_path:
        reading = _labels_reading(of_labels, suppressed)
        labels, bad_labels = (
            check_labels(read_files(labels_path, reading), quarantine=reading.quarantine),
            reading.quarantine,
        )
    reading = _rows_reading(of_rows, suppressed)
    rows = check_interactions(read_files(path, reading), quarantine=reading.quarantine)
    only = bool(labels_path) and unknown_labels == "quarantine"
    tables = merged(rows, labels, quarantine=reading.quarantine, only_labels=only)
    bad = pa.concat_tables([reading.quarantine.table(), bad_labels.table()])
    return InteractionBatch(*tables, bad, dict(sorted((reading.quarantine.reasons() | bad_labels.reasons()).items())))


def suppressed_in(
    path: str, labels_path: str, of_rows: Mapping[str, str], of_labels: Mapping[str, str], suppressed: Suppressed | None
) -> list[str]:
    """The sorted digests of the suppressed keys in interactions and labels; other columns are not read."""
    if suppressed is None:
        return []
    readings = [(path, _rows_reading(of_rows, suppressed, keys_only=True))]
    if labels_path:
        readings.append((labels_path, _labels_reading(of_labels, suppressed, keys_only=True)))
    return sorted(set().union(*(dropped_in(where, reading) for where, reading in readings)))


def _rows_reading(mapping: Mapping[str, str], suppressed: Suppressed | None, *, keys_only: bool = False) -> Reading:
    """A reading of interactions; a suppressed id matches a query, by id or text, and a label."""
    return Reading(mapping, suppressed=suppressed, keys_only=keys_only, form=INTERACTIONS)


def _labels_reading(mapping: Mapping[str, str], suppressed: Suppressed | None, *, keys_only: bool = False) -> Reading:
    """A reading of labels, whose ids are the column ``label`` of interactions."""
    mine = suppressed if suppressed is not None and suppressed.column in ("id", "label") else None
    bad = Quarantine(prefix="label: ")
    return Reading(mapping, bad, suppressed=mine, keys_only=keys_only, form=LABELS, key_columns=("id",))


def check_interactions(batches: Iterable[RawBatch], *, quarantine: Quarantine) -> Interactions:
    """The valid interactions, texts trimmed; the others are quarantined.

    A row gets the first applicable reason of: wrong type, no query, no label, weight not finite, weight not positive. A
    missing weight is 1; a query without ``query_id`` is identified by its text.
    """
    tables, rows = [INTERACTION_SCHEMA.empty_table()], [np.zeros(0, dtype=np.int64)]
    for batch in batches:
        tables.append(_interactions_of(batch, quarantine))
        rows.append(np.asarray(batch.rows, dtype=np.int64))
    checked = Interactions(pa.concat_tables(tables), np.concatenate(rows))
    bad = np.fromiter(quarantine.found, dtype=np.int64, count=len(quarantine.found))
    return checked.where(~np.isin(checked.rows, bad))


def _interactions_of(batch: RawBatch, quarantine: Quarantine) -> pa.Table:
    absent = pa.nulls(len(batch.rows))
    report = RowReport(batch, quarantine, *(batch.columns.get(name, absent) for name in ("query_id", "query")))
    texts = {}
    for name in ("query", "label", "query_id", "day"):
        texts[name] = pc.utf8_trim_whitespace(text_cells(name, batch.columns.get(name, absent), report))
    weights = number_cells("weight", batch.columns.get("weight", absent), report).fill_null(1.0)
    keys = pc.if_else(pc.equal(texts["query_id"], ""), texts["query"], texts["query_id"])
    report.keys = (keys,)
    report.every(pc.equal(texts["query"], ""), "no query", "the query is empty")
    report.every(pc.equal(texts["label"], ""), "no label", "the label is empty")
    size = weights.to_numpy(zero_copy_only=False)
    for i in np.flatnonzero(~(np.abs(size) <= _LARGEST)).tolist():
        report(i, "weight not finite", f"weight is {size[i]:g}, NaN, infinite or over the range of float32")
    for i in np.flatnonzero(size < _SMALLEST).tolist():
        report(i, "weight not positive", f"weight is {size[i]:g}, expected one above 0")
    return pa.table([texts["query"], texts["label"], weights, texts["day"], keys], schema=INTERACTION_SCHEMA)


def check_labels(batches: Iterable[RawBatch], *, quarantine: Quarantine) -> pa.Table:
    """The valid labels, ids trimmed and distinct; the others are quarantined with a reason each."""
    tables, rows = [LABEL_SCHEMA.empty_table()], [np.zeros(0, dtype=np.int64)]
    seen: dict[str, int] = {}
    for batch in batches:
        absent = pa.nulls(len(batch.rows))
        report = RowReport(batch, quarantine, batch.columns.get("id", absent))
        columns = [text_cells(name, batch.columns.get(name, absent), report) for name in LABELS.names]
        columns[0] = pc.utf8_trim_whitespace(columns[0])
        report.keys = (columns[0],)
        report.every(pc.equal(columns[0], ""), "no id", "the id is empty")
        for i, key in enumerate(columns[0].to_pylist()):
            if batch.rows[i] not in quarantine.found and seen.setdefault(key, batch.rows[i]) != batch.rows[i]:
                report(i, "duplicate id", f"row {seen[key]} has it")
        tables.append(pa.table(columns, schema=LABEL_SCHEMA))
        rows.append(np.asarray(batch.rows, dtype=np.int64))
    bad = np.fromiter(quarantine.found, dtype=np.int64, count=len(quarantine.found))
    return pa.concat_tables(tables).filter(pa.array(~np.isin(np.concatenate(rows), bad)))


class RowReport:
    """Quarantines rows of a batch by their index in it; a row's id is the first of its ``keys`` that is not empty."""

    def __init__(self, batch: RawBatch, quarantine: Quarantine, *keys: Any) -> None:
        self.batch, self.quarantine, self.keys = batch, quarantine, keys

    def __call__(self, i: int, reason: str, detail: str) -> None:
        keys = (cells[i].as_py() if isinstance(cells[i], pa.Scalar) else cells[i] for cells in self.keys)
        self.quarantine.add(
            self.batch.rows[i], next((key for key in keys if key not in (None, "")), None), reason, detail
        )

    def every(self, mask: pa.Array, reason: str, detail: str) -> None:
        """Quarantines all rows of a mask."""
        for i in np.flatnonzero(mask.to_numpy(zero_copy_only=False)).tolist():
            self(i, reason, detail)
