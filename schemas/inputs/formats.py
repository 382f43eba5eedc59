"""Readers of Parquet, CSV and JSON Lines: batches of raw columns from a file."""

import csv
import json
import threading
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from itertools import islice
from pathlib import Path
from typing import IO, Any
from uuid import UUID

import pyarrow as pa

from fingerpost.schemas.arrow_files import owned, parquet_file
from fingerpost.schemas.errors import InputError
from fingerpost.schemas.inputs.files import is_compressed, kind_of, lines_of, opened
from fingerpost.schemas.inputs.forms import DOCUMENTS, ROW_NUMBER, Form, Quarantine, chosen_columns
from fingerpost.schemas.inputs.limits import check_parquet, limits
from fingerpost.schemas.inputs.suppression import Suppressed, without_rows
from fingerpost.schemas.memory import tell_memory
from fingerpost.schemas.wording import cut

#: Rows that are in memory as Python objects at a time.
_LINES = 8192

#: Rows of a Parquet file decoded at a time; their texts must fit into one array of at most 2 GiB.
_ROWS = 16384
#: Rows that are looked at to advise a column.
_SAMPLE = 4096
#: Held while the size limit of CSV fields is raised.
_FIELD_LIMIT = threading.Lock()


@dataclass(frozen=True)
class RawBatch:
    """A batch of rows: our column to its values (an Arrow array or a list), and the rows' positions in the input."""

    columns: Mapping[str, "pa.Array | Sequence[Any]"]
    rows: Sequence[int]


@dataclass
class Reading:
    """The state of reading an input.

    mapping: our columns to the input's. quarantine: the bad rows so far. met: number of rows so far.
    suppressed: keys whose rows are left out. dropped: their number by digest. forgotten: receives their values if it is
    a list. keys_only: read no other columns. form: the columns of the rows. key_columns: columns with the keys, by
    default those of ``form``.
    """

    mapping: Mapping[str, str]
    quarantine: Quarantine = field(default_factory=Quarantine)
    met: int = 0
    suppressed: Suppressed | None = None
    dropped: Counter[str] = field(default_factory=Counter)
    forgotten: list[dict[str, Any]] | None = None
    keys_only: bool = False
    form: Form = DOCUMENTS
    key_columns: tuple[str, ...] = ()

    def chosen(self, file: Path, found: Sequence[str]) -> dict[str, str]:
        """Our columns to those of a file with the columns ``found``; InputError if they do not suffice."""
        return chosen_columns(
            str(file),
            found,
            self.mapping,
            self.form,
            distinct=lambda: distinct_columns(file),
            headed=kind_of(file) != "CSV",
        )

    def wanted(self, chosen: dict[str, str]) -> dict[str, str]:
        """The columns to read: all chosen ones, or those of suppressed keys."""
        if self.keys_only and self.suppressed is not None:
            keys = self._key_columns()
            needed = {*keys, *(self.form.instead.get(column) for column in keys)}
            return {ours: theirs for ours, theirs in chosen.items() if ours in needed}
        return chosen

    def _key_columns(self) -> tuple[str, ...]:
        return self.key_columns or (self.form.keys_of(self.suppressed.column) if self.suppressed is not None else ())

    def invalid(self, detail: str, line: str = "") -> None:
        """Quarantines a malformed line, which has a position like a row."""
        digests = self.suppressed.mentioned(f"{detail} {line}") if self.suppressed else set()
        if digests:
            self.dropped.update(digests)
            if self.forgotten is not None:
                self.forgotten.append({"text": line})
        else:
            self.quarantine.add(
                self.met, None, "invalid line", detail.partition(":")[0] if self.form.private else detail
            )
        self.met += 1

    def numbered(self, batch: RawBatch) -> RawBatch:
        """The batch with the positions of its rows as ids, where the mapping asks for them."""
        if self.mapping.get("id") != ROW_NUMBER:
            return batch
        return RawBatch({**batch.columns, "id": [str(row) for row in batch.rows]}, batch.rows)

    def kept(self, batch: RawBatch) -> RawBatch:
        """The batch without the suppressed rows."""
        if self.suppressed is None:
            return batch
        matches: list[set[str]] = [set() for _ in batch.rows]
        for column in self._key_columns():
            keys, spelled = self._keys(batch, column), column in self.form.spelled
            for row, found in enumerate(_matches(keys, self.suppressed, spelled=spelled) if keys is not None else ()):
                matches[row] |= found
        removed = {row for row, digests in enumerate(matches) if digests}
        if not removed:
            return batch
        for row in sorted(removed):
            self.dropped.update(matches[row])
            if self.forgotten is not None:
                values = {name: column[row] for name, column in batch.columns.items()}
                self.forgotten.append({n: v.as_py() if isinstance(v, pa.Scalar) else v for n, v in values.items()})
        columns = without_rows(dict(batch.columns), removed, len(batch.rows))
        return RawBatch(columns, [position for row, position in enumerate(batch.rows) if row not in removed])

    def _keys(self, batch: RawBatch, column: str) -> "pa.Array | Sequence[Any] | None":
        """The values of a key column, empty ones replaced by those of the column given in ``form.instead``."""
        keys, others = batch.columns.get(column), batch.columns.get(self.form.instead.get(column, ""))
        if keys is None or others is None:
            return others if keys is None else keys
        plain = ([v.as_py() if isinstance(v, pa.Scalar) else v for v in values] for values in (keys, others))
        return [
            other if key is None or (isinstance(key, str) and not key.strip()) else key
            for key, other in zip(*plain, strict=True)
        ]

    def take(self, count: int) -> range:
        """The positions of the next rows."""
        self.met += count
        return range(self.met - count, self.met)


