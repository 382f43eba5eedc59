"""How this CPU is measured."""

from dataclasses import dataclass
from typing import Literal, get_args

Runtime = Literal["onnxruntime", "torch"]
RUNTIMES: tuple[Runtime, ...] = get_args(Runtime)


@dataclass(frozen=True)
class CpuParams:
    """How latencies are measured on the processor.

    runtime: what runs operators and networks, on one thread.
    warmup: passes before the measurement.
    repeats: passes of the measurement.
    trimmed: fraction of the repeats that is left out, the slowest ones, since what disturbs a measurement only slows
        it down.
    least_us: microseconds that a repeat lasts at the least; a short operator is run several times in it.
    together: operators that take turns, so that a disturbance is spread over them.
    """

    runtime: Runtime = "onnxruntime"
    warmup: int = 2
    repeats: int = 40
    trimmed: float = 0.6
    least_us: float = 80.0
    together: int = 64

    def __post_init__(self) -> None:
        if self.runtime not in RUNTIMES:
            raise ValueError(f"runtime: expected one of {', '.join(RUNTIMES)}, got {self.runtime!r}; correct it")
        for name, least in {"warmup": 0, "repeats": 3, "trimmed": 0, "least_us": 0, "together": 1}.items():
            if not getattr(self, name) >= least:
                raise ValueError(f"{name}: expected at least {least}, got {getattr(self, name)}; correct it")
        if self.trimmed > 0.8:
            raise ValueError(f"trimmed: expected at most 0.8, got {self.trimmed}; correct it")
