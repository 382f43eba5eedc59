"""Daily snapshots of the sample with fixed dates; each holds all rows of the previous one and further packages."""

import datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from fingerpost.schemas.errors import InputError
from fingerpost.schemas.inputs.python_docs.distributions import DISTRIBUTIONS
from fingerpost.schemas.inputs.python_docs.documents import extract_distribution

SNAPSHOT_DAYS: tuple[str, ...] = tuple(
    (datetime.date(2026, 1, 1) + datetime.timedelta(days=number)).isoformat() for number in range(31)
)
"""The days of the snapshots, whatever today is."""


def snapshot(index: int, count: int) -> tuple[str, ...]:
    """The distributions of snapshot ``index`` (from 0) of ``count``: a growing start of the list, all in the last.

    Raises InputError for a count or index out of range.
    """
    most = min(len(SNAPSHOT_DAYS), len(DISTRIBUTIONS))
    if not 1 <= count <= most:
        raise InputError(f"python-docs: expected 1 to {most} snapshots, got {count}; ask for a number between them")
    if not 0 <= index < count:
        raise InputError(f"python-docs: expected a snapshot from 0 to {count - 1}, got {index}; use one of them")
    return DISTRIBUTIONS[: len(DISTRIBUTIONS) * (index + 1) // count]


def write_snapshots(folder: Path, count: int) -> list[Path]:
    """Writes ``python-docs-<day>.parquet`` for each day into ``folder``, made if it is missing; returns the paths.

    ``day`` of a row is that of the first snapshot that holds its package, so the rows of one file are the first
    rows of the next. Raises InputError for a count out of range or a distribution that is not installed.
    """
    groups: list[tuple[str, ...]] = []
    for index in range(count):
        names = snapshot(index, count)
        groups.append(names[sum(map(len, groups)) :])
    folder.mkdir(parents=True, exist_ok=True)
    tables: list[pa.Table] = []
    paths = []
    for day, names in zip(SNAPSHOT_DAYS, groups, strict=False):
        tables.extend(_of_day(extract_distribution(name).rows, day) for name in names)
        path = folder / f"python-docs-{day}.parquet"
        partial = path.with_suffix(".partial")
        pq.write_table(pa.concat_tables(tables).combine_chunks(), partial, compression="zstd")
        partial.replace(path)
        paths.append(path)
    return paths


def _of_day(rows: pa.Table, day: str) -> pa.Table:
    column = rows.column_names.index("day")
    return rows.set_column(column, rows.schema.field(column), pa.array([day] * rows.num_rows, pa.string()))
