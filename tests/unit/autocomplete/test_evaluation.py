"""Metrics of completions against definitions and the library that the published code uses."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fingerpost.tasks.autocomplete.evaluation import (
    EvaluationParams,
    Outcomes,
    WeakParams,
    bleu_by_rank,
    by_setting,
    interval,
    metrics,
    positions,
    reciprocal,
    sentence_bleu,
)


def outcomes(ranks: list[int], sessions: list[int] | None = None) -> Outcomes:
    count = len(ranks)
    return Outcomes(
        np.array(ranks, dtype=np.int64),
        np.linspace(0, 1, count),
        np.array(ranks) != 0,
        np.array(sessions if sessions is not None else range(count), dtype=np.int64),
    )


def test_positions() -> None:
    ranked = [np.array(rows, dtype=np.uint32) for rows in ([5, 3], [], [7, 8, 9], [1])]
    ranks = positions(ranked, np.array([3, 3, 7, -1], dtype=np.int32))
    assert ranks.tolist() == [2, 0, 1, 0]
    assert reciprocal(ranks).tolist() == [0.5, 0, 1, 0]


@pytest.mark.parametrize(
    ("candidate", "truth", "score"),
    [
        # nltk 3.9.1: sentence_bleu([truth.split()], candidate.split(), smoothing_function=SmoothingFunction().method1)
        ("the cat sat on the mat", "the cat sat on the mat", 1.0),
        ("the cat sat", "the cat sat on the mat", 0.20687),
        ("a b", "a c", 0.14953),
        ("numpy.zeros", "numpy.zeros", 0.17783),
        ("the the the the", "the cat", 0.08034),
        ("a b c d e", "a b d e", 0.16069),
        ("x", "y", 0.0),
    ],
)
def test_bleu(candidate: str, truth: str, score: float) -> None:
    assert sentence_bleu(candidate, truth) == pytest.approx(score, abs=1e-5)


def test_bleu_by_rank_weighs_the_first_most() -> None:
    whole = sentence_bleu("a b", "a b")
    assert bleu_by_rank(["a b", "x"], "a b") == pytest.approx(whole / 1.5)
    assert bleu_by_rank(["x", "a b"], "a b") == pytest.approx(whole / 3)
    assert bleu_by_rank([], "a b") == 0


def test_metrics() -> None:
    found = metrics(outcomes([1, 3, 0, 10]), EvaluationParams(resamples=50))
    assert found["mrr"] == pytest.approx((1 + 1 / 3 + 0.1) / 4)
    assert [found[f"success_at_{k}"] for k in (1, 3, 10)] == [0.25, 0.5, 0.75]
    assert (found["coverage"], found["bleu_rr"], found["pairs"]) == (0.75, 0.5, 4)
    assert found["mrr_low"] < found["mrr"] < found["mrr_high"]
    assert metrics(outcomes([])) == {"pairs": 0}


def test_intervals_are_over_sessions() -> None:
    """Ten equal requests of one session are one observation; sessions that do not differ have no interval."""
    params = EvaluationParams(resamples=400)
    alone = interval(np.repeat([1.0, 0.0], 50), np.arange(100), params)
    together = interval(np.repeat([1.0, 0.0], 50), np.repeat(np.arange(10), 10), params)
    assert together[1] - together[0] > 2 * (alone[1] - alone[0]) > 0
    assert interval(np.full(6, 0.5), np.arange(6), params) == (0.5, 0.5)
    assert interval(np.array([1.0, 0.0]), np.arange(2), EvaluationParams(resamples=0)) == (0.5, 0.5)


@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 10**6))
def test_intervals_hold_the_mean_as_often_as_they_say(seed: int) -> None:
    random = np.random.default_rng(seed)
    held = 0
    for _ in range(40):
        low, high = interval(random.random(60), np.arange(60), EvaluationParams(resamples=200))
        held += low <= 0.5 <= high
    assert held >= 30


def test_metrics_by_setting() -> None:
    by_length = {0: outcomes([1, 1]), 1: outcomes([1, 2]), 3: outcomes([0, 2])}
    params = EvaluationParams(prefixes=(0, 1, 3), resamples=10)
    found = by_setting(by_length, np.array([True, False]), params)
    assert found["all"]["mrr"] == (1 + 0.5 + 0 + 0.5) / 4
    assert found["all"]["pairs"] == 4
    assert found["prefix 0"]["mrr"] == 1
    assert [found[f"prefix 3 {word}"]["mrr"] for word in ("seen", "unseen")] == [0, 0.5]
    assert set(found) == {"all"} | {f"prefix {n}{word}" for n in (0, 1, 3) for word in ("", " seen", " unseen")}


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"prefixes": ()}, "prefixes: expected lengths"),
        ({"prefixes": (0,)}, "prefixes: expected lengths"),
        ({"prefixes": (-1, 1)}, "prefixes: expected lengths"),
        ({"suggestions": 9}, "suggestions: expected at least 10"),
        ({"pairs": 0}, "pairs and resamples"),
        ({"resamples": -1}, "pairs and resamples"),
    ],
)
def test_wrong_parameters(wrong: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        EvaluationParams(**wrong)  # type: ignore[arg-type]


@pytest.mark.parametrize("wrong", [{"pairs": 0}, {"users": 0}, {"most": 0}, {"success": 1.5}])
def test_wrong_parameters_of_weak_prefixes(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="pairs, users, most and success"):
        WeakParams(**wrong)  # type: ignore[arg-type]
