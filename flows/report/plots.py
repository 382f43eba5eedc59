"""Plots as standalone SVG texts that follow the reader's light or dark scheme. Matplotlib is imported when one is drawn."""

import functools
import io
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

#: Colours on a light ground and what takes their place on a dark one.
_INK, _MUTED, _GRID = "#1f2328", "#59636e", "#d1d9e1"
_DARK = {
    _INK: "#e6edf3",
    _MUTED: "#9198a1",
    _GRID: "#3d444d",
    "#0969da": "#58a6ff",
    "#bc4c00": "#f0883e",
    "#1a7f37": "#3fb950",
    "#8250df": "#ab7df8",
    "#9a6700": "#d29922",
}
#: How the methods are drawn: name in the legend, colour, marker.
_LOOKS = {"hnsw": ("plain HNSW", "#0969da", "o"), "finger": ("FINGER", "#bc4c00", "s")}
_SPARE = (("#1a7f37", "^"), ("#8250df", "D"))
#: Rankers: colour, marker.
_RANKERS = {
    "ranker": ("#0969da", "o"),
    "two_tower": ("#bc4c00", "s"),
    "bm25": ("#1a7f37", "^"),
    "dense_of_rows": ("#8250df", "D"),
    "dense_of_text": ("#9a6700", "v"),
    "frequent": (_MUTED, "X"),
}
#: Recalls that the axis may name.
_TICKS = (0, 0.5, 0.8, 0.9, 0.95, 0.98, 0.99, 0.995, 0.998, 0.999, 0.9995, 0.9998, 0.9999, 0.99999)
_FONTS = "system-ui, -apple-system, 'Segoe UI', 'Helvetica Neue', Arial, sans-serif"


@dataclass(frozen=True)
class SearchPoint:
    """One search width of one method: recall, distances and estimates a query, and queries per second if a clock ran."""

    ef: int
    recall: float
    distances: float
    estimates: float
    speed: float | None = None


Curves = Mapping[str, Sequence[SearchPoint]]


def _drawn_once(draw: Callable[..., str]) -> Callable[..., str]:
    """The same plot is asked for twice at the end of a run, for the report and for Prefect's page; drawing it is slow."""
    kept: dict[str, str] = {}

    @functools.wraps(draw)
    def drawn(*arguments: Any, **options: Any) -> str:
        key = repr((arguments, sorted(options.items())))
        if key not in kept:
            while len(kept) >= 8:
                del kept[next(iter(kept))]
            kept[key] = draw(*arguments, **options)
        return kept[key]

    return drawn


@_drawn_once
def recall_speed_svg(curves: Curves, *, k: int = 10, size: tuple[float, float] = (6.4, 3.9)) -> str:
    """Queries per second over recall, one curve a method, every point labelled with its search width.

    The recall axis is logarithmic in what is missed. Points without a speed are left out.
    """
    timed = {name: [point for point in points if point.speed is not None] for name, points in curves.items()}
    return _search_plot(timed, "speed", k=k, size=size, ylabel="queries per second")


@_drawn_once
def recall_distances_svg(curves: Curves, *, k: int = 10, size: tuple[float, float] = (6.4, 3.9)) -> str:
    """Full distances computed a query over recall, one curve a method."""
    return _search_plot(curves, "distances", k=k, size=size, ylabel="full distances a query")


@_drawn_once
def correlation_svg(
    ranks: Sequence[int], correlations: Sequence[float], *, chosen: int, size: tuple[float, float] = (6.4, 2.9)
) -> str:
    """Correlation of true and estimated residual cosines by number of directions; the chosen number is marked."""
    figure, axes = _figure(size)
    colour = _LOOKS["finger"][1]
    axes.plot(ranks, correlations, color=colour, marker="s", markersize=5, linewidth=1.8)
    for rank, value in zip(ranks, correlations, strict=True):
        if rank == chosen:
            axes.plot([rank], [value], marker="o", markersize=13, markerfacecolor="none", markeredgecolor=colour)
            axes.annotate(
                f"in use: {rank}",
                (rank, value),
                xytext=(0, -18),
                textcoords="offset points",
                ha="center",
                color=_INK,
                fontsize=9,
            )
    axes.set_xlabel("directions kept", color=_INK)
    axes.set_ylabel("correlation", color=_INK)
    axes.set_xticks(list(ranks))
    axes.margins(x=0.08, y=0.25)
    return _svg(figure)


