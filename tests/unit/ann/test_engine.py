"""The engine against a slow one that scores every document by loops: candidates, scores, ranks, filters, feedback."""

from dataclasses import dataclass, replace

import numpy as np
import pytest
from numpy.typing import NDArray

from fingerpost.tasks.ann.dense_side import DenseSide, NeighborTable
from fingerpost.tasks.ann.engine import LIKE_TERMS, QUOTED_AMONG, STOP_WEIGHT, Engine, Question
from fingerpost.tasks.ann.exact import ExactIndex
from fingerpost.tasks.ann.exact_engine import exact_engine
from fingerpost.tasks.ann.fusion import AnswerParams, fuse, near_scores, only_lexical
from fingerpost.tasks.ann.graph import NONE
from fingerpost.tasks.corpus.analyzer import Analyzer, AnalyzerParams
from fingerpost.tasks.corpus.feedback import expand
from fingerpost.tasks.corpus.impacts import FieldWeights, term_impacts
from fingerpost.tasks.corpus.lexicon import shard_lexicon
from fingerpost.tasks.corpus.postings import build_postings
from fingerpost.tasks.corpus.term_counts import count_terms
from fingerpost.tasks.corpus.term_weights import TermWeightParams, TermWeights
from tests.worlds import texts

ROWS, DIMENSIONS, NEIGHBORS = 300, 12, 4
QUOTED = "the shortest path weight of"
QUERIES = (
    "sort order array stable",
    "the shortest path of a graph",
    "eigen",
    "the of",
    "unheard words",
    "",
    QUOTED,
    "the graph",
)
PLAIN = AnswerParams(feedback=None)
PARAMS = {
    "fused": AnswerParams(),
    "plain": PLAIN,
    "narrow": replace(AnswerParams(), candidates=7),
}


@dataclass(frozen=True)
class World:
    engine: Engine
    impacts: NDArray[np.float64]


