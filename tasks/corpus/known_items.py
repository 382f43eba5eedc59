"""The known-item task: retrieve an object by the first sentence of its documentation without the words of its name."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fingerpost.tasks.corpus.fields import name_words
from fingerpost.tasks.corpus.scripts import WORD
from fingerpost.tasks.corpus.sentences import first_sentence


@dataclass(frozen=True)
class KnownItemParams:
    """queries: maximum number of items; min_words: minimum length of a query; seed: of the sample of items."""

    queries: int = 2_000
    min_words: int = 4
    seed: int = 0


@dataclass(frozen=True)
class KnownItems:
    """``rows``: int64 (queries,), ascending, the target documents; ``queries``: the query text of each."""

    rows: NDArray[np.int64]
    queries: list[str]


@dataclass(frozen=True)
class KnownItemScores:
    """Mean reciprocal rank (0 for items not retrieved), and fraction of items among the first ten."""

    mrr: float
    recall_at_10: float
    queries: int


def question(title: str, sentence: str) -> str:
    """The words of a sentence without those of the title, ignoring case."""
    names = name_words(title)
    return " ".join(word for word in WORD.findall(sentence) if word.lower() not in names)


def select_known_items(titles: Sequence[str], texts: Sequence[str], params: KnownItemParams) -> KnownItems:
    """Sample documents whose first sentence is unique (ignoring case and white space)."""
    sentences = [first_sentence(text) for text in texts]
    seen = Counter(sentence.lower() for sentence in sentences)
    questions = [question(title, sentence) for title, sentence in zip(titles, sentences, strict=True)]
    possible = np.array(
        [
            row
            for row, (sentence, query) in enumerate(zip(sentences, questions, strict=True))
            if seen[sentence.lower()] == 1 and len(query.split()) >= params.min_words
        ],
        dtype=np.int64,
    )
    if len(possible) > params.queries:
        sample = np.random.default_rng(params.seed).choice(len(possible), size=params.queries, replace=False)
        possible = np.sort(possible[sample])
    return KnownItems(possible, [questions[row] for row in possible])


def score_ranking(ranked: NDArray[np.integer], wanted: NDArray[np.integer]) -> KnownItemScores:
    """Scores of rankings (queries, depth), best first, for the target row of each query (queries,).

    Items below the depth have a reciprocal rank of 0. ValueError if the numbers of queries differ.
    """
    if len(ranked) != len(wanted):
        raise ValueError(f"ranked: expected {len(wanted)} rows, got {len(ranked)}; pass one per query")
    if len(wanted) == 0:
        return KnownItemScores(0.0, 0.0, 0)
    hits = np.asarray(ranked) == np.asarray(wanted)[:, None]
    retrieved = hits.any(axis=1)
    rank = np.argmax(hits, axis=1) + 1
    return KnownItemScores(
        mrr=float(np.mean(np.where(retrieved, 1.0 / rank, 0.0))),
        recall_at_10=float(np.mean(retrieved & (rank <= 10))),
        queries=len(wanted),
    )
