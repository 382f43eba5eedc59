"""Prefect's server, whose pages a browser lets ask nobody but that server, and whose loop waits for no lock of its database.

The newer UI starts an analytics library on every page, and that library fetches its settings from its maker whatever the
server is set to. A Content-Security-Policy on the pages has the browser refuse it, and any other foreign address, such as a
picture's in an artifact.

Under load the server would now and then stand still for a minute, with all runs that talk to it. Python's sqlite3 keeps the
statement of a cursor whose execution failed, and resets it when the cursor is freed, for which it waits until its connection
has nothing to do. The error's traceback holds that cursor, so that it is the event loop that frees it. Where the connection
waits for the lock of another transaction meanwhile, the loop cannot go on with that one, and both wait until SQLite gives up.
So such a cursor is closed at once, by the thread of its connection.
"""

import argparse
import os
import socket
import sys
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import urlsplit

import uvicorn
from aiosqlite import Cursor
from fastapi import FastAPI
from prefect.server.api.server import create_app
from prefect.settings import get_current_settings
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


async def _execute(self: Cursor, fn: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    def call() -> Any:
        try:
            return fn(*args, **kwargs)
        except BaseException:
            self._cursor.close()
            raise

    return await self._conn._execute(call)


def close_failed_cursors() -> None:
    """Has aiosqlite close the cursor of a statement that failed."""
    Cursor._execute = _execute  # type: ignore[method-assign]


def policy(api: str) -> str:
    """The policy of pages that ask the API at an address; empty if that is where the pages themselves come from."""
    parts = urlsplit(api)
    origins = f"{parts.scheme}://{parts.netloc} {parts.scheme.replace('http', 'ws')}://{parts.netloc}"
    return _POLICY.format(api=origins if parts.netloc else "").replace(" ;", ";")


def app() -> FastAPI:
    """Prefect's API, services and pages, as ``prefect server start`` serves them, with the policy on every answer."""
    close_failed_cursors()
    found = create_app(final=True, ephemeral="PREFECT__SERVER_EPHEMERAL" in os.environ)
    found.add_middleware(
        WithHeaders,
        headers={
            "Content-Security-Policy": policy(get_current_settings().server.ui.api_url or ""),
            "X-Content-Type-Options": "nosniff",
            "Referrer-Policy": "no-referrer",
        },
    )
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
    parser = argparse.ArgumentParser(prog="python -m flows.run.server_process", description=__doc__.partition("\n")[0])
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
