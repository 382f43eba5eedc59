from dataclasses import asdict

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from fingerpost.tasks.ann.fusion import AnswerParams, fuse, near_scores, only_dense, only_lexical
from fingerpost.tasks.corpus.feedback import FeedbackParams

UNIT = st.floats(-1, 1, width=32)
POSITIVE = st.floats(0, 100, width=32)


def columns(count: int, values: st.SearchStrategy[float]) -> st.SearchStrategy[np.ndarray]:
    return hnp.arrays(np.float32, count, elements=values)


@settings(max_examples=40)
@given(st.data(), st.integers(0, 20), st.sampled_from([0.0, 0.2, 0.5, 1.0]), st.sampled_from([0.0, 0.2, 0.9]))
def test_scores_are_the_blend_of_both_sides(data, count, dense_share, near_share):
    lexical, near = (data.draw(columns(count, POSITIVE)) for _ in range(2))
    dense = data.draw(columns(count, UNIT))
    params = AnswerParams(dense_share=dense_share, near_share=near_share)
    words = [(1 - near_share) * float(a) + near_share * float(b) for a, b in zip(lexical, near, strict=True)]
    largest = max(words, default=0.0) or 1.0
    expected = [(1 - dense_share) * w / largest + dense_share * float(d) for w, d in zip(words, dense, strict=True)]
    scores = fuse(lexical, near, dense, params)
    assert scores.dtype == np.float32
    np.testing.assert_allclose(scores, np.array(expected, np.float32), rtol=1e-6, atol=1e-6)
    assert (scores <= 1 + 1e-6).all()


@settings(max_examples=40)
@given(st.data(), st.integers(1, 20))
def test_a_score_does_not_depend_on_weaker_candidates(data, count):
    lexical, near = (data.draw(columns(count, POSITIVE)) for _ in range(2))
    dense, params = data.draw(columns(count, UNIT)), AnswerParams()
    best = int(np.argmax(0.8 * lexical.astype(float) + 0.2 * near))
    kept = np.array(sorted({best, *data.draw(st.lists(st.integers(0, count - 1)))}))
    whole, part = (
        fuse(lexical, near, dense, params),
        fuse(lexical[kept], near[kept], dense[kept], params),
    )
    np.testing.assert_array_equal(whole[kept], part)


def test_one_side_alone_orders_as_that_side_does():
    lexical = np.array([1, 3, 2], np.float32)
    near, dense = np.array([9, 0, 0], np.float32), np.array([0.1, 0.0, 0.9], np.float32)
    words, vectors = only_lexical(AnswerParams()), only_dense(AnswerParams())
    assert np.argsort(-fuse(lexical, near, dense, words)).tolist() == [1, 2, 0]
    assert np.argsort(-fuse(lexical, near, dense, vectors)).tolist() == [2, 0, 1]
    assert (words.uses_lexical, words.uses_dense, words.uses_neighbors) == (True, False, False)
    assert (vectors.uses_lexical, vectors.uses_dense, vectors.uses_neighbors) == (False, True, False)
    assert words.feedback is not None
    assert vectors.feedback is None


def test_cosines_decide_where_no_candidate_has_a_common_term():
    nothing = np.zeros(3, np.float32)
    scores = fuse(nothing, nothing, np.array([0.2, -0.1, 0.4], np.float32), AnswerParams(dense_share=0.5))
    np.testing.assert_allclose(scores, [0.1, -0.05, 0.2], rtol=1e-6)


@settings(max_examples=40)
@given(st.data(), st.integers(0, 10), st.integers(1, 5))
def test_neighbours_count_by_their_cosines(data, count, width):
    scores = data.draw(hnp.arrays(np.float32, (count, width), elements=POSITIVE))
    cosines = data.draw(hnp.arrays(np.float32, (count, width), elements=UNIT))
    means = near_scores(scores, cosines)
    for row in range(count):
        pairs = [(float(s), float(c)) for s, c in zip(scores[row], cosines[row], strict=True) if c > 0]
        total = sum(c for _, c in pairs)
        expected = sum(s * c for s, c in pairs) / total if total else 0.0
        np.testing.assert_allclose(means[row], expected, rtol=1e-5, atol=1e-6)


def test_a_document_without_neighbours_gets_nothing_from_them():
    assert near_scores(np.ones((1, 2), np.float32), np.zeros((1, 2), np.float32)).tolist() == [0.0]


@pytest.mark.parametrize("feedback", [None, FeedbackParams(documents=3)])
def test_parameters_survive_as_plain_values(feedback):
    params = AnswerParams(dense_share=0.3, near_share=0.4, feedback=feedback, candidates=7)
    assert AnswerParams.of(params.values()) == params
    assert params.values() == asdict(params)


def test_other_names_are_refused():
    with pytest.raises(ValueError, match="expected the names"):
        AnswerParams.of({"dense": 0.2})


@pytest.mark.parametrize(
    "wrong", [{"dense_share": 1.5}, {"dense_share": -0.1}, {"near_share": 1.0}, {"near_share": -0.1}, {"candidates": 0}]
)
def test_values_out_of_range_are_refused(wrong):
    with pytest.raises(ValueError, match="answers: expected dense_share"):
        AnswerParams(**wrong)
