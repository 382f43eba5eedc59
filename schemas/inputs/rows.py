"""Row by row: what is a document, and why the rest is not."""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any

import numpy as np
import pyarrow as pa

from schemas.errors import UnsafeNameError
from schemas.inputs.columns import DOCUMENT_SCHEMA, TEXT_COLUMNS, DocumentBatch, Quarantine
from schemas.refs import checked_day

_DAY = re.compile(r"\d{4}-\d{2}-\d{2}")


#: Values of any type by column of documents; all lists are of one length.
Columns = Mapping[str, Sequence[Any]]


def check_rows(table: pa.Table) -> DocumentBatch:
    """The rows of a table in the columns of documents that are documents; the others are set aside."""
    return check_columns(columns_of(table), rows=range(table.num_rows), quarantine=Quarantine())


def columns_of(table: pa.Table) -> dict[str, Sequence[Any]]:
    """A table's columns as values; lists of numbers as arrays."""
    return {name: _values(table[name]) for name in table.column_names}


def check_columns(columns: Columns, *, rows: Sequence[int], quarantine: Quarantine) -> DocumentBatch:
    """Takes over the rows that are documents and sets the others aside.

    Missing columns count as empty. ``rows`` are the rows' positions in the input, ``quarantine`` holds what was set aside
    while reading.
    """
    empty: list[Any] = [None] * len(rows)
    keys = _keys(columns.get("id", empty), quarantine, rows)
    texts = {
        name: _texts(name, columns.get(name, empty), keys, quarantine, rows) for name in TEXT_COLUMNS if name != "id"
    }
    vectors = _vectors(columns.get("vector", empty), keys, quarantine, rows)
    seen: set[str] = set()
    good = []
    for i, (row, key, vector) in enumerate(zip(rows, keys, vectors, strict=True)):
        if row in quarantine.found:
            continue
        if vector is None and not texts["title"][i].strip() and not texts["text"][i].strip():
            quarantine.add(row, key, "empty text", "neither title nor text nor vector")
        elif key in seen:
            quarantine.add(row, key, "duplicate id", "an earlier row has it")
        else:
            seen.add(key)
            good.append(i)
    arrays = [
        pa.array([(keys if name == "id" else texts[name])[i] for i in good], pa.string()) for name in TEXT_COLUMNS
    ]
    arrays.append(pa.array([vectors[i] for i in good], pa.list_(pa.float32())))
    return DocumentBatch(pa.Table.from_arrays(arrays, schema=DOCUMENT_SCHEMA), quarantine.table(), quarantine.reasons())


def _keys(values: Sequence[Any], bad: Quarantine, rows: Sequence[int]) -> list[str]:
    keys = []
    for row, value in zip(rows, values, strict=True):
        if value is None or (isinstance(value, str) and not value.strip()):
            bad.add(row, None, "no id", "the id is empty")
        elif isinstance(value, bool) or not isinstance(value, str | int):
            bad.add(row, value, "wrong type", f"id is {type(value).__name__}, not text or a whole number")
        keys.append(str(value).strip() if isinstance(value, str | int) else "")
    return keys


def _texts(name: str, values: Sequence[Any], keys: list[str], bad: Quarantine, rows: Sequence[int]) -> list[str]:
    """A text column with nulls as empty strings; other types, and days that are none, are set aside."""
    texts = []
    for row, key, value in zip(rows, keys, values, strict=True):
        text = value.isoformat()[:10] if name == "day" and isinstance(value, date) else value
        if text is None:
            text = ""
        elif not isinstance(text, str):
            bad.add(row, key, "wrong type", f"{name} is {type(value).__name__}, not text")
            text = ""
        elif name == "day" and text and not _is_day(text):
            bad.add(row, key, "wrong type", f"day is {text!r}, not YYYY-MM-DD")
        texts.append(text)
    return texts


def _is_day(text: str) -> bool:
    if not _DAY.fullmatch(text):
        return False
    try:
        checked_day(text)
    except UnsafeNameError:
        return False
    return True


def _vectors(values: Sequence[Any], keys: list[str], bad: Quarantine, rows: Sequence[int]) -> list[np.ndarray | None]:
    """Vectors of the most frequent length (of equals the smaller), finite and not zero; None where a row has none."""
    found = [
        None if value is None else _vector(value, row, key, bad)
        for row, key, value in zip(rows, keys, values, strict=True)
    ]
    lengths = Counter(
        len(vector) for row, vector in zip(rows, found, strict=True) if vector is not None and row not in bad.found
    )
    usual = min(lengths, key=lambda length: (-lengths[length], length), default=0)
    for row, key, vector in zip(rows, keys, found, strict=True):
        if vector is None:
            continue
        if len(vector) != usual:
            bad.add(row, key, "vector of wrong length", f"{len(vector)} numbers, most have {usual}")
        elif not vector.any():
            bad.add(row, key, "zero vector", "all its numbers are 0")
    return found


def _vector(value: Any, row: int, key: str, bad: Quarantine) -> np.ndarray | None:
    try:
        vector = np.asarray(value)
        if vector.ndim != 1 or vector.dtype.kind not in "iuf":
            raise TypeError
        with np.errstate(over="ignore"):
            vector = vector.astype(np.float32)
    except (TypeError, ValueError, OverflowError):
        bad.add(row, key, "wrong type", "vector is not a list of numbers")
        return None
    wrong = np.flatnonzero(~np.isfinite(vector))
    if len(wrong):
        bad.add(row, key, "vector not finite", f"number {int(wrong[0])} is NaN or infinite")
    return vector


def _values(column: pa.ChunkedArray) -> Sequence[Any]:
    if pa.types.is_list(column.type) or pa.types.is_large_list(column.type) or pa.types.is_fixed_size_list(column.type):
        return [
            item.values.to_numpy(zero_copy_only=False) if item.is_valid else None
            for chunk in column.chunks
            for item in chunk
        ]
    values: Sequence[Any] = column.to_pylist()
    return values


def renamed(columns: Sequence[str], mapping: Mapping[str, str]) -> dict[str, str]:
    """Our column to the input's, for all of ours that it has."""
    return {ours: mapping.get(ours, ours) for ours in DOCUMENT_SCHEMA.names if mapping.get(ours, ours) in columns}
