"""A device that is known through a table of measurements alone."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from fingerpost.tasks.nas.architecture import Architecture
from fingerpost.tasks.nas.devices import Latencies
from fingerpost.tasks.nas.operators import Operator

#: Latency and spread in milliseconds, and repeats.
Entry = tuple[float, float, int]


@dataclass(frozen=True)
class TableDevice:
    """A device with known latencies of operators and of architectures, by canonical text. A ``Device``.

    cells: milliseconds of cells of other search spaces by their text.
    """

    name: str
    operators: Mapping[Operator, Entry]
    architectures: Mapping[str, Entry] = field(default_factory=dict)
    cells: Mapping[str, float] = field(default_factory=dict)
    parallelism: int = 1
    bytes_per_value: float = 4.0

    def properties(self) -> Mapping[str, str]:
        """Its name, and how much it knows."""
        counts = {"operators": len(self.operators), "networks": len(self.architectures), "cells": len(self.cells)}
        numbers = {"parallelism": f"{self.parallelism}", "bytes_per_value": f"{self.bytes_per_value:g}"}
        return {"device": self.name} | numbers | {name: f"{count}" for name, count in counts.items()}

    def known_operators(self, sampled: Sequence[Operator]) -> Sequence[Operator]:
        """The operators that it knows, in place of sampled ones."""
        return list(self.operators)

    def known_networks(self, sampled: Sequence[Architecture]) -> Sequence[Architecture]:
        """The networks that it knows, in place of sampled ones."""
        return [Architecture.parse(text) for text in self.architectures]

    def measure_operators(self, operators: Sequence[Operator]) -> Latencies:
        """The known latencies of operators, NaN for others."""
        return _latencies([self.operators.get(one) for one in operators])

    def measure_networks(self, architectures: Sequence[Architecture]) -> Latencies:
        """The known latencies of networks, NaN for others."""
        return _latencies([self.architectures.get(one.text) for one in architectures])


def _latencies(entries: Sequence[Entry | None]) -> Latencies:
    found = Latencies.unknown(len(entries))
    for place, entry in enumerate(entries):
        if entry is not None:
            found.ms[place], found.spread_ms[place], found.repeats[place] = entry
    return found