def _matches(keys: "pa.Array | Sequence[Any]", suppressed: Suppressed, *, spelled: bool) -> Iterator[set[str]]:
    """The digests of the suppressed keys in each cell; equal texts are compared once."""
    known: dict[str, set[str]] = {}
    for value in keys:
        plain = value.as_py() if isinstance(value, pa.Scalar) else value
        if not isinstance(plain, str):
            yield suppressed.match(plain, spelled=spelled)
            continue
        if plain not in known:
            known[plain] = suppressed.match(plain, spelled=spelled)
        yield known[plain]


def read_file(file: Path, reading: Reading) -> Iterator[RawBatch]:
    """The rows of a file, in order; malformed lines are quarantined. InputError for a file without rows."""
    before = reading.met
    with opened(file) as handle:
        for batch in _READERS[kind_of(file)](file, handle, reading):
            yield reading.kept(reading.numbered(batch))
    if reading.met == before:
        raise InputError(f"{file}: expected rows, found none; write it again, or remove it")


def _read_parquet(file: Path, handle: IO[bytes], reading: Reading) -> Iterator[RawBatch]:
    # Decompressed before: what is wrong with a gzip file is said of it, not of a Parquet file.
    content = owned(handle.read()) if is_compressed(file) else file
    try:
        parquet = parquet_file(content)
    except (pa.ArrowException, OSError) as problem:
        tell_memory(problem, str(file))
        if isinstance(problem, pa.ArrowNotImplementedError):  # such as integers of 128 bits, of Polars
            raise InputError(
                f"{file}: expected Parquet of types that Arrow has, found others ({_line(problem)}); write their columns as"
                " integers of 64 bits or as text, or leave them out"
            ) from problem
        raise InputError(
            f"{file}: expected a Parquet file, found something else ({_line(problem)}); write it again, or rename it to"
            " its format"
        ) from problem
    check_parquet(file, parquet.metadata)
    chosen = reading.wanted(reading.chosen(file, parquet.schema_arrow.names))
    try:
        for batch in parquet.iter_batches(batch_size=_ROWS, columns=list(dict.fromkeys(chosen.values()))):
            columns = {ours: batch.column(theirs) for ours, theirs in chosen.items()}
            for values in columns.values():
                values.validate(full=True)
            yield RawBatch(_with_lists(columns, reading.form), reading.take(batch.num_rows))
    except (pa.ArrowException, OSError) as problem:
        tell_memory(problem, str(file))
        raise InputError(
            f"{file}: expected intact Parquet pages with UTF-8 texts, found {_line(problem)}; write it again{_cure(problem)}"
        ) from problem


def _cure(problem: Exception) -> str:
    """How pages are written that Arrow refuses, where a well-known tool writes such."""
    # A NULL among arrays of one length, as DuckDB (2.0) writes it.
    of_lists = "list offsets" in str(problem)
    return ", from DuckDB with arrays of one length as lists, CAST(… AS FLOAT[])" if of_lists else ""


def _line(problem: Exception) -> str:
    return cut(" ".join(str(problem).split()), 300)


