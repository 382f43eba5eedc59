"""Prefect's server, whose pages a browser lets ask nobody but that server.

The newer UI starts an analytics library on every page, and that library fetches its settings from its maker whatever the
server is set to. A Content-Security-Policy on the pages has the browser refuse it, and any other foreign address, such as a
picture's in an artifact.
"""

import argparse
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
    found = create_app(final=True)
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
    given = parser.parse_args()
    uvicorn.run(
        app(),
        host=given.host,
        port=given.port,
        timeout_keep_alive=settings.api.keepalive_timeout,
        log_level=settings.logging_level.lower(),
        server_header=False,
    )


if __name__ == "__main__":
    main()
