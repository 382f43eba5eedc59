"""Shards that write down where they began, some of which kill their process; apart from the tests, which import what no
shard needs.
"""

import json
import os
import signal
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fingerpost.flows.run.executor import DaskExecutor
from fingerpost.schemas.refs import Ref
from fingerpost.tasks.shards import PassJob, Shard, ShardJob

#: A shard as the log names it: its function, what it belongs to, its number.
Place = tuple[str, str, int]


@dataclass(frozen=True)
class Logged:
    """A shard function that writes down every shard it begins, and kills its process at some of them, once at each."""

    job: Any
    log: str
    victims: frozenset[Place] = frozenset()

    def __call__(self, shard: Shard) -> Any:
        """Runs the shard."""
        place = place_of(self.job, shard)
        with open(self.log, "a") as file:
            file.write(json.dumps([*place, os.getpid()]) + "\n")
        if place in self.victims:
            marker = marker_of(self.log, place)
            try:
                os.close(os.open(marker, os.O_CREAT | os.O_EXCL))
            except FileExistsError:
                return self.job(shard)
            os.kill(os.getpid(), signal.SIGKILL)
        return self.job(shard)


def marker_of(log: "str | Path", place: Place) -> str:
    """The file that says that a process was killed at a shard's fan-out."""
    return f"{log}.{place[0]}.{zlib.crc32(place[1].encode()):08x}"


def place_of(job: "ShardJob | PassJob", shard: Shard) -> Place:
    function = f"{job.function.__module__.rpartition('.')[2]}.{job.function.__name__}"
    given = [str(value) for value in job.arguments.values() if isinstance(value, Ref)]
    return function, str(job.ref) if isinstance(job, ShardJob) else " ".join(given), shard.index


@dataclass
class LoggedExecutor:
    """Another executor whose shards are logged, and some of them killed."""

    executor: DaskExecutor
    log: Path
    victims: frozenset[Place] = frozenset()

    def map(self, function: Callable[[Any], Any], items: Sequence[Any]) -> Iterator[tuple[int, Any]]:
        """As the executor's."""
        return self.executor.map(Logged(function, str(self.log), self.victims), items)

    @property
    def begun(self) -> list[tuple[Place, int]]:
        """The shards that were begun, each with the process that did."""
        lines = (json.loads(line) for line in self.log.read_text().splitlines())
        return [((function, of, index), pid) for function, of, index, pid in lines]
