"""The process that opens one version of each product, and is then copied into the processes that answer.

These share what it opened: of pages that nobody writes there is one copy. It lives as long as its version is served, to
replace a process that ended. Whoever started it ends it by closing the connection; then all of its copies end as well.
"""

import contextlib
import gc
import json
import os
import select
import signal
import socket
import sys
import time
from collections.abc import Mapping
from typing import Any

from fingerpost.flows.domains.domain import named
from fingerpost.flows.ops.serve.answering import Answering
from fingerpost.flows.ops.serve.frames import packed, received
from fingerpost.flows.ops.serve.options import Limits
from fingerpost.flows.ops.serve.routes import routes
from fingerpost.flows.run.faults import said
from fingerpost.schemas.errors import FingerpostError
from fingerpost.schemas.refs import Ref
from fingerpost.schemas.store import Store

#: Threads of these libraries would not survive the copy of the process, and one question is answered by one thread.
ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "ARROW_IO_THREADS"), "1")
#: Seconds that the copies have for what they are answering.
_GRACE = 5.0


def main(descriptor: int) -> None:
    """Opens what the first line asks for, and then copies itself as often as it is asked."""
    # A service manager may send its signal to every process: this one ends when the one that takes requests does.
    for ignored in (signal.SIGINT, signal.SIGTERM):
        signal.signal(ignored, signal.SIG_IGN)
    # Whoever started it may end before it has opened anything.
    with socket.socket(fileno=descriptor) as control, contextlib.suppress(ConnectionError):
        _work(control)


def _work(control: socket.socket) -> None:
    lines = _Lines(control)
    asked = lines.next()
    if asked is None:
        return
    opened, versions, failed = _open(asked)
    _tell(control, {"event": "opened", "versions": versions, "failed": failed})
    if not opened:
        return
    answering = Answering(routes(), opened, versions, Limits(**asked["limits"]))
    gc.collect()
    # A collection would write to every object, and so copy its page.
    gc.freeze()
    copies = _Copies(control, answering)
    for number in range(asked["workers"]):
        copies.start(number)
    while (line := lines.next()) is not None:
        copies.end(line["number"])
        if line["do"] == "replace":
            copies.start(line["number"])
    copies.finish()


def _open(asked: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, str], dict[str, str]]:
    """The opened products, their versions, and why a newer version could not be opened, by name."""
    store, opened, versions, failed = Store(asked["store"]), dict[str, Any](), dict[str, str](), dict[str, str]()
    served = {route.product.name: route.product.served for route in routes()}
    for name, refs in asked["products"].items():
        for ref in refs:
            try:
                open_with = named(served[name].opened)  # type: ignore[union-attr]
                opened[name], versions[name] = open_with(store, Ref.parse(ref)), ref
                break
            except FingerpostError as problem:
                failed.setdefault(name, " ".join(str(problem).split()))
            except Exception as problem:
                failed.setdefault(
                    name, f"{name} {ref}: expected to open it, got {said(problem)}; publish another version"
                )
    return opened, versions, failed


class _Copies:
    """The copies of this process, by number."""

    def __init__(self, control: socket.socket, answering: Answering) -> None:
        self._control, self._answering, self._pids = control, answering, dict[int, int]()

    def start(self, number: int) -> None:
        """Copies this process, and hands on the other end of its connection."""
        ours, theirs = socket.socketpair()
        sys.stdout.flush()
        sys.stderr.flush()
        pid = os.fork()
        if pid == 0:
            self._control.close()
            ours.close()
            _serve(theirs, self._answering)
        theirs.close()
        self._pids[number] = pid
        line = json.dumps({"event": "worker", "number": number, "pid": pid}).encode() + b"\n"
        socket.send_fds(self._control, [line], [ours.fileno()])
        ours.close()

    def end(self, number: int) -> None:
        """Ends a copy; of one that has ended by a signal, tells which."""
        pid = self._pids.pop(number, None)
        if pid is None:
            return
        ended, status = os.waitpid(pid, os.WNOHANG)
        if not ended:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
        elif os.WIFSIGNALED(status):
            _tell(self._control, {"event": "ended", "number": number, "signal": os.WTERMSIG(status)})

    def finish(self) -> None:
        """Waits until all copies have ended, and ends those that take long."""
        until = time.monotonic() + _GRACE
        while self._pids and time.monotonic() < until:
            for number, pid in list(self._pids.items()):
                if os.waitpid(pid, os.WNOHANG)[0]:
                    del self._pids[number]
            time.sleep(0.02)
        for number in list(self._pids):
            self.end(number)


def _serve(connection: socket.socket, answering: Answering) -> None:
    """Answers until the connection ends; does not return."""
    try:
        while (frame := received(connection)) is not None:
            number, code, body = frame
            connection.sendall(packed(number, *answering.answer(code, body)))
    except OSError:
        pass
    finally:
        # Without the handlers of the process that this is a copy of.
        os._exit(0)


class _Lines:
    """Lines of JSON from a connection."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection, self._held = connection, b""

    def next(self) -> Any:
        """The next line; None at the end."""
        while b"\n" not in self._held:
            select.select([self._connection], [], [])
            try:
                data = self._connection.recv(65536)
            except ConnectionError:
                return None
            if not data:
                return None
            self._held += data
        line, _, self._held = self._held.partition(b"\n")
        return json.loads(line)


def _tell(control: socket.socket, event: Mapping[str, Any]) -> None:
    control.sendall(json.dumps(event).encode() + b"\n")


if __name__ == "__main__":
    main(int(sys.argv[1]))
