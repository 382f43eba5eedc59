"""Limits on candidates."""

import pytest

from fingerpost.tasks.nas.limits import CandidateCosts, LimitParams, limits_of

COSTS = CandidateCosts(latency_ms=2.0, latency_spread_ms=0.5, macs=100, parameters=1000, memory_bytes=4096)


def test_the_uncertainty_of_the_estimate_counts_against_its_limit() -> None:
    assert limits_of(LimitParams(latency_ms=2.4, spreads=0.0), None).keeps(COSTS)
    limits = limits_of(LimitParams(latency_ms=2.4, spreads=1.0), None)
    assert not limits.keeps(COSTS)
    assert limits.bounds(COSTS) == {"latency_ms": 2.5}
    assert limits.excess(COSTS) == pytest.approx(0.1 / 2.4)
    assert limits_of(LimitParams(latency_ms=2.5, spreads=1.0), None).keeps(COSTS)


def test_fractions_are_of_the_reference_and_the_smaller_limit_holds() -> None:
    limits = limits_of(LimitParams(latency_share=0.5, memory_bytes=1000, memory_share=0.5, parameter_share=0.9), COSTS)
    assert limits.largest == {"latency_ms": 1.0, "memory_bytes": 1000.0, "parameters": 900.0}
    assert limits_of(LimitParams(memory_bytes=4000, memory_share=0.5), COSTS).largest == {"memory_bytes": 2048.0}


def test_no_limits_keep_everything() -> None:
    limits = limits_of(LimitParams(), None)
    assert limits.keeps(COSTS)
    assert limits.bounds(COSTS) == {}


def test_limits_that_cannot_be() -> None:
    with pytest.raises(ValueError, match="latency_ms of at least 0, got -1"):
        LimitParams(latency_ms=-1)
    with pytest.raises(ValueError, match="memory_share of at least 0, got nan"):
        LimitParams(memory_share=float("nan"))
    with pytest.raises(ValueError, match="expected a reference network"):
        limits_of(LimitParams(latency_share=0.5), None)
