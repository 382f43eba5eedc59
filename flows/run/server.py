"""Prefect's server for a run without a named server: a process on loopback that ends with the run.

Prefect would start one itself, but only when the first flow begins, and would load the server's code into the run.
Started here first, it starts up while the run loads its own code.
"""

import contextlib
import io
import os
import re
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from fingerpost.flows.run.api import Api
from fingerpost.flows.run.faults import kept_details
from fingerpost.flows.run.loggers import silence
from fingerpost.flows.run.plain_text import echo
from fingerpost.flows.run.proxies import is_loopback, usable_proxies
from fingerpost.schemas.errors import FingerpostError
from fingerpost.schemas.wording import cut

#: Seconds until it must answer; its database may have to be created first.
START_SECONDS = 120.0
#: What the server of a run does not need: pages, the services for schedules, and block types.
PLAIN = {
    "PREFECT_SERVER_UI_ENABLED": "false",
    "PREFECT__SERVER_EPHEMERAL": "1",
    "PREFECT_SERVER_REGISTER_BLOCKS_ON_START": "false",
}


#: The last line of a traceback.
_ERROR = re.compile(r"^[\w.]+(?:Error|Exception): .*", re.MULTILINE)


class ServerError(FingerpostError):
    """A server that does not start."""


@dataclass
class OwnServer:
    """A server's process, the address of its API, and what it writes to standard error."""

    process: "subprocess.Popen[bytes]"
    api: str
    messages: IO[bytes] = field(repr=False)

    def wait(self) -> None:
        """Returns once the server answers; ServerError if it ended or takes too long."""
        deadline = time.monotonic() + START_SECONDS
        while not Api(self.api).healthy():
            code = self.process.poll()
            if code is not None or time.monotonic() > deadline:
                state = f"exit code {code}" if code is not None else f"no answer after {START_SECONDS:.0f} s"
                raise ServerError(
                    f"Prefect's server of this run: expected it to start, found {state}{self._said()}; its database is"
                    " in PREFECT_HOME (~/.prefect): move it away if it is damaged"
                )
            time.sleep(0.05)

    def _said(self) -> str:
        """The last of what it wrote, and where all of it is."""
        self.messages.seek(0)
        text = self.messages.read().decode("utf-8", "replace").strip()
        if not text:
            return ""
        # The last error of a traceback says more than the lines after it.
        errors = _ERROR.findall(text) or text.splitlines()[-1:]
        return f" ({cut(' '.join(errors[-1].split()), 200)}; the details are in {kept_details(text)})"

    def stop(self) -> None:
        """Ends the process."""
        self.messages.close()
        self.process.terminate()
        try:
            self.process.wait(5)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


_serving: ContextVar[OwnServer | None] = ContextVar("fingerpost_own_server", default=None)


@contextmanager
def own_server() -> Iterator[OwnServer | None]:
    """A context in which flows use a server of this process, or a surrounding context's; None where one is named.

    It may still be starting: ``wait`` before the first flow.
    """
    if serving := _serving.get():
        yield serving
        return
    silence()
    with ExitStack() as started:
        # Importing Prefect takes as long as a good part of the server's start, so both happen at once. Prefect's
        # settings may still name a server, in its profile for example: then this one is not used.
        server = None
        if "prefect" not in sys.modules and not os.environ.get("PREFECT_API_URL"):
            started.enter_context(usable_proxies())
            server = _start({})
            started.callback(server.stop)
        with _held_back():
            from prefect.settings import PREFECT_API_URL, get_current_settings, temporary_settings

            named = PREFECT_API_URL.value()
        if named:
            started.close()
            with usable_proxies() if is_loopback(named) else contextlib.nullcontext():
                yield None
            return
        settings = get_current_settings()
        if url := settings.server.database.connection_url:
            check_database(url.get_secret_value())
        if server is None:
            started.enter_context(usable_proxies())
            server = _start(settings.to_environment_variables(exclude_unset=True))
            started.callback(server.stop)
        token = _serving.set(server)
        try:
            with temporary_settings({PREFECT_API_URL: server.api}):
                yield server
        finally:
            _serving.reset(token)


@contextmanager
def _held_back() -> Iterator[None]:
    """Holds back what is written to standard error, and drops it where an error follows, which says the same."""
    written = io.StringIO()
    with contextlib.redirect_stderr(written):
        yield
    echo(*written.getvalue().splitlines(), err=True)


def serving() -> OwnServer | None:
    """The server of this process, if there is one."""
    return _serving.get()


def _start(settings: Mapping[str, str]) -> OwnServer:
    """Starts the server on a socket that is bound here, so that no other process can take its port.

    It reads Prefect's settings itself; ``settings`` are variables for those that hold in this process alone.
    """
    env = {**os.environ, **settings, **PLAIN}
    with contextlib.closing(socket.socket()) as listening:
        listening.bind(("127.0.0.1", 0))
        command = [
            sys.executable,
            "-P",
            "-m",
            "fingerpost.flows.run.server_process",
            "--socket",
            str(listening.fileno()),
            "--parent",
            str(os.getpid()),
        ]
        messages = tempfile.TemporaryFile()  # noqa: SIM115 - closed when the server is stopped
        # A new session: Ctrl-C is for the run, which ends its server last.
        process = subprocess.Popen(
            command,
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=messages,
            pass_fds=[listening.fileno()],
            start_new_session=True,
        )
        return OwnServer(process, f"http://127.0.0.1:{listening.getsockname()[1]}/api", messages)


def check_database(url: str) -> None:
    """ServerError if the folder of a SQLite database cannot be made or written to; other databases are not looked at."""
    scheme, _, place = url.partition(":///")
    if not scheme.startswith("sqlite") or not place or ":memory:" in place:
        return
    folder = Path(place.partition("?")[0]).parent
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as problem:
        raise ServerError(
            f"PREFECT_HOME: expected a folder for the database of Prefect's server that can be written, found {folder}"
            f" ({problem.strerror or problem}); set PREFECT_HOME to one of yours"
        ) from problem
