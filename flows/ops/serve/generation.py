"""One generation of versions: the process that opened them, and the processes that answer with them."""

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from fingerpost.flows.ops.serve.frames import Frames, packed
from fingerpost.flows.ops.serve.opener import ONE_THREAD
from fingerpost.flows.ops.serve.options import Limits
from fingerpost.schemas.figures import significant

#: The module that the process runs that opens versions.
OPENER = "fingerpost.flows.ops.serve.opener"
#: Seconds after which an opening is given up.
_LONGEST = 900.0
#: Signals by which a process ends over a mapped file that was cut or overwritten.
_OF_FILES = (signal.SIGBUS, signal.SIGSEGV)
#: A process that ends sooner after its start than this, in seconds, is not replaced at once.
_SOON = 1.0


@dataclass(eq=False)
class Asked:
    """A question that waits for its reply: the number of its route, and its body.

    ended: number of processes that ended while they were at it.
    """

    number: int
    code: int
    body: bytes
    reply: "asyncio.Future[Reply]"
    ended: int = 0
    worker: "Worker | None" = None


@dataclass(frozen=True)
class Reply:
    """A reply: the status of HTTP, the body, and the version that answered, if one did."""

    status: int
    body: bytes
    version: str = ""


class Worker(asyncio.Protocol):
    """The connection to a process that answers, and the questions that it has, which it answers in their order."""

    def __init__(self, generation: "Generation", number: int) -> None:
        self.generation, self.number = generation, number
        self.asked: dict[int, Asked] = {}
        self.since = time.monotonic()
        self._frames = Frames()
        self._transport: asyncio.WriteTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keeps the way to write."""
        self._transport = transport  # type: ignore[assignment]

    def ask(self, asked: Asked) -> None:
        """Hands a question to the process."""
        asked.worker, self.asked[asked.number] = self, asked
        assert self._transport is not None
        self._transport.write(packed(asked.number, asked.code, asked.body))

    def data_received(self, data: bytes) -> None:
        """Settles the questions whose replies are complete."""
        for number, status, body in self._frames.fed(data):
            self.generation.replied(self, self.asked.pop(number), status, body)

    def connection_lost(self, problem: Exception | None) -> None:
        """The process ended."""
        self.generation.lost(self)

    def close(self) -> None:
        """Ends the process once it has answered."""
        if self._transport is not None:
            self._transport.close()


@dataclass
class Events:
    """What a generation tells: a reply, a process that is ready, one that ended with the questions that it had, and by which
    signal one did.
    """

    replied: Callable[[Asked, int, bytes, "Generation"], None]
    ready: Callable[["Generation"], None]
    lost: Callable[["Generation", list[Asked]], None]
    ended: Callable[[int], None]


@dataclass(eq=False)
class Generation:
    """Versions by product, why newer ones could not be opened, and the processes that answer, by number."""

    events: Events
    versions: dict[str, str] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)
    workers: dict[int, Worker] = field(default_factory=dict)
    retired: bool = False
    #: Whether the process that opened the versions has ended, so that no other can be started.
    broken: bool = False
    #: Whether a process ended over a file that it had mapped.
    damaged: bool = False
    _process: "subprocess.Popen[bytes] | None" = None
    _control: socket.socket | None = None

    @property
    def sound(self) -> bool:
        """Whether the versions need not be opened again."""
        return not (self.broken or self.damaged)

    @property
    def asked(self) -> int:
        """Number of questions that its processes have."""
        return sum(len(worker.asked) for worker in self.workers.values())

    async def open(
        self, store: str, products: Mapping[str, list[str]], *, workers: int, limits: Limits
    ) -> dict[str, str]:
        """Opens a version of each product, the first of its references that can be, and starts the processes.

        The versions that were opened; empty if none could be.
        """
        ours, theirs = socket.socketpair()
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-m", OPENER, str(theirs.fileno())],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                env=os.environ | ONE_THREAD,
                # Not of the group that Ctrl-C ends, before it can ignore that.
                process_group=0,
            )
        ours.setblocking(False)
        self._control, self._held, self._descriptors = ours, b"", list[int]()
        loop = asyncio.get_running_loop()
        self._opened: asyncio.Future[None] = loop.create_future()
        self._started: asyncio.Future[None] = loop.create_future()
        self._wanted = workers
        asked = {"store": store, "products": dict(products), "workers": workers, "limits": asdict(limits)}
        try:
            async with asyncio.timeout(_LONGEST):
                await loop.sock_sendall(ours, json.dumps(asked).encode() + b"\n")
                loop.add_reader(ours.fileno(), self._read)
                await self._opened
                if self.versions:
                    await self._started
        except TimeoutError:
            self._process.kill()
            self.versions, self.failed = (
                {},
                dict.fromkeys(products, f"expected to be opened in {significant(_LONGEST)} s, was not"),
            )
        except BaseException:
            self.end()
            raise
        if self.broken:
            self.versions = {}
        return self.versions

    def _read(self) -> None:
        """Takes what the opener tells, and the ends of connections to new processes."""
        assert self._control is not None
        try:
            data, descriptors, _, _ = socket.recv_fds(self._control, 65536, 16)
        except BlockingIOError:
            return
        except OSError:
            data, descriptors = b"", []
        for descriptor in descriptors:
            # Not for the processes that are started later.
            os.set_inheritable(descriptor, False)
            self._descriptors.append(descriptor)
        if not data:
            self._end_of_opener()
            return
        *lines, self._held = (self._held + data).split(b"\n")
        for line in lines:
            self._told(json.loads(line))

    def _told(self, event: Mapping[str, Any]) -> None:
        if event["event"] == "opened":
            self.versions, self.failed = event["versions"], event["failed"]
            self._opened.set_result(None)
            return
        if event["event"] == "ended":
            self.damaged = self.damaged or event["signal"] in _OF_FILES
            self.events.ended(event["signal"])
            return
        connection = socket.socket(fileno=self._descriptors.pop(0))
        connection.setblocking(False)
        asyncio.get_running_loop().create_task(self._connect(connection, event["number"]))

    async def _connect(self, connection: socket.socket, number: int) -> None:
        worker = Worker(self, number)
        await asyncio.get_running_loop().create_unix_connection(lambda: worker, sock=connection)
        if self.retired:
            worker.close()
            return
        self.workers[number] = worker
        if len(self.workers) == self._wanted and not self._started.done():
            self._started.set_result(None)
        self.events.ready(self)

    def _end_of_opener(self) -> None:
        self._detach()
        for waiting in (self._opened, self._started):
            if not waiting.done():
                waiting.set_result(None)

    def replied(self, worker: Worker, asked: Asked, status: int, body: bytes) -> None:
        """Passes a reply on; the last one of a retired generation ends it."""
        self.events.replied(asked, status, body, self)
        self._end_if_over()

    def lost(self, worker: Worker) -> None:
        """Passes on what a process had that ended, and replaces it unless the generation is retired."""
        asked, worker.asked = list(worker.asked.values()), {}
        if self.workers.get(worker.number) is worker:
            del self.workers[worker.number]
        if not self.retired:
            wait = 0.0 if time.monotonic() - worker.since > _SOON else _SOON
            asyncio.get_running_loop().call_later(wait, self._say, "replace", worker.number)
        if asked or not self.retired:
            self.events.lost(self, asked)
        self._end_if_over()

    def end_worker(self, worker: Worker) -> None:
        """Ends a process that takes too long; it is replaced."""
        if self.workers.get(worker.number) is worker:
            self._say("end", worker.number)

    def _say(self, what: str, number: int) -> None:
        if self._control is None or (self.retired and what == "replace"):
            return
        try:
            self._control.send(json.dumps({"do": what, "number": number}).encode() + b"\n")
        except BlockingIOError:
            asyncio.get_running_loop().call_later(_SOON, self._say, what, number)
        except OSError:
            self._detach()

    def retire(self) -> None:
        """Takes no more questions, and ends when the last one is answered."""
        self.retired = True
        self._end_if_over()

    def _end_if_over(self) -> None:
        if self.retired and not self.asked:
            self.end()

    def end(self) -> None:
        """Ends the processes, also those that are asked something."""
        self.retired = True
        workers, self.workers = list(self.workers.values()), {}
        for worker in workers:
            worker.close()
        self._detach()

    def _detach(self) -> None:
        """Lets go of the process that opened the versions: it ends then."""
        self.broken = True
        if self._control is not None:
            asyncio.get_running_loop().remove_reader(self._control.fileno())
            self._control.close()
            self._control = None

    async def ended(self) -> None:
        """Waits until the process that opened the versions has ended."""
        if self._process is not None:
            await asyncio.to_thread(self._process.wait)