def _read_csv(file: Path, handle: IO[bytes], reading: Reading) -> Iterator[RawBatch]:
    records = csv_records(file, handle)
    header = next((record for _, record in records if record), None)
    if header is None or isinstance(header, csv.Error):
        raise InputError(
            f"{file}: expected a first line with the columns' names, found {header or 'none'}; add a header line"
        )
    names = [name.strip() for name in header]
    limits().check_columns(file, len(names))
    chosen = reading.wanted(reading.chosen(file, names))
    positions = {ours: names.index(theirs) for ours, theirs in chosen.items()}
    pending: list[list[str]] = []
    rows: list[int] = []
    for line, record in records:
        if isinstance(record, csv.Error):
            reading.invalid(f"line {line}: {record}")
        elif len(record) == len(names):
            pending.append(record)
            rows += reading.take(1)
        elif record:
            fields = ",".join(record)
            reading.invalid(f"line {line}: {len(record)} fields where the header has {len(names)}: {fields}", fields)
        if len(pending) == _LINES:
            yield _csv_batch(pending, rows, positions, reading.form)
            pending, rows = [], []
    yield _csv_batch(pending, rows, positions, reading.form)


def _csv_batch(records: list[list[str]], rows: list[int], positions: Mapping[str, int], form: Form) -> RawBatch:
    parsers = {**dict.fromkeys(form.vectors, _vector_of), **dict.fromkeys(form.numbers, _number_of)}
    columns: dict[str, Sequence[Any]] = {ours: [r[i] for r in records] for ours, i in positions.items()}
    for name in columns.keys() & parsers.keys():
        columns[name] = [parsers[name](text) for text in columns[name]]
    return RawBatch(columns, rows)


def csv_records(file: Path, handle: Iterable[bytes]) -> Iterator[tuple[int, "list[str] | csv.Error"]]:
    """The records of a CSV with the number of their last line; a csv.Error stands for a malformed record.

    InputError for a record that is too long, and for a quote that is never closed, since it would include all that
    follows.
    """
    first, size, bounds = 1, 0, limits()
    most = bounds.line_bytes

    def lines() -> Iterator[str]:
        nonlocal size
        for line in lines_of(file, handle):
            size += len(line)
            if size > most:
                bounds.check_line(file, size, first)
            yield line

    reader = csv.reader(lines(), strict=True)
    while True:
        first, size = reader.line_num + 1, 0
        try:
            record = _next_record(reader)
        except StopIteration:
            return
        except csv.Error as problem:
            if "unexpected end" in str(problem):
                raise InputError(
                    f"{file}: expected every quote to be closed, found one from line {first} that is not; "
                    "close it, or double it if it is part of the text"
                ) from problem
            yield reader.line_num, problem
        else:
            yield reader.line_num, record


def _next_record(reader: "Iterator[list[str]]") -> list[str]:
    """The next record, however long its fields; the limit is global to the process and therefore restored at once."""
    with _FIELD_LIMIT:
        limit = csv.field_size_limit(2**31 - 1)
        try:
            return next(reader)
        finally:
            csv.field_size_limit(limit)


def _with_lists(columns: "Mapping[str, pa.Array | Sequence[Any]]", form: Form) -> "dict[str, pa.Array | Sequence[Any]]":
    """The columns with lists in place of texts that state vectors: databases and some writers of Parquet have no lists."""
    found = dict(columns)
    for name in columns.keys() & set(form.vectors):
        values = columns[name]
        kind = getattr(values, "storage", values).type if isinstance(values, pa.Array) else pa.string()
        kind = kind.value_type if pa.types.is_dictionary(kind) else kind
        if pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind):
            plain = values.to_pylist() if isinstance(values, pa.Array) else values
            found[name] = [_vector_of(value) if isinstance(value, str) else value for value in plain]
    return found


def _vector_of(text: str) -> Any:
    """The list of a JSON array in a text; other text is returned as is, and later quarantined as wrong type."""
    if not text.strip():
        return None
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return text
    return value if isinstance(value, list) else text


def _number_of(text: str) -> Any:
    """The number in a CSV field; other text is returned as is, and later quarantined as wrong type."""
    try:
        return float(text) if text.strip() else None
    except ValueError:
        return text


