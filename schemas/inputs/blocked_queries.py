"""Queries that are never suggested, from a user's file."""

from dataclasses import dataclass
from typing import Protocol

import pyarrow as pa
import pyarrow.compute as pc

from fingerpost.schemas.inputs.checks_cells import text_cells
from fingerpost.schemas.inputs.formats import Reading
from fingerpost.schemas.inputs.forms import Form
from fingerpost.schemas.inputs.keyed_files import keyed_identity, read_files
from fingerpost.schemas.inputs.suppression import Suppressed

BLOCKED_QUERIES = Form(("query",), needed=("query",), option="", keys=("query",), spelled=("query",), private=True)


class BlockedSource(Protocol):
    """Texts that are never suggested, from outside the store; ``str`` is their name for users."""

    def __str__(self) -> str:
        """The path or name."""
        ...

    def identity(self) -> str:
        """A digest of their content."""
        ...

    def read(self) -> list[str]:
        """The texts."""
        ...


@dataclass(frozen=True)
class BlockedQueries:
    """A file with the column ``query``: texts that are never suggested, whatever their case, accents and separators.

    suppressed: forgotten texts, whose rows are left out.
    """

    path: str
    suppressed: Suppressed | None = None

    def __str__(self) -> str:
        return self.path

    def identity(self) -> str:
        """A digest of the contents and of the suppressed keys in them; InputError if it cannot be read."""
        return keyed_identity(self.path, self._reading())

    def read(self) -> list[str]:
        """The texts, sorted; values that are no text are left out. InputError if it cannot be read."""
        texts: set[str] = set()
        for batch in read_files(self.path, self._reading()):
            cells = batch.columns.get("query", pa.nulls(len(batch.rows)))
            texts |= set(pc.utf8_trim_whitespace(text_cells("query", cells, _ignored)).to_pylist())
        return sorted(texts - {""})

    def _reading(self) -> Reading:
        return Reading({}, suppressed=self.suppressed, form=BLOCKED_QUERIES)


def _ignored(i: int, reason: str, detail: str) -> None:
    """Reports nothing: a text that nobody can type needs no blocking."""
