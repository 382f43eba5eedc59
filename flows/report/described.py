"""What the user's own rows are like, for the report: lengths of texts, kinds, repetitions, read from what was imported."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
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

    def __call__(self) -> InputData:
        described = self.file.described
        assert described is not None
        contract = domains.contracts()[self.file.artifact]
        artifact = self.store.open(Ref.parse(self.stage["ref"]), contract)
        rows = _first_rows(artifact, described.table)
        quality, same = self.stage["quality"], [name for name in described.same if name in rows.column_names]
        return InputData(
            self.title,
            {name: artifact.rows(name) for name in (described.table, *described.counted)},
            len(rows),
            artifact.rows(described.table),
            quality.get("quarantined"),
            quality.get("quarantine_share"),
            [one for name in described.texts if (one := _lengths(name, rows[name])) is not None],
            [kind for name in described.kinds if (kind := _kinds(name, rows[name])) is not None],
            " and ".join(same),
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

    found = {str(one["values"].as_py() or ""): one["counts"].as_py() for one in pc.value_counts(column)}
    without = found.pop("", 0)
    frequent = sorted(found.items(), key=lambda pair: (-pair[1], pair[0]))
    return Kinds(name, len(found), frequent[:_KINDS], without) if found else None


def _repeated(rows: pa.Table) -> int:
    """The number of rows that have what an earlier one has."""
    hashes = [_hashes(column.combine_chunks()) for column in rows.columns]
    stacked = np.stack(hashes, axis=1) if hashes else np.empty((len(rows), 0), np.int64)
    return int(len(stacked) - len(np.unique(stacked, axis=0)))


def _hashes(column: pa.Array) -> Any:
    """A number per row of a column that equal values share, and others practically never do."""
    if pa.types.is_fixed_size_list(column.type):
        flat = column.flatten().to_numpy(zero_copy_only=False)
        cells: Sequence[Any] = [row.tobytes() for row in flat.reshape(len(column), -1)] if len(column) else []
    else:
        cells = [bytes(cell.as_buffer()) if cell.is_valid else b"" for cell in column.cast(pa.large_binary())]
    return np.fromiter((hash(cell) for cell in cells), np.int64, len(column))
