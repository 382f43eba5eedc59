"""Files of queries to rank labels for, and the writer of rankings and other results."""

import csv
import json
import os
from collections.abc import Iterable, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from types import TracebackType
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from fingerpost.schemas.errors import InputError, UsageError
from fingerpost.schemas.inputs.files import input_files
from fingerpost.schemas.inputs.formats import Reading, read_file
from fingerpost.schemas.inputs.forms import Form
from fingerpost.schemas.partial_files import partial_of, writing
from fingerpost.schemas.wording import shown

#: An id is optional; ``query_id``, as files of interactions name it, comes before ``id``.
QUERIES = Form(("query", "query_id", "id"), needed=("query",), option="")
SCHEMA = pa.schema(
    [
        ("query_id", pa.string()),
        ("query", pa.string()),
        ("rank", pa.int32()),
        ("id", pa.string()),
        ("name", pa.string()),
        ("score", pa.float32()),
        ("probability", pa.float32()),
    ]
)
#: Rows per write.
_ROWS = 65_536
#: The forms of written files by the end of their names.
_FORMS = (".parquet", ".jsonl", ".csv")


def read_texts(path: str | Path) -> tuple[list[str | None], list[str]]:
    """The rows' own ids (None for a row without one) and the column ``query`` of a Parquet, CSV or JSON Lines file.

    InputError if ``query`` is missing in the file or a row.
    """
    ids: list[str | None] = []
    texts: list[str] = []
    reading = Reading({}, form=QUERIES)
    for file in input_files(path):
        for batch in read_file(file, reading):
            given = [_values(batch.columns[name]) for name in ("query_id", "id") if name in batch.columns]
            for place, (row, value) in enumerate(zip(batch.rows, _values(batch.columns["query"]), strict=True)):
                if not isinstance(value, str):
                    raise InputError(f"{path}: expected text as query, found {shown(value)} in row {row}; correct it")
                ids.append(next((str(own[place]) for own in given if own[place] not in (None, "")), None))
                texts.append(value)
    if reading.quarantine.found:
        row, (_, reason, detail) = min(reading.quarantine.found.items())
        raise InputError(f"{path}: expected readable rows, found {reason} ({detail}) in row {row}; fix it")
    return ids, texts


def _values(column: "pa.Array | Sequence[Any]") -> Sequence[Any]:
    return column.to_pylist() if isinstance(column, pa.Array | pa.ChunkedArray) else column


class RowWriter:
    """Atomic writer of a Parquet (.parquet), JSON Lines (.jsonl) or, for rows without lists, CSV (.csv) file, row by row.

    UsageError for another file name, InputError for a folder that does not exist.
    """

    def __init__(self, path: Path, schema: pa.Schema = SCHEMA) -> None:
        forms = _FORMS[:-1] if any(pa.types.is_list(column.type) for column in schema) else _FORMS
        if path.suffix not in forms:
            *others, last = forms
            ends = f"{', '.join(others)} or {last}"
            raise UsageError(f"{path}: expected a name that ends in {ends}, got another; rename it")
        if not path.absolute().parent.is_dir():
            raise InputError(f"{path}: expected a folder to write to, found none there; create it")
        self._path, self._schema = path, schema
        self._rows: list[tuple[Any, ...]] = []
        self._parquet: pq.ParquetWriter | None = None

    def __enter__(self) -> "RowWriter":
        with writing(self._path), ExitStack() as stack:
            self._partial = stack.enter_context(partial_of(self._path))
            if self._path.suffix == ".parquet":
                self._parquet = pq.ParquetWriter(self._partial, self._schema)
            elif self._path.suffix == ".csv":
                self._write_csv([self._schema.names])
            self._end = stack.pop_all()
        return self

    def add(self, *values: Any) -> None:
        """Adds a row; of a ranking: the query's own id, the query, a label's rank from 1, its id, name, score, probability.

        A query without an answer is one row whose rank, id, name, score and probability are None.
        """
        self._rows.append(values)
        if len(self._rows) >= _ROWS:
            with writing(self._path):
                self._flush()

    def __exit__(
        self, kind: type[BaseException] | None, problem: BaseException | None, trace: TracebackType | None
    ) -> None:
        with writing(self._path) if kind is None else suppress(OSError), self._end:
            if kind is None:
                self._flush()
            if self._parquet is not None:
                self._parquet.close()
            if kind is None:
                os.replace(self._partial, self._path)

    def _flush(self) -> None:
        columns = list(zip(*self._rows, strict=True)) or [()] * len(self._schema)
        table = pa.table(
            [pa.array(column, form.type) for column, form in zip(columns, self._schema, strict=True)],
            schema=self._schema,
        )
        self._rows = []
        if self._parquet is not None:
            self._parquet.write_table(table)
            return
        if self._path.suffix == ".csv":
            self._write_csv(zip(*(column.to_pylist() for column in table.columns), strict=True))
            return
        with self._partial.open("a", encoding="utf-8") as file:
            file.writelines(json.dumps(row, ensure_ascii=False) + "\n" for row in table.to_pylist())

    def _write_csv(self, rows: Iterable[Sequence[Any]]) -> None:
        with self._partial.open("a", encoding="utf-8", newline="") as file:
            csv.writer(file, lineterminator="\n").writerows([_plain(value) for value in row] for row in rows)


def _plain(value: Any) -> Any:
    """A value as CSV has it: of a truth value its name in lower case, as in JSON."""
    return str(value).lower() if isinstance(value, bool) else value
