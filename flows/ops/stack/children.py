"""The programs of a stack: commands, environments, and readiness checks."""

import contextlib
import hashlib
import json
import os
import socket
import sys
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from fingerpost.flows.ops.stack.processes import MARK, Child, StackError
from fingerpost.flows.ops.stack.state import AUTH, QUIET, State, client_environment, credentials
from fingerpost.flows.run.api import Api, ApiError
from fingerpost.flows.run.proxies import spare_loopback, without_unusable
from fingerpost.schemas.errors import UsageError
from fingerpost.schemas.urls import has_credentials

#: The work pool that the deployments of infra/prefect.yaml name.
POOL = "fingerpost"
#: ``postgresql+asyncpg://…``, or empty for SQLite in the stack's folder.
DATABASE = "FINGERPOST_DATABASE"
#: Variables that the stack sets itself, or passes only to the child that needs them.
_NOT_INHERITED = (
    AUTH,
    DATABASE,
    "FINGERPOST_WEBHOOK",
    "PREFECT_API_URL",
    "PREFECT_API_AUTH_STRING",
    "PREFECT_API_KEY",
    "PREFECT_PROFILE",
)
#: Settings of the worker and of the runs that it starts. That a stage ended is a line of the run's own log.
_WORKER = {
    "PREFECT_WORKER_QUERY_SECONDS": "2",
    "PREFECT_LOGGING_LEVEL": "INFO",
    "PREFECT_LOGGING_LOGGERS_PREFECT_TASK_RUNS_LEVEL": "WARNING",
}
LOOPBACK = "127.0.0.1"
_opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))


@dataclass(frozen=True)
class Options:
    """The options of a stack; a port of 0 is a free one."""

    home: Path
    store: str
    port: int = 4200
    dask_port: int = 8786
    dashboard_port: int = 8787
    metrics_port: int = 9108
    workers: int = 0
    database: str = field(default="", repr=False)
    auth: str = field(default="", repr=False)
    tls: bool = False


def options_of(*, home: Path, store: str, auth: bool | None, database: str, **more: Any) -> Options:
    """The checked options: absolute paths, and credentials from the environment if authentication is on."""
    secret = credentials() if auth is not False else ""
    if auth and not secret:
        raise UsageError(f"{AUTH}: expected user:password in the environment for --auth, found nothing; set it")
    if database and not database.startswith(("postgresql+asyncpg://", "sqlite+aiosqlite://")):
        protocol, separator, _ = database.partition("://")
        raise UsageError(
            f"{DATABASE}: expected postgresql+asyncpg://user:password@host:port/name, got a URL that begins with"
            f" {protocol if separator else 'no protocol'!r}; correct it"
        )
    if has_credentials(store):
        raise UsageError(
            "store: expected a URL without name and password, got one with them (not shown); give them in the"
            " environment"
        )
    place = store if "://" in store else str(Path(store).absolute())
    return Options(home=home.absolute(), store=place, auth=secret, database=database, **more)


def children_of(options: Options, state: State, *, before_work: Callable[[], None] | None = None) -> list[Child]:
    """The programs of a stack, in the order of their start."""
    python = (sys.executable, "-P", "-m")
    base = {key: value for key, value in os.environ.items() if key not in _NOT_INHERITED}
    # All that these programs ask for is on this machine.
    spare_loopback(base)
    without_unusable(base)
    base |= (
        QUIET
        | {MARK: state.id, "PREFECT_HOME": str(options.home / "prefect"), "PYTHONUNBUFFERED": "1"}
        | state.security
    )
    client = base | client_environment(replace(state, auth=False))
    if options.auth:
        client["PREFECT_API_AUTH_STRING"] = options.auth
    webhook = {key: os.environ[key] for key in ("FINGERPOST_WEBHOOK",) if key in os.environ}
    api = Api(state.api, options.auth)
    dask, dashboard = urlsplit(state.dask), urlsplit(state.dashboard)
    quiet_dask = base | {"DASK_LOGGING__DISTRIBUTED": "warning"}
    return [
        Child(
            "server",
            (
                *python,
                "fingerpost.flows.run.server_process",
                "--host",
                LOOPBACK,
                "--port",
                str(urlsplit(state.api).port),
            ),
            base | _server_settings(options, state),
            api.healthy,
        ),
        Child(
            "dask-scheduler",
            (
                *python,
                "distributed.cli.dask_scheduler",
                "--no-show",
                "--host",
                state.dask.rpartition(":")[0],
                "--port",
                str(dask.port),
                "--dashboard-address",
                f"{LOOPBACK}:{dashboard.port}",
            ),
            quiet_dask,
            lambda: _dask_workers(state) >= 0,
        ),
        Child(
            "dask-workers",
            (
                *python,
                "distributed.cli.dask_worker",
                state.dask,
                "--host",
                state.dask.rpartition(":")[0],
                "--nworkers",
                str(worker_count(options)),
                "--nthreads",
                "1",
                "--dashboard-address",
                f"{LOOPBACK}:0",
                "--local-directory",
                str(options.home / "dask"),
                "--death-timeout",
                "60",
            ),
            quiet_dask,
            lambda: _dask_workers(state) >= worker_count(options),
            needs="dask-scheduler",
        ),
        Child(
            "worker",
            (
                *python,
                "prefect",
                "worker",
                "start",
                "--pool",
                POOL,
                "--type",
                "process",
                "--name",
                f"{worker_name(options)}-{state.id}",
            ),
            client | webhook | _WORKER,
            lambda: _worker_online(api, state),
            needs="server",
            first=before_work,
        ),
        *_metrics_exporter(python, client, state, options.auth),
    ]


