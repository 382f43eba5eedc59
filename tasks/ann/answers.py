"""Answers of an index, and the conversion of similarity thresholds to search radii."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import ClassVar, Literal

from fingerpost.tasks.corpus.snippets import Snippet
from fingerpost.tasks.results import Listing

#: The minimum similarity (l2: the maximum distance) of answers, if there is one.
Radius = float | None

#: How answers were ranked: by both sides together, by words alone, or by vectors alone.
Method = Literal["fused", "lexical", "dense"]


@dataclass(frozen=True)
class MatchedTerm:
    """A term that an answer shares with the query, and its part of the lexical score.

    added: the term is not one of the query's own but came from the best answers of a first search (feedback).
    """

    term: str
    weight: float
    added: bool


@dataclass(frozen=True)
class Answer:
    """One answer: the document, its score, and what the score was made of.

    score: what answers are ordered by; ``Answers.measure`` says what it is. lexical: sum of what the query's terms weigh in it. dense: similarity of
    the vectors. lexical_rank, dense_rank: the position, from 1, among the candidates of each side; None where that side
    did not propose the document. first_sentence: of its text. terms: the matched terms, heaviest first; snippet: the
    part of the text that matches best. Both are made on demand only.
    """

    id: str
    title: str
    kind: str
    package: str
    score: float
    first_sentence: str
    lexical: float | None = None
    dense: float | None = None
    lexical_rank: int | None = None
    dense_rank: int | None = None
    terms: tuple[MatchedTerm, ...] = ()
    snippet: Snippet | None = None


@dataclass(frozen=True, repr=False)
class Answers(Listing[Answer]):
    """Answers, best first, with how they were found: a sequence of `Answer`, with ``to_pandas()`` and ``to_arrow()``.

    candidates: number of documents considered. distances, estimates: numbers of distances computed and estimated.
    method: how answers are ranked. search: "finger", "hnsw", or "" where no graph was searched. measure: the name of
    what ``score`` is. within: the minimum similarity (l2: the maximum distance) of answers, if one was set. more: whether
    further documents satisfy it. missing: words of the query that no document has; spellings: near words that documents
    have, by missing word, made on demand. collapsed: number of near-duplicates of answers left out.
    """

    answers: list[Answer]
    candidates: int
    distances: int
    estimates: int
    method: Method
    search: str = ""
    measure: str = ""
    within: float | None = None
    more: bool = False
    missing: tuple[str, ...] = ()
    spellings: dict[str, list[str]] = field(default_factory=dict)
    collapsed: int = 0

    _columns_shown: ClassVar[tuple[str, ...]] = ("rank", "id", "title", "kind", "score", "first_sentence")

    def _listed(self) -> tuple[type[Answer], Sequence[Answer]]:
        return Answer, self.answers

    @property
    def ids(self) -> list[str]:
        """The ids of the documents."""
        return [answer.id for answer in self.answers]

    @property
    def scores(self) -> list[float]:
        """What the answers are ordered by."""
        return [answer.score for answer in self.answers]


#: What the score of an answer by vectors is, by the metric of the index.
DENSE_MEASURES = {"cosine": "cosine similarity", "ip": "inner product", "l2": "Euclidean distance"}
#: What the score of an answer to a text is, by the method.
MEASURES: dict[Method, str] = {
    "fused": "fused score",
    "lexical": "relative lexical score",
    "dense": "cosine similarity",
}


def dense_score(distance: float, metric: str) -> float:
    """The similarity that a distance of the metric stands for; for l2 the Euclidean distance, lower is nearer."""
    return math.sqrt(max(distance, 0.0)) if metric == "l2" else 1.0 - distance


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
