"""The plots of a search: its front, the best so far, the landscape, predictions beside measurements, and the training."""

from collections.abc import Sequence
from itertools import accumulate
from typing import Any

from fingerpost.flows.report.plots import INK, MUTED, SERIES, as_svg, drawn_once, new_figure, style_axes

_SIZE = (6.4, 3.9)
#: Axes of a landscape in a row.
_AXES = 3
_CURATED, _UNCURATED = "curated", "uncurated"


def _legend(figure: Any, handles: Sequence[Any] = (), columns: int = 3) -> None:
    options = {"loc": "outside lower center", "ncols": columns, "frameon": False, "labelcolor": INK, "fontsize": 9}
    if handles:
        figure.legend(handles=handles, **options)
    else:
        figure.legend(**options)


@drawn_once
def front_svg(
    others: Sequence[tuple[float, float, bool]],
    front: Sequence[tuple[float, float]],
    chosen: tuple[float, float] | None,
    reference: tuple[float, float] | None,
    limit_ms: float | None,
    *,
    measure: str = "accuracy",
) -> str:
    """Accuracy over latency: evaluated networks (latency, accuracy, within the limits), and the front among them."""
    figure, axes = new_figure(_SIZE)
    for within, label, face in ((True, "evaluated", MUTED), (False, "beyond a limit", "none")):
        found = [(x, y) for x, y, kept in others if kept == within]
        if found:
            axes.scatter(
                *zip(*found, strict=True), s=22, facecolors=face, edgecolors=MUTED, linewidths=1.0, label=label
            )
    if front:
        colour, marker = SERIES[0]
        x, y = zip(*sorted(front), strict=True)
        # A network that is on the front for its memory alone lies below the line.
        best = list(accumulate(y, max))
        axes.plot(x, best, color=colour, linewidth=1.6, drawstyle="steps-post")
        axes.plot(x, y, color=colour, marker=marker, linewidth=0, label="front")
    for point, marker, colour, label in (
        (reference, SERIES[1][1], SERIES[1][0], "reference"),
        (chosen, "*", SERIES[2][0], "chosen"),
    ):
        if point is not None:
            size = 170 if marker == "*" else 50
            axes.scatter(*point, s=size, marker=marker, color=colour, zorder=4, label=label)
    if limit_ms is not None:
        axes.axvline(limit_ms, color=INK, linewidth=1.0, linestyle="--", label="limit")
    axes.set_xlabel("latency in milliseconds", color=INK)
    axes.set_ylabel(f"{measure} on validation images", color=INK)
    axes.margins(0.06)
    _legend(figure)
    return as_svg(figure)


@drawn_once
def progress_svg(
    best: Sequence[tuple[int, float]], each: Sequence[tuple[int, float, bool]], *, measure: str = "accuracy"
) -> str:
    """The best accuracy so far, over each evaluated network (number, accuracy, within the limits)."""
    figure, axes = new_figure(_SIZE)
    for within, label, face in ((True, "evaluated", MUTED), (False, "beyond a limit", "none")):
        found = [(x, y) for x, y, kept in each if kept == within]
        if found:
            axes.scatter(
                *zip(*found, strict=True), s=22, facecolors=face, edgecolors=MUTED, linewidths=1.0, label=label
            )
    last = max([number for number, _, _ in each], default=0)
    x, y = [number for number, _ in best], [value for _, value in best]
    axes.plot([*x, last], [*y, y[-1]], color=SERIES[0][0], linewidth=2.0, drawstyle="steps-post", label="best so far")
    axes.set_xlabel("evaluated networks", color=INK)
    axes.set_ylabel(f"{measure} on validation images", color=INK)
    axes.xaxis.get_major_locator().set_params(integer=True)
    axes.margins(0.06)
    _legend(figure)
    return as_svg(figure)


_Points = Sequence[tuple[float, float]]


