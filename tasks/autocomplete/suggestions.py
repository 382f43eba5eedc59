"""Suggestions: the queries that may be shown to anybody, asked by enough users and not blocked.

A query that few people asked may name its author, and is withheld (k-anonymity; Sweeney, IJUFKS 10(5), 2002, with users
as the individuals). So are queries that look like personal data, however many asked them.
"""

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fingerpost.tasks.autocomplete.sessions import distinct_users

#: Texts with one of these are blocked: addresses of e-mail, URLs with credentials, and named secrets.
PATTERNS = (
    re.compile(r"[^\s@]@[^\s@]+\.[^\s@]"),
    re.compile(r"://[^/\s@]*:[^/\s@]*@"),
    re.compile(
        r"(?:\b|_)(?:password|passwd|pwd|secret|token|(?:api|access)[ _-]?key|session[ _-]?id)\s*[=:]\s*\S", re.I
    ),
)
#: So are seven digits or more, also with signs between them: telephones, cards, accounts, dates of birth.
DIGITS = re.compile(r"\d(?:[\s()./+_\-\u2010-\u2015]{0,3}\d){6}")
#: But spans of years are not.
_YEARS = re.compile(r"(?<!\d)(?:1[89]|20)\d\d\s*[ /\-\u2010-\u2015]\s*(?:1[89]|20)\d\d(?!\d)")

_DAY = 86_400_000_000.0
_GRID = 2.0**32


@dataclass(frozen=True)
class SuggestionParams:
    """Parameters of suggestions.

    min_users: minimum number of distinct users who asked a query. half_life_days: the age at which an event counts half;
        0 for no decay. patterns: whether texts that look like personal data are blocked.
    """

    min_users: int = 2
    half_life_days: float = 30.0
    patterns: bool = True

    def __post_init__(self) -> None:
        if self.min_users < 1:
            raise ValueError(f"min_users: expected at least 1, got {self.min_users}; 2 is the minimum for privacy")
        check_half_life(self.half_life_days)


@dataclass(frozen=True)
class Suggestions:
    """The suggestions, ascending by the UTF-8 bytes of their keys, m of them.

    rows: int64 (m,), rows of the queries. users: int64 (m,), number of distinct users. weights: float32 (m,), decayed
    number of events. withheld, blocked: number of queries of too few users, and of blocked ones among the others.
    """

    rows: NDArray[np.int64]
    users: NDArray[np.int64]
    weights: NDArray[np.float32]
    withheld: int
    blocked: int


def select(
    texts: Sequence[str],
    keys: Sequence[str],
    steps: tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]],
    params: SuggestionParams,
    *,
    blocked: Collection[str] = (),
) -> Suggestions:
    """The queries that may be suggested.

    texts, keys: of q queries the text that is shown and the matching key. steps: rows of the queries, numbers of the users
    and times of the events that count, int64 (t,) each. blocked: matching keys that are never suggested.
    """
    queries, users, times = steps
    asked_by = distinct_users(queries, users, len(texts))
    enough = np.flatnonzero(asked_by >= params.min_users).tolist()
    never = frozenset(blocked)
    allowed = [row for row in enough if not is_blocked(texts[row], keys[row], never, patterns=params.patterns)]
    # Code points ascend as the bytes of UTF-8 do.
    rows = np.array(sorted(allowed, key=lambda row: keys[row]), dtype=np.int64)
    weights = np.bincount(queries, weights=decayed(times, params.half_life_days), minlength=len(texts))
    few = int((asked_by > 0).sum()) - len(enough)
    return Suggestions(rows, asked_by[rows], weights[rows].astype(np.float32), few, len(enough) - len(allowed))


def is_blocked(text: str, key: str, blocked: Collection[str], *, patterns: bool = True) -> bool:
    """Whether a query must not be suggested: its key is in ``blocked``, or its text or key looks like personal data."""
    return key in blocked or (patterns and (looks_personal(text) or looks_personal(key)))


def looks_personal(text: str) -> bool:
    """Whether a text contains an address of e-mail, a long number, or credentials."""
    digits = DIGITS.search(text) and DIGITS.search(_YEARS.sub("years", text))
    return bool(digits) or any(pattern.search(text) for pattern in PATTERNS)


def decayed(times: NDArray[np.int64], half_life_days: float, newest: int | None = None) -> NDArray[np.float64]:
    """The weight of each event, float64: 0.5 ** (age / half-life), and 1 for events without a time.

    The age is counted from the ``newest`` time, by default that of the events themselves; later ones have the weight 1.
    Weights are whole multiples of 2 ** -32, at least one, so that their sums depend neither on order nor on machine.
    """
    if not half_life_days:
        return np.ones(len(times))
    latest = int(times.max(initial=-1)) if newest is None else newest
    ages = np.where(times < 0, 0.0, np.maximum(latest - times, 0) / _DAY)
    return np.asarray(np.maximum(np.rint(np.exp2(-ages / half_life_days) * _GRID), 1) / _GRID)


def check_half_life(days: float) -> None:
    """ValueError unless a half-life is positive, or 0 for none."""
    if not 0 <= days < float("inf"):
        raise ValueError(f"half_life_days: expected 0 (no decay) or more, got {days}; 30 is usual")
