"""Patterns mined from searches: a linear world gives its own numbers back; without networks they are what is built in."""

import numpy as np
import pytest

from fingerpost.tasks.nas.architecture import Architecture
from fingerpost.tasks.nas.costs import costs_of
from fingerpost.tasks.nas.edits import Edit, edited
from fingerpost.tasks.nas.pattern_params import PatternParams
from fingerpost.tasks.nas.patterns import (
    Observed,
    Pattern,
    built_in_patterns,
    changes,
    compared,
    expected_change,
    mined_patterns,
    part_of,
)
from fingerpost.tasks.nas.spaces import reference_for_images, space_around

REFERENCE = reference_for_images(28, 1, 10)
SPACE = space_around(REFERENCE, 16, vary=("width", "fusion", "plain", "expansion"))
#: What edits change in the linear world; all others change nothing.
TRUE = {("fuse", "early"): 0.004, ("replace_depthwise", "late"): -0.02, ("narrow", "middle"): -0.03}


def world_accuracy(architecture: Architecture) -> float:
    return 0.9 + sum(value * TRUE.get(key, 0.0) for key, value in changes(REFERENCE, architecture).items())


def search(count: int, seed: int, noise: float = 0.001) -> list[Observed]:
    """The reference and random networks around it in the linear world."""
    random = np.random.default_rng(seed)
    networks = [REFERENCE, *(SPACE.candidate(SPACE.sample(random)) for _ in range(count))]
    found = []
    for number, one in enumerate(networks):
        costs = costs_of(one)
        accuracy = world_accuracy(one) + float(random.normal(0, noise))
        found.append(Observed(one, accuracy, costs.macs / 1e6, costs.parameters, costs.peak_values, number % 5 == 1))
    return found


def by_key(patterns: tuple[Pattern, ...]) -> dict[tuple[str, str], Pattern]:
    return {(one.edit, one.part): one for one in patterns}


def test_the_edits_between_two_architectures_are_counted_by_part() -> None:
    other = edited(edited(REFERENCE, Edit("fuse", 1, 0)), Edit("replace_depthwise", 3))
    assert changes(REFERENCE, other) == {("fuse", "early"): 1.0, ("replace_depthwise", "late"): 2.0}
    assert changes(other, REFERENCE) == {("fuse", "early"): -1.0, ("replace_depthwise", "late"): -2.0}
    halved = edited(REFERENCE, Edit("narrow", 2, value=10))
    assert changes(REFERENCE, halved) == {("narrow", "middle"): 1.0}
    assert changes(REFERENCE, edited(REFERENCE, Edit("shrink_input", value=14))) == {
        ("shrink_input", "everywhere"): 1.0
    }
    # The expansion that a plain convolution has no more, and what a removed block had, are no edits of their own.
    removed = edited(edited(REFERENCE, Edit("fuse", 2, 1)), Edit("shrink_depth", 2, value=1))
    assert changes(REFERENCE, removed) == {("shrink_depth", "middle"): 1.0}
    assert changes(REFERENCE, REFERENCE) == {}


def test_stages_are_early_middle_and_late() -> None:
    assert [part_of(stage, 3) for stage in range(5)] == ["early", "early", "middle", "late", "late"]
    assert [part_of(stage, 4) for stage in (1, 2, 3, 4)] == ["early", "middle", "middle", "late"]
    assert part_of(1, 1) == "middle"


def test_a_linear_world_gives_its_numbers_back() -> None:
    found = by_key(mined_patterns([search(40, 0), search(40, 1)], params=PatternParams()))
    for key, value in TRUE.items():
        assert found[key].accuracy_change == pytest.approx(value, abs=0.0015)
        assert found[key].tried > 20
        assert abs(found[key].accuracy_change - value) < 3 * found[key].accuracy_spread
    assert abs(found["replace_depthwise", "early"].accuracy_change) < 0.002
    # Costs are those of the networks: fewer channels late make them smaller.
    assert found["narrow", "late"].size_change < -0.2
    assert found["fuse", "early"].latency_change > 0
    more, fewer = (by_key(mined_patterns([search(count, 0)], params=PatternParams())) for count in (80, 10))
    assert more["fuse", "early"].accuracy_spread < fewer["fuse", "early"].accuracy_spread


