"""The landscape of costs: smooth by multiply-accumulates, a staircase by latency, monotone where it is curated."""

import itertools
from collections.abc import Sequence

import numpy as np
import pytest
from numpy.typing import NDArray

from fingerpost.tasks.nas.accelerator import Accelerator
from fingerpost.tasks.nas.architecture import Architecture
from fingerpost.tasks.nas.costs import costs_of
from fingerpost.tasks.nas.landscape import Landscape, Point, landscape_of, with_channels
from fingerpost.tasks.nas.landscape_params import LandscapeParams
from fingerpost.tasks.nas.spaces import reference_for_images

DEVICE = Accelerator()
REFERENCE = reference_for_images(8, 1, 10)


def measured(architectures: Sequence[Architecture]) -> NDArray[np.float64]:
    return DEVICE.measure_networks(architectures).ms


@pytest.fixture(scope="module")
def landscape() -> Landscape:
    return landscape_of(REFERENCE, DEVICE.parallelism, measured)


def axes(landscape: Landscape, space: str) -> dict[str, list[Point]]:
    points = [point for point in landscape.points if point.space == space]
    return {axis: list(group) for axis, group in itertools.groupby(points, key=lambda point: point.axis)}


def test_points_are_networks_beside_the_given_one(landscape: Landscape) -> None:
    names = ["channels of the stem", "channels of stage 1", "channels of stage 2"]
    assert list(axes(landscape, "curated")) == list(axes(landscape, "uncurated")) == names
    for point in landscape.points:
        own = [REFERENCE.stem, *(stage.channels for stage in REFERENCE.stages)]
        own[names.index(point.axis)] = point.value
        network = with_channels(REFERENCE, own)
        assert point.macs == costs_of(network).macs
        assert point.latency_ms == measured([network])[0]
    values = {axis: [point.value for point in points] for axis, points in axes(landscape, "curated").items()}
    assert values == {name: [16, 32, 48] for name in names}
    assert [point.value for point in axes(landscape, "uncurated")[names[0]]] == list(range(16, 49))


def test_curation_turns_rocky_ground_into_a_way_down(landscape: Landscape) -> None:
    for points in axes(landscape, "uncurated").values():
        # By multiply-accumulates each step up costs more.
        assert all(before.macs < after.macs for before, after in itertools.pairwise(points))
    assert landscape.roughness("uncurated") > 1
    assert landscape.roughness("curated") < 0.2
    assert landscape.turns("uncurated") >= 3
    assert landscape.turns("curated") == 0
    ways = {
        space: [step.latency_ms for step in landscape.steps if step.space == space]
        for space in ("curated", "uncurated")
    }
    # Fewer and larger steps, each of which goes down, between the same ends.
    assert all(before > after for before, after in itertools.pairwise(ways["curated"]))
    assert len(ways["curated"]) * 5 < len(ways["uncurated"])
    drops = np.diff(np.log(ways["uncurated"]))
    assert np.median(drops) > 0.2 * drops.min()
    assert ways["curated"][0] == ways["uncurated"][0]
    assert ways["curated"][-1] == ways["uncurated"][-1]


def test_a_landscape_by_multiply_accumulates_has_no_turns() -> None:
    found = landscape_of(
        REFERENCE, 16, lambda networks: np.array([1e-6 * costs_of(network).macs + 1 for network in networks])
    )
    assert found.roughness("uncurated") < 0.2
    assert found.turns("uncurated") == found.turns("curated") == 0


def test_the_way_ends_after_the_most_steps() -> None:
    found = landscape_of(REFERENCE, 16, measured, params=LandscapeParams(reach=1.0, steps=4))
    assert [step.step for step in found.steps] == [0, 1, 2, 3, 4] * 2


@pytest.mark.parametrize(("name", "value"), [("reach", 0.5), ("reach", float("inf")), ("steps", 0)])
def test_parameters_out_of_range(name: str, value: float) -> None:
    with pytest.raises(ValueError, match=f"{name}: expected"):
        LandscapeParams(**{name: value})  # type: ignore[arg-type]
