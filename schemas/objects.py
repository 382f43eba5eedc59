"""Objects of a store on object storage: retried requests, and exclusive creation of objects.

If the storage refuses to create an object twice (S3's conditional put), that decides. Otherwise writers take turns by
claims, which requires three guarantees of the storage: a listing after a put has returned shows it, a read after a put
has returned sees it, and an abandoned request is never applied later than ``LEASE`` seconds after its writer's claim.
"""

import hashlib
import os
import random
import re
import sys
import time
import uuid
from collections.abc import Callable
from typing import Any, TypeVar

from fingerpost.schemas.errors import StoreUnreachableError
from fingerpost.schemas.urls import has_credentials

T = TypeVar("T")

#: Attempts of one request, and the first and the longest pause between them in seconds; pauses double each time.
TRIES, FIRST_PAUSE, LONGEST_PAUSE = 8, 0.1, 8.0
#: Seconds after which a claim is considered abandoned, and after which its writer starts no further request.
LEASE, WORK = 300.0, 120.0
#: Timeouts of a request in seconds.
TIMEOUTS = {"connect_timeout": 10, "read_timeout": 60}

_S3 = {"s3", "s3a"}
#: Storage whose conditional put is atomic; for any other this cannot be determined by a client.
_MAY_REFUSE = _S3 | {"memory"}
_PASSING_STATUS = {408, 425, 429, 500, 502, 503, 504}
_PASSING_CODES = {
    "SlowDown",
    "Throttling",
    "ThrottlingException",
    "TooManyRequests",
    "RequestLimitExceeded",
    "BandwidthLimitExceeded",
    "RequestTimeout",
    "InternalError",
    "ServiceUnavailable",
    "ConditionalRequestConflict",
    "OperationAborted",
}
#: Names of clients' exceptions (and their bases) for a failed connection rather than a failed request.
_PASSING_KINDS = {
    "ConnectionError",
    "TimeoutError",
    "HTTPClientError",
    "ClientConnectionError",
    "ClientPayloadError",
    "IncompleteRead",
    "IncompleteReadError",
    "ResponseParserError",
    "FSTimeoutError",
}

#: Replaced by tests.
pause: Callable[[float], None] = time.sleep

_refuses: dict[str, bool] = {}


def check_url(url: str) -> None:
    """Refuses a URL that carries credentials, without repeating them."""
    if has_credentials(url):
        scheme = url.partition("://")[0]
        raise StoreUnreachableError(
            f"store {scheme}://...: expected a URL without credentials, got one that contains them; remove them and"
            " provide them by the environment (AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY) or the provider's"
            " configuration files"
        )


def file_system(url: str) -> tuple[Any, str]:
    """The file system of a URL and the path in it, without caching and without retries of its own."""
    import fsspec  # imported here: folders are read without it

    check_url(url)
    protocol = url.partition("://")[0]
    options: dict[str, Any] = {"use_listings_cache": False}
    if protocol in _S3:
        configured = fsspec.config.conf.get(protocol, {}).get("config_kwargs", {})
        options["config_kwargs"] = {**TIMEOUTS, **configured, "retries": {"max_attempts": 0}}
    fs, path = fsspec.core.url_to_fs(url, **options)
    if protocol in _S3:
        fs.retries = 1
    return fs, path


def is_local(fs: Any) -> bool:
    """Whether a file system is that of this machine."""
    from fsspec.implementations.local import LocalFileSystem

    return isinstance(fs, LocalFileSystem)


def without_secrets(text: str) -> str:
    """A message with the secrets of the environment and of fsspec's configuration redacted."""
    named = re.compile(r"(?i)secret|token|password|credential|access_key|auth_string")
    configured = sys.modules["fsspec"].config.conf if "fsspec" in sys.modules else {}
    settings = [(name, value) for section in configured.values() for name, value in _items(section)]
    for name, value in [*os.environ.items(), *settings]:
        if (named.search(name) or name == "key") and isinstance(value, str) and len(value) >= 4:
            text = text.replace(value, "***")
    return text


