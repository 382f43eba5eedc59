"""One run of a flow: its store, executor, progress, record and report."""

import os
import secrets
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

from distributed import Client, KilledWorker, LocalCluster, as_completed
from prefect.artifacts import create_table_artifact

from flows.progress import RunProgress
from flows.settings import Settings, SettingsError, in_force
from schemas.errors import FingerpostError
from schemas.publish import Publication
from schemas.store import Store
from tasks.ann.open import find_store
from tasks.environment import Environment, environment
from tasks.ledger import save_run
from tasks.shards import Executor, SerialExecutor

T = TypeVar("T")


class DaskExecutor:
    """Runs shards as Dask futures on a local cluster of processes (or one named by address), started with the first shard."""

    def __init__(self, workers: int, *, address: str | None = None) -> None:
        self.workers, self.address = workers, address
        self._cluster: LocalCluster | None = None
        self._client: Client | None = None

    @property
    def started(self) -> bool:
        """Whether any shard had to run."""
        return self._client is not None

    @property
    def client(self) -> Client:
        """The client, opened when first asked for."""
        if self._client is None:
            if self.address is None:
                self._cluster = LocalCluster(
                    n_workers=self.workers,
                    threads_per_worker=1,
                    processes=True,
                    dashboard_address="127.0.0.1:0",
                    silence_logs=50,
                )
            self._client = Client(self._cluster or self.address, set_as_default=False)
        return self._client

    def map(self, function: Callable[[Any], T], items: Sequence[Any]) -> Iterator[tuple[int, T]]:
        """The (position, result) pairs as they complete; a lost worker's items run again elsewhere."""
        if not items:
            return
        futures = self.client.map(function, items, pure=False)
        positions = {future.key: position for position, future in enumerate(futures)}
        try:
            for future, result in as_completed(futures, with_results=True, loop=self.client.loop):
                yield positions[future.key], result
        except KilledWorker as problem:
            raise FingerpostError(
                f"Dask: expected shards to finish, found that one killed its worker {problem.allowed_failures + 1} times (too little memory, most likely); use smaller shards or larger workers"
            ) from problem
        finally:
            self.client.cancel(futures)

    def close(self) -> None:
        """Stops what was started."""
        if self._client is not None:
            self._client.close()
        if self._cluster is not None:
            self._cluster.close()


@dataclass
class Run:
    """What a run gathers for its record."""

    id: str
    flow: str
    settings: Settings
    env: Environment
    progress: RunProgress
    started: float = field(default_factory=time.perf_counter)
    publication: Publication | None = None
    gates: list[dict[str, Any]] = field(default_factory=list)

    def record(self, *, state: str, error: str = "") -> dict[str, Any]:
        """The run as it is kept."""
        return {
            "id": self.id, "flow": self.flow, "state": state, "error": error, "profile": self.settings.profile, "collection": self.env.collection,
            "day": self.env.day, "seconds": round(time.perf_counter() - self.started, 2), "stages": [asdict(record) for record in self.env.records],
            "gates": self.gates, "publication": asdict(self.publication) if self.publication else None,
            "at": datetime.now(UTC).isoformat(timespec="seconds"), "settings": in_force(self.settings), "cpus": os.cpu_count(),
        }  # fmt: skip


@dataclass(frozen=True)
class Watching:
    """How a run is shown and where its log goes, set by the commands; ``ended`` takes the record of the run."""

    quiet: bool = False
    log_file: Path | None = None
    ended: list[dict[str, Any]] = field(default_factory=list)


_run: ContextVar[Run | None] = ContextVar("fingerpost_run", default=None)
watching: ContextVar[Watching] = ContextVar("fingerpost_watching")
executor_override: ContextVar[Executor | None] = ContextVar("fingerpost_executor", default=None)


@contextmanager
def running(flow: str, settings: Settings) -> Iterator[Run]:
    """The run that a flow belongs to: the surrounding flow's, or a new one whose record and report are kept at its end."""
    surrounding = _run.get(None)
    if surrounding is not None:
        yield surrounding
        return
    store = Store(settings.store or find_store()).prepare()
    _check_forced(settings.force)
    given = executor_override.get()
    executor: Executor = given or (DaskExecutor(settings.run.workers) if settings.run.workers else SerialExecutor())
    shown = watching.get(Watching())
    progress = RunProgress(quiet=shown.quiet, log_file=shown.log_file)
    env = Environment(
        store,
        settings.input.collection,
        settings.logical_day,
        executor,
        settings.threads,
        frozenset(settings.force),
        stale_on_versions=settings.run.stale_on == "versions",
        progress=progress,
    )
    run = Run(f"{datetime.now(UTC):%Y%m%dT%H%M%S}-{secrets.token_hex(3)}", flow, settings, env, progress)
    token = _run.set(run)
    state, error = "failed", "stopped"
    try:
        with environment(env):
            yield run
        state, error = "completed", ""
    except Exception as problem:
        error = f"{type(problem).__name__}: {problem}"
        raise
    finally:
        _run.reset(token)
        if executor is not given and isinstance(executor, DaskExecutor):
            executor.close()
        shown.ended.append(_finish(run, state, error))


def _finish(run: Run, state: str, error: str) -> dict[str, Any]:
    record = run.record(state=state, error=error)
    save_run(run.env.store, run.id, record)
    rows = [
        {
            "stage": s["stage"],
            "result": "ran" if s["computed"] else "reused",
            "why": s["reason"],
            "rows": sum(s["rows"].values()),
            "seconds": s["seconds"],
            "peak MB": s["peak_mb"],
        }
        for s in record["stages"]
    ]
    if rows:
        create_table_artifact(
            table=rows, key="stages", description=f"{run.flow} of {run.env.collection}, {run.env.day}: {state}"
        )
    run.progress.log(f"{state} {error}".strip())
    return record


def _check_forced(forced: Sequence[str]) -> None:
    from flows.catalog import STAGES

    unknown = sorted(set(forced) - set(STAGES))
    if unknown:
        raise SettingsError(f"force: expected stages among {', '.join(STAGES)}, got {', '.join(unknown)}; correct it")
