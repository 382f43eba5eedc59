"""The plot of what queries find: MRR by method."""

from collections.abc import Sequence

from fingerpost.flows.report.plots import INK, SERIES, as_svg, drawn_once, new_figure


@drawn_once
def found_svg(
    tables: Sequence[tuple[str, Sequence[tuple[str, float]]]], *, size: tuple[float, float] = (6.4, 2.6)
) -> str:
    """MRR of each method as a point on its line, one colour per table: tables of (title, [(method, MRR)])."""
    figure, axes = new_figure(size)
    methods = list(dict.fromkeys(method for _, rows in tables for method, _ in rows))
    for (title, rows), (colour, marker) in zip(tables, SERIES, strict=False):
        places = [methods.index(method) for method, _ in rows]
        values = [value for _, value in rows]
        axes.plot(values, places, color=colour, marker=marker, markersize=7, linestyle="", label=title)
    axes.set_yticks(range(len(methods)), methods)
    axes.set_ylim(len(methods) - 0.5, -0.5)
    axes.set_xlim(0, 1)
    axes.set_xlabel("MRR", color=INK)
    figure.legend(loc="outside lower center", ncols=2, frameon=False, labelcolor=INK, fontsize=9)
    return as_svg(figure)
