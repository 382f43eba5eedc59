"""Latency of networks on a device, estimated from measurements of its operators.

As nn-Meter (Zhang et al., MobiSys 2021) and "Optimizing neural networks for special-purpose hardware" (Amazon Science, 2023):
one regression per kind of operators, and the sum over the operators of a network. The device is not needed any more.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import nnls

from fingerpost.tasks.nas.architecture import Architecture
from fingerpost.tasks.nas.kind_latency import KindLatency, fit_kind
from fingerpost.tasks.nas.latency_params import LatencyParams
from fingerpost.tasks.nas.measurements import Measurements
from fingerpost.tasks.nas.operator_arrays import operator_rows, operators_from
from fingerpost.tasks.nas.operators import OPERATOR_KINDS, Operator, operators_of

Arrays = Mapping[str, NDArray[np.generic]]
#: Networks that the sum over operators is adjusted to, at the least.
_FEWEST = 8
#: The relative standard deviation of an operator unlike any that was measured, at the least.
_UNMEASURED = 0.5


@dataclass(frozen=True)
class LatencyEstimator:
    """The regressions by kind, and how whole networks differ from the sums of their operators.

    A network takes ``scale`` times the sum and ``constant_ms``; network_spread is the relative standard deviation of what
    remains. device: its name. parallelism, bytes_per_value: of the device. macs_rates: milliseconds per
    multiply-accumulate and at none, the linear control.
    """

    kinds: Mapping[str, KindLatency]
    scale: float = 1.0
    constant_ms: float = 0.0
    network_spread: float = 0.0
    macs_rates: tuple[float, float] = (0.0, 0.0)
    parallelism: int = 1
    bytes_per_value: float = 4.0

    def predict(self, architectures: Sequence[Architecture]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Milliseconds and their standard deviations, float64 (n,) each; ValueError for a kind that was not measured.

        Errors of equal operators add up, those of others are taken as independent. An operator unlike any that was
        measured (see ``unmeasured``) has a standard deviation of at least half its latency.
        """
        operators = [operators_of(architecture) for architecture in architectures]
        rows = operator_rows(one for of_network in operators for one in of_network)
        if not len(rows):
            return np.zeros(len(operators)), np.zeros(len(operators))
        distinct, place = np.unique(rows, axis=0, return_inverse=True)
        network = np.repeat(np.arange(len(operators)), [len(of_network) for of_network in operators])
        counts = np.zeros((len(operators), len(distinct)))
        np.add.at(counts, (network, place.reshape(-1)), 1.0)
        ms, spread = self.operator_latencies(distinct)
        mean = self.scale * (counts @ ms) + self.constant_ms
        variance = self.scale**2 * (counts**2 @ spread**2) + (self.network_spread * mean) ** 2
        return mean, np.sqrt(variance)

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
        numbers = [self.scale, self.constant_ms, self.network_spread, *self.macs_rates]
        found: dict[str, NDArray[np.generic]] = {
            "network": np.array([*numbers, self.parallelism, self.bytes_per_value]),
        }
        for name, kind in self.kinds.items():
            found |= kind.arrays(f"{name}.")
        return found

    @staticmethod
    def from_arrays(arrays: Arrays, kinds: Sequence[str]) -> "LatencyEstimator":
        """The inverse of arrays."""
        scale, constant, spread, rate, start, parallelism, size = arrays["network"].tolist()
        of_kinds = {name: KindLatency.from_arrays(arrays, f"{name}.") for name in kinds}
        return LatencyEstimator(of_kinds, scale, constant, spread, (rate, start), int(parallelism), size)


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
    """The estimator adjusted to whole networks: scale and constant, and the spread that the operators do not explain."""
    networks = measurements.networks
    training = [place for place in range(len(networks.texts)) if not networks.test[place]]
    if len(training) < _FEWEST:
        return estimator
    architectures = [Architecture.parse(networks.texts[place]) for place in training]
    measured = networks.ms[training]
    sums, spread = estimator.predict(architectures)
    scale, constant = _relative_fit(sums, measured)
    macs = np.array([sum(one.macs for one in operators_of(each)) for each in architectures], dtype=np.float64)
    mean = scale * sums + constant
    beyond = np.mean((measured / mean - 1) ** 2) - np.mean((scale * spread / mean) ** 2)
    return LatencyEstimator(
        estimator.kinds,
        scale,
        constant,
        float(np.sqrt(max(beyond, 0.0))),
        _relative_fit(macs, measured),
        estimator.parallelism,
        estimator.bytes_per_value,
    )


def _relative_fit(values: NDArray[np.float64], ms: NDArray[np.float64]) -> tuple[float, float]:
    """Rate and constant, none below 0, with the least squares of relative errors."""
    largest = float(values.max(initial=0.0)) or 1.0
    columns = np.column_stack([values / largest, np.ones(len(values))]) / ms[:, None]
    found, _ = nnls(columns, np.ones(len(ms)))
    return float(found[0] / largest), float(found[1])
