"""The plots of a ranker and its baselines: training time and frequency buckets of labels against recall."""

import math
from collections.abc import Sequence

from fingerpost.flows.report.plots import INK, MUTED, SERIES, as_svg, drawn_once, new_figure
from fingerpost.schemas.figures import significant

#: Rankers: colour, marker.
RANKERS = {
    "ranker": SERIES[0],
    "two_tower": SERIES[1],
    "bm25": SERIES[2],
    "dense_of_rows": SERIES[3],
    "dense_of_text": SERIES[4],
    "frequent": (MUTED, "X"),
}


@drawn_once
def training_svg(points: Sequence[tuple[str, str, float, float]], *, size: tuple[float, float] = (6.4, 3.9)) -> str:
    """Recall@10 over seconds of training (logarithmic): points of (method, name, seconds, recall), each named."""
    figure, axes = new_figure(size)
    axes.set_xscale("log")
    for method, name, seconds, recall in points:
        colour, marker = RANKERS.get(method, (INK, "o"))
        axes.plot([max(seconds, 0.01)], [recall], color=colour, marker=marker, markersize=8, linestyle="", label=name)
    axes.set_xlabel("seconds of training", color=INK)
    axes.set_ylabel("recall@10", color=INK)
    axes.xaxis.set_major_formatter(lambda number, _: significant(number, 6))
    axes.margins(x=0.12, y=0.12)
    axes.set_ylim(bottom=0)
    figure.legend(loc="outside lower center", ncols=2, frameon=False, labelcolor=INK, fontsize=9)
    return as_svg(figure)


@drawn_once
def bands_svg(
    bands: Sequence[str],
    curves: Sequence[tuple[str, str, Sequence[float | None]]],
    *,
    size: tuple[float, float] = (6.4, 3.9),
) -> str:
    """Recall by frequency bucket of labels, one curve per method: curves of (method, name, recall per bucket)."""
    figure, axes = new_figure(size)
    for method, name, recalls in curves:
        colour, marker = RANKERS.get(method, (INK, "o"))
        heights = [math.nan if recall is None else recall for recall in recalls]
        axes.plot(range(len(bands)), heights, color=colour, marker=marker, markersize=5, linewidth=1.8, label=name)
    axes.set_xticks(range(len(bands)), bands)
    axes.set_xlabel("times that a label was seen in training", color=INK)
    axes.set_ylabel("recall@10", color=INK)
    axes.margins(x=0.06)
    axes.set_ylim(bottom=0)
    figure.legend(loc="outside lower center", ncols=2, frameon=False, labelcolor=INK, fontsize=9)
    return as_svg(figure)