def test_what_no_network_tells_of_is_as_built_in() -> None:
    built_in, found = by_key(built_in_patterns()), by_key(mined_patterns([search(30, 0)], params=PatternParams()))
    assert found.keys() == built_in.keys()
    for key in (("shrink_input", "everywhere"), ("shrink_kernel", "early")):
        assert found[key].tried == 0
        assert not found[key].measured
        assert found[key].accuracy_change == pytest.approx(built_in[key].accuracy_change)
        assert found[key].accuracy_spread == pytest.approx(built_in[key].accuracy_spread)
    few = mined_patterns([search(3, 0)], params=PatternParams(least=6))
    assert few == built_in_patterns()
    assert mined_patterns([], params=PatternParams()) == built_in_patterns()


def test_a_failed_training_does_not_drown_the_others() -> None:
    networks = search(40, 0)
    failed = [*networks, Observed(SPACE.candidate(SPACE.sample(np.random.default_rng(9))), 0.1, 1.0, 1000, 1000)]
    before, after = (by_key(mined_patterns([some], params=PatternParams())) for some in (networks, failed))
    for key in TRUE:
        assert after[key].accuracy_change == pytest.approx(before[key].accuracy_change, abs=0.004)


def test_the_scale_of_one_search_does_not_tell_of_the_edits() -> None:
    shifted = [
        Observed(one.architecture, one.accuracy - 0.5, one.latency_ms, one.parameters, one.memory_bytes, one.front)
        for one in search(40, 1)
    ]
    one = mined_patterns([search(40, 0), search(40, 1)], params=PatternParams())
    other = mined_patterns([search(40, 0), shifted], params=PatternParams())
    for mine, theirs in zip(one, other, strict=True):
        assert mine.accuracy_change == pytest.approx(theirs.accuracy_change, abs=1e-9)


def test_unknown_latencies_are_no_hindrance() -> None:
    networks = [
        Observed(one.architecture, one.accuracy, None, one.parameters, one.memory_bytes, one.front)
        for one in search(20, 0)
    ]
    assert all(one.latency_change == 0 for one in mined_patterns([networks], params=PatternParams()))


def test_expectations_add_up() -> None:
    patterns = mined_patterns([search(60, 0)], params=PatternParams())
    other = edited(edited(REFERENCE, Edit("fuse", 1)), Edit("narrow", 2, value=10))
    mean, spread, tried = expected_change(patterns, REFERENCE, other)
    assert mean == pytest.approx(2 * 0.004 - 0.03, abs=0.004)
    assert spread > 0
    assert tried > 10
    assert expected_change(patterns, other, REFERENCE)[0] == pytest.approx(-mean)
    assert expected_change(patterns, REFERENCE, REFERENCE) == (0.0, 0.0, 0)
    assert expected_change(patterns, REFERENCE, edited(other, Edit("shrink_input", value=14)))[2] == 0


def test_networks_that_searches_share_count_once() -> None:
    first, other = search(40, 0), search(40, 1)
    apart, once = (by_key(mined_patterns(some, params=PatternParams())) for some in ([first, other], [first]))
    key = ("narrow", "middle")
    assert apart[key].tried > 1.5 * once[key].tried
    assert apart[key].accuracy_spread < once[key].accuracy_spread
    # A longer search has the evaluations of a shorter one, too.
    longer = [*first, *other[1:9]]
    assert by_key(mined_patterns([first, first[:30]], params=PatternParams())) == once
    told = compared([first, longer, longer], params=PatternParams())
    assert [len(one.networks) for one in told] == [len(first), 8]
    # The same network trained again, or on other images, is another observation.
    again = search(40, 0, noise=0.002)
    assert len(compared([first, again], params=PatternParams())) == 2
