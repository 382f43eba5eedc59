"""The environment of stages: the context that a run provides to them."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Protocol

from fingerpost.schemas.errors import FingerpostError
from fingerpost.schemas.store import Store
from fingerpost.tasks.ledger import Estimate, Ledger, PlannedStage, StageRecord
from fingerpost.tasks.shards import Executor, SerialExecutor


class Progress(Protocol):
    """Display of a stage's progress."""

    def start(self, stage: str, expected: Estimate | None) -> None:
        """A stage, by its full name, starts to compute; what it is expected to cost."""

    def begin(self, stage: str, total: int) -> None:
        """A stage of ``total`` steps starts."""

    def advance(self, stage: str, done: int) -> None:
        """``done`` of the steps are finished."""

    def tell(self, stage: str, text: str) -> None:
        """What a long stage has found so far, in a few words."""

    def end(self, record: StageRecord) -> None:
        """A stage ended, reused or run."""


class SilentProgress:
    """Progress that displays nothing."""

    def start(self, stage: str, expected: Estimate | None) -> None:
        """Nothing."""

    def begin(self, stage: str, total: int) -> None:
        """Nothing."""

    def advance(self, stage: str, done: int) -> None:
        """Nothing."""

    def tell(self, stage: str, text: str) -> None:
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
    """The context of a run's stages.

    store, executor, threads: where artifacts are stored, where shards run, and threads for kernels.
    collection, day, part: what the run computes; ``part`` distinguishes stages that a flow has more than once.
    forced: names of stages to recompute. stale_on_versions: whether package versions are part of fingerprints.
    records: the stages so far. rerun: artifacts recomputed because of ``forced``.
    planning: compute nothing; ``planned`` collects what stages would do.
    asked: the artifact requested of each stage, finished or not, by full name; before: the same of the last run for
    this
        day, to report what changed since.
    observed: artifacts of stages that only observe. running: full name of the current stage.
    because: added to the reason of every stage that is computed. notes: further remarks for plan and report.
    changed: the change of a stage's inputs where the flow can name it better than their digests; hints: the part whose
        ledger is used where ``part`` is a day of an input.
    expected: the cost of a stage (a domain's word, the stage's full name) that was never computed for the collection, where
        it can be told from the size of the input.
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
    changed: str = ""
    hints: str | None = None
    notes: list[str] = field(default_factory=list)
    expected: Callable[[str, str], Estimate | None] = lambda word, stage: None

    @property
    def ledger(self) -> Ledger:
        """The ledger of this collection and part."""
        part = self.part if self.hints is None else self.hints
        return Ledger(self.store, f"{self.collection}.{part}" if part else self.collection)


_current: ContextVar[Environment] = ContextVar("fingerpost_environment")


@contextmanager
def environment(env: Environment) -> Iterator[Environment]:
    """Makes stages called inside it run in this environment."""
    token = _current.set(env)
    try:
        yield env
    finally:
        _current.reset(token)


def current_environment() -> Environment:
    """The environment of stages called now; FingerpostError outside of a run."""
    try:
        return _current.get()
    except LookupError as problem:
        raise FingerpostError(
            "stage: expected to be called inside a run, found no environment; call the flow, or use"
            " `fingerpost.tasks.stage.environment`"
        ) from problem
