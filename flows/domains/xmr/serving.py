"""Answers of a served ranker."""

from typing import Any

from fingerpost.flows.domains.xmr.endpoints import Ranked
from fingerpost.schemas.refs import Ref
from fingerpost.schemas.store import Store
from fingerpost.tasks.xmr.open import LiveRanker, RankedLabel


def opened(store: Store, ref: Ref) -> LiveRanker:
    """A ranker release with all of its parts."""
    ranker = LiveRanker(store, ref).load()
    # What a first question prepares is then prepared for all processes.
    ranker.rank("a", 1)
    return ranker


def rank(ranker: LiveRanker, question: Ranked) -> dict[str, Any]:
    """The labels for a text."""
    return _labels(ranker.rank(question.text, question.k))


def rank_many(ranker: LiveRanker, questions: list[Ranked]) -> list[dict[str, Any]]:
    """The labels for each text, ranked together where they ask for as many."""
    sizes = {question.k for question in questions}
    if len(sizes) > 1:
        return [rank(ranker, question) for question in questions]
    found = ranker.rank_many([question.text for question in questions], sizes.pop())
    return [_labels(answers) for answers in found]


def _labels(answers: list[RankedLabel]) -> dict[str, Any]:
    return {
        "labels": [
            {"id": answer.id, "name": answer.name, "score": answer.score, "probability": answer.probability}
            for answer in answers
        ]
    }
