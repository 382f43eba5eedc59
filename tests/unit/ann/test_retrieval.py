"""Known-item retrieval: changed texts against an engine made of them, rankings and figures against a recount."""

import time
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from fingerpost.tasks.ann.changed_texts import replace_rows, with_texts
from fingerpost.tasks.ann.dense_side import DenseSide, NeighborTable
from fingerpost.tasks.ann.engine import Engine
from fingerpost.tasks.ann.exact import ExactIndex
from fingerpost.tasks.ann.fusion import AnswerParams, only_dense, only_lexical
from fingerpost.tasks.ann.hnsw import HnswParams
from fingerpost.tasks.ann.retrieval import Retrieval, RetrievalParams, evaluate_known_items, rankings
from fingerpost.tasks.corpus.analyzer import Analyzer, AnalyzerParams
from fingerpost.tasks.corpus.impacts import FieldWeights, term_impacts
from fingerpost.tasks.corpus.known_items import KnownItemParams, select_known_items
from fingerpost.tasks.corpus.lexicon import Lexicon, shard_lexicon
from fingerpost.tasks.corpus.postings import build_postings
from fingerpost.tasks.corpus.sentences import remove_first_sentence
from fingerpost.tasks.corpus.svd import project
from fingerpost.tasks.corpus.term_counts import count_terms
from fingerpost.tasks.corpus.term_weights import TermWeightParams, TermWeights, feature_rows
from tests.worlds import texts

ROWS, DIMENSIONS, NEIGHBORS = 200, 10, 3
ANALYZER, WEIGHTS = Analyzer(AnalyzerParams("english")), FieldWeights()
TITLES = [row["title"] for row in texts(ROWS, 8)]
TEXTS = [f"Tells you how to {row['text']} in row{number}." for number, row in enumerate(texts(ROWS, 8))]


def engine_of(titles: Sequence[str], said: Sequence[str], lexicon: Lexicon | None = None) -> Engine:
    """An engine over texts, by an exact index; over another lexicon if one is given."""
    counts = count_terms(titles, said, ANALYZER)
    lexicon = lexicon or shard_lexicon(counts).with_stop(ANALYZER.stop_words)
    impacts = term_impacts(counts, lexicon, WEIGHTS, lacking=True)
    terms = TermWeights.of(lexicon, TermWeightParams(min_df=1))
    components = np.random.default_rng(1).standard_normal((len(terms.columns), DIMENSIONS)).astype(np.float32)
    vectors = project(feature_rows(impacts, terms.columns), components)
    index = ExactIndex(vectors, "ip")
    near = index.search(vectors, NEIGHBORS + 1)
    ids = np.array([[i for i in row if i != place][:NEIGHBORS] for place, row in enumerate(near.ids)], np.uint32)
    cosines = np.einsum("ij,ikj->ik", vectors, vectors[ids]).astype(np.float32)
    return Engine(
        ANALYZER,
        lexicon,
        build_postings(impacts),
        DenseSide(terms, components, index, NeighborTable(ids, cosines)),
        AnswerParams(),
    )


def dense(engine: Engine) -> DenseSide:
    assert engine.dense is not None
    return engine.dense


@pytest.fixture(scope="module")
def engine() -> Engine:
    return engine_of(TITLES, TEXTS)


@pytest.fixture(scope="module")
def changed(engine: Engine) -> tuple[NDArray[np.int64], list[str], Engine]:
    """Rows, the texts with those of these rows shortened, and the engine after the change."""
    rows = np.array([3, 10, 11, 160, 199])
    shorter = [text if row not in rows else "Merge the words." for row, text in enumerate(TEXTS)]
    own = [TITLES[row] for row in rows], [shorter[row] for row in rows]
    return rows, shorter, with_texts(engine, rows, *own, weights=WEIGHTS, hnsw=HnswParams(metric="ip"), threads=1)


def test_postings_and_vectors_are_those_of_the_changed_texts(
    engine: Engine, changed: tuple[NDArray[np.int64], list[str], Engine]
) -> None:
    _, shorter, found = changed
    expected = engine_of(TITLES, shorter, engine.lexicon)
    for name, array in expected.postings.arrays().items():
        np.testing.assert_array_equal(found.postings.arrays()[name], array)
    np.testing.assert_array_equal(dense(found).index.vectors, dense(expected).index.vectors)


def test_neighbours_have_their_cosines_after_the_change(
    engine: Engine, changed: tuple[NDArray[np.int64], list[str], Engine]
) -> None:
    rows, shorter, found = changed
    every, vectors = np.arange(len(TITLES)), dense(found).index.vectors
    ids, cosines = dense(found).neighbors.of(every)
    np.testing.assert_allclose(cosines, np.einsum("ij,ikj->ik", vectors, vectors[ids]), atol=1e-6)
    expected = dense(engine_of(TITLES, shorter, engine.lexicon)).neighbors.of(every)[0]
    assert [set(row) for row in ids[rows].tolist()] == [set(row) for row in expected[rows].tolist()]
    others = np.setdiff1d(np.arange(ROWS), rows)
    np.testing.assert_array_equal(ids[others], dense(engine).neighbors.of(every)[0][others])


