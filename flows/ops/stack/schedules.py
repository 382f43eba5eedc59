"""Schedules by which every calendar day is asked for, also where clocks are set over midnight.

Prefect runs a schedule an hour early whose time clocks skip: where they skip midnight, on the day before.
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

from pydantic import ValidationError

from fingerpost.flows.ops.watch.catch_up import scheduled_times
from fingerpost.flows.run.calendar import SkippedTime, clock_changes, days_between, logical_day, skipped_times
from fingerpost.schemas.errors import FingerpostError

#: For how long a schedule is checked in advance.
AHEAD = timedelta(days=5 * 366)
#: The keys that make a schedule of each kind, as in prefect.yaml and in Prefect's API; others are about it.
_RULES = {"cron": ("cron", "day_or"), "rrule": ("rrule",), "interval": ("interval", "anchor_date", "timezone")}
_UTC = frozenset({"UTC", "Etc/UTC", "GMT"})
_DAY = timedelta(days=1)


class ScheduleError(FingerpostError):
    """A schedule that is invalid, or by which a day would never be asked for."""


def whole_days(
    schedule: Mapping[str, Any], timezone: str, *, now: datetime | None = None
) -> tuple[dict[str, Any], str]:
    """The schedule at an hour that every day has in ``timezone``, and a line about it where the hour is another one.

    ScheduleError where no other hour of the schedule can be chosen.
    """
    lost = lost_days(schedule, timezone, now=now)
    if not lost:
        return dict(schedule), ""
    what = f"schedule {_text(schedule)}: expected every day in {timezone} to be asked for, found that {lost[0]} is not"
    for other in _other_hours(str(schedule.get("cron") or "")):
        moved = {**schedule, "cron": other}
        if not lost_days(moved, timezone, now=now):
            return moved, f"{what}, since clocks skip that hour: it is scheduled by {other} instead"
    raise ScheduleError(f"{what}; use a cron with one hour of the day that clocks never skip")


def checked_schedule(schedule: Mapping[str, Any]) -> None:
    """ScheduleError for a schedule that Prefect would refuse, and for an interval with a time zone."""
    lost_days(schedule, "UTC")


def lost_days(schedule: Mapping[str, Any], timezone: str, *, now: datetime | None = None) -> list[str]:
    """The days of the next years that a schedule means and does not ask for, because clocks in ``timezone`` are set.

    ScheduleError for a schedule that Prefect would refuse, and for an interval with a time zone.
    """
    kind = next((kind for kind in _RULES if schedule.get(kind) is not None), "cron")
    rule = {key: schedule[key] for key in _RULES[kind] if schedule.get(key) is not None}
    since = now or datetime.now(UTC)
    if kind == "interval":
        return _lost_by_interval(rule, timezone, since)
    rule["timezone"] = "UTC"
    _times(rule, since, since + _DAY)
    return sorted(
        {
            day
            for skipped in skipped_times(timezone, since, since + AHEAD)
            if _near_midnight(skipped)
            for day in _lost_by_cron(rule, skipped)
        }
    )


def _near_midnight(skipped: SkippedTime) -> bool:
    """Whether a time that is skipped would be on another day if it was moved by what is skipped."""
    last = skipped.end - timedelta(microseconds=1)
    return (skipped.start - skipped.length).date() != last.date() or (last + skipped.length).date() != (
        skipped.start.date()
    )


def _lost_by_cron(rule: Mapping[str, Any], skipped: SkippedTime) -> set[str]:
    """The days near a skipped time that have a time by the schedule, and have none once that is moved either way.

    Which way Prefect moves it depends on the moment at which it plans.
    """
    first, last = (day.replace(tzinfo=UTC) for day in (skipped.start - _DAY, skipped.end + _DAY))
    wanted = [moment.replace(tzinfo=None) for moment in _times(rule, first, last)]
    lost = set()
    for way in (-skipped.length, skipped.length):
        moved = {time + way if skipped.start <= time < skipped.end else time for time in wanted}
        lost |= {time.date() for time in wanted} - {time.date() for time in moved}
    return {day.isoformat() for day in lost}


def _lost_by_interval(rule: Mapping[str, Any], timezone: str, since: datetime) -> list[str]:
    """The days that a daily interval passes over where the offset of ``timezone`` changes."""
    if rule.get("timezone", "UTC") not in _UTC:
        raise ScheduleError(
            f"schedule {_text(rule)}: expected an interval without a time zone, got {rule['timezone']} (Prefect plans"
            " such a run at two times of a day on which clocks change); use a cron, or leave the time zone out"
        )
    lost: set[str] = set()
    _times(rule, since, since + _DAY)
    for change in clock_changes(timezone, since, since + AHEAD):
        times = _times(rule, change - 2 * _DAY, change + 2 * _DAY)
        if times and all(later - earlier == _DAY for earlier, later in pairwise(times)):
            days = [logical_day(time, timezone=timezone) for time in times]
            lost |= set(days_between(days[0], days[-1])) - set(days)
    return sorted(lost)


def _times(rule: Mapping[str, Any], since: datetime, until: datetime) -> Sequence[datetime]:
    try:
        return scheduled_times(dict(rule), since, until)
    except (ValidationError, ValueError, StopIteration) as problem:
        reason = problem.errors()[0]["msg"] if isinstance(problem, ValidationError) else str(problem)
        raise ScheduleError(
            f"schedule {_text(rule)}: expected a cron, an rrule or an interval that Prefect takes, got one that it"
            f" does not ({reason or 'none of the three'}); correct it"
        ) from problem


def _other_hours(cron: str) -> list[str]:
    """A cron with another hour, the following ones first; none where the hour is not one number."""
    fields = cron.split()
    if len(fields) != 5 or not fields[1].isdigit():
        return []
    hours = [int(fields[1]) + more for more in (1, 2, 3, -1, -2, -3)]
    return [" ".join((fields[0], str(hour), *fields[2:])) for hour in hours if 0 <= hour < 24]


def _text(schedule: Mapping[str, Any]) -> str:
    return str(schedule.get("cron") or schedule.get("rrule") or f"every {schedule.get('interval', 'nothing')} s")
