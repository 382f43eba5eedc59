"""Prefect's server with five fixes: its pages contact no other host, its event loop never waits for a database lock, no
request is refused because two transactions of SQLite met, servers that start together on one new file do not make its
tables twice, and a database that stays locked is told in one line.

Pages: the newer UI starts an analytics library on every page, which fetches its settings from its vendor whatever the
server's settings. A Content-Security-Policy makes the browser refuse that and any other foreign address, such as that
of an image in an artifact.

Event loop: under load the server stalled for a minute now and then, with all runs that use it. Python's sqlite3 keeps
the statement of a cursor whose execution failed, and resets it when the cursor is freed, which waits until the
connection is idle. The error's traceback holds the cursor, so the event loop frees it. If the connection waits for the
lock of another transaction at that moment, the loop cannot finish that transaction, and both wait until SQLite times
out. Therefore such a cursor is closed at once, by the thread of its connection.

Transactions: a transaction of SQLite that has read something may no longer write once another one has written. Prefect
answers 503 then, and its client asks again after two to four seconds; so it was with every subflow of a run. Therefore
a transaction takes its turn to write when it begins.

Tables: a new SQLite file gets its tables, and those of a newer Prefect, when a server starts, statement by statement and
each in a transaction of its own. Two runs that start at once, each with its server, would both make them, and all but
one would end with "duplicate column name". Therefore servers of one file take turns.

Lines: where another process holds the file longer than SQLite waits, the server's services log a traceback of fifty
lines for each attempt, and try again.
"""

import argparse
import contextlib
import fcntl
import logging
import os
import socket
import sqlite3
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractAsyncContextManager
from typing import Any
from urllib.parse import urlsplit

from fingerpost.flows.run.garbage import as_usual, while_starting

if __name__ == "__main__":
    while_starting()

import uvicorn
from aiosqlite import Cursor
from fastapi import FastAPI
from prefect.server.api.server import create_app
from prefect.server.database import interface
from prefect.server.database.configurations import AioSqliteConfiguration
from prefect.settings import PREFECT_API_DATABASE_CONNECTION_URL, get_current_settings
from sqlalchemy.engine import make_url
from sqlalchemy.exc import OperationalError
from sqlalchemy.ext.asyncio import AsyncSession
from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

_POLICY = "; ".join(
    (
        "default-src 'self' data: blob:",
        # Both UIs have inline scripts and styles, and a worker for their editor.
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
    """Makes aiosqlite close the cursor of a failed statement at once."""
    Cursor._execute = _execute  # type: ignore[method-assign]


_begin = AioSqliteConfiguration.begin_transaction


def _begin_writing(
    self: AioSqliteConfiguration, session: AsyncSession, with_for_update: bool = False
) -> AbstractAsyncContextManager[Any]:
    return _begin(self, session, with_for_update=True)


def write_in_turn() -> None:
    """Makes a transaction of SQLite wait for the others when it begins; later it could only fail."""
    AioSqliteConfiguration.begin_transaction = _begin_writing  # type: ignore[method-assign, assignment]


_upgrade = interface.alembic_upgrade


def _upgrade_in_turn(*arguments: Any, **named: Any) -> None:
    with _alone(str(PREFECT_API_DATABASE_CONNECTION_URL.value() or "")):
        _upgrade(*arguments, **named)


def make_tables_in_turn() -> None:
    """Makes servers of one SQLite file make its tables one after the other."""
    interface.alembic_upgrade = _upgrade_in_turn


@contextlib.contextmanager
def _alone(url: str) -> Iterator[None]:
    """A scope that one process at a time is in for a SQLite file, which a killed one leaves too; any for others."""
    database = make_url(url).database if url.startswith("sqlite") else None
    if not database or ":memory:" in database:
        yield
        return
    with open(f"{database}.lock", "a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


class _Record(logging.LogRecord):
    """A line of the log, without the traceback of a database that is locked."""

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        if self.exc_info and _is_locked(self.exc_info[1]):
            self.msg = (
                f"{self.getMessage()} (Prefect's database is locked, another process writes to it; it is tried again)"
            )
            self.args, self.exc_info = (), None


def _is_locked(problem: BaseException | None) -> bool:
    while isinstance(problem, BaseExceptionGroup):
        problem = problem.exceptions[0]
    found = problem.orig if isinstance(problem, OperationalError) else problem
    return isinstance(found, sqlite3.OperationalError) and "is locked" in str(found)


def tell_locks_in_one_line() -> None:
    """Shortens what is logged of a locked database, whichever part of the server logs it."""
    logging.setLogRecordFactory(_Record)


def policy(api: str) -> str:
    """The policy of pages that call the API at an address; an empty address is the pages' own origin."""
    parts = urlsplit(api)
    origins = f"{parts.scheme}://{parts.netloc} {parts.scheme.replace('http', 'ws')}://{parts.netloc}"
    return _POLICY.format(api=origins if parts.netloc else "").replace(" ;", ";")


def app() -> FastAPI:
    """Prefect's API, services and pages, as ``prefect server start`` serves them, with the policy on every response."""
    close_failed_cursors()
    write_in_turn()
    make_tables_in_turn()
    tell_locks_in_one_line()
    app = create_app(final=True, ephemeral="PREFECT__SERVER_EPHEMERAL" in os.environ)
    app.add_middleware(
        WithHeaders,
        headers={
            "Content-Security-Policy": policy(get_current_settings().server.ui.api_url or ""),
            "X-Content-Type-Options": "nosniff",
            "Referrer-Policy": "no-referrer",
        },
    )
    return app


class WithHeaders:
    """Middleware that sets headers of every response, without an extra task per request."""

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
    parser = argparse.ArgumentParser(
        prog="python -m fingerpost.flows.run.server_process", description=__doc__.partition("\n")[0]
    )
    parser.add_argument("--host", default=settings.api.host, help="the address to listen at")
    parser.add_argument("--port", type=int, default=settings.api.port, help="its port")
    parser.add_argument("--socket", type=int, help="instead of both: the file descriptor of an inherited bound socket")
    parser.add_argument("--parent", type=int, help="end when this process ends: that of a run with its own server")
    options = parser.parse_args()
    config = uvicorn.Config(
        app(),
        host=options.host,
        port=options.port,
        timeout_keep_alive=settings.api.keepalive_timeout,
        log_level="error" if options.parent else settings.logging_level.lower(),
        server_header=False,
    )
    server = uvicorn.Server(config)
    as_usual()
    if options.parent:
        threading.Thread(target=_end_with, args=(server, options.parent), daemon=True).start()
    server.run(sockets=None if options.socket is None else [socket.socket(fileno=options.socket)])
    if not server.started:
        sys.exit(1)


def _end_with(server: uvicorn.Server, parent: int) -> None:
    """Ends the server when the process that started it is gone, for example killed."""
    while os.getppid() == parent:
        time.sleep(1.0)
    server.should_exit = True


if __name__ == "__main__":
    main()
