"""The service as users start it: its processes, its token, versions that move under load, and its end."""

import contextlib
import http.client
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil

from fingerpost.schemas.publish import Pointer
from fingerpost.tasks.ann.open import LiveIndex
from tests.ops.watched import run_here
from tests.support.plain_runs import without_prefect

TOKEN = "token-of-the-process-tests"
HEADERS = {"Authorization": f"Bearer {TOKEN}"}


@contextmanager
def started(store: str, folder: Path) -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    """A service on a free port, and the port."""
    log = folder / "serve.log"
    command = [sys.executable, "-m", "fingerpost.flows.cli", "serve", "--store", store, "--collection", "toys"]
    with log.open("wb") as file:
        process = subprocess.Popen(
            [*command, "--host", "0.0.0.0", "--port", "0", "--workers", "2", "--follow", "0.1"],
            env={**os.environ, "FINGERPOST_TOKEN": TOKEN},
            stdout=file,
            stderr=file,
        )
    try:
        until = time.monotonic() + 120
        while not (found := re.search(r"serving at http://0\.0\.0\.0:(\d+)", log.read_text())):
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < until, log.read_text()
            time.sleep(0.05)
        yield process, int(found[1])
    finally:
        for one in (*psutil.Process(process.pid).children(recursive=True), process) if process.poll() is None else ():
            with contextlib.suppress(psutil.NoSuchProcess):
                one.kill()
        process.wait(60)


class Load(threading.Thread):
    """A client that asks one question after another on one connection, until it is told to stop or is not answered."""

    def __init__(self, port: int, texts: list[str]) -> None:
        super().__init__(daemon=True)
        self.port, self.texts, self.over = port, texts, threading.Event()
        self.replies: list[tuple[int, str, str]] = []
        self.refused = ""

    def run(self) -> None:
        """Asks until the end."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        while not self.over.is_set():
            text = self.texts[len(self.replies) % len(self.texts)]
            try:
                if connection.sock is None:
                    connection.connect()
            except ConnectionRefusedError:
                # Nobody listens any more: what was accepted before has been answered.
                self.refused = "refused"
                return
            connection.request("POST", "/query", json.dumps({"text": text, "k": 3}), HEADERS)
            reply = connection.getresponse()
            self.replies.append((reply.status, text, reply.read().decode()))


def test_a_service_follows_under_load_and_ends_when_it_has_answered(tmp_path: Path) -> None:
    with without_prefect():
        store, _ = run_here(tmp_path)
        run_here(tmp_path, rows=60, day="2026-01-06")
    place = Pointer(store, "toys", "ann.index")
    first, second = (move.artifact for move in place.history())
    indexes = {str(ref): LiveIndex(store, ref) for ref in (first, second)}
    texts = indexes[str(second)].documents["title"].to_pylist()[:10]
    expected = {
        (ref, text): [answer.id for answer in index.query(text, k=3).answers]
        for ref, index in indexes.items()
        for text in texts
    }
    with started(store.url, tmp_path) as (process, port):
        clients = [Load(port, texts) for _ in range(4)]
        for client in clients:
            client.start()

        def answered_by(ref: str) -> None:
            until = time.monotonic() + 120
            while not all(len(c.replies) and ref in c.replies[-1][2] for c in clients):
                assert time.monotonic() < until
                time.sleep(0.02)

        answered_by(str(second))
        place.rollback()
        answered_by(str(first))
        place.promote(second, gates=[])
        answered_by(str(second))
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        connection.request("GET", "/health", headers=HEADERS)
        health = json.loads(connection.getresponse().read())
        assert (health["status"], health["workers"]["ready"]) == ("ready", 2)
        connection.request("GET", "/query?text=a")
        assert connection.getresponse().status == 401
        family = psutil.Process(process.pid).children(recursive=True)
        assert TOKEN not in " ".join(
            word for one in (process.pid, *(p.pid for p in family)) for word in psutil.Process(one).cmdline()
        )
        process.send_signal(signal.SIGTERM)
        # An idle connection is closed; those that are asked get their replies.
        assert process.wait(60) == 0
        for client in clients:
            client.over.set()
            client.join(60)
        assert not [one for one in family if one.is_running() and one.status() != psutil.STATUS_ZOMBIE]
    replies = [reply for client in clients for reply in client.replies]
    assert {status for status, _, _ in replies} == {200}
    for _, text, body in replies:
        found = json.loads(body)
        assert [answer["id"] for answer in found["answers"]] == expected[found["version"], text]
    assert {json.loads(body)["version"] for _, _, body in replies} == set(indexes)
    log = (tmp_path / "serve.log").read_text()
    assert TOKEN not in log
    assert "Traceback" not in log
    assert log.count("ann.index is answered by") == 3
