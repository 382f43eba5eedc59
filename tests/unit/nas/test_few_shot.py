"""Latencies of cells from few measured ones, on made-up devices whose latencies are known."""

from itertools import product

import numpy as np
import pytest

from fingerpost.tasks.nas.block_regression import Block, fit_blocks
from fingerpost.tasks.nas.cell_features import counts
from fingerpost.tasks.nas.few_shot import (
    FewShotParams,
    cells_to_measure,
    count_features,
    fit_few_shot,
    latency_features,
    likely_factor,
)
from fingerpost.tasks.nas.transfer import fit_transfer, shared_components

EVERY = np.array(list(product(range(5), repeat=6)))[::11]


def device(seed: int, *, noise: float = 0.02, curved: float = 0.0) -> np.ndarray:
    """Latencies of ``EVERY`` on a device that adds operations up, with a share that saturates, and relative noise."""
    random = np.random.default_rng(seed)
    own = counts(EVERY)
    costs = random.uniform(0.1, 1.0, size=4)
    true = 2.0 + own @ costs - curved * own[:, 2] ** 2
    return true * (1 + noise * random.standard_t(4, size=len(true)))


def test_few_measurements_predict_the_rest() -> None:
    latencies = device(0)
    chosen = cells_to_measure(EVERY, 30, seed=0, params=FewShotParams(candidates=500))
    assert len(set(chosen.tolist())) == 30
    mean, spread = fit_few_shot(EVERY[chosen], latencies[chosen]).predict(EVERY)
    truth = device(0, noise=0.0)
    assert np.median(np.abs(mean / truth - 1)) < 0.02
    assert np.abs(mean / truth - 1).max() < 0.08
    assert 0.5 < np.median(np.abs(mean - latencies) / spread) / 0.67 < 1.5


def test_products_are_learned_where_there_are_any() -> None:
    latencies = device(1, noise=0.002, curved=0.08)
    chosen = cells_to_measure(EVERY, 60, seed=1, params=FewShotParams(candidates=500))
    fitted = fit_few_shot(EVERY[chosen], latencies[chosen])
    straight = fitted.linear.predict([count_features(EVERY)])[0]
    curved = fitted.quadratic.predict(list(latency_features(EVERY)))[0]
    guesses = (straight, fitted.predict(EVERY)[0], curved)
    errors = [np.median(np.abs(one / latencies - 1)) for one in guesses]
    # Half of the prediction is linear, so that half of its error stays.
    assert errors[2] < 0.3 * errors[0]
    assert errors[1] < 0.8 * errors[0]


def test_chosen_cells_predict_better_than_random_ones() -> None:
    rows = np.column_stack([np.ones(len(EVERY)), count_features(EVERY)])

    def mean_variance(chosen: np.ndarray) -> float:
        inverse = np.linalg.inv(rows[chosen].T @ rows[chosen] + 1e-3 * np.eye(5))
        return float(((rows @ inverse) * rows).sum(axis=1).mean())

    chosen = cells_to_measure(EVERY, 20, seed=3, params=FewShotParams(candidates=500))
    random = [np.random.default_rng(seed).choice(len(EVERY), 20, replace=False) for seed in range(5)]
    assert mean_variance(chosen) < 0.8 * min(mean_variance(one) for one in random)
    np.testing.assert_array_equal(chosen, cells_to_measure(EVERY, 20, seed=3, params=FewShotParams(candidates=500)))


def test_an_outlier_hardly_matters() -> None:
    latencies = device(2, noise=0.005)
    chosen = cells_to_measure(EVERY, 30, seed=2, params=FewShotParams(candidates=300))
    wrong = latencies.copy()
    wrong[chosen[4]] *= 5
    before, after = (fit_few_shot(EVERY[chosen], one[chosen]).predict(EVERY)[0] for one in (latencies, wrong))
    assert np.abs(after / before - 1).max() < 0.02


def test_left_out_is_what_a_fit_without_the_row_predicts() -> None:
    random = np.random.default_rng(5)
    rows = random.normal(size=(40, 2)) / 2**0.5
    targets = 5.0 + rows @ [1.0, 0.5] + 0.05 * random.normal(size=40)
    whole = fit_blocks([Block(rows, 0.0)], targets)
    for place in (0, 17):
        rest = np.delete(np.arange(40), place)
        without = fit_blocks([Block(rows[rest], 0.0)], targets[rest])
        assert whole.left_out[place] == pytest.approx(without.predict([rows[place][None]])[0][0], rel=2e-3)
    assert whole.noise == pytest.approx(0.01, rel=0.5)


def test_the_factor_brings_most_within_the_tolerance() -> None:
    truth = np.linspace(1.0, 9.0, 200)
    assert likely_factor(truth / 1.08, truth, 0.05) == pytest.approx(1.08, abs=0.02)
    assert likely_factor(truth, truth, 0.1) == pytest.approx(1.0, abs=1e-9)


def test_other_devices_help() -> None:
    surprise = np.random.default_rng(9).normal(size=len(EVERY))
    others = np.column_stack([device(seed) + 0.5 * (seed + 1) * surprise + 3 for seed in range(4)])
    others = np.maximum(others, 0.1)
    own = np.maximum(device(7, noise=0.005) + surprise + 3, 0.1)
    chosen = cells_to_measure(EVERY, 20, seed=0, params=FewShotParams(candidates=300))
    alone = fit_few_shot(EVERY[chosen], own[chosen]).predict(EVERY)[0]
    helped, spread = fit_transfer(EVERY, chosen, own[chosen], others).predict(EVERY)
    assert np.median(np.abs(helped - own)) < 0.5 * np.median(np.abs(alone - own))
    assert (spread > 0).all()
    part = fit_transfer(EVERY, chosen, own[chosen], others).predict(EVERY[5:9], np.arange(5, 9))[0]
    np.testing.assert_allclose(part, helped[5:9])


def test_components_explain_the_devices() -> None:
    one = device(3, noise=0.0)
    components = shared_components(np.column_stack([one, 3 * one, 0.5 * one]))
    assert np.abs(np.corrcoef(components[:, 0], one)[0, 1]) == pytest.approx(1.0)
    np.testing.assert_allclose(components[:, 1:], 0, atol=1e-6)


@pytest.mark.parametrize("wrong", [0.0, -1.0, np.nan])
def test_wrong_latencies_are_refused(wrong: float) -> None:
    latencies = np.ones(5)
    latencies[2] = wrong
    with pytest.raises(ValueError, match="few shots: expected a latency above 0"):
        fit_few_shot(EVERY[:5], latencies)
    with pytest.raises(ValueError, match="transfer: expected latencies above 0"):
        shared_components(latencies[:, None])
    with pytest.raises(ValueError, match="few shots: expected 1 to 5 cells"):
        cells_to_measure(EVERY[:5], 6, seed=0)
    with pytest.raises(ValueError, match="few shots: expected a tolerance"):
        FewShotParams(tolerance=0.0)
