"""The picture of a network: its stages as columns, its blocks as boxes coloured by kind, operators and shapes inside."""

from typing import Any

from fingerpost.flows.report.plots import INK, MUTED, SERIES, as_svg, drawn_once, new_figure
from fingerpost.tasks.nas.architecture import Architecture, Block
from fingerpost.tasks.nas.differences import block_text
from fingerpost.tasks.nas.graph import graph_of

_COLOURS = {"ibn": SERIES[0][0], "fused": SERIES[1][0], "conv": SERIES[2][0]}
KINDS = {"ibn": "inverted bottleneck", "fused": "fused inverted bottleneck", "conv": "plain convolution"}
#: Columns of a row, and inches of a column, a line of text, and the space between boxes.
_COLUMNS, _WIDTH, _LINE, _GAP = 3, 2.25, 0.185, 0.16
_SHORT = {"convolution": "conv", "average pooling": "mean of pixels"}


def _columns(architecture: Architecture) -> list[tuple[str, list["_Box"]]]:
    """The stages with their titles and boxes."""
    graph = graph_of(architecture)
    count, boxes = len(architecture.stages), dict[tuple[int, int], _Box]()
    for node, values in graph.nodes(data=True):
        stage = int(values["stage"])
        place = (stage, int(values["block"]) if 1 <= stage <= count else 0)
        if place not in boxes:
            block = architecture.stages[stage - 1].blocks[place[1]] if 1 <= stage <= count else None
            boxes[place] = _Box(block)
        boxes[place].lines.append((_short(str(values["label"])), "×".join(map(str, values["shape"]))))
        boxes[place].residual |= any(edge[2]["residual"] for edge in graph.in_edges(node, data=True))
    titles = ["input", *(f"stage {number}" for number in range(1, count + 1)), "output"]
    every = sorted(boxes)
    return [(title, [boxes[place] for place in every if place[0] == stage]) for stage, title in enumerate(titles)]


class _Box:
    """A block, or the operators before the first or after the last one."""

    def __init__(self, block: Block | None) -> None:
        self.kind = block.kind if block else ""
        self.title = block_text(block) if block else ""
        self.lines: list[tuple[str, str]] = []
        self.residual = False

    @property
    def height(self) -> float:
        """Inches."""
        return _LINE * (len(self.lines) + bool(self.title)) + 0.1


def _short(label: str) -> str:
    for long, short in _SHORT.items():
        label = label.replace(long, short)
    return label.replace(", stride ", " / ").replace(" × ", "×")


@drawn_once
def network_svg(architecture: Architecture) -> str:
    """The network from its input to its output, row by row; a bracket marks a block whose input is added to its output."""
    columns = _columns(architecture)
    rows = [columns[first : first + _COLUMNS] for first in range(0, len(columns), _COLUMNS)]
    heights = [0.3 + max(sum(box.height + _GAP for box in boxes) for _, boxes in row) for row in rows]
    wide = _WIDTH * max(len(row) for row in rows)
    figure, axes = new_figure((wide, sum(heights) + 0.45))
    axes.set_xlim(0, wide)
    axes.set_ylim(sum(heights), 0)
    axes.axis("off")
    top = 0.0
    for row, height in zip(rows, heights, strict=True):
        for place, (title, boxes) in enumerate(row):
            _draw_column(axes, place * _WIDTH, top, title, boxes)
        top += height
    present = {box.kind for _, boxes in columns for box in boxes}
    handles = [_patch(axes, kind) for kind in KINDS if kind in present]
    figure.legend(handles, [KINDS[kind] for kind in KINDS if kind in present], **_LEGEND)
    return as_svg(figure)


_LEGEND: dict[str, Any] = {
    "loc": "outside lower center",
    "ncols": 3,
    "frameon": False,
    "labelcolor": INK,
    "fontsize": 9,
}


def _patch(axes: Any, kind: str) -> Any:
    from matplotlib.patches import Patch

    return Patch(facecolor=_COLOURS[kind], edgecolor=_COLOURS[kind], alpha=0.6)


def _draw_column(axes: Any, left: float, top: float, title: str, boxes: list[_Box]) -> None:
    axes.text(left + 0.05, top + 0.1, title, color=MUTED, fontsize=8.5, va="center")
    below = top + 0.24
    for number, box in enumerate(boxes):
        _draw_box(axes, left + 0.05, below, box)
        if number:
            middle = left + 0.05 + (_WIDTH - 0.35) / 2
            axes.plot([middle, middle], [below - _GAP, below], color=MUTED, linewidth=1.0)
        below += box.height + _GAP


def _draw_box(axes: Any, left: float, top: float, box: _Box) -> None:
    from matplotlib.patches import Rectangle

    wide, colour = _WIDTH - 0.35, _COLOURS.get(box.kind, MUTED)
    frame = Rectangle((left, top), wide, box.height, facecolor="none", edgecolor=colour, linewidth=1.0)
    axes.add_patch(frame)
    axes.add_patch(Rectangle((left, top), 0.06, box.height, facecolor=colour, edgecolor="none"))
    line = top + 0.05 + _LINE / 2
    if box.title:
        axes.text(left + 0.12, line, box.title, color=INK, fontsize=8.5, fontweight="bold", va="center")
        line += _LINE
    for label, shape in box.lines:
        axes.text(left + 0.12, line, label, color=INK, fontsize=7.5, va="center")
        axes.text(left + wide - 0.05, line, shape, color=MUTED, fontsize=7.5, va="center", ha="right")
        line += _LINE
    if box.residual:
        right = left + wide
        bracket = [right + 0.02, right + 0.1, right + 0.1, right + 0.02]
        ends = [top + 0.04, top + 0.04, top + box.height - 0.04, top + box.height - 0.04]
        axes.plot(bracket, ends, color=MUTED, linewidth=1.0)
        axes.text(right + 0.15, top + box.height / 2, "+", color=MUTED, fontsize=9, va="center", ha="center")
