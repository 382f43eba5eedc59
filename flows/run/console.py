"""Where commands print for people."""

from rich.console import Console


def wide_console() -> Console:
    """A console as wide as the terminal, or wide enough for a line each where the output goes to a file or pipe."""
    console = Console(highlight=False)
    return console if console.is_terminal else Console(highlight=False, width=200)
