"""Small plots of metrics over runs, drawn as SVG without Matplotlib: every run has new ones."""

from collections.abc import Sequence
from html import escape

from fingerpost.flows.report.plots import GRID, INK, MUTED, SERIES, themed
from fingerpost.flows.report.trends import Point, Trend
from fingerpost.schemas.figures import significant

_WIDTH, _HEIGHT = 300, 118
#: The corners of the curve: left, top, right, bottom.
_BOX = (10.0, 34.0, 290.0, 92.0)
_LINE, _LIVE = SERIES[0][0], SERIES[2][0]


def trend_svg(trend: Trend) -> str:
    """A metric over runs as a curve: runs at equal distances, the last value in full, the live version marked."""
    points = trend.points
    places = _places(points)
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
    marks = [_mark(place) for place, point in zip(places, points, strict=True) if point.live]
    low, high = min(point.value for point in points), max(point.value for point in points)
    span = f"{significant(low)} to {significant(high)}" if low < high else "the same in all runs"
    left, _, right, bottom = _BOX
    days = [_text(left, bottom + 20, points[0].day, MUTED, 10)]
    if points[-1].day != points[0].day:
        days.append(_text(right, bottom + 20, points[-1].day, MUTED, 10, anchor="end"))
    return themed(
        "".join(
            [
                f"<title>{escape(trend.title)}</title>",
                _text(left, 14, trend.title, INK, 12),
                _text(left, 28, span, MUTED, 10),
                _text(right, 14, significant(points[-1].value), INK, 13, anchor="end", weight=600),
                f'<line x1="{left}" y1="{bottom + 6}" x2="{right}" y2="{bottom + 6}" style="stroke: {GRID}"/>',
                f'<polyline points="{path}" style="fill: none; stroke: {_LINE}; stroke-width: 1.6"/>',
                *(_dot(place) for place in (places if len(places) <= 12 else places[-1:])),
                *marks,
                *days,
            ]
        ),
        _WIDTH,
        _HEIGHT,
    )


def _places(points: Sequence[Point]) -> list[tuple[float, float]]:
    """The place of each point: one value is in the middle of the height."""
    left, top, right, bottom = _BOX
    values = [point.value for point in points]
    low, spread = min(values), max(values) - min(values)
    step = (right - left) / max(len(points) - 1, 1)
    return [
        (left + step * number, bottom - (bottom - top) * ((value - low) / spread if spread else 0.5))
        for number, value in enumerate(values)
    ]


def _dot(place: tuple[float, float]) -> str:
    return f'<circle cx="{place[0]:.1f}" cy="{place[1]:.1f}" r="2.4" style="fill: {_LINE}"/>'


def _mark(place: tuple[float, float]) -> str:
    """A ring around the run whose version is live."""
    x, y = place
    return f'<circle cx="{x:.1f}" cy="{y:.1f}" r="5" style="fill: none; stroke: {_LIVE}; stroke-width: 2"/>'


def _text(x: float, y: float, words: str, colour: str, size: int, *, anchor: str = "start", weight: int = 400) -> str:
    return (
        f'<text x="{x:.0f}" y="{y:.0f}" text-anchor="{anchor}" font-size="{size}" font-weight="{weight}"'
        f' style="fill: {colour}">{escape(words)}</text>'
    )
