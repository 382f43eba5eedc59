"""Connections to a service that send nothing, a part, or no HTTP, and too many of them."""

import asyncio
import json
import resource
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
import uvicorn

from fingerpost.flows.ops.serve import connections as module
from fingerpost.flows.ops.serve.connections import connections, room_for_connections

REQUEST = b"POST / HTTP/1.1\r\nhost: here\r\ncontent-length: 4\r\n\r\n"
PATIENCE = 0.3

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


async def _echo(scope: Any, receive: Any, send: Any) -> None:
    """Answers with the body, once it is complete; says nothing to a client that left."""
    body, more = b"", True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            return
        body, more = body + message.get("body", b""), message.get("more_body", False)
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"%d" % len(body))]})
    await send({"type": "http.response.body", "body": body})


def listening(script: Callable[[Callable[[], Awaitable[Streams]]], Awaitable[None]], *, most: int = 10) -> None:
    """Runs a script beside a server of such connections; it gets what opens one."""

    async def run() -> None:
        made = connections(PATIENCE, most)
        config = uvicorn.Config(_echo, http=made, lifespan="off", log_level="error", port=0)  # type: ignore[arg-type]
        server = uvicorn.Server(config)
        serving = asyncio.create_task(server.serve())
        while not server.started:
            await asyncio.sleep(0.01)
        port = server.servers[0].sockets[0].getsockname()[1]
        try:
            async with asyncio.timeout(30):
                await script(lambda: asyncio.open_connection("127.0.0.1", port))
        finally:
            server.should_exit = True
            await serving

    asyncio.run(run())


async def reply_of(reader: asyncio.StreamReader) -> tuple[int, bytes]:
    """The status and the body of a reply with a length."""
    head = await reader.readuntil(b"\r\n\r\n")
    length = next(int(line[15:]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:"))
    return int(head.split()[1]), await reader.readexactly(length)


def test_a_connection_has_to_send_a_request_in_time_and_may_then_take_its_own() -> None:
    async def script(opened: Callable[[], Awaitable[Streams]]) -> None:
        (silent, _), (part, write), (body, slow), (idle, kept) = [await opened() for _ in range(4)]
        write.write(REQUEST[:20])
        slow.write(REQUEST + b"so")
        kept.write(REQUEST + b"pear")
        assert await reply_of(idle) == (200, b"pear")
        assert await silent.read() == b""
        status, said = await reply_of(part)
        assert (status, json.loads(said)["error"][:49]) == (408, "request: expected its header within 0.3 s, got a ")
        assert await part.read() == b""
        await asyncio.sleep(PATIENCE)
        # The body of a request is the application's concern, and so is how long nothing is asked.
        slow.write(b"on")
        assert await reply_of(body) == (200, b"soon")
        kept.write(REQUEST + b"plum")
        assert await reply_of(idle) == (200, b"plum")
        kept.write(REQUEST[:20])
        assert await idle.read() == b""

    listening(script)


def test_what_is_no_http_is_answered_in_a_line() -> None:
    async def script(opened: Callable[[], Awaitable[Streams]]) -> None:
        for sent in (
            b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03 hello",
            b"hello\r\n\r\n",
            b"GET /\xff HTTP/1.1\r\n\r\n",
        ):
            reader, writer = await opened()
            writer.write(sent)
            status, said = await reply_of(reader)
            assert (status, json.loads(said)["error"][:26]) == (400, "request: expected HTTP/1.1")
            assert await reader.read() == b""
        # A body that breaks off its form in the middle: its request ends as if the client had left.
        reader, writer = await opened()
        writer.write(b"POST / HTTP/1.1\r\nhost: here\r\ntransfer-encoding: chunked\r\n\r\n2\r\nso\r\n")
        await asyncio.sleep(0.05)
        writer.write(b"nonsense\r\n")
        assert (await reply_of(reader))[0] == 400
        assert await reader.read() == b""

    listening(script)


def test_one_connection_too_many_is_refused_and_costs_no_other() -> None:
    async def script(opened: Callable[[], Awaitable[Streams]]) -> None:
        held = [await opened() for _ in range(3)]
        reader, _ = await opened()
        status, said = await reply_of(reader)
        assert (status, json.loads(said)["error"][:48]) == (503, "connections: expected at most 3 at a time, got a")
        held[0][1].write(REQUEST + b"pear")
        assert await reply_of(held[0][0]) == (200, b"pear")
        assert await held[1][0].read() == b""
        reader, writer = await opened()
        writer.write(REQUEST + b"plum")
        assert await reply_of(reader) == (200, b"plum")

    listening(script, most=3)


@pytest.mark.parametrize(
    ("soft", "hard", "room", "after"),
    [
        (1024, 20_000, (17_696, 2048), 20_000),
        (100, 100, (25, 25), 100),
        (1024, resource.RLIM_INFINITY, (63_232, 2048), 65_536),
    ],
)
def test_a_process_takes_as_many_connections_as_it_may_open_files(
    soft: int, hard: int, room: tuple[int, int], after: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    limits = [soft, hard]
    monkeypatch.setattr(module.resource, "getrlimit", lambda _: tuple(limits))
    monkeypatch.setattr(module.resource, "setrlimit", lambda _, given: limits.__setitem__(slice(None), given))
    assert room_for_connections() == room
    assert limits == [after, hard]
