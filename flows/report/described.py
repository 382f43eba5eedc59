"""What the user's own rows are like, for the report: lengths of texts, kinds, repetitions, read from what was imported."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import pyarrow as pa

from fingerpost.flows import domains
from fingerpost.flows.domains.domain import InputFile
from fingerpost.schemas.refs import Ref
from fingerpost.schemas.store import Artifact, Store

#: The rows, and the bytes, of an input that a report looks at: its first files.
MOST_ROWS, MOST_BYTES = 100_000, 256 * 2**20
#: Kinds that are listed with their numbers of rows.
_KINDS = 6


@dataclass(frozen=True)
class Lengths:
    """The lengths of a column's texts in characters: of those that are not empty, and how many are empty."""

    column: str
    empty: int
    shortest: int
    median: int
    long: int
    longest: int


@dataclass(frozen=True)
class Kinds:
    """The values of a column: how many there are, the most frequent ones with their rows, and rows without a value."""

    column: str
    values: int
    frequent: list[tuple[str, int]]
    without: int


@dataclass(frozen=True)
class InputData:
    """An input as it was imported.

    ``counts``: rows by table. ``rows``: those that were looked at, of ``total``. ``repeated``: how many of them have what
    an earlier one has in the columns ``same``; None where no columns say so.
    """

    title: str
    counts: dict[str, int]
    rows: int
    total: int
    quarantined: int | None
    share: float | None
    lengths: list[Lengths]
    kinds: list[Kinds]
    same: str
    repeated: int | None


def read_data(store: Store, record: Mapping[str, Any], title: Any) -> Iterable[tuple[InputFile, Any]]:
    """The inputs of a run with a description, and how to read each: ``(file, read)``, in the order of the stages."""
    seen = set()
    for stage in record["stages"]:
        file = domains.imported_by(stage["stage"], stage.get("part", ""))
        ref = Ref.parse(stage["ref"])
        if file is None or file.described is None or ref.name != file.artifact or ref.identity in seen:
            continue
        seen.add(ref.identity)
        yield file, _Reader(store, file, stage, title(stage["stage"], stage.get("part", "")))


@dataclass(frozen=True)
class _Reader:
    store: Store
    file: InputFile
    stage: Mapping[str, Any]
    title: str

    def __call__(self) -> InputData | None:
        """The description; None where nothing was imported."""
        described = self.file.described
        assert described is not None
        contract = domains.imported_contract(self.file)
        artifact = self.store.open(Ref.parse(self.stage["ref"]), contract)
        if not artifact.rows(described.table):
            return None
        rows = _first_rows(artifact, described.table)
        quality, same = (
            self.stage["quality"],
            [name for name in described.same if name in rows.column_names and _says(rows[name])],
        )
        return InputData(
            self.title,
            {name: artifact.rows(name) for name in (described.table, *described.counted)},
            len(rows),
            artifact.rows(described.table),
            quality.get("quarantined"),
            quality.get("quarantine_share"),
            [one for name in described.texts if (one := _lengths(name, rows[name])) is not None],
            [kind for name in described.kinds if (kind := _kinds(name, rows[name])) is not None],
            " and ".join([part for part in (", ".join(same[:-1]), *same[-1:]) if part]),
            _repeated(rows.select(same)) if same else None,
        )


def _first_rows(artifact: Artifact, table: str) -> pa.Table:
    """The first files of a table, up to `MOST_ROWS` and `MOST_BYTES`, at least one."""
    parts: list[pa.Table] = []
    for entry in artifact.entries(table):
        if parts and (sum(map(len, parts)) >= MOST_ROWS or sum(part.nbytes for part in parts) >= MOST_BYTES):
            break
        parts.append(artifact.read(table, shard=entry.shard))
    return pa.concat_tables(parts).slice(0, MOST_ROWS)


def _lengths(name: str, column: pa.ChunkedArray) -> Lengths | None:
    """The lengths of the texts of a column; None where all are empty."""
    import pyarrow.compute as pc

    sizes = pc.fill_null(pc.utf8_length(column), 0).to_numpy()
    there = np.sort(sizes[sizes > 0])
    if not len(there):
        return None
    median, long = (int(there[int(share * (len(there) - 1))]) for share in (0.5, 0.95))
    return Lengths(name, int(len(sizes) - len(there)), int(there[0]), median, long, int(there[-1]))


def _kinds(name: str, column: pa.ChunkedArray) -> Kinds | None:
    """The values of a column by their rows; None where it has none."""
    import pyarrow.compute as pc

    values = ((one["values"].as_py(), one["counts"].as_py()) for one in pc.value_counts(column))
    found = {"" if value is None else str(value): count for value, count in values}
    without = found.pop("", 0)
    frequent = sorted(found.items(), key=lambda pair: (-pair[1], pair[0]))
    return Kinds(name, len(found), frequent[:_KINDS], without) if found else None


def _repeated(rows: pa.Table) -> int:
    """The number of rows that have what an earlier one has."""
    hashes = np.stack([_hashes(column.combine_chunks()) for column in rows.columns], axis=1)
    return int(len(hashes) - len(np.unique(hashes, axis=0)))


def _hashes(column: pa.Array) -> Any:
    """A number per row of a column that equal values share, and others practically never do."""
    import pyarrow.compute as pc

    if not (pa.types.is_list(column.type) or pa.types.is_fixed_size_list(column.type)):
        return np.fromiter(map(hash, column.to_pylist()), np.int64, len(column))
    values = column.flatten().to_numpy(zero_copy_only=False)
    ends = np.cumsum(pc.fill_null(pc.list_value_length(column), 0).to_numpy(zero_copy_only=False)).tolist()
    cells = (values[start:end].tobytes() for start, end in pairwise([0, *ends]))
    return np.fromiter(map(hash, cells), np.int64, len(column))


def _says(column: pa.ChunkedArray) -> bool:
    """Whether a column has any value: one of vectors alone has texts that are all empty."""
    import pyarrow.compute as pc

    if pa.types.is_string(column.type):
        return bool(pc.any(pc.not_equal(column, "")).as_py())
    return column.null_count < len(column)
