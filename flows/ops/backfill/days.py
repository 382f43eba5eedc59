"""The process that runs days of a backfill, one after the other, and the outcome of each."""

import contextlib
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from fingerpost.flows.ops.backfill.record import Backfill, BackfillError, Control, Reprocess
from fingerpost.flows.run.day_states import interrupted
from fingerpost.flows.run.partitions import Partitions
from fingerpost.flows.run.server import own_server
from fingerpost.schemas.leases import holding

#: Seconds between two checks whether a running day is to be stopped.
_LOOK = 1.0


@dataclass(frozen=True)
class Ended:
    """The outcome of a day of a backfill: completed, failed or skipped (it was fresh already)."""

    day: str
    state: str
    seconds: float = 0.0
    reason: str = ""


def ended(backfill: Backfill, control: Control, day: str, record: dict[str, Any]) -> Ended | None:
    """The outcome of a claimed day; None while it is unknown."""
    claim = backfill.holder(control, day)
    if outcome := claim.get("outcome"):
        return _ended(day, outcome)
    if backfill.ran(control, record):
        return _ended(day, record)
    if claim and not claim["worker"]:
        return Ended(day, "skipped" if claim["skipped"] else "failed", reason=claim["reason"])
    return None


def _ended(day: str, record: Mapping[str, Any]) -> Ended:
    return Ended(day, record["state"], record["seconds"], " ".join(record["error"].split()))


def work(backfill: Backfill, worker: str, *, most: int = 0, after_each: Callable[[], None] = lambda: None) -> list[str]:
    """Runs unclaimed days until none is left, ``most`` were run, or the backfill is to stop; returns the days it ran.

    A day that fails does not stop the others. An error that says nothing about the day (no Prefect server, a signal) is
    raised, and the day is released.
    """
    from fingerpost.flows.run.execution import close_executor, executor_of
    from fingerpost.flows.run.runtime import executor_override

    partitions = Partitions(backfill.request.flow, backfill.request.run)
    ran: list[str] = []
    executor = executor_override.get() or executor_of(partitions.settings)
    token = executor_override.set(executor)
    try:
        with (
            holding(backfill.store, backfill.workers, worker, flow="backfill", collection=partitions.collection),
            _stopped_from_outside(backfill) as asked,
            own_server() as server,
        ):
            if server:
                server.wait()
            while not most or len(ran) < most:
                control = backfill.control()
                day = _next(backfill, control, worker) if control.state == "running" else None
                if day is None:
                    break
                try:
                    if _run_day(backfill, control, day, partitions, worker):
                        ran.append(day)
                except KeyboardInterrupt:
                    if not asked.is_set():
                        raise
                    break
                after_each()
    finally:
        executor_override.reset(token)
        close_executor(executor)
    return ran


def _next(backfill: Backfill, control: Control, worker: str) -> str | None:
    return next((day for day in backfill.unclaimed(control) if backfill.claim(control, day, worker)), None)


def _run_day(backfill: Backfill, control: Control, day: str, partitions: Partitions, worker: str) -> bool:
    """Runs a claimed day; False if it has an outcome already."""
    if backfill.ran(control, partitions.record(day)):
        return False
    if backfill.request.reprocess is not Reprocess.all and partitions.of([day])[0].state == "fresh":
        backfill.settle(control, day)
        return False
    ended: list[dict[str, Any]] = []
    try:
        _run_flow(backfill, control, day, ended)
    except BaseException as problem:
        if not ended or interrupted(ended[-1]):
            backfill.release(control, day)
            if isinstance(problem, Exception):
                raise BackfillError(
                    f"backfill {backfill.id}: expected the run of {day} to finish, found it interrupted"
                    f" ({type(problem).__name__}: {problem}); `fingerpost backfill resume {backfill.id}` continues"
                ) from problem
            raise
        if not isinstance(problem, Exception):
            raise
    # Another run of the day may replace its record, which is the day's newest; this is the outcome of this one.
    backfill.end(control, day, worker, ended[-1])
    return True


def _run_flow(backfill: Backfill, control: Control, day: str, ended: list[dict[str, Any]]) -> None:
    """Runs a day; ``ended`` takes the record of the run."""
    from fingerpost.flows.run.runtime import Watching, backfilling, watching, without_heartbeat
    from fingerpost.flows.run.start import known

    tokens = backfilling.set(backfill.tag(control)), watching.set(Watching(quiet=True, ended=ended))
    try:
        # The lease of the run shows that it is alive.
        with without_heartbeat():
            known(backfill.request.flow)(backfill.request.run.for_day(day))
    finally:
        backfilling.reset(tokens[0])
        watching.reset(tokens[1])


@contextlib.contextmanager
def _stopped_from_outside(backfill: Backfill) -> Iterator[threading.Event]:
    """A context that interrupts the running day if the backfill is cancelled at once, and ends an orphaned process.

    The event is set when it interrupts. Only the main thread can be interrupted; in others the day is finished first.
    """
    asked, done, parent = threading.Event(), threading.Event(), os.getppid()
    main = threading.current_thread() is threading.main_thread()

    def watch() -> None:
        while not done.wait(_LOOK):
            if PARENT in os.environ and os.getppid() != parent:
                os._exit(1)
            with contextlib.suppress(Exception):
                control = backfill.control()
                if main and control.state == "cancelled" and control.now and not asked.is_set():
                    asked.set()
                    os.kill(os.getpid(), signal.SIGINT)

    before = signal.signal(signal.SIGINT, signal.default_int_handler) if main else None
    thread = threading.Thread(target=watch, name="backfill control", daemon=True)
    thread.start()
    try:
        yield asked
    finally:
        done.set()
        thread.join(5)
        if main:
            signal.signal(signal.SIGINT, before)


#: The environment variable of processes that must not outlive their parent.
PARENT = "FINGERPOST_BACKFILL_PARENT"


def worker_name() -> str:
    """The name of this process's lease."""
    return f"process-{os.getpid()}-{time.time_ns():x}"
