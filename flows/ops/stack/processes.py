"""The child processes of a stack: started in their own sessions, restarted when they die, and all ended in the end.

Every process that the stack starts has the stack's id in its environment (`MARK`) and passes it on, so what a killed
`fingerpost up` left is found again, and a process that merely reuses a process id is never touched.
"""

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from fingerpost.schemas.errors import FingerpostError

#: The environment variable that marks a stack's processes.
MARK = "FINGERPOST_STACK_ID"
#: Seconds between asking a process to end and killing it.
GRACE = 8.0
#: Maximum number of restarts of a child within a window of seconds; then the stack gives up.
RESTARTS, RESTART_WINDOW = 5, 600.0

_PR_SET_PDEATHSIG, _PR_SET_CHILD_SUBREAPER = 1, 36
_libc = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None


class StackError(FingerpostError):
    """A stack that cannot start, does not run, or lost a process permanently."""


@dataclass(frozen=True)
class Child:
    """A program of a stack: its command, its environment, and its readiness check."""

    name: str
    command: tuple[str, ...]
    env: dict[str, str] = field(repr=False)
    answers: Callable[[], bool]
    #: the child that must answer before this one starts
    needs: str = ""
    #: whether the stack ends when this one cannot be kept running; others are given up with a message
    essential: bool = True
    #: called once, before the first start
    first: Callable[[], None] | None = None


@dataclass
class _Running:
    child: Child
    process: "subprocess.Popen[bytes] | None" = None
    started: float = 0.0
    restarts: list[float] = field(default_factory=list)
    retry_at: float = 0.0
    given_up: bool = False


class Supervisor:
    """Starts the children of a stack, keeps them running and ends them.

    ``say`` gets one line of text; ``changed`` is called after each start of a child.
    """

    def __init__(
        self, children: Iterable[Child], logs: Path, *, say: Callable[[str], None], changed: Callable[[], None]
    ) -> None:
        self._running = {child.name: _Running(child) for child in children}
        self._logs, self._say, self._changed = logs, say, changed
        #: The children that the process had before; none for `up`, other users of a supervisor keep theirs.
        self._others = {process.pid for process in psutil.Process().children()}

    def started(self) -> dict[str, dict[str, float]]:
        """The process id and start time of each running child."""
        return {
            name: {"pid": entry.process.pid, "started": entry.started}
            for name, entry in self._running.items()
            if entry.process is not None
        }

    def log(self, name: str) -> Path:
        """The log file of a child."""
        return self._logs / f"{name}.log"

    def start(self, *, timeout: float, stopping: Callable[[], bool]) -> None:
        """Starts all children in order and returns when each answers; StackError names one that does not."""
        deadline = time.monotonic() + timeout
        while not stopping():
            self.tend()
            waiting = [name for name, e in self._running.items() if not e.given_up and not self._answers(name)]
            if not waiting:
                return
            if time.monotonic() > deadline:
                raise StackError(
                    f"{waiting[0]}: expected it to answer within {timeout:.0f} s, found that it does not; its log"
                    f" {self.log(waiting[0])} says: {last_line(self.log(waiting[0]))}"
                )
            time.sleep(0.1)

    def tend(self) -> None:
        """Starts or restarts children whose needs are met; StackError if a child keeps dying."""
        ours = {entry.process.pid for entry in self._running.values() if entry.process is not None}
        reap_orphans(ours | self._others)
        for name, entry in self._running.items():
            if entry.process is not None and (code := entry.process.poll()) is not None:
                self._lost(name, entry, code)
            if entry.process is None and not entry.given_up and time.monotonic() >= entry.retry_at:
                if entry.child.needs and not self._answers(entry.child.needs):
                    continue
                self._launch(entry)

    def _answers(self, name: str) -> bool:
        entry = self._running[name]
        return entry.process is not None and entry.process.poll() is None and entry.child.answers()

    def _lost(self, name: str, entry: _Running, code: int) -> None:
        assert entry.process is not None
        end(descendants_of_group(entry.process.pid), grace=1.0)
        entry.process = None
        now = time.monotonic()
        entry.restarts = [at for at in entry.restarts if now - at < RESTART_WINDOW] + [now]
        how = f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
        if len(entry.restarts) > RESTARTS:
            told = (
                f"{name}: expected it to stay up, found that it ended {len(entry.restarts)} times within"
                f" {RESTART_WINDOW / 60:.0f} minutes, last with {how}; its log {self.log(name)} says:"
                f" {last_line(self.log(name))}"
            )
            if entry.child.essential:
                raise StackError(told)
            entry.given_up = True
            self._say(f"{told}; continuing without it")
            return
        entry.retry_at = now + min(2.0 ** (len(entry.restarts) - 1), 30.0) - 1.0
        self._say(f"{name} ended with {how}; restarting it ({len(entry.restarts)} of {RESTARTS})")

    def _launch(self, entry: _Running) -> None:
        if entry.child.first is not None and not entry.started:
            entry.child.first()
        with open(self.log(entry.child.name), "ab") as log:
            entry.process = subprocess.Popen(
                entry.child.command,
                env=entry.child.env,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                preexec_fn=end_with_parent,
            )
        entry.started = start_time(entry.process.pid)
        self._changed()

    def stop(self, *, grace: float = GRACE) -> None:
        """Ends all children in the reverse order of their start, and everything that they started."""
        for entry in reversed(self._running.values()):
            if entry.process is not None:
                end([psutil.Process(entry.process.pid)] if entry.process.poll() is None else [], grace=grace)
                end(descendants_of_group(entry.process.pid), grace=grace)
                entry.process.wait()
                entry.process = None
        end((child for child in psutil.Process().children() if child.pid not in self._others), grace=grace)
        reap_orphans(self._others)