def _read_json_lines(file: Path, handle: IO[bytes], reading: Reading) -> Iterator[RawBatch]:
    before, first_problem = reading.met, ""
    keys: dict[str, None] = {}
    pending: list[dict[str, Any]] = []
    rows: list[int] = []
    for number, line in enumerate(lines_of(file, handle), start=1):
        if not line.strip():
            continue
        record = json_object(line)
        if isinstance(record, str):
            problem = f"line {number}: {record}: {line.strip()[:80]}"
            first_problem = first_problem or problem
            reading.invalid(problem, line)
        else:
            keys.update(dict.fromkeys(record))
            limits().check_columns(file, len(keys))
            pending.append(record)
            rows += reading.take(1)
        if len(pending) == _LINES:
            yield _json_batch(pending, rows, keys, reading)
            pending, rows = [], []
    if keys:
        reading.chosen(file, list(keys))
    elif reading.met > before:
        raise InputError(
            f"{file}: expected JSON Lines, one object in each line, found"
            f" {'other lines' if reading.form.private else first_problem or 'objects without keys'}; "
            "write each row as an object on a separate line"
        )
    yield _json_batch(pending, rows, keys, reading)


def _json_batch(records: list[dict[str, Any]], rows: list[int], found: Collection[str], reading: Reading) -> RawBatch:
    mapping = reading.form.mapped(reading.mapping, found)
    names = {ours: mapping.get(ours, ours) for ours in reading.form.names}
    columns = {ours: [record.get(theirs) for record in records] for ours, theirs in names.items()}
    return RawBatch(_with_lists(columns, reading.form), rows)


def json_object(line: str) -> dict[str, Any] | str:
    """The object of a line, or a description of the error."""
    try:
        record = json.loads(line)
    except (ValueError, RecursionError) as problem:
        return f"not JSON ({problem})"
    return record if isinstance(record, dict) else f"{type(record).__name__} where an object is expected"


_READERS: dict[str, Callable[[Path, IO[bytes], Reading], Iterator[RawBatch]]] = {
    "Parquet": _read_parquet,
    "CSV": _read_csv,
    "JSON Lines": _read_json_lines,
}


def distinct_columns(file: Path) -> list[str] | None:
    """The columns of a file that could be ids: another short text or whole number in each of the first rows.

    Those without blanks come first. None for a file whose rows cannot be read.
    """
    try:
        with opened(file) as handle:
            sample = _SAMPLES[kind_of(file)](file, handle)
    except (InputError, pa.ArrowException, OSError):
        return None
    found: dict[str, bool] = {}
    for name, values in sample.items():
        texts = [str(value).strip() for value in values if isinstance(value, str | int | UUID | Decimal)]
        if len(values) == len(texts) == len(set(texts)) and all(0 < len(text) <= 200 for text in texts) and texts:
            found[name] = any(" " in text for text in texts)
    return sorted(found, key=lambda name: found[name])


def _parquet_sample(file: Path, handle: IO[bytes]) -> Mapping[str, Sequence[Any]]:
    parquet = parquet_file(owned(handle.read()) if is_compressed(file) else file)
    names = [field.name for field in parquet.schema_arrow if not pa.types.is_nested(field.type)]
    batch = next(parquet.iter_batches(batch_size=_SAMPLE, columns=names), None)
    return {} if batch is None else dict(zip(batch.schema.names, (c.to_pylist() for c in batch.columns), strict=True))


def _csv_sample(file: Path, handle: IO[bytes]) -> Mapping[str, Sequence[Any]]:
    records = (record for _, record in csv_records(file, handle) if record and not isinstance(record, csv.Error))
    names = [name.strip() for name in next(records, [])]
    rows = [record for record in islice(records, _SAMPLE) if len(record) == len(names)]
    return {name: [row[position] for row in rows] for position, name in enumerate(names)}


def _json_sample(file: Path, handle: IO[bytes]) -> Mapping[str, Sequence[Any]]:
    found = (json_object(line) for line in islice(lines_of(file, handle), _SAMPLE) if line.strip())
    rows = [record for record in found if isinstance(record, dict)]
    names = dict.fromkeys(name for row in rows for name in row)
    return {name: [row.get(name) for row in rows] for name in names}


_SAMPLES: dict[str, Callable[[Path, IO[bytes]], Mapping[str, Sequence[Any]]]] = {
    "Parquet": _parquet_sample,
    "CSV": _csv_sample,
    "JSON Lines": _json_sample,
}
