"""Thresholds and metrics of pairs: against all thresholds, and scikit-learn's average precision."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score

from fingerpost.tasks.kg.decisions import average_precision, best_threshold, recall_at_precision
from tests.support.pair_thresholds import f1_at


def random_pairs(seed: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    count = int(rng.integers(1, 40))
    labels = rng.integers(0, 2, count)
    labels[rng.integers(count)] = 1
    # Few distinct scores: ties between matches and others.
    return labels, rng.integers(0, int(rng.integers(1, 30)), count) / 10


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 10**6))
def test_the_best_threshold_is_the_best_of_all(seed: int) -> None:
    labels, scores = random_pairs(seed)
    found = f1_at(labels, scores, best_threshold(labels, scores))
    every = [
        2 * labels[scores >= threshold].sum() / ((scores >= threshold).sum() + labels.sum()) for threshold in scores
    ]
    assert found == pytest.approx(max(every))


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 10**6), st.sampled_from([0.5, 0.95, 1.0]))
def test_metrics_are_those_of_all_thresholds(seed: int, precision: float) -> None:
    labels, scores = random_pairs(seed)
    gained = [(labels[scores >= t].sum(), (scores >= t).sum()) for t in sorted(set(scores.tolist()), reverse=True)]
    steps = zip([0, *(matches for matches, _ in gained)], gained, strict=False)
    area = sum((matches - before) / labels.sum() * matches / accepted for before, (matches, accepted) in steps)
    assert average_precision(labels, scores) == pytest.approx(area)
    reached = [labels[scores >= t].sum() / labels.sum() for t in scores if labels[scores >= t].mean() >= precision]
    assert recall_at_precision(labels, scores, precision) == pytest.approx(max(reached, default=0.0))


@pytest.mark.parametrize("seed", range(5))
def test_average_precision_is_that_of_scikit_learn(seed: int) -> None:
    labels, scores = random_pairs(seed)
    assert average_precision(labels, scores) == pytest.approx(average_precision_score(labels, scores))


def test_the_order_of_equal_scores_does_not_matter() -> None:
    labels, scores = np.array([1, 0, 0, 1]), np.array([0.5, 0.5, 0.5, 0.5])
    assert average_precision(labels, scores) == average_precision(labels[::-1], scores) == 0.5
    assert best_threshold(labels, scores) == 0.5


def test_pairs_without_a_match_are_refused() -> None:
    for function in (best_threshold, average_precision):
        with pytest.raises(ValueError, match="pairs: expected at least one match among them, got none"):
            function(np.zeros(3, int), np.ones(3))
    assert f1_at(np.zeros(3, int), np.zeros(3), 0.5) == 0
