"""An S3 server on loopback (moto) that can be told to fail, to lose answers, or to know no conditional puts."""

import itertools
import socket
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from moto.moto_server.werkzeug_app import DomainDispatcherApplication, MotoRequestHandler, create_backend_app
from s3fs import S3FileSystem
from werkzeug.serving import make_server

#: What a client of it needs; the key pair is one of its kind.
KEY, SECRET = "AKIATESTSTOREKEY", "s3cr3t-of-the-test-store"


@dataclass
class ObjectStore:
    """The server: what it was asked, and how it is to behave."""

    url: str = ""
    fail_every: int = 0
    conditional: bool = True
    broken: bool = False
    next_faults: list[str] = field(default_factory=list)
    requests: list[tuple[str, str, bool]] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._app = DomainDispatcherApplication(create_backend_app)
        self._numbers = itertools.count(1)
        self._kinds = itertools.cycle(("refuse", "throttle", "drop", "lose"))
        # moto looks and puts in two steps; a real store does it in one.
        self._one_at_a_time = threading.Lock()

    @property
    def environment(self) -> dict[str, str]:
        """The variables by which clients find it."""
        return {
            "AWS_ENDPOINT_URL": self.url,
            "AWS_ACCESS_KEY_ID": KEY,
            "AWS_SECRET_ACCESS_KEY": SECRET,
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_EC2_METADATA_DISABLED": "true",
        }

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        """One request."""
        if environ["PATH_INFO"].startswith("/moto-api"):
            return self._app(environ, start_response)
        exclusive = environ.get("HTTP_IF_NONE_MATCH") == "*"
        self.requests.append((environ["REQUEST_METHOD"], environ["PATH_INFO"], exclusive))
        if not self.conditional:
            environ.pop("HTTP_IF_NONE_MATCH", None)
        fault = self._fault()
        if fault == "drop":
            environ["werkzeug.socket"].shutdown(socket.SHUT_RDWR)
            start_response("200 OK", [])
            return []
        if fault in {"refuse", "throttle"}:
            code, status = {"refuse": ("InternalError", "500 Failed"), "throttle": ("SlowDown", "503 Slow Down")}[fault]
            environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
            start_response(status, [("Content-Type", "application/xml")])
            return [f"<Error><Code>{code}</Code><Message>{code}, on purpose</Message></Error>".encode()]
        with self._one_at_a_time:
            answer = list(self._app(environ, start_response))
        if fault == "lose":
            environ["werkzeug.socket"].shutdown(socket.SHUT_RDWR)
            return []
        return answer

    def _fault(self) -> str:
        if self.broken:
            return "refuse"
        if self.next_faults:
            return self.next_faults.pop(0)
        number = next(self._numbers)
        if not self.fail_every or number % self.fail_every:
            return ""
        self.failures.append(next(self._kinds))
        return self.failures[-1]

    def behave(self) -> None:
        """Ends all faults and forgets what was asked."""
        self.fail_every, self.conditional, self.broken = 0, True, False
        self.next_faults.clear()
        self.requests.clear()
        self.failures.clear()

    def make_bucket(self, name: str) -> str:
        """Makes an empty bucket; its URL."""
        self.client().create_bucket(Bucket=name)
        return f"s3://{name}"

    def keys(self, bucket: str) -> list[str]:
        """Every key of a bucket."""
        pages = self.client().get_paginator("list_objects_v2").paginate(Bucket=bucket)
        return [found["Key"] for page in pages for found in page.get("Contents", [])]

    def content(self, bucket: str, key: str) -> bytes:
        """The bytes of an object."""
        return self.client().get_object(Bucket=bucket, Key=key)["Body"].read()

    def client(self) -> Any:
        """A client of its own, beside the one under test."""
        import boto3

        return boto3.client(
            "s3",
            endpoint_url=self.url,
            aws_access_key_id=KEY,
            aws_secret_access_key=SECRET,
            region_name="us-east-1",
        )


class _Quiet(MotoRequestHandler):
    def log(self, *args: Any) -> None:
        """Says nothing."""


@contextmanager
def object_store() -> Iterator[ObjectStore]:
    """Such a server, for as long as the block lasts."""
    store = ObjectStore()
    # fsspec keeps file systems by their options alone, and these do not name the server: the environment does.
    S3FileSystem.clear_instance_cache()
    server = make_server("127.0.0.1", 0, store, threaded=True, request_handler=_Quiet)
    store.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield store
    finally:
        S3FileSystem.clear_instance_cache()
        server.shutdown()
        thread.join()
