"""Answers of a served completer."""

from typing import Any

from fingerpost.flows.domains.autocomplete.endpoints import Typed
from fingerpost.schemas.refs import Ref
from fingerpost.schemas.store import Store
from fingerpost.tasks.autocomplete.open import LiveCompleter


def opened(store: Store, ref: Ref) -> LiveCompleter:
    """A completer release with all of its parts."""
    completer = LiveCompleter(store, ref).load()
    completer.complete((), "a", 1)
    return completer


def complete(completer: LiveCompleter, question: Typed) -> dict[str, Any]:
    """The completions of a prefix."""
    previous = [question.previous] if isinstance(question.previous, str) else question.previous
    asked = [query for query in previous if query.strip()]
    found = completer.complete(asked, question.prefix, question.k, typos=question.typos)
    return {"suggestions": [{"query": one.query, "score": one.score, "source": one.source} for one in found]}
