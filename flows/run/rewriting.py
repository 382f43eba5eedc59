"""Runs that write earlier versions anew because a document, query or label is to be forgotten: they publish nothing."""

from contextvars import ContextVar
from dataclasses import dataclass

from schemas.inputs.forgotten import StoredInput, StoredInteractions


@dataclass(frozen=True)
class Rewriting:
    """What such a run reads instead of its inputs, where these are gone.

    Without ``index``, ``ranker`` or ``threshold`` a nightly leaves that part as it is: nothing in it was forgotten, and its
    input is gone.
    """

    source: StoredInput | None = None
    interactions: StoredInteractions | None = None
    embeddings: StoredInput | None = None
    index: bool = True
    ranker: bool = True
    threshold: bool = True


rewriting: ContextVar[Rewriting | None] = ContextVar("fingerpost_rewriting", default=None)
