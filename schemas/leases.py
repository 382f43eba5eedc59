"""Leases: which runs are at work in a store, and whether its garbage is being collected.

A run writes its lease first and then looks for a collector; a collector writes its own record first and then looks for
leases. So of a run and a collector that start at once, at least one sees the other: the run waits, or the collector spares
what the run may use. Both renew their record while they live, and a record that is not renewed counts for nothing.
"""

import contextlib
import json
import os
import secrets
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from functools import cache
from pathlib import Path

from schemas.errors import CorruptArtifactError, StoreBusyError, StoreUnreachableError
from schemas.refs import checked_name
from schemas.store import Store

#: Seconds between two renewals, and after how many without one a record of another machine counts as dead.
RENEWAL, TIME_TO_LIVE = 20.0, 600.0
#: The same for a process of this machine that is alive: it may have been suspended, and goes on where it was.
SUSPENDED = 86_400.0

RUNNING, COLLECTING = ".running", ".collecting"


@dataclass(frozen=True)
class Lease:
    """A run (or collector) at work: an empty collection or day stands for all of them. Times are seconds since 1970."""

    run: str
    flow: str
    collection: str
    day: str
    host: str
    machine: str
    pid: int
    process: str
    started: float
    renewed: float

    def alive(self, now: float | None = None) -> bool:
        """Whether its process may still be at work."""
        age = (time.time() if now is None else now) - self.renewed
        if not self.machine or self.machine != _machine():
            return age <= TIME_TO_LIVE
        return age <= SUSPENDED and _process(self.pid) == self.process

    def __str__(self) -> str:
        since = datetime.fromtimestamp(self.started, UTC).isoformat(timespec="seconds")
        about = " ".join(part for part in (self.flow, self.collection, self.day) if part)
        return f"{about} ({self.run}, process {self.pid} on {self.host} since {since})"


class Held:
    """A record in the store that a thread renews until it is let go."""

    def __init__(self, store: Store, folder: str, record: Lease) -> None:
        self.store, self.path, self.record = store, f"{folder}/{checked_name(record.run, what='run')}.json", record
        self._done = threading.Event()
        self._write()
        self._thread = threading.Thread(target=self._renew, name=f"lease {record.run}", daemon=True)
        self._thread.start()

    def _write(self) -> None:
        record = replace(self.record, renewed=time.time())
        self.store.files.write(self.path, json.dumps(asdict(record)).encode(), durable=False)
        self.record = record

    def _renew(self) -> None:
        while not self._done.wait(RENEWAL):
            with contextlib.suppress(StoreUnreachableError, FileNotFoundError):
                self._write()

    def check(self) -> None:
        """StoreBusyError if it was not renewed for so long that others no longer heed it."""
        age = time.time() - self.record.renewed
        if age > TIME_TO_LIVE / 2:
            raise StoreBusyError(
                f"store {self.store.url}: expected {self.path} to be renewed every {RENEWAL:.0f} seconds, found it"
                f" {age:.0f} seconds old (suspended, or the store was not reachable); nothing more was changed: run"
                " again"
            )

    def let_go(self) -> None:
        """Ends it."""
        self._done.set()
        self._thread.join(30)
        with contextlib.suppress(StoreUnreachableError):
            self.store.files.remove_file(self.path)


@contextmanager
def lease(
    store: Store, run_id: str, *, flow: str, collection: str = "", day: str = "", timeout: float = 600.0
) -> Iterator[Lease]:
    """What a run may use stays while this is held; waits for a collector that was first, StoreBusyError after ``timeout`` seconds."""
    held = Held(store, RUNNING, _record(run_id.lower(), flow, collection, day))
    try:
        deadline = time.monotonic() + timeout
        while busy := at_work(store, COLLECTING):
            if time.monotonic() > deadline:
                raise StoreBusyError(
                    f"store {store.url}: expected the garbage collection to end within {timeout:.0f} seconds, found"
                    f" {busy[0]} still at work; wait for it and run again"
                )
            time.sleep(0.1)
        yield held.record
    finally:
        held.let_go()


@contextmanager
def holding(store: Store, folder: str, name: str, *, flow: str, collection: str = "", day: str = "") -> Iterator[Lease]:
    """A record in a folder of one's own while this is held, for ``at_work(store, folder)``; nothing waits for it."""
    held = Held(store, folder, _record(name, flow, collection, day))
    try:
        yield held.record
    finally:
        held.let_go()


@contextmanager
def collecting(store: Store, *, timeout: float = 10.0) -> Iterator[Held]:
    """No run begins while this is held, and no other collector works; those that began before are in ``at_work``.

    StoreBusyError if another collector does not end within ``timeout`` seconds.
    """
    deadline = time.monotonic() + timeout
    while True:
        held = Held(store, COLLECTING, _record(f"gc-{secrets.token_hex(6)}", "gc", "", ""))
        try:
            others = [found for found in at_work(store, COLLECTING) if found.run != held.record.run]
            if not others:
                yield held
                return
        finally:
            held.let_go()
        if time.monotonic() > deadline:
            raise StoreBusyError(
                f"store {store.url}: expected no other garbage collection, found {others[0]}; wait for it and run again"
            )
        # Two that saw each other both step back, and not for the same time.
        time.sleep(0.05 + secrets.randbelow(400) / 1000)


def at_work(store: Store, folder: str = RUNNING) -> list[Lease]:
    """The leases (or collectors) that are alive, by id."""
    return [found for found in records(store, folder).values() if found.alive()]


def records(store: Store, folder: str = RUNNING) -> dict[str, Lease]:
    """Every lease (or collector) by path, dead ones too; CorruptArtifactError for one that cannot be read."""
    found = {}
    for name in store.files.names(folder):
        path = f"{folder}/{name}"
        with contextlib.suppress(FileNotFoundError):
            try:
                found[path] = Lease(**json.loads(store.files.read(path)))
            except (ValueError, TypeError) as problem:
                raise CorruptArtifactError(
                    f"lease {path}: expected the record of a run, found something else; remove it if no run is at work"
                ) from problem
    return found


def _record(run: str, flow: str, collection: str, day: str) -> Lease:
    now = time.time()
    return Lease(
        run, flow, collection, day, socket.gethostname(), _machine(), os.getpid(), _process(os.getpid()), now, now
    )


@cache
def _machine() -> str:
    """What tells processes of one system and of one container apart from others; empty where the system does not say."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return f"{boot} {os.readlink('/proc/self/ns/pid')}"
    except OSError:
        return ""


def _process(pid: int) -> str:
    """When a process of this machine began, which no later process of the same id shares; empty if there is none."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return ""
    return "" if fields[0] in {"Z", "X"} else fields[19]
