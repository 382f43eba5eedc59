"""This CPU as a device: operators and networks run on one thread and are timed."""

from collections.abc import Hashable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import ModuleType

import numpy as np

from fingerpost.tasks.nas.architecture import Architecture
from fingerpost.tasks.nas.cpu_params import CpuParams
from fingerpost.tasks.nas.devices import Latencies
from fingerpost.tasks.nas.operators import Operator
from fingerpost.tasks.nas.timing import Clock, timed

#: No operator is faster than this, in milliseconds: it is what a runtime needs to call one.
_SMALLEST = 2e-4


@dataclass(frozen=True)
class CpuDevice:
    """A CPU measured through a runtime. A ``Device``; ValueError where the runtime is not installed.

    known: what the CPU and the runtime are, by name. clock: nanoseconds. From the latency of an operator, that of the
    call and of what is around it there is subtracted; a network's includes a call.
    """

    params: CpuParams
    clock: Clock
    known: Mapping[str, str] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """Its name for people."""
        return f"this CPU through {self.params.runtime}"

    @property
    def parallelism(self) -> int:
        """Values of a vector of 512 bits, a multiple of those of smaller ones."""
        return 16

    @property
    def bytes_per_value(self) -> float:
        """Bytes of a float32."""
        return 4.0

    def properties(self) -> Mapping[str, str]:
        """What the CPU and the runtime are, and how they are measured."""
        own = {
            name: str(getattr(self.params, name)) for name in ("runtime", "warmup", "repeats", "trimmed", "least_us")
        }
        numbers = {"parallelism": f"{self.parallelism}", "bytes_per_value": f"{self.bytes_per_value:g}"}
        return {"device": "cpu", "threads": "1"} | numbers | dict(self.known) | own

    def known_operators(self, sampled: Sequence[Operator]) -> Sequence[Operator]:
        """All sampled operators: it measures any."""
        return sampled

    def known_networks(self, sampled: Sequence[Architecture]) -> Sequence[Architecture]:
        """All sampled networks: it measures any."""
        return sampled

    def measure_operators(self, operators: Sequence[Operator]) -> Latencies:
        """The latencies of operators, each in its context without the latency of that."""
        parts, random = [], np.random.default_rng(0)
        with _one_thread(self.params.runtime):
            for begin in range(0, len(operators), self.params.together):
                parts.append(self._measured(operators[begin : begin + self.params.together], random))
        return _joined(parts)

    def _measured(self, operators: Sequence[Operator], random: np.random.Generator) -> Latencies:
        """The latencies of some operators, which take turns."""
        runtime = self._runtime()
        runs = [runtime.operator_run(one, random) for one in operators]
        contexts = dict[Hashable, int]()
        for one in operators:
            if runtime.context_of(one) not in contexts:
                contexts[runtime.context_of(one)] = len(runs)
                runs.append(runtime.context_run(one, random))
        found = timed(runs, self.params, clock=self.clock)
        context = [contexts[runtime.context_of(one)] for one in operators]
        ms = found.ms[: len(operators)] - found.ms[context]
        spread = np.hypot(found.spread_ms[: len(operators)], found.spread_ms[context])
        return Latencies(np.maximum(ms, _SMALLEST), spread, found.repeats[: len(operators)])

    def measure_networks(self, architectures: Sequence[Architecture]) -> Latencies:
        """The latencies of whole networks for one image."""
        parts, random = [], np.random.default_rng(0)
        with _one_thread(self.params.runtime):
            for begin in range(0, len(architectures), self.params.together):
                some = architectures[begin : begin + self.params.together]
                runs = [self._runtime().network_run(one, random) for one in some]
                parts.append(timed(runs, self.params, clock=self.clock))
        return _joined(parts)

    def _runtime(self) -> ModuleType:
        try:
            if self.params.runtime == "torch":
                from fingerpost.tasks.nas import torch_operators

                return torch_operators
            from fingerpost.tasks.nas import onnx_operators

            return onnx_operators
        except ModuleNotFoundError as problem:
            raise ValueError(
                f"device cpu: expected {self.params.runtime} to be installed, got none ({problem}); pip install"
                " 'fingerpost[nas]', or choose another runtime in nas.cpu.runtime"
            ) from problem


def _joined(parts: Sequence[Latencies]) -> Latencies:
    columns = ("ms", "spread_ms", "repeats")
    if not parts:
        return Latencies.unknown(0)
    return Latencies(*(np.concatenate([getattr(part, column) for part in parts]) for column in columns))


@contextmanager
def _one_thread(runtime: str) -> Iterator[None]:
    """Runs torch on one thread; sessions of onnxruntime have a setting of their own."""
    if runtime != "torch":
        yield
        return
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)
