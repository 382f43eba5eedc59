"""Checks of the requirements of a stack, each with a remedy."""

import importlib
import importlib.metadata
import os
import secrets
import shutil
import socket
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from fingerpost.flows.ops.stack.state import State, api_of, connection, find_home, read_state
from fingerpost.flows.run.api import Api, ApiError
from fingerpost.schemas.errors import FingerpostError
from fingerpost.schemas.urls import host_of, public_url

#: Free disk space in bytes below which a check warns, and below which it fails.
DISK_WARN, DISK_FAIL = 5_000_000_000, 500_000_000
#: Maximum difference of a server's clock from this machine's, in seconds.
CLOCK = 3.0
#: Seconds until a new schedule must have runs; Prefect looks for schedules once a minute by default.
SCHEDULE_SECONDS = 90.0
_PORTS = {"Prefect": 4200, "Dask": 8786, "Dask dashboard": 8787, "metrics": 9108}


@dataclass(frozen=True)
class Check:
    """The outcome of a check: ok, warn or fail, the finding, and the remedy."""

    name: str
    status: str
    found: str
    advice: str = ""


def diagnose(*, home: str, store: str) -> Iterator[Check]:
    """All checks, one after the other; those of a server only if one runs or is named."""
    place = find_home(home, store=store)
    state = read_state(place)
    running = state is not None and state.runs
    yield from versions()
    yield extensions()
    yield from disk({"stack": place, **({} if "://" in store else {"store": Path(store)})})
    yield guarded("store", lambda: conditional_writes(store))
    yield guarded("files of the store", lambda: stray_files(store))
    yield guarded("database", lambda: database(state if running else None, place))
    if running and state is not None:
        yield Check("stack", "ok", f"runs in {place}, Prefect UI at {state.ui}")
    else:
        yield from ports()
    if running or os.environ.get("PREFECT_API_URL"):
        yield from server(home)
    else:
        yield Check(
            "server", "warn", "no stack runs here, so clock, worker and schedules are not checked", "`fingerpost up`"
        )
    yield webhook()


def guarded(name: str, check: Callable[[], Check]) -> Check:
    """The outcome of a check; an error that it raises is a failure."""
    try:
        return check()
    except FingerpostError as problem:
        return Check(name, "fail", str(problem), "see the message")


def versions() -> Iterator[Check]:
    """Python, and packages within the bounds that Fingerpost declares (some newer ones break silently)."""
    from packaging.requirements import Requirement

    python = sys.version.split()[0]
    old = sys.version_info < (3, 11)
    yield Check("python", "fail" if old else "ok", python, "use 3.11 or newer" if old else "")
    wrong: list[str] = []
    right: list[str] = []
    for text in importlib.metadata.requires("fingerpost") or ():
        need = Requirement(text)
        if need.marker is not None and not need.marker.evaluate({"extra": ""}):
            continue
        try:
            found = importlib.metadata.version(need.name)
        except importlib.metadata.PackageNotFoundError:
            wrong.append(f"{need.name} is missing")
            continue
        if need.specifier.contains(found, prereleases=True):
            right.append(f"{need.name} {found}")
        else:
            wrong.append(f"{need.name} {found} is not {need.specifier}")
    pinned = [told for told in right if told.split()[0] in {"prefect", "fastapi", "sqlalchemy", "dask"}]
    if wrong:
        yield Check("packages", "fail", "; ".join(wrong), "install Fingerpost again with its constraints.txt")
    else:
        yield Check("packages", "ok", ", ".join(pinned))


def extensions() -> Check:
    """Whether each compiled extension is a build of its current sources."""
    from fingerpost.ext.sources import EXTENSIONS, source_hash

    stale = []
    for name in EXTENSIONS:
        try:
            compiled = importlib.import_module(f"fingerpost.ext.{name}").SOURCE_HASH
        except ImportError as problem:
            stale.append(f"{name} cannot be loaded ({problem})")
            continue
        if source_hash(name) not in {None, compiled}:
            stale.append(f"{name} is a build of other sources")
    if stale:
        return Check("extensions", "fail", "; ".join(stale), "`make build`")
    return Check("extensions", "ok", ", ".join(EXTENSIONS))


