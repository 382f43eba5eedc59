"""The states of days as a calendar, for the terminal and for Prefect's UI."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import date, timedelta
from itertools import groupby

from rich.console import Group
from rich.text import Text

from flows.ops.backfill.partitions import STATES, Partition, counts, needing
from flows.run.request import DAY

_WEEKDAYS = ("Mo", "Tu", "We", "Th", "Fr", "Sa", "Su")
#: How many days with their reasons a page lists.
_LISTED = 60


def calendar(title: str, found: Sequence[Partition]) -> Group:
    """Months of days with the sign of each one's state, a legend with counts, and the days that are not fresh with their reasons."""
    states = {one.day: one.state for one in found}
    parts: list[Text] = [Text(title, style="bold")]
    for month, weeks in _months(list(states)):
        parts += [Text(), Text(month, style="bold"), Text("  ".join(_WEEKDAYS), style="dim")]
        parts += [_week(week, states) for week in weeks]
    parts += [Text(), _legend(counts(found))]
    for alike in _alike(list(needing(found))[:_LISTED]):
        first, days = alike[0], alike[0].day if len(alike) == 1 else f"{alike[0].day} to {alike[-1].day}"
        line = Text(f"{days}  ")
        line.append(f"{first.state:<12}", style=STATES[first.state][1])
        parts.append(line.append(_told(first, len(alike))))
    return Group(*parts, *_more(found))


def calendar_markdown(found: Sequence[Partition]) -> str:
    """The same as Markdown."""
    states, lines = {one.day: one.state for one in found}, []
    for month, weeks in _months(list(states)):
        lines += [f"### {month}", "", f"| {' | '.join(_WEEKDAYS)} |", f"|{' --- |' * 7}"]
        for week in weeks:
            cells = (f"{int(day[8:])} {STATES[states[day]][0]}" if day in states else "" for day in week)
            lines.append(f"| {' | '.join(cells)} |")
        lines.append("")
    lines += [_legend(counts(found)).plain, ""]
    if rows := list(needing(found)):
        lines += ["| day | state | why |", "| --- | --- | --- |"]
        lines += [f"| {one.day} | {one.state} | {_cell(one.reason + _set_aside(one))} |" for one in rows[:_LISTED]]
        lines += [text.plain for text in _more(found)]
    return "\n".join(lines)


def _months(days: Sequence[str]) -> Iterator[tuple[str, list[list[str]]]]:
    """The months of some days, each with its weeks of seven; what is not in the month is empty."""
    for month, members in groupby(sorted(days), key=lambda day: day[:7]):
        present = list(members)
        first, last = date.fromisoformat(present[0]), date.fromisoformat(present[-1])
        monday, weeks = first - timedelta(days=first.weekday()), []
        while monday <= last:
            week = [(monday + timedelta(days=number)).isoformat() for number in range(7)]
            weeks.append([day if day.startswith(month) else "" for day in week])
            monday += timedelta(days=7)
        yield month, weeks


def _week(week: Sequence[str], states: Mapping[str, str]) -> Text:
    line = Text()
    for day in week:
        if day in states:
            sign, colour = STATES[states[day]]
            line.append(f"{int(day[8:]):2}", style="dim").append(sign, style=colour).append(" ")
        else:
            line.append("    ")
    return line


def _legend(found: Mapping[str, int]) -> Text:
    line = Text()
    for state, count in found.items():
        sign, colour = STATES[state]
        line.append(f"{sign} ", style=colour).append(f"{count} {state}   ")
    return line


def _more(found: Sequence[Partition]) -> list[Text]:
    left = len(list(needing(found))) - _LISTED
    return [Text(f"and {left} more days")] if left > 0 else []


def _alike(found: Sequence[Partition]) -> Iterator[list[Partition]]:
    """Neighbouring days of one state for one reason, three or more of them together."""
    for _, members in groupby(found, key=lambda one: (one.state, one.reason.replace(one.day, DAY), one.quarantined)):
        days = list(members)
        whole = (
            len(days) >= 3
            and (date.fromisoformat(days[-1].day) - date.fromisoformat(days[0].day)).days == len(days) - 1
        )
        yield from [days] if whole else [[one] for one in days]


def _told(one: Partition, count: int) -> str:
    return (one.reason if count == 1 else one.reason.replace(one.day, DAY)) + _set_aside(one)


def _set_aside(one: Partition) -> str:
    return f" ({one.quarantined:,} rows set aside)" if one.quarantined else ""


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")
