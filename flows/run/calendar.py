"""Calendar days: which day a scheduled run is for, and the days between two. Safe where clocks change."""

from collections.abc import Iterator
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

from fingerpost.schemas.refs import checked_day


def logical_day(scheduled: datetime, *, timezone: str, lag_days: int = 0) -> str:
    """The calendar day in ``timezone`` that a run scheduled at an aware moment is for, ``lag_days`` before it."""
    return (scheduled.astimezone(ZoneInfo(timezone)).date() - timedelta(days=lag_days)).isoformat()


def days_between(first: str, last: str) -> Iterator[str]:
    """The days from ``first`` to ``last``, both included; UnsafeNameError for a text that is no calendar day."""
    day, end = date.fromisoformat(checked_day(first)), date.fromisoformat(checked_day(last))
    while day <= end:
        yield day.isoformat()
        day += timedelta(days=1)
