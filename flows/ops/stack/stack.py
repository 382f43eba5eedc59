"""The stack on one machine, which `fingerpost up` starts, watches and ends."""

import contextlib
import fcntl
import os
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import FrameType
from typing import Any
from urllib.parse import urlsplit

import psutil

from fingerpost.flows.ops.stack.certificates import dask_security
from fingerpost.flows.ops.stack.children import (
    DATABASE,
    LOOPBACK,
    POOL,
    Options,
    children_of,
    with_ports,
    worker_name,
)
from fingerpost.flows.ops.stack.deployments import follow_rename
from fingerpost.flows.ops.stack.doctor import days
from fingerpost.flows.ops.stack.processes import (
    StackError,
    Supervisor,
    adopt_orphans,
    end,
    last_line,
    marked,
    same_process,
    start_time,
)
from fingerpost.flows.ops.stack.state import (
    AUTH,
    State,
    described,
    forget_state,
    read_state,
    write_state,
)
from fingerpost.flows.ops.watch.catch_up import catch_up, settle_interrupted
from fingerpost.flows.run.api import Api, ApiError
from fingerpost.schemas.errors import FingerpostError
from fingerpost.schemas.store import Store

#: Seconds until all programs must answer; a server on a slow disk needs most of them for its database.
START_SECONDS = 180.0


def up(options: Options, *, say: Callable[[str], None]) -> None:
    """Starts the stack, keeps it running until SIGTERM, SIGHUP or Ctrl-C, and ends all of its processes."""
    options = with_ports(options)
    home = options.home
    (home / "logs").mkdir(parents=True, exist_ok=True)
    home.chmod(0o700)
    with _alone(home), _signals() as stopping:
        adopt_orphans()
        clean_up(home, say=say)
        Store(options.store).prepare()
        _rotate(home / "logs")
        state = _first_state(options)
        children = children_of(options, state, before_work=partial(_before_work, options, state, say))

        def keep() -> None:
            nonlocal state
            state = replace(state, children=supervisor.started())
            write_state(home, state)

        supervisor = Supervisor(children, home / "logs", say=say, changed=keep)
        write_state(home, state)
        say(f"starting; logs in {home / 'logs'}")
        try:
            supervisor.start(timeout=START_SECONDS, stopping=stopping)
            if not stopping():
                state = replace(state, ready=True)
                keep()
                for name, address in described(state).items():
                    say(f"{name:15} {address}") if address else None
            while not stopping():
                supervisor.tend()
                time.sleep(0.3)
        finally:
            say("stopping")
            supervisor.stop()
            end(marked(state.id))
            forget_state(home)
    say("stopped; nothing of the stack is left running")


def _first_state(options: Options) -> State:
    server = f"http://{LOOPBACK}:{options.port}"
    return State(
        id=secrets.token_hex(6),
        pid=os.getpid(),
        started=start_time(os.getpid()),
        store=options.store,
        api=f"{server}/api",
        ui=server,
        dask=f"{'tls' if options.tls else 'tcp'}://{LOOPBACK}:{options.dask_port}",
        dashboard=f"http://{LOOPBACK}:{options.dashboard_port}/status",
        metrics=f"http://{LOOPBACK}:{options.metrics_port}/metrics",
        pool=POOL,
        database=urlsplit(options.database).scheme.split("+")[0] or "sqlite",
        auth=bool(options.auth),
        tls=options.tls,
        security=dask_security(options.home / "tls") if options.tls else {},
    )


def _before_work(options: Options, state: State, say: Callable[[str], None]) -> None:
    """Handles the runs that an earlier stack left on the server, before a worker takes any."""
    api = Api(state.api, options.auth)
    try:
        with _same_store(options):
            if not _other_workers(api, options):
                settle_interrupted(api, POOL, say=say)
            follow_rename(api, say=say)
            catch_up(api, say=say)
            say_lost_days(api, say=say)
    except FingerpostError as problem:
        say(f"missed runs are left unchanged: {problem}")


@contextmanager
def _same_store(options: Options) -> Iterator[None]:
    """A scope in which settings without a store name that of the stack, as they do in its processes."""
    before = os.environ.get("FINGERPOST_STORE")
    os.environ["FINGERPOST_STORE"] = options.store
    try:
        yield
    finally:
        if before is None:
            del os.environ["FINGERPOST_STORE"]
        else:
            os.environ["FINGERPOST_STORE"] = before


