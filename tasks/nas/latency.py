"""Latency of networks on a device, estimated from measurements of its operators.

As nn-Meter (Zhang et al., MobiSys 2021) and "Optimizing neural networks for special-purpose hardware" (Amazon Science, 2023):
one regression per kind of operators, and the sum over the operators of a network. The device is not needed any more.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from fingerpost.tasks.nas.adjustment import GROUPS, Adjustment, fit_adjustment, groups_of
from fingerpost.tasks.nas.architecture import Architecture
from fingerpost.tasks.nas.kind_latency import KindLatency, fit_kind
from fingerpost.tasks.nas.latency_params import LatencyParams
from fingerpost.tasks.nas.measurements import Measurements
from fingerpost.tasks.nas.operator_arrays import operator_rows, operators_from
from fingerpost.tasks.nas.operators import OPERATOR_KINDS, Operator, operators_of

Arrays = Mapping[str, NDArray[np.generic]]
#: Networks that the sum over operators is adjusted to, at the least.
_FEWEST = 8
#: The standard deviation of normal errors in units of their median.
_DEVIATION = 1.4826
#: The relative standard deviation of an operator unlike any that was measured, at the least.
_UNMEASURED = 0.5


@dataclass(frozen=True)
class LatencyEstimator:
    """The regressions by kind, and how whole networks differ from the sums of their operators.

    network_spread: the relative standard deviation of what remains after the adjustment. macs_rates: milliseconds per
    multiply-accumulate and at none, the linear control. parallelism, bytes_per_value: of the device.
    """

    kinds: Mapping[str, KindLatency]
    adjustment: Adjustment = field(default_factory=Adjustment.none)
    network_spread: float = 0.0
    macs_rates: tuple[float, float] = (0.0, 0.0)
    parallelism: int = 1
    bytes_per_value: float = 4.0

    def predict(self, architectures: Sequence[Architecture]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Milliseconds and their standard deviations, float64 (n,) each; ValueError for a kind that was not measured.

        Errors of equal operators add up, those of others are taken as independent. An operator unlike any that was
        measured (see ``unmeasured``) has a standard deviation of at least half its latency. The estimate of a network does
        not depend, to the bit, on the others.
        """
        if not architectures:
            return np.zeros(0), np.zeros(0)
        distinct, counts = _counted(architectures)
        ms, spread = self.operator_latencies(distinct)
        mean = self.adjustment.of(_by_group(distinct, counts, ms), counts.sum(axis=1))
        variance = _summed(counts, counts * (self.adjustment.weights[groups_of(distinct)] * spread) ** 2)
        return mean, np.sqrt(variance + (self.network_spread * mean) ** 2)

    def group_sums(self, architectures: Sequence[Architecture]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Sums of milliseconds of operators by group, float64 (n, 4), and their numbers, float64 (n,)."""
        distinct, counts = _counted(architectures)
        return _by_group(distinct, counts, self.operator_latencies(distinct)[0]), counts.sum(axis=1)

    def operator_ms(self, operators: Sequence[Operator]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Milliseconds of operators on their own and their standard deviations, float64 (n,) each."""
        return self.operator_latencies(operator_rows(operators))

    def operator_latencies(self, rows: NDArray[np.int64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """As ``operator_ms``, of rows int64 (n, 9)."""
        ms, spread = np.zeros(len(rows)), np.zeros(len(rows))
        for number in np.unique(rows[:, 0]).tolist():
            mine, kind = rows[:, 0] == number, self._kind(OPERATOR_KINDS[number])
            ms[mine], spread[mine] = kind.predict(rows[mine])
        return ms, np.where(self._is_outside(rows), np.maximum(spread, _UNMEASURED * ms), spread)

    def unmeasured(self, architecture: Architecture) -> tuple[Operator, ...]:
        """The operators of a network that are unlike any that was measured: their estimates are extrapolations."""
        rows = np.unique(operator_rows(operators_of(architecture)), axis=0)
        return operators_from(rows[self._is_outside(rows)])

    def linear_ms(self, macs: NDArray[np.float64]) -> NDArray[np.float64]:
        """float64 (n,): the linear control, latencies of networks by their multiply-accumulates alone."""
        return np.asarray(self.macs_rates[0] * macs + self.macs_rates[1])

    def _is_outside(self, rows: NDArray[np.int64]) -> NDArray[np.bool_]:
        found = np.zeros(len(rows), dtype=bool)
        for number in np.unique(rows[:, 0]).tolist():
            mine = rows[:, 0] == number
            found[mine] = self._kind(OPERATOR_KINDS[number]).is_outside(rows[mine])
        return found

    def _kind(self, name: str) -> KindLatency:
        if name not in self.kinds:
            raise ValueError(
                f"latency: expected operators of {', '.join(self.kinds)}, got {name}; measure such operators as well"
            )
        return self.kinds[name]

    def arrays(self) -> dict[str, NDArray[np.generic]]:
        """Named arrays to store; the names of the kinds are stored beside them."""
        numbers = [self.network_spread, *self.macs_rates, self.parallelism, self.bytes_per_value]
        found: dict[str, NDArray[np.generic]] = {
            "network": np.array(numbers),
            "adjustment": self.adjustment.array(),
        }
        for name, kind in self.kinds.items():
            found |= kind.arrays(f"{name}.")
        return found

    @staticmethod
    def from_arrays(arrays: Arrays, kinds: Sequence[str]) -> "LatencyEstimator":
        """The inverse of arrays."""
        spread, rate, start, parallelism, size = arrays["network"].tolist()
        of_kinds = {name: KindLatency.from_arrays(arrays, f"{name}.") for name in kinds}
        adjustment = Adjustment.from_array(np.asarray(arrays["adjustment"], dtype=np.float64))
        return LatencyEstimator(of_kinds, adjustment, spread, (rate, start), int(parallelism), size)


def _counted(architectures: Sequence[Architecture]) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """The distinct operators of networks, int64 (m, 9), and how often each network has them, float64 (n, m)."""
    operators = [operators_of(architecture) for architecture in architectures]
    rows = operator_rows(one for of_network in operators for one in of_network)
    distinct, place = np.unique(rows, axis=0, return_inverse=True)
    network = np.repeat(np.arange(len(operators)), [len(of_network) for of_network in operators])
    counts = np.zeros((len(operators), len(distinct)))
    np.add.at(counts, (network, place.reshape(-1)), 1.0)
    return distinct, counts


def _by_group(distinct: NDArray[np.int64], counts: NDArray[np.float64], ms: NDArray[np.float64]) -> NDArray[np.float64]:
    """float64 (n, 4): milliseconds of networks by group of operators."""
    groups = groups_of(distinct)
    return np.column_stack([_summed(counts, np.where(groups == group, ms, 0.0)) for group in range(GROUPS)])


def _summed(counts: NDArray[np.float64], values: NDArray[np.float64]) -> NDArray[np.float64]:
    """float64 (n,): the sum over its operators of counts (n, m) times values (m,) or (n, m), for each network.

    Operators of other networks are no summands, not even as zeros: a product of matrices would sum in another order with them.
    """
    network, operator = np.nonzero(counts)
    weights = counts[network, operator] * np.broadcast_to(values, counts.shape)[network, operator]
    return np.bincount(network, weights, minlength=len(counts)).astype(np.float64, copy=False)


def fit_latency_estimator(
    measurements: Measurements, params: LatencyParams, *, parallelism: int = 1, bytes_per_value: float = 4.0
) -> LatencyEstimator:
    """The estimator of measured operators, adjusted to measured networks of training; ValueError without operators."""
    operators = measurements.operators
    if not len(operators.rows):
        raise ValueError("measurements: expected operators, got none; measure some")
    kinds = {}
    for number in np.unique(operators.rows[:, 0]).tolist():
        mine = operators.rows[:, 0] == number
        validation = operators.validation[mine]
        # Something must be left to train on.
        if validation.all():
            validation = np.zeros_like(validation)
        kinds[OPERATOR_KINDS[number]] = fit_kind(
            operators.rows[mine], operators.ms[mine], operators.spread_ms[mine], validation, params
        )
    sums = LatencyEstimator(kinds, parallelism=parallelism, bytes_per_value=bytes_per_value)
    return _adjusted(sums, measurements)


def _adjusted(estimator: LatencyEstimator, measurements: Measurements) -> LatencyEstimator:
    """The estimator adjusted to whole networks, with the spread that the operators do not explain."""
    networks = measurements.networks
    training = np.flatnonzero(~networks.test)
    if len(training) < _FEWEST:
        return estimator
    architectures = [Architecture.parse(networks.texts[place]) for place in training.tolist()]
    measured = networks.ms[training]
    sums, operators = estimator.group_sums(architectures)
    macs = np.array([sum(one.macs for one in operators_of(each)) for each in architectures], dtype=np.float64)
    adjusted = replace(
        estimator, adjustment=fit_adjustment(sums, operators, measured), macs_rates=_relative_fit(macs, measured)
    )
    mean, spread = adjusted.predict(architectures)
    # One disturbed measurement says nothing of the others, so none counts more than three deviations.
    errors = np.abs(measured / mean - 1)
    bounded = np.minimum(errors, 3 * _DEVIATION * np.median(errors))
    free = max(len(training) - adjusted.adjustment.array().size, 1)
    squared = float(np.sum(bounded**2)) / free
    explained = float(np.median(spread / mean))
    return replace(adjusted, network_spread=float(np.sqrt(max(squared - explained**2, 0.0))))


def _relative_fit(values: NDArray[np.float64], ms: NDArray[np.float64]) -> tuple[float, float]:
    """Rate and constant, none below 0, with the least squares of relative errors."""
    # Loading it takes a part of a program's start, and every flow loads this module.
    from scipy.optimize import nnls

    largest = float(values.max(initial=0.0)) or 1.0
    columns = np.column_stack([values / largest, np.ones(len(values))]) / ms[:, None]
    found, _ = nnls(columns, np.ones(len(ms)))
    return float(found[0] / largest), float(found[1])
