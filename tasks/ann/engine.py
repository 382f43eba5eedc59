"""Text queries: candidates by words and by vectors, each scored by both sides, fused to one ranking."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from fingerpost.tasks.ann.answers import Method
from fingerpost.tasks.ann.dense_side import DenseSide
from fingerpost.tasks.ann.filtered import NOTHING
from fingerpost.tasks.ann.fusion import AnswerParams, fuse, near_scores, only_lexical
from fingerpost.tasks.ann.graph import NONE
from fingerpost.tasks.ann.search import SearchCounters
from fingerpost.tasks.corpus.analyzer import Analyzer
from fingerpost.tasks.corpus.feedback import expand, quotes
from fingerpost.tasks.corpus.lexicon import Lexicon
from fingerpost.tasks.corpus.postings import Postings

#: What a stop word of a query counts, the number of other terms below which stop words find candidates too, and the number
#: of terms of a document as a query.
STOP_WEIGHT, FEW_TERMS, LIKE_TERMS = 0.3, 3, 25
#: The number of first documents that a text may be a quotation of.
QUOTED_AMONG = 10
#: A lexical query: columns of the lexicon, int64 (q,), ascending, and weights float32 (q,).
Terms = tuple[NDArray[np.int64], NDArray[np.float32]]
#: Rows int64 (r,), best first, and their scores float32 (r,).
Found = tuple[NDArray[np.int64], NDArray[np.float32]]
_NO_TERMS: Terms = np.empty(0, np.int64), np.empty(0, np.float32)


@dataclass(frozen=True)
class Question:
    """An analysed query.

    terms: those that candidates are found by. stop_words: those that only help to order the candidates, which share one
    of the terms, so that no list of half the documents is read. vector: float32 (d,) of norm 1; zeros where the dense
    side knows none of the terms, empty where there is none. asked: int64, all distinct terms of a text, -1 for those that
    the lexicon lacks; None where the query is no text.
    """

    terms: Terms
    stop_words: Terms
    vector: NDArray[np.float32]
    asked: NDArray[np.int64] | None = None


@dataclass(frozen=True)
class Sides:
    """The candidates of both sides, each scored by both.

    rows: int64 (c,), ascending. lexical: float32 (c,), the sum over terms of what each weighs in the document. near:
    float32 (c,), the same of the document's nearest neighbours on average. dense: float32 (c,), cosine similarity; 0
    without a dense side. lexical_rank, dense_rank: int64 (c,), the position from 1 among the candidates of a side, 0 where
    it did not propose the row. columns, weights: the lexical query, with what feedback added.
    """

    rows: NDArray[np.int64]
    lexical: NDArray[np.float32]
    near: NDArray[np.float32]
    dense: NDArray[np.float32]
    lexical_rank: NDArray[np.int64]
    dense_rank: NDArray[np.int64]
    columns: NDArray[np.int64]
    weights: NDArray[np.float32]
    counters: SearchCounters


@dataclass(frozen=True)
class Ranking:
    """The places of the answers among the candidates ``sides``, best first, int64 (m,), and their scores float32 (m,).

    method: how they were ranked.
    """

    method: Method
    question: Question
    sides: Sides
    order: NDArray[np.int64]
    scores: NDArray[np.float32]

    @property
    def rows(self) -> NDArray[np.int64]:
        """The rows of the answers, int64 (m,), best first."""
        return self.sides.rows[self.order]


@dataclass(frozen=True)
class Engine:
    """Everything that answers text queries, shared by evaluation, tuning and the live index.

    dense: None where the vectors of documents were given with them; then words alone rank.
    """

    analyzer: Analyzer
    lexicon: Lexicon
    postings: Postings
    dense: DenseSide | None
    params: AnswerParams

    def question(self, text: str) -> Question:
        """A text as a query: its terms, each as often as it occurs.

        Where they are few, stop words are terms like others, those of a query of nothing else with their whole weight. A
        text that is the name of documents, or its last part, has the key of that name as a further term.
        """
        columns = self.lexicon.columns(self.analyzer.query_tokens(text))
        asked, counts = np.unique(columns, return_counts=True)
        known, weights = asked[asked >= 0], counts[asked >= 0].astype(np.float32)
        stop = self.lexicon.stop[known]
        if not stop.all():
            weights[stop] *= np.float32(STOP_WEIGHT)
        content = known[~stop], weights[~stop]
        vector = self.dense.vector(*content) if self.dense else np.empty(0, np.float32)
        keys = self.lexicon.columns(self.analyzer.query_keys(text))
        named = keys[keys >= 0], np.ones(int((keys >= 0).sum()), np.float32)
        if len(content[0]) < FEW_TERMS:
            return Question(_joined((known, weights), named), _NO_TERMS, vector, asked)
        return Question(_joined(content, named), (known[stop], weights[stop]), vector, asked)

    def question_like(self, row: int) -> Question:
        """A document as a query: its heaviest terms, by their weight in it, and its vector."""
        own = slice(*self.postings.forward_indptr[row : row + 2])
        columns, weights = self.postings.forward_terms[own].astype(np.int64), self.postings.forward_weights[own]
        content = ~self.lexicon.stop[columns]
        columns, weights = columns[content], weights[content]
        chosen = np.sort(np.lexsort((columns, -weights))[:LIKE_TERMS])
        vector = self.dense.index.vectors[row] if self.dense else np.empty(0, np.float32)
        return Question((columns[chosen], weights[chosen]), _NO_TERMS, vector)

    def answer(self, questions: Sequence[Question], k: int, *, keep: NDArray[np.bool_] | None = None) -> list[Ranking]:
        """The best k rows of each question, by fused score, ties by row; keep: bool (n,), the rows that count.

        A text that reads like a passage of one of the first documents by words is answered by its words alone.
        """
        found = [self.ranked(question, k, keep=keep) for question in questions]
        return [replace(ranking, order=ranking.order[:k], scores=ranking.scores[:k]) for ranking in found]

    def ranked(self, question: Question, k: int, *, keep: NDArray[np.bool_] | None = None) -> Ranking:
        """All candidates in their order: at least k of each side, if there are as many."""
        first = self._first(question, keep)
        params = self._params_for(question, first)
        sides = self._sides(question, first, params, k, keep)
        scores = fuse(sides.lexical, sides.near, sides.dense, params)
        order = np.lexsort((sides.rows, -scores))
        return Ranking(self._method(params), question, sides, order, scores[order])

    def sides(self, question: Question, k: int, *, keep: NDArray[np.bool_] | None = None) -> Sides:
        """The candidates of a question on both sides: at least k each, if there are as many, of the rows that count."""
        first = self._first(question, keep)
        return self._sides(question, first, self._params_for(question, first), k, keep)

    def _first(self, question: Question, keep: NDArray[np.bool_] | None) -> Found:
        """What a text finds by its own words: for feedback, and to tell whether it is a quotation."""
        feedback = self.params.feedback
        if question.asked is None or not self.params.uses_lexical:
            return _NO_TERMS
        return self.postings.best(*question.terms, max(feedback.documents if feedback else 0, QUOTED_AMONG), keep)

    def _params_for(self, question: Question, first: Found) -> AnswerParams:
        """How a question is answered: as chosen, a quotation by its own words alone."""
        if question.asked is None or not quotes(question.asked, first[0][:QUOTED_AMONG], self.postings):
            return self.params
        return replace(only_lexical(self.params), feedback=None)

    def _method(self, params: AnswerParams) -> Method:
        if self.dense is None or not params.uses_dense:
            return "lexical"
        return "fused" if params.uses_lexical else "dense"

    def _sides(
        self, question: Question, first: Found, params: AnswerParams, k: int, keep: NDArray[np.bool_] | None
    ) -> Sides:
        count, near = max(k, params.candidates), self.dense if params.uses_dense else None
        found = question.terms if params.uses_lexical else _NO_TERMS
        if params.feedback is not None and len(first[0]):
            found = expand(*found, *first, self.postings, self.lexicon.stop, params.feedback)
        lexical, _ = self.postings.best(*found, count, keep)
        terms = _joined(found, question.stop_words) if len(lexical) else found
        dense = near.nearest(question.vector, count, keep) if near else NOTHING
        rows = np.union1d(lexical, dense.rows)
        return Sides(
            rows,
            self.postings.scores_of(*terms, rows),
            self._near(terms, rows, keep) if params.uses_neighbors else np.zeros(len(rows), np.float32),
            near.cosines(question.vector, rows) if near else np.zeros(len(rows), np.float32),
            _ranks(rows, lexical),
            _ranks(rows, dense.rows),
            *terms,
            dense.counters,
        )

    def _near(self, terms: Terms, rows: NDArray[np.int64], keep: NDArray[np.bool_] | None) -> NDArray[np.float32]:
        """How well the neighbours of rows match, float32 (c,)."""
        if self.dense is None:
            return np.zeros(len(rows), np.float32)
        neighbors, cosines = self.dense.neighbors.of(rows)
        counted = neighbors != NONE
        if keep is not None:
            counted &= keep[np.where(counted, neighbors, 0)]
        asked, place = np.unique(neighbors[counted], return_inverse=True)
        scores = np.zeros(neighbors.shape, np.float32)
        scores[counted] = self.postings.scores_of(*terms, asked.astype(np.int64))[place]
        return near_scores(scores, np.where(counted, cosines, np.float32(0)))


def _joined(terms: Terms, others: Terms) -> Terms:
    """A lexical query and other terms, as one."""
    columns, place = np.unique(np.concatenate([terms[0], others[0]]), return_inverse=True)
    weights = np.bincount(place, np.concatenate([terms[1], others[1]]), len(columns))
    return columns, weights.astype(np.float32)


def _ranks(rows: NDArray[np.int64], ranking: NDArray[np.int64]) -> NDArray[np.int64]:
    """The positions from 1 of ascending rows in a ranking, 0 where it lacks them; the ranking has no others."""
    ranks = np.zeros(len(rows), np.int64)
    ranks[np.searchsorted(rows, ranking)] = np.arange(1, len(ranking) + 1)
    return ranks
