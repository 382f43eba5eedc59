"""Prefect's server, whose pages a browser lets ask nobody but that server, and whose database is not waited for too long.

The newer UI starts an analytics library on every page, and that library fetches its settings from its maker whatever the
server is set to. A Content-Security-Policy on the pages has the browser refuse it, and any other foreign address, such as a
picture's in an artifact.

A statement waits a minute for the lock of Prefect's SQLite database. Under load a transaction may keep that lock until one of
those that wait for it gives up (seen twice in an hour of tests on two busy cores: each time all runs stood still for that
minute). Whoever gives up is asked to try again (status 503) and does, so that waiting less costs less.
"""

import argparse
import os
import socket
import sys
import threading
import time
from collections.abc import Mapping
from urllib.parse import urlsplit

import uvicorn
from fastapi import FastAPI
from prefect.server.api.server import create_app
from prefect.server.database.configurations import AioSqliteConfiguration
from prefect.settings import get_current_settings
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.pool import ConnectionPoolEntry
from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

_POLICY = "; ".join(
    (
        "default-src 'self' data: blob:",
        # Both UIs bring scripts and styles in their pages, and a worker for their editor.
        "script-src 'self' 'unsafe-inline' 'unsafe-eval' blob:",
        "style-src 'self' 'unsafe-inline'",
        "connect-src 'self' {api}",
        "form-action 'self'",
        "frame-ancestors 'self'",
    )
)

#: Seconds that a statement waits for SQLite's lock.
LOCK_SECONDS = 12

_as_prefect_does = AioSqliteConfiguration.setup_sqlite


def _setup_sqlite(self: AioSqliteConfiguration, connection: DBAPIConnection, record: ConnectionPoolEntry) -> None:
    _as_prefect_does(self, connection, record)
    cursor = connection.cursor()
    cursor.execute(f"PRAGMA busy_timeout = {LOCK_SECONDS * 1000}")
    cursor.close()


def wait_less() -> None:
    """Sets how long connections to SQLite that are made from now on wait for its lock."""
    AioSqliteConfiguration.setup_sqlite = _setup_sqlite  # type: ignore[assignment, method-assign]


def policy(api: str) -> str:
    """The policy of pages that ask the API at an address; empty if that is where the pages themselves come from."""
    parts = urlsplit(api)
    origins = f"{parts.scheme}://{parts.netloc} {parts.scheme.replace('http', 'ws')}://{parts.netloc}"
    return _POLICY.format(api=origins if parts.netloc else "").replace(" ;", ";")


def app() -> FastAPI:
    """Prefect's API, services and pages, as ``prefect server start`` serves them, with the policy on every answer."""
    wait_less()
    found = create_app(final=True, ephemeral="PREFECT__SERVER_EPHEMERAL" in os.environ)
    found.add_middleware(WithHeaders, headers={
        "Content-Security-Policy": policy(get_current_settings().server.ui.api_url or ""),
        "X-Content-Type-Options": "nosniff",
        "Referrer-Policy": "no-referrer",
    })  # fmt: skip
    return found


class WithHeaders:
    """Sets headers of every answer, without a task of its own for each request."""

    def __init__(self, app: ASGIApp, headers: Mapping[str, str]) -> None:
        self.app, self.headers = app, headers

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers a request."""

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(self.headers)
            await send(message)

        await self.app(scope, receive, with_headers if scope["type"] == "http" else send)


def main() -> None:
    settings = get_current_settings().server
    parser = argparse.ArgumentParser(prog="python -m flows.ops.server", description=__doc__.partition("\n")[0])
    parser.add_argument("--host", default=settings.api.host, help="the address to listen at")
    parser.add_argument("--port", type=int, default=settings.api.port, help="its port")
    parser.add_argument("--socket", type=int, help="instead of both: the number of a bound socket that is inherited")
    parser.add_argument("--parent", type=int, help="a process with which this one ends, that of a run on its own")
    given = parser.parse_args()
    config = uvicorn.Config(
        app(),
        host=given.host,
        port=given.port,
        timeout_keep_alive=settings.api.keepalive_timeout,
        log_level="error" if given.parent else settings.logging_level.lower(),
        server_header=False,
    )
    server = uvicorn.Server(config)
    if given.parent:
        threading.Thread(target=_end_with, args=(server, given.parent), daemon=True).start()
    server.run(sockets=None if given.socket is None else [socket.socket(fileno=given.socket)])
    if not server.started:
        sys.exit(1)


def _end_with(server: uvicorn.Server, parent: int) -> None:
    """Has the server end when the process that started it is gone, killed for example."""
    while os.getppid() == parent:
        time.sleep(1.0)
    server.should_exit = True


if __name__ == "__main__":
    main()
