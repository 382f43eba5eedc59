"""Calibration: beside scikit-learn, rising, and nearer to the truth than the scores."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.isotonic import IsotonicRegression
from sklearn.linear_model import LogisticRegression

from fingerpost.tasks.xmr.calibration import calibration_error, fit_isotonic, fit_platt


def outcomes(seed: int, count: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    scores = np.round(rng.random(count), 2)
    return scores, rng.random(count) < 1 / (1 + np.exp(4 - 6 * scores))


@settings(max_examples=50, deadline=None)
@given(seed=st.integers(0, 10**6), count=st.integers(1, 200))
def test_isotonic_equals_scikit_learn(seed: int, count: int) -> None:
    scores, right = outcomes(seed, count)
    expected = IsotonicRegression(out_of_bounds="clip").fit(scores, right).predict(scores)
    np.testing.assert_allclose(fit_isotonic(scores, right).probabilities(scores), expected, atol=1e-6)


def test_platt_is_the_most_likely_sigmoid() -> None:
    scores, right = outcomes(1, 20_000)
    found = fit_platt(scores, right)
    exact = LogisticRegression(C=1e9, tol=1e-10).fit(scores[:, None], right)
    assert found.slope == pytest.approx(exact.coef_[0, 0], rel=0.01)
    assert found.offset == pytest.approx(exact.intercept_[0], rel=0.01)


@pytest.mark.parametrize("fit", [fit_platt, fit_isotonic])
def test_probabilities_rise_and_are_nearer_to_the_truth(fit) -> None:
    calibrator = fit(*outcomes(2, 5000))
    scores, right = outcomes(3, 5000)
    probabilities = calibrator.probabilities(scores)
    assert (np.diff(probabilities[np.argsort(scores)]) >= 0).all()
    assert calibration_error(probabilities, right) < 0.03 < calibration_error(scores, right)


@pytest.mark.parametrize("right", [np.zeros(5), np.ones(5), np.array([1, 1, 1, 0, 0])])
def test_one_sided_and_falling_outcomes_stay_finite(right) -> None:
    for fit in (fit_platt, fit_isotonic):
        probabilities = fit(np.arange(5.0), right).probabilities(np.linspace(-5, 9, 20))
        assert np.isfinite(probabilities).all()
        assert (np.diff(probabilities) >= 0).all()


def test_numbers_are_checked() -> None:
    with pytest.raises(ValueError, match="calibration: expected finite scores"):
        fit_platt([1.0, np.nan], [0, 1])
    with pytest.raises(ValueError, match="got 2 and 1"):
        fit_isotonic([1.0, 2.0], [0])
