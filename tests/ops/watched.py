"""Stores with records to watch, and a receiver of alerts."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from fingerpost.flows.run.request import RunRequest
from fingerpost.flows.run.runtime import running
from fingerpost.schemas.store import Store
from fingerpost.tasks.ledger import runs, save_partition, save_run
from tests.worlds import run_pipeline, write_documents

DEADLINE = {"timezone": "UTC", "lag_days": 0, "at": "08:00", "days": 7}


def request_for(folder: Path, documents: Path, **more: Any) -> RunRequest:
    """A tiny run over a file of documents, in a store below a folder."""
    given = {
        "profile": "tiny",
        "input": str(documents),
        "collection": "toys",
        "day": "2026-01-05",
        "store": str(folder / "store"),
    }
    return RunRequest(**{**given, **more})


def run_here(folder: Path, *, rows: int = 80, day: str = "2026-01-05") -> tuple[Store, dict[str, Any]]:
    """A nightly without Prefect: its store and record."""
    documents = write_documents(folder, rows, 1)
    with running("nightly", request_for(folder, documents, day=day)) as run:
        run.publications.append(run_pipeline(run.env, documents))
        run.gates = [{"gate": "recall_at_10 0.99 (at least 0.3)", "holds": True}]
    store = Store(str(folder / "store"))
    return store, runs(store, newest=1)[0]


def note_day(store: Store, day: str, *, state: str = "completed", scheduled: bool = True, **more: Any) -> None:
    """The record of a day of the nightly of toys."""
    body = {
        "flow": "nightly",
        "collection": "toys",
        "day": day,
        "state": state,
        "error": "",
        "deadline": DEADLINE if scheduled else None,
    }
    body = {**body, **more}
    save_partition(store, {"error_kind": str(body["error"]).partition(":")[0], **body})


def note_run(store: Store, run: str, **more: Any) -> None:
    """The record of a run of the nightly of toys with one stage."""
    stage = {
        "stage": "evaluate_index",
        "ref": f"ann.evaluation/day=2026-01-05/{'a' * 32}",
        "computed": True,
        "reason": "first run",
        "seconds": 2.0,
        "rows": {"figures": 10},
        "shards_run": 3,
        "shards_resumed": 1,
        "peak_mb": 100.0,
        "quality": {"recall_at_10": 0.9},
        "bytes": 5,
        "inputs": {},
    }
    body = {
        "id": run,
        "flow": "nightly",
        "collection": "toys",
        "day": "2026-01-05",
        "state": "completed",
        "seconds": 3.0,
        "at": "2026-01-05T03:00:00+00:00",
    }
    save_run(store, run, {**body, "stages": [stage], **more})


@dataclass
class Receiver:
    """A webhook on loopback: what it got, and the status that it answers with."""

    url: str
    got: list[dict[str, Any]] = field(default_factory=list)
    status: int = 200


@contextmanager
def receiver() -> Iterator[Receiver]:
    """A webhook that serves until the end of the block."""

    class Answer(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            if found.status < 300:
                found.got.append(body)
            self.send_response(found.status)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Answer) as server:
        found = Receiver(f"http://127.0.0.1:{server.server_port}/hook/s3cret-path")
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        thread.start()
        try:
            yield found
        finally:
            server.shutdown()
            thread.join()
