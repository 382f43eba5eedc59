"""The state of a day of a flow and collection, as every command and page names it. Imports no Prefect.

A day's record has the outcome of its newest run (`recorded_state`). Whether a run with the same request would change
its artifacts needs a plan, which ``fingerpost.flows.run.partitions`` compares with the record; the states that
`watch_freshness` finds in this way are kept in ``.states/<flow>/<collection>.json`` for readers that cannot plan.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from fingerpost.schemas.errors import CorruptArtifactError
from fingerpost.schemas.leases import at_work
from fingerpost.schemas.records import Each, decoded, leave_out, mismatch, moment
from fingerpost.schemas.refs import checked_name
from fingerpost.schemas.store import Store

#: The states of days, with the sign and colour of each in a calendar.
STATES = {
    "fresh": ("●", "green"),
    "missing": ("·", "white"),
    "stale": ("○", "yellow"),
    "failed": ("✗", "red"),
    "quarantined": ("!", "magenta"),
    "running": ("▸", "cyan"),
    "waiting": ("◌", "blue"),
}
#: Names of errors that say nothing about the day: its run was stopped, or lost Prefect's server.
_INTERRUPTIONS = frozenset(
    {
        "",
        "ConnectError",
        "ConnectTimeout",
        "ReadError",
        "ReadTimeout",
        "WriteError",
        "WriteTimeout",
        "PoolTimeout",
        "RemoteProtocolError",
        "PrefectHTTPStatusError",
        "HTTPStatusError",
        "CancelledRun",
        "TerminationSignal",
    }
)


@dataclass(frozen=True)
class DayState:
    """The state of a day, and the reason where it is not fresh."""

    day: str
    state: str
    reason: str = ""


@dataclass(frozen=True)
class Look:
    """The states of recent days at an aware moment."""

    at: datetime
    days: tuple[DayState, ...]


def _state_and_reason(value: list[str]) -> None:
    state, reason = value
    if state not in STATES or not isinstance(reason, str):
        raise ValueError("no state")


_SHAPE = {"at": moment, "days": Each(_state_and_reason)}


def interrupted(record: Mapping[str, Any]) -> bool:
    """Whether the record of a day is of an interrupted run."""
    return record.get("state") == "failed" and record.get("error_kind", "") in _INTERRUPTIONS


def recorded_state(record: Mapping[str, Any]) -> str:
    """The state by the record of a day's newest run alone: fresh, failed, quarantined, or missing."""
    if record.get("state") == "completed":
        return "fresh"
    if record.get("state") != "failed" or interrupted(record):
        return "missing"
    return "quarantined" if record["error_kind"] == "QuarantineLimitError" else "failed"


def running_days(store: Store, flow: str, collection: str) -> set[str]:
    """The days that a live run of a flow and collection works on now."""
    found = (lease for lease in at_work(store) if lease.flow == flow and lease.collection in {"", collection})
    return {lease.day for lease in found}


def keep_states(store: Store, flow: str, collection: str, days: Iterable[DayState], *, now: datetime) -> None:
    """Keeps the states of recent days as of an aware moment."""
    body = {"at": now.isoformat(), "days": {day.day: [day.state, day.reason] for day in days}}
    store.files.write(_path(flow, collection), json.dumps(body, indent=1).encode())


def kept_states(store: Store, flow: str, collection: str) -> Look | None:
    """The states that were kept last; None if there are none that can be read."""
    path, advice = _path(flow, collection), "the next run of watch_freshness replaces it"
    try:
        body = decoded(store.files.read(path), _SHAPE, where=f"states of days {path}", advice=advice)
    except FileNotFoundError:
        return None
    except CorruptArtifactError as problem:
        leave_out(problem)
        return None
    days = tuple(DayState(day, state, reason) for day, (state, reason) in sorted(body["days"].items()))
    return Look(datetime.fromisoformat(body["at"]), days)


def newest_states(look: Look, records: Mapping[str, Mapping[str, Any]], at_work: Mapping[str, str]) -> dict[str, str]:
    """The states of the days of a look, and of those that run, wait or have run since: ``at_work`` are states by day."""
    states = {day.day: day.state for day in look.days}
    for day, record in records.items():
        if not mismatch(record.get("at"), moment) and moment(record["at"]) > look.at:
            states[day] = recorded_state(record)
    for day, state in states.items():
        if state in ("running", "waiting") and day not in at_work:
            states[day] = recorded_state(records.get(day, {}))
    return {**states, **at_work}


def _path(flow: str, collection: str) -> str:
    return f".states/{checked_name(flow)}/{checked_name(collection)}.json"
