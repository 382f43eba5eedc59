"""The plots of a ranker's sweep: recall over size and over latency, one curve per beam."""

from collections.abc import Mapping, Sequence
from typing import Any

from fingerpost.flows.report.plots import INK, SERIES, as_svg, drawn_once, new_figure
from fingerpost.schemas.figures import significant

#: Colours and markers of beams, in turn.
_COLOURS = SERIES[:4]


@drawn_once
def sweep_svg(
    points: Sequence[Mapping[str, Any]],
    *,
    k: int = 10,
    chosen: tuple[float, int] | None = None,
    value: str = "bytes",
    size: tuple[float, float] = (6.4, 3.9),
) -> str:
    """Recall at k over the model's size ("bytes") or a query's time ("latency_ms"), points marked with their threshold.

    points: rows of the sweep's table (threshold, beam, recall, bytes, latency_ms). chosen: (threshold, beam) in use.
    """
    if value not in ("bytes", "latency_ms"):
        raise ValueError(f"value: expected bytes or latency_ms, got {value!r}; choose one of them")
    figure, axes = new_figure(size)
    shown = [point for point in points if point[value] is not None]
    scale = 1e-6 if value == "bytes" else 1.0
    beams = sorted({point["beam"] for point in shown})
    for index, beam in enumerate(beams):
        colour, marker = _COLOURS[index % len(_COLOURS)]
        mine = sorted((point for point in shown if point["beam"] == beam), key=lambda point: point["threshold"])
        across, heights = [point[value] * scale for point in mine], [point["recall"] for point in mine]
        axes.plot(across, heights, color=colour, marker=marker, markersize=5, linewidth=1.8, label=f"beam {beam}")
        for point, x, y in zip(mine, across, heights, strict=True):
            if beam == beams[-1]:
                axes.annotate(
                    significant(point["threshold"], 2),
                    (x, y),
                    xytext=(0, 6),
                    textcoords="offset points",
                    ha="center",
                    color=colour,
                    fontsize=8,
                )
            if chosen is not None and (point["threshold"], beam) == tuple(chosen):
                axes.plot([x], [y], marker="o", markersize=13, markerfacecolor="none", markeredgecolor=colour)
                axes.annotate(
                    "chosen", (x, y), xytext=(0, -18), textcoords="offset points", ha="center", color=INK, fontsize=9
                )
    axes.set_xlabel("model size in MB" if value == "bytes" else "milliseconds per query (median)", color=INK)
    axes.set_ylabel(f"recall@{k}", color=INK)
    axes.margins(x=0.08, y=0.18)
    if shown:
        axes.legend(frameon=False, labelcolor=INK, fontsize=9)
    return as_svg(figure)
