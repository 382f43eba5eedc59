"""Plots as standalone SVG texts that follow the reader's light or dark scheme. Drawing one imports Matplotlib."""

import base64
import functools
import hashlib
import io
import re
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

#: Colours on a light background, and their replacements on a dark one.
INK, MUTED, GRID = "#1f2328", "#59636e", "#d1d9e1"
#: Colours and markers of curves, in the order in which plots use them.
SERIES = (("#0969da", "o"), ("#bc4c00", "s"), ("#1a7f37", "^"), ("#8250df", "D"), ("#9a6700", "v"))
_DARK = {
    INK: "#e6edf3",
    MUTED: "#9198a1",
    GRID: "#3d444d",
    "#0969da": "#58a6ff",
    "#bc4c00": "#f0883e",
    "#1a7f37": "#3fb950",
    "#8250df": "#ab7df8",
    "#9a6700": "#d29922",
}
_FONTS = "system-ui, -apple-system, 'Segoe UI', 'Helvetica Neue', Arial, sans-serif"


@dataclass(frozen=True)
class Plot:
    """A plot with its title (on the page of a run), its alternative text, and its caption (in the report)."""

    title: str
    alt: str
    svg: str
    caption: str = ""


#: Drawings of an earlier report, by what they show.
_earlier: ContextVar[Mapping[str, str]] = ContextVar("fingerpost_drawings")
_DATA_URI = re.compile(r"data:image/svg\+xml;base64,([A-Za-z0-9+/=]+)")
_SHOWS = re.compile(r'<svg data-shows="([0-9a-f]{32})"')


@contextmanager
def drawings_of(page: str) -> Iterator[None]:
    """A context that takes a plot from an earlier report where it shows the same: drawing is slow."""
    texts = (base64.b64decode(found).decode("utf-8", "replace") for found in _DATA_URI.findall(page))
    known = {found[1]: text for text in texts if (found := _SHOWS.search(text))}
    token = _earlier.set(known)
    try:
        yield
    finally:
        _earlier.reset(token)


def drawn_once(draw: Callable[..., str]) -> Callable[..., str]:
    """A drawing function that draws the same plot once: for the report, the page of a run, and the reports after it.

    Its arguments decide the plot, and their ``repr`` has to tell them apart.
    """
    kept: dict[str, str] = {}

    @functools.wraps(draw)
    def drawn(*arguments: Any, **options: Any) -> str:
        # All values of an array, with all their digits.
        with np.printoptions(threshold=sys.maxsize, floatmode="unique"):
            key = _digest(draw, repr((arguments, sorted(options.items()))))
        if key not in kept:
            while len(kept) >= 8:
                del kept[next(iter(kept))]
            svg = _earlier.get({}).get(key) or draw(*arguments, **options).replace(
                "<svg", f'<svg data-shows="{key}"', 1
            )
            kept[key] = svg
        return kept[key]

    return drawn


def _digest(draw: Callable[..., str], shown: str) -> str:
    """A hash of what a function draws, and of the code that draws it."""
    code = "".join(_source(name) for name in (__name__, draw.__module__))
    return hashlib.sha256(f"{draw.__qualname__}\0{shown}\0{code}".encode()).hexdigest()[:32]


@functools.cache
def _source(module: str) -> str:
    return Path(str(sys.modules[module].__file__)).read_text()


def on_white(svg: str) -> str:
    """The plot in light colours on white, for pages that do not follow the scheme of the reader's system."""
    start = svg.index(">", svg.index("<svg")) + 1
    light = svg[start:].replace(_dark_rules(), "")
    return f'{svg[:start]}<rect width="100%" height="100%" fill="white"/>{light}'


def data_uri(svg: str) -> str:
    """The plot as a data URI."""
    return f"data:image/svg+xml;base64,{base64.b64encode(svg.encode()).decode()}"


def new_figure(size: tuple[float, float]) -> tuple[Any, Any]:
    """A figure of that width and height in inches, and its axes."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=size, layout="constrained")
    axes = figure.add_subplot()
    axes.set_axisbelow(True)
    style_axes(axes)
    return figure, axes


def style_axes(axes: Any) -> None:
    """Applies the style that all plots share."""
    axes.patch.set_alpha(0)
    axes.tick_params(colors=MUTED, labelsize=9, length=0)
    axes.grid(color=GRID, linewidth=0.8)
    for side, spine in axes.spines.items():
        spine.set_visible(side == "bottom")
        spine.set_color(GRID)


def as_svg(figure: Any) -> str:
    """The figure as SVG with a transparent background; the same bytes for the same values."""
    import matplotlib

    sink = io.StringIO()
    plain = dict.fromkeys(("Creator", "Date", "Format", "Type"))
    with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": "fingerpost"}):
        figure.savefig(sink, format="svg", transparent=True, metadata=plain)
    text = sink.getvalue()
    start = text.index("<svg")
    inside = text.index(">", start) + 1
    return f"{text[start:inside]}\n<style>{_style()}</style>{text[inside:]}"


def themed(inside: str, width: int, height: int) -> str:
    """An SVG of some elements, with the fonts and the dark colours of all plots."""
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}">'
    return f"{head}<style>{_style()}</style>{inside}</svg>"


def _style() -> str:
    """Inserts the fonts of the reader's system, and dark colours for a dark scheme."""
    return f"text{{font-family:{_FONTS} !important}}{_dark_rules()}"


def _dark_rules() -> str:
    rules = [
        f'[style*="{kind}: {light}"]{{{kind}:{dark} !important}}'
        for light, dark in _DARK.items()
        for kind in ("fill", "stroke")
    ]
    return f"@media (prefers-color-scheme: dark){{{''.join(rules)}}}"
