"""Columns beside the bars of stages: a door to the terminal as the console is, apart from it for what it takes to import."""

from collections.abc import Callable

from rich.progress import ProgressColumn, Task
from rich.text import Text

from fingerpost.flows.run.plain_text import visible


class FactColumn(ProgressColumn):
    """A column of bars of progress that shows what ``said`` tells of a bar's task."""

    def __init__(self, said: Callable[[Task], str]) -> None:
        super().__init__()
        self._said = said

    def render(self, task: Task) -> Text:
        """The column of one bar."""
        return Text(visible(self._said(task)))
