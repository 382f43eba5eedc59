"""Calibration of scores: rates that are true, an order that is kept, and the simplest function that explains the pairs."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fingerpost.tasks.kg.calibration import (
    Calibration,
    fit_bent_line,
    fit_line,
    fit_steps,
    fitted,
    log_odds_of,
    probabilities_of,
    shifted,
    uncalibrated,
)

FITS = (fit_line, fit_bent_line, fit_steps)


def drawn(seed: int, count: int, curve: str = "line") -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Scores, labels drawn by a curve of log odds over them, and that curve."""
    rng = np.random.default_rng(seed)
    scores = rng.normal(-1.0, 3.0, count)
    odds = {
        "line": 0.7 * scores - 0.5,
        "bent": 1.5 * np.logaddexp(0, scores) - 0.2 * np.logaddexp(0, -scores) - 0.9,
        "steps": np.where(scores < -2, -6.0, np.where(scores < 1, 0.0, 6.0)),
    }[curve]
    return scores, (rng.random(count) < probabilities_of(odds)).astype(int), odds


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10**6), count=st.integers(4, 60), fit=st.sampled_from(FITS))
def test_probabilities_never_fall_with_the_score(seed: int, count: int, fit) -> None:
    scores, labels, _ = drawn(seed, count)
    labels[:2] = 0, 1
    found = fit(scores, labels.astype(float))
    grid = np.sort(np.concatenate([scores, np.linspace(-30, 30, 301)]))
    odds = found.log_odds(grid)
    assert np.all(np.diff(odds) >= 0)
    assert np.all((found.probabilities(grid) > 0) & (found.probabilities(grid) < 1))
    if fit is fit_steps:
        inside = np.linspace(scores.min(), scores.max(), 50)
        assert np.all(np.diff(found.log_odds(inside)) > 0)


@pytest.mark.parametrize(("curve", "fit"), [("line", fit_line), ("bent", fit_bent_line), ("steps", fit_steps)])
def test_rates_are_those_of_the_pairs(curve: str, fit) -> None:
    scores, labels, odds = drawn(0, 20_000, curve)
    found = fit(scores, labels.astype(float)).probabilities(scores)
    # Steps are joined by lines, which are off where the curve jumps.
    assert np.mean(np.abs(found - probabilities_of(odds))) < (0.05 if curve == "steps" else 0.02)
    assert found.mean() == pytest.approx(labels.mean(), abs=0.01)


@pytest.mark.parametrize(
    ("curve", "count", "kind"),
    [("line", 40, "platt"), ("line", 5000, "platt"), ("bent", 5000, "beta"), ("steps", 5000, "isotonic")],
)
def test_the_simplest_function_that_explains_the_pairs_is_taken(curve: str, count: int, kind: str) -> None:
    scores, labels, _ = drawn(1, count, curve)
    assert fitted(scores, labels, np.arange(count)).kind == kind


def test_separated_pairs_are_not_certain() -> None:
    scores = np.array([-9.0, -8.0, -7.0, 7.0, 8.0, 9.0])
    labels = np.array([0, 0, 0, 1, 1, 1])
    found = fitted(scores, labels, np.arange(6))
    low, high = found.probabilities([-8.0, 8.0])
    assert 0.01 < low < 0.3 < 0.7 < high < 0.99


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 10**6))
def test_the_order_of_pairs_changes_no_bit(seed: int) -> None:
    scores, labels, _ = drawn(seed, 50)
    labels[:2] = 0, 1
    groups = np.arange(50) // 2
    order = np.random.default_rng(seed).permutation(50)
    one, other = fitted(scores, labels, groups), fitted(scores[order], labels[order], groups[order])
    assert one.kind == other.kind
    assert all(np.array_equal(one.tensors[name], other.tensors[name]) for name in one.tensors)


def test_other_shares_of_matches_move_log_odds() -> None:
    scores, labels, _odds = drawn(3, 20_000)
    found = fitted(scores, labels, np.arange(20_000))
    # Three of four pairs of two entities are left out: the odds of the others are four times as high.
    kept = (labels == 1) | (np.arange(20_000) % 4 == 0)
    moved = shifted(found, scores[kept], labels[kept])
    assert moved.log_odds(scores) - found.log_odds(scores) == pytest.approx(np.log(4), abs=0.1)
    assert moved.probabilities(scores[kept]).mean() == pytest.approx(labels[kept].mean(), abs=0.01)
    assert np.isfinite(shifted(found, scores[:3], np.ones(3)).log_odds(scores)).all()


def test_a_score_against_the_labels_is_not_turned_round() -> None:
    scores = np.array([5.0, 4.0, 3.0, -3.0, -4.0, -5.0])
    found = fitted(scores, np.array([0, 0, 0, 1, 1, 1]), np.arange(6))
    assert np.allclose(found.probabilities([-5.0, 5.0]), 0.5, atol=0.01)


def test_a_calibration_is_its_arrays() -> None:
    scores, labels, _ = drawn(2, 3000, "steps")
    found = fitted(scores, labels, np.arange(3000))
    again = Calibration({name: array.copy() for name, array in found.tensors.items()})
    assert np.array_equal(again.log_odds(scores), found.log_odds(scores))


def test_scores_without_labels_are_log_odds() -> None:
    assert np.allclose(uncalibrated().probabilities([-2.0, 0.0, 2.0]), 1 / (1 + np.exp([2.0, 0.0, -2.0])))
    assert np.allclose(log_odds_of(probabilities_of(np.linspace(-20, 20, 41))), np.linspace(-20, 20, 41), atol=1e-6)


@pytest.mark.parametrize(
    ("scores", "labels"), [([1.0, 2.0], [1, 1]), ([1.0, 2.0], [0, 0]), ([], []), ([np.inf, 1.0], [0, 1])]
)
def test_pairs_that_are_refused(scores: list[float], labels: list[int]) -> None:
    with pytest.raises(ValueError, match="calibration: expected finite scores of pairs of both labels"):
        fitted(scores, labels, np.arange(len(scores)))
