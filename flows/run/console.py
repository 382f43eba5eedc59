"""The console that commands print tables and paragraphs to. It prints text as text.

No markup, no emoji codes, no highlighting: ``[x]`` and ``:smile:`` of a title stay what they are, and control
characters are visible escapes. What is styled is styled by :func:`styled`, never by markup within a text.
"""

from typing import Any

from rich.console import Console, ConsoleOptions, RenderResult
from rich.table import Table
from rich.text import Text

from fingerpost.flows.run.plain_text import reader_gone, visible

#: The width for a file or a pipe: no row of a table is folded there.
_UNFOLDED = 100_000


class TextConsole(Console):
    """A console whose strings, also those in tables, are printed as they are, each on one line."""

    def __init__(self, *, stderr: bool = False, quiet: bool = False, width: int | None = None) -> None:
        super().__init__(stderr=stderr, quiet=quiet, width=width, markup=False, emoji=False, highlight=False)

    def render_str(self, text: str, **options: Any) -> Text:
        """A string as text for the terminal; every string that is printed passes here."""
        plain = {"emoji": False, "markup": False, "highlight": False, "highlighter": None}
        return super().render_str(visible(text), **options | plain)

    def on_broken_pipe(self) -> None:
        """Ends the command where whoever read its output has ended."""
        self.quiet = True
        reader_gone()

    def tell(self, *parts: str | tuple[str, str], style: str = "") -> None:
        """Prints one line, however long, of strings and of strings with their styles."""
        self.print(styled(*parts), style=style, soft_wrap=True)


class TextTable(Table):
    """A table without lines; each cell is one line of text.

    A heading, if there is one, stands above it; one that begins with a line break gets an empty line above.
    """

    def __init__(self, *columns: str, heading: str = "") -> None:
        super().__init__(box=None, pad_edge=False, header_style="bold")
        self.heading = heading
        for column in columns:
            self.add_column(
                column.removesuffix(">"), justify="right" if column.endswith(">") else "left", overflow="fold"
            )

    def add_row(self, *cells: Any, **options: Any) -> None:
        """Adds a row of strings and styled texts."""
        super().add_row(*(visible(cell) if isinstance(cell, str) else cell for cell in cells), **options)

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        if self.heading:
            # Not rich's own title, which is broken into lines where the table is narrower.
            yield from [Text()] if self.heading.startswith("\n") else []
            yield styled((self.heading.removeprefix("\n"), "italic"))
        if not console.is_terminal:
            for column in self.columns:
                column.max_width = None
        yield from super().__rich_console__(console, options)


def wide_console() -> TextConsole:
    """A console as wide as the terminal; for a file or pipe, wide enough that no table row is folded."""
    console = TextConsole()
    return console if console.is_terminal else TextConsole(width=_UNFOLDED)


def styled(*parts: str | tuple[str, str]) -> Text:
    """One line of parts, each a string or a string with its style; control characters are escaped."""
    text = Text()
    for part in parts:
        words, style = (part, "") if isinstance(part, str) else part
        text.append(visible(words), style=style)
    return text


def table_of(heading: str, *columns: str) -> TextTable:
    """A plain table with a heading above it, or none; columns that end in ``>`` are aligned to the right."""
    return TextTable(*columns, heading=heading)
