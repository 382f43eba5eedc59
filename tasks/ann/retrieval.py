"""Evaluation of known-item retrieval: dense candidates, the same re-ranked by sparse similarity, and BM25."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from fingerpost.tasks.ann.engine import Engine
from fingerpost.tasks.ann.evaluation import Figure
from fingerpost.tasks.ann.hnsw import HnswIndex, HnswParams, build
from fingerpost.tasks.ann.search import Index
from fingerpost.tasks.corpus.bm25 import Bm25Params, rank_scores, weigh_bm25
from fingerpost.tasks.corpus.fields import name_parts, split_fields
from fingerpost.tasks.corpus.known_items import (
    KnownItemParams,
    KnownItems,
    remove_first_sentence,
    score_ranking,
    select_known_items,
)
from fingerpost.tasks.corpus.ngrams import FamilyParams, count_family, count_shard
from fingerpost.tasks.corpus.rerank import RerankParams
from fingerpost.tasks.corpus.svd import project
from fingerpost.tasks.corpus.tfidf import Featurizer, weigh_counts


class Steps(Protocol):
    """Receiver of an evaluation's progress."""

    def begin(self, total: int) -> None: ...

    def advance(self, done: int) -> None: ...


@dataclass(frozen=True)
class RetrievalParams:
    """Parameters of the evaluation.

    items: sample of known items. rerank: parameters of re-ranking. bm25_k1, bm25_b: grid that BM25's parameters are
    chosen from. depth: maximum rank that counts. samples: queries whose answers the report shows; by default those of
    the first items.
    """

    items: KnownItemParams = field(default_factory=KnownItemParams)
    rerank: RerankParams = field(default_factory=RerankParams)
    bm25_k1: tuple[float, ...] = (0.1, 0.3, 0.6, 1.2)
    bm25_b: tuple[float, ...] = (0.5, 0.75, 1.0)
    depth: int = 100
    samples: tuple[str, ...] = ()


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
    features: sparse.csr_array,
    featurizer: Featurizer,
    components: NDArray[np.float32],
    index: Index,
    hnsw: HnswParams,
    params: RetrievalParams,
    threads: int,
    clock: Callable[[], float],
    progress: Steps,
) -> Retrieval:
    """Metrics on the complete texts, and on texts without the sentence that serves as the query.

    For the latter, the target documents get new features over the same vocabulary and projection, and a graph is built
    over the changed vectors.
    """
    progress.begin(2)
    items = select_known_items(titles, texts, params.items)
    engine = Engine(featurizer, components, features, index, params.rerank)
    words = _bm25_counts(titles, texts, items.queries)
    bm25 = _best_bm25(*words, items, params)
    figures: list[Figure] = []
    times: dict[str, float] = {}
    figures += _table("whole", engine, items, words, bm25, params, clock, times)
    progress.advance(1)
    shorter = list(texts)
    for row in items.rows:
        shorter[row] = remove_first_sentence(texts[row])
    counted = count_shard(
        *split_fields([titles[r] for r in items.rows], [shorter[r] for r in items.rows]), featurizer.ngrams
    )
    changed = replace_rows(features, items.rows, weigh_counts(counted, featurizer.vocabulary, featurizer.tfidf))
    vectors = np.array(index.vectors)
    vectors[items.rows] = project(changed[items.rows], components)
    graph, _ = build(vectors, hnsw, threads=threads)
    without = Engine(featurizer, components, changed, HnswIndex(vectors, graph, hnsw.metric), params.rerank)
    words = _bm25_counts(titles, shorter, items.queries)
    figures += _table("without_sentence", without, items, words, bm25, params, clock, {})
    progress.advance(2)
    value = {(method, setting, metric): v for method, setting, metric, v in figures}
    quality = {
        f"{method}_{metric}": value[method, "whole", metric]
        for method in ("dense", "reranked", "bm25")
        for metric in ("mrr", "recall_at_10")
    }
    quality |= {"known_items": float(len(items.rows)), "bm25_k1": bm25.k1, "bm25_b": bm25.b}
    return Retrieval(
        figures,
        _samples(engine, titles, params.samples or tuple(items.queries[:4])),
        quality,
        {"milliseconds_per_query": times},
    )


def replace_rows(matrix: sparse.csr_array, rows: NDArray[np.int64], new: sparse.csr_array) -> sparse.csr_array:
    """The matrix with ``rows`` replaced by the rows of ``new``."""
    stacked = sparse.csr_array(sparse.vstack([matrix, new], format="csr"))
    order = np.arange(matrix.shape[0])
    order[rows] = matrix.shape[0] + np.arange(len(rows))
    result = stacked[order]
    result.has_canonical_format = True
    return result


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


def _table(
    setting: str,
    engine: Engine,
    items: KnownItems,
    words: tuple[sparse.csr_array, sparse.csr_array],
    bm25: Bm25Params,
    params: RetrievalParams,
    clock: Callable[[], float],
    times: dict[str, float],
) -> list[Figure]:
    count = max(len(items.rows), 1)
    started = clock()
    queries = engine.featurizer.transform(items.queries)
    nearest = engine.candidates(queries)
    dense = nearest.rows
    times["dense"] = round(1e3 * (clock() - started) / count, 4)
    reranked, _ = engine.ordered(queries, dense, nearest.similarities)
    times["reranked"] = round(1e3 * (clock() - started) / count, 4)
    counts, query_words = words
    weights = weigh_bm25(counts, bm25)
    started = clock()
    ranked, _ = rank_scores(query_words, weights, top=params.depth)
    times["bm25"] = round(1e3 * (clock() - started) / count, 4)
    figures: list[Figure] = []
    for method, rows, candidates in (
        ("dense", dense, dense.shape[1]),
        ("reranked", reranked, dense.shape[1]),
        ("bm25", ranked, counts.shape[0]),
    ):
        scores = score_ranking(rows[:, : params.depth], items.rows)
        values = {
            "mrr": scores.mrr,
            "recall_at_10": scores.recall_at_10,
            "candidates": candidates,
            "queries": scores.queries,
        }
        figures += [(method, setting, metric, round(float(value), 6)) for metric, value in values.items()]
    among = float((dense == items.rows[:, None]).any(axis=1).mean()) if len(items.rows) else 0.0
    return [*figures, ("dense", setting, "recall_of_candidates", round(among, 6))]


def _samples(engine: Engine, titles: Sequence[str], queries: Sequence[str]) -> list[Sample]:
    samples = []
    for query in queries:
        features = engine.featurizer.transform([query])
        nearest = engine.candidates(features)
        rows, _ = engine.ordered(features, nearest.rows, nearest.similarities)
        samples += [
            Sample(query, rank, int(row), titles[row]) for rank, row in enumerate(rows[0][:5], start=1) if row >= 0
        ]
    return samples
