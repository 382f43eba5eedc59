"""A simulated accelerator: an array of multipliers, bandwidths, and an overhead per operator.

It behaves as the accelerators of "Optimizing neural networks for special-purpose hardware" (Amazon Science, 2023), whose
parallelism factor is a side of the array: latency is a staircase in the channels, and a fused inverted bottleneck is faster
than one that is not while the channels are few, and slower where they are many.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from fingerpost.ext.accelerator import operator_latencies
from fingerpost.tasks.nas.architecture import Architecture
from fingerpost.tasks.nas.devices import Latencies
from fingerpost.tasks.nas.operator_arrays import operator_rows
from fingerpost.tasks.nas.operators import Operator, operators_of


@dataclass(frozen=True)
class AcceleratorParams:
    """What the accelerator is like; the defaults are a small one for int8 at the edge, 0.256 tera-operations a second.

    Its array and clock are those of Arm's Ethos-U55 with 256 multipliers, which holds tensors in groups of 16 channels,
    too.

    input_parallelism: input channels that a cycle takes in: one side of the array.
    output_parallelism: output channels that a cycle takes in: the other side of the array.
    clock_mhz: clock of array and memory in MHz.
    bytes_per_value: bytes of a value of weights and tensors.
    packed_channels: channels of tensors in memory fill up to a multiple of it.
    weight_bandwidth: bytes per cycle of the memory of weights.
    activation_bandwidth: bytes per cycle of the memory of tensors.
    overhead_us: microseconds that each operator takes besides.
    """

    input_parallelism: int = 16
    output_parallelism: int = 16
    clock_mhz: float = 500.0
    bytes_per_value: float = 1.0
    packed_channels: int = 16
    weight_bandwidth: float = 4.0
    activation_bandwidth: float = 4.0
    overhead_us: float = 2.0

    def __post_init__(self) -> None:
        for name in ("input_parallelism", "output_parallelism", "packed_channels"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name}: expected at least 1, got {getattr(self, name)}; correct it")
        for name in ("clock_mhz", "bytes_per_value", "weight_bandwidth", "activation_bandwidth"):
            if not 0 < getattr(self, name) < float("inf"):
                raise ValueError(f"{name}: expected a number above 0, got {getattr(self, name)}; correct it")
        if not 0 <= self.overhead_us < float("inf"):
            raise ValueError(f"overhead_us: expected at least 0, got {self.overhead_us}; correct it")


@dataclass(frozen=True)
class Accelerator:
    """The simulated accelerator; its latencies are exact. A ``Device``."""

    params: AcceleratorParams = AcceleratorParams()

    @property
    def name(self) -> str:
        """Its name for people."""
        return "simulated accelerator"

    @property
    def parallelism(self) -> int:
        """The channels that fill the array."""
        return int(np.lcm(self.params.input_parallelism, self.params.output_parallelism))

    @property
    def bytes_per_value(self) -> float:
        """Bytes of a value of a tensor."""
        return self.params.bytes_per_value

    def properties(self) -> Mapping[str, str]:
        """Its parameters."""
        parameters = {name: f"{value:g}" for name, value in asdict(self.params).items()}
        return {"device": "accelerator", "parallelism": f"{self.parallelism}"} | parameters

    def known_operators(self, sampled: Sequence[Operator]) -> Sequence[Operator]:
        """All sampled operators: it measures any."""
        return sampled

    def known_networks(self, sampled: Sequence[Architecture]) -> Sequence[Architecture]:
        """All sampled networks: it measures any."""
        return sampled

    def measure_operators(self, operators: Sequence[Operator]) -> Latencies:
        """The latencies of operators."""
        return Latencies.exact(self.latencies(operator_rows(operators)))

    def measure_networks(self, architectures: Sequence[Architecture]) -> Latencies:
        """The latencies of networks: the sums of those of their operators, which run one after the other."""
        operators = [operators_of(architecture) for architecture in architectures]
        ms = self.latencies(operator_rows(one for of_network in operators for one in of_network))
        return Latencies.exact(sums_by_length(ms, [len(of_network) for of_network in operators]))

    def latencies(self, rows: NDArray[np.int64]) -> NDArray[np.float64]:
        """float64 (n,): milliseconds of operators int64 (n, 9), see ``operator_rows``."""
        params = self.params
        return operator_latencies(
            np.ascontiguousarray(rows),
            input_parallelism=params.input_parallelism,
            output_parallelism=params.output_parallelism,
            packed_channels=params.packed_channels,
            bytes_per_value=params.bytes_per_value,
            weight_bandwidth=params.weight_bandwidth,
            activation_bandwidth=params.activation_bandwidth,
            overhead_cycles=params.overhead_us * params.clock_mhz,
            cycles_per_ms=1000 * params.clock_mhz,
        )


def sums_by_length(values: NDArray[np.float64], lengths: Sequence[int]) -> NDArray[np.float64]:
    """float64 (m,): the sum of each run of values, whose lengths (m,) follow each other."""
    ends = np.cumsum([0, *lengths])
    return np.array([values[start:stop].sum() for start, stop in pairwise(ends)])
