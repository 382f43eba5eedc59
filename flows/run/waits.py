"""The days that wait for late input: what is kept of each wait in the store. Imports no Prefect.

``.waiting/<flow>/<collection>/<day>.json`` has what the newest look saw, until the day need not wait any longer. So a
run that was killed, or one that does not stay in memory between two looks, goes on where it was.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from fingerpost.flows.run.day_states import DayState, running_days
from fingerpost.schemas.errors import CorruptArtifactError
from fingerpost.schemas.records import Each, built, decoded, leave_out, moment
from fingerpost.schemas.refs import checked_day, checked_name
from fingerpost.schemas.store import Store

#: The name of the state (of the type SCHEDULED) of a run in Prefect between two looks.
AWAITING_INPUT = "AwaitingInput"
_FOLDER = ".waiting"
_RECORD = re.compile(r"\d{4}-\d{2}-\d{2}\.json")
#: How long after its next look was due a day still counts as waiting, at least: a worker starts runs one by one.
_GRACE = timedelta(minutes=10)


@dataclass(frozen=True)
class Seen:
    """A file as a look saw it: a hash of its size and time of change, empty without the file, and since when it is so."""

    state: str
    since: str


@dataclass(frozen=True)
class Waiting:
    """A wait for input files: its beginning and end, its newest look and the next one (ISO, UTC), and what it waits for.

    ``over``: whether it ended without the files; what is kept of it is then for the retry of the run.
    """

    since: str
    until: str
    at: str
    next: str
    reason: str
    files: Mapping[str, Seen]
    over: bool = False

    def holds(self, now: datetime) -> bool:
        """Whether a run still waits: it looks in time. One that was cancelled or killed does not."""
        interval = moment(self.next) - moment(self.at)
        return not self.over and now <= moment(self.next) + max(_GRACE, interval)

    def __str__(self) -> str:
        return f"waits for {self.reason}, looks again at {shown_moment(self.next)}, until {shown_moment(self.until)}"


def _seen(value: Any) -> None:
    Seen(str(value["state"]), moment(value["since"]).isoformat())


_SHAPE = {
    "since": moment,
    "until": moment,
    "at": moment,
    "next": moment,
    "reason": str,
    "files": Each(_seen),
    "over?": bool,
}


def keep_wait(store: Store, flow: str, collection: str, day: str, wait: Waiting) -> None:
    """Keeps a wait in place of what was kept of it before."""
    store.files.write(_path(flow, collection, day), json.dumps(asdict(wait), indent=1).encode())


def end_wait(store: Store, flow: str, collection: str, day: str) -> None:
    """Removes what is kept of a wait; does nothing if there is none."""
    store.files.remove_file(_path(flow, collection, day))


def kept_wait(store: Store, flow: str, collection: str, day: str) -> Waiting | None:
    """What is kept of a day's wait; None if it does not wait, or if that cannot be read."""
    path = _path(flow, collection, day)
    try:
        body = decoded(store.files.read(path), _SHAPE, where=f"wait {path}", advice="remove that file")
    except FileNotFoundError:
        return None
    except CorruptArtifactError as problem:
        leave_out(problem)
        return None
    return built(Waiting, {**body, "files": {name: built(Seen, seen) for name, seen in body["files"].items()}})


def waiting_days(store: Store, flow: str, collection: str, *, now: datetime) -> dict[str, DayState]:
    """The days of a flow and collection for whose input a run waits at an aware moment."""
    names = store.files.names(f"{_FOLDER}/{checked_name(flow)}/{checked_name(collection)}")
    days = [name.removesuffix(".json") for name in sorted(names) if _RECORD.fullmatch(name)]
    found = ((day, kept_wait(store, flow, collection, day)) for day in days)
    return {day: DayState(day, "waiting", str(wait)) for day, wait in found if wait is not None and wait.holds(now)}


def days_at_work(store: Store, flow: str, collection: str, *, now: datetime) -> dict[str, DayState]:
    """The days that a live run of a flow and collection works on at an aware moment, or waits for."""
    waits = waiting_days(store, flow, collection, now=now)
    running = running_days(store, flow, collection)
    return waits | {day: DayState(day, "running") for day in sorted(running)}


def shown_moment(text: str) -> str:
    """A stored moment as messages show it, to the minute in UTC."""
    return f"{moment(text).astimezone(UTC):%Y-%m-%d %H:%M} UTC"


def _path(flow: str, collection: str, day: str) -> str:
    return f"{_FOLDER}/{checked_name(flow)}/{checked_name(collection)}/{checked_day(day)}.json"
