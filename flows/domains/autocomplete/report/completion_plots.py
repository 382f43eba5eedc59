"""The plot of a completer and its baselines: MRR over the length of the prefix."""

import math
from collections.abc import Sequence

from fingerpost.flows.report.plots import INK, MUTED, SERIES, as_svg, drawn_once, new_figure

#: Systems: colour, marker.
SYSTEMS = {
    "completer": SERIES[0],
    "default_index": SERIES[1],
    "neighbors": SERIES[2],
    "bigram": SERIES[3],
    "popularity": (MUTED, "X"),
}


@drawn_once
def lengths_svg(
    lengths: Sequence[int],
    curves: Sequence[tuple[str, str, Sequence[float | None]]],
    *,
    size: tuple[float, float] = (6.4, 3.9),
) -> str:
    """MRR over the length of the prefix, one curve per system: curves of (method, name, MRR per length)."""
    figure, axes = new_figure(size)
    for method, name, values in curves:
        colour, marker = SYSTEMS.get(method, (INK, "o"))
        heights = [math.nan if value is None else value for value in values]
        axes.plot(lengths, heights, color=colour, marker=marker, markersize=5, linewidth=1.8, label=name)
    axes.set_xticks(list(lengths))
    axes.set_xlabel("characters of the prefix", color=INK)
    axes.set_ylabel("MRR", color=INK)
    axes.margins(x=0.06)
    axes.set_ylim(bottom=0)
    figure.legend(loc="outside lower center", ncols=1, frameon=False, labelcolor=INK, fontsize=9)
    return as_svg(figure)
