"""Metrics over HTTP: the page ``/metrics``. Imports no Prefect."""

import base64
import hmac
import threading
from collections.abc import Callable
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest

from fingerpost.flows.ops.watch.metrics import registry
from fingerpost.schemas.errors import FingerpostError
from fingerpost.schemas.store import Store

_scraping = threading.Lock()


def serve(store: Store, *, port: int, host: str = "127.0.0.1", auth: str = "", ready: Callable[[str], None]) -> None:
    """Serves ``/metrics`` until interrupted; ``ready`` gets the address. FingerpostError if the port is in use.

    auth: ``user:password`` that readers must give; empty: none.
    """
    with make_server(host, port, registry(store), auth) as server, suppress(KeyboardInterrupt):
        ready(f"http://{host}:{server.server_port}/metrics")
        server.serve_forever()


def make_server(host: str, port: int, found: CollectorRegistry, auth: str = "") -> ThreadingHTTPServer:
    """An HTTP server for a registry, not yet serving; port 0 takes a free one.

    With ``auth`` (``user:password``), ``/metrics`` asks for basic authentication; ``/health`` tells nothing but that
    the server answers, and never asks.
    """
    wanted = f"Basic {base64.b64encode(auth.encode()).decode()}".encode() if auth else b""

    class Answer(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            path = self.path.split("?", 1)[0]
            if path == "/health":
                self._answer(b"ok\n", "text/plain")
                return
            if wanted and not hmac.compare_digest(self.headers.get("Authorization", "").encode(), wanted):
                self.send_response(401)
                self.send_header("WWW-Authenticate", 'Basic realm="fingerpost"')
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
            if path != "/metrics":
                self.send_error(404, "expected /metrics")
                return
            try:
                body = text(found)
            except FingerpostError as problem:
                self.send_error(503, "the store cannot be read", str(problem))
                return
            self._answer(body, CONTENT_TYPE_LATEST)

        def _answer(self, body: bytes, kind: str) -> None:
            self.send_response(200)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Logs nothing: scrapes are frequent."""

    try:
        return ThreadingHTTPServer((host, port), Answer)
    except (OSError, OverflowError) as problem:
        raise FingerpostError(
            f"metrics: expected to listen on {host}:{port}, got {problem}; choose another --port"
        ) from problem


def text(found: CollectorRegistry) -> bytes:
    """The metrics in the exposition format; one scrape at a time."""
    with _scraping:
        return generate_latest(found)
