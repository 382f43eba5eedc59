"""Days that are missing after their deadline. Imports no Prefect."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from fingerpost.flows.run.calendar import MOST_DAYS, days_between, logical_day
from fingerpost.flows.run.collections import asked_collection, asked_profile, collection_with_days, names_collection
from fingerpost.flows.run.day_states import DayState, recorded_state
from fingerpost.flows.run.profiles import load_settings
from fingerpost.flows.run.schedule_pause import Pause, pause_of
from fingerpost.flows.run.waits import waiting_days
from fingerpost.schemas.errors import CorruptArtifactError, FingerpostError
from fingerpost.schemas.records import built, checked, leave_out
from fingerpost.schemas.store import Store
from fingerpost.tasks.ledger import partitioned, partitions

#: What is said before the first night.
NOTHING_DUE = (
    "No schedule has run a day yet, so none is late. `fingerpost deploy --list` shows when the first is due, and `--flow`"
    " checks a flow without a schedule."
)


@dataclass(frozen=True)
class Deadline:
    """The deadline of a day: local time ``at`` (HH:MM), ``lag_days`` after it; the last ``days`` days are checked."""

    timezone: str = "UTC"
    lag_days: int = 0
    at: str = "08:00"
    days: int = 7

    @classmethod
    def of(cls, settings: Any) -> "Deadline":
        """The deadline of the settings."""
        schedule = settings.schedule
        return cls(settings.run.timezone, schedule.lag_days, schedule.deadline, schedule.catch_up_cap)

    def moment(self, day: str) -> datetime:
        """The moment (UTC) after which a missing day is late.

        Where clocks change, the later of the two readings: no day is late before the clock on the wall has passed it.
        """
        hours, minutes = (int(part) for part in self.at.split(":"))
        wall = datetime.combine(date.fromisoformat(day) + timedelta(days=self.lag_days), time(hours, minutes))
        zone = ZoneInfo(self.timezone)
        return max(wall.replace(tzinfo=zone, fold=fold).astimezone(UTC) for fold in (0, 1))

    def due(self, now: datetime) -> str:
        """The newest day whose deadline has passed at an aware moment."""
        day = now.astimezone(ZoneInfo(self.timezone)).date() - timedelta(days=self.lag_days)
        while self.moment(day.isoformat()) > now:
            day -= timedelta(days=1)
        return day.isoformat()


@dataclass(frozen=True)
class LateDay:
    """A day that is missing after its deadline, since when, and the error of its last run if it had one."""

    day: str
    since: str
    state: str
    error: str = ""


@dataclass(frozen=True)
class Freshness:
    """The newest day of a flow and collection, the newest day that is due, the late days, and the state of recent days.

    ``days``: those whose deadlines are checked, and others of that time that have run; by their records alone, until
    ``fingerpost.flows.ops.watch.states`` has compared these with what a run would do now. ``problem``: why it could not.
    """

    flow: str
    collection: str
    newest: str
    due: str
    deadline: str
    late: tuple[LateDay, ...]
    days: tuple[DayState, ...] = ()
    problem: str = ""


def freshness(
    flow: str,
    collection: str,
    deadline: Deadline,
    records: Mapping[str, Mapping[str, Any]],
    *,
    now: datetime,
    pause: Pause = Pause(),
    waiting: Mapping[str, DayState] | None = None,
) -> Freshness:
    """The late days at an aware moment, by the records of a flow's days.

    Days before the first scheduled one do not count, and neither do those in a ``pause`` of the schedule and those
    longer ago than ``deadline.days``. Without any scheduled day, only the newest day that is due can be late.
    ``waiting`` are the states of days for whose input a run waits; until their deadline, these are not late.
    """
    due, waits = deadline.due(now), waiting or {}
    # A run for a day to come says nothing about how new the data are.
    begun = logical_day(now, timezone=deadline.timezone)
    fresh = sorted(day for day, record in records.items() if record.get("state") == "completed" and day <= begun)
    oldest = (date.fromisoformat(due) - timedelta(days=min(deadline.days, MOST_DAYS) - 1)).isoformat()
    first = min((day for day, record in records.items() if record.get("deadline")), default=due)
    deadlines, late = days_between(max(oldest, first), due), []
    for day in deadlines:
        record = records.get(day, {})
        if record.get("state") != "completed" and not pause.holds(day):
            since = deadline.moment(day).isoformat()
            state = DayState(day, recorded_state(record), str(record.get("error", "")))
            state = waits.get(day, state)
            late.append(LateDay(day, since, state.state, state.reason))
    newest = fresh[-1] if fresh else ""
    shown = {day for day in deadlines if not pause.holds(day)} | {
        day for day in [*records, *waits] if oldest <= day <= begun
    }
    days = tuple(waits.get(day) or DayState(day, recorded_state(records.get(day, {}))) for day in sorted(shown))
    return Freshness(flow, collection, newest, due, deadline.moment(due).isoformat(), tuple(late), days)


def recorded_deadline(records: Mapping[str, Mapping[str, Any]]) -> Deadline | None:
    """The deadline of the newest scheduled day; None if no day was scheduled."""
    for day, record in sorted(records.items(), reverse=True):
        if record.get("deadline"):
            try:
                return _deadline(record["deadline"], day)
            except CorruptArtifactError as problem:
                leave_out(problem)
    return None


def _deadline(values: Mapping[str, Any], day: str) -> Deadline:
    """The deadline in the record of a day; CorruptArtifactError for one that is none."""
    where, advice = f"deadline in the record of {day}", "run that day again"
    shape = {"timezone?": str, "lag_days?": int, "at?": str, "days?": int}
    checked(values, shape, where=where, advice=advice)
    found = built(Deadline, values)
    try:
        found.moment(day)
    except (ValueError, KeyError, OverflowError) as problem:
        raise CorruptArtifactError(
            f"{where}: expected a time zone and a time HH:MM, found {problem}; {advice}"
        ) from problem
    return found


def scheduled_freshness(store: Store, *, now: datetime) -> list[Freshness]:
    """The freshness of every flow and collection of a store that a schedule runs; days run by hand are never late."""
    entries = []
    for flow, collection in partitioned(store):
        records = partitions(store, flow, collection)
        deadline = recorded_deadline(records)
        if deadline is not None:
            entries.append(_found(store, flow, collection, deadline, records, now))
    return entries


def unscheduled(store: Store, scheduled: list[Freshness], *, now: datetime) -> list[Freshness]:
    """The recent days with a record of every other flow and collection of a store; none of them can be late."""
    known, entries = {(entry.flow, entry.collection) for entry in scheduled}, []
    for flow, collection in partitioned(store):
        if (flow, collection) not in known:
            records = partitions(store, flow, collection)
            found = _found(store, flow, collection, Deadline(), records, now)
            if days := tuple(day for day in found.days if day.day in records or day.state == "waiting"):
                entries.append(replace(found, late=(), days=days))
    return entries


def named_freshness(store: Store, flow: str, collection: str, deadline: Deadline, *, now: datetime) -> Freshness:
    """The freshness of one flow and collection, scheduled or not."""
    return _found(store, flow, collection, deadline, partitions(store, flow, collection), now)


def _found(
    store: Store,
    flow: str,
    collection: str,
    deadline: Deadline,
    records: Mapping[str, Mapping[str, Any]],
    now: datetime,
) -> Freshness:
    """The freshness by these records, and by what the store has of the schedule's pause and of days that wait."""
    pause, waiting = pause_of(store, flow, collection), waiting_days(store, flow, collection, now=now)
    return freshness(flow, collection, deadline, records, now=now, pause=pause, waiting=waiting)


