"""Measured latencies of operators and of whole networks."""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class OperatorMeasurements:
    """rows: int64 (n, 9), see ``operator_rows``. ms, spread_ms: float64 (n,). repeats, rounds: int64 (n,). validation:
    bool (n,), operators that no regression is trained on."""

    rows: NDArray[np.int64]
    ms: NDArray[np.float64]
    spread_ms: NDArray[np.float64]
    repeats: NDArray[np.int64]
    rounds: NDArray[np.int64]
    validation: NDArray[np.bool_]

    def joined(self, other: "OperatorMeasurements") -> "OperatorMeasurements":
        """These operators and others, which are none of these."""
        names = ("rows", "ms", "spread_ms", "repeats", "rounds", "validation")
        return OperatorMeasurements(*(np.concatenate([getattr(self, name), getattr(other, name)]) for name in names))

    def chosen(self, keep: NDArray[np.bool_]) -> "OperatorMeasurements":
        """Those of a mask (n,)."""
        names = ("rows", "ms", "spread_ms", "repeats", "rounds", "validation")
        return OperatorMeasurements(*(getattr(self, name)[keep] for name in names))


@dataclass(frozen=True)
class NetworkMeasurements:
    """texts: canonical texts of architectures. ms, spread_ms: float64 (n,). test: bool (n,), those that only test."""

    texts: tuple[str, ...] = ()
    ms: NDArray[np.float64] = field(default_factory=lambda: np.zeros(0))
    spread_ms: NDArray[np.float64] = field(default_factory=lambda: np.zeros(0))
    test: NDArray[np.bool_] = field(default_factory=lambda: np.zeros(0, dtype=bool))


@dataclass(frozen=True)
class Measurements:
    """What was measured on a device."""

    operators: OperatorMeasurements
    networks: NetworkMeasurements = field(default_factory=NetworkMeasurements)
