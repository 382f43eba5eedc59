"""Reading users' documents: Parquet (a file or a folder of files), CSV and JSON Lines, also compressed with gzip."""

import csv
import difflib
import gzip
import hashlib
import io
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from schemas.errors import InputError
from schemas.inputs.columns import COLUMNS, DocumentBatch, Quarantine
from schemas.inputs.rows import check_columns, columns_of, renamed

_KINDS = {".parquet": "Parquet", ".csv": "CSV", ".jsonl": "JSON Lines", ".ndjson": "JSON Lines"}


def read_documents(path: str | Path, *, mapping: Mapping[str, str] | None = None) -> DocumentBatch:
    """Reads an input; ``mapping`` is our column to the input's, where they differ.

    Bad rows are set aside with a reason each. InputError for an input that as a whole cannot be read.
    """
    mapping = dict(mapping or {})
    if unknown := sorted(set(mapping) - set(COLUMNS)):
        raise InputError(f"--map: expected one of {', '.join(COLUMNS)} before '=', got {unknown[0]!r}; correct it")
    files = input_files(path)
    quarantine = Quarantine()
    columns: dict[str, list[Any]] = {name: [] for name in COLUMNS}
    numbers: list[int] = []
    start = 0
    for file in files:
        found, rows, count = _READERS[kind_of(file)](file, mapping, quarantine, start)
        if count == 0 and len(files) > 1:
            raise InputError(f"{file}: expected rows, found an empty shard; remove it, or write it again")
        for name, values in columns.items():
            values += found.get(name) or [None] * len(rows)
        numbers += rows
        start += count
    if start == 0:
        raise InputError(f"{path}: expected rows, found none; give a file with documents")
    return check_columns(columns, rows=numbers, quarantine=quarantine)


def input_files(path: str | Path) -> list[Path]:
    """The files of an input, sorted; InputError if there are none that can be read."""
    given = Path(path)
    if not given.exists():
        raise InputError(f"{path}: expected a file or folder, found nothing there; check the path")
    if not given.is_dir():
        kind_of(given)
        return [given]
    files = sorted(file for file in given.iterdir() if file.is_file() and not file.name.startswith((".", "_")))
    if not files:
        raise InputError(f"{path}: expected a folder with Parquet files, found it empty; check the path")
    for file in files:
        if kind_of(file) != "Parquet":
            raise InputError(
                f"{path}: expected a folder with Parquet files alone, found {file.name}; give files of other kinds one by one"
            )
    return files


def kind_of(file: Path) -> str:
    """What a file is by its name: Parquet, CSV or JSON Lines."""
    suffix = Path(file.name.removesuffix(".gz")).suffix.lower()
    if suffix not in _KINDS or (suffix == ".parquet" and file.name.endswith(".gz")):
        raise InputError(
            f"{file}: expected one of {', '.join(_KINDS)} (or .csv.gz, .jsonl.gz), found {file.name!r}; rename or convert it"
        )
    return _KINDS[suffix]


def input_fingerprint(path: str | Path, mapping: Mapping[str, str]) -> str:
    """sha256 over the contents of an input's files, their kinds and the mapping; not over where they lie."""
    digest = hashlib.sha256(json.dumps(sorted(mapping.items())).encode())
    for file in input_files(path):
        digest.update(f"\0{kind_of(file)}\0".encode())
        with open(file, "rb") as content:
            digest.update(hashlib.file_digest(content, "sha256").digest())
    return digest.hexdigest()


def _read_parquet(
    file: Path, mapping: Mapping[str, str], quarantine: Quarantine, start: int
) -> tuple[dict[str, Sequence[Any]], list[int], int]:
    try:
        with open(file, "rb") as handle:
            parquet = pq.ParquetFile(handle)
            names = _chosen(file, parquet.schema_arrow.names, mapping)
            table = parquet.read(columns=list(names.values()))
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as problem:
        raise InputError(
            f"{file}: expected a Parquet file, found something else ({problem}); write it again, or name it as what it is"
        ) from problem
    return (
        columns_of(pa.table({ours: table[theirs] for ours, theirs in names.items()})),
        list(range(start, start + table.num_rows)),
        table.num_rows,
    )


