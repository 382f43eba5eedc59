"""Someone at a terminal who backfills days of the built-in sample, and what a backfill must keep to however it was cut off."""

import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from fingerpost.flows.ops.backfill.progress import progress_of
from fingerpost.flows.ops.backfill.record import Backfill
from fingerpost.flows.run.day_states import interrupted
from fingerpost.schemas.inputs.sources import read_distribution
from fingerpost.schemas.leases import at_work
from fingerpost.schemas.store import Store
from fingerpost.tasks.ledger import runs
from tests.support.commands import fingerpost_here


def write_days(folder: Path, days: list[str], *, poisoned: str = "") -> Path:
    """The built-in sample as a file a day, each a few documents longer; the path with ``{day}`` in it."""
    rows, _ = read_distribution("networkx")
    for number, day in enumerate(days):
        write_day(folder, day, number, rows)
    if poisoned:
        path = folder / f"docs-{poisoned}.parquet"
        path.write_bytes(path.read_bytes()[:-200])
    return folder / "docs-{day}.parquet"


def write_day(folder: Path, day: str, number: int, rows: Any = None) -> None:
    rows = read_distribution("networkx")[0] if rows is None else rows
    pq.write_table(rows.slice(0, 120 + 3 * number), folder / f"docs-{day}.parquet")


def until(holds: Callable[[], Any], *, timeout: float = 300, otherwise: Callable[[], str] = str) -> Any:
    """Waits until something holds, and returns it; if that takes too long, ``otherwise`` tells how things stand."""
    deadline = time.monotonic() + timeout
    while not (found := holds()):
        assert time.monotonic() < deadline, f"nothing happened\n{otherwise()}"
        time.sleep(0.1)
    return found


class Operator:
    """Someone at a terminal with a store, who backfills days of a flow."""

    def __init__(self, folder: Path, store: str, env: dict[str, str], flow: str = "nightly") -> None:
        self.folder, self.env, self.flow = folder, env, flow
        self.store = Store(store)
        self.options = ["--profile", "tiny", "--input", str(folder / "docs-{day}.parquet"), "--collection", "docs"]

    def start(self, *arguments: str) -> "subprocess.Popen[str]":
        """A command of `fingerpost backfill` that runs beside this test, in a session of its own."""
        return subprocess.Popen(
            [sys.executable, "-m", "fingerpost.flows.cli", "backfill", *arguments, "--store", self.store.url],
            env=self.env,
            cwd=self.folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def end(self, process: "subprocess.Popen[str]", timeout: float = 600) -> tuple[int, str]:
        """Its exit code and what it said."""
        try:
            said, _ = process.communicate(timeout=timeout)
            return process.returncode, said
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)

    def do(self, *arguments: str) -> tuple[int, str]:
        """A command run to its end."""
        return self.end(self.start(*arguments))

    def told(self, process: "subprocess.Popen[str]") -> str:
        """How the newest backfill stands while ``process``, which is killed, leads it: its words, days, leases and records."""
        process.kill()
        said, _ = process.communicate()
        course = progress_of(Backfill.load(self.store, self.id))
        held = "\n".join(map(str, at_work(self.store, f".backfills/{self.id}/workers")))
        records = "\n".join(
            f"{r['day']} {r['id']} {r['state']} {r['seconds']} {r['error']}" for r in runs(self.store, newest=99)
        )
        return f"exit code {process.returncode}: {said}\n{course}\nat work: {held}\n{records}"

    @property
    def id(self) -> str:
        """The newest backfill."""
        return until(lambda: self.store.files.names(".backfills"))[-1]  # type: ignore[no-any-return]

    def ended(self) -> int:
        """The days that ran to their end."""
        return len(self.store.files.names(f".partitions/{self.flow}/docs"))

    def states(self, first: str, last: str) -> dict[str, dict[str, Any]]:
        span = ("--from", first, "--to", last, "--json")
        done = fingerpost_here(
            "partitions", self.flow, *span, *self.options, "--store", self.store.url, cwd=self.folder
        )
        assert done.returncode == 0, done.stderr
        return {one["day"]: one for one in json.loads(done.stdout)}


def check_course(records: list[dict[str, Any]], days: list[str], *, cap: int, in_flight: int) -> None:
    """Every stage of every day computed once, days started in order but for those given back, never more than the cap at a time.

    A run that the server's death cut off may be among the records, if it lived to write one.
    """
    computed = Counter(
        (record["day"], stage["stage"]) for record in records for stage in record["stages"] if stage["computed"]
    )
    assert max(computed.values()) == 1
    cut_off = [record["day"] for record in records if interrupted(record)]
    assert len(cut_off) <= in_flight, cut_off
    assert Counter(record["day"] for record in records) == Counter([*days, *cut_off])
    spans = sorted((_started(record), record["seconds"], record["day"]) for record in records)
    places = [days.index(day) for _, _, day in spans]
    late = sum(place < max(places[:number], default=0) for number, place in enumerate(places))
    assert late <= in_flight + cap, places
    for moment, _, _ in spans:
        at_once = [day for start, seconds, day in spans if start <= moment < start + timedelta(seconds=seconds)]
        assert len(at_once) <= cap, at_once
    whole = Counter(record["day"] for record in records for stage in record["stages"] if not stage["computed"])
    assert len(whole) <= in_flight, whole


def _started(record: dict[str, Any]) -> datetime:
    return datetime.strptime(record["id"][:18] + "000", "%Y%m%dT%H%M%S%f")
