"""Choosing what to measure on a device: operators of sampled networks, and more of them where the estimator is wrong.

The adaptive sampling of nn-Meter (Zhang et al., MobiSys 2021, section 5): around each operator whose error is above a
threshold, operators with other numbers of channels are measured, in ranges of 0.4 to 1.2 times its own.
"""

from collections.abc import Callable, Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from fingerpost.tasks.nas.architecture import Architecture
from fingerpost.tasks.nas.devices import Device
from fingerpost.tasks.nas.latency import fit_latency_estimator
from fingerpost.tasks.nas.latency_params import LatencyParams, MeasuringParams
from fingerpost.tasks.nas.measurements import Measurements, NetworkMeasurements, OperatorMeasurements
from fingerpost.tasks.nas.operator_arrays import operator_rows, operators_from
from fingerpost.tasks.nas.operators import OPERATOR_KINDS, Operator, operators_of
from fingerpost.tasks.nas.space import SearchSpace
from fingerpost.tasks.nas.spaces import curated, uncurated

#: Multiples of the channels of an operator between which others are measured around it.
_AROUND = (0.4, 1.2)
#: Kinds of fewer operators than this are all trained on.
_FEW = 10
#: Fits between rounds need not be as good as the final one.
_BETWEEN = LatencyParams(trees=30)

Advance = Callable[[int], None]


def sampled_networks(space: SearchSpace, count: int, random: np.random.Generator) -> list[Architecture]:
    """Distinct random networks, half of the curated space, half of the uncurated one; fewer where there are no more."""
    found: dict[str, Architecture] = {}
    spaces = (curated(space), uncurated(space))
    for attempt in range(4 * count):
        one = spaces[attempt % 2]
        architecture = one.candidate(one.sample(random))
        found.setdefault(architecture.text, architecture)
        if len(found) == count:
            break
    return list(found.values())


def sampled_operators(
    architectures: Sequence[Architecture], given: Iterable[Architecture], count: int, random: np.random.Generator
) -> list[Operator]:
    """About ``count`` distinct operators of networks: all of the given ones, and random ones of the others.

    Each kind has its share, but a tenth of all at least, or all that there are.
    """
    certain = dict.fromkeys(one for architecture in given for one in operators_of(architecture))
    pool = dict.fromkeys(one for architecture in architectures for one in operators_of(architecture))
    others = [one for one in pool if one not in certain]
    found = dict(certain)
    for kind in OPERATOR_KINDS:
        mine = [one for one in others if one.kind == kind]
        share = max(count // 10, round(count * len(mine) / max(len(others), 1)))
        found |= dict.fromkeys(mine[place] for place in np.sort(random.permutation(len(mine))[:share]).tolist())
    return list(found)


def measure_device(
    device: Device, space: SearchSpace, params: MeasuringParams, *, given: Sequence[Architecture] = (), advance: Advance
) -> Measurements:
    """Operators of a space's networks measured on a device, refined, and whole networks.

    given: architectures all of whose operators are measured. advance: is called with the rounds that are done. ValueError
    where the device can measure no operator.
    """
    random = np.random.default_rng([params.seed, 1])
    architectures = sampled_networks(space, params.networks, random)
    given = [*given, space.smallest(), space.largest()]
    chosen = device.known_operators(sampled_operators(architectures, given, params.operators, random))
    found = _measured(device, chosen, 0, params, random)
    if not len(found.rows):
        raise ValueError(
            f"{device.name}: expected latencies of operators of the space, got none; measure such operators"
        )
    advance(1)
    for number in range(1, params.rounds + 1):
        found = _refined(device, found, number, params, random)
        advance(1 + number)
    networks = _networks(device, space, params, np.random.default_rng([params.seed, 2]))
    advance(2 + params.rounds)
    return Measurements(found, networks)


def _measured(
    device: Device, operators: Sequence[Operator], number: int, params: MeasuringParams, random: np.random.Generator
) -> OperatorMeasurements:
    """Operators measured in a round, those without a latency left out."""
    latencies, rows = device.measure_operators(operators), operator_rows(operators)
    validation = np.zeros(len(rows), dtype=bool)
    for kind in np.unique(rows[:, 0]).tolist():
        mine = random.permutation(np.flatnonzero(rows[:, 0] == kind))
        if number or len(mine) >= _FEW:
            validation[mine[: int(len(mine) * params.validation_share)]] = True
    rounds = np.full(len(rows), number, dtype=np.int64)
    all_of = OperatorMeasurements(rows, latencies.ms, latencies.spread_ms, latencies.repeats, rounds, validation)
    return all_of.chosen(np.isfinite(latencies.ms) & (latencies.ms > 0))


def _refined(
    device: Device,
    before: OperatorMeasurements,
    number: int,
    params: MeasuringParams,
    random: np.random.Generator,
) -> OperatorMeasurements:
    """What was measured, and operators around those of validation whose error is above the threshold."""
    estimator = fit_latency_estimator(Measurements(before), _BETWEEN)
    tested = before.chosen(before.validation)
    predicted, _ = estimator.operator_latencies(tested.rows)
    # What a measurement itself leaves open is no error of the estimate.
    noise = 2 * tested.spread_ms / tested.ms
    wrong = tested.rows[np.abs(predicted / tested.ms - 1) > params.threshold + noise]
    known = set(operators_from(before.rows))
    new = [one for one in _around(wrong, params.per_item, random) if one not in known]
    new = new[: max(params.most - len(before.rows), 0)]
    return before.joined(_measured(device, new, number, params, random)) if new else before


def _around(rows: NDArray[np.int64], per_item: int, random: np.random.Generator) -> list[Operator]:
    """Distinct operators around some, with other channels."""
    found: dict[Operator, None] = {}
    for row in rows:
        low, high = (np.maximum(np.round(row[2:4] * share), 1).astype(np.int64) for share in _AROUND)
        channels = random.integers(low, high + 1, (per_item, 2))
        # All kinds but these keep their channels.
        if OPERATOR_KINDS[row[0]] not in ("conv", "linear"):
            channels[:, 0] = channels[:, 1]
        others = np.repeat(row[None], per_item, axis=0)
        others[:, 2:4] = channels
        found |= dict.fromkeys(operators_from(others))
    return list(found)


def _networks(
    device: Device, space: SearchSpace, params: MeasuringParams, random: np.random.Generator
) -> NetworkMeasurements:
    """Whole networks measured: the first for training, the others for tests; those without a latency left out."""
    wanted = params.training_networks + params.test_networks
    architectures = device.known_networks(sampled_networks(space, wanted, random))
    latencies = device.measure_networks(architectures)
    kept = np.flatnonzero(np.isfinite(latencies.ms) & (latencies.ms > 0))
    order = random.permutation(kept)
    share = params.training_networks / wanted
    test = np.arange(len(order)) >= round(share * len(order))
    texts = tuple(architectures[place].text for place in order)
    return NetworkMeasurements(texts, latencies.ms[order], latencies.spread_ms[order], test)
