"""The service beside plain handlers: ``python -m tests.bench.serving --store STORE [--requests 10000] [--quick]``.

STORE holds at least two versions of the index of a collection of texts. The clients are one thread with a closed loop
over raw sockets that are kept; it shares the cores with what it asks, and its time is in the table. Texts are first
sentences of documents, each asked once or twice. Every reply of the service is compared with what the version that it
names answers from Python. The plain handler is one process of uvicorn whose function FastAPI runs in its threads; it
opens the index at each request, as in ``live().query(text)``, or once.
"""

import argparse
import contextlib
import json
import os
import random
import selectors
import signal
import socket
import statistics
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

from fingerpost.schemas.publish import Pointer, published_collection
from fingerpost.schemas.store import Store
from fingerpost.tasks.ann.open import LiveIndex
from fingerpost.tasks.corpus.sentences import first_sentence
from tests.bench.results import print_table, write_rows

PRODUCT, K = "ann.index", 10
#: Connections of the clients: as many requests are asked at a time.
CONNECTIONS = 8
#: Moves of the pointer while requests are asked, at equal distances: three promotions and a rollback.
MOVES = ("promote", "promote", "rollback", "promote")

PLAIN = """
import sys
import uvicorn
from fastapi import FastAPI
from pydantic import BaseModel
import fingerpost

app = FastAPI()
opened = fingerpost.live(sys.argv[3], store=sys.argv[2]) if sys.argv[4] == "once" else None

class Asked(BaseModel):
    text: str
    k: int = 10

@app.post("/query")
def query(asked: Asked) -> dict:
    index = opened or fingerpost.live(sys.argv[3], store=sys.argv[2])
    return {"answers": [vars(answer) for answer in index.query(asked.text, k=asked.k).answers]}

if opened:
    opened.query("a")
print("serving at", flush=True)
uvicorn.run(app, port=int(sys.argv[1]), access_log=False, log_level="warning")
"""


@dataclass
class Asked:
    """What the clients saw: seconds of each request, seconds in all, CPU seconds of theirs, replies that were not 200."""

    seconds: list[float] = field(default_factory=list)
    wall: float = 0.0
    own_cpu: float = 0.0
    statuses: Counter[int] = field(default_factory=Counter)
    #: The position of the text, and the body of its reply.
    replies: list[tuple[int, bytes]] = field(default_factory=list)

    def row(self, contender: str, setting: str, server_cpu: float) -> dict[str, Any]:
        """The figures as a row of a table."""
        done = len(self.seconds)
        centiles = statistics.quantiles(self.seconds, n=100, method="inclusive")
        return {
            "dataset": "python-docs",
            "contender": contender,
            "setting": setting,
            "requests": done,
            "qps": done / self.wall,
            "p50_ms": centiles[49] * 1e3,
            "p99_ms": centiles[98] * 1e3,
            "longest_ms": max(self.seconds) * 1e3,
            "cpu_ms": server_cpu / done * 1e3,
            "clients_cpu_ms": self.own_cpu / done * 1e3,
            "not_answered": sum(count for status, count in self.statuses.items() if status != 200),
        }


def ask(port: int, texts: Sequence[str], *, connections: int = CONNECTIONS) -> Asked:
    """Asks all texts; ConnectionError where a connection ends before its reply."""
    bodies = [json.dumps({"text": text, "k": K}).encode() for text in texts]
    requests = [
        b"POST /query HTTP/1.1\r\nHost: here\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
        % len(body)
        + body
        for body in bodies
    ]
    found, selector, at = Asked(), selectors.DefaultSelector(), 0
    began, cpu = time.perf_counter(), time.process_time()
    held: dict[socket.socket, tuple[int, float, bytearray]] = {}

    def send(connection: socket.socket) -> None:
        nonlocal at
        held[connection] = (at, time.perf_counter(), bytearray())
        connection.sendall(requests[at])
        at += 1

    for _ in range(min(connections, len(texts))):
        connection = socket.create_connection(("127.0.0.1", port))
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        selector.register(connection, selectors.EVENT_READ)
        send(connection)
    while len(found.seconds) < len(texts):
        for key, _ in selector.select():
            connection = key.fileobj  # type: ignore[assignment]
            data = connection.recv(1 << 18)
            if not data:
                raise ConnectionError(f"expected a reply to request {held[connection][0]}, but the connection ended")
            number, since, reply = held[connection]
            reply += data
            if (end := _end(reply)) and len(reply) >= end[1]:
                found.seconds.append(time.perf_counter() - since)
                found.statuses[int(reply[9:12])] += 1
                found.replies.append((number, bytes(reply[end[0] :])))
                if at < len(texts):
                    send(connection)
    found.wall, found.own_cpu = time.perf_counter() - began, time.process_time() - cpu
    for connection in held:
        connection.close()
    return found


