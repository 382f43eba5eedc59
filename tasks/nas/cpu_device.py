"""This CPU as a device: operators and networks run on one thread and are timed."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import ModuleType

import numpy as np

from fingerpost.tasks.nas.architecture import Architecture
from fingerpost.tasks.nas.cpu_params import CpuParams
from fingerpost.tasks.nas.devices import Latencies
from fingerpost.tasks.nas.operators import Operator
from fingerpost.tasks.nas.timing import Clock, timed

#: No operator is faster than this, in milliseconds: what is left of one that costs as little as the call around it.
_SMALLEST = 1e-5


@dataclass(frozen=True)
class CpuDevice:
    """A CPU measured through a runtime. A ``Device``; ValueError where the runtime is not installed.

    known: what the CPU and the runtime are, by name. clock: nanoseconds. From the latency of an operator on its own, that
    of a call that does nothing is subtracted; a network's includes one.
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
        """Values of a vector of 512 bits."""
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
        """The latencies of operators, each on its own."""
        runtime = self._runtime()

        def prepared(random: np.random.Generator) -> Iterator[Callable[[], object]]:
            return (runtime.operator_run(one, random) for one in operators)

        with _one_thread(self.params.runtime):
            found = self._timed(prepared, len(operators))
            call = timed([runtime.empty_run(np.random.default_rng(0))], self.params, clock=self.clock).ms[0]
        return Latencies(np.maximum(found.ms - call, _SMALLEST), found.spread_ms, found.repeats)

    def measure_networks(self, architectures: Sequence[Architecture]) -> Latencies:
        """The latencies of whole networks for one image."""
        runtime = self._runtime()

        def prepared(random: np.random.Generator) -> Iterator[Callable[[], object]]:
            return (runtime.network_run(architecture, random) for architecture in architectures)

        with _one_thread(self.params.runtime):
            return self._timed(prepared, len(architectures))

    def _timed(
        self, prepared: Callable[[np.random.Generator], Iterator[Callable[[], object]]], count: int
    ) -> Latencies:
        """The latencies of functions as they are prepared, some at a time."""
        functions, parts = prepared(np.random.default_rng(0)), list[Latencies]()
        for begin in range(0, count, self.params.together):
            some = [next(functions) for _ in range(min(self.params.together, count - begin))]
            parts.append(timed(some, self.params, clock=self.clock))
        columns = ("ms", "spread_ms", "repeats")
        if not parts:
            return Latencies.unknown(0)
        return Latencies(*(np.concatenate([getattr(part, column) for part in parts]) for column in columns))

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
