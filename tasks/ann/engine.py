"""Text queries: candidates by words and by vectors, each scored by both sides, fused to one ranking."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fingerpost.ext import hnsw as kernel
from fingerpost.tasks.ann.answers import Method
from fingerpost.tasks.ann.filtered import Nearest, nearest_kept
from fingerpost.tasks.ann.fusion import AnswerParams, fuse, near_scores
from fingerpost.tasks.ann.graph import NONE
from fingerpost.tasks.ann.search import Index, SearchCounters
from fingerpost.tasks.corpus.analyzer import Analyzer
from fingerpost.tasks.corpus.feedback import expand
from fingerpost.tasks.corpus.lexicon import Lexicon
from fingerpost.tasks.corpus.postings import Postings
from fingerpost.tasks.corpus.svd import project
from fingerpost.tasks.corpus.term_weights import TermWeights

#: What a stop word of a query counts, and the number of terms of a document as a query.
STOP_WEIGHT, LIKE_TERMS = 0.3, 25
#: A lexical query: columns of the lexicon, int64 (q,), ascending, and weights float32 (q,).
Terms = tuple[NDArray[np.int64], NDArray[np.float32]]
_NO_TERMS: Terms = np.empty(0, np.int64), np.empty(0, np.float32)
_NOTHING = Nearest(np.empty(0, np.int64), np.empty(0, np.float32), SearchCounters())


@dataclass(frozen=True)
class Question:
    """An analysed query.

    terms: those that candidates are found by. stop_words: those that only help to order the candidates, which share one
    of the terms, so that no list of half the documents is read. vector: float32 (d,) of norm 1; zeros where the dense
    side knows none of the terms, empty where there is none. expands: whether feedback may add terms.
    """

    terms: Terms
    stop_words: Terms
    vector: NDArray[np.float32]
    expands: bool = True


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
    """The places of the answers among the candidates ``sides``, best first, int64 (m,), and their scores float32 (m,)."""

    question: Question
    sides: Sides
    order: NDArray[np.int64]
    scores: NDArray[np.float32]

    @property
    def rows(self) -> NDArray[np.int64]:
        """The rows of the answers, int64 (m,), best first."""
        return self.sides.rows[self.order]


@dataclass(frozen=True)
class DenseSide:
    """The vectors of documents, rows of norm 1 or zero, and how terms become one.

    terms: their weights in a vector. components: float32 (columns, d). neighbors: each document's nearest, uint32 (n, m),
    padded with 0xFFFFFFFF, and cosines float32 (n, m).
    """

    terms: TermWeights
    components: NDArray[np.float32]
    index: Index
    neighbors: tuple[NDArray[np.uint32], NDArray[np.float32]]

    def vector(self, columns: NDArray[np.int64], weights: NDArray[np.float32]) -> NDArray[np.float32]:
        """The vector of a text with these terms, float32 (d,), of norm 1; zeros if it has none."""
        return project(self.terms.row(columns, weights), self.components)[0]

    def nearest(self, vector: NDArray[np.float32], count: int, keep: NDArray[np.bool_] | None) -> Nearest:
        """The rows nearest to a vector (d,), of those in ``keep``; none to a vector of zeros."""
        return nearest_kept(self.index, vector, count, keep=keep) if vector.any() else _NOTHING

    def cosines(self, vector: NDArray[np.float32], rows: NDArray[np.int64]) -> NDArray[np.float32]:
        """The cosines of a vector (d,) with rows, float32: the same bits whichever side proposed a row."""
        bounds = np.array([0, len(rows)], dtype=np.int64)
        found = kernel.gather_distances(vector[None], self.index.vectors, bounds, rows.astype(np.uint32), "ip")
        return (1.0 - found).astype(np.float32)


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

    @property
    def method(self) -> Method:
        """How answers are ranked."""
        if self.dense is None or not self.params.uses_dense:
            return "lexical"
        return "fused" if self.params.uses_lexical else "dense"

    def question(self, text: str) -> Question:
        """A text as a query: its terms, each as often as it occurs; stop words are terms where there are no others."""
        columns = self.lexicon.columns(self.analyzer.query_tokens(text))
        known, counts = np.unique(columns[columns >= 0], return_counts=True)
        weights, stop = counts.astype(np.float32), self.lexicon.stop[known]
        if stop.all():
            stop[:] = False
        terms = known[~stop], weights[~stop]
        vector = self.dense.vector(*terms) if self.dense else np.empty(0, np.float32)
        return Question(terms, (known[stop], weights[stop] * np.float32(STOP_WEIGHT)), vector)

    def question_like(self, row: int) -> Question:
        """A document as a query: its heaviest terms, by their weight in it, and its vector."""
        own = slice(*self.postings.forward_indptr[row : row + 2])
        columns, weights = self.postings.forward_terms[own].astype(np.int64), self.postings.forward_weights[own]
        content = ~self.lexicon.stop[columns]
        columns, weights = columns[content], weights[content]
        chosen = np.sort(np.lexsort((columns, -weights))[:LIKE_TERMS])
        vector = self.dense.index.vectors[row] if self.dense else np.empty(0, np.float32)
        return Question((columns[chosen], weights[chosen]), _NO_TERMS, vector, expands=False)

    def answer(self, questions: Sequence[Question], k: int, *, keep: NDArray[np.bool_] | None = None) -> list[Ranking]:
        """The best k rows of each question, by fused score, ties by row; keep: bool (n,), the rows that count."""
        rankings = []
        for question in questions:
            sides = self.sides(question, k, keep=keep)
            scores = fuse(sides.lexical, sides.near, sides.dense, self.params)
            order = np.lexsort((sides.rows, -scores))[:k]
            rankings.append(Ranking(question, sides, order, scores[order]))
        return rankings

    def sides(self, question: Question, k: int, *, keep: NDArray[np.bool_] | None = None) -> Sides:
        """The candidates of a question on both sides: at least k each, if there are as many, of the rows that count."""
        count, near = max(k, self.params.candidates), self.dense if self.params.uses_dense else None
        found = self._expanded(question, keep) if self.params.uses_lexical else _NO_TERMS
        lexical, _ = self.postings.best(*found, count, keep)
        terms = _joined(found, question.stop_words) if len(lexical) else found
        dense = near.nearest(question.vector, count, keep) if near else _NOTHING
        rows = np.union1d(lexical, dense.rows)
        return Sides(
            rows,
            self.postings.scores_of(*terms, rows),
            self._near(terms, rows, keep),
            near.cosines(question.vector, rows) if near else np.zeros(len(rows), np.float32),
            _ranks(rows, lexical),
            _ranks(rows, dense.rows),
            *terms,
            dense.counters,
        )

    def _expanded(self, question: Question, keep: NDArray[np.bool_] | None) -> Terms:
        """The lexical query, with terms of the best documents of a first search if the parameters say so."""
        own, feedback = question.terms, self.params.feedback
        if feedback is None or not question.expands:
            return own
        rows, scores = self.postings.best(*own, feedback.documents, keep)
        return expand(*own, rows, scores, self.postings, self.lexicon.stop, feedback)

    def _near(self, terms: Terms, rows: NDArray[np.int64], keep: NDArray[np.bool_] | None) -> NDArray[np.float32]:
        """How well the neighbours of rows match, float32 (c,)."""
        if self.dense is None or not self.params.uses_neighbors:
            return np.zeros(len(rows), np.float32)
        neighbors, cosines = (table[rows] for table in self.dense.neighbors)
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
