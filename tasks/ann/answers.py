"""What an index answers with, and how near answers may be asked to be."""

import math
from dataclasses import dataclass

#: The minimum similarity (l2: the maximum distance) of answers, if there is one.
Radius = float | None


@dataclass(frozen=True)
class Answer:
    """One answer: the document, its score (higher is nearer) and the first sentence of its text."""

    id: str
    title: str
    kind: str
    package: str
    score: float
    first_sentence: str


@dataclass(frozen=True)
class Answers:
    """Answers, best first, with the candidates that were looked at and the distances that were computed.

    within: the least similarity, or the largest distance, that answers were to have, if there was one; more: others have it too.
    """

    answers: list[Answer]
    candidates: int
    distances: int
    estimates: int
    method: str
    within: float | None = None
    more: bool = False


def radius_of(within: float, metric: str) -> float:
    """As an index measures: 1 - similarity, or the squared distance; ValueError for a NaN."""
    if math.isnan(within):
        raise ValueError("within: expected a number, got nan; say which answers are near enough")
    return within**2 if metric == "l2" else 1 - within


def told_radius(radius: float, metric: str) -> float:
    """A radius as people say it: the inverse of :func:`radius_of`."""
    return math.sqrt(radius) if metric == "l2" else 1 - radius
