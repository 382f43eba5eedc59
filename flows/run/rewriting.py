"""Runs that rewrite earlier versions because a key is to be forgotten: they publish nothing."""

from collections.abc import Mapping
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Rewriting:
    """What such a run reads and makes.

    sources: by domain, what is read from the store instead of an input that is gone. left: domains whose part of a nightly
    stays as it is: nothing in it was forgotten, and its input is gone.
    """

    sources: Mapping[str, Any] = field(default_factory=dict)
    left: frozenset[str] = frozenset()


rewriting: ContextVar[Rewriting | None] = ContextVar("fingerpost_rewriting", default=None)


def instead_of(word: str) -> Any:
    """What the running rewrite reads instead of a domain's input; None where that input is read."""
    current = rewriting.get()
    return current.sources.get(word) if current is not None else None
