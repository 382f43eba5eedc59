"""The answers of a completer to real requests, for ``replay``. Imports no Prefect.

A query of the file is a request in one line: ``first query > second query > prefix``, the queries in the order they
were asked; without `` > `` it is a prefix alone. Judged ids are texts of suggestions.
"""

from collections.abc import Collection, Sequence

from fingerpost.schemas.errors import InputError
from fingerpost.schemas.refs import Ref
from fingerpost.schemas.store import Store
from fingerpost.tasks.autocomplete.open import LiveCompleter
from fingerpost.tasks.autocomplete.request import Request, RequestError, request_of

#: The number of requests that are completed together.
_TOGETHER = 4096


class CompleterAnswers:
    """Requests answered with the texts of suggestions."""

    def __init__(self, completer: LiveCompleter) -> None:
        self._completer = completer

    def answer(self, texts: Sequence[str], k: int) -> list[list[str]]:
        """The k best suggestions for each request."""
        requests = [checked_request(text) for text in texts]
        parts = (requests[start : start + _TOGETHER] for start in range(0, len(requests), _TOGETHER))
        many = (found for part in parts for found in self._completer.complete_many(part, k))
        return [[suggestion.query for suggestion in found] for found in many]

    def holds(self, ids: Collection[str]) -> set[str]:
        """The ids among ``ids`` that are texts of suggestions."""
        names = self._completer.completer.names
        return set(ids) & set(names.between(0, len(names)))


def checked_request(line: str) -> Request:
    """The request of a line; InputError for one that is none."""
    try:
        return request_of(line)
    except RequestError as problem:
        raise InputError(str(problem)) from problem


def answerer(store: Store, ref: Ref) -> CompleterAnswers:
    """The answers of a published completer."""
    return CompleterAnswers(LiveCompleter(store, ref))