def _items(section: Any) -> list[tuple[str, Any]]:
    return list(section.items()) if isinstance(section, dict) else []


class Objects:
    """The objects of one fsspec file system, by full path."""

    def __init__(self, fs: Any, root: str) -> None:
        self.fs, self.root = fs, root

    def read(self, path: str) -> bytes:
        """The content of an object; FileNotFoundError if there is none."""
        return bytes(self._tried(lambda: self.fs.cat_file(path)))

    def size(self, path: str) -> int | None:
        """The size of an object in bytes; None if there is none."""
        try:
            return int(self._tried(lambda: self.fs.info(path))["size"])
        except FileNotFoundError:
            return None

    def info(self, path: str) -> dict[str, Any]:
        """The entry of an object in a listing; FileNotFoundError if there is none."""
        return dict(self._tried(lambda: self.fs.info(path)))

    def write(self, path: str, data: bytes) -> None:
        """Writes an object, replacing an existing one."""
        self._tried(lambda: self.fs.pipe_file(path, data))

    def names(self, folder: str) -> list[str]:
        """The names directly below a folder; empty if there are none."""
        try:
            listed = self._tried(lambda: self.fs.ls(folder, detail=False, refresh=True))
        except (FileNotFoundError, NotADirectoryError):
            return []
        paths = (str(path).rstrip("/") for path in listed)
        return [path.rsplit("/", 1)[-1] for path in paths if path.strip("/") != folder.strip("/")]

    def remove(self, path: str) -> None:
        """Removes an object or everything below a folder; does nothing if it does not exist."""
        try:
            self._tried(lambda: self.fs.rm(path, recursive=True))
        except FileNotFoundError:
            return

    def find(self, folder: str) -> dict[str, dict[str, Any]]:
        """All objects below a folder with their entries in the listing."""
        return dict(self._tried(lambda: self.fs.find(folder, detail=True)))

    def remove_one(self, path: str) -> None:
        """Removes one object; FileNotFoundError if the storage reports that there is none."""
        self._tried(lambda: self.fs.rm_file(path))

    def create(self, path: str, data: bytes) -> bool:
        """Creates an object if there is none; False if another writer was first."""
        return self._put_new(path, data) if self.refuses_second() else self._create_by_claim(path, data)

    def refuses_second(self) -> bool:
        """Whether the storage itself refuses to create an object twice; tested once per process."""
        if self._protocol() not in _MAY_REFUSE:
            return False
        where = f"{self._protocol()}://{self.root}"
        if where not in _refuses:
            probe = f"{self.root}/.probe/{uuid.uuid4().hex}"
            try:
                first, second = self._put_new(probe, b"first"), self._put_new(probe, b"second")
            except (NotImplementedError, TypeError):
                first, second = True, True
            except OSError as problem:
                if _status(problem) != 501:
                    raise
                first, second = True, True
            finally:
                self.remove(probe)
            _refuses[where] = first and not second
        return _refuses[where]

    def _protocol(self) -> str:
        return str(self.fs.protocol if isinstance(self.fs.protocol, str) else self.fs.protocol[0])

    def _put_new(self, path: str, data: bytes) -> bool:
        """A conditional put; False if the object exists already.

        A put that was applied but whose response was lost is refused when it is retried, by us or by the client, so the
        object carries a mark that identifies its writer.
        """
        mark = uuid.uuid4().hex
        marked = {"Metadata": {"writer": mark}} if self._protocol() in _S3 else {}

        def put() -> bool:
            try:
                self.fs.pipe_file(path, data, mode="create", **marked)
            except Exception as problem:
                if not _refused(problem):
                    raise
                return bool(marked) and self.fs.metadata(path, refresh=True).get("writer") == mark
            return True

        return self._tried(put)

    def _create_by_claim(self, path: str, data: bytes) -> bool:
        """Writes only while our claim is the only one.

        Of two writers, the one that lists later sees the other's claim or its object.
        """
        folder = f"{self.root}/.claims/{hashlib.sha256(path.encode()).hexdigest()[:32]}"
        mine = uuid.uuid4().hex
        waiting = time.monotonic()
        for turn in range(10_000):
            if self.size(path) is not None:
                return False
            claimed = time.monotonic()
            self.write(f"{folder}/{mine}", b"")
            try:
                others = self._others(folder, mine)
                if not others:
                    if self.size(path) is not None:
                        return False
                    self._tried(lambda: self.fs.pipe_file(path, data), until=claimed + WORK)
                    return True
            finally:
                self.remove(f"{folder}/{mine}")
            if time.monotonic() - waiting > 2 * LEASE:
                break
            pause(random.uniform(0.01, min(0.05 * 2 ** min(turn, 6), 2.0)))
        raise TimeoutError(f"claims of other writers for {2 * LEASE:.0f} s")

    def _others(self, folder: str, mine: str) -> list[str]:
        """The claims of other writers; claims older than the lease, by the storage's clock, are removed."""
        claims = self.names(folder)
        if mine not in claims:
            raise OSError("a listing without what was just written, so the storage cannot be shared by writers")
        others = [name for name in claims if name != mine]
        if others:
            now = self._tried(lambda: self.fs.modified(f"{folder}/{mine}"))
            for name in others:
                try:
                    since = self._tried(lambda name=name: self.fs.modified(f"{folder}/{name}"))  # type: ignore[misc]
                except FileNotFoundError:
                    continue
                if (now - since).total_seconds() > LEASE:
                    self.remove(f"{folder}/{name}")
        return others

    def _tried(self, request: Callable[[], T], *, until: float = float("inf")) -> T:
        """The response to a request, retried after growing random pauses if the failure may be transient."""
        for number in range(1, TRIES + 1):
            if time.monotonic() > until:
                raise TimeoutError(f"no answer within {WORK:.0f} s")
            try:
                return request()
            except (FileNotFoundError, FileExistsError):
                raise
            except Exception as problem:
                if not may_pass(problem):
                    raise
                if number == TRIES:
                    raise OSError(
                        getattr(problem, "errno", None) or 0, f"{_reason(problem)} (in each of {TRIES} tries)"
                    ) from problem
            pause(random.uniform(0, min(FIRST_PAUSE * 2 ** (number - 1), LONGEST_PAUSE)))
        raise AssertionError("unreachable")


