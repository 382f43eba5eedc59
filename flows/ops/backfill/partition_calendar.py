"""The states of days as a calendar, for the terminal and for Prefect's UI."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import date, timedelta
from itertools import groupby

from rich.console import Group, RenderableType

from fingerpost.flows.ops.backfill.partitions import Partition, counts, needing
from fingerpost.flows.run.console import styled
from fingerpost.flows.run.day_states import STATES
from fingerpost.flows.run.markdown import table
from fingerpost.flows.run.plain_text import visible
from fingerpost.flows.run.request import DAY

_WEEKDAYS = ("Mo", "Tu", "We", "Th", "Fr", "Sa", "Su")
#: Maximum number of days that a page lists with their reasons.
_LISTED = 60


def calendar(title: str, partitions: Sequence[Partition]) -> Group:
    """Months with a sign for each day's state, a legend with counts, and the days that are not fresh with reasons."""
    states = {partition.day: partition.state for partition in partitions}
    parts: list[RenderableType] = [styled((title, "bold"))]
    for month, weeks in _months(list(states)):
        parts += ["", styled((month, "bold")), styled(("  ".join(_WEEKDAYS), "dim"))]
        parts += [_week(week, states) for week in weeks]
    parts += ["", styled(*_legend(counts(partitions)))]
    for alike in _alike(list(needing(partitions))[:_LISTED]):
        first, days = alike[0], alike[0].day if len(alike) == 1 else f"{alike[0].day} to {alike[-1].day}"
        words = _label(first, len(alike))
        parts.append(styled(f"{days}  ", (f"{first.state:<12}", STATES[first.state][1]), visible(words)))
    return Group(*parts, *_more(partitions))


def calendar_markdown(partitions: Sequence[Partition]) -> str:
    """The calendar as Markdown."""
    states, lines = {partition.day: partition.state for partition in partitions}, []
    for month, weeks in _months(list(states)):
        lines += [f"### {month}", "", f"| {' | '.join(_WEEKDAYS)} |", f"|{' --- |' * 7}"]
        for week in weeks:
            cells = (f"{int(day[8:])} {STATES[states[day]][0]}" if day in states else "" for day in week)
            lines.append(f"| {' | '.join(cells)} |")
        lines.append("")
    lines += ["".join(words for words, _ in _legend(counts(partitions))), ""]
    if rows := list(needing(partitions)):
        lines.append(
            table(
                ("day", "state", "why"),
                [(found.day, found.state, found.reason + _quarantined(found)) for found in rows[:_LISTED]],
            )
        )
        lines += _more(partitions)
    return "\n".join(lines)


def _months(days: Sequence[str]) -> Iterator[tuple[str, list[list[str]]]]:
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


def _week(week: Sequence[str], states: Mapping[str, str]) -> RenderableType:
    parts: list[tuple[str, str]] = []
    for day in week:
        if day in states:
            sign, colour = STATES[states[day]]
            parts += [(f"{int(day[8:]):2}", "dim"), (sign, colour), (" ", "")]
        else:
            parts.append(("    ", ""))
    return styled(*parts)


def _legend(by_state: Mapping[str, int]) -> list[tuple[str, str]]:
    """The signs with their colours, and the counts, as parts of a line."""
    parts = []
    for state, count in by_state.items():
        sign, colour = STATES[state]
        parts += [(f"{sign} ", colour), (f"{count} {state}   ", "")]
    return parts


def _more(partitions: Sequence[Partition]) -> list[str]:
    left = len(list(needing(partitions))) - _LISTED
    return [f"and {left} more days"] if left > 0 else []


def _alike(partitions: Sequence[Partition]) -> Iterator[list[Partition]]:
    """Days grouped where three or more neighbours have the same state and reason."""
    for _, members in groupby(
        partitions,
        key=lambda partition: (partition.state, partition.reason.replace(partition.day, DAY), partition.quarantined),
    ):
        days = list(members)
        whole = (
            len(days) >= 3
            and (date.fromisoformat(days[-1].day) - date.fromisoformat(days[0].day)).days == len(days) - 1
        )
        yield from [days] if whole else [[partition] for partition in days]


def _label(partition: Partition, count: int) -> str:
    return (partition.reason if count == 1 else partition.reason.replace(partition.day, DAY)) + _quarantined(partition)


def _quarantined(partition: Partition) -> str:
    return f" ({partition.quarantined:,} rows quarantined)" if partition.quarantined else ""
