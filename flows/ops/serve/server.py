"""The process that takes requests."""

import asyncio
import contextlib
import math
import signal
import socket
from collections.abc import Callable, Iterator

import uvicorn

from fingerpost.flows.ops.serve.application import application
from fingerpost.flows.ops.serve.connections import connections, room_for_connections
from fingerpost.flows.ops.serve.options import ServeOptions, check_address
from fingerpost.flows.ops.serve.service import Service
from fingerpost.schemas.errors import FingerpostError
from fingerpost.schemas.store import Store

#: Seconds for which a connection without a request is kept: longer than proxies keep theirs, so that these close first
#: and no request meets a connection that is being closed.
_KEPT = 75
_BACKLOG = 2048
#: Seconds for which a service that is to end still answers, and closes each connection with its reply: a client that
#: keeps one does not meet its end with a request, and those who send clients elsewhere have time to notice.
_DRAIN = 2.0


def serve(
    store: Store, collection: str, options: ServeOptions, *, ready: Callable[[str], None], say: Callable[[str], None]
) -> None:
    """Serves until SIGTERM or Ctrl-C, and then answers what it was asked.

    ready: gets the address when everything is opened. say: gets a line for each change. FingerpostError if the address
    is in use or needs a token, and if there is nothing to serve.
    """
    check_address(options.host, options.tokens)
    with _listening(options.host, options.port) as listener:
        asyncio.run(_run(Service(store, collection, options, say=say), listener, ready))


async def _run(service: Service, listener: socket.socket, ready: Callable[[str], None]) -> None:
    deadline = service.options.limits.deadline
    most, at_once = room_for_connections()
    server = _Server(
        uvicorn.Config(
            application(service),
            http=connections(deadline, most),  # type: ignore[arg-type]
            lifespan="off",
            ws="none",
            access_log=False,
            log_level="warning",
            server_header=False,
            backlog=at_once,
            timeout_keep_alive=_KEPT,
            timeout_graceful_shutdown=math.ceil(deadline) + 1,
        )
    )
    loop, starting = asyncio.get_running_loop(), asyncio.current_task()

    def stop() -> None:
        if not server.started and starting is not None:
            starting.cancel()
        again, service.stopping = service.stopping, True
        loop.call_later(_DRAIN if server.server_state.connections and not again else 0, server.leave)

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop)
    try:
        await service.start()
        host, port = listener.getsockname()[:2]
        ready(f"http://{f'[{host}]' if ':' in host else host}:{port}")
        await server.serve(sockets=[listener])
    except asyncio.CancelledError:
        pass
    finally:
        await service.stop()


class _Server(uvicorn.Server):
    """A server that leaves signals to whoever runs it."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leaves them as they are."""
        yield

    def leave(self) -> None:
        """Takes no further requests, and ends when what was asked is answered."""
        self.should_exit = True


def _listening(host: str, port: int) -> socket.socket:
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        listener = socket.socket(family, kind, protocol)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(_BACKLOG)
    except (OSError, OverflowError) as problem:
        raise FingerpostError(
            f"serve: expected to listen on {host}:{port}, got {problem}; choose another --port or --host"
        ) from problem
    return listener
