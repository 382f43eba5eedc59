"""The stages that import events: a query log, its days, or the calls of the built-in sample."""

import pyarrow as pa

from fingerpost.schemas import autocomplete as contracts
from fingerpost.schemas.corpus import QUARANTINE
from fingerpost.schemas.errors import QuarantineLimitError
from fingerpost.schemas.inputs.daily import DailySource
from fingerpost.schemas.inputs.events import EVENT_SCHEMA, EventBatch, EventSource
from fingerpost.schemas.inputs.forms import Quarantine, first_rows
from fingerpost.schemas.inputs.python_calls import CallSequences
from fingerpost.schemas.refs import Ref
from fingerpost.schemas.store import Store
from fingerpost.tasks.corpus.documents import ImportParams
from fingerpost.tasks.daily_imports import check_some, merged_days, write_day
from fingerpost.tasks.days import undeleted_rows
from fingerpost.tasks.imports import write_rows
from fingerpost.tasks.shards import Shard, ShardOutput
from fingerpost.tasks.stage import stage
from fingerpost.tasks.stage_run import StageRun

_LIMIT = "autocomplete.quarantine_share"


@stage(contracts.EVENTS)
def import_events(run: StageRun, source: EventSource, *, params: ImportParams) -> None:
    """Imports the valid rows of a query log, quarantines the others, and stores users and sessions as keyed hashes."""
    if isinstance(source, CallSequences):
        _import_calls(run, source)
        return
    batch = source.read()
    good, bad = batch.accepted.num_rows, batch.quarantined.num_rows
    share = bad / max(bad + good, 1)
    run.write_companion(QUARANTINE, {"rows": batch.quarantined}, quality={"rows": bad, "reasons": dict(batch.reasons)})
    if share > params.quarantine_share or not good:
        raise _too_bad(source, batch, params, run.companions[QUARANTINE.name])
    write_rows(run, "events", batch.accepted, params)
    run.quality = {
        "events": good,
        "empty": batch.empty,
        "users": _users(batch.accepted["user"]),
        "quarantined": bad,
        "quarantine_share": round(share, 6),
    }


def _import_calls(run: StageRun, source: CallSequences) -> None:
    """Writes the calls of the built-in sample, one shard per distribution."""
    run.write_companion(QUARANTINE, {"rows": Quarantine().table()}, quality={"rows": 0, "reasons": {}})
    shards = [Shard(index, index, index + 1) for index in range(len(source.distributions))]
    figures = run.map_shards(_calls_of, shards, source=source)
    counts = {name: sum(figure[name] for figure in figures) for name in ("events", "users", "unparsed_files")}
    run.quality = counts | {"empty": 0, "quarantined": 0, "quarantine_share": 0.0}


def _calls_of(store: Store, shard: Shard, *, source: CallSequences) -> ShardOutput:
    found = source.calls(source.distributions[shard.index])
    counts = {"events": found.events.num_rows, "users": _users(found.events["user"])}
    return ShardOutput({"events": found.events}, counts | {"unparsed_files": found.unparsed})


@stage(contracts.DAILY_EVENTS)
def import_daily_events(run: StageRun, source: DailySource, *, params: ImportParams) -> None:
    """Imports the valid rows of one day's query log, and what it withdraws; quarantines the others."""
    write_day(run, source, source.read(), params, limit=_LIMIT)


@stage(contracts.EVENTS)
def merge_daily_events(run: StageRun, *days: Ref, params: ImportParams) -> None:
    """Merges imported days, oldest first, into one query log, without what a later day withdraws."""
    merged = merged_days(run.store, days, contracts.DAILY_EVENTS, undeleted_rows)
    check_some(merged.tables, days)
    events = pa.concat_tables(merged.tables).cast(EVENT_SCHEMA)
    write_rows(run, "events", events, params)
    run.quality = {"events": events.num_rows, "users": _users(events["user"]), **merged.quality}


def _users(hashes: pa.ChunkedArray) -> int:
    """The number of distinct users."""
    return len(hashes.unique())


def _too_bad(source: object, batch: EventBatch, params: ImportParams, quarantine: str) -> QuarantineLimitError:
    """The error for an import with too many bad rows, or without a good one."""
    reasons = batch.reasons | ({"without a query": batch.empty} if batch.empty else {})
    counts = ", ".join(f"{count} {reason}" for reason, count in reasons.items()) or "no rows at all"
    return QuarantineLimitError(
        f"{source}: expected at most {params.quarantine_share:.1%} bad rows and at least one good one, found"
        f" {batch.quarantined.num_rows} bad and {batch.accepted.num_rows} good ({counts}):"
        f" {first_rows(batch.quarantined)}; fix the input, or raise {_LIMIT}; `fingerpost quarantine {quarantine}`"
        " shows all"
    )