def _metrics_exporter(python: tuple[str, ...], client: dict[str, str], state: State, auth: str) -> list[Child]:
    """The exporter: `fingerpost metrics`, which asks for the same password as the API."""
    if not state.metrics:
        return []
    port = str(urlsplit(state.metrics).port)
    return [
        Child(
            "metrics",
            (*python, "fingerpost.flows.cli", "metrics", "--port", port),
            client | ({AUTH: auth} if auth else {}),
            lambda: _answers_http(state.metrics.removesuffix("/metrics") + "/health"),
            essential=False,
        )
    ]


def _server_settings(options: Options, state: State) -> dict[str, str]:
    database = options.database or f"sqlite+aiosqlite:///{options.home / 'prefect.db'}"
    found = {
        "PREFECT_SERVER_DATABASE_CONNECTION_URL": database,
        "PREFECT_SERVER_API_HOST": LOOPBACK,
        "PREFECT_SERVER_API_PORT": str(urlsplit(state.api).port),
        "PREFECT_UI_API_URL": state.api,
        # A new or changed schedule gets its runs within seconds.
        "PREFECT_SERVER_SERVICES_SCHEDULER_LOOP_SECONDS": "10",
        # Stored in files, so that concurrency slots survive a restart of the server together with their runs.
        "PREFECT_SERVER_CONCURRENCY_LEASE_STORAGE": "prefect.server.concurrency.lease_storage.filesystem",
        "PREFECT_LOGGING_LEVEL": "WARNING",
    }
    if options.auth:
        found["PREFECT_SERVER_API_AUTH_STRING"] = options.auth
    return found


def worker_count(options: Options) -> int:
    """The number of Dask worker processes: as requested, or one per core."""
    return options.workers or os.cpu_count() or 1


def with_ports(options: Options) -> Options:
    """The options with a free port for every 0; StackError if a given one is in use."""
    names = ("port", "dask_port", "dashboard_port", "metrics_port")
    held, found = [], {}
    try:
        for name in names:
            probe = socket.socket()
            held.append(probe)
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((LOOPBACK, getattr(options, name)))
            except OSError as problem:
                raise StackError(
                    f"port {getattr(options, name)}: expected it to be free, found it in use or not allowed"
                    f" ({problem.strerror}); end what holds it or choose another with --{name.replace('_', '-')} (0"
                    " takes a free one)"
                ) from problem
            found[name] = probe.getsockname()[1]
    finally:
        for probe in held:
            probe.close()
    return replace(options, **found)


def worker_name(options: Options) -> str:
    """The common beginning of the ids of all stacks of a folder on a machine."""
    return f"stack-{socket.gethostname()}-{hashlib.sha256(str(options.home).encode()).hexdigest()[:6]}"


def _worker_online(api: Api, state: State) -> bool:
    with contextlib.suppress(ApiError):
        found = api.post(f"work_pools/{POOL}/workers/filter", {})
        return any(worker["name"].endswith(state.id) and worker["status"] == "ONLINE" for worker in found)
    return False


def _dask_workers(state: State) -> int:
    """The number of registered Dask workers; -1 if the scheduler does not answer."""
    try:
        with _opener.open(state.dashboard.replace("/status", "/json/counts.json"), timeout=5.0) as answer:
            return int(json.loads(answer.read())["workers"])
    except (OSError, ValueError, KeyError):
        return -1


def _answers_http(url: str) -> bool:
    try:
        with _opener.open(url, timeout=5.0) as answer:
            return bool(answer.status == 200)
    except (OSError, ValueError):
        return False
