"""Metrics of judged retrieval against scikit-learn and plain loops, intervals and the paired test against scipy."""

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import stats
from sklearn.metrics import ndcg_score

from fingerpost.tasks.ann.judged import (
    METRICS,
    IntervalParams,
    JudgedParams,
    Judgements,
    for_tuning,
    mean_of,
    paired,
    query_metrics,
)


@st.composite
def judged_rankings(draw: st.DrawFn) -> tuple[NDArray[np.int64], list[dict[int, float]], int]:
    """Rankings of a few documents for a few queries, with the grades of some of them."""
    documents = draw(st.integers(1, 130))
    queries = draw(st.integers(1, 5))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    depth = draw(st.integers(1, documents))
    ranked = np.stack([rng.permutation(documents)[:depth] for _ in range(queries)])
    ranked[rng.random(ranked.shape) < 0.1] = -1
    some = [rng.permutation(documents)[: rng.integers(0, documents + 1)].tolist() for _ in range(queries)]
    return ranked, [{row: float(rng.integers(0, 5)) for row in rows} for rows in some], documents


def judgements_of(graded: list[dict[int, float]]) -> Judgements:
    triples = [(query, row, grade) for query, one in enumerate(graded) for row, grade in one.items()]
    table = np.array(triples[::-1], dtype=np.float64).reshape(-1, 3)
    return Judgements.of(table[:, 0].astype(int), table[:, 1].astype(int), table[:, 2], count=len(graded))


def metrics_by_hand(ranked: list[int], graded: dict[int, float]) -> dict[str, float]:
    """The metrics of one query by their definitions."""
    relevant = {row for row, grade in graded.items() if grade > 0}
    if not relevant:
        return dict.fromkeys(METRICS, math.nan)
    gains = [2 ** graded.get(row, 0.0) - 1 if row >= 0 else 0.0 for row in ranked[:10]]
    best = sorted((2**grade - 1 for grade in graded.values()), reverse=True)[:10]
    places = [place for place, row in enumerate(ranked[:100], start=1) if row in relevant]
    return {
        "ndcg_at_10": sum(gain / math.log2(place + 2) for place, gain in enumerate(gains))
        / sum(gain / math.log2(place + 2) for place, gain in enumerate(best)),
        "mrr": 1 / places[0] if places else 0.0,
        "recall_at_100": len(places) / len(relevant),
        "precision_at_10": sum(place <= 10 for place in places) / 10,
    }


@given(judged_rankings())
@settings(deadline=None, max_examples=150)
def test_metrics_are_those_of_their_definitions(drawn: tuple[NDArray[np.int64], list[dict[int, float]], int]) -> None:
    ranked, graded, _ = drawn
    found = query_metrics(ranked, judgements_of(graded))
    for query, one in enumerate(graded):
        wanted = metrics_by_hand(ranked[query].tolist(), one)
        assert {name: found[name][query] for name in METRICS} == pytest.approx(wanted, nan_ok=True)


@given(st.integers(0, 2**32 - 1), st.integers(2, 40))
@settings(deadline=None, max_examples=50)
def test_ndcg_is_that_of_scikit_learn(seed: int, documents: int) -> None:
    rng = np.random.default_rng(seed)
    ranked = rng.permutation(documents)
    grades = rng.integers(0, 4, documents).astype(float)
    grades[rng.integers(documents)] = 3.0
    found = query_metrics(ranked[None], judgements_of([dict(enumerate(grades.tolist()))]))
    scores = np.empty(documents)
    scores[ranked] = np.arange(documents, 0, -1)
    assert found["ndcg_at_10"][0] == pytest.approx(ndcg_score(2.0 ** grades[None] - 1, scores[None], k=10))


def test_what_is_behind_the_hundredth_answer_does_not_count() -> None:
    judged = judgements_of([{100: 1.0, 99: 1.0}])
    found = query_metrics(np.arange(200, dtype=np.int64)[None], judged)
    assert (found["recall_at_100"][0], found["mrr"][0], found["ndcg_at_10"][0]) == (0.5, 0.01, 0.0)


def test_queries_without_answers_and_without_relevant_documents() -> None:
    judged = judgements_of([{3: 1.0}, {3: 0.0}, {}])
    empty = np.empty((3, 0), dtype=np.int64)
    found = query_metrics(empty, judged)
    for name in METRICS:
        assert found[name][0] == 0
        assert np.isnan(found[name][1:]).all()
    assert judged.relevant.tolist() == [1, 0, 0]


def test_queries_can_be_taken() -> None:
    judged = judgements_of([{3: 1.0}, {5: 2.0, 1: 1.0}, {}])
    part = judged.take(np.array([2, 1]))
    assert part.indptr.tolist() == [0, 0, 2]
    assert part.documents.tolist() == [1, 5]
    assert part.grades.tolist() == [1.0, 2.0]