@drawn_once
def landscape_svg(axes_of: Sequence[tuple[str, _Points, _Points, _Points]]) -> str:
    """Latency along axes: (name, curated points, uncurated points, multiply-accumulates of these), a panel each."""
    rows = -(-len(axes_of) // _AXES)
    columns = min(_AXES, len(axes_of))
    figure, first = new_figure((6.4, 0.5 + 2.1 * rows))
    first.remove()
    panels = figure.subplots(rows, columns, squeeze=False)
    for panel in panels.flat[len(axes_of) :]:
        panel.remove()
    handles: list[Any] = []
    for panel, (name, curated, uncurated, macs) in zip(panels.flat, axes_of, strict=False):
        style_axes(panel)
        handles = _draw_axis(panel, curated, uncurated, macs)
        panel.set_title(name, color=INK, fontsize=9)
        panel.tick_params(labelsize=8)
        panel.set_ylim(bottom=0)
    for panel in panels[:, 0]:
        panel.set_ylabel("milliseconds", color=INK, fontsize=9)
    _legend(figure, handles)
    return as_svg(figure)


def _draw_axis(panel: Any, curated: _Points, uncurated: _Points, macs: _Points) -> list[Any]:
    found = []
    if uncurated:
        found += panel.plot(
            *zip(*uncurated, strict=True), color=SERIES[1][0], linewidth=1.2, label="latency, uncurated"
        )
    if macs and uncurated:
        # Drawn to meet the latency of the most channels: the scale of multiply-accumulates is not that of the axis.
        scale = uncurated[-1][1] / macs[-1][1]
        points = [(value, scale * count) for value, count in macs]
        found += panel.plot(
            *zip(*points, strict=True), color=MUTED, linewidth=1.0, linestyle="--", label="multiply-accumulates"
        )
    if curated:
        colour, marker = SERIES[0]
        found += panel.plot(
            *zip(*curated, strict=True),
            color=colour,
            marker=marker,
            markersize=4.5,
            linewidth=0,
            label="latency, curated",
        )
    return found


@drawn_once
def ways_svg(ways: Sequence[tuple[str, Sequence[float]]]) -> str:
    """The latency at each step of a way down through the curated and the uncurated space."""
    figure, axes = new_figure(_SIZE)
    styles = {_CURATED: SERIES[0], _UNCURATED: SERIES[1]}
    for space, values in ways:
        colour, marker = styles[space]
        every = max(1, len(values) // 20)
        axes.plot(range(len(values)), values, color=colour, marker=marker, markersize=4, markevery=every, label=space)
    axes.set_xlabel("steps", color=INK)
    axes.set_ylabel("latency in milliseconds", color=INK)
    axes.set_ylim(bottom=0)
    _legend(figure)
    return as_svg(figure)


@drawn_once
def predicted_svg(measured: Sequence[float], forest: Sequence[float], linear: Sequence[float]) -> str:
    """Predicted over measured latencies of whole networks, of the estimator and of the linear control."""
    figure, axes = new_figure(_SIZE)
    low, high = min(measured), max(measured)
    axes.plot([low, high], [low, high], color=MUTED, linewidth=1.0, linestyle="--", label="exact")
    for values, label, (colour, marker) in ((linear, "linear control", SERIES[1]), (forest, "estimator", SERIES[0])):
        if values:
            axes.scatter(measured, values, s=16, marker=marker, color=colour, alpha=0.75, label=label)
    axes.set_xlabel("measured milliseconds", color=INK)
    axes.set_ylabel("predicted milliseconds", color=INK)
    _legend(figure)
    return as_svg(figure)


@drawn_once
def training_svg(loss: Sequence[float], validation: Sequence[float], *, measure: str = "accuracy") -> str:
    """The training of the chosen network: accuracy on validation images, and the loss, by epoch."""
    figure, axes = new_figure(_SIZE)
    epochs = range(1, len(loss) + 1)
    colour, marker = SERIES[0]
    lines = axes.plot(
        epochs, validation, color=colour, marker=marker, markersize=4, label=f"{measure} on validation images"
    )
    axes.set_xlabel("epoch", color=INK)
    axes.set_ylabel(f"{measure} on validation images", color=INK)
    axes.xaxis.get_major_locator().set_params(integer=True)
    right = axes.twinx()
    style_axes(right)
    right.grid(visible=False)
    lines += right.plot(epochs, loss, color=SERIES[1][0], linewidth=1.4, linestyle="--", label="loss")
    right.set_ylabel("loss", color=INK)
    right.set_ylim(bottom=0)
    _legend(figure, lines)
    return as_svg(figure)
