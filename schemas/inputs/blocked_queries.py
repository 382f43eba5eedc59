"""Queries that are never suggested, from a user's file."""

from dataclasses import dataclass
from typing import Protocol

import pyarrow as pa
import pyarrow.compute as pc

from fingerpost.schemas.inputs.checks_cells import text_cells
from fingerpost.schemas.inputs.files import input_files, input_fingerprint
from fingerpost.schemas.inputs.formats import Reading, read_file
from fingerpost.schemas.inputs.forms import Form
from fingerpost.schemas.inputs.suppression import Suppressed
from fingerpost.schemas.refs import digest_of

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
        identity, reading = input_fingerprint(self.path, {}), self._reading()
        if self.suppressed is None:
            return identity
        self._texts(reading)
        return digest_of([identity, sorted(reading.dropped)]) if reading.dropped else identity

    def read(self) -> list[str]:
        """The texts, sorted; values that are no text are left out. InputError if it cannot be read."""
        return self._texts(self._reading())

    def _reading(self) -> Reading:
        return Reading({}, suppressed=self.suppressed, form=BLOCKED_QUERIES)

    def _texts(self, reading: Reading) -> list[str]:
        texts: set[str] = set()
        for file in input_files(self.path):
            for batch in read_file(file, reading):
                cells = batch.columns.get("query", pa.nulls(len(batch.rows)))
                texts |= set(pc.utf8_trim_whitespace(text_cells("query", cells, _ignored)).to_pylist())
        return sorted(texts - {""})


def _ignored(i: int, reason: str, detail: str) -> None:
    """Reports nothing: a text that nobody can type needs no blocking."""
