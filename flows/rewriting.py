"""Runs that write earlier versions anew because a document is to be forgotten: they publish nothing."""

from contextvars import ContextVar
from dataclasses import dataclass

from schemas.inputs.forgotten import StoredInput


@dataclass(frozen=True)
class Rewriting:
    """What such a run reads instead of its input, where that is gone."""

    source: StoredInput | None = None


rewriting: ContextVar[Rewriting | None] = ContextVar("fingerpost_rewriting", default=None)
