"""Connections to a service: a request has to arrive in time, and there are no more of them than the process can hold."""

import asyncio
import resource
from functools import partial
from http import HTTPStatus
from typing import Any

from uvicorn.protocols.http.h11_impl import H11Protocol

from fingerpost.flows.ops.serve.answering import error
from fingerpost.schemas.figures import significant

#: Files that a process may have open, at most; more connections than that are none of one service.
_MOST = 65_536
#: Connections that are taken at once, at most.
_AT_ONCE = 2048
#: Files that are left for the store, the log and the processes that answer.
_LEFT = 256


def room_for_connections() -> tuple[int, int]:
    """The numbers of connections that this process can hold, and can take at once before it looks at any.

    Allows it as many open files as its hard limit does.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _MOST if hard == resource.RLIM_INFINITY else min(hard, _MOST)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
        soft = wanted
    files = _MOST if soft == resource.RLIM_INFINITY else min(soft, _MOST)
    at_once = min(_AT_ONCE, files // 4)
    return max(files - _LEFT - at_once, files // 4), at_once


def connections(patience: float, most: int) -> "partial[Connection]":
    """What makes the protocol of a connection for uvicorn; arguments as of `Connection`."""
    return partial(Connection, patience=patience, most=most)


class Connection(H11Protocol):
    """A connection of HTTP/1.1. patience: seconds in which the header of a request has to arrive; most: of connections at a time.

    One that sends nothing is closed, one that sends a part of a header is answered with 408, one too many with 503: with
    one line of JSON, as everywhere. The body of a request, and the time between two requests, are not of its concern.
    """

    def __init__(self, *arguments: Any, patience: float, most: int, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self._patience, self._most = patience, most
        self._late: asyncio.TimerHandle | None = None
        self._begun = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Waits for the first request."""
        super().connection_made(transport)  # type: ignore[arg-type]
        if len(self.connections) > self._most:
            self._refuse(
                503, f"connections: expected at most {self._most} at a time, got another; try again later", retry=True
            )
        else:
            self._await_request()

    def data_received(self, data: bytes) -> None:
        """Takes a part of a request."""
        self._begun = True
        super().data_received(data)
        self._await_request()

    def connection_lost(self, exc: Exception | None) -> None:
        """Waits for nothing any more."""
        self._forget_time()
        super().connection_lost(exc)

    def send_400_response(self, msg: str) -> None:
        """Answers what is no HTTP."""
        self._refuse(400, "request: expected HTTP/1.1, got another protocol or a broken header; see /openapi.json")

    @property
    def _under_way(self) -> bool:
        """Whether a request is being answered."""
        return self.cycle is not None and not self.cycle.response_complete

    def _await_request(self) -> None:
        """Begins to wait, unless a request is under way, or the one before has just been answered."""
        if self._under_way or self.transport.is_closing():
            self._forget_time()
        elif self._late is None and self.timeout_keep_alive_task is None:
            self._late = self.loop.call_later(self._patience, self._give_up)

    def _forget_time(self) -> None:
        if self._late is not None:
            self._late.cancel()
            self._late = None
        self._begun = False

    def _give_up(self) -> None:
        self._late = None
        if self._under_way:
            return
        if self._begun and self.cycle is None:
            self._refuse(
                408,
                f"request: expected its header within {significant(self._patience)} s, got a part; send it at once",
            )
        else:
            self.transport.close()

    def _refuse(self, status: int, message: str, *, retry: bool = False) -> None:
        """Answers with a status and closes; a request that is under way ends as if its client had left."""
        begun = self._under_way and self.cycle.response_started
        if self._under_way:
            self.cycle.disconnected = True
            self.cycle.message_event.set()
        if not begun and not self.transport.is_closing():
            body = error(message)
            lines = [
                f"HTTP/1.1 {status} {HTTPStatus(status).phrase}",
                "content-type: application/json",
                f"content-length: {len(body)}",
                "connection: close",
                *(["retry-after: 1"] if retry else []),
            ]
            self.transport.write("\r\n".join([*lines, "", ""]).encode() + body)
        self.transport.close()
