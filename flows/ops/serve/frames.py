"""Frames between the process that takes requests and those that answer them: a number, a code and a body."""

import socket
import struct
from collections.abc import Iterator

#: The number of the question, the number of its route (of a reply: the status of HTTP), and the bytes of the body.
_HEADER = struct.Struct("!IHI")


def packed(number: int, code: int, body: bytes) -> bytes:
    """A frame."""
    return _HEADER.pack(number, code, len(body)) + body


def received(connection: socket.socket) -> tuple[int, int, bytes] | None:
    """The next frame of a connection that blocks; None at its end."""
    header = _exactly(connection, _HEADER.size)
    if header is None:
        return None
    number, code, size = _HEADER.unpack(header)
    body = _exactly(connection, size) if size else b""
    return None if body is None else (number, code, body)


def _exactly(connection: socket.socket, size: int) -> bytes | None:
    found = bytearray()
    while len(found) < size:
        part = connection.recv(min(size - len(found), 1 << 20))
        if not part:
            return None
        found += part
    return bytes(found)


class Frames:
    """The frames in bytes that come piece by piece."""

    def __init__(self) -> None:
        self._held = bytearray()

    def fed(self, data: bytes) -> Iterator[tuple[int, int, bytes]]:
        """The frames that are complete with these bytes."""
        self._held += data
        while len(self._held) >= _HEADER.size:
            number, code, size = _HEADER.unpack_from(self._held)
            end = _HEADER.size + size
            if len(self._held) < end:
                return
            body = bytes(self._held[_HEADER.size : end])
            del self._held[:end]
            yield number, code, body
