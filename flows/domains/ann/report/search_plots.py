"""The plots of an index: speed and work over recall, and the accuracy of FINGER's estimates."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from fingerpost.flows.report.plots import INK, SERIES, as_svg, drawn_once, new_figure
from fingerpost.schemas.figures import significant
from fingerpost.tasks.ann.certificate import Certificate

#: Name in the legend, colour and marker of each method; other methods take the further styles in turn.
LOOKS = {"hnsw": ("plain HNSW", *SERIES[0]), "finger": ("FINGER", *SERIES[1]), "plain": ("plain", *SERIES[0])}
_SPARE = (*SERIES[2:], *((colour, marker) for (colour, _), marker in zip(SERIES, "PXh*p", strict=True)))
#: Possible ticks of the recall axis.
_TICKS = (0, 0.5, 0.8, 0.9, 0.95, 0.98, 0.99, 0.995, 0.998, 0.999, 0.9995, 0.9998, 0.9999, 0.99999)


@dataclass(frozen=True)
class SearchPoint:
    """One search width of one method: recall, distances and estimates per query, queries per second if measured."""

    ef: int
    recall: float
    distances: float
    estimates: float
    speed: float | None = None


Curves = Mapping[str, Sequence[SearchPoint]]


@drawn_once
def recall_speed_svg(curves: Curves, *, k: int = 10, size: tuple[float, float] = (6.4, 3.9)) -> str:
    """Queries per second over recall, one curve per method, every point labelled with its search width.

    The recall axis is logarithmic in 1 - recall. Points without a speed are left out.
    """
    timed = {name: [point for point in points if point.speed is not None] for name, points in curves.items()}
    return _search_plot(timed, "speed", k=k, size=size, ylabel="queries per second")


@drawn_once
def ways_svg(curves: Curves, certificate: Certificate, *, size: tuple[float, float] = (6.4, 3.9)) -> str:
    """Queries per second over recall, one curve per plan, and the certified recall with its interval on the plan in use.

    The recall axis is logarithmic in 1 - recall. Points without a speed are left out.
    """
    timed = {name: [point for point in points if point.speed is not None] for name, points in curves.items()}
    at, plan = certificate.at, certificate.plan.name
    speed = next((point.speed for point in timed.get(plan, []) if point.ef == at.ef), None)
    mark = None if speed is None else (plan, at.recall, at.low, at.high, speed)
    return _search_plot(timed, "speed", k=certificate.k, size=size, ylabel="queries per second", mark=mark)


@drawn_once
def recall_distances_svg(curves: Curves, *, k: int = 10, size: tuple[float, float] = (6.4, 3.9)) -> str:
    """Full distances computed per query over recall, one curve per method."""
    return _search_plot(curves, "distances", k=k, size=size, ylabel="full distances per query")


@drawn_once
def estimate_errors_svg(
    errors: dict[int, list[tuple[int, float]]], *, chosen: tuple[int, int], size: tuple[float, float] = (6.4, 2.9)
) -> str:
    """Error of the estimated cosine by number of directions, a curve by bits; the chosen (directions, bits) is marked."""
    figure, axes = new_figure(size)
    for (bits, points), (colour, marker) in zip(sorted(errors.items()), SERIES, strict=False):
        label = f"{bits} bit{'s' if bits > 1 else ''}"
        axes.plot(*zip(*points, strict=True), color=colour, marker=marker, markersize=5, linewidth=1.8, label=label)
        for rank, value in points:
            if (rank, bits) == chosen:
                axes.plot([rank], [value], marker="o", markersize=13, markerfacecolor="none", markeredgecolor=colour)
    axes.set_xlabel("directions", color=INK)
    axes.set_ylabel("error of the cosine", color=INK)
    axes.set_xticks(sorted({rank for points in errors.values() for rank, _ in points}))
    axes.set_ylim(bottom=0)
    axes.margins(x=0.08)
    axes.legend(frameon=False, fontsize=9)
    return as_svg(figure)


def _search_plot(
    curves: Curves,
    value: str,
    *,
    k: int,
    size: tuple[float, float],
    ylabel: str,
    mark: tuple[str, float, float, float, float] | None = None,
) -> str:
    """mark: the curve in use, the only one with labels, a recall, its bounds, and the height at which they are drawn."""
    figure, axes = new_figure(size)
    heights = {name: _mean([getattr(point, value) for point in points]) for name, points in curves.items()}
    recalls = [point.recall for points in curves.values() for point in points]
    places = _recall_axis(axes, [*recalls, *(mark[1:4] if mark else ())])
    spare = iter(_SPARE * len(curves))
    drawn: list[tuple[str, str, list[tuple[SearchPoint, float, float]]]] = []
    for name, points in curves.items():
        in_use = mark is not None and mark[0] == name and name not in LOOKS
        label, colour, marker = (name, *SERIES[1]) if in_use else LOOKS.get(name) or (name, *next(spare))
        ordered = sorted(points, key=lambda point: point.ef)
        across, values = [places[point.recall] for point in ordered], [getattr(point, value) for point in ordered]
        axes.plot(across, values, color=colour, marker=marker, markersize=5, linewidth=1.8, label=label)
        drawn.append((name, colour, list(zip(ordered, across, values, strict=True))))
    if mark:
        _, recall, low, high, height = mark
        axes.plot([places[low], places[high]], [height, height], color=INK, linewidth=1.4, marker="|", markersize=9)
        axes.plot([places[recall]], [height], color=INK, marker="o", markersize=11, markerfacecolor="none")
    axes.set_xlabel(f"recall@{k}", color=INK)
    axes.set_ylabel(ylabel, color=INK)
    axes.yaxis.set_major_formatter(lambda number, _: f"{number:,.0f}")
    axes.margins(y=0.14)
    axes.set_ylim(bottom=0)
    for name, colour, points_at in drawn:
        if mark and name != mark[0]:
            continue
        _label_widths(
            axes, points_at, colour=colour, above=heights[name] >= max(heights.values()), rising=value != "speed"
        )
    if any(curves.values()):
        axes.legend(frameon=False, labelcolor=INK, fontsize=9)
    return as_svg(figure)


def _label_widths(
    axes: Any, points: Sequence[tuple[SearchPoint, float, float]], *, colour: str, above: bool, rising: bool
) -> None:
    """Labels points with their search widths, on the outer side of the curves; labels do not overlap."""
    left = above == rising
    used: list[tuple[float, float]] = []
    for point, position, height in points:
        x, y = axes.transData.transform((position, height)) * 72 / axes.figure.dpi
        if any(abs(x - other) < 28 and abs(y - level) < 9 for other, level in used):
            continue
        used.append((x, y))
        axes.annotate(
            f"ef {point.ef}",
            (position, height),
            xytext=(-5 if left else 5, 4 if above else -11),
            textcoords="offset points",
            ha="right" if left else "left",
            color=colour,
            fontsize=8,
        )


def _recall_axis(axes: Any, recalls: Sequence[float]) -> dict[float, float]:
    """The positions of recalls on an axis logarithmic in 1 - recall, which separates 0.99 and 0.999; sets its ticks."""
    missed = [1 - recall for recall in recalls if recall < 1]
    least = min(missed, default=1e-3) / 2
    places = {recall: -math.log10(max(1 - recall, least)) for recall in recalls}
    ticks = {-math.log10(1 - tick): significant(tick, 6) for tick in _TICKS if 1 - tick >= least * 1.5}
    if len(missed) < len(recalls):
        ticks[-math.log10(least)] = "1"
    low, high = min(places.values(), default=0.0), max(places.values(), default=1.0)
    margin = max(0.08 * (high - low), 0.12)
    shown = [position for position in ticks if low - 0.9 * margin <= position <= high + margin]
    axes.set_xlim(low - margin, high + margin)
    axes.set_xticks(shown, [ticks[position] for position in shown])
    return places


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values) if values else 0.0
