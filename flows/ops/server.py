"""Prefect's server, whose pages a browser lets ask nobody but that server.

The newer UI starts an analytics library on every page, and that library fetches its settings from its maker whatever the
server is set to. A Content-Security-Policy on the pages has the browser refuse it, and any other foreign address, such as a
picture's in an artifact.
"""

import argparse
import os
import socket
import sys
import threading
import time
from collections.abc import Awaitable, Callable
from urllib.parse import urlsplit

import uvicorn
from fastapi import FastAPI, Request, Response
from prefect.server.api.server import create_app
from prefect.settings import get_current_settings

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


def policy(api: str) -> str:
    """The policy of pages that ask the API at an address; empty if that is where the pages themselves come from."""
    parts = urlsplit(api)
    origins = f"{parts.scheme}://{parts.netloc} {parts.scheme.replace('http', 'ws')}://{parts.netloc}"
    return _POLICY.format(api=origins if parts.netloc else "").replace(" ;", ";")


def app() -> FastAPI:
    """Prefect's API, services and pages, as ``prefect server start`` serves them, with the policy on every answer."""
    found = create_app(final=True, ephemeral="PREFECT__SERVER_EPHEMERAL" in os.environ)
    header = policy(get_current_settings().server.ui.api_url or "")

    @found.middleware("http")
    async def with_policy(request: Request, call_next: Callable[[Request], Awaitable[Response]]) -> Response:
        response = await call_next(request)
        response.headers["Content-Security-Policy"] = header
        response.headers["X-Content-Type-Options"] = "nosniff"
        response.headers["Referrer-Policy"] = "no-referrer"
        return response

    return found


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
