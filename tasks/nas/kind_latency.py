"""Latency regression for one kind of operators: a sum of costs, corrected by a random forest."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fingerpost.tasks.nas.forest import Forest, fit_forest
from fingerpost.tasks.nas.latency_params import LatencyParams
from fingerpost.tasks.nas.operator_arrays import COLUMNS
from fingerpost.tasks.nas.operator_features import operator_costs, operator_features

Arrays = Mapping[str, NDArray[np.generic]]
#: Sizes and channels may be this much beyond the measured ones.
_BEYOND = 1.25
_RANGED, _SEEN = (1, 2, 3, 6), (4, 5)


@dataclass(frozen=True)
class KindLatency:
    """The regression of a kind.

    rates: float64 (14,), milliseconds per unit of each of ``operator_costs``, none below 0. forest: of the logarithm of
    what was measured over that sum. scale: the standard deviation of that logarithm on operators of validation, in units of
    the trees'. noise: its part from measuring. measured: int64 (n, 2), column of a row and value, what was measured.
    """

    rates: NDArray[np.float64]
    forest: Forest
    scale: float
    noise: float
    measured: NDArray[np.int64]

    def predict(self, rows: NDArray[np.int64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Milliseconds and their standard deviations, float64 (n,) each, of operators int64 (n, 9)."""
        log_ratio, spread = self.forest.predict(operator_features(rows))
        # Not a product of matrices, whose last bits depend on the number of rows.
        ms = (operator_costs(rows) * self.rates).sum(axis=1) * np.exp(log_ratio)
        return ms, ms * np.sqrt((self.scale * spread) ** 2 + self.noise**2)

    def is_outside(self, rows: NDArray[np.int64]) -> NDArray[np.bool_]:
        """bool (n,): operators with a kernel or stride that was not measured, or sizes or channels far from measured."""
        found = np.zeros(len(rows), dtype=bool)
        for column in (*_RANGED, *_SEEN):
            values, known = rows[:, column], self.measured[self.measured[:, 0] == column, 1]
            if column in _SEEN:
                found |= ~np.isin(values, known)
            else:
                found |= (values > known.max() * _BEYOND) | (values * _BEYOND < known.min())
        return found

    def arrays(self, prefix: str) -> dict[str, NDArray[np.generic]]:
        """Named arrays to store."""
        numbers = np.array([self.scale, self.noise])
        own = {"rates": self.rates, "numbers": numbers, "measured": self.measured}
        return {prefix + name: array for name, array in own.items()} | self.forest.arrays(prefix)

    @staticmethod
    def from_arrays(arrays: Arrays, prefix: str) -> "KindLatency":
        """The inverse of arrays."""
        scale, noise = arrays[prefix + "numbers"].tolist()
        rates = np.array(arrays[prefix + "rates"], dtype=np.float64)
        measured = np.array(arrays[prefix + "measured"], dtype=np.int64)
        return KindLatency(rates, Forest.from_arrays(arrays, prefix), scale, noise, measured)


def fit_kind(
    rows: NDArray[np.int64],
    ms: NDArray[np.float64],
    spread_ms: NDArray[np.float64],
    validation: NDArray[np.bool_],
    params: LatencyParams,
) -> KindLatency:
    """The regression of measured operators of one kind: rows int64 (n, 9), ms and spread_ms float64 (n,).

    validation: bool (n,), those that only the spread is learned from; where there are none, the spread is the trees' own.
    """
    training = ~validation
    rates = _rates(operator_costs(rows[training]), ms[training])
    targets = np.log(ms[training] / (operator_costs(rows[training]) @ rates))
    forest = fit_forest(
        operator_features(rows[training]),
        targets,
        trees=params.trees,
        max_features=params.max_features,
        seed=params.seed,
    )
    noise = float(np.median(spread_ms / ms))
    measured = [(column, value) for column in range(1, len(COLUMNS)) for value in np.unique(rows[:, column])]
    unscaled = KindLatency(rates, forest, 1.0, noise, np.array(measured, dtype=np.int64))
    if not validation.any():
        return unscaled
    return KindLatency(rates, forest, _scale(unscaled, rows[validation], ms[validation]), noise, unscaled.measured)


def _rates(costs: NDArray[np.float64], ms: NDArray[np.float64]) -> NDArray[np.float64]:
    """float64 (14,): rates of costs (n, 14), none below 0, with the least squares of relative errors."""
    # Loading it takes a part of a program's start, and every flow loads this module.
    from scipy.optimize import nnls

    largest = np.maximum(costs.max(axis=0), 1.0)
    found, _ = nnls(costs / largest / ms[:, None], np.ones(len(ms)))
    if not found.any():
        found[0] = float(np.median(ms))
    return np.asarray(found / largest)


def _scale(kind: KindLatency, rows: NDArray[np.int64], ms: NDArray[np.float64]) -> float:
    """The standard deviation of relative errors in units of that of the trees, between a half and three."""
    predicted, _ = kind.predict(rows)
    _, spread = kind.forest.predict(operator_features(rows))
    own = float(np.sqrt(np.mean(spread**2)))
    errors = float(np.sqrt(np.mean(np.log(ms / predicted) ** 2)))
    return float(np.clip(np.sqrt(max(errors**2 - kind.noise**2, 0.0)) / own, 0.5, 3.0)) if own > 0 else 1.0
