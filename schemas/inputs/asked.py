"""Files of queries of an index: texts, vectors, or ids of documents whose like is looked for. Read batch by batch."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import pyarrow as pa

from fingerpost.schemas.errors import InputError
from fingerpost.schemas.inputs.files import input_files
from fingerpost.schemas.inputs.formats import Reading, read_file
from fingerpost.schemas.inputs.forms import DOCUMENTS, Form
from fingerpost.schemas.wording import shown

#: Of the columns that a file has, the first of vector, query and id is what is asked; ``query_id`` names queries before ``id``.
ASKED = Form(("vector", "query", "query_id", "id"), needed=(), some=("vector", "query", "id"))
#: A file of ids and vectors alone, whose columns are not mapped.
ASKED_VECTORS = replace(DOCUMENTS, needed=("id", "vector"), option="")

#: What the rows of a file ask by.
AskedBy = Literal["vector", "query", "id"]
_ORDER: tuple[AskedBy, ...] = ("vector", "query", "id")


@dataclass(frozen=True)
class AskedRows:
    """A batch of queries: what they ask by, a name or None for each, their texts, ids or vectors, and their rows in the file."""

    by: AskedBy
    names: list[str | None]
    values: Sequence[Any]
    rows: Sequence[int]


def read_asked(path: str | Path, mapping: Mapping[str, str] | None = None) -> Iterator[AskedRows]:
    """The queries of a Parquet, CSV or JSON Lines file, batch by batch.

    mapping: our columns to the file's. InputError for a file without any of the columns, and for a row without a value.
    """
    reading = Reading(dict(mapping or {}), form=ASKED)
    by: AskedBy | None = None
    for file in input_files(path):
        for batch in read_file(file, reading):
            columns = {name: _values(column) for name, column in batch.columns.items()}
            # JSON Lines have every column, with nothing in those that no line has.
            by = by or _told_by(columns)
            yield _checked(path, by, columns, batch.rows)
            if reading.quarantine.found:
                row, (_, reason, detail) = min(reading.quarantine.found.items())
                raise InputError(f"{path}: expected readable rows, found {reason} ({detail}) in row {row}; fix it")


def _told_by(columns: Mapping[str, Sequence[Any]]) -> AskedBy:
    """The column that asks: the first that has any value."""
    return next((name for name in _ORDER if any(value is not None for value in columns.get(name, ()))), "id")


def _checked(path: str | Path, by: AskedBy, columns: Mapping[str, Sequence[Any]], rows: Sequence[int]) -> AskedRows:
    kind, asked = list if by == "vector" else str, columns.get(by, [None] * len(rows))
    for row, value in zip(rows, asked, strict=True):
        if not isinstance(value, kind) and not (by == "id" and isinstance(value, int)):
            what = {"vector": "a vector", "query": "text as query", "id": "an id"}[by]
            raise InputError(f"{path}: expected {what}, found {shown(value)} in row {row}; correct it")
    given = [columns[name] for name in ("query_id", "id") if name in columns]
    names = [
        next((str(own[place]) for own in given if own[place] not in (None, "")), None) for place in range(len(rows))
    ]
    return AskedRows(by, names, [str(value) for value in asked] if by == "id" else asked, rows)


def _values(column: "pa.Array | Sequence[Any]") -> Sequence[Any]:
    return column.to_pylist() if isinstance(column, pa.Array | pa.ChunkedArray) else column