def end_with_parent() -> None:
    """In a new process: asks the system to end it when `up` dies without cleaning up."""
    if _libc is not None:
        _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


def adopt_orphans() -> None:
    """Makes this process the parent of orphans of its dead children, so that none is lost."""
    if _libc is not None:
        _libc.prctl(_PR_SET_CHILD_SUBREAPER, 1)


def reap_orphans(own: set[int]) -> None:
    """Reaps adopted processes that ended; ``own`` are those that other code waits for."""
    for process in psutil.Process().children():
        with contextlib.suppress(psutil.Error, ChildProcessError):
            if process.pid not in own and process.status() == psutil.STATUS_ZOMBIE:
                os.waitpid(process.pid, os.WNOHANG)


def start_time(pid: int) -> float:
    """The start time of a process in seconds since the epoch; 0 if it is gone."""
    try:
        return float(psutil.Process(pid).create_time())
    except psutil.Error:
        return 0.0


def same_process(pid: int, started: float) -> bool:
    """Whether the process with that id is still the one with that start time."""
    return started > 0 and abs(start_time(pid) - started) < 0.05 and alive(pid)


def alive(pid: int) -> bool:
    """Whether a process exists and has not ended."""
    try:
        return bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
    except psutil.Error:
        return False


def descendants_of_group(group: int) -> list[psutil.Process]:
    """The processes of a process group; its leader's id stays reserved as long as there are any."""
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(ProcessLookupError, PermissionError):
            if os.getpgid(process.pid) == group and process.pid != os.getpid():
                found.append(process)
    return found


def marked(stack: str) -> list[psutil.Process]:
    """Every process of this user with a stack's id, without this one and its ancestors."""
    above = {os.getpid(), *(process.pid for process in psutil.Process().parents())}
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error, OSError):
            if process.pid not in above and process.environ().get(MARK) == stack:
                found.append(process)
    return found


def end(processes: Iterable[psutil.Process], *, grace: float = GRACE) -> int:
    """Asks processes and their descendants to end, kills those that do not, and returns the number killed."""
    family: dict[int, psutil.Process] = {}
    for process in processes:
        with contextlib.suppress(psutil.Error):
            family.setdefault(process.pid, process)
            family.update({child.pid: child for child in process.children(recursive=True)})
    for process in family.values():
        with contextlib.suppress(psutil.Error):
            process.terminate()
    _, left = psutil.wait_procs(list(family.values()), timeout=grace)
    for process in left:
        with contextlib.suppress(psutil.Error):
            left_below = process.children(recursive=True)
            process.kill()
            for child in left_below:
                child.kill()
    psutil.wait_procs(left, timeout=5.0)
    return len(left)


def last_line(log: Path, *, most: int = 300) -> str:
    """The last line of a log that is not empty."""
    try:
        lines = log.read_text(errors="replace").splitlines()
    except OSError:
        return "(no log)"
    return next((line.strip()[:most] for line in reversed(lines) if line.strip()), "(it is empty)")
