"""The surrogate against formulas of the textbook, and what it chooses."""

import numpy as np
import pytest
from scipy.stats import norm

from fingerpost.tasks.nas.surrogate import (
    Kernel,
    Surrogate,
    SurrogateParams,
    acquisition,
    choose,
    clipped,
    fit_surrogate,
    standardised,
)
from fingerpost.tasks.nas.surrogate_pool import REFITTED, SurrogatePool


def world(count: int = 60, columns: int = 5) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(3)
    rows = random.normal(size=(count, columns))
    return rows, 0.8 + 0.02 * rows[:, 0] + 0.03 * np.sin(2 * rows[:, 1]) + 0.002 * random.normal(size=count)


def slow(fitted: Surrogate, rows: np.ndarray, targets: np.ndarray, new: np.ndarray) -> tuple[float, float]:
    """Mean and spread for one row by inverting the covariance, equation 2.25 and 2.26 of the textbook."""

    def covariance(first: np.ndarray, second: np.ndarray) -> float:
        distance = np.sqrt(5) * np.linalg.norm(first - second) / fitted.kernel.length
        smooth = (1 + distance + distance**2 / 3) * np.exp(-distance)
        return float(smooth + fitted.kernel.slope * first @ second)

    known = np.array([[covariance(one, two) for two in rows] for one in rows])
    inverse = np.linalg.inv(known + fitted.kernel.noise * np.eye(len(rows)))
    crossed = np.array([covariance(one, new) for one in rows])
    ones = np.ones(len(rows))
    mean = ones @ inverse @ targets / (ones @ inverse @ ones)
    variance = (targets - mean) @ inverse @ (targets - mean) / len(rows)
    left = covariance(new, new) - crossed @ inverse @ crossed + fitted.kernel.noise
    return mean + crossed @ inverse @ (targets - mean), float(np.sqrt(variance * left))


def test_predictions_are_those_of_the_textbook() -> None:
    rows, scores = world()
    fitted = fit_surrogate(rows[:25], scores[:25], among=rows)
    mean, spread = fitted.predict(rows)
    known = standardised(rows, fitted.shift, fitted.scale)
    for place in (0, 30, 59):
        expected = slow(fitted, known[:25], clipped(scores[:25], SurrogateParams().tail), known[place])
        assert (mean[place], spread[place]) == pytest.approx(expected, rel=1e-8)


def test_it_learns_and_says_how_well() -> None:
    rows, scores = world(100)
    mean, spread = fit_surrogate(rows[:60], scores[:60]).predict(rows[60:])
    errors = mean - scores[60:]
    assert np.corrcoef(mean, scores[60:])[0, 1] > 0.8
    assert 0.5 < np.sqrt(np.mean((errors / spread) ** 2)) < 2.0


def test_the_likeliest_kernel_is_chosen() -> None:
    random = np.random.default_rng(0)
    rows = random.normal(size=(40, 3))
    straight = fit_surrogate(rows, rows @ [1.0, 2.0, 3.0])
    noisy = fit_surrogate(rows, random.normal(size=40))
    assert straight.kernel.slope > 0
    assert straight.kernel.noise == min(SurrogateParams().noises)
    assert noisy.kernel.noise == max(SurrogateParams().noises)


def test_constant_features_and_scores_are_no_obstacle() -> None:
    rows, scores = world(12)
    wider = np.column_stack([rows, np.full(12, 7.0)])
    expected = fit_surrogate(rows, scores).predict(rows)
    np.testing.assert_allclose(fit_surrogate(wider, scores).predict(wider), expected)
    mean, spread = fit_surrogate(rows, np.full(12, 0.5)).predict(rows)
    np.testing.assert_allclose(mean, 0.5)
    np.testing.assert_allclose(spread, 0.0, atol=1e-9)
    alone, _ = fit_surrogate(rows[:1], scores[:1]).predict(rows)
    np.testing.assert_allclose(alone, scores[0])


def test_a_diverged_training_does_not_stretch_the_scale() -> None:
    rows, scores = world(40)
    diverged = scores.copy()
    diverged[7] = 0.0
    np.testing.assert_allclose(np.delete(clipped(diverged, 4.0), 7), np.delete(scores, 7))
    mean, _ = fit_surrogate(rows, diverged).predict(rows)
    assert np.abs(np.delete(mean - scores, 7)).max() < 0.05


@pytest.mark.parametrize("wrong", [np.array([[np.nan, 1.0]]), np.ones((1, 3)), np.ones(2)])
def test_wrong_features_are_refused(wrong: np.ndarray) -> None:
    fitted = fit_surrogate(np.eye(2), np.array([0.1, 0.2]))
    with pytest.raises(ValueError, match="surrogate: expected finite features"):
        fitted.predict(wrong)
    with pytest.raises(ValueError, match="surrogate: expected a finite score"):
        fit_surrogate(np.eye(2), np.array([0.1, np.inf]))
    with pytest.raises(ValueError, match="surrogate: expected lengths"):
        SurrogateParams(lengths=())


def test_expected_improvement_is_the_mean_of_the_improvement() -> None:
    mean, spread = np.array([0.5, 0.7, 0.9, 0.9]), np.array([0.1, 0.2, 0.0, 0.1])
    draws = norm.ppf((np.arange(200_000) + 0.5) / 200_000)
    expected = [np.maximum(m + s * draws - 0.8, 0).mean() for m, s in zip(mean, spread, strict=True)]
    np.testing.assert_allclose(acquisition(mean, spread, 0.8), expected, atol=1e-5)
    assert acquisition(mean, np.zeros(4), 0.95).tolist() == [0, 0, 0, 0]


def test_the_best_are_chosen_in_order() -> None:
    acquired = np.array([0.2, 0.9, 0.9, 0.5, 0.1])
    excluded = np.array([False, True, False, False, False])
    assert choose(acquired, 3, excluded).tolist() == [2, 3, 0]
    assert choose(acquired, 9, excluded).tolist() == [2, 3, 0, 4]


def test_a_pool_expects_what_a_surrogate_fitted_at_once_expects() -> None:
    rows, scores = world()
    known = standardised(rows, rows.mean(axis=0), rows.std(axis=0))
    pool = SurrogatePool(known, 40, SurrogateParams(tail=100.0))
    for count in range(1, 31):
        place = (7 * count) % 25
        pool.tell(place, scores[place])
        mean, spread = pool.predict()
        if count in REFITTED:
            told = [(7 * number) % 25 for number in range(1, count + 1)]
            whole = fit_surrogate(rows[told], scores[told], among=rows, params=SurrogateParams(tail=100.0))
            expected = whole.predict(rows)
            np.testing.assert_allclose(mean, expected[0], rtol=1e-7)
            np.testing.assert_allclose(spread, expected[1], rtol=1e-5, atol=1e-9)
    assert 30 not in REFITTED


def test_kernels_are_symmetric_and_positive() -> None:
    rows, _ = world(20)
    kernel = Kernel(0.7, 0.5, 0.1)
    covariance = kernel(rows, rows)
    np.testing.assert_allclose(covariance, covariance.T)
    assert np.linalg.eigvalsh(covariance).min() > 0
    np.testing.assert_allclose(np.diag(covariance), kernel.variance(rows), rtol=1e-6)
