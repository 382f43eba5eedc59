"""The landscape of costs around a network, along its channels, in the curated and in the uncurated space.

The figure of "Optimizing neural networks for special-purpose hardware" (Amazon Science, 2023): by multiply-accumulates the
ground is smooth; by the latency on an accelerator it is rocky; curation leaves few points, far apart, on a way down.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from fingerpost.tasks.nas.architecture import Architecture
from fingerpost.tasks.nas.costs import costs_of
from fingerpost.tasks.nas.landscape_params import LandscapeParams

#: Milliseconds float64 (n,) of networks.
Latency = Callable[[Sequence[Architecture]], NDArray[np.float64]]
#: Relative differences of latencies below this are none: those of sums in another order.
_EQUAL = 1e-9


@dataclass(frozen=True)
class Point:
    """A network beside the given one: ``axis`` says what differs, ``value`` is its number of channels."""

    space: str
    axis: str
    value: int
    latency_ms: float
    macs: int


@dataclass(frozen=True)
class Step:
    """A step of a way down through a space, from 0."""

    space: str
    step: int
    latency_ms: float


@dataclass(frozen=True)
class Landscape:
    """The points along the axes, ascending by value within each, and for each space the steps of a way down."""

    points: tuple[Point, ...]
    steps: tuple[Step, ...]

    def roughness(self, space: str) -> float:
        """How uneven the ground is: the standard deviation over the mean of the slopes between neighbouring points, the mean
        of the axes. A slope is the relative change of latency by that of multiply-accumulates; 0: smooth."""
        found = [_unevenness(points) for points in self._axes(space) if len(points) > 2]
        return float(np.mean(found)) if found else 0.0

    def turns(self, space: str) -> int:
        """Points at which latency per multiply-accumulate goes from falling to rising, where a descent would stop."""
        return sum(_turns([point.latency_ms / point.macs for point in points]) for points in self._axes(space))

    def _axes(self, space: str) -> list[list[Point]]:
        axes: dict[str, list[Point]] = {}
        for point in self.points:
            if point.space == space:
                axes.setdefault(point.axis, []).append(point)
        return list(axes.values())


def landscape_of(
    architecture: Architecture, parallelism: int, latency: Latency, *, params: LandscapeParams = LandscapeParams()
) -> Landscape:
    """The landscape around a network for a device with a parallelism factor.

    An axis varies the channels of the stem or of a stage; the curated ones are multiples of the factor. The way down
    starts where all have the most; each step is the next choice below on the axis where latency is then lowest (of equal
    ones, where most multiply-accumulates are left), until none is left.
    """
    own = (architecture.stem, *(stage.channels for stage in architecture.stages))
    tops = [_top(channels, parallelism, params.reach) for channels in own]
    points: list[Point] = []
    steps: list[Step] = []
    for space, width in (("curated", parallelism), ("uncurated", 1)):
        choices = [list(range(parallelism, top + 1, width)) for top in tops]
        for axis, values in enumerate(choices):
            points += _along(architecture, space, axis, values, latency)
        steps += _down(architecture, space, choices, latency, params.steps)
    return Landscape(tuple(points), tuple(steps))


def _top(channels: int, parallelism: int, reach: float) -> int:
    return max(3, -(-int(reach * channels) // parallelism)) * parallelism


def _along(architecture: Architecture, space: str, axis: int, values: Sequence[int], latency: Latency) -> list[Point]:
    own = [architecture.stem, *(stage.channels for stage in architecture.stages)]
    networks = [with_channels(architecture, [*own[:axis], value, *own[axis + 1 :]]) for value in values]
    name = f"channels of stage {axis}" if axis else "channels of the stem"
    return [
        Point(space, name, value, ms, costs_of(network).macs)
        for value, network, ms in zip(values, networks, latency(networks).tolist(), strict=True)
    ]


def _down(architecture: Architecture, space: str, choices: list[list[int]], latency: Latency, most: int) -> list[Step]:
    places = [len(values) - 1 for values in choices]
    current = [values[-1] for values in choices]
    found = [Step(space, 0, float(latency([with_channels(architecture, current)])[0]))]
    while any(places) and len(found) <= most:
        axes = [axis for axis, place in enumerate(places) if place]
        networks = []
        for axis in axes:
            lower = list(current)
            lower[axis] = choices[axis][places[axis] - 1]
            networks.append(with_channels(architecture, lower))
        ms = latency(networks)
        near = np.flatnonzero(ms <= ms.min() * (1 + _EQUAL)).tolist()
        best = max(near, key=lambda one: costs_of(networks[one]).macs)
        places[axes[best]] -= 1
        current[axes[best]] = choices[axes[best]][places[axes[best]]]
        found.append(Step(space, len(found), float(ms[best])))
    return found


def with_channels(architecture: Architecture, channels: Sequence[int]) -> Architecture:
    """The same network with other channels of the stem and of the stages."""
    stages = tuple(
        replace(stage, channels=count) for stage, count in zip(architecture.stages, channels[1:], strict=True)
    )
    return replace(architecture, stem=channels[0], stages=stages)


def _unevenness(points: Sequence[Point]) -> float:
    latency, macs = (np.log([getattr(point, name) for point in points]) for name in ("latency_ms", "macs"))
    slopes = np.diff(latency) / np.diff(macs)
    return float(slopes.std() / abs(slopes.mean())) if slopes.mean() else 0.0


def _turns(costs: Sequence[float]) -> int:
    changes = [np.sign(after - before) for before, after in pairwise(costs)]
    moves = [change for change in changes if change]
    return sum(bool(before < 0 < after) for before, after in pairwise(moves))
