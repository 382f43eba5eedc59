"""Evaluation of known-item retrieval: lexical, dense and fused search as they answer, and plain BM25 beside them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from fingerpost.tasks.ann.changed_texts import with_texts
from fingerpost.tasks.ann.engine import Engine
from fingerpost.tasks.ann.evaluation import Figure
from fingerpost.tasks.ann.fusion import AnswerParams, only_dense, only_lexical
from fingerpost.tasks.ann.hnsw import HnswParams
from fingerpost.tasks.corpus.bm25 import Bm25Params, rank_scores, weigh_bm25
from fingerpost.tasks.corpus.fields import name_parts
from fingerpost.tasks.corpus.impacts import FieldWeights
from fingerpost.tasks.corpus.known_items import (
    KnownItemParams,
    KnownItems,
    score_ranking,
    select_known_items,
)
from fingerpost.tasks.corpus.ngrams import FamilyParams, count_family
from fingerpost.tasks.corpus.plain_bm25 import rank_plain
from fingerpost.tasks.corpus.sentences import remove_first_sentence


class Steps(Protocol):
    """Receiver of an evaluation's progress."""

    def begin(self, total: int) -> None: ...

    def advance(self, done: int) -> None: ...


@dataclass(frozen=True)
class RetrievalParams:
    """Parameters of the evaluation.

    items: sample of known items. bm25_k1, bm25_b: grid that plain BM25's parameters are chosen from. depth: maximum rank
    that counts. samples: queries whose answers the report shows; by default those of the first items. timed: number of
    queries that are timed.
    """

    items: KnownItemParams = field(default_factory=KnownItemParams)
    bm25_k1: tuple[float, ...] = (0.1, 0.3, 0.6, 1.2)
    bm25_b: tuple[float, ...] = (0.5, 0.75, 1.0)
    depth: int = 100
    samples: tuple[str, ...] = ()
    timed: int = 200


@dataclass(frozen=True)
class Sample:
    """One answer to a sample query."""

    query: str
    rank: int
    row: int
    title: str


@dataclass(frozen=True)
class Retrieval:
    """``figures``, ``samples`` and ``quality`` depend on the data only; ``measured`` holds timings."""

    figures: list[Figure]
    samples: list[Sample]
    quality: dict[str, float]
    measured: dict[str, object]


def evaluate_known_items(
    *,
    titles: Sequence[str],
    texts: Sequence[str],
    engine: Engine,
    weights: FieldWeights,
    hnsw: HnswParams,
    params: RetrievalParams,
    threads: int,
    clock: Callable[[], float],
    progress: Steps,
) -> Retrieval:
    """Metrics on the complete texts, and on texts without the sentence that serves as the query.

    For the latter, the target documents get new postings and vectors over the same lexicon, weights and projection, and a
    graph is built over the changed vectors.
    """
    progress.begin(2)
    items = select_known_items(titles, texts, params.items)
    words = _bm25_counts(titles, texts, items.queries)
    bm25 = _best_bm25(*words, items, params)
    figures = [*_table("whole", engine, items, params.depth), *_bm25("whole", words, bm25, items, params)]
    progress.advance(1)
    shorter = list(texts)
    for row in items.rows:
        shorter[row] = remove_first_sentence(texts[row])
    own = [titles[row] for row in items.rows], [shorter[row] for row in items.rows]
    without = with_texts(engine, items.rows, *own, weights=weights, hnsw=hnsw, threads=threads)
    words = _bm25_counts(titles, shorter, items.queries)
    figures += _table("without_sentence", without, items, params.depth)
    figures += _bm25("without_sentence", words, bm25, items, params)
    progress.advance(2)
    quality = {
        f"{method}_{metric}": value
        for method, setting, metric, value in figures
        if setting == "whole" and metric in ("mrr", "recall_at_10")
    }
    quality |= {"known_items": float(len(items.rows)), "bm25_k1": bm25.k1, "bm25_b": bm25.b}
    samples = _samples(engine, titles, params.samples or tuple(items.queries[:4]))
    return Retrieval(
        figures, samples, quality, {"milliseconds_per_query": _times(engine, items.queries, params, clock)}
    )


def rankings(engine: Engine, texts: Sequence[str], *, depth: int) -> dict[str, NDArray[np.int64]]:
    """The rows that answer each text, by words, by vectors, and fused as the index answers.

    By method, int64 (texts, depth), best first, padded with -1. Without a dense side words alone answer.
    """
    return {name: _ranked(replace(engine, params=params), texts, depth) for name, params in _methods(engine).items()}


