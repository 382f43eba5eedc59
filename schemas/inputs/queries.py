"""Reader of real queries and relevance judgements, for the comparison of a candidate with the live version."""

import csv
import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

import pyarrow as pa

from fingerpost.schemas.arrow_files import owned, parquet_file
from fingerpost.schemas.errors import InputError
from fingerpost.schemas.inputs.files import check_regular, is_compressed, kind_of, lines_of, opened
from fingerpost.schemas.inputs.formats import csv_records
from fingerpost.schemas.inputs.limits import check_parquet, limits
from fingerpost.schemas.memory import tell_memory
from fingerpost.schemas.wording import cut, listed, shown

COLUMNS = ("query", "id", "grade")


@dataclass(frozen=True)
class Question:
    """A query, the grades of its judged documents (relevant if above 0), and its first position in the file."""

    text: str
    judged: Mapping[str, float] = field(default_factory=dict)
    where: str = ""


def read_queries(path: str | Path) -> list[Question]:
    """The distinct queries of a CSV, JSON Lines or Parquet file, in order; InputError if the file cannot be used.

    The column ``query`` is required. A row with an ``id`` is a judgement of that document for its query, with a
    ``grade`` from 0 (1 if the file has no such column); rows of the same query are merged.
    """
    file = Path(path)
    if file.exists():
        check_regular(file)
    if not file.is_file():
        raise InputError(
            f"{path}: expected a file of queries, found {'a folder' if file.is_dir() else 'nothing there'}; check the"
            " path"
        )
    judged: dict[str, dict[str, float]] = {}
    first: dict[str, str] = {}
    with opened(file) as handle:
        for position, row in _READERS[kind_of(file)](file, handle):
            text = _text(file, position, "query", row.get("query"))
            if not text:
                raise InputError(
                    f"{file}: expected a query in every row, found none in {position}; fill it in or leave the row out"
                )
            first.setdefault(text, position)
            grades = judged.setdefault(text, {})
            key = _text(file, position, "id", row.get("id"))
            if not key:
                continue
            grade = _grade(file, position, row.get("grade", 1))
            if grades.setdefault(key, grade) != grade:
                raise InputError(
                    f"{file}: expected one grade of {shown(key)} for {shown(text)}, found {grades[key]:g} and {grade:g}"
                    f" ({position}); keep one"
                )
    if not judged:
        raise InputError(f"{file}: expected rows with queries, found none; write it again")
    return [Question(text, grades, first[text]) for text, grades in judged.items()]


def _text(file: Path, position: str, column: str, value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, int) and not isinstance(value, bool) and column == "id":
        return str(value)
    if not isinstance(value, str):
        raise InputError(f"{file}: expected text as {column}, found {shown(value)} in {position}; write it as text")
    return " ".join(value.split()) if column == "query" else value.strip()


def _grade(file: Path, position: str, value: Any) -> float:
    try:
        grade = math.nan if isinstance(value, bool) else float(value)
    except (TypeError, ValueError):
        grade = math.nan
    if not 0 <= grade <= 100:
        raise InputError(f"{file}: expected a grade from 0 to 100, found {shown(value)} in {position}; correct it")
    return grade


def _check_columns(file: Path, names: list[str]) -> None:
    if "query" not in names:
        raise InputError(f"{file}: expected a column 'query', found {listed(names)}; rename the column of the queries")
    if "grade" in names and "id" not in names:
        raise InputError(
            f"{file}: expected a column 'id' with 'grade', found {listed(names)}; add the ids of judged documents"
        )


def _csv_rows(file: Path, handle: IO[bytes]) -> Iterator[tuple[str, dict[str, Any]]]:
    header: list[str] | None = None
    for line, record in csv_records(file, handle):
        if isinstance(record, csv.Error):
            raise InputError(f"{file}: expected CSV, found {record} in line {line}; fix that line") from record
        if header is None:
            header = [name.strip() for name in record]
            limits().check_columns(file, len(header))
            _check_columns(file, header)
        elif record and len(record) != len(header):
            raise InputError(
                f"{file}: expected {len(header)} fields as in the header, found {len(record)} in line"
                f" {line}; quote texts with commas"
            )
        elif record:
            yield f"line {line}", dict(zip(header, record, strict=True))


def _json_rows(file: Path, handle: IO[bytes]) -> Iterator[tuple[str, dict[str, Any]]]:
    for number, line in enumerate(lines_of(file, handle), start=1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except (ValueError, RecursionError) as problem:
            raise InputError(
                f"{file}: expected one JSON object per line, found {problem} in line {number}; fix that line"
            ) from problem
        if not isinstance(row, dict):
            raise InputError(
                f"{file}: expected one JSON object per line, found {type(row).__name__} in line {number}; fix that line"
            )
        _check_columns(file, list(row))
        yield f"line {number}", row


def _parquet_rows(file: Path, handle: IO[bytes]) -> Iterator[tuple[str, dict[str, Any]]]:
    content = owned(handle.read()) if is_compressed(file) else file
    try:
        parquet = parquet_file(content)
        check_parquet(file, parquet.metadata)
        names = parquet.schema_arrow.names
        _check_columns(file, names)
        rows = parquet.read(columns=[name for name in COLUMNS if name in names]).to_pylist()
    except (pa.ArrowException, OSError) as problem:
        tell_memory(problem, str(file))
        raise InputError(
            f"{file}: expected a Parquet file, found {cut(' '.join(str(problem).split()), 300)}; write it again"
        ) from problem
    yield from ((f"row {number}", row) for number, row in enumerate(rows))


_READERS = {"CSV": _csv_rows, "JSON Lines": _json_rows, "Parquet": _parquet_rows}
