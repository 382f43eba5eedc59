"""The states of days as a calendar, for the terminal and for Prefect's UI."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import date
from itertools import groupby

from rich.console import Group, RenderableType

from fingerpost.flows.report.plots import data_uri
from fingerpost.flows.run.calendar import months
from fingerpost.flows.run.calendar_picture import WEEKDAYS, as_svg, described
from fingerpost.flows.run.console import styled
from fingerpost.flows.run.day_states import STATES
from fingerpost.flows.run.markdown import table
from fingerpost.flows.run.partitions import Partition, counts, needing
from fingerpost.flows.run.plain_text import visible
from fingerpost.flows.run.request import DAY

#: Maximum number of days, or of several alike, that a page lists with their reasons.
_LISTED = 60


def calendar(title: str, partitions: Sequence[Partition]) -> Group:
    """Months with a sign for each day's state, a legend with counts, and the days that are not fresh with reasons."""
    states = {partition.day: partition.state for partition in partitions}
    parts: list[RenderableType] = [styled((title, "bold"))]
    for month, weeks in months(list(states)):
        parts += ["", styled((month, "bold")), styled(("  ".join(WEEKDAYS), "dim"))]
        parts += [_week(week, states) for week in weeks]
    parts += ["", styled(*_legend(counts(partitions)))]
    for days, first, words in _listed(partitions):
        parts.append(styled(f"{days}  ", (f"{first.state:<12}", STATES[first.state][1]), visible(words)))
    return Group(*parts, *_more(partitions))


def calendar_markdown(partitions: Sequence[Partition]) -> str:
    """The calendar as Markdown: a picture, the counts, and the days that are not fresh with reasons."""
    states = {partition.day: partition.state for partition in partitions}
    lines = [f"![{described(states)}]({data_uri(as_svg(states))})", ""]
    lines += ["".join(words for words, _ in _legend(counts(partitions))), ""]
    if rows := [(days, first.state, words) for days, first, words in _listed(partitions)]:
        lines += [table(("day", "state", "why"), rows), *_more(partitions)]
    return "\n".join(lines)


def _listed(partitions: Sequence[Partition]) -> Iterator[tuple[str, Partition, str]]:
    """The days that are not fresh: one or several alike, the first of them, and the reason."""
    for alike in _groups(partitions)[:_LISTED]:
        first, days = alike[0], alike[0].day if len(alike) == 1 else f"{alike[0].day} to {alike[-1].day}"
        yield days, first, _label(first, len(alike))


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
    left = sum(map(len, _groups(partitions)[_LISTED:]))
    return [f"and {left} more days"] if left > 0 else []


def _groups(partitions: Sequence[Partition]) -> list[list[Partition]]:
    return list(_alike(list(needing(partitions))))


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