def test_two_grades_of_one_document_are_refused() -> None:
    with pytest.raises(ValueError, match="expected one grade of a document for a query"):
        Judgements.of(np.array([0, 0]), np.array([4, 4]), np.array([1.0, 2.0]), count=1)


def test_rankings_of_other_queries_are_refused() -> None:
    with pytest.raises(ValueError, match="expected 1 rows, one a query, got 2"):
        query_metrics(np.zeros((2, 3), dtype=np.int64), judgements_of([{0: 1.0}]))


def test_the_interval_is_that_of_scipy() -> None:
    values = np.random.default_rng(1).beta(0.4, 0.8, 300)
    found = mean_of(values, IntervalParams(resamples=20_000))
    peer = stats.bootstrap(
        (values,), np.mean, n_resamples=20_000, confidence_level=0.95, method="percentile", rng=np.random.default_rng(2)
    ).confidence_interval
    assert found.value == pytest.approx(values.mean())
    width = peer.high - peer.low
    assert (found.low, found.high) == pytest.approx((peer.low, peer.high), abs=0.03 * width)


def test_the_interval_covers_the_mean_as_often_as_it_says() -> None:
    rng, params = np.random.default_rng(3), IntervalParams(resamples=400, confidence=0.9)
    found = [mean_of(rng.beta(0.5, 0.5, 60), params) for _ in range(400)]
    covered = np.mean([one.low <= 0.5 <= one.high for one in found])
    assert 0.84 <= covered <= 0.95


def test_one_query_has_no_width() -> None:
    found = mean_of(np.array([0.25]), IntervalParams())
    assert (found.low, found.value, found.high) == (0.25, 0.25, 0.25)
    with pytest.raises(ValueError, match="expected those of one query or more"):
        mean_of(np.zeros(0), IntervalParams())


@given(st.integers(1, 10), st.integers(0, 2**32 - 1))
@settings(deadline=None, max_examples=40)
def test_few_queries_are_compared_exactly(count: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    ours, theirs = rng.integers(0, 5, (2, count)) / 4
    found = paired(ours, theirs)
    means = [
        np.mean([difference if sign else -difference for sign, difference in zip(signs, ours - theirs, strict=True)])
        for signs in np.ndindex(*(2,) * count)
    ]
    assert found.probability == pytest.approx(np.mean(np.abs(means) >= abs(np.mean(ours - theirs)) - 1e-12))
    assert found.difference == pytest.approx(np.mean(ours) - np.mean(theirs))


def test_many_queries_are_compared_as_by_scipy() -> None:
    rng = np.random.default_rng(4)
    theirs = rng.random(120)
    ours = np.clip(theirs + rng.normal(0.02, 0.1, 120), 0, 1)
    peer = stats.permutation_test(
        (ours, theirs),
        lambda one, other, axis: np.mean(one - other, axis=axis),
        permutation_type="samples",
        n_resamples=10_000,
        vectorized=True,
        rng=np.random.default_rng(5),
    )
    found = paired(ours, theirs)
    assert found.probability == pytest.approx(peer.pvalue, abs=0.015)
    assert found == paired(ours, theirs)
    # Of random falls, one in twenty is larger.
    assert np.mean(peer.null_distribution > found.random_fall) == pytest.approx(0.05, abs=0.01)


def test_the_same_answers_differ_in_nothing() -> None:
    values = np.random.default_rng(6).random(50)
    found = paired(values, values)
    assert (found.difference, found.probability, found.random_fall) == (0.0, 1.0, 0.0)
    with pytest.raises(ValueError, match="expected values of the same queries, got 2 and 3"):
        paired(np.zeros(2), np.zeros(3))


def test_half_of_the_queries_are_for_tuning_whatever_else_there_is() -> None:
    ids = [f"q{number}" for number in range(2_000)]
    chosen = for_tuning(ids, JudgedParams())
    assert 0.45 < chosen.mean() < 0.55
    assert for_tuning(ids[::-1], JudgedParams()).tolist() == chosen[::-1].tolist()
    assert for_tuning(ids[7:9], JudgedParams()).tolist() == chosen[7:9].tolist()
    assert for_tuning(ids, JudgedParams(seed=1)).tolist() != chosen.tolist()
    assert not for_tuning(ids, JudgedParams(tuning=0)).any()


@pytest.mark.parametrize(
    ("params", "name", "value"),
    [
        (JudgedParams(), "tuning", 1.0),
        (JudgedParams(), "quarantine_share", -0.1),
        (IntervalParams(), "confidence", 1.0),
        (IntervalParams(), "resamples", 1),
    ],
)
def test_impossible_parameters_are_refused(params: JudgedParams | IntervalParams, name: str, value: float) -> None:
    with pytest.raises(ValueError, match=f"{name}: expected"):
        replace(params, **{name: value})  # type: ignore[arg-type]
