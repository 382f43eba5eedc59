"""The states of days as a picture: standalone SVG, months side by side, a square for each day."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from xml.sax.saxutils import escape

from fingerpost.flows.report.plots import INK, MUTED
from fingerpost.flows.run.calendar import months
from fingerpost.flows.run.day_states import STATES

WEEKDAYS = ("Mo", "Tu", "We", "Th", "Fr", "Sa", "Su")
#: Pixels of a day's square and of what is between two, of a month, and around the picture; months in a row.
SIDE, GAP, MONTH, HEAD, MARGIN, ACROSS = 28, 3, 240, 42, 14, 2
#: Border and filling of a square by the colour that the state has in a terminal.
_LOOKS = {
    "green": ("#1a7f37", "#aceebb"),
    "white": ("#59636e", "#ffffff"),
    "yellow": ("#9a6700", "#fae17d"),
    "red": ("#a40e26", "#ffaba8"),
    "magenta": ("#8250df", "#e2c5ff"),
    "cyan": ("#0969da", "#b6e3ff"),
    "blue": ("#3d3d99", "#d5d5f7"),
}


def as_svg(states: Mapping[str, str]) -> str:
    """The picture of days and their states, on a white ground: it is read on light and dark pages."""
    blocks = list(months(list(states)))
    width = 2 * MARGIN + min(len(blocks), ACROSS) * MONTH - (MONTH - 7 * (SIDE + GAP))
    y, parts = MARGIN, list[str]()
    for _, group in groupby(enumerate(blocks), key=lambda item: item[0] // ACROSS):
        row = list(group)
        for number, (month, weeks) in row:
            parts += _month(month, weeks, states, x=MARGIN + number % ACROSS * MONTH, y=y)
        y += HEAD + max(len(weeks) for _, (_, weeks) in row) * (SIDE + GAP) + MARGIN
    words, legend, y = described(states), list[str](), y + 4
    x = MARGIN
    for state, count in counted(states).items():
        label = f"{count} {state}"
        if x > MARGIN and x + 26 + 7.5 * len(label) > max(width, MONTH) - MARGIN:
            x, y = MARGIN, y + 26
        legend += [*_square(state, x, y - 4, side=18), _text(label, x + 25, y + 10)]
        x += round(44 + 7.5 * len(label))
    width, height = max(width, 2 * MARGIN + MONTH), y + 18 + MARGIN
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}"'
            ' role="img" font-family="system-ui, \'Segoe UI\', Arial, sans-serif">',
            f"<title>{escape(words)}</title>",
            '<rect width="100%" height="100%" fill="white"/>',
            *parts,
            *legend,
            "</svg>\n",
        ]
    )


def counted(states: Mapping[str, str]) -> dict[str, int]:
    """The number of days by state, in the order of `STATES`."""
    found = list(states.values())
    return {state: found.count(state) for state in STATES if state in found}


def described(states: Mapping[str, str]) -> str:
    """The days and how many are in each state."""
    if not states:
        return "no day"
    days = sorted(states)
    span = days[0] if len(days) == 1 else f"{days[0]} to {days[-1]}"
    return f"{span}: {', '.join(f'{count} {state}' for state, count in counted(states).items())}"


def _month(month: str, weeks: Sequence[Sequence[str]], states: Mapping[str, str], *, x: int, y: int) -> Iterator[str]:
    yield _text(month, x, y + 13, size=14, weight=600)
    for number, weekday in enumerate(WEEKDAYS):
        yield _text(weekday, x + number * (SIDE + GAP) + SIDE / 2, y + 34, size=12, anchor="middle", fill=MUTED)
    for row, week in enumerate(weeks):
        for column, day in enumerate(week):
            left, top = x + column * (SIDE + GAP), y + HEAD + row * (SIDE + GAP)
            if day in states:
                yield from _square(states[day], left, top, number=str(int(day[8:])))


def _square(state: str, x: float, y: float, *, side: int = SIDE, number: str = "") -> Iterator[str]:
    """A day: its number, and below it the sign of its state, which says the same as the colour."""
    sign, colour = STATES[state]
    border, filling = _LOOKS.get(colour, _LOOKS["white"])
    yield (
        f'<rect x="{x:.1f}" y="{y:.1f}" width="{side}" height="{side}" rx="4" fill="{filling}" stroke="{border}"'
        f' stroke-width="1.2"/>'
    )
    if number:
        yield _text(number, x + side / 2, y + 12.5, size=12, anchor="middle")
    yield _text(
        sign, x + side / 2, y + side - (5 if number else 4.5), size=12, anchor="middle", fill=border, weight=700
    )


def _text(
    text: str, x: float, y: float, *, size: float = 13, anchor: str = "start", fill: str = INK, weight: int = 400
) -> str:
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size}" text-anchor="{anchor}" fill="{fill}"'
        f' font-weight="{weight}">{escape(text)}</text>'
    )
