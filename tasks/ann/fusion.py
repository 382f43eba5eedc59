"""Fusion of lexical and dense search: one score of a document from the words it shares with a query and from its vector.

A document is scored by its own words and by those of the documents that resemble it (score regularization: Diaz,
Regularizing query-based retrieval scores, 2007, section 3; Kurland and Lee, Corpus structure, language models, and ad hoc
information retrieval, 2004), and that is blended with the cosine of its vector (a linear combination: Vogt and Cottrell,
Fusion via a linear combination of scores, 1999). The lexical part is divided by its largest value among the candidates, so
that both parts end at 1 and a score does not depend on how many candidates there are.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fingerpost.tasks.corpus.feedback import FeedbackParams


@dataclass(frozen=True)
class AnswerParams:
    """How texts are answered.

    dense_share: weight of the cosine in the score, 0 to 1; 0: words alone, 1: vectors alone.
    near_share: weight of the nearest neighbours' words in the lexical part, 0 to below 1.
    feedback: terms that the first answers add to the query; none where it is None.
    candidates: number of documents that words and vectors propose each, at least 1.

    ValueError for values out of range.
    """

    dense_share: float = 0.2
    near_share: float = 0.2
    feedback: FeedbackParams | None = field(default_factory=FeedbackParams)
    candidates: int = 100

    def __post_init__(self) -> None:
        if not 0 <= self.dense_share <= 1 or not 0 <= self.near_share < 1 or self.candidates < 1:
            raise ValueError(
                "answers: expected dense_share from 0 to 1, near_share from 0 to below 1 and at least 1 candidate, "
                f"got {self.dense_share}, {self.near_share} and {self.candidates}; correct them"
            )

    @property
    def uses_lexical(self) -> bool:
        """Whether words take part in the score."""
        return self.dense_share < 1

    @property
    def uses_dense(self) -> bool:
        """Whether vectors take part in the score."""
        return self.dense_share > 0

    @property
    def uses_neighbors(self) -> bool:
        """Whether the nearest neighbours' words take part in the score."""
        return self.uses_lexical and self.near_share > 0

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> "AnswerParams":
        """The inverse of ``dataclasses.asdict``. ValueError for other names."""
        known = {part.name for part in fields(cls)}
        if set(values) != known:
            raise ValueError(
                f"answers: expected the names {sorted(known)}, got {sorted(values)}; tune the search again"
            )
        feedback = values["feedback"]
        return cls(**{**values, "feedback": None if feedback is None else FeedbackParams(**feedback)})

    def values(self) -> dict[str, Any]:
        """The parameters as plain values, for :meth:`of`."""
        return asdict(self)


def only_lexical(params: AnswerParams) -> AnswerParams:
    """The parameters with words alone: no vectors, neither the query's nor the neighbours'."""
    return replace(params, dense_share=0.0, near_share=0.0)


def only_dense(params: AnswerParams) -> AnswerParams:
    """The parameters with vectors alone."""
    return replace(params, dense_share=1.0, near_share=0.0, feedback=None)


def near_scores(scores: NDArray[np.float32], cosines: NDArray[np.float32]) -> NDArray[np.float32]:
    """Means of the lexical scores of documents' neighbours, weighted by cosine: float32 (c,).

    scores, cosines: float32 (c, m) of each document's m neighbours; a cosine of 0 or below, such as that of a missing
    neighbour, does not count. A document without neighbours gets 0.
    """
    weights = np.maximum(cosines.astype(np.float64), 0.0)
    totals = weights.sum(axis=1)
    sums = np.einsum("ij,ij->i", weights, scores.astype(np.float64))
    return np.divide(sums, totals, out=np.zeros(len(sums)), where=totals > 0).astype(np.float32)


def fuse(
    lexical: NDArray[np.float32], near: NDArray[np.float32], dense: NDArray[np.float32], params: AnswerParams
) -> NDArray[np.float32]:
    """The scores of candidates, float32 (c,), at most 1.

    lexical: their lexical scores, at least 0; near: those of their neighbours (`near_scores`); dense: their cosines with
    the query; all float32 (c,). Where no candidate has a common term, cosines alone decide.
    """
    words = (1.0 - params.near_share) * lexical.astype(np.float64) + params.near_share * near
    largest = words.max(initial=0.0)
    if largest > 0:
        words /= largest
    return np.asarray((1.0 - params.dense_share) * words + params.dense_share * dense, dtype=np.float32)