@pytest.fixture(scope="module")
def world() -> World:
    documents = list(texts(ROWS, 5))
    titles = [row["title"] for row in documents]
    analyzer = Analyzer(AnalyzerParams(language="english"))
    counts = count_terms(titles, [f"The {row['text']} of a {row['title']}" for row in documents], analyzer)
    lexicon = shard_lexicon(counts).with_stop(analyzer.stop_words)
    impacts = term_impacts(counts, lexicon, FieldWeights())
    random = np.random.default_rng(0)
    terms = TermWeights.of(lexicon, TermWeightParams())
    components = random.standard_normal((len(terms.columns), DIMENSIONS)).astype(np.float32)
    vectors = random.standard_normal((ROWS, DIMENSIONS)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    index = ExactIndex(vectors, "ip")
    near = index.search(vectors, NEIGHBORS + 1)
    ids, cosines = near.ids[:, 1:].copy(), (1 - near.distances[:, 1:]).astype(np.float32)
    ids[::17, -1], cosines[::17, -1] = NONE, 0
    dense = DenseSide(terms, components, index, NeighborTable(ids, cosines))
    engine = Engine(analyzer, lexicon, build_postings(impacts), dense, AnswerParams())
    return World(engine, impacts.toarray().astype(np.float64))


def lexical_scores(world: World, terms: tuple[NDArray[np.int64], NDArray[np.float32]]) -> NDArray[np.float64]:
    """The score of every document: the sum over the query's terms."""
    columns, weights = terms
    return world.impacts[:, columns] @ weights.astype(np.float64)


def best(scores: NDArray[np.float64], count: int, keep: NDArray[np.bool_]) -> list[int]:
    found = [row for row in range(ROWS) if keep[row] and scores[row] > 0]
    return sorted(found, key=lambda row: (-np.float32(scores[row]), row))[:count]


def is_quoted(world: World, question: Question, first: list[int]) -> bool:
    assert question.asked is not None
    asked = question.asked.tolist()
    return len(asked) > 2 and min(asked) >= 0 and any(all(world.impacts[row, c] > 0 for c in asked) for row in first)


def slow(
    world: World, question: Question, params: AnswerParams, k: int, keep: NDArray[np.bool_]
) -> dict[int, tuple[float, float, int, int]]:
    """Fused score, cosine and both ranks of every candidate, by row."""
    engine, terms = world.engine, question.terms
    dense = engine.dense
    assert dense is not None
    neighbors = dense.neighbors
    assert isinstance(neighbors, NeighborTable)
    read = max(params.feedback.documents if params.feedback else 0, QUOTED_AMONG)
    first = best(lexical_scores(world, terms), read, keep)
    if is_quoted(world, question, first[:QUOTED_AMONG]):
        params = replace(only_lexical(params), feedback=None)
    if params.feedback is not None and first:
        scores = lexical_scores(world, terms)[first].astype(np.float32)
        terms = expand(*terms, np.array(first, np.int64), scores, engine.postings, engine.lexicon.stop, params.feedback)
    count = max(k, params.candidates)
    by_words = best(lexical_scores(world, terms), count, keep)
    whole: dict[int, float] = {}
    for columns, weights in (terms, question.stop_words) if by_words else (terms,):
        for column, weight in zip(columns.tolist(), weights.tolist(), strict=True):
            whole[column] = whole.get(column, 0.0) + weight
    every = lexical_scores(world, (np.array(list(whole), np.int64), np.array(list(whole.values()), np.float32)))
    cosines = params.uses_dense * (dense.index.vectors.astype(np.float64) @ question.vector.astype(np.float64))
    by_vectors = (
        sorted(np.flatnonzero(keep).tolist(), key=lambda row: (-cosines[row], row))
        if question.vector.any() and params.uses_dense
        else []
    )
    by_vectors = by_vectors[:count]
    pool = sorted({*by_words, *by_vectors})
    matched = np.zeros((len(pool), NEIGHBORS), np.float32)
    weights = np.zeros((len(pool), NEIGHBORS), np.float32)
    for place, row in enumerate(pool):
        for column in range(NEIGHBORS):
            other = int(neighbors.ids[row, column])
            if other != NONE and keep[other]:
                matched[place, column], weights[place, column] = every[other], neighbors.cosines[row, column]
    near = near_scores(matched, weights)
    fused = fuse(every[pool].astype(np.float32), near, cosines[pool].astype(np.float32), params)
    ranks = [[side.index(row) + 1 if row in side else 0 for row in pool] for side in (by_words, by_vectors)]
    return {row: (float(f), float(cosines[row]), a, b) for row, f, a, b in zip(pool, fused, *ranks, strict=True)}


@pytest.mark.parametrize("name", PARAMS)
@pytest.mark.parametrize("text", QUERIES)
@pytest.mark.parametrize("passing", [1.0, 0.3, 0.01, 0.0])
def test_answers_are_those_of_loops(world: World, name: str, text: str, passing: float) -> None:
    engine = replace(world.engine, params=PARAMS[name])
    keep = np.random.default_rng(7).random(ROWS) < passing
    question = engine.question(text)
    (found,) = engine.answer([question], 20, keep=None if passing == 1 else keep)
    expected = slow(world, question, engine.params, 20, keep)
    assert found.sides.rows.tolist() == list(expected)
    assert found.sides.dense == pytest.approx([cosine for _, cosine, _, _ in expected.values()], abs=1e-5)
    assert found.sides.lexical_rank.tolist() == [rank for _, _, rank, _ in expected.values()]
    assert found.sides.dense_rank.tolist() == [rank for _, _, _, rank in expected.values()]
    scores = {row: score for row, (score, *_) in expected.items()}
    assert found.scores == pytest.approx([scores[row] for row in found.rows.tolist()], rel=1e-5, abs=1e-6)
    assert sorted(found.scores, reverse=True) == found.scores.tolist()
    assert found.scores == pytest.approx(sorted(scores.values(), reverse=True)[:20], rel=1e-5, abs=1e-6)


def test_a_filter_that_few_pass_still_gets_all_of_them(world: World) -> None:
    keep = np.arange(ROWS) % 100 == 50
    (found,) = world.engine.answer([world.engine.question(QUERIES[0])], 10, keep=keep)
    assert sorted(found.rows.tolist()) == [50, 150, 250], "vectors compare every one, words or not"


def test_batches_change_nothing(world: World) -> None:
    questions = [world.engine.question(text) for text in QUERIES]
    together = world.engine.answer(questions, 10)
    for question, found in zip(questions, together, strict=True):
        (alone,) = world.engine.answer([question], 10)
        assert alone.rows.tolist() == found.rows.tolist()
        assert alone.scores.tobytes() == found.scores.tobytes()


def named(engine: Engine, terms: tuple[NDArray[np.int64], NDArray[np.float32]]) -> dict[str, float]:
    return {engine.lexicon.term(c): round(float(w), 6) for c, w in zip(*(part.tolist() for part in terms), strict=True)}


def test_stop_words_order_what_enough_other_terms_find(world: World) -> None:
    question = world.engine.question("the shortest path weight of the path")
    assert named(world.engine, question.terms) == {"shortest": 1.0, "path": 2.0, "weight": 1.0}
    assert named(world.engine, question.stop_words) == pytest.approx({"the": 2 * STOP_WEIGHT, "of": STOP_WEIGHT})


def test_stop_words_find_too_where_other_terms_are_few(world: World) -> None:
    question = world.engine.question("the eigen")
    assert named(world.engine, question.terms) == pytest.approx({"the": STOP_WEIGHT, "eigen": 1.0})
    assert named(world.engine, world.engine.question("the of the").terms) == {"the": 2.0, "of": 1.0}
    assert named(world.engine, question.stop_words) == {}


def test_the_name_of_a_document_finds_it(world: World) -> None:
    titles = [row["title"] for row in texts(ROWS, 5)]
    for title in titles[:20]:
        question = world.engine.question(title.upper())
        assert any(term.startswith("=") for term in named(world.engine, question.terms))
        (found,) = world.engine.answer([question], 5)
        assert titles[found.rows[0]] == title
    assert not any(term.startswith("=") for term in named(world.engine, world.engine.question("graph search").terms))


def test_a_quotation_is_answered_by_its_words_alone(world: World) -> None:
    lexicon = world.engine.lexicon
    passage = " ".join(lexicon.term(c) for c in np.flatnonzero(world.impacts[9] * ~lexicon.stop)[:5])
    (found,) = world.engine.answer([world.engine.question(passage)], 10)
    assert found.method == "lexical"
    assert not found.sides.dense.any()
    assert found.sides.columns.tolist() == found.question.asked.tolist()  # type: ignore[union-attr]
    (other,) = world.engine.answer([world.engine.question(f"{passage} unheard")], 10)
    assert other.method == "fused", "a word that no document has is no word of a document"
    assert other.sides.dense.any()


def test_a_document_is_asked_by_its_heaviest_terms_and_its_vector(world: World) -> None:
    question = world.engine.question_like(9)
    own = {int(c): world.impacts[9, c] for c in np.flatnonzero(world.impacts[9]) if not world.engine.lexicon.stop[c]}
    heaviest = sorted(own, key=lambda column: (-np.float32(own[column]), column))[:LIKE_TERMS]
    assert question.terms[0].tolist() == sorted(heaviest)
    assert question.terms[1] == pytest.approx([own[column] for column in sorted(heaviest)])
    assert world.engine.dense is not None
    assert question.vector.tolist() == world.engine.dense.index.vectors[9].tolist()
    (found,) = world.engine.answer([question], 3)
    assert found.rows[0] == 9


def test_words_alone_rank_without_a_dense_side(world: World) -> None:
    engine = replace(world.engine, dense=None, params=PLAIN)
    question = engine.question(QUERIES[0])
    (found,) = engine.answer([question], 10)
    assert found.rows.tolist() == best(lexical_scores(world, question.terms), 10, np.ones(ROWS, bool))
    assert not found.sides.dense.any()


def test_unknown_words_have_no_answer(world: World) -> None:
    for text in ("unheard", "", "!?"):
        (found,) = world.engine.answer([world.engine.question(text)], 10)
        assert found.rows.tolist() == []


def test_exact_neighbours_are_those_of_a_sort(world: World) -> None:
    dense = exact_engine(world.engine).dense
    assert dense is not None
    rows = np.array([5, 0, 5, 200])
    ids, cosines = dense.neighbors.of(rows)
    wide = dense.index.vectors.astype(np.float64)
    for row, near, found in zip(rows.tolist(), ids, cosines, strict=True):
        every = wide @ wide[row]
        expected = [other for other in np.argsort(-every, kind="stable").tolist() if other != row][:NEIGHBORS]
        assert near.tolist() == expected
        assert found == pytest.approx(every[expected], abs=1e-6)
    again, _ = dense.neighbors.of(rows[::-1])
    assert again.tolist() == ids[::-1].tolist()
