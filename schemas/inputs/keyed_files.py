"""All files of an input in one reading, and the identity of an input of which suppressed keys are left out."""

from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path

import pyarrow as pa

from fingerpost.schemas.arrow_files import owned, parquet_file
from fingerpost.schemas.errors import InputError
from fingerpost.schemas.inputs.files import input_files, input_fingerprint, is_compressed, kind_of, lines_of, opened
from fingerpost.schemas.inputs.formats import RawBatch, Reading, csv_records, json_object, read_file
from fingerpost.schemas.memory import tell_memory
from fingerpost.schemas.refs import digest_of

#: Rows of JSON Lines that are looked at for columns.
_SAMPLE = 4096


def read_files(path: str | Path, reading: Reading) -> Iterator[RawBatch]:
    """The rows of a file, or of the Parquet files of a folder; InputError if there are none that can be read."""
    return (batch for file in input_files(path) for batch in read_file(file, reading))


def check_columns(path: str | Path, reading: Reading) -> None:
    """InputError for an input that is missing or lacks a column that is read; reads no more than the columns' names."""
    for file in input_files(path):
        reading.chosen(file, columns_of(file))


def columns_of(file: Path) -> list[str]:
    """The names of a table's columns; of JSON Lines those in its first rows. InputError if it cannot be read."""
    with opened(file) as handle:
        if kind_of(file) == "Parquet":
            try:
                return list(parquet_file(owned(handle.read()) if is_compressed(file) else file).schema_arrow.names)
            except (pa.ArrowException, OSError) as problem:
                tell_memory(problem, str(file))
                raise InputError(f"{file}: expected a Parquet file, found {problem}; write it again") from problem
        if kind_of(file) == "CSV":
            records = (record for _, record in csv_records(file, handle) if isinstance(record, list) and record)
            return [name.strip() for name in next(records, [])]
        rows = (json_object(line) for line in islice(lines_of(file, handle), _SAMPLE) if line.strip())
        return list(dict.fromkeys(name for row in rows if isinstance(row, dict) for name in row))


def dropped_in(path: str | Path, reading: Reading) -> list[str]:
    """The sorted digests of the suppressed keys in an input, which is not read where nothing is suppressed."""
    if reading.suppressed is None:
        return []
    for _ in read_files(path, reading):
        pass
    return sorted(reading.dropped)


def keyed_identity(path: str | Path, reading: Reading) -> str:
    """sha256 over contents, mapping and the digests of suppressed keys in them; InputError if it cannot be read."""
    return with_digests(input_fingerprint(path, reading.mapping), dropped_in(path, reading))


def with_digests(identity: str, digests: Sequence[str]) -> str:
    """An identity combined with the digests of what was left out; the identity itself if nothing was."""
    return digest_of([identity, list(digests)]) if digests else identity