@_drawn_once
def training_svg(points: Sequence[tuple[str, str, float, float]], *, size: tuple[float, float] = (6.4, 3.9)) -> str:
    """Recall@10 over seconds of training (logarithmic): points of (method, name, seconds, recall), each named."""
    figure, axes = _figure(size)
    axes.set_xscale("log")
    for method, name, seconds, recall in points:
        colour, marker = _RANKERS.get(method, (_INK, "o"))
        axes.plot([max(seconds, 0.01)], [recall], color=colour, marker=marker, markersize=8, linestyle="", label=name)
    axes.set_xlabel("seconds of training", color=_INK)
    axes.set_ylabel("recall@10", color=_INK)
    axes.xaxis.set_major_formatter(lambda number, _: f"{number:g}")
    axes.margins(x=0.12, y=0.12)
    axes.set_ylim(bottom=0)
    figure.legend(loc="outside lower center", ncols=2, frameon=False, labelcolor=_INK, fontsize=9)
    return _svg(figure)


@_drawn_once
def bands_svg(
    bands: Sequence[str],
    curves: Sequence[tuple[str, str, Sequence[float | None]]],
    *,
    size: tuple[float, float] = (6.4, 3.9),
) -> str:
    """Recall by band of label frequency, one curve a method: curves of (method, name, a recall for each band)."""
    figure, axes = _figure(size)
    for method, name, recalls in curves:
        colour, marker = _RANKERS.get(method, (_INK, "o"))
        heights = [math.nan if recall is None else recall for recall in recalls]
        axes.plot(range(len(bands)), heights, color=colour, marker=marker, markersize=5, linewidth=1.8, label=name)
    axes.set_xticks(range(len(bands)), bands)
    axes.set_xlabel("times that a label was seen in training", color=_INK)
    axes.set_ylabel("recall@10", color=_INK)
    axes.margins(x=0.06)
    axes.set_ylim(bottom=0)
    figure.legend(loc="outside lower center", ncols=2, frameon=False, labelcolor=_INK, fontsize=9)
    return _svg(figure)


def on_white(svg: str) -> str:
    """The plot in its light colours on a white ground, for pages whose scheme is not the reader's system's."""
    start = svg.index(">", svg.index("<svg")) + 1
    light = svg[start:].replace(_dark_rules(), "")
    return f'{svg[:start]}<rect width="100%" height="100%" fill="white"/>{light}'


def _search_plot(curves: Curves, value: str, *, k: int, size: tuple[float, float], ylabel: str) -> str:
    figure, axes = _figure(size)
    heights = {name: _mean([getattr(point, value) for point in points]) for name, points in curves.items()}
    places = _recall_axis(axes, [point.recall for points in curves.values() for point in points])
    spare = iter(_SPARE * len(curves))
    drawn: list[tuple[str, str, list[tuple[SearchPoint, float, float]]]] = []
    for name, points in curves.items():
        label, colour, marker = _LOOKS.get(name) or (name, *next(spare))
        ordered = sorted(points, key=lambda point: point.ef)
        across, values = [places[point.recall] for point in ordered], [getattr(point, value) for point in ordered]
        axes.plot(across, values, color=colour, marker=marker, markersize=5, linewidth=1.8, label=label)
        drawn.append((name, colour, list(zip(ordered, across, values, strict=True))))
    axes.set_xlabel(f"recall@{k}", color=_INK)
    axes.set_ylabel(ylabel, color=_INK)
    axes.yaxis.set_major_formatter(lambda number, _: f"{number:,.0f}")
    axes.margins(y=0.14)
    axes.set_ylim(bottom=0)
    for name, colour, points_at in drawn:
        _label_widths(
            axes, points_at, colour=colour, above=heights[name] >= max(heights.values()), rising=value != "speed"
        )
    if any(curves.values()):
        axes.legend(frameon=False, labelcolor=_INK, fontsize=9)
    return _svg(figure)


