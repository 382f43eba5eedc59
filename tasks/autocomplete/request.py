"""Requests for completions: the queries asked before, and the prefix typed so far, also as one line of text."""

import json
import re
from dataclasses import dataclass

_LIST = re.compile(r'\s*\[\s*"')
_SEPARATOR = re.compile(r"(?:^|\s)>(?=\s|$)")


class RequestError(ValueError):
    """A line of text that is no request."""


@dataclass(frozen=True)
class Request:
    """previous: the queries of the session, in the order in which they were asked. prefix: what is typed so far."""

    previous: tuple[str, ...] = ()
    prefix: str = ""

    def __str__(self) -> str:
        """The line that :func:`request_of` reads as this request."""
        line = " > ".join((*self.previous, self.prefix)) if self.previous else self.prefix
        same = not line.lstrip().startswith("[") and request_of(line) == self
        return line if same else json.dumps([*self.previous, self.prefix], ensure_ascii=False)


def request_of(line: str) -> Request:
    """The request of a line: ``"first query > second query > prefix"``, the queries in the order they were asked.

    A line without `` > `` is a prefix alone; one that ends in `` >`` asks for the next query. Queries that contain
    `` > `` are written as a JSON list of strings, whose last one is the prefix. Empty queries are left out.

    Raises RequestError for a line that begins as a JSON list of strings, ``["``, and is none.
    """
    if _LIST.match(line):
        *previous, prefix = _listed(line)
    else:
        *previous, prefix = _SEPARATOR.split(line)
        # What follows the prefix is part of it: `num ` is the beginning of fewer queries than `num`.
        previous, prefix = [query.strip() for query in previous], prefix.lstrip()
    return Request(tuple(query for query in previous if query.strip()), prefix)


def previous_of(line: str) -> tuple[str, ...]:
    """The queries of a line without a prefix: ``"first query > second query"``, or a JSON list of strings."""
    queries = _listed(line) if _LIST.match(line) else [query.strip() for query in _SEPARATOR.split(line)]
    return tuple(query for query in queries if query.strip())


def _listed(line: str) -> list[str]:
    try:
        parts = json.loads(line)
    except (ValueError, RecursionError) as problem:
        raise RequestError(
            f"request: expected a JSON list of strings after '[\"', got another text ({problem}); close the list, or"
            " write the queries as `first > second > prefix`"
        ) from problem
    if not all(isinstance(part, str) for part in parts):
        raise RequestError("request: expected a JSON list of strings, got other values in it; quote them")
    return list(parts)
