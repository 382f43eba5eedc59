"""Answers of an index, and the conversion of similarity thresholds to search radii."""

import math
from dataclasses import dataclass

#: The minimum similarity (l2: the maximum distance) of answers, if there is one.
Radius = float | None

#: The method of answers that were found by words alone.
WORDS = "words"


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
    """Answers, best first, with the work done.

    candidates: number of candidates considered. distances, estimates: numbers of distances computed and estimated.
    method: "finger", "hnsw" or "words". within: the minimum similarity (l2: the maximum distance) of answers, if one was set.
    more: whether further documents satisfy it.
    """

    answers: list[Answer]
    candidates: int
    distances: int
    estimates: int
    method: str
    within: float | None = None
    more: bool = False


def radius_of(within: float, metric: str) -> float:
    """The radius of the index's metric for a similarity or distance: 1 - similarity, or the squared distance.

    ValueError for NaN.
    """
    if math.isnan(within):
        raise ValueError("within: expected a number, got nan; pass a similarity or a distance")
    return within**2 if metric == "l2" else 1 - within


def within_of(radius: float, metric: str) -> float:
    """The similarity, or distance, that a radius stands for: the inverse of :func:`radius_of`."""
    return math.sqrt(radius) if metric == "l2" else 1 - radius