def _label_widths(
    axes: Any, points: Sequence[tuple[SearchPoint, float, float]], *, colour: str, above: bool, rising: bool
) -> None:
    """Search widths beside their points, on the outer side of the curves and off the slope; none over another."""
    left = above == rising
    taken: list[tuple[float, float]] = []
    for point, place, height in points:
        x, y = axes.transData.transform((place, height)) * 72 / axes.figure.dpi
        if any(abs(x - other) < 28 and abs(y - level) < 9 for other, level in taken):
            continue
        taken.append((x, y))
        axes.annotate(
            f"ef {point.ef}",
            (place, height),
            xytext=(-5 if left else 5, 4 if above else -11),
            textcoords="offset points",
            ha="right" if left else "left",
            color=colour,
            fontsize=8,
        )


def _recall_axis(axes: Any, recalls: Sequence[float]) -> dict[float, float]:
    """Where recalls lie on an axis by the logarithm of what is missed, so that 0.99 and 0.999 stand apart; its ticks set."""
    missed = [1 - recall for recall in recalls if recall < 1]
    least = min(missed, default=1e-3) / 2
    places = {recall: -math.log10(max(1 - recall, least)) for recall in recalls}
    ticks = {-math.log10(1 - tick): f"{tick:g}" for tick in _TICKS if 1 - tick >= least * 1.5}
    if len(missed) < len(recalls):
        ticks[-math.log10(least)] = "1"
    low, high = min(places.values(), default=0.0), max(places.values(), default=1.0)
    margin = max(0.08 * (high - low), 0.12)
    shown = [place for place in ticks if low - 0.9 * margin <= place <= high + margin]
    axes.set_xlim(low - margin, high + margin)
    axes.set_xticks(shown, [ticks[place] for place in shown])
    return places


def _figure(size: tuple[float, float]) -> tuple[Any, Any]:
    from matplotlib.figure import Figure

    figure = Figure(figsize=size, layout="constrained")
    axes = figure.add_subplot()
    axes.patch.set_alpha(0)
    axes.tick_params(colors=_MUTED, labelsize=9, length=0)
    axes.grid(color=_GRID, linewidth=0.8)
    axes.set_axisbelow(True)
    for side, spine in axes.spines.items():
        spine.set_visible(side == "bottom")
        spine.set_color(_GRID)
    return figure, axes


def _svg(figure: Any) -> str:
    """The figure as SVG with a transparent ground; the same bytes for the same figures."""
    import matplotlib

    sink = io.StringIO()
    plain = dict.fromkeys(("Creator", "Date", "Format", "Type"))
    with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": "fingerpost"}):
        figure.savefig(sink, format="svg", transparent=True, metadata=plain)
    text = sink.getvalue()
    start = text.index("<svg")
    inside = text.index(">", start) + 1
    return f"{text[start:inside]}\n<style>{_style()}</style>{text[inside:]}"


def _style() -> str:
    """Fonts of the reader's system, and the dark colours where the reader wants them."""
    return f"text{{font-family:{_FONTS} !important}}{_dark_rules()}"


def _dark_rules() -> str:
    rules = [
        f'[style*="{kind}: {light}"]{{{kind}:{dark} !important}}'
        for light, dark in _DARK.items()
        for kind in ("fill", "stroke")
    ]
    return f"@media (prefers-color-scheme: dark){{{''.join(rules)}}}"


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values) if values else 0.0