def _end(reply: bytearray) -> tuple[int, int] | None:
    """Where the body of a reply begins and ends; None while its head is not there."""
    head = reply.find(b"\r\n\r\n")
    if head < 0:
        return None
    names = bytes(reply[:head]).lower()
    length = names.index(b"content-length:") + 15
    return head + 4, head + 4 + int(names[length:].split(b"\r\n", 1)[0])


@contextmanager
def running(command: Sequence[str], environment: dict[str, str] | None = None) -> Iterator[subprocess.Popen[str]]:
    """A server that has said that it serves, until the end of the block."""
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env={**os.environ, **(environment or {})}
    )
    assert process.stdout is not None
    try:
        for line in process.stdout:
            if "serving at" in line:
                break
        threading.Thread(target=process.stdout.read, daemon=True).start()
        yield process
    finally:
        process.send_signal(signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(30)
        process.kill()


def family(pid: int) -> list[psutil.Process]:
    """A process and all that it started."""
    one = psutil.Process(pid)
    return [one, *one.children(recursive=True)]


def cpu_of(pid: int) -> float:
    """CPU seconds of a process and of all that it started and that run."""
    return sum(sum(one.cpu_times()[:2]) for one in family(pid))


def memory_of(pid: int) -> dict[str, float]:
    """Megabytes of a process and all that it started: each page once (PSS), and their own."""
    found = [one.memory_full_info() for one in family(pid)]
    return {"pss_mb": sum(one.pss for one in found) / 2**20, "private_mb": sum(one.uss for one in found) / 2**20}


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as one:
        return int(one.getsockname()[1])


def _listens(port: int) -> bool:
    with socket.socket() as one:
        return one.connect_ex(("127.0.0.1", port)) == 0


def service(store: str, collection: str, port: int, workers: int) -> list[str]:
    """The command that serves the index."""
    command = [sys.executable, "-m", "fingerpost.flows.cli", "serve", "--store", store, "--collection", collection]
    return [*command, "--product", PRODUCT, "--port", str(port), "--workers", str(workers), "--follow", "0.5"]


def speed(command: Sequence[str], port: int, texts: Sequence[str], contender: str, setting: str) -> dict[str, Any]:
    """Requests a second of a server, and its memory."""
    with running(command) as process:
        until = time.monotonic() + 60
        while not _listens(port) and time.monotonic() < until:
            time.sleep(0.05)
        ask(port, texts[: max(CONNECTIONS, len(texts) // 10)])
        before = cpu_of(process.pid)
        found = ask(port, texts)
        return found.row(contender, setting, cpu_of(process.pid) - before) | memory_of(process.pid)


def moving(store: Store, collection: str, texts: Sequence[str]) -> dict[str, Any]:
    """Requests while the live version moves: how many were lost, and answered by no version or by two."""
    pointer, port = Pointer(store, collection, PRODUCT), free_port()
    line = [move.artifact for move in pointer.history()]
    live = pointer.required().artifact
    other = next(ref for ref in (*line, *store.refs(PRODUCT)) if ref != live)
    indexes = {str(ref): LiveIndex(store, ref) for ref in (live, other)}
    versions: list[str] = []
    with running(service(store.url, collection, port, 2)) as process:
        ask(port, texts[:200])
        over = threading.Event()

        def move() -> None:
            for action in MOVES:
                if action == "rollback":
                    pointer.rollback()
                else:
                    pointer.promote(other if pointer.required().artifact == live else live, gates=[])
                wanted = str(pointer.required().artifact)
                # The next move when this one is served, and a second has passed.
                while not over.is_set() and _served(port) != wanted:
                    time.sleep(0.1)
                versions.append(wanted)
                over.wait(1.0)

        mover = threading.Thread(target=move)
        before = cpu_of(process.pid)
        mover.start()
        found = ask(port, texts)
        cpu = cpu_of(process.pid) - before
        moved = len(versions)
        over.set()
        mover.join()
    expected: dict[tuple[str, str], list[str]] = {}
    mixed, named = 0, Counter[str]()
    for number, body in found.replies:
        reply = json.loads(body)
        version, text = reply.get("version", ""), texts[number]
        named[version] += 1
        if version in indexes:
            if (version, text) not in expected:
                expected[version, text] = [one.id for one in indexes[version].query(text, k=K).answers]
            mixed += [one["id"] for one in reply["answers"]] != expected[version, text]
        else:
            mixed += 1
    row = found.row("serve", f"2 workers, {moved} moves", max(cpu, 0.0))
    return row | {"lost": len(texts) - len(found.replies), "mixed": mixed, "of_versions": sorted(named.values())}


def _served(port: int) -> str:
    with socket.create_connection(("127.0.0.1", port)) as connection:
        connection.sendall(b"GET /health HTTP/1.1\r\nHost: here\r\nConnection: close\r\n\r\n")
        reply = b""
        while data := connection.recv(65536):
            reply += data
    return str(json.loads(reply.partition(b"\r\n\r\n")[2])["products"][PRODUCT]["version"])


def texts_of(index: LiveIndex, count: int) -> list[str]:
    """First sentences of documents, of 3 to 14 words, in an order drawn by lot; again from the first where there are few."""
    found = [first_sentence(text).rstrip(".") for text in index.documents["text"].to_pylist()]
    found = [text for text in dict.fromkeys(found) if 3 <= len(text.split()) <= 14]
    random.Random(0).shuffle(found)
    return [found[number % len(found)] for number in range(count)]


def main() -> None:
    """Measures all contenders in turns, and shows and keeps the rows."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--store", required=True)
    parser.add_argument("--collection")
    parser.add_argument("--requests", type=int, default=10_000)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--parts", default="speed,moves")
    given = parser.parse_args()
    store = Store(given.store).checked()
    collection = published_collection(store, given.collection, product=PRODUCT)
    index = LiveIndex(store, Pointer(store, collection, PRODUCT).required().artifact)
    texts = texts_of(index, given.requests)
    plain = Path(given.store).absolute().parent / "plain_handler.py"
    plain.write_text(PLAIN)

    def of_plain(opened: str) -> Callable[[int], list[str]]:
        return lambda port: [sys.executable, str(plain), str(port), given.store, collection, opened]

    contenders: list[tuple[str, str, Callable[[int], list[str]], int]] = [
        ("serve", "2 workers", lambda port: service(given.store, collection, port, 2), given.requests // 4),
        ("serve", "1 worker", lambda port: service(given.store, collection, port, 1), given.requests // 4),
        ("plain handler", "index opened once", of_plain("once"), given.requests // 4),
        ("plain handler", "index opened at each request", of_plain("each"), max(CONNECTIONS, given.requests // 200)),
    ]
    rows: list[dict[str, Any]] = []
    if "speed" in given.parts:
        runs: dict[tuple[str, str], list[dict[str, Any]]] = {}
        for _ in range(given.repeats):
            for contender, setting, command, count in contenders:
                port = free_port()
                row = speed(command(port), port, texts[:count], contender, setting)
                runs.setdefault((contender, setting), []).append(row)
        # The run in the middle by requests a second.
        rows = [sorted(found, key=lambda row: row["qps"])[len(found) // 2] for found in runs.values()]
        for row in rows[1:]:
            row |= {"ratio": rows[0]["qps"] / row["qps"], "rival": "serve, 2 workers, is as many times faster"}
    if "moves" in given.parts:
        rows.append(moving(store, collection, texts))
    plain.unlink()
    print_table(rows, "The service beside plain handlers")
    print(write_rows("serving", rows))


if __name__ == "__main__":
    main()
