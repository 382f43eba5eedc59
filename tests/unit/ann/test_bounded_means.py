"""Bounds of means hold for any distribution, near 1 too, where the normal interval fails."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fingerpost.tasks.ann.bounded_means import mean_between, most_certain

POPULATIONS = {
    "rarely anything missed": np.concatenate([np.ones(9_990), np.zeros(10)]),
    "near 1": np.concatenate([np.ones(9_700), np.full(200, 0.9), np.full(60, 0.5), np.zeros(40)]),
    "wide": np.random.default_rng(0).binomial(10, 0.86, 10_000) / 10,
    "all or nothing": np.concatenate([np.ones(7_000), np.zeros(3_000)]),
}


@pytest.mark.parametrize("name", POPULATIONS)
def test_bounds_hold_in_at_least_95_of_100_samples(name: str) -> None:
    population, rng = POPULATIONS[name], np.random.default_rng(1)
    held = 0
    for _ in range(200):
        found = mean_between(population[rng.integers(0, len(population), 300)], confidence=0.95)
        held += found.low <= population.mean() <= found.high
    assert held >= 190


def test_a_sample_without_misses_is_not_taken_for_certainty() -> None:
    """The normal interval has no width here, and would miss the mean of 0.999 in three samples of four."""
    found = mean_between(np.ones(300), confidence=0.95)
    assert (found.mean, found.high) == (1.0, 1.0)
    # Of any bounds, none can be higher: a mean of m lets 300 perfect queries happen with a probability of up to m ** 300.
    assert 0.98 < found.low < 0.025 ** (1 / 300)


def test_more_values_and_less_confidence_bring_bounds_together() -> None:
    values = POPULATIONS["wide"]
    few, many = (mean_between(values[:count], confidence=0.95) for count in (100, 5_000))
    assert many.high - many.low < few.high - few.low
    sure = mean_between(values[:100], confidence=0.999)
    assert sure.low < few.low < few.high < sure.high
    assert most_certain(2_000, confidence=0.95) > most_certain(200, confidence=0.95)


@given(st.lists(st.sampled_from([i / 10 for i in range(11)]), min_size=1, max_size=60), st.randoms())
def test_order_has_no_effect_and_bounds_are_on_both_sides(values: list[float], random: object) -> None:
    found = mean_between(values, confidence=0.9)
    shuffled = list(values)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    again = mean_between(shuffled, confidence=0.9)
    assert (again.low, again.high) == pytest.approx((found.low, found.high), abs=1e-12)
    assert 0 <= found.low <= found.mean + 1e-12
    assert found.mean - 1e-12 <= found.high <= 1


def test_nothing_asked_says_nothing_and_bad_values_are_refused() -> None:
    found = mean_between([], confidence=0.95)
    assert (found.low, found.high) == (0.0, 1.0)
    with pytest.raises(ValueError, match="values: expected 0 to 1"):
        mean_between([0.5, 1.5], confidence=0.95)
    with pytest.raises(ValueError, match="confidence: expected a probability"):
        mean_between([0.5], confidence=1.0)
