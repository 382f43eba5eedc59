"""What a run gives to its stages, and what stages know of the world around them."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Protocol

from schemas.errors import FingerpostError
from schemas.store import Store
from tasks.ledger import Ledger, PlannedStage, StageRecord
from tasks.shards import Executor, SerialExecutor


class Progress(Protocol):
    """Where people see how far a stage is."""

    def begin(self, stage: str, total: int) -> None:
        """A stage starts on ``total`` steps."""

    def advance(self, stage: str, done: int) -> None:
        """``done`` of them are finished."""

    def end(self, record: StageRecord) -> None:
        """A stage ended, reused or run."""


class SilentProgress:
    """Shows nothing."""

    def begin(self, stage: str, total: int) -> None:
        """Nothing."""

    def advance(self, stage: str, done: int) -> None:
        """Nothing."""

    def end(self, record: StageRecord) -> None:
        """Nothing."""


class Source(Protocol):
    """An input from outside the store, for example a user's file."""

    def identity(self) -> str:
        """A digest of its content."""
        ...


@dataclass
class Environment:
    """What a run gives to its stages: where to store and compute, for which day and collection, what to force.

    With ``planning``, stages compute nothing: they note what they would do in ``planned``. ``asked`` is the artifact that
    each stage, by its name with its part, was asked for, finished or not; ``before`` the same of the last run for this day, to
    tell what changed since. ``running`` is the stage that is at work, with its part. ``part`` tells apart the notes on stages
    that a flow has more than once. ``observed`` are the artifacts of stages that only observe.
    ``because`` is kept with the reason of every stage that is computed, ``notes`` are what else a plan and a report say.
    """

    store: Store
    collection: str
    day: str
    executor: Executor = field(default_factory=SerialExecutor)
    threads: int = 1
    forced: frozenset[str] = frozenset()
    stale_on_versions: bool = False
    progress: Progress = field(default_factory=SilentProgress)
    records: list[StageRecord] = field(default_factory=list)
    rerun: set[str] = field(default_factory=set)
    planning: bool = False
    planned: list[PlannedStage] = field(default_factory=list)
    asked: dict[str, str] = field(default_factory=dict)
    observed: set[str] = field(default_factory=set)
    before: Mapping[str, str] = field(default_factory=dict)
    running: str = ""
    part: str = ""
    because: str = ""
    notes: list[str] = field(default_factory=list)

    @property
    def ledger(self) -> Ledger:
        """The notes on this collection's earlier artifacts."""
        return Ledger(self.store, f"{self.collection}.{self.part}" if self.part else self.collection)


_current: ContextVar[Environment] = ContextVar("fingerpost_environment")


@contextmanager
def environment(env: Environment) -> Iterator[Environment]:
    """Stages called inside run in this environment."""
    token = _current.set(env)
    try:
        yield env
    finally:
        _current.reset(token)


def current_environment() -> Environment:
    """The environment that stages called now run in."""
    try:
        return _current.get()
    except LookupError as problem:
        raise FingerpostError(
            "stage: expected to be called inside a run, found no environment; call the flow, or use"
            " `tasks.stage.environment`"
        ) from problem
