"""The choice of a blend: certain gains alone move it, harm switches a part off, and everything else stays as it was."""

from dataclasses import dataclass, replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from fingerpost.tasks.ann.asked import HALVES, JUDGED, Asked
from fingerpost.tasks.ann.blend_reasons import blend_name
from fingerpost.tasks.ann.dense_side import NeighborTable
from fingerpost.tasks.ann.engine import Engine
from fingerpost.tasks.ann.exact import ExactIndex
from fingerpost.tasks.ann.fusion import AnswerParams, fuse, only_dense, only_lexical
from fingerpost.tasks.ann.judged import IntervalParams, JudgedQueries, Judgements, mean_of
from fingerpost.tasks.ann.questions import QuestionParams
from fingerpost.tasks.ann.tuning import Choice, TuningParams, best_blend, choose_answers
from fingerpost.tasks.corpus.impacts import FieldWeights
from fingerpost.tasks.corpus.svd import SvdParams
from tests.support.text_engines import text_engine
from tests.worlds import texts

ROWS = 240
SVD = SvdParams(rank=16, whitening=0.0)
INTERVAL = IntervalParams(resamples=200, confidence=0.99)
PARAMS = TuningParams(questions=QuestionParams(questions=60, min_terms=8), depth=50, interval=INTERVAL)
BLENDS = [AnswerParams(dense_share=share) for share in (0.2, 0.0, 0.1, 0.4)]


@dataclass(frozen=True)
class World:
    titles: list[str]
    texts: list[str]
    engine: Engine


@pytest.fixture(scope="module")
def world() -> World:
    documents = list(texts(ROWS, 1))
    titles, bodies = [row["title"] for row in documents], [row["text"] for row in documents]
    return World(titles, bodies, text_engine(titles, bodies, svd=SVD))


def choose(
    world: World, params: TuningParams = PARAMS, engine: Engine | None = None, judged: JudgedQueries | None = None
) -> Choice:
    return choose_answers(
        world.titles,
        world.texts,
        engine or world.engine,
        weights=FieldWeights(),
        svd=SVD,
        judged=judged,
        params=params,
    )


@settings(max_examples=40)
@given(st.integers(0, 2**16), st.integers(2, 40), st.floats(0, 0.2))
def test_the_blend_with_the_surest_gain_is_chosen(seed, count, shift):
    random = np.random.default_rng(seed)
    gains = {blend: random.random(count) for blend in BLENDS}
    gains[BLENDS[2]] = gains[BLENDS[0]] + shift * random.random(count)
    chosen = best_blend(gains, BLENDS[0], INTERVAL)
    lows = {blend: mean_of(gains[blend] - gains[BLENDS[0]], INTERVAL).low for blend in BLENDS[1:]}
    surest = max(lows, key=lambda blend: lows[blend])
    if lows[surest] <= 0:
        assert chosen == BLENDS[0]
    elif chosen != surest:
        # No vectors at all are better than the default, and the surest blend is not certainly better than none.
        assert chosen == BLENDS[1]
        assert lows[chosen] > 0
        assert mean_of(gains[surest] - gains[chosen], INTERVAL).low <= 0


def test_noise_moves_nothing_and_the_same_gain_everywhere_does():
    values = np.random.default_rng(0).random(100)
    noise = {BLENDS[0]: values, BLENDS[1]: np.random.default_rng(1).permutation(values) + 0.001}
    assert best_blend(noise, BLENDS[0], INTERVAL) == BLENDS[0]
    assert best_blend({BLENDS[0]: values, BLENDS[1]: values + 0.001}, BLENDS[0], INTERVAL) == BLENDS[1]


@dataclass(frozen=True)
class Found:
    rows: NDArray[np.int64]
    lexical: NDArray[np.float32]
    near: NDArray[np.float32]
    dense: NDArray[np.float32]
    lexical_rank: NDArray[np.int64]
    dense_rank: NDArray[np.int64]


@settings(max_examples=100)
@given(st.integers(0, 2**16), st.integers(0, 12), st.integers(1, 8), st.booleans(), st.sampled_from([0.0, 0.2, 1.0]))
def test_gains_are_those_of_a_sorted_ranking(seed, count, depth, rough, dense_share):
    random = np.random.default_rng(seed)
    rows = np.sort(random.choice(20, size=count, replace=False)).astype(np.int64)
    scores = [np.float32(random.integers(0, 3, count) if rough else random.random(count)) for _ in range(3)]
    ranks = [random.integers(0, 3, count) for _ in range(2)]
    found, target, params = Found(rows, *scores, *ranks), int(random.integers(20)), AnswerParams(dense_share)
    proposed = {0.0: ranks[0] > 0, 0.2: np.ones(count, bool), 1.0: ranks[1] > 0}[dense_share]
    fused = fuse(*scores, params)
    ranking = sorted(np.flatnonzero(proposed), key=lambda place: (-fused[place], rows[place]))
    listed = [int(rows[place]) for place in ranking]
    rank = listed.index(target) + 1 if target in listed else depth + 100
    judgements = Judgements.of(np.array([0]), np.array([target]), np.ones(1), count=1)
    for kind, limit in ((HALVES, depth), (JUDGED, 10)):
        asked = Asked(kind, None, ["?"], judgements, limit)  # type: ignore[arg-type]
        expected = 1 / np.log2(rank + 1) if rank <= limit else 0.0
        assert asked.gains([found], params).tolist() == pytest.approx([expected])


