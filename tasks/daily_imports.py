"""Shared parts of the stages that import the days of an input and merge them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from fingerpost.schemas.contract import Contract
from fingerpost.schemas.corpus import QUARANTINE
from fingerpost.schemas.errors import InputError, QuarantineLimitError
from fingerpost.schemas.inputs.daily import DailyBatch
from fingerpost.schemas.inputs.forms import first_rows
from fingerpost.schemas.refs import Ref
from fingerpost.schemas.store import Store
from fingerpost.tasks.corpus.documents import ImportParams
from fingerpost.tasks.days import Surviving
from fingerpost.tasks.imports import write_rows
from fingerpost.tasks.stage_run import StageRun


def write_day(run: StageRun, source: object, batch: DailyBatch, params: ImportParams, *, limit: str) -> None:
    """Writes one day's rows, deleted keys and quarantine. A day of deletions alone is a day.

    limit: the setting with the maximum fraction of bad rows. QuarantineLimitError if there are more, or no good row.
    """
    rows, deleted = (table.name for table in run.contract.tables)
    good, bad = batch.accepted.num_rows + batch.deleted.num_rows, batch.quarantined.num_rows
    run.write_companion(QUARANTINE, {"rows": batch.quarantined}, quality={"rows": bad, "reasons": dict(batch.reasons)})
    share = bad / max(bad + good, 1)
    if share > params.quarantine_share or not good:
        counts = ", ".join(f"{count} {reason}" for reason, count in batch.reasons.items()) or "no rows at all"
        raise QuarantineLimitError(
            f"{source}: expected at most {params.quarantine_share:.1%} bad rows and at least one good one, found {bad}"
            f" bad of {bad + good} ({counts}): {first_rows(batch.quarantined)}; fix the input, or raise {limit};"
            f" `fingerpost quarantine {run.companions[QUARANTINE.name]}` shows all"
        )
    write_rows(run, rows, batch.accepted, params)
    run.write(deleted, batch.deleted)
    run.quality = {
        "rows": batch.accepted.num_rows,
        "deleted": batch.deleted.num_rows,
        "quarantined": bad,
        "quarantine_share": round(share, 6),
    }


@dataclass(frozen=True)
class Merged:
    """The rows that count of each day, oldest first, and what a release and its gates say of them.

    quality: days, replaced and deleted rows, and rows that the days quarantined, as a number and a fraction.
    """

    tables: list[pa.Table]
    quality: dict[str, Any]


def merged_days(
    store: Store,
    days: Sequence[Ref],
    contract: Contract,
    rule: Callable[[Sequence[pa.ChunkedArray], Sequence[pa.ChunkedArray]], Surviving],
) -> Merged:
    """The rows of imported days (oldest first) that count by a rule of `fingerpost.tasks.days`."""
    opened = [store.open(day, contract) for day in days]
    rows, deleted = ([day.read(table.name) for day in opened] for table in contract.tables)
    names = deleted[0].column_names
    surviving = rule([_keys(table, names) for table in rows], [_keys(table, names) for table in deleted])
    tables = [table.filter(pa.array(mask)) for table, mask in zip(rows, surviving.masks, strict=True)]
    bad = sum(day.quality["quarantined"] for day in opened)
    seen = bad + sum(day.quality["rows"] + day.quality["deleted"] for day in opened)
    quality = {
        "days": len(days),
        "replaced": surviving.replaced,
        "deleted": surviving.deleted,
        "quarantined": bad,
        "quarantined_by_days": bad,
        "quarantine_share": round(bad / max(seen, 1), 6),
    }
    return Merged(tables, quality)


def check_some(tables: Sequence[pa.Table], days: Sequence[Ref]) -> None:
    """InputError if no row is left."""
    if not any(table.num_rows for table in tables):
        raise InputError(
            f"days {days[0].day} to {days[-1].day}: expected at least one row, found that all were deleted; correct the"
            " column deleted, or make more days count (input.days)"
        )


def check_one_length(lengths: Sequence[int | None], days: Sequence[Ref]) -> None:
    """InputError if the vectors of two days have different lengths; None for a day without vectors."""
    known = {length: day.day for length, day in zip(lengths, days, strict=True) if length is not None}
    if len(known) > 1:
        found = ", ".join(f"{length} numbers on {day}" for length, day in known.items())
        raise InputError(
            f"days {days[0].day} to {days[-1].day}: expected vectors of one length, found {found}; write the earlier"
            " days again with the new model, or make fewer days count (input.days)"
        )


def _keys(table: pa.Table, names: Sequence[str]) -> pa.ChunkedArray:
    """The keys of rows: one column, or several as one text."""
    if len(names) == 1:
        return table[names[0]]
    joined = pc.binary_join_element_wise(*(table[name] for name in names), "\0")
    return joined if isinstance(joined, pa.ChunkedArray) else pa.chunked_array([joined])