def _read_csv(
    file: Path, mapping: Mapping[str, str], quarantine: Quarantine, start: int
) -> tuple[dict[str, Sequence[Any]], list[int], int]:
    csv.field_size_limit(2**31 - 1)
    reader = csv.reader(io.StringIO(_text(file), newline=""), strict=True)
    header = next(reader, None)
    if not header:
        raise InputError(f"{file}: expected a first line with the columns' names, found none; give a CSV with a header")
    names = _chosen(file, [name.strip() for name in header], mapping)
    places = {ours: [name.strip() for name in header].index(theirs) for ours, theirs in names.items()}
    columns: dict[str, Any] = {ours: [] for ours in names}
    rows: list[int] = []
    number = start
    for line in _csv_lines(file, reader):
        if not line:
            continue
        if len(line) != len(header):
            quarantine.add(
                number,
                "",
                "invalid line",
                f"{len(line)} fields where the header has {len(header)}: {','.join(line)[:80]}",
            )
        else:
            for ours, place in places.items():
                value = line[place]
                columns[ours].append(_vector_of(value) if ours == "vector" else value)
            rows.append(number)
        number += 1
    return columns, rows, number - start


def _csv_lines(file: Path, reader: Any) -> Iterator[list[str]]:
    try:
        yield from reader
    except csv.Error as problem:
        raise InputError(f"{file}, line {reader.line_num}: expected CSV, found {problem}; mend that line") from problem


def _read_json_lines(
    file: Path, mapping: Mapping[str, str], quarantine: Quarantine, start: int
) -> tuple[dict[str, Sequence[Any]], list[int], int]:
    records: list[dict[str, Any]] = []
    rows: list[int] = []
    number = start
    for line in io.StringIO(_text(file)):
        if not line.strip():
            continue
        try:
            record = json.loads(line)
            if not isinstance(record, dict):
                raise ValueError(f"a {type(record).__name__}, not an object")
        except ValueError as problem:
            quarantine.add(number, "", "invalid line", f"{problem}: {line.strip()[:80]}")
        else:
            records.append(record)
            rows.append(number)
        number += 1
    keys = list(dict.fromkeys(key for record in records for key in record))
    names = _chosen(file, keys, mapping) if records else {}
    return {ours: [record.get(theirs) for record in records] for ours, theirs in names.items()}, rows, number - start


_READERS = {"Parquet": _read_parquet, "CSV": _read_csv, "JSON Lines": _read_json_lines}


def _text(file: Path) -> str:
    """The content of a text file, UTF-8 with or without byte order mark."""
    try:
        data = gzip.decompress(file.read_bytes()) if file.name.endswith(".gz") else file.read_bytes()
        return data.decode("utf-8-sig")
    except (gzip.BadGzipFile, EOFError) as problem:
        raise InputError(f"{file}: expected a whole gzip file, found {problem}; compress it again") from problem
    except UnicodeDecodeError as problem:
        raise InputError(
            f"{file}: expected UTF-8, found byte {problem.object[problem.start]:#x} at position {problem.start}; convert it to UTF-8"
        ) from problem


def _chosen(file: Path, found: Sequence[str], mapping: Mapping[str, str]) -> dict[str, str]:
    """Our columns to the file's; InputError where a mapped one or the id is not there."""
    for ours, theirs in mapping.items():
        if theirs not in found:
            raise InputError(
                f"{file}: expected a column {theirs!r} for {ours}, found {', '.join(found)}; {_nearest(theirs, found, ours)}"
            )
    names = renamed(found, mapping)
    if "id" not in names:
        raise InputError(f"{file}: expected a column 'id', found {', '.join(found)}; {_nearest('id', found, 'id')}")
    if not {"title", "text", "vector"} & set(names):
        raise InputError(
            f"{file}: expected a column 'title', 'text' or 'vector', found {', '.join(found)}; {_nearest('text', found, 'text')}"
        )
    return names


def _nearest(wanted: str, found: Sequence[str], ours: str) -> str:
    close = (
        difflib.get_close_matches(wanted, found, n=1, cutoff=0.4)
        or [name for name in found if ours in name.lower()][:1]
    )
    return f"map it, for example --map {ours}={close[0] if close else (found[0] if found else 'column')}"


def _vector_of(text: str) -> Any:
    """The list of a JSON array in a CSV field; what is none stays text, and is set aside as of wrong type."""
    if not text.strip():
        return None
    try:
        value = json.loads(text)
    except ValueError:
        return text
    return value if isinstance(value, list) else text
