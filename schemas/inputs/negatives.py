"""Reader of negatives: labels that were rejected for a query, as further training data of rankers."""

from collections.abc import Iterable
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from fingerpost.schemas.inputs.checks_cells import text_cells
from fingerpost.schemas.inputs.formats import RawBatch, Reading
from fingerpost.schemas.inputs.forms import Form, Quarantine
from fingerpost.schemas.inputs.interaction_rows import RowReport
from fingerpost.schemas.inputs.keyed_files import dropped_in, read_files
from fingerpost.schemas.inputs.merging import InteractionBatch
from fingerpost.schemas.inputs.suppression import Suppressed

NEGATIVES = Form(
    ("query", "label", "query_id"),
    needed=("label",),
    some=("query", "query_id"),
    instead={"query_id": "query"},
    option="--set xmr.columns.",
    keys=("query_id", "query", "label"),
)
NEGATIVE_SCHEMA = pa.schema([("query", pa.int32()), ("label", pa.int32())])


def check_negatives(
    batches: Iterable[RawBatch], queries: pa.Table, labels: pa.Table, *, quarantine: Quarantine
) -> pa.Table:
    """The distinct pairs of row numbers of ``queries`` and ``labels`` in the rows, sorted; bad rows are quarantined.

    A query is identified by its id or, without one, by its text. Reasons: wrong type, no query, no label, unknown
    query, unknown label.
    """
    parts = [np.zeros((0, 2), dtype=np.int64)]
    for batch in batches:
        absent = pa.nulls(len(batch.rows))
        report = RowReport(batch, quarantine, *(batch.columns.get(name, absent) for name in ("query_id", "query")))
        texts = {
            name: pc.utf8_trim_whitespace(text_cells(name, batch.columns.get(name, absent), report))
            for name in NEGATIVES.names
        }
        keys = pc.if_else(pc.equal(texts["query_id"], ""), texts["query"], texts["query_id"])
        report.keys = (keys,)
        report.every(pc.equal(keys, ""), "no query", "neither a query nor its id is given")
        report.every(pc.equal(texts["label"], ""), "no label", "the label is empty")
        columns = [
            _indices(names, known["id"], report, what)
            for names, known, what in ((keys, queries, "query"), (texts["label"], labels, "label"))
        ]
        good = ~np.isin(np.asarray(batch.rows), list(quarantine.found))
        parts.append(np.stack([column[good] for column in columns], axis=1))
    pairs = np.unique(np.concatenate(parts), axis=0).astype(np.int32)
    return pa.table([pa.array(pairs[:, 0]), pa.array(pairs[:, 1])], schema=NEGATIVE_SCHEMA)


def _indices(names: pa.Array, known: pa.ChunkedArray, report: RowReport, what: str) -> np.ndarray:
    """The index of each name among the known ones (int64); rows with unknown names are quarantined."""
    indices = pc.fill_null(pc.index_in(names, value_set=known.combine_chunks()), -1)
    report.every(pc.equal(indices, -1), f"unknown {what}", f"no interaction has this {what}")
    return np.asarray(indices.to_numpy(zero_copy_only=False), dtype=np.int64)


def with_negatives(batch: InteractionBatch, path: str, suppressed: Suppressed | None) -> InteractionBatch:
    """The batch with the negatives of a file that has our own column names.

    Bad rows are added to the quarantine with reasons that begin with "negative". InputError if the file cannot be read.
    """
    reading = _reading(suppressed)
    pairs = check_negatives(read_files(path, reading), batch.queries, batch.labels, quarantine=reading.quarantine)
    bad = pa.concat_tables([batch.quarantined, reading.quarantine.table()])
    reasons = dict(sorted((batch.reasons | reading.quarantine.reasons()).items()))
    return replace(batch, negatives=pairs, quarantined=bad, reasons=reasons)


def suppressed_negatives(path: str, suppressed: Suppressed | None) -> list[str]:
    """The sorted digests of the suppressed keys in a file of negatives."""
    return dropped_in(path, _reading(suppressed, keys_only=True))


def _reading(suppressed: Suppressed | None, *, keys_only: bool = False) -> Reading:
    return Reading({}, Quarantine(prefix="negative: "), suppressed=suppressed, keys_only=keys_only, form=NEGATIVES)
