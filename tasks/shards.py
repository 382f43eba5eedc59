"""Shards: the pieces of a stage, which run anywhere and are committed independently.

Boundaries depend on row counts and parameters, never on workers; results are returned in shard order, whatever order
they were computed in.
"""

import contextlib
import ctypes
import resource
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeVar

import pyarrow as pa

from fingerpost.schemas.contract import Contract
from fingerpost.schemas.manifests import FileEntry
from fingerpost.schemas.memory import free_memory
from fingerpost.schemas.refs import Ref
from fingerpost.schemas.store import Store
from fingerpost.schemas.workspace import Workspace
from fingerpost.tasks.threads import single_threaded

#: Shards are whole blocks of this many rows, so that sums over blocks do not depend on the shards.
BLOCK_ROWS = 4096

T = TypeVar("T")


@dataclass(frozen=True)
class Shard:
    """Rows ``start`` to ``stop`` (exclusive) of all rows, as shard number ``index``."""

    index: int
    start: int
    stop: int


@dataclass(frozen=True)
class ShardOutput:
    """The result of a shard function: tables by name, and values that the stage aggregates."""

    tables: Mapping[str, pa.Table]
    figures: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class ShardReport:
    """The outcome of a shard: its files, its values, and its cost (seconds, peak memory in MB)."""

    entries: list[FileEntry]
    figures: dict[str, Any]
    seconds: float = 0.0
    peak_mb: float = 0.0


class Executor(Protocol):
    """Execution of shards, in this process or elsewhere."""

    def map(self, function: Callable[[Any], T], items: Sequence[Any]) -> Iterator[tuple[int, T]]:
        """The (position, result) pairs of ``function`` over ``items``, as they complete."""
        ...


class SerialExecutor:
    """Sequential execution in this process."""

    def map(self, function: Callable[[Any], T], items: Sequence[Any]) -> Iterator[tuple[int, T]]:
        """The (position, result) pairs in order."""
        for position, item in enumerate(items):
            yield position, function(item)


def row_shards(rows: int, rows_per_shard: int) -> list[Shard]:
    """Shards of ``rows_per_shard`` rows (rounded up to whole blocks) that cover ``rows`` rows; at least one."""
    size = max(1, -(-rows_per_shard // BLOCK_ROWS)) * BLOCK_ROWS
    return [Shard(index, start, min(start + size, rows)) for index, start in enumerate(range(0, max(rows, 1), size))]


def even_shards(count: int, size: int) -> list[Shard]:
    """Shards of ``size`` items that cover ``count`` items; at least one."""
    return [Shard(i, start, min(start + size, count)) for i, start in enumerate(range(0, max(count, 1), size))]


def shards_of(entries: Sequence[FileEntry]) -> list[Shard]:
    """One shard per file of a table, so that results keep its boundaries."""
    shards, start = [], 0
    for entry in entries:
        shards.append(Shard(entry.shard, start, start + entry.rows))
        start += entry.rows
    return shards


@dataclass(frozen=True)
class ShardJob:
    """A shard function with everything that it needs on another machine."""

    store: Store
    ref: Ref
    contract: Contract
    function: Callable[..., ShardOutput]
    arguments: Mapping[str, Any]

    def __call__(self, shard: Shard) -> ShardReport:
        """Runs one shard, writes its files and records them in the stage's workspace."""
        started = time.perf_counter()
        release_memory()
        reset_peak_memory()
        with single_threaded():
            output = self.function(self.store, shard, **self.arguments)
        entries = [
            self.store.write_table(self.ref, self.contract, name, table, shard=shard.index)
            for name, table in output.tables.items()
        ]
        Workspace(self.store, self.ref).finish_shard(shard.index, entries, output.figures)
        return ShardReport(entries, dict(output.figures), time.perf_counter() - started, peak_memory_mb())


@dataclass(frozen=True)
class PassJob:
    """A function of a shard whose result is returned to the stage instead of written to the artifact."""

    store: Store
    function: Callable[..., Any]
    arguments: Mapping[str, Any]

    def __call__(self, shard: Shard) -> Any:
        """Runs the function on one shard."""
        with single_threaded():
            return self.function(self.store, shard, **self.arguments)


def release_memory() -> None:
    """Returns the memory of Arrow and of C++ that is free again to the system, which they would keep."""
    pa.default_memory_pool().release_unused()
    if sys.platform == "linux":
        with contextlib.suppress(AttributeError, OSError):  # another C library has no such function
            ctypes.CDLL(None).malloc_trim(0)


def reset_peak_memory() -> None:
    """Resets the peak memory if the system supports it (Linux); elsewhere the peak remains that of the process."""
    with contextlib.suppress(OSError), open("/proc/self/clear_refs", "w") as file:
        file.write("5")


def available_memory() -> int:
    """Available memory in bytes, of the machine or of the control group of this process."""
    return free_memory()


def peak_memory_mb() -> float:
    """Peak memory of this process since the last reset, in MB."""
    with contextlib.suppress(OSError), open("/proc/self/status") as file:
        for line in file:
            if line.startswith("VmHWM:"):
                return round(int(line.split()[1]) / 1024, 1)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return round(peak / (1024 * 1024 if sys.platform == "darwin" else 1024), 1)