def test_the_engine_before_is_not_changed(engine: Engine, changed: tuple[NDArray[np.int64], list[str], Engine]) -> None:
    again = engine_of(TITLES, TEXTS)
    np.testing.assert_array_equal(engine.postings.weights, again.postings.weights)
    np.testing.assert_array_equal(dense(engine).index.vectors, dense(again).index.vectors)


def test_without_vectors_words_alone_change(engine: Engine) -> None:
    found = with_texts(replace(engine, dense=None), np.array([5]), ["x"], ["eigen"], weights=WEIGHTS)
    assert found.dense is None
    rows, _ = found.postings.best(engine.lexicon.columns(["eigen"]), np.ones(1, np.float32), ROWS)
    assert 5 in rows


def test_no_row_is_replaced_by_none(engine: Engine) -> None:
    matrix = engine.postings.forward
    found = replace_rows(matrix, np.empty(0, np.int64), matrix[:0])
    assert (found != matrix).nnz == 0


def evaluated(engine: Engine, said: Sequence[str], queries: int = 20) -> Retrieval:
    class Silent:
        def begin(self, total: int) -> None: ...

        def advance(self, done: int) -> None: ...

    return evaluate_known_items(
        titles=TITLES,
        texts=said,
        engine=engine,
        weights=WEIGHTS,
        hnsw=HnswParams(metric="ip"),
        params=RetrievalParams(items=KnownItemParams(queries=queries), depth=50, samples=("sort order", "qqq")),
        threads=1,
        clock=time.perf_counter,
        progress=Silent(),
    )


def test_figures_are_those_of_a_recount(engine: Engine) -> None:
    found = evaluated(engine, TEXTS)
    figures = {(method, setting, metric): value for method, setting, metric, value in found.figures}
    items = select_known_items(TITLES, TEXTS, KnownItemParams(queries=20))
    assert len(items.rows) == found.quality["known_items"] == 20
    shorter = list(TEXTS)
    for row in items.rows:
        shorter[row] = remove_first_sentence(TEXTS[row])
    own = [TITLES[row] for row in items.rows], [shorter[row] for row in items.rows]
    changed = with_texts(engine, items.rows, *own, weights=WEIGHTS, hnsw=HnswParams(metric="ip"))
    for setting, over in (("whole", engine), ("without_sentence", changed)):
        for method, params in (
            ("lexical", only_lexical(over.params)),
            ("dense", only_dense(over.params)),
            ("fused", over.params),
        ):
            ranks = []
            for query, row in zip(items.queries, items.rows.tolist(), strict=True):
                (ranking,) = replace(over, params=params).answer([over.question(query)], 50)
                places = np.flatnonzero(ranking.rows == row)
                ranks.append(1 / (places[0] + 1) if len(places) else 0.0)
            assert figures[method, setting, "mrr"] == pytest.approx(np.mean(ranks), abs=1e-6), (method, setting)
            assert figures[method, setting, "recall_at_10"] == pytest.approx(np.mean(np.array(ranks) >= 0.1), abs=1e-6)
    assert figures["lexical", "whole", "mrr"] > 0.6, "row numbers are in the sentence"
    assert figures["lexical", "without_sentence", "mrr"] < figures["lexical", "whole", "mrr"]
    assert {name for name in found.quality if name.endswith("_mrr")} == {
        "lexical_mrr",
        "dense_mrr",
        "fused_mrr",
        "bm25_mrr",
    }


def test_samples_are_the_first_answers(engine: Engine) -> None:
    samples = evaluated(engine, TEXTS).samples
    (ranking,) = engine.answer([engine.question("sort order")], 5)
    assert [sample.row for sample in samples] == ranking.rows.tolist()
    assert [sample.title for sample in samples] == [TITLES[row] for row in ranking.rows]
    assert {sample.query for sample in samples} == {"sort order"}, "nothing answers a word that the collection lacks"


def test_texts_without_a_sentence_give_no_items(engine: Engine) -> None:
    found = evaluated(engine, [""] * ROWS)
    assert found.quality["known_items"] == 0
    assert found.quality["fused_mrr"] == 0


def test_an_engine_without_vectors_is_ranked_by_words(engine: Engine) -> None:
    words = replace(engine, dense=None, params=only_lexical(engine.params))
    found = rankings(words, ["sort order", "qqq"], depth=30)
    assert found.keys() == {"lexical", "fused"}
    np.testing.assert_array_equal(found["lexical"], found["fused"])
    assert (found["fused"][1] == -1).all()