def disk(places: dict[str, Path]) -> Iterator[Check]:
    """The free disk space of the stack's folder and a local store."""
    for name, place in places.items():
        there = next(folder for folder in (place, *place.absolute().parents) if folder.exists())
        free = shutil.disk_usage(there).free
        status = "fail" if free < DISK_FAIL else "warn" if free < DISK_WARN else "ok"
        advice = "" if status == "ok" else "free some; `fingerpost gc --dry-run` shows what can be removed"
        yield Check(f"disk of the {name}", status, f"{free / 1e9:.1f} GB free", advice)


def conditional_writes(store: str) -> Check:
    """Whether the store is reachable and refuses to create an existing file, which commits rely on."""
    from fingerpost.schemas.files import Files

    files, probe = Files(store), f".work/doctor-{secrets.token_hex(6)}"
    try:
        first, second = files.create(probe, b"1"), files.create(probe, b"2")
        kept = files.read(probe)
    finally:
        files.remove(probe)
        if files.local:
            for made in (f"{files.root}/.work", files.root):
                with suppress(OSError):
                    os.rmdir(made)
    if (first, second, kept) != (True, False, b"1"):
        advice = "use a storage with conditional writes (If-None-Match); concurrent runs could damage each other here"
        return Check("store", "fail", f"{public_url(store)} creates one file twice", advice)
    return Check("store", "ok", f"{public_url(store)}, conditional writes work")


def stray_files(store: str) -> Check:
    """Whether every file of the store belongs there, and every pointer can be read."""
    from fingerpost.schemas.publish import Pointer, products
    from fingerpost.schemas.store import Store
    from fingerpost.schemas.strangers import strangers
    from fingerpost.schemas.wording import some

    name, opened = "files of the store", Store(store)
    if opened.files.size("store.json") is None:
        return Check(name, "ok", "there is no store yet")
    for collection, product in products(opened.checked()):
        Pointer(opened, collection, product).history()
    if found := strangers(opened, everywhere=True):
        return Check(name, "warn", f"ignored, since they do not belong there: {some(found, 20)}", "move them away")
    return Check(name, "ok", "all belong there")


def database(state: State | None, home: Path) -> Check:
    """Whether the server's database answers; without a server, whether it could."""
    if state is not None:
        return Check("database", "ok", f"{state.database}, behind the running server")
    url = os.environ.get("FINGERPOST_DATABASE", "")
    if not url or url.startswith("sqlite"):
        there = next(folder for folder in (home, *home.parents) if folder.exists())
        if not os.access(there, os.W_OK):
            return Check(
                "database", "fail", f"{there} is not writable, and SQLite would be there", "choose another --home"
            )
        return Check("database", "ok", f"sqlite in {home}")
    host, port = urlsplit(url).hostname or "", urlsplit(url).port or 5432
    try:
        importlib.import_module("asyncpg")
        socket.create_connection((host, port), timeout=5).close()
    except ImportError:
        return Check("database", "fail", "asyncpg is not installed", "pip install 'fingerpost[postgres]'")
    except OSError as problem:
        return Check(
            "database",
            "fail",
            f"{host}:{port} does not answer ({problem.strerror or problem})",
            "start PostgreSQL or fix FINGERPOST_DATABASE",
        )
    return Check("database", "ok", f"postgresql at {host}:{port} answers")


def ports() -> Iterator[Check]:
    """Whether the default ports are free."""
    for name, port in _PORTS.items():
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                yield Check(
                    f"port {port}", "warn", f"in use, {name} would use it", "give `fingerpost up` another port, or 0"
                )
                continue
        yield Check(f"port {port}", "ok", f"free for {name}")


def server(home: str) -> Iterator[Check]:
    """Checks of a running server: its clock, its worker, and that a schedule creates runs."""
    try:
        api = api_of(connection(home))
        version = api.get("admin/version")
    except FingerpostError as problem:
        yield Check("server", "fail", str(problem), "see the message")
        return
    yield Check("server", "ok", f"Prefect {version} at {public_url(api.url)}")
    yield guarded("clock", lambda: clock(api))
    yield guarded("worker", lambda: worker(api))
    yield guarded("schedules", lambda: schedules(api))
    yield guarded("days", lambda: days(api))


