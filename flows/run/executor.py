"""The Dask cluster of a run: processes of this machine, a scheduler at an address, or a cluster class's instance."""

import asyncio
import hashlib
import importlib
import logging
import platform
import re
import signal
import socket
import ssl
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from functools import lru_cache
from importlib import metadata
from pathlib import Path
from threading import Event, Thread
from types import ModuleType
from typing import Any, Generic, TypeVar
from urllib.parse import urlsplit

from distributed import Client, Future, KilledWorker, LocalCluster, as_completed
from distributed.client import FutureCancelledError
from distributed.comm import CommClosedError, connect
from distributed.deploy import Cluster
from distributed.security import Security

from fingerpost.schemas.errors import FingerpostError, UsageError
from fingerpost.schemas.urls import has_credentials
from fingerpost.tasks.threads import blas_cores

T = TypeVar("T")
_log = logging.getLogger("fingerpost.run")

#: Seconds to reach a scheduler, and until its first worker has registered.
CONNECT_SECONDS, WORKER_SECONDS = 5.0, 60.0
#: Seconds until the first worker of a cluster that a class starts, whose workers may wait in a queue.
QUEUE_SECONDS = 3600.0
#: Seconds that a run waits for a new worker once all workers of a cluster are gone, and between two looks.
LOST_SECONDS, LOOK_SECONDS = 300.0, 5.0
#: Seconds without a worker that was asked for, after which a cluster that was started here is asked for it again.
MISSING_SECONDS = 30.0
#: Seconds within which a scheduler without TLS sends its greeting.
GREETING_SECONDS = 1.0

_EXTRAS = {"dask_kubernetes": "kubernetes", "dask_jobqueue": "jobqueue"}
#: Packages whose versions decide results, or what can be sent between processes.
_PACKAGES = ("dask", "distributed", "numpy", "pandas", "pyarrow", "scikit-learn", "scipy")
_CODE = ("tasks", "schemas", "ext")


class ClusterError(FingerpostError):
    """The cluster that the settings name cannot be used."""


class ClusterUsageError(ClusterError, UsageError):
    """Settings of a cluster that are never right."""


@dataclass
class DaskExecutor:
    """Runs shards as Dask futures on the named cluster, which is connected to or started with the first shard.

    ``cluster`` is empty for ``workers`` processes of this machine, an address (tcp:// or tls://), or a dotted class,
    which is called with ``options`` and scaled to ``workers``.
    """

    workers: int
    cluster: str = ""
    options: Mapping[str, Any] = field(default_factory=dict)
    _started: Cluster | None = None
    _client: Client | None = None
    #: When all workers of a cluster that was started here were there last, or were asked for.
    _complete: float = 0.0

    def __post_init__(self) -> None:
        check(self.workers, self.cluster, self.options)

    @property
    def started(self) -> bool:
        """Whether any shard had to run."""
        return self._client is not None

    @property
    def client(self) -> Client:
        """The client, opened on first use."""
        if self._client is None:
            logging.getLogger("distributed").setLevel(logging.ERROR)
            try:
                self._client = self._opened()
                if self.cluster:
                    _wait_for_workers(
                        self._client, self.cluster, WORKER_SECONDS if "://" in self.cluster else QUEUE_SECONDS
                    )
                    compare_workers(self._client)
            except BaseException:
                self.close()
                raise
        return self._client

    def _opened(self) -> Client:
        if "://" in self.cluster:
            return _connected(self.cluster)
        self._started = _made(self.cluster, self.options, self.workers) if self.cluster else _local(self.workers)
        self._complete = time.monotonic()
        return Client(self._started, set_as_default=False)

    def _ask_for_missing(self, there: int) -> None:
        """Asks a cluster that was started here again for workers that have been missing for a while.

        Dask ends what supervises a worker that is not back within `distributed.deploy.lost-worker-timeout`, as on a busy
        machine, and starts no other by itself. Several maps in a row may be too short to see that.
        """
        now = time.monotonic()
        if self._started is None or there >= self.workers:
            self._complete = now
        elif now - self._complete >= MISSING_SECONDS:
            self._complete = now
            with suppress(Exception):  # it may be closing
                self._started.scale(self.workers)

    def map(self, function: Callable[[Any], T], items: Sequence[Any]) -> Iterator[tuple[int, T]]:
        """The (index, result) pairs as they complete; items of a lost worker are rerun elsewhere.

        ClusterError if no worker is left for `LOST_SECONDS` (of a cluster that a class starts: `QUEUE_SECONDS`).
        """
        if not items:
            return
        client = self.client
        # Workers of other machines may register after the versions were compared.
        guarded = SameCode(function, installation().digest) if self.cluster else function
        futures = client.map(guarded, items, pure=False)
        left = {future.key: (position, future) for position, future in enumerate(futures)}
        patience = QUEUE_SECONDS if self.cluster and "://" not in self.cluster else LOST_SECONDS
        watch = _WorkerWatch(client, futures, patience, self._ask_for_missing)
        try:
            for future, result in as_completed(futures, with_results=True, loop=client.loop):
                if future.cancelled():
                    # Dask returns the exception as if it were the result.
                    raise CommClosedError("the scheduler is gone")
                position, _ = left.pop(future.key)
                # A future that is still referenced would be recomputed if its worker died later.
                future.release()
                yield position, result
        except KilledWorker as problem:
            raise ClusterError(
                f"Dask: expected shards to finish, found one that killed its worker {problem.allowed_failures + 1}"
                " times (too little memory, most likely); use smaller shards or larger workers"
            ) from problem
        except (FutureCancelledError, CommClosedError) as problem:
            if watch.given_up:
                raise ClusterError(
                    f"Dask {self.cluster or 'of this run'}: expected a worker, found none for {patience:.0f} s (their"
                    " machines or processes ended); start workers and run again: the finished shards are kept"
                ) from problem
            raise ClusterError(
                "Dask: expected shards to finish, found the connection to the scheduler"
                f" {self.cluster or 'of this run'} lost; start it and run again: the finished shards are kept"
            ) from problem
        finally:
            watch.stop()
            if client.status == "running":
                client.cancel([future for _, future in left.values()])

    def close(self) -> None:
        """Stops a cluster that was started here; a cluster at an address keeps running."""
        if self._client is not None:
            self._client.close()
            self._client = None
        if self._started is not None:
            self._started.close()
            self._started = None


