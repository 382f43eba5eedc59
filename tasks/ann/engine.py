"""Text queries: candidates by words and by vectors, each scored by both sides, fused to one ranking."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fingerpost.ext import hnsw as kernel
from fingerpost.tasks.ann.fusion import AnswerParams, fuse
from fingerpost.tasks.ann.search import Index, SearchCounters
from fingerpost.tasks.corpus.analyzer import Analyzer
from fingerpost.tasks.corpus.lexicon import Lexicon
from fingerpost.tasks.corpus.postings import Postings
from fingerpost.tasks.corpus.svd import project
from fingerpost.tasks.corpus.term_weights import TermWeights


@dataclass(frozen=True)
class Question:
    """An analysed query: columns of its terms in the lexicon, int64 (q,), ascending, and their weights float32 (q,).

    vector: float32 (d,) of norm 1; zeros where the dense side knows none of the terms.
    """

    columns: NDArray[np.int64]
    weights: NDArray[np.float32]
    vector: NDArray[np.float32]


@dataclass(frozen=True)
class Sides:
    """The candidates of both sides, each scored by both.

    rows: int64 (c,), ascending. lexical, dense: scores float32 (c,): BM25F, and cosine similarity. lexical_rank,
    dense_rank: int64 (c,), the position from 1 among the candidates of a side, 0 where it did not propose the row.
    columns, weights: the lexical query, with what feedback added.
    """

    rows: NDArray[np.int64]
    lexical: NDArray[np.float32]
    dense: NDArray[np.float32]
    lexical_rank: NDArray[np.int64]
    dense_rank: NDArray[np.int64]
    columns: NDArray[np.int64]
    weights: NDArray[np.float32]
    counters: SearchCounters


@dataclass(frozen=True)
class Ranking:
    """The places of the answers in ``sides``, best first, int64 (m,), and their scores float32 (m,)."""

    order: NDArray[np.int64]
    scores: NDArray[np.float32]
    sides: Sides

    @property
    def rows(self) -> NDArray[np.int64]:
        """The rows of the answers, int64 (m,), best first."""
        return self.sides.rows[self.order]


@dataclass(frozen=True)
class DenseSide:
    """The vectors of documents, float32 rows of norm 1 or zero, and how terms become one.

    weights: of terms in a vector. components: float32 (columns, d).
    """

    weights: TermWeights
    components: NDArray[np.float32]
    index: Index

    def vector(self, columns: NDArray[np.int64], counts: NDArray[np.float32]) -> NDArray[np.float32]:
        """The vector of a text with these terms, float32 (d,), of norm 1; zeros if it has none."""
        return project(self.weights.row(columns, counts), self.components)[0]

    def similarities(self, vector: NDArray[np.float32], rows: NDArray[np.int64]) -> NDArray[np.float32]:
        """The cosine similarity of a vector (d,) to rows, float32, the same bits whichever side proposed a row."""
        bounds = np.array([0, len(rows)], dtype=np.int64)
        return 1.0 - kernel.gather_distances(vector[None], self.index.vectors, bounds, rows.astype(np.uint32), "ip")


@dataclass(frozen=True)
class Engine:
    """Everything that answers text queries, shared by evaluation, tuning and the live index.

    dense: None where the vectors of documents were given with them: then words alone rank.
    """

    analyzer: Analyzer
    lexicon: Lexicon
    postings: Postings
    dense: DenseSide | None
    params: AnswerParams

    def question(self, text: str) -> Question:
        """A text as a query: its terms, each as often as it occurs."""
        columns = self.lexicon.columns(self.analyzer.query_tokens(text))
        known, counts = np.unique(columns[columns >= 0], return_counts=True)
        return self.question_of(known, counts.astype(np.float32))

    def question_of(self, columns: NDArray[np.int64], weights: NDArray[np.float32]) -> Question:
        """Weighted terms as a query."""
        vector = np.zeros(0, np.float32) if self.dense is None else self.dense.vector(columns, weights)
        return Question(columns, weights, vector)

    def sides(self, questions: Sequence[Question], *, keep: NDArray[np.bool_] | None = None) -> list[Sides]:
        """The candidates of each question; keep: bool (n,), the rows that count, on both sides."""
        asked = [self._expanded(question, keep) for question in questions]
        lexical = [self._by_words(*terms, keep) for terms in asked]
        dense = self._by_vectors(questions, keep)
        return [self._joined(*parts) for parts in zip(questions, asked, lexical, dense, strict=True)]

    def answer(self, questions: Sequence[Question], k: int, *, keep: NDArray[np.bool_] | None = None) -> list[Ranking]:
        """The best k rows of each question, by fused score, ties by row."""
        rankings = []
        for sides in self.sides(questions, keep=keep):
            scores = fuse(sides.lexical, sides.dense, sides.lexical_rank, sides.dense_rank, self.params)
            order = np.lexsort((sides.rows, -scores))[:k]
            rankings.append(Ranking(order, scores[order], sides))
        return rankings