def bm25_ranking(
    titles: Sequence[str], texts: Sequence[str], queries: Sequence[str], params: Bm25Params, depth: int
) -> NDArray[np.int64]:
    """The rows that answer each query by plain BM25, int64 (queries, depth), best first, padded with -1."""
    return rank_plain(titles, texts, queries, depth=depth, params=params)


def _methods(engine: Engine) -> dict[str, AnswerParams]:
    """The ways of answering that are measured."""
    if engine.dense is None:
        return {"lexical": engine.params, "fused": engine.params}
    return {"lexical": only_lexical(engine.params), "dense": only_dense(engine.params), "fused": engine.params}


def _ranked(engine: Engine, texts: Sequence[str], depth: int) -> NDArray[np.int64]:
    rows = np.full((len(texts), depth), -1, dtype=np.int64)
    for place, ranking in enumerate(engine.answer([engine.question(text) for text in texts], depth)):
        rows[place, : len(ranking.rows)] = ranking.rows
    return rows


def _table(setting: str, engine: Engine, items: KnownItems, depth: int) -> list[Figure]:
    """The metrics of every method."""
    found = rankings(engine, items.queries, depth=depth)
    return [figure for method, ranked in found.items() for figure in _scores(method, setting, ranked, items)]


def _times(
    engine: Engine, queries: Sequence[str], params: RetrievalParams, clock: Callable[[], float]
) -> dict[str, float]:
    """Milliseconds for a query by every method."""
    times = {}
    for method, answering in _methods(engine).items():
        started = clock()
        _ranked(replace(engine, params=answering), queries[: params.timed], 10)
        times[method] = round(1e3 * (clock() - started) / max(len(queries[: params.timed]), 1), 4)
    return times


def _scores(method: str, setting: str, ranked: NDArray[np.int64], items: KnownItems) -> list[Figure]:
    scores = score_ranking(ranked, items.rows)
    among = float((ranked == items.rows[:, None]).any(axis=1).mean()) if len(items.rows) else 0.0
    values = {"mrr": scores.mrr, "recall_at_10": scores.recall_at_10, f"recall_at_{ranked.shape[1]}": among}
    return [
        *((method, setting, metric, round(float(value), 6)) for metric, value in values.items()),
        (method, setting, "queries", float(scores.queries)),
    ]


def _bm25(
    setting: str,
    words: tuple[sparse.csr_array, sparse.csr_array],
    bm25: Bm25Params,
    items: KnownItems,
    params: RetrievalParams,
) -> list[Figure]:
    """The metrics of plain BM25."""
    counts, queries = words
    ranked, _ = rank_scores(queries, weigh_bm25(counts, bm25), top=params.depth)
    return _scores("bm25", setting, ranked, items)


def _bm25_counts(
    titles: Sequence[str], texts: Sequence[str], queries: list[str]
) -> tuple[sparse.csr_array, sparse.csr_array]:
    """Word counts of documents (including names and their parts) and of queries over the same terms."""
    documents = [" ".join([title, *name_parts(title), text]) for title, text in zip(titles, texts, strict=True)]
    counts, _ = count_family(documents + queries, FamilyParams("word", 1, 1))
    return counts[: len(documents)], counts[len(documents) :]


def _best_bm25(
    counts: sparse.csr_array, queries: sparse.csr_array, items: KnownItems, params: RetrievalParams
) -> Bm25Params:
    """The k1 and b of the grid with the highest MRR on a quarter of the items (at least 100)."""
    part = slice(None, None, 4 if len(items.rows) >= 400 else 1)
    best, chosen = -1.0, Bm25Params()
    for k1 in params.bm25_k1:
        for b in params.bm25_b:
            candidate = Bm25Params(k1, b)
            ranked, _ = rank_scores(queries[part], weigh_bm25(counts, candidate), top=params.depth)
            mrr = score_ranking(ranked, items.rows[part]).mrr
            if mrr > best:
                best, chosen = mrr, candidate
    return chosen


def _samples(engine: Engine, titles: Sequence[str], queries: Sequence[str]) -> list[Sample]:
    """The first five answers to each query."""
    return [
        Sample(query, rank, int(row), titles[row])
        for query, rows in zip(queries, _ranked(engine, queries, 5), strict=True)
        for rank, row in enumerate(rows, start=1)
        if row >= 0
    ]
