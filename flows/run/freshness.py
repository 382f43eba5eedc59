"""Which days should be there by now and are not. Imports no Prefect."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from flows.run.profiles import load_settings
from flows.run.redaction import public_url
from schemas.errors import FingerpostError
from schemas.store import Store
from tasks.ledger import partitioned, partitions


@dataclass(frozen=True)
class Deadline:
    """When a day must be there: local time ``at`` (HH:MM), ``lag_days`` after it; ``days`` back are looked at."""

    timezone: str = "UTC"
    lag_days: int = 0
    at: str = "08:00"
    days: int = 7

    @classmethod
    def of(cls, settings: Any) -> "Deadline":
        """The deadline that settings name."""
        schedule = settings.schedule
        return cls(settings.run.timezone, schedule.lag_days, schedule.deadline, schedule.catch_up_cap)

    def moment(self, day: str) -> datetime:
        """The moment (UTC) after which a missing day is late.

        Where clocks change, the later of the two readings: nobody is late before the clock on the wall has passed it.
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
    """A day that is missing after its deadline, since when, and the error of its last run if there was one."""

    day: str
    since: str
    state: str
    error: str = ""


@dataclass(frozen=True)
class Freshness:
    """How far a flow and collection have come: the newest day there is, the newest that should be, and the late ones."""

    flow: str
    collection: str
    newest: str
    due: str
    deadline: str
    late: tuple[LateDay, ...]


def freshness(
    flow: str, collection: str, deadline: Deadline, records: Mapping[str, Mapping[str, Any]], *, now: datetime
) -> Freshness:
    """What is late at an aware moment, by the records of a flow's days.

    Days before the first that a schedule asked for are nobody's business, and so are those longer ago than
    ``deadline.days``. Where no schedule ever asked, only the newest day that is due can be late.
    """
    due = deadline.due(now)
    fresh = sorted(day for day, record in records.items() if record.get("state") == "completed")
    oldest = (date.fromisoformat(due) - timedelta(days=deadline.days - 1)).isoformat()
    first = min((day for day, record in records.items() if record.get("deadline")), default=due)
    day, late = max(oldest, first), []
    while day <= due:
        record = records.get(day, {})
        if record.get("state") != "completed":
            since = deadline.moment(day).isoformat()
            late.append(LateDay(day, since, str(record.get("state", "missing")), str(record.get("error", ""))))
        day = (date.fromisoformat(day) + timedelta(days=1)).isoformat()
    newest = fresh[-1] if fresh else ""
    return Freshness(flow, collection, newest, due, deadline.moment(due).isoformat(), tuple(late))


def recorded_deadline(records: Mapping[str, Mapping[str, Any]]) -> Deadline | None:
    """The deadline of the newest day that a schedule asked for; None if no schedule ever did."""
    scheduled = [record["deadline"] for _, record in sorted(records.items()) if record.get("deadline")]
    return Deadline(**scheduled[-1]) if scheduled else None


def scheduled_freshness(store: Store, *, now: datetime) -> list[Freshness]:
    """The freshness of every flow and collection in a store that a schedule runs; what is run by hand is never late."""
    found = []
    for flow, collection in partitioned(store):
        records = partitions(store, flow, collection)
        deadline = recorded_deadline(records)
        if deadline is not None:
            found.append(freshness(flow, collection, deadline, records, now=now))
    return found


def named_freshness(store: Store, flow: str, collection: str, deadline: Deadline, *, now: datetime) -> Freshness:
    """The freshness of one flow and collection, scheduled or not."""
    return freshness(flow, collection, deadline, partitions(store, flow, collection), now=now)


def freshness_lines(found: list[Freshness]) -> list[str]:
    """A line for each flow and collection, and one for each late day."""
    lines = []
    for one in found:
        state = f"{len(one.late)} late" if one.late else "fresh"
        newest = f"newest day {one.newest}" if one.newest else "no day yet"
        lines.append(f"{one.flow} of {one.collection}: {state}, {newest}, due {one.due} since {one.deadline}")
        lines += [
            f"  {late.day} {late.state}, late since {late.since}{f': {late.error}' if late.error else ''}"
            for late in one.late
        ]
    return lines


def as_plain(found: list[Freshness]) -> list[dict[str, Any]]:
    """The same as plain values."""
    return [asdict(one) for one in found]


def look(store: Store, *, flow: str = "", profile: str = "nightly", collection: str = "") -> list[Freshness]:
    """The freshness of a flow under a profile's deadline, or of everything that a schedule runs; FingerpostError if there is nothing."""
    now = datetime.now(UTC)
    if flow:
        settings, _ = load_settings(profile, overrides={"input.collection": collection} if collection else {})
        return [named_freshness(store, flow, settings.input.collection, Deadline.of(settings), now=now)]
    found = [one for one in scheduled_freshness(store, now=now) if collection in {"", one.collection}]
    if not found:
        raise FingerpostError(
            f"store {public_url(store.url)}: expected days that a schedule asked for, found none; name --flow and"
            " --profile, or deploy a schedule"
        )
    return found
