"""Tables of a section on the page of a run."""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class PageTable:
    """A table with its title, the names of its columns, and its rows as people read them."""

    title: str
    head: Sequence[str]
    rows: Sequence[Sequence[str]]