def freshness_lines(entries: list[Freshness]) -> list[str]:
    """One line per flow and collection, and one per day that is late or not fresh; a sentence where there are none."""
    lines = [] if entries else [NOTHING_DUE]
    for entry in entries:
        late = {day.day for day in entry.late}
        others = [day for day in entry.days if day.day not in late and day.state != "fresh"]
        counts = [f"{len(late)} late"] if late else []
        counts += [f"{count} {state}" for state, count in sorted(Counter(day.state for day in others).items())]
        newest = f"newest day {entry.newest}" if entry.newest else "no day yet"
        lines.append(
            f"{entry.flow} of {entry.collection}: {', '.join(counts) or 'fresh'}, {newest}, due {entry.due} since"
            f" {entry.deadline}"
        )
        lines += [
            f"  {day.day} {day.state}, late since {day.since}{f': {day.error}' if day.error else ''}"
            for day in entry.late
        ]
        lines += [f"  {day.day} {day.state}{f': {day.reason}' if day.reason else ''}" for day in others]
        lines += [f"  not compared with what a run would do now: {entry.problem}"] if entry.problem else []
    return lines


def as_plain(entries: list[Freshness]) -> list[dict[str, Any]]:
    """The freshness as plain values for JSON."""
    return [asdict(entry) for entry in entries]


def look(store: Store, *, flow: str = "", profile: str = "", collection: str = "") -> list[Freshness]:
    """The freshness of a flow under a profile's deadline, or of everything that a schedule runs: nothing before a first day.

    FingerpostError for a collection of which no day was scheduled in a store where days of others were.
    """
    now = datetime.now(UTC)
    if flow:
        collection = (
            collection if profile else asked_collection(flow=flow, collection=collection, store=store.url, only=True)
        )
        named = asked_profile(profile, store=store.url, flow=flow, collection=collection)
        settings, origins = load_settings(named, overrides={"input.collection": collection} if collection else {})
        name = settings.input.collection if names_collection(origins) else collection_with_days(store, flow)
        return [named_freshness(store, flow, name, Deadline.of(settings), now=now)]
    entries = scheduled_freshness(store, now=now)
    chosen = [entry for entry in entries if collection in {"", entry.collection}]
    if entries and not chosen:
        raise FingerpostError(
            f"collection {collection}: expected days that a schedule asked for, found only those of"
            f" {', '.join(sorted({entry.collection for entry in entries}))}; correct it, or name --flow and --profile"
        )
    return chosen
