"""Changes in the data of two artifacts of one contract, as its domain compares them.

Rows and metrics, which many contracts have, are compared here. Imports no Prefect.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from fingerpost.flows import domains
from fingerpost.flows.domains.domain import named
from fingerpost.flows.ops.compare.causes import difference_of
from fingerpost.schemas.contract import Contract
from fingerpost.schemas.figures import significant
from fingerpost.schemas.refs import Ref
from fingerpost.schemas.store import Store

#: Maximum number of examples of a change.
FIRST = 5
_BLOCK = 4096


@dataclass(frozen=True)
class DataChange:
    """A change of data: figures by name, and examples."""

    about: str
    figures: dict[str, Any] = field(default_factory=dict)
    examples: list[str] = field(default_factory=list)
    note: str = ""


def data_changes(store: Store, before: Ref, after: Ref) -> list[DataChange]:
    """The changes that a contract's domain reports; empty where counts of rows and files suffice."""
    if before.name != after.name:
        return [DataChange("rows", note=f"not compared: the contract {before.name} was renamed to {after.name}")]
    compare = next((domain.changes[before.name] for domain in domains.DOMAINS if before.name in domain.changes), "")
    if not compare:
        return []
    found: list[DataChange] = named(compare)(store, before, after)
    return found


def tables_of(store: Store, before: Ref, after: Ref, contract: Contract, table: str) -> tuple[pa.Table, pa.Table]:
    """A table of both artifacts; empty where an artifact has no such file."""
    sides = [store.open(ref, contract) for ref in (before, after)]
    nothing = pa.schema([(column.name, column.type) for column in contract.table(table).fields]).empty_table()
    left, right = (side.read(table) if side.entries(table) else nothing for side in sides)
    return left, right


def rows_in(left: pa.Table, right: pa.Table, key: str = "id") -> np.ndarray:
    """For every row of ``right`` the row of ``left`` with the same key, -1 where there is none: int64 (n,)."""
    found = pc.index_in(right[key], value_set=left[key].combine_chunks())
    return found.fill_null(-1).to_numpy().astype(np.int64)


def changed_columns(left: pa.Table, right: pa.Table, key: str = "id") -> dict[str, np.ndarray]:
    """The rows that differ, by column without the key, of two tables with the same rows."""
    return {name: _unequal(left[name], right[name]) for name in left.column_names if name != key}


def _unequal(left: pa.ChunkedArray, right: pa.ChunkedArray) -> np.ndarray:
    if not (pa.types.is_list(left.type) or pa.types.is_fixed_size_list(left.type)):
        differs = pc.fill_null(pc.not_equal(left, right), False)
        return np.asarray(pc.or_(differs, pc.xor(pc.is_null(left), pc.is_null(right))).to_numpy(), dtype=bool)
    if left.null_count == right.null_count == len(left):
        return np.zeros(len(left), dtype=bool)
    pairs = zip(left.to_pylist(), right.to_pylist(), strict=True)
    return np.fromiter((one != other for one, other in pairs), dtype=bool, count=len(left))


def row_changes(
    store: Store, before: Ref, after: Ref, contract: Contract, table: str, *, key: str = "id", about: str = ""
) -> DataChange:
    """The added, removed and changed rows of a table, by its key column."""
    left, right = tables_of(store, before, after, contract, table)
    earlier_rows = rows_in(left, right, key)
    new = np.flatnonzero(earlier_rows < 0)
    gone = np.setdiff1d(np.arange(left.num_rows), earlier_rows)
    common = np.flatnonzero(earlier_rows >= 0)
    columns = changed_columns(left.take(earlier_rows[common]), right.take(common), key)
    changed = common[:0]
    if columns:
        changed = np.flatnonzero(np.logical_or.reduce(list(columns.values())))
    figures: dict[str, Any] = {
        "before": left.num_rows,
        "after": right.num_rows,
        "added": len(new),
        "removed": len(gone),
    }
    if columns:
        figures["changed"] = len(changed)
    figures |= {f"changed {name}": int(rows.sum()) for name, rows in columns.items() if rows.any()}
    examples = [
        f"{what}: {listed(names)}"
        for what, names in (
            ("added", right[key].take(new[: FIRST + 1]).to_pylist()),
            ("removed", left[key].take(gone[: FIRST + 1]).to_pylist()),
            ("changed", right[key].take(common[changed[: FIRST + 1]]).to_pylist()),
        )
        if names
    ]
    return DataChange(about or table, figures, examples)


