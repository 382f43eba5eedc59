"""What stages cost at a known size, and from it at any other: the form of the domains' models for stages never computed.

A law says what a stage costs at a reference input, in seconds of one thread of a reference machine, and by which unit
of the input that grows. The machine at hand is compared with the reference by a short measurement.
"""

import hashlib
import os
import time
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache

import numpy as np

from fingerpost.tasks.ledger import Estimate

#: Seconds and bytes of any stage, however little it does.
_LEAST_SECONDS, _LEAST_BYTES = 0.05, 2_000
#: Processor seconds of the measurement on the reference machine.
_REFERENCE_SECONDS = 0.0095
#: The most that a measurement of a fraction of a second is believed.
_MOST = 6.0
#: Seconds on the reference machine in which a run of a command starts and ends, and in which its workers start.
RUN_STARTS_AND_ENDS, WORKERS_START = 14.0, 7.0


@dataclass(frozen=True)
class Law:
    """The cost of a stage at the reference size.

    unit: what it grows by. seconds: of one thread. held: memory beside that of the process, in MB. stored: MB.
    fixed: seconds that do not grow. shards: whether processes for shards share the work.
    """

    unit: str
    seconds: float
    held: float = 0.0
    stored: float = 0.0
    fixed: float = 0.0
    shards: bool = False


def costs_by(
    laws: Mapping[str, Law],
    units: Mapping[str, float],
    reference: Mapping[str, float],
    *,
    process_mb: float,
    workers: int,
) -> dict[str, Estimate]:
    """The cost of each stage for an input of so many units, beside a process of ``process_mb`` MB."""
    slowness = machine_slowness()

    def cost(law: Law) -> Estimate:
        grown = units[law.unit] / reference[law.unit]
        seconds = (law.fixed + law.seconds * grown) * slowness / (max(workers, 1) if law.shards else 1)
        return Estimate(
            round(max(seconds, _LEAST_SECONDS), 2),
            round(process_mb + law.held * grown, 1),
            round(max(law.stored * 1e6 * grown, _LEAST_BYTES)),
            basis="size",
        )

    return {stage: cost(law) for stage, law in laws.items() if law.unit in units}


def told(seconds: float, peak: float, stored: float, *, beside_mb: float = 0.0) -> Estimate:
    """The cost of a stage in seconds and in bytes of memory and of disk, beside ``beside_mb`` MB that a process keeps."""
    return Estimate(
        round(max(seconds, _LEAST_SECONDS), 2),
        round(peak / 2**20 + beside_mb, 1),
        round(max(stored, _LEAST_BYTES)),
        basis="size",
    )


def processes(workers: int, *, cluster: bool = False) -> int:
    """The processes that share the work of shards; 1 where these run one by one."""
    return max(1, min(workers, os.cpu_count() or 1) or int(cluster))


@cache
def machine_slowness() -> float:
    """The processor seconds of a short measurement over those on the reference machine."""
    rng = np.random.default_rng(0)
    matrix, rows = rng.standard_normal((160, 160), dtype=np.float32), rng.integers(0, 1 << 40, 60_000)
    text = b"what stages cost " * 8_192
    best = min(_measured(matrix, rows, text) for _ in range(3))
    return min(max(best / _REFERENCE_SECONDS, 1 / _MOST), _MOST)


def _measured(matrix: "np.ndarray", rows: "np.ndarray", text: bytes) -> float:
    """Processor seconds of this thread for work like that of stages: numbers, sorting, digests, dictionaries."""
    started = time.thread_time()
    for _ in range(4):
        np.einsum("ij,jk->ik", matrix, matrix, optimize=False)
    np.sort(rows)
    hashlib.sha256(text).digest()
    counts: dict[int, int] = {}
    for value in (rows[:40_000] % 4_093).tolist():
        counts[value] = counts.get(value, 0) + 1
    return time.thread_time() - started
