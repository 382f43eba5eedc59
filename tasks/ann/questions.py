"""Questions made from a collection: a few words of one half of a document, whose other half is to be found.

A question about a topic and the documents that answer it seldom share their words. So do the halves of a document: what
finds one half by words of the other (feedback, neighbours, vectors) also helps the questions of people, which questions
that are whole sentences of a document do not show. That known items can stand for judged queries: Azzopardi, de Rijke and
Balog, Building simulated queries for known-item topics, 2007, section 3, whose words are drawn by their weight as well.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fingerpost.tasks.corpus.analyzer import Analyzer, Span
from fingerpost.tasks.corpus.lexicon import Lexicon
from fingerpost.tasks.corpus.term_weights import inverse_document_frequency


@dataclass(frozen=True)
class QuestionParams:
    """Parameters of questions.

    questions: maximum number of questions that are made from documents.
    words: words of a question.
    min_terms: minimum number of terms, without stop words, of a document that a question is made from.
    tried: maximum number of documents that are read for a question.
    seed: seed of the questions.

    ValueError for values below 1, or fewer than two terms.
    """

    questions: int = 400
    words: int = 3
    min_terms: int = 12
    tried: int = 10
    seed: int = 0

    def __post_init__(self) -> None:
        if min(self.questions, self.words, self.tried) < 1 or self.min_terms < 2:
            raise ValueError(
                "questions: expected questions, words and tried of at least 1 and min_terms of at least 2, got "
                f"{self.questions}, {self.words}, {self.tried} and {self.min_terms}; correct them"
            )


@dataclass(frozen=True)
class Questions:
    """rows: int64 (q,), ascending, the documents to be found; queries: the words asked; halves: the documents' texts."""

    rows: NDArray[np.int64]
    queries: list[str]
    halves: list[str]


def make_questions(
    titles: Sequence[str], texts: Sequence[str], *, analyzer: Analyzer, lexicon: Lexicon, params: QuestionParams
) -> Questions:
    """Questions of documents in a random order, until there are enough.

    The words are drawn without replacement, with probabilities by inverse document frequency, from the terms of the first
    half that other documents have too. They depend on the document and the lexicon, not on the other questions.
    """
    frequencies, weights = lexicon.document_frequency, inverse_document_frequency(lexicon)
    order = np.random.default_rng(params.seed).permutation(len(texts))[: params.questions * params.tried]
    made: dict[int, tuple[str, str]] = {}
    for row in order.tolist():
        if len(made) == params.questions:
            break
        joined = f"{titles[row]}\n\n{texts[row]}"
        spans = [span for span in analyzer.query_spans(joined) if span[0] not in analyzer.stop_words]
        if len(spans) < params.min_terms:
            continue
        asked, rest = spans[: len(spans) // 2], joined[spans[len(spans) // 2][1] :]
        first = _first_places(asked)
        columns = lexicon.columns([term for term, _, _ in first])
        shared = [
            (joined[begin:end], float(weights[column]))
            for (_, begin, end), column in zip(first, columns.tolist(), strict=True)
            if column >= 0 and frequencies[column] > 1
        ]
        if shared:
            made[row] = (_drawn(shared, params.words, np.random.default_rng([params.seed, row])), rest)
    rows = sorted(made)
    return Questions(np.array(rows, dtype=np.int64), [made[row][0] for row in rows], [made[row][1] for row in rows])


def _first_places(spans: list[Span]) -> list[Span]:
    """Each term where it stands first, in the order of the terms."""
    places: dict[str, Span] = {}
    for span in spans:
        places.setdefault(span[0], span)
    return [places[term] for term in sorted(places)]


def _drawn(words: list[tuple[str, float]], count: int, rng: np.random.Generator) -> str:
    """Words drawn by weight, in one text."""
    weights = np.array([weight for _, weight in words])
    probabilities = weights / weights.sum()
    drawn = rng.choice(len(words), size=min(count, len(words)), replace=False, p=probabilities)
    return " ".join(words[place][0] for place in sorted(drawn.tolist()))