def moved_most(
    store: Store, before: Ref, after: Ref, contract: Contract, table: str, columns: Sequence[str], *, key: str
) -> list[DataChange]:
    """Changes of numeric columns: the number of rows with another value, and the rows that changed most.

    ``key`` is the column that names rows; null differs from any number, but counts for no distance.
    """
    left, right = tables_of(store, before, after, contract, table)
    earlier_rows = rows_in(left, right, key)
    common = np.flatnonzero(earlier_rows >= 0)
    names = right[key].take(common).to_pylist()
    found = []
    for column in columns:
        old, new = (
            side[column].to_numpy().astype(np.float64) for side in (left.take(earlier_rows[common]), right.take(common))
        )
        differs = ~((old == new) | (np.isnan(old) & np.isnan(new)))
        moves = np.where(np.isnan(new - old), 0.0, new - old)
        worst = [row for row in np.argsort(-np.abs(moves), kind="stable")[:FIRST] if moves[row]]
        figures: dict[str, Any] = {"in both": len(common), "of another value": int(differs.sum())}
        if differs.any():
            figures["largest move"] = round(float(np.abs(moves).max()), 9)
        examples = [
            f"{names[row]}: {significant(old[row], 6)} → {significant(new[row], 6)} ({significant(moves[row], 6, signed=True)})"
            for row in worst
        ]
        found.append(DataChange(f"{column} of {table}", figures, examples))
    return found


def figure_changes(store: Store, before: Ref, after: Ref, contract: Contract, *, last: str = "") -> DataChange:
    """The changed metrics of an evaluation, by relative change, largest first; those of the metric ``last`` after all."""
    tables = tables_of(store, before, after, contract, "figures")
    left, right = (
        {f"{row['method']} {row['setting']} {row['metric']}": row["value"] for row in table.to_pylist()}
        for table in tables
    )
    shared = [key for key in left if key in right]
    differ = sorted(
        (key for key in shared if left[key] != right[key]),
        key=lambda key: (key.rpartition(" ")[2] == last, -_relative(left[key], right[key]), key),
    )
    examples = [
        f"{key}: {significant(left[key], 6)} → {significant(right[key], 6)} ({significant(difference_of(left[key], right[key]), 6, signed=True)})"
        for key in differ[:FIRST]
    ]
    figures = {
        "figures in both": len(shared),
        "of another value": len(differ),
        "only before": len(left) - len(shared),
        "only after": len(right) - len(shared),
    }
    return DataChange(f"figures of {contract.name}", figures, examples)


def kept_entries(old: np.ndarray, new: np.ndarray) -> np.ndarray:
    """Whether entries of ``old`` (n, k) are in the same row of ``new`` (n, k): bool (n, k); negatives are empty."""
    kept = np.zeros(old.shape, dtype=bool)
    for begin in range(0, len(old), _BLOCK):
        part = slice(begin, begin + _BLOCK)
        kept[part] = (old[part, :, None] == new[part, None, :]).any(axis=2) & (old[part] >= 0)
    return kept


def listed(names: Sequence[Any]) -> str:
    """The first few names, with an ellipsis if there are more."""
    return f"{', '.join(str(name) for name in names[:FIRST])}{' …' if len(names) > FIRST else ''}"


def share(part: int, whole: int) -> float:
    """The fraction ``part / whole``; 0 if ``whole`` is 0."""
    return round(part / whole, 6) if whole else 0.0


def counted(values: Iterable[Any]) -> dict[Any, int]:
    """The count of each value, in order of first occurrence."""
    found: dict[Any, int] = {}
    for value in values:
        found[value] = found.get(value, 0) + 1
    return found


def _relative(before: float, after: float) -> float:
    return abs(after - before) / max(abs(before), abs(after), 1e-12)
