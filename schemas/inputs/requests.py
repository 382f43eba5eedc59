"""Files of requests for completions, and the columns of the completions of a file."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from fingerpost.schemas.errors import InputError
from fingerpost.schemas.inputs.files import input_files
from fingerpost.schemas.inputs.formats import RawBatch, Reading, read_file
from fingerpost.schemas.inputs.forms import Form
from fingerpost.schemas.wording import shown

#: ``query`` is a request in one line, as for replay; else the queries before and the prefix have columns of their own.
REQUESTS = Form(
    ("query", "previous", "prefix", "query_id", "id"), needed=(), some=("query", "previous", "prefix"), option=""
)
COMPLETIONS = pa.schema(
    [
        ("query_id", pa.string()),
        ("previous", pa.list_(pa.string())),
        ("prefix", pa.string()),
        ("rank", pa.int32()),
        ("query", pa.string()),
        ("score", pa.float32()),
        ("source", pa.string()),
    ]
)


@dataclass(frozen=True)
class WrittenRequest:
    """A request as the file has it: a line, or the queries before (a line or a list) and the prefix; and its own id."""

    id: str | None
    line: str | None
    previous: str | list[str]
    prefix: str


def read_requests(path: str | Path) -> list[WrittenRequest]:
    """The rows of a Parquet, CSV or JSON Lines file; InputError for a row that is no request."""
    reading = Reading({}, form=REQUESTS)
    found = [
        row for file in input_files(path) for batch in read_file(file, reading) for row in _requests(str(path), batch)
    ]
    if reading.quarantine.found:
        row, (_, reason, detail) = min(reading.quarantine.found.items())
        raise InputError(f"{path}: expected readable rows, found {reason} ({detail}) in row {row}; fix it")
    return found


def _requests(path: str, batch: RawBatch) -> list[WrittenRequest]:
    columns = {name: _values(values) for name, values in batch.columns.items()}
    requests = []
    for place, row in enumerate(batch.rows):
        cells = {name: values[place] for name, values in columns.items() if values[place] is not None}
        for name in ("query", "prefix"):
            if not isinstance(cells.get(name, ""), str):
                raise InputError(
                    f"{path}: expected text as {name}, found {shown(cells[name])} in row {row}; correct it"
                )
        previous = cells.get("previous", "")
        if not isinstance(previous, str) and not _is_list(previous):
            raise InputError(
                f"{path}: expected a text or a list of texts as previous, found {shown(previous)} in row {row}; correct it"
            )
        key = next((str(cells[name]) for name in ("query_id", "id") if cells.get(name, "") != ""), None)
        requests.append(WrittenRequest(key, cells.get("query"), previous, cells.get("prefix", "")))
    return requests


def _is_list(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(query, str) for query in value)


def _values(column: "pa.Array | Sequence[Any]") -> Sequence[Any]:
    return column.to_pylist() if isinstance(column, pa.Array | pa.ChunkedArray) else column
