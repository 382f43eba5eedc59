"""Runs that rewrite earlier versions to forget a key; they publish nothing."""

from collections.abc import Mapping
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Rewriting:
    """The inputs of a rewriting run.

    sources: by domain, the artifact in the store that is read in place of a missing input.
    left: domains that the run leaves out: nothing of theirs was forgotten, and their input is missing.
    """

    sources: Mapping[str, Any] = field(default_factory=dict)
    left: frozenset[str] = frozenset()


rewriting: ContextVar[Rewriting | None] = ContextVar("fingerpost_rewriting", default=None)


def instead_of(word: str) -> Any:
    """The artifact that a rewriting run reads in place of a domain's input; None where it reads the input."""
    current = rewriting.get()
    return current.sources.get(word) if current is not None else None
