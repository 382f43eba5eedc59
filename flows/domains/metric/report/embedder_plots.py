"""The plots of embedders with and without TCM: utility and operating points by class, and training progress."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fingerpost.flows.domains.metric.report.embedders import SIDES, Curves
from fingerpost.flows.report.plots import INK, MUTED, SERIES, as_svg, drawn_once, new_figure, style_axes

_COLOURS = {"without": SERIES[1][0], "with": SERIES[0][0]}
_TITLES = {side: words[0].upper() + words[1:] for side, words in SIDES.items()}
#: Maximum number of classes that are drawn.
DRAWN = 200


@drawn_once
def utility_pair_svg(curves: Mapping[str, Curves], *, size: tuple[float, float] = (9.6, 3.9)) -> str:
    """Utility over thresholds, a light curve per class and their mean, without and with TCM (as in the TCM paper)."""
    figure, panels = _panels(curves, size)
    for side, axes in panels.items():
        curve = curves[side]
        for row in _some(curve.utility):
            axes.plot(curve.thresholds, row, color=MUTED, linewidth=0.8, alpha=0.3)
        axes.plot(curve.thresholds, np.nanmean(curve.utility, axis=0), color=_COLOURS[side], linewidth=2.4)
        axes.set_xlabel("cosine similarity that a pair must reach", color=INK)
        axes.set_title(_TITLES[side], color=INK, fontsize=10)
    next(iter(panels.values())).set_ylabel("utility", color=INK)
    return as_svg(figure)


@drawn_once
def points_pair_svg(curves: Mapping[str, Curves], *, size: tuple[float, float] = (9.6, 3.9)) -> str:
    """FRR over FAR of each class at its embedder's threshold, without and with TCM."""
    figure, panels = _panels(curves, size)
    for side, axes in panels.items():
        curve = curves[side]
        axes.plot(
            100 * curve.far, 100 * curve.frr, color=_COLOURS[side], marker="o", markersize=3, linestyle="", alpha=0.5
        )
        axes.set_xlabel("FAR of a class, %", color=INK)
        axes.set_title(_TITLES[side], color=INK, fontsize=10)
    next(iter(panels.values())).set_ylabel("FRR of a class, %", color=INK)
    return as_svg(figure)


@drawn_once
def courses_svg(
    checks: Sequence[tuple[str, int, Sequence[int], Sequence[float]]], *, size: tuple[float, float] = (6.4, 3.9)
) -> str:
    """mAP@R of validation classes over training steps, one curve per embedder (side, seed, steps, mAP@R)."""
    figure, axes = new_figure(size)
    labelled: set[str] = set()
    for side, _, steps, values in checks:
        label = "_nolegend_" if side in labelled else SIDES[side]
        labelled.add(side)
        axes.plot(steps, values, color=_COLOURS[side], marker="o", markersize=3, linewidth=1.4, label=label)
    axes.set_xlabel("training steps", color=INK)
    axes.set_ylabel("mAP@R of validation classes", color=INK)
    figure.legend(loc="outside lower center", ncols=2, frameon=False, labelcolor=INK, fontsize=9)
    return as_svg(figure)


def _panels(curves: Mapping[str, Curves], size: tuple[float, float]) -> tuple[Any, dict[str, Any]]:
    """A figure with axes for each side that was trained, with shared scales."""
    from matplotlib.figure import Figure

    sides = [side for side in SIDES if side in curves]
    figure = Figure(figsize=size, layout="constrained")
    grid = figure.subplots(1, len(sides), sharex=True, sharey=True, squeeze=False)[0]
    for axes in grid:
        style_axes(axes)
    return figure, dict(zip(sides, grid, strict=True))


def _some(rows: NDArray[np.float64]) -> NDArray[np.float64]:
    """At most ``DRAWN`` of the rows without NaN, evenly sampled by their mean."""
    known = rows[~np.isnan(rows).any(axis=1)]
    order = np.argsort(known.mean(axis=1), kind="stable")
    return known[order[np.unique(np.linspace(0, len(order) - 1, min(DRAWN, len(order))).round().astype(np.int64))]]
