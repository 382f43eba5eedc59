"""Stand-ins for a kill, and progresses that kill workers."""

import os
import random
import signal
from dataclasses import dataclass, field

from fingerpost.flows.run.executor import DaskExecutor
from fingerpost.tasks.environment import SilentProgress


class Killed(BaseException):
    """Stands for SIGKILL at a named point."""


@dataclass
class Deadly(SilentProgress):
    """A progress that kills a worker at certain steps, and so in the middle of a stage's shards."""

    executor: DaskExecutor
    at: set[int]
    choice: random.Random
    steps: int = 0
    killed: list[int] = field(default_factory=list)

    def advance(self, stage: str, done: int) -> None:
        """Kills at its step."""
        self.steps += 1
        if self.steps in self.at:
            pids = sorted(self.executor.client.run(os.getpid).values())
            victim = self.choice.choice(pids)
            assert victim != os.getpid()
            os.kill(victim, signal.SIGKILL)
            self.killed.append(victim)
