"""Answers nearest to a vector, whose documents are read when they are looked at."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fingerpost.tasks.ann.answers import DENSE_MEASURES, Answer, Answers, dense_score
from fingerpost.tasks.ann.search import SearchCounters
from fingerpost.tasks.ann.served import Document
from fingerpost.tasks.corpus.sentences import first_sentence


@dataclass(frozen=True)
class Documents:
    """How documents are read by row: their ids alone, and what answers show of them; metric: of their index."""

    ids: Callable[[NDArray[np.integer]], list[str]]
    shown: Callable[[NDArray[np.integer]], Sequence[Document]]
    metric: str


class NearAnswers(Answers):
    """Answers by vectors alone. ``ids`` and ``scores`` read nothing else of the documents; ``answers`` are made once."""

    _found: tuple[Documents, NDArray[np.integer], NDArray[np.float32]]

    def __getattr__(self, name: str) -> Any:
        # Called for what an instance lacks: the answers, until they are asked for.
        if name not in ("answers", "spellings") or "_found" not in self.__dict__:
            raise AttributeError(f"{type(self).__name__} has no attribute {name!r}")
        made = self.__dict__[name] = self._made() if name == "answers" else {}
        return made

    def __reduce__(self) -> Any:
        return Answers, tuple(getattr(self, field.name) for field in fields(self))

    @property
    def ids(self) -> list[str]:
        """The ids of the documents."""
        return self._found[0].ids(self._found[1]) if "_found" in self.__dict__ else super().ids

    @property
    def scores(self) -> list[float]:
        """What the answers are ordered by."""
        if "_found" not in self.__dict__:
            return super().scores
        documents, _, distances = self._found
        return [round(dense_score(distance, documents.metric), 6) for distance in distances.tolist()]

    def _made(self) -> list[Answer]:
        documents, rows, _ = self._found
        return [
            Answer(
                document["id"],
                document["title"],
                document["kind"],
                document["package"],
                score,
                first_sentence(document["text"]),
                dense=score,
                dense_rank=place,
            )
            for place, (document, score) in enumerate(zip(documents.shown(rows), self.scores, strict=True), 1)
        ]


def near_answers(
    documents: Documents,
    rows: NDArray[np.integer],
    distances: NDArray[np.float32],
    candidates: int,
    counters: SearchCounters,
    search: str,
) -> NearAnswers:
    """The answers that are the documents of rows (m,) at distances (m,), nearest first.

    candidates: number of documents considered. search: how the graph was searched.
    """
    made = object.__new__(NearAnswers)
    # Not by the constructor, which would need the answers.
    made.__dict__.update(
        candidates=candidates,
        distances=counters.distances,
        estimates=counters.estimates,
        method="dense",
        search=search,
        measure=DENSE_MEASURES[documents.metric],
        _found=(documents, rows, distances),
    )
    return made