def may_pass(problem: BaseException) -> bool:
    """Whether a failure may be transient: throttling, a server error, a lost or slow connection."""
    for cause in _causes(problem):
        kinds = {kind.__name__ for kind in type(cause).__mro__}
        if "SSLError" in kinds or "SSLCertVerificationError" in kinds:
            return False
        if kinds & _PASSING_KINDS or _code(cause) in _PASSING_CODES:
            return True
    return _status(problem) in _PASSING_STATUS


def _refused(problem: BaseException) -> bool:
    """Whether an error means that the object exists already."""
    return isinstance(problem, FileExistsError) or any(
        _code(cause) in {"PreconditionFailed", "412"} for cause in _causes(problem)
    )


def _reason(problem: BaseException) -> str:
    return str(getattr(problem, "strerror", None) or problem or type(problem).__name__)


def _causes(problem: BaseException) -> list[BaseException]:
    causes: list[BaseException] = []
    current: BaseException | None = problem
    while current is not None and len(causes) < 5:
        causes.append(current)
        current = current.__cause__ or current.__context__
    return causes


def _response(problem: BaseException) -> dict[str, Any]:
    response = getattr(problem, "response", None)
    return response if isinstance(response, dict) else {}


def _code(problem: BaseException) -> str:
    return str(_response(problem).get("Error", {}).get("Code", ""))


def _status(problem: BaseException) -> int:
    codes = (_response(cause).get("ResponseMetadata", {}).get("HTTPStatusCode") for cause in _causes(problem))
    return next((int(status) for status in codes if status), 0)
