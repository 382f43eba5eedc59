"""The console that commands print to."""

from rich.console import Console


def wide_console() -> Console:
    """A console as wide as the terminal; for a file or pipe, wide enough that no table row is wrapped."""
    console = Console(highlight=False)
    return console if console.is_terminal else Console(highlight=False, width=200)