def clock(api: Api) -> Check:
    """Whether the server's clock agrees with this machine's."""
    with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(f"{api.url}/health", timeout=10) as answer:
        theirs = parsedate_to_datetime(answer.headers["Date"])
    apart = abs((datetime.now(UTC) - theirs).total_seconds())
    if apart > CLOCK:
        return Check(
            "clock",
            "fail",
            f"{apart:.0f} s apart from the server's",
            "synchronise both (NTP): days depend on the clock",
        )
    return Check("clock", "ok", "agrees with the server's")


def worker(api: Api) -> Check:
    """Whether a worker serves the work pool."""
    from fingerpost.flows.ops.stack.children import POOL

    try:
        found = api.post(f"work_pools/{POOL}/workers/filter", {})
    except ApiError as problem:
        if problem.status != 404:
            raise
        return Check("worker", "fail", f"the server has no work pool {POOL}", "`fingerpost up` creates it")
    online = [one["name"] for one in found if one["status"] == "ONLINE"]
    if not online:
        return Check(
            "worker",
            "fail",
            f"none serves the work pool {POOL}",
            "start one: `fingerpost up`, or `prefect worker start`",
        )
    return Check("worker", "ok", f"{len(online)} serve the work pool {POOL}")


def schedules(api: Api, *, seconds: float = SCHEDULE_SECONDS) -> Check:
    """Whether a schedule creates runs, tested with a temporary deployment whose runs are never executed."""
    with _temporary_deployment(api) as deployment:
        body = {"deployments": {"id": {"any_": [deployment]}}}
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if found := api.post("flow_runs/filter", body):
                return Check("schedules", "ok", f"a new schedule had {len(found)} runs at once")
            time.sleep(0.5)
    return Check(
        "schedules",
        "fail",
        f"a new schedule had no run after {seconds:.0f} s",
        "see the server's log; a SQLAlchemy of 2.1 or newer stops Prefect's scheduler silently",
    )


def days(api: Api) -> Check:
    """Whether the schedules on the server ask for every day, also where clocks are set over midnight."""
    from fingerpost.flows.ops.stack.schedules import ScheduleError, lost_days
    from fingerpost.flows.ops.watch.catch_up import settings_of

    lost, looked = [], 0
    for deployment in api.pages("deployments/filter", {}):
        for schedule in (entry["schedule"] for entry in deployment["schedules"] if entry["active"]):
            try:
                settings = settings_of(deployment)
                if settings is not None:
                    looked += 1
                    found = lost_days(schedule, settings.run.timezone)
                    lost += [f"{deployment['name']} never asks for {found[0]}"] if found else []
            except ScheduleError as problem:
                lost.append(f"{deployment['name']}: {problem}")
            except (FingerpostError, ValueError):
                # A request that cannot be read is shown by `deploy --list`.
                continue
    if lost:
        return Check("days", "fail", "; ".join(lost), "choose an hour that clocks do not skip: `fingerpost deploy`")
    return Check("days", "ok", f"every day is asked for by the schedules ({looked})")


@contextmanager
def _temporary_deployment(api: Api) -> Iterator[str]:
    name = f"fingerpost-doctor-{secrets.token_hex(4)}"
    flow = api.post("flows/", {"name": name})["id"]
    try:
        hourly: dict[str, Any] = {"schedule": {"interval": 3600}, "active": True}
        yield str(api.post("deployments/", {"name": name, "flow_id": flow, "schedules": [hourly]})["id"])
    finally:
        api.ask("DELETE", f"flows/{flow}")


def webhook() -> Check:
    """Whether alerts are delivered to a webhook."""
    given = os.environ.get("FINGERPOST_WEBHOOK", "")
    if not given:
        return Check(
            "webhook",
            "warn",
            "FINGERPOST_WEBHOOK is not set, so failures raise no alerts",
            "set it before `fingerpost up`",
        )
    return Check("webhook", "ok", f"set, at {host_of(given) or 'no host'}")