def say_lost_days(api: Api, *, say: Callable[[str], None]) -> None:
    """Names the schedules by which a day would never be asked for, as they may come from the UI or a version before."""
    found = days(api)
    if found.status != "ok":
        say(f"schedules: {found.found}; {found.advice}")


def _other_workers(api: Api, options: Options) -> bool:
    """Whether other workers serve the pool, from other machines on the same database."""
    try:
        found = api.post(f"work_pools/{POOL}/workers/filter", {})
    except ApiError as problem:
        if problem.status == 404:
            return False
        raise
    return any(w["status"] == "ONLINE" and not w["name"].startswith(worker_name(options)) for w in found)


def clean_up(home: Path, *, say: Callable[[str], None]) -> int:
    """Ends the processes that a killed `fingerpost up` left, by mark and record; returns their number."""
    state = read_state(home)
    if state is None:
        return 0
    left = {process.pid: process for process in marked(state.id)}
    for child in state.children.values():
        if same_process(int(child["pid"]), child["started"]):
            left.setdefault(int(child["pid"]), psutil.Process(int(child["pid"])))
    if left:
        say(f"ending {len(left)} processes that an earlier stack left")
        end(left.values())
    forget_state(home)
    return len(left)


def down(home: Path, *, say: Callable[[str], None], timeout: float = 90.0) -> bool:
    """Ends the stack of a folder and any processes left of it; False if there were none."""
    state = read_state(home)
    if state is None:
        return False
    if state.runs:
        process = psutil.Process(state.pid)
        process.terminate()
        try:
            process.wait(timeout)
        except psutil.TimeoutExpired:
            say(f"`fingerpost up` (process {state.pid}) does not end; killing it")
            process.kill()
            process.wait(5.0)
    clean_up(home, say=say)
    end(marked(state.id))
    return True


def detach(options: Options, *, say: Callable[[str], None]) -> State:
    """Starts `fingerpost up` in the background and returns once all programs answer; StackError if they do not."""
    options = with_ports(options)
    home = options.home
    (home / "logs").mkdir(parents=True, exist_ok=True)
    log = home / "logs" / "up.log"
    arguments = ["--home", str(home), "--store", options.store, "--workers", str(options.workers)]
    arguments += ["--tls"] if options.tls else []
    for name in ("port", "dask_port", "dashboard_port", "metrics_port"):
        arguments += [f"--{name.replace('_', '-')}", str(getattr(options, name))]
    secret = {AUTH: options.auth, DATABASE: options.database}
    env = {k: v for k, v in os.environ.items() if k not in secret} | {k: v for k, v in secret.items() if v}
    say(f"starting; logs in {home / 'logs'}")
    with open(log, "wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-P", "-m", "fingerpost.flows.cli", "up", *arguments],
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    deadline = time.monotonic() + START_SECONDS + 30
    while process.poll() is None and time.monotonic() < deadline:
        state = read_state(home)
        if state is not None and state.pid == process.pid and state.ready:
            return state
        time.sleep(0.1)
    if process.poll() is None:
        end([psutil.Process(process.pid)], grace=60)
    raise StackError(
        f"stack {home}: expected all programs to answer, found that they do not;"
        f" {last_line(log).removeprefix('fingerpost: ')} (log: {log})"
    )


@contextlib.contextmanager
def _alone(home: Path) -> Iterator[None]:
    """Locks the folder, so that it has at most one stack."""
    with open(home / "stack.lock", "w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as problem:
            raise StackError(
                f"stack {home}: expected none to run there, found one; use it, end it with `fingerpost down`, or choose"
                " another --home"
            ) from problem
        yield


@contextlib.contextmanager
def _signals() -> Iterator[Callable[[], bool]]:
    """A context that records the first request to end (also made by calling its value); a third one ends at once."""
    asked: list[int] = []

    def note(number: int, frame: FrameType | None) -> None:
        asked.append(number)
        if len(asked) > 2:
            raise KeyboardInterrupt

    watched: list[Any] = [signal.SIGINT, signal.SIGTERM]
    if signal.getsignal(signal.SIGHUP) != signal.SIG_IGN:
        watched.append(signal.SIGHUP)
    before = {number: signal.signal(number, note) for number in watched}
    try:
        yield lambda: bool(asked)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _rotate(logs: Path) -> None:
    """Renames the logs of the previous stack to ``.1``."""
    for log in logs.glob("*.log"):
        if log.name != "up.log":
            log.replace(log.with_suffix(".log.1"))
