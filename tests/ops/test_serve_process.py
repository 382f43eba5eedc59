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
import pytest

from fingerpost.flows.domains.domain import named
from fingerpost.schemas.publish import Pointer
from fingerpost.schemas.store import Store
from fingerpost.tasks.ann.open import LiveIndex
from tests.ops.watched import run_here
from tests.support.served_products import asked

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
    """A client that asks one question after another on one connection, until it is closed or the client is told to stop."""

    def __init__(self, port: int, texts: list[str]) -> None:
        super().__init__(daemon=True)
        self.port, self.texts, self.over = port, texts, threading.Event()
        self.replies: list[tuple[int, str, str]] = []
        self.closed = 0

    def run(self) -> None:
        """Asks until the end."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        while not self.over.is_set() and not self.closed:
            text = self.texts[len(self.replies) % len(self.texts)]
            connection.request("POST", "/query", json.dumps({"text": text, "k": 3}), HEADERS)
            reply = connection.getresponse()
            self.replies.append((reply.status, text, reply.read().decode()))
            self.closed += reply.will_close
            # Both cores are not only for those who ask.
            time.sleep(0.004)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """A store with two versions of a small index of texts."""
    folder = tmp_path_factory.mktemp("served")
    run_here(folder, rows=50)
    return run_here(folder, rows=40, day="2026-01-06")[0]


def test_an_index_answers_texts_documents_and_vectors_as_it_does_from_python(store: Store) -> None:
    ref = Pointer(store, "toys", "ann.index").required().artifact
    index: LiveIndex = named("fingerpost.flows.domains.ann.serving:opened")(store, ref)
    served = {"ann.index": index}
    document = index.documents.slice(3, 1).to_pylist()[0]
    text = document["title"]
    reply = asked(served, "/query", {"text": text, "k": 3, "explain": True, "distinct": True})
    answers = index.query(text, k=3, explain=True, distinct=True)
    assert [one["id"] for one in reply["answers"]] == [one.id for one in answers.answers]
    assert [one["score"] for one in reply["answers"]] == [one.score for one in answers.answers]
    assert reply["answers"][0]["terms"]
    assert reply["answers"][0]["snippet"]["text"]
    assert asked(served, "/query", {"text": f"{text} flibbertigibbet", "k": 1})["missing"] == ["flibbertigibbet"]
    like = asked(served, "/similar", {"id": document["id"], "k": 4})
    assert [one["id"] for one in like["answers"]] == [one.id for one in index.similar(document["id"], k=4).answers]
    vector = index.vectors[3].tolist()
    near = asked(served, "/search", {"vector": vector, "k": 2, "filters": f'id != "{document["id"]}"'})
    assert [one["id"] for one in near["answers"]] == [
        one.id for one in index.search(vector, k=2, filters=f'id != "{document["id"]}"').answers
    ]
    assert near["method"] == "dense"
    for path, question, line in (
        ("/similar", {"id": "nobody"}, "id: expected one of the"),
        ("/search", {"vector": [1.0]}, "vector: expected"),
        ("/query", {"text": "a", "filters": "=="}, "filter"),
    ):
        assert asked(served, path, question, status=400)["error"].startswith(line)
    assert asked(served, "/search", {"vector": []}, status=422)["error"].startswith("/search: vector: expected")


def test_a_service_follows_under_load_and_ends_when_it_has_answered(store: Store, tmp_path: Path) -> None:
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
        clients = [Load(port, texts) for _ in range(3)]
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
        # Those who ask notice that it ends, and what they asked before is answered.
        for client in clients:
            client.join(60)
            assert client.closed
        assert process.wait(60) == 0
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
