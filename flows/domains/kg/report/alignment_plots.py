"""The plots of an alignment: precision over recall, calibration, and the candidates by probability."""

from collections.abc import Sequence

from fingerpost.flows.report.plots import INK, MUTED, SERIES, as_svg, drawn_once, new_figure

#: Methods: colour, marker.
_METHODS = {"scorer": SERIES[0], "baseline": SERIES[1], "aligner": SERIES[2], "structure": SERIES[3]}


@drawn_once
def precision_recall_svg(
    curves: Sequence[tuple[str, str, Sequence[float], Sequence[float]]], *, size: tuple[float, float] = (6.4, 3.9)
) -> str:
    """Precision over recall, a curve per method: (method, name, recall, precision)."""
    figure, axes = new_figure(size)
    for method, name, recall, precision in curves:
        colour, _ = _METHODS.get(method, (INK, "o"))
        width = 2.4 if method == "scorer" else 1.4
        axes.plot(recall, precision, color=colour, linewidth=width, label=name, drawstyle="steps-pre")
    axes.set_xlabel("recall", color=INK)
    axes.set_ylabel("precision", color=INK)
    axes.set_xlim(0, 1.02)
    axes.set_ylim(0, 1.03)
    figure.legend(loc="outside lower center", ncols=2, frameon=False, labelcolor=INK, fontsize=9)
    return as_svg(figure)


@drawn_once
def reliability_svg(
    predicted: Sequence[float], found: Sequence[float], pairs: Sequence[int], *, size: tuple[float, float] = (6.4, 3.9)
) -> str:
    """Share of matches over mean probability, a point per part of the range with its number of pairs."""
    figure, axes = new_figure(size)
    axes.plot([0, 1], [0, 1], color=MUTED, linewidth=1.0, linestyle="--", label="as said")
    axes.plot(
        predicted, found, color=SERIES[0][0], marker=SERIES[0][1], markersize=6, linewidth=1.8, label="test pairs"
    )
    for x, y, count in zip(predicted, found, pairs, strict=True):
        # Beside the point, on the side of the diagonal that has room.
        below = y > 0.5
        axes.annotate(
            f"{count:,}",
            (x, y),
            (7, -9) if below else (-7, 9),
            textcoords="offset points",
            color=MUTED,
            fontsize=8,
            ha="left" if below else "right",
            va="center",
        )
    axes.set_xlabel("probability", color=INK)
    axes.set_ylabel("share of matches", color=INK)
    axes.set_xlim(-0.06, 1.08)
    axes.set_ylim(-0.06, 1.08)
    figure.legend(loc="outside lower center", ncols=2, frameon=False, labelcolor=INK, fontsize=9)
    return as_svg(figure)


@drawn_once
def histogram_svg(
    edges: Sequence[float],
    candidates: Sequence[int],
    matches: Sequence[int],
    threshold: float,
    *,
    size: tuple[float, float] = (6.4, 3.9),
) -> str:
    """Candidates by probability, those that are matches in front, on a logarithmic scale; a line marks the threshold."""
    figure, axes = new_figure(size)
    axes.stairs(candidates, edges, color=MUTED, fill=True, alpha=0.35, label="candidates")
    axes.stairs(matches, edges, color=SERIES[0][0], fill=True, label="matches")
    axes.axvline(threshold, color=INK, linewidth=1.0, linestyle="--", label="threshold")
    axes.set_yscale("symlog", linthresh=1)
    axes.set_ylim(bottom=0)
    axes.yaxis.set_major_formatter(lambda number, _: f"{number:,.0f}")
    axes.set_xlabel("probability", color=INK)
    axes.set_ylabel("pairs", color=INK)
    axes.set_xlim(0, 1)
    figure.legend(loc="outside lower center", ncols=3, frameon=False, labelcolor=INK, fontsize=9)
    return as_svg(figure)