class _WorkerWatch:
    """Cancels futures once no worker has been there for ``patience`` seconds; Dask alone would wait for ever.

    look: what is told how many workers there are, at once and at every look.
    """

    def __init__(self, client: Client, futures: Sequence[Future], patience: float, look: Callable[[int], None]) -> None:
        self.given_up = False
        self._client, self._futures, self._patience, self._look = client, futures, patience, look
        self._done = Event()
        self._thread = Thread(target=self._watch, name="dask workers", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Ends the watch."""
        self._done.set()
        self._thread.join(1.0)

    def _watch(self) -> None:
        seen, wait = time.monotonic(), 0.0
        while not self._done.wait(wait):
            now, wait = time.monotonic(), min(LOOK_SECONDS, self._patience)
            try:
                there = len(self._client.nthreads())
            except Exception:
                # The futures themselves notice a scheduler that is gone.
                seen = now
                continue
            if there:
                seen = now
            elif now - seen >= self._patience and not self._done.is_set():
                self.given_up = True
                self._client.cancel(self._futures, force=True)
                return
            self._look(there)


@dataclass(frozen=True)
class SameCode(Generic[T]):
    """A function that runs only on workers with the code and versions of the sending process."""

    function: Callable[[Any], T]
    expected: str

    def __call__(self, item: Any) -> T:
        """Calls the function; ClusterError on a worker with other code."""
        found = installation()
        if found.digest != self.expected:
            raise ClusterError(
                f"Dask worker on {socket.gethostname()}: expected the code and versions of the run ({self.expected}), "
                f"found others ({found.digest}); deploy the same version to every worker"
            )
        return self.function(item)


@dataclass(frozen=True)
class Installation:
    """Hashes of Fingerpost's code and versions of packages, as one process has them."""

    parts: Mapping[str, str]

    @property
    def digest(self) -> str:
        """One short hash of everything."""
        return hashlib.sha256(repr(sorted(self.parts.items())).encode()).hexdigest()[:16]

    def differences(self, other: "Installation") -> list[str]:
        """What differs in another process, human-readable."""
        names = sorted({*self.parts, *other.parts})
        pairs = ((name, self.parts.get(name, "none"), other.parts.get(name, "none")) for name in names)
        return [f"{name} {theirs} instead of {mine}" for name, mine, theirs in pairs if mine != theirs]


@lru_cache(maxsize=1)
def installation() -> Installation:
    """This process's Python, Fingerpost's sources and compiled extensions, and the packages that decide results."""
    from fingerpost.ext.sources import EXTENSIONS

    parts = {"Python": ".".join(platform.python_version_tuple()[:2])}
    for package in _CODE:
        folder = Path(str(importlib.import_module(f"fingerpost.{package}").__path__[0]))
        digest = hashlib.sha256()
        for file in sorted(folder.rglob("*.py")):
            digest.update(file.relative_to(folder).as_posix().encode() + b"\0" + file.read_bytes() + b"\0")
        parts[f"code of {package}"] = digest.hexdigest()[:12]
    for name in EXTENSIONS:
        parts[f"fingerpost.ext.{name}"] = str(importlib.import_module(f"fingerpost.ext.{name}").SOURCE_HASH)[:12]
    return Installation(parts | {package: metadata.version(package) for package in _PACKAGES})


def check(workers: int, cluster: str, options: Mapping[str, Any]) -> None:
    """ClusterError, before anything starts, for settings that name no cluster; no value of the options is quoted."""
    hidden = sorted(_secret_names(options))
    if hidden:
        raise ClusterUsageError(
            f"run.cluster_options: expected no secrets (they would be kept with the run), got {', '.join(hidden)}; "
            "give them to the workers by their environment or by reference"
        )
    if "://" in cluster:
        found = urlsplit(cluster)
        if found.scheme not in {"tcp", "tls"} or "@" in found.netloc or not found.hostname or ":" not in found.netloc:
            raise ClusterUsageError(
                f"run.cluster: expected tcp://host:port or tls://host:port, got {found.scheme}://...; correct the"
                " address"
            )
    elif cluster and not re.fullmatch(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)+", cluster):
        raise ClusterUsageError(f"run.cluster: expected an address or a dotted class, got {cluster!r}; correct it")
    elif cluster and not workers:
        raise ClusterUsageError(
            f"run.workers: expected at least 1 for {cluster}, got 0; set the number of workers that it starts"
        )


def _secret_names(options: Mapping[str, Any], prefix: str = "") -> Iterator[str]:
    for key, value in options.items():
        if isinstance(value, Mapping):
            yield from _secret_names(value, f"{prefix}{key}.")
        elif re.search(r"(?i)secret|passw|token|credential|api_?key|access_?key", str(key)) or (
            isinstance(value, str) and has_credentials(value)
        ):
            yield f"{prefix}{key}"


def compare_workers(client: Client) -> None:
    """ClusterError for workers with other code or versions than this process, or without Fingerpost."""
    mine = installation()
    for worker, found in client.run(installation, on_error="return").items():
        if not isinstance(found, Installation):
            raise ClusterError(
                f"Dask worker {worker}: expected this version of fingerpost, found none that works there "
                f"({type(found).__name__}: {found}); install the same version on every worker"
            )
        if found != mine:
            raise ClusterError(
                f"Dask worker {worker}: expected the code and versions of this process, found"
                f" {', '.join(mine.differences(found)[:4])}; deploy the same version to every worker"
            )
    own, theirs = (
        blas_cores(),
        sorted({cores for cores in client.run(blas_cores, on_error="return").values() if isinstance(cores, str)}),
    )
    if theirs not in ([], [own]):
        _log.warning(
            "Dask: expected workers with the kernels of OpenBLAS of this process (%s), found %s; the last bits of results depend"
            " on where a shard is computed: set OPENBLAS_CORETYPE alike everywhere, as infra/RUNBOOK.md says under Deploy",
            own or "none",
            " and ".join(cores or "none" for cores in theirs),
        )


def _local(workers: int) -> LocalCluster:
    return LocalCluster(
        n_workers=workers, threads_per_worker=1, processes=True, dashboard_address="127.0.0.1:0", silence_logs=50
    )


def _made(name: str, options: Mapping[str, Any], workers: int) -> Cluster:
    """A cluster of the class, scaled."""
    cluster_type = cluster_class(name)
    try:
        cluster = cluster_type(**options)
    except Exception as problem:
        raise ClusterError(
            f"{name}: expected to start with run.cluster_options {', '.join(sorted(options)) or '(none)'}, "
            f"got {type(problem).__name__}: {problem}; correct them"
        ) from problem
    try:
        cluster.scale(workers)
    except Exception:
        cluster.close()
        raise
    return cluster


def _imported(module: str) -> ModuleType:
    """A module, imported; what Ctrl-C does stays: dask-jobqueue makes it end a process with code 0, without a word."""
    before = signal.getsignal(signal.SIGINT)
    try:
        return importlib.import_module(module)
    finally:
        if before is not None and signal.getsignal(signal.SIGINT) is not before:
            signal.signal(signal.SIGINT, before)


def cluster_class(name: str) -> type[Cluster]:
    """The Dask cluster class of a dotted name; ClusterError that says what to install if it is missing."""
    module, _, last = name.rpartition(".")
    extra = _EXTRAS.get(module.split(".")[0])
    try:
        found = getattr(_imported(module), last)
    except ImportError as problem:
        what = f"`pip install 'fingerpost[{extra}]'`" if extra else "the package that has it"
        raise ClusterError(
            f"run.cluster: expected the class {name}, got {type(problem).__name__} ({problem}); install {what}"
        ) from problem
    except ValueError as problem:
        # Importing dask-jobqueue sets a handler of signals, which the main thread alone can.
        raise ClusterError(
            f"run.cluster: expected the class {name}, got ValueError ({problem}); start the run in the main thread"
        ) from problem
    except AttributeError as problem:
        raise ClusterError(f"run.cluster: expected the class {name}, found none in {module}; correct it") from problem
    if not (isinstance(found, type) and issubclass(found, Cluster)):
        raise ClusterError(f"run.cluster: expected a Dask cluster class, found {name}, which is none; correct it")
    return found


def _connected(address: str) -> Client:
    """A client of the scheduler at an address, which is probed first so that the error can name what is wrong."""
    speaks_tls = _probe(address)
    if speaks_tls and address.startswith("tcp://"):
        raise ClusterError(
            f"Dask {address}: expected a scheduler without TLS, found one that speaks TLS; use tls:// and set "
            "DASK_DISTRIBUTED__COMM__TLS__CA_FILE, ..._CLIENT__CERT and ..._CLIENT__KEY"
        )
    if not speaks_tls and address.startswith("tls://"):
        raise ClusterError(
            f"Dask {address}: expected a scheduler that speaks TLS, found one that does not; start it with TLS or use"
            " tcp://"
        )
    try:
        # The client itself waits forever for a process that listens and does not answer.
        with ThreadPoolExecutor(1) as thread:
            thread.submit(asyncio.run, _greet(address)).result()
        return Client(address, set_as_default=False, timeout=CONNECT_SECONDS)
    except TypeError as problem:
        raise ClusterError(
            f"Dask {address}: expected TLS files, found none set; set DASK_DISTRIBUTED__COMM__TLS__CA_FILE, "
            "DASK_DISTRIBUTED__COMM__TLS__CLIENT__CERT and DASK_DISTRIBUTED__COMM__TLS__CLIENT__KEY"
        ) from problem
    except (OSError, ValueError, RuntimeError) as problem:
        raise ClusterError(
            f"Dask {address}: expected a scheduler, got {(str(problem) or 'no answer').splitlines()[0][:200]}; "
            "check that its certificates and versions are those of this process"
        ) from problem


async def _greet(address: str) -> None:
    """Opens and closes a connection as a client does."""
    arguments = Security().get_connection_args("client")
    comm = await asyncio.wait_for(connect(address, timeout=CONNECT_SECONDS, **arguments), CONNECT_SECONDS + 1)
    await comm.close()


def _probe(address: str) -> bool:
    """Whether the listener at an address speaks TLS; ClusterError if nothing listens there."""
    found = urlsplit(address)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    try:
        with socket.create_connection((found.hostname, found.port or 8786), timeout=CONNECT_SECONDS) as plain:
            if found.scheme == "tcp" and _speaks_first(plain):
                return False
            try:
                with context.wrap_socket(plain):
                    return True
            except ssl.SSLError as problem:
                # A TLS alert is the answer of a listener that speaks TLS and requires a client certificate.
                return "ALERT" in str(problem).upper()
            except OSError:
                return False
    except OSError as problem:
        raise ClusterError(
            f"Dask {address}: expected a scheduler, got {problem.strerror or problem}; start it, or correct run.cluster"
        ) from problem


def _speaks_first(plain: socket.socket) -> bool:
    """Whether the other side sends a greeting first, as a scheduler without TLS does.

    A scheduler without TLS reads a TLS greeting as the size of a message of 64 PiB, and fills its log with errors.
    """
    plain.settimeout(GREETING_SECONDS)
    try:
        return bool(plain.recv(1))
    except TimeoutError:
        return False
    finally:
        plain.settimeout(CONNECT_SECONDS)


def _wait_for_workers(client: Client, cluster: str, seconds: float) -> None:
    try:
        client.wait_for_workers(1, timeout=seconds)
    except TimeoutError as problem:
        raise ClusterError(
            f"Dask {cluster}: expected a worker within {seconds:.0f} s, found none; start workers for this scheduler,"
            " or check their logs"
        ) from problem
