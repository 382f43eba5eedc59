"""Calendar days: which day a scheduled run is for, which day it is, and the days between two. Safe where clocks change."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from itertools import groupby
from zoneinfo import ZoneInfo

from fingerpost.schemas.errors import UsageError
from fingerpost.schemas.refs import checked_day

#: Maximum number of days that one command looks at or runs: ten years.
MOST_DAYS = 3660


class DayRangeError(UsageError):
    """More days than one command looks at or runs."""


def logical_day(scheduled: datetime, *, timezone: str, lag_days: int = 0) -> str:
    """The calendar day in ``timezone`` that a run scheduled at an aware moment is for, ``lag_days`` before it."""
    return (scheduled.astimezone(ZoneInfo(timezone)).date() - timedelta(days=lag_days)).isoformat()


def today(timezone: str, *, clock_error: timedelta = timedelta()) -> str:
    """The calendar day that it is now in ``timezone``, by a clock that may be ``clock_error`` behind."""
    return logical_day(datetime.now(UTC) + clock_error, timezone=timezone)


def days_between(first: str, last: str) -> list[str]:
    """The days from ``first`` to ``last``, both included; none if ``first`` is after ``last``.

    UnsafeNameError for a text that is no calendar day, DayRangeError for more than `MOST_DAYS`.
    """
    day, end = date.fromisoformat(checked_day(first)), date.fromisoformat(checked_day(last))
    count = (end - day).days + 1
    if count > MOST_DAYS:
        raise DayRangeError(
            f"days: expected at most {MOST_DAYS:,} from first to last, got {count:,} ({first} to {last}); give a"
            " shorter range"
        )
    return [(day + timedelta(days=number)).isoformat() for number in range(count)]


def months(days: Sequence[str]) -> Iterator[tuple[str, list[list[str]]]]:
    """The months of some days, each as weeks of seven; empty cells outside of the month."""
    for month, members in groupby(sorted(days), key=lambda day: day[:7]):
        present = list(members)
        first, last = date.fromisoformat(present[0]), date.fromisoformat(present[-1])
        monday, weeks = first - timedelta(days=first.weekday()), []
        while monday <= last:
            week = [(monday + timedelta(days=number)).isoformat() for number in range(7)]
            weeks.append([day if day.startswith(month) else "" for day in week])
            monday += timedelta(days=7)
        yield month, weeks


@dataclass(frozen=True)
class SkippedTime:
    """Local times from ``start`` up to ``end`` (naive) that no clock in a zone shows, as clocks are set forward."""

    start: datetime
    end: datetime

    @property
    def length(self) -> timedelta:
        """By how much clocks are set forward."""
        return self.end - self.start


def skipped_times(timezone: str, since: datetime, until: datetime) -> Iterator[SkippedTime]:
    """The local times that clocks in ``timezone`` skip between two aware moments, in order."""
    zone = ZoneInfo(timezone)
    for moment in clock_changes(timezone, since, until):
        before, after = _offset(moment - timedelta(seconds=1), zone), _offset(moment, zone)
        if after > before:
            plain = moment.replace(tzinfo=None)
            yield SkippedTime(plain + before, plain + after)


def clock_changes(timezone: str, since: datetime, until: datetime) -> Iterator[datetime]:
    """The moments (UTC, whole seconds) between two aware ones at which clocks in ``timezone`` are set.

    At least a week lies between two of them, as in every zone since 2010.
    """
    zone = ZoneInfo(timezone)
    left, last = since.astimezone(UTC).replace(microsecond=0), until.astimezone(UTC)
    while left < last:
        right = min(left + timedelta(days=7), last)
        if _offset(left, zone) != _offset(right, zone):
            low, high = left, right
            while high - low > timedelta(seconds=1):
                middle = low + timedelta(seconds=int((high - low).total_seconds()) // 2)
                same = _offset(middle, zone) == _offset(low, zone)
                low, high = (middle, high) if same else (low, middle)
            yield high
        left = right


def _offset(moment: datetime, zone: ZoneInfo) -> timedelta:
    return moment.astimezone(zone).utcoffset() or timedelta()