def test_every_blend_is_measured_and_every_part_has_a_reason(world):
    choice = choose(world)
    assert [part for part, *_ in choice.reasons] == ["feedback", "words of neighbours", "vectors"]
    assert all("nDCG@50 on 60 halves of documents" in why for *_, why in choice.reasons)
    names = [name for name, *_ in choice.figures]
    assert len(set(names)) == len(names) == 2 * 5 * 3 + 1
    assert {"words", "words (feedback)", "vectors", "words 0.8 (feedback, neighbours 0.2), vectors 0.2"} <= set(names)
    assert {(kind, metric) for _, kind, metric, _ in choice.figures} == {("halves of documents", "ndcg_at_50")}
    assert choice.quality["questions"] == 60
    by_name = {name: value for name, _, _, value in choice.figures}
    assert choice.quality["lexical_ndcg"] == by_name[blend_name(only_lexical(choice.params))]
    assert choice.quality["dense_ndcg"] == by_name["vectors"]
    assert choice == choose(world)


def test_figures_are_what_the_engine_answers(world):
    """The blend that is served reaches what its figure says, asked as users ask it."""
    rows = np.arange(0, ROWS, 6)
    judged = JudgedQueries(
        [str(row) for row in rows],
        [" ".join(world.texts[row].split()[:3]) for row in rows],
        Judgements.of(np.arange(len(rows)), rows, np.ones(len(rows)), count=len(rows)),
    )
    choice = choose(world, judged=judged)
    engine = replace(world.engine, params=choice.params)
    gains = []
    for row, ranking in zip(rows, engine.answer([engine.question(text) for text in judged.texts], 10), strict=True):
        place = ranking.rows.tolist().index(row) + 1 if row in ranking.rows else 0
        gains.append(1 / np.log2(place + 1) if place else 0.0)
    assert choice.quality["fused_ndcg"] == pytest.approx(np.mean(gains), abs=1e-6)
    assert choice.quality["judged_queries"] == len(rows)


def test_vectors_that_do_harm_are_off(world):
    dense = world.engine.dense
    random = np.random.default_rng(0).standard_normal(dense.index.vectors.shape).astype(np.float32)
    random /= np.linalg.norm(random, axis=1, keepdims=True)
    ids = np.random.default_rng(1).integers(0, ROWS, dense.neighbors.ids.shape).astype(np.uint32)
    noisy = replace(dense, index=ExactIndex(random, "ip"), neighbors=NeighborTable(ids, np.ones(ids.shape, np.float32)))
    engine = replace(world.engine, dense=noisy)
    rows = np.arange(0, ROWS, 2)
    judged = JudgedQueries(
        [str(row) for row in rows],
        [" ".join(world.texts[row].split()[:3]) for row in rows],
        Judgements.of(np.arange(len(rows)), rows, np.ones(len(rows)), count=len(rows)),
    )
    params = replace(PARAMS, answers=AnswerParams(dense_share=0.9, near_share=0.5))
    choice = choose(world, params, engine, judged)
    assert choice.params.dense_share == 0
    off = {part: why for part, _, on, why in choice.reasons if not on}
    assert "than with it, nDCG@10 on 120 judged queries" in off["vectors"]
    assert off["vectors"].startswith("off: ")


def test_nothing_is_chosen_where_there_is_nothing_to_choose_by(world):
    few = replace(PARAMS, questions=QuestionParams(questions=29, min_terms=8))
    choice = choose(world, few)
    assert choice.params == AnswerParams()
    assert choice.quality["questions"] == 29
    assert {why for *_, why in choice.reasons} == {
        "as by default: only 29 questions could be made, fewer than 30",
    }
    assert choice.figures == []


def test_parameters_that_are_set_are_kept(world):
    params = replace(PARAMS, choose=False, answers=AnswerParams(dense_share=0.9, near_share=0.0, feedback=None))
    choice = choose(world, params)
    assert choice.params == params.answers
    assert choice.reasons == [
        ("feedback", "none", False, "as set"),
        ("words of neighbours", "0", False, "as set"),
        ("vectors", "0.9", True, "as set"),
    ]


def test_without_vectors_feedback_alone_is_chosen(world):
    engine = text_engine(world.titles, world.texts, svd=None)
    choice = choose(world, engine=engine)
    assert choice.params in (only_lexical(AnswerParams()), only_lexical(AnswerParams(feedback=None)))
    assert [part for part, *_ in choice.reasons] == ["feedback"]
    assert sorted(name for name, *_ in choice.figures) == ["words", "words (feedback)"]
    assert only_dense(AnswerParams()) not in choice.quality


def test_a_share_is_off_where_another_is_no_better_than_none():
    values = np.random.default_rng(0).random(100) / 2
    gains = {
        BLENDS[0]: values,
        BLENDS[1]: values + 0.1,
        BLENDS[2]: values + 0.1 + np.random.default_rng(1).normal(0.001, 0.01, 100),
    }
    assert best_blend(gains, BLENDS[0], INTERVAL) == BLENDS[1]
    assert best_blend(gains | {BLENDS[3]: values + 0.2}, BLENDS[0], INTERVAL) == BLENDS[3]


def test_values_out_of_range_are_refused():
    for wrong in ({"depth": 0}, {"minimum": 1}, {"fitted": -1}):
        with pytest.raises(ValueError, match="tuning: expected depth of at least 1"):
            TuningParams(**wrong)
