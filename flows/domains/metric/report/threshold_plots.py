"""The plots of a threshold: utility along thresholds by class, and the operating points of classes."""

from collections.abc import Sequence

from fingerpost.flows.report.plots import INK, MUTED, SERIES, as_svg, drawn_once, new_figure
from fingerpost.schemas.figures import significant

_MEAN, _WORST = SERIES[0][0], SERIES[1][0]
_AXES = {"cosine": "cosine similarity that a pair must reach", "euclidean": "maximum distance of a pair"}


@drawn_once
def utility_svg(
    thresholds: Sequence[float],
    curves: Sequence[tuple[str, str, Sequence[float]]],
    mean: Sequence[float],
    *,
    measure: str = "cosine",
    chosen: float | None = None,
    size: tuple[float, float] = (6.4, 3.9),
) -> str:
    """Utility over thresholds: a light curve per class (name, role, utilities), the worst coloured, and their mean.

    A vertical line marks the ``chosen`` threshold where it is in the range.
    """
    figure, axes = new_figure(size)
    named = {"": False, "worst": False}
    for _, role, utilities in sorted(curves, key=lambda curve: curve[1] == "worst"):
        worst = role == "worst"
        legend = "" if named["worst" if worst else ""] else ("a class among the worst" if worst else "a class")
        named["worst" if worst else ""] = True
        axes.plot(
            thresholds,
            utilities,
            color=_WORST if worst else MUTED,
            linewidth=1.0,
            alpha=0.7 if worst else 0.35,
            label=legend or "_nolegend_",
        )
    axes.plot(thresholds, mean, color=_MEAN, linewidth=2.4, label="mean of classes")
    if chosen is not None and min(thresholds) <= chosen <= max(thresholds):
        axes.axvline(chosen, color=INK, linewidth=1.0, linestyle="--", label="threshold")
    axes.set_xlabel(_AXES[measure], color=INK)
    axes.set_ylabel("utility", color=INK)
    axes.margins(x=0.02, y=0.06)
    figure.legend(loc="outside lower center", ncols=4, frameon=False, labelcolor=INK, fontsize=9)
    return as_svg(figure)


@drawn_once
def operating_svg(
    points: Sequence[tuple[float, float, str]],
    *,
    rate: str = "far",
    share: float = 0.01,
    size: tuple[float, float] = (6.4, 3.9),
) -> str:
    """FRR over FAR of each class (FAR, FRR, role) at one threshold; a line marks the target rate.

    Where FARs differ by more than a factor of 20, their axis is logarithmic, starting at a hundredth of the largest.
    """
    figure, axes = new_figure(size)
    rates = [point[0] for point in points] + [share] * (rate == "far")
    largest = max(rates, default=0.0) or 1.0
    if min(rates, default=0.0) * 20 < largest:
        axes.set_xscale("symlog", linthresh=largest / 100)
    for wanted, colour, marker, name in ((False, _MEAN, "o", "a class"), (True, _WORST, "s", "among the worst")):
        some = [point for point in points if (point[2] == "worst") == wanted]
        if some:
            axes.plot(
                [point[0] for point in some],
                [point[1] for point in some],
                color=colour,
                marker=marker,
                markersize=5,
                linestyle="",
                alpha=0.6,
                label=name,
            )
    line = axes.axvline if rate == "far" else axes.axhline
    line(share, color=INK, linewidth=1.0, linestyle="--", label=f"target {rate.upper()}")
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter(lambda number, _: f"{significant(100 * number, 6)} %")
    axes.set_xlabel("FAR: pairs of two classes that pass", color=INK)
    axes.set_ylabel("FRR: pairs of one class that do not", color=INK)
    axes.set_xlim(left=0)
    axes.set_ylim(bottom=0)
    figure.legend(loc="outside lower center", ncols=3, frameon=False, labelcolor=INK, fontsize=9)
    return as_svg(figure)
