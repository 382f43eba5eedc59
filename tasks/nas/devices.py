"""Devices that networks run on: anything that says how long operators and networks take."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from fingerpost.tasks.nas.architecture import Architecture
from fingerpost.tasks.nas.operators import Operator


@dataclass(frozen=True)
class Latencies:
    """Measured latencies: milliseconds, half the difference between the quartiles of the repeats, and their number.

    ms, spread_ms: float64 (n,), NaN where the device cannot measure one. repeats: int64 (n,).
    """

    ms: NDArray[np.float64]
    spread_ms: NDArray[np.float64]
    repeats: NDArray[np.int64]

    @staticmethod
    def exact(ms: NDArray[np.float64]) -> "Latencies":
        """Latencies without any spread, as those of a simulation."""
        return Latencies(ms, np.zeros(len(ms)), np.ones(len(ms), dtype=np.int64))

    @staticmethod
    def unknown(count: int) -> "Latencies":
        """Latencies of what a device cannot measure."""
        return Latencies(np.full(count, np.nan), np.full(count, np.nan), np.zeros(count, dtype=np.int64))


class Device(Protocol):
    """A device; one more is a class of this form, or a table of measurements."""

    @property
    def name(self) -> str:
        """Its name for people."""
        ...

    @property
    def parallelism(self) -> int:
        """Operations executed in parallel: the channels that architectures are best multiples of; 1 if not known."""
        ...

    @property
    def bytes_per_value(self) -> float:
        """Bytes of a value of a tensor, for the memory of an architecture."""
        ...

    def properties(self) -> Mapping[str, str]:
        """What it is, by name, ``parallelism`` and ``bytes_per_value`` among it; measurements of equal properties are
        interchangeable."""
        ...

    def known_operators(self, sampled: Sequence[Operator]) -> Sequence[Operator]:
        """The operators to measure: the sampled ones, or those that it knows."""
        ...

    def known_networks(self, sampled: Sequence[Architecture]) -> Sequence[Architecture]:
        """The networks to measure: the sampled ones, or those that it knows."""
        ...

    def measure_operators(self, operators: Sequence[Operator]) -> Latencies:
        """The latencies of operators, each on its own."""
        ...

    def measure_networks(self, architectures: Sequence[Architecture]) -> Latencies:
        """The latencies of whole networks for one image."""
        ...
