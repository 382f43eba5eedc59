"""Row checks of documents, embeddings and images."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from fingerpost.schemas.inputs.checks_cells import VectorFigures, text_cells, vector_cells, vector_figures
from fingerpost.schemas.inputs.formats import RawBatch
from fingerpost.schemas.inputs.forms import COLUMNS, DocumentBatch, Quarantine, schema_of


@dataclass(frozen=True)
class _Part:
    """Rows in their columns, with their positions in the input (int64) and their vectors' lengths (-1: none)."""

    table: pa.Table
    rows: np.ndarray
    lengths: np.ndarray


def check_rows(table: pa.Table) -> DocumentBatch:
    """The valid documents of a table in the columns of documents; the others are quarantined."""
    batches, start = [], 0
    for batch in table.to_batches():
        columns = dict(zip(batch.schema.names, batch.columns, strict=True))
        batches.append(RawBatch(columns, range(start, start + batch.num_rows)))
        start += batch.num_rows
    return check_batches(batches, quarantine=Quarantine())


def check_batches(
    batches: Iterable[RawBatch], *, quarantine: Quarantine, columns: Sequence[str] = COLUMNS
) -> DocumentBatch:
    """Accepts the valid rows of ``columns`` (an id, texts, and a vector in the last) and quarantines the others.

    Missing columns count as empty. quarantine: may hold rows that were quarantined while reading. A row gets the first
    applicable reason of: no id, wrong type, vector not finite, zero vector, empty text, vector of wrong length,
    duplicate id. The length of vectors is the most frequent one among the rows without another fault (on a tie the
    smallest); of otherwise valid rows with the same id, the first is accepted.
    """
    parts = [_typed(batch, quarantine, columns) for batch in batches]
    if not parts:
        return DocumentBatch(schema_of(columns).empty_table(), quarantine.table(), quarantine.reasons())
    rows = np.concatenate([part.rows for part in parts])
    lengths = np.concatenate([part.lengths for part in parts])
    table = pa.concat_tables([part.table for part in parts])
    _check_lengths(lengths, table["id"], rows, quarantine)
    _check_unique(table["id"], rows, quarantine)
    good = _good(rows, quarantine)
    # A filter copies the table, also where it leaves nothing out.
    accepted = table if good.all() else table.filter(pa.array(good))
    return DocumentBatch(accepted, quarantine.table(), quarantine.reasons())


def _typed(batch: RawBatch, quarantine: Quarantine, names: Sequence[str]) -> _Part:
    """The columns in their types; reports the faults that can be detected row by row."""
    absent = pa.nulls(len(batch.rows))
    raw_ids = batch.columns.get("id", absent)
    keys: Any = raw_ids

    def report(i: int, reason: str, detail: str) -> None:
        key = keys[i]
        quarantine.add(batch.rows[i], key.as_py() if isinstance(key, pa.Scalar) else key, reason, detail)

    ids = pc.utf8_trim_whitespace(text_cells("id", raw_ids, report))
    keys = ids
    for i in _indices(pc.equal(ids, "")):
        report(i, "no id", "the id is empty")
    columns = {"id": ids}
    for name in names[1:-1]:
        columns[name] = text_cells(name, batch.columns.get(name, absent), report)
    vectors = vector_cells(batch.columns.get(names[-1], absent), report)
    figures = vector_figures(vectors)
    _check_vectors(figures, vectors, report)
    if {"title", "text"} <= columns.keys():
        blank = [pc.equal(pc.utf8_trim_whitespace(columns[name]), "") for name in ("title", "text")]
        for i in _indices(pc.and_(pc.and_(*blank), vectors.is_null())):
            report(i, "empty text", "neither title nor text nor vector")
    table = pa.Table.from_arrays([*columns.values(), vectors], schema=schema_of(names))
    return _Part(table, np.asarray(batch.rows, dtype=np.int64), figures.lengths)


def _check_vectors(figures: VectorFigures, vectors: pa.Array, report: Any) -> None:
    for i in np.flatnonzero(figures.not_finite).tolist():
        values = np.array(vectors[i].as_py(), dtype=np.float32)
        position = int(np.flatnonzero(~np.isfinite(values))[0])
        report(
            i,
            "vector not finite",
            f"number {position} of {len(values)} is null, NaN, infinite or over the range of float32",
        )
    for i in np.flatnonzero((figures.lengths > 0) & (figures.zeros == figures.lengths)).tolist():
        report(i, "zero vector", f"all its {figures.lengths[i]} numbers are 0")


def _check_lengths(lengths: np.ndarray, ids: pa.ChunkedArray, rows: np.ndarray, quarantine: Quarantine) -> None:
    good = _good(rows, quarantine)
    distinct, counts = np.unique(lengths[good & (lengths > 0)], return_counts=True)
    # On a tie argmax returns the first, which is the smallest.
    usual = int(distinct[np.argmax(counts)]) if len(distinct) else 0
    for i in np.flatnonzero(good & (lengths >= 0) & ((lengths != usual) | (lengths == 0))).tolist():
        others = f"most have {usual}" if usual else "expected some"
        quarantine.add(int(rows[i]), ids[i].as_py(), "vector of wrong length", f"{lengths[i]} numbers, {others}")


def _check_unique(ids: pa.ChunkedArray, rows: np.ndarray, quarantine: Quarantine) -> None:
    positions = np.flatnonzero(_good(rows, quarantine))
    if not len(positions):
        return
    codes = pa.concat_arrays(chunk.indices for chunk in ids.dictionary_encode().chunks).to_numpy()[positions]
    first = np.zeros(codes.max() + 1, dtype=np.int64)
    first[codes[::-1]] = positions[::-1]  # the last assignment wins
    for i, code in zip(*(a[first[codes] != positions].tolist() for a in (positions, codes)), strict=True):
        quarantine.add(int(rows[i]), ids[i].as_py(), "duplicate id", f"row {rows[first[code]]} has it")


def _good(rows: np.ndarray, quarantine: Quarantine) -> np.ndarray:
    """Mask of the rows that are not quarantined (bool)."""
    return ~np.isin(rows, np.fromiter(quarantine.found, dtype=np.int64, count=len(quarantine.found)))


def _indices(mask: pa.Array) -> list[int]:
    indices: list[int] = np.flatnonzero(mask.to_numpy(zero_copy_only=False)).tolist()
    return indices
