"""The states of recent days, compared with what the newest run of each flow and collection would do now."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from fingerpost.flows.ops.backfill.partitions import Partitions
from fingerpost.flows.run.day_states import DayState
from fingerpost.flows.run.freshness import Freshness
from fingerpost.flows.run.request import RunRequest
from fingerpost.schemas.errors import CorruptArtifactError, FingerpostError
from fingerpost.schemas.records import leave_out
from fingerpost.schemas.store import Store
from fingerpost.tasks.ledger import partitions, read_run


def with_states(store: Store, entry: Freshness) -> Freshness:
    """The freshness with the states that `partitions` and `backfill` find for the request of the newest run.

    Those of a scheduled run, if there was any. Where the request cannot be used, the states stay those of the records.
    """
    try:
        request = _request(store, entry)
        if request is None:
            return entry
        found = Partitions(entry.flow, request).of([day.day for day in entry.days])
    except FingerpostError as problem:
        return replace(entry, problem=" ".join(str(problem).split()))
    states = {one.day: one.state for one in found}
    return replace(
        entry,
        days=tuple(DayState(one.day, one.state, one.reason) for one in found),
        late=tuple(replace(late, state=states[late.day]) for late in entry.late),
    )


def _request(store: Store, entry: Freshness) -> RunRequest | None:
    """The request of the newest run, for any day; None if no run has a record."""
    records = partitions(store, entry.flow, entry.collection)
    newest = sorted(records, key=lambda day: (bool(records[day].get("deadline")), day), reverse=True)
    for run in (_run(store, records[day]) for day in newest):
        if asked := run.get("request"):
            return RunRequest.of(
                **{**asked, "day": "", "store": store.url, "force": (), "wait": False, "dry_run": False}
            )
    return None


def _run(store: Store, record: Mapping[str, Any]) -> Mapping[str, Any]:
    """The record of a day's newest run; empty if there is none that can be read."""
    try:
        return read_run(store, str(record["run"]))
    except (FileNotFoundError, KeyError):
        return {}
    except CorruptArtifactError as problem:
        leave_out(problem)
        return {}
