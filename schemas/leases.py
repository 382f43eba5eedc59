"""Leases: the active runs of a store, and whether its garbage is being collected.

A run writes its lease first and then looks for a collector; a collector writes its own record first and then looks for
leases. So of a run and a collector that start simultaneously, at least one sees the other: the run waits, or the
collector spares what the run may use. Both renew their record while they are active; an expired record is ignored. A
record that cannot be read counts as one of a run that may use anything, until it would have expired.
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

from fingerpost.schemas.errors import CorruptArtifactError, StoreBusyError, StoreUnreachableError
from fingerpost.schemas.records import built, decoded, is_record, leave_out, timestamp
from fingerpost.schemas.refs import checked_name
from fingerpost.schemas.store import Store

#: Seconds between renewals, and seconds without renewal after which a record of another machine is considered dead.
RENEWAL, TIME_TO_LIVE = 20.0, 600.0
#: The same for a live process of this machine, which may have been suspended and resume later.
SUSPENDED = 86_400.0

RUNNING, COLLECTING = ".running", ".collecting"

_SHAPE = {
    "run": str,
    "flow": str,
    "collection": str,
    "day": str,
    "host": str,
    "machine": str,
    "pid": int,
    "process": str,
    "started": timestamp,
    "renewed": timestamp,
}


@dataclass(frozen=True)
class Lease:
    """An active run (or collector); an empty collection or day stands for all. Times are seconds since 1970."""

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
        """Whether its process may still be active."""
        age = (time.time() if now is None else now) - self.renewed
        if not self.machine or self.machine != _machine():
            return age <= TIME_TO_LIVE
        return age <= SUSPENDED and _process(self.pid) == self.process

    @property
    def readable(self) -> bool:
        """Whether it is what a run wrote, and not what stands for a record that cannot be read."""
        return bool(self.pid)

    def __str__(self) -> str:
        since = datetime.fromtimestamp(self.started, UTC).isoformat(timespec="seconds")
        about = " ".join(part for part in (self.flow, self.collection, self.day) if part)
        return f"{about} ({self.run}, process {self.pid} on {self.host} since {since})"


class Held:
    """A record in the store that a thread renews until it is released."""

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
        """StoreBusyError if the record was not renewed in time, so that others may ignore it."""
        age = time.time() - self.record.renewed
        if age > TIME_TO_LIVE / 2:
            raise StoreBusyError(
                f"store {self.store.url}: expected {self.path} to be renewed every {RENEWAL:.0f} seconds, found it"
                f" {age:.0f} seconds old (suspended, or the store was not reachable); nothing more was changed: run"
                " again"
            )

    def let_go(self) -> None:
        """Stops the renewal and removes the record."""
        self._done.set()
        self._thread.join(30)
        with contextlib.suppress(StoreUnreachableError):
            self.store.files.remove_file(self.path)


@contextmanager
def lease(
    store: Store, run_id: str, *, flow: str, collection: str = "", day: str = "", timeout: float = 600.0
) -> Iterator[Lease]:
    """Protects what a run may use from garbage collection while this is held.

    Waits for an active collector; StoreBusyError after ``timeout`` seconds.
    """
    held = Held(store, RUNNING, _record(run_id.lower(), flow, collection, day))
    try:
        deadline = time.monotonic() + timeout
        while busy := at_work(store, COLLECTING, clock=held.path):
            if time.monotonic() > deadline:
                raise StoreBusyError(
                    f"store {store.url}: expected the garbage collection to end within {timeout:.0f} seconds, found"
                    f" {busy[0]} still active; wait for it and run again"
                )
            time.sleep(0.1)
        yield held.record
    finally:
        held.let_go()


@contextmanager
def holding(store: Store, folder: str, name: str, *, flow: str, collection: str = "", day: str = "") -> Iterator[Lease]:
    """A record in a separate folder while this is held, for ``at_work(store, folder)``; nothing waits for it."""
    held = Held(store, folder, _record(name, flow, collection, day))
    try:
        yield held.record
    finally:
        held.let_go()


@contextmanager
def collecting(store: Store, *, timeout: float = 10.0) -> Iterator[Held]:
    """Prevents runs from starting and other collectors from working while this is held.

    Runs that started earlier are in ``at_work``. StoreBusyError if another collector does not end within ``timeout``
    seconds.
    """
    deadline = time.monotonic() + timeout
    while True:
        held = Held(store, COLLECTING, _record(f"gc-{secrets.token_hex(6)}", "gc", "", ""))
        try:
            working = at_work(store, COLLECTING, clock=held.path)
            others = [record for record in working if record.run != held.record.run]
            if not others:
                yield held
                return
        finally:
            held.let_go()
        if time.monotonic() > deadline:
            raise StoreBusyError(
                f"store {store.url}: expected no other garbage collection, found {others[0]}; wait for it and run again"
            )
        # Two collectors that see each other both retreat, for random times.
        time.sleep(0.05 + secrets.randbelow(400) / 1000)


def at_work(store: Store, folder: str = RUNNING, *, clock: str = "") -> list[Lease]:
    """The active leases (or collectors), sorted by id; ``clock`` as in `records`."""
    return [record for record in records(store, folder, clock=clock).values() if record.alive()]


def records(store: Store, folder: str = RUNNING, *, clock: str = "") -> dict[str, Lease]:
    """All leases (or collectors) by path, including dead ones; files that are no records are left out.

    A record of another machine whose clock is far ahead is dated by the storage: by the difference to ``clock``, a file
    that was just written, or to this machine's clock.
    """
    leases = {}
    for name in filter(is_record, store.files.names(folder)):
        path = f"{folder}/{name}"
        with contextlib.suppress(FileNotFoundError):
            content = store.files.read(path)
            try:
                found = built(Lease, decoded(content, _SHAPE, where=f"lease {path}", advice=_ADVICE))
            except CorruptArtifactError as problem:
                leave_out(problem)
                found = _unreadable(path, store.files.modified(path) or 0.0)
            leases[path] = _dated(store, path, found, clock)
    return leases


_ADVICE = "remove it if no run is active"


def _unreadable(path: str, written: float) -> Lease:
    """What stands for a record that cannot be read: a run that may use anything, last renewed when it was written."""
    run = path.rsplit("/", 1)[-1].removesuffix(".json")
    return Lease(run, f"the run of {path}, which cannot be read,", "", "", "", "", 0, "", written, written)


def _dated(store: Store, path: str, lease: Lease, clock: str) -> Lease:
    now = time.time()
    if lease.renewed <= now + TIME_TO_LIVE or (lease.machine and lease.machine == _machine()):
        return lease
    written = store.files.modified(path) or 0.0
    there = (store.files.modified(clock) if clock else None) or now
    return replace(lease, renewed=now - (there - written))


def _record(run: str, flow: str, collection: str, day: str) -> Lease:
    now = time.time()
    return Lease(
        run, flow, collection, day, socket.gethostname(), _machine(), os.getpid(), _process(os.getpid()), now, now
    )


@cache
def _machine() -> str:
    """The identity of this boot and process namespace; empty if the system does not provide it."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return f"{boot} {os.readlink('/proc/self/ns/pid')}"
    except OSError:
        return ""


def _process(pid: int) -> str:
    """The start time of a process of this machine, which distinguishes reuses of its id; empty if there is none."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return ""
    return "" if fields[0] in {"Z", "X"} else fields[19]
