"""The pictures of the benchmark of training with TCM, and its tables."""

from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from fingerpost.flows.domains.metric.report.embedder_plots import points_pair_svg, utility_pair_svg
from fingerpost.flows.domains.metric.report.embedders import SIDES, Curves

Job = dict[str, Any]
#: Figures of unseen classes in the table.
FIGURES = ("recall_at_1", "map_at_r", "opis", "worst_opis", "far", "far_spread", "frr")


def draw_all(rows: list[Job], folder: Path) -> None:
    """Tables on the terminal, and all pictures that the rows allow."""
    tables(rows)
    trade_off(rows, folder / "metric_trade_off.svg")
    toy(folder)
    for with_file in sorted(folder.glob("metric_curves_*_with.npz")):
        without_file = Path(str(with_file).replace("_with.npz", "_without.npz"))
        if without_file.exists():
            curves = {"without": _curves(without_file), "with": _curves(with_file)}
            name = with_file.name.removeprefix("metric_curves_").removesuffix("_with.npz")
            (folder / f"metric_utility_{name}.svg").write_text(utility_pair_svg(curves))
            (folder / f"metric_points_{name}.svg").write_text(points_pair_svg(curves))


def _curves(file: Path) -> Curves:
    with np.load(file) as stored:
        return Curves(*(stored[name].astype(np.float64) for name in ("thresholds", "utility", "far", "frr")))


def by_side(rows: Sequence[Job], part: str) -> dict[tuple[str, ...], dict[str, list[Job]]]:
    """Rows of a part by backbone, loss and batch, then by side, in the order of seeds."""
    found: dict[tuple[str, ...], dict[str, list[Job]]] = defaultdict(lambda: defaultdict(list))
    for row in rows:
        if row["part"] == part:
            batch = row["params"]["classes_per_batch"] * row["params"]["rows_per_class"]
            key = (row["backbone"]["kind"], row["params"]["loss"], str(batch))
            found[key]["with" if row["tcm"] else "without"].append(row)
    for sides in found.values():
        for mine in sides.values():
            mine.sort(key=lambda row: row["params"]["seed"])
    return found


def change_interval(
    without: Sequence[float], with_tcm: Sequence[float], *, relative: bool
) -> tuple[float, float, float]:
    """Mean change over paired seeds, and its 95 % interval by Student's t; relative to the side without TCM."""
    from scipy.special import stdtrit

    pairs = np.array([without, with_tcm])
    changes = pairs[1] / pairs[0] - 1 if relative else pairs[1] - pairs[0]
    if len(changes) < 2:
        return float(changes.mean()), float("nan"), float("nan")
    half = float(stdtrit(len(changes) - 1, 0.975) * changes.std(ddof=1) / np.sqrt(len(changes)))
    return float(changes.mean()), float(changes.mean() - half), float(changes.mean() + half)


def tables(rows: list[Job]) -> None:
    """Means and standard deviations over seeds by combination and side, and the changes by TCM with intervals."""
    for part in ("open-world", "trade-off"):
        table = Table(title=part, title_justify="left", box=None, header_style="bold")
        for name in ("backbone", "loss", "batch", "", "seeds", *FIGURES, "step"):
            table.add_column(name)
        for key, sides in by_side(rows, part).items():
            for side, words in SIDES.items():
                mine = sides.get(side, [])
                if mine:
                    cells = [_cell([row["test"][name] for row in mine]) for name in FIGURES]
                    table.add_row(*key, words, str(len(mine)), *cells, _cell([row["step"] for row in mine], 0))
            if len(sides.get("with", [])) == len(sides.get("without", [])) > 0:
                cells = []
                for name in FIGURES:
                    values = [[row["test"][name] for row in sides[side]] for side in SIDES]
                    relative = name not in ("recall_at_1", "map_at_r")
                    change, low, high = change_interval(*values, relative=relative)
                    times, unit = 100, "%" if relative else "pt"
                    cells.append(f"{times * change:+.1f} {unit} ({times * low:+.0f} to {times * high:+.0f})")
                table.add_row(*key, "change", "", *cells)
        Console(width=220).print(table)


def _cell(values: Sequence[float], digits: int = 4) -> str:
    spread = f" ± {np.std(values, ddof=1):.{digits}f}" if len(values) > 1 else ""
    return f"{np.mean(values):.{digits}f}{spread}"


def trade_off(rows: list[Job], path: Path) -> None:
    """Recall@1 against OPIS of unseen classes over losses and batch sizes: an arrow from without to with TCM."""
    from matplotlib.figure import Figure

    found = {key: sides for key, sides in by_side(rows, "trade-off").items() if len(sides) == 2}
    if not found:
        return
    figure = Figure(figsize=(8, 5.2), layout="constrained")
    axes = figure.add_subplot()
    colours = dict(
        zip(sorted({key[1] for key in found}), ("#0969da", "#bc4c00", "#1a7f37", "#8250df", "#9a6700"), strict=False)
    )
    for (_, loss, batch), sides in found.items():
        ends = [sides[side][0]["test"] for side in SIDES]
        (x0, y0), (x1, y1) = ((100 * end["recall_at_1"], end["opis"]) for end in ends)
        large = batch == max((key[2] for key in found), key=int)
        axes.annotate("", (x1, y1), (x0, y0), arrowprops={"arrowstyle": "->", "color": colours[loss], "alpha": 0.7})
        axes.plot(x0, y0, "o", color=colours[loss], markerfacecolor="white", markersize=9 if large else 6)
        axes.plot(
            x1,
            y1,
            "o",
            color=colours[loss],
            markersize=9 if large else 6,
            label=f"{loss.replace('_', ' ')}, batch {batch}",
        )
    axes.set(xlabel="recall@1 of unseen classes, %", ylabel="OPIS (lower is more consistent)", yscale="log")
    axes.set_title("Hollow: without TCM, full: with TCM; large marks: the larger batch", fontsize=10)
    axes.grid(alpha=0.3, which="both")
    figure.legend(loc="outside right upper", fontsize=8)
    figure.savefig(path)


def toy(folder: Path) -> None:
    """Test digits in two dimensions, without and with TCM."""
    files = [folder / f"metric_toy_{side}.npz" for side in SIDES]
    if not all(file.exists() for file in files):
        return
    from matplotlib import colormaps
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9.6, 5.2), layout="constrained")
    for axes, file, side in zip(figure.subplots(1, 2), files, SIDES, strict=True):
        with np.load(file) as stored:
            vectors, classes = stored["vectors"], stored["classes"]
        for digit in range(10):
            mine = vectors[classes == digit]
            # On the circle itself all is one line: rows of a class are spread by their number, so that density shows.
            radius = 1 + 0.25 * (np.arange(len(mine)) / len(mine))
            axes.scatter(*(mine * radius[:, None]).T, s=3, alpha=0.5, color=colormaps["tab10"](digit), label=str(digit))
        axes.set(title=f"MNIST, ArcFace {SIDES[side]}", aspect="equal", xticks=[], yticks=[])
    figure.legend(*axes.get_legend_handles_labels(), loc="outside lower center", ncols=10, markerscale=4, frameon=False)
    figure.savefig(folder / "metric_toy.png", dpi=110)
