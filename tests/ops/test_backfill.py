"""Thirty days through a real stack: killed twice, resumed, one day poisoned and mended. And the same in plain processes."""

import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import psutil
import pyarrow.parquet as pq
import pytest

from flows.ops.backfill.partitions import interrupted
from flows.ops.backfill.progress import course_of
from flows.ops.backfill.record import Backfill, backfills
from flows.run.api import ApiError
from flows.run.calendar import days_between
from schemas.inputs.sources import read_distribution
from schemas.leases import at_work
from schemas.store import Store
from tasks.ledger import runs
from tests.ops.conftest import RunningStack, clean_environment

DAYS = list(days_between("2026-01-01", "2026-01-30"))
POISONED = "2026-01-11"


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
    """Someone at a terminal with a store."""

    def __init__(self, folder: Path, store: str, env: dict[str, str]) -> None:
        self.folder, self.env = folder, env
        self.store = Store(store)
        self.options = ["--profile", "tiny", "--input", str(folder / "docs-{day}.parquet"), "--collection", "docs"]

    def start(self, *arguments: str) -> "subprocess.Popen[str]":
        """A command of `fingerpost backfill` that runs beside this test, in a session of its own."""
        return subprocess.Popen(
            [sys.executable, "-m", "flows.cli", "backfill", *arguments, "--store", self.store.url],
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
        course = course_of(Backfill.load(self.store, self.id))
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
        return len(self.store.files.names(".partitions/nightly/docs"))

    def states(self, first: str, last: str) -> dict[str, dict[str, Any]]:
        done = subprocess.run(
            [
                sys.executable,
                "-m",
                "flows.cli",
                "partitions",
                "nightly",
                "--from",
                first,
                "--to",
                last,
                "--json",
                *self.options,
                "--store",
                self.store.url,
            ],
            env=self.env,
            cwd=self.folder,
            capture_output=True,
            text=True,
            check=True,
        )
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


def _told(stack: RunningStack, operator: Operator, leader: "subprocess.Popen[str]") -> str:
    """How a backfill stands on a stack, and what the stack's own logs say."""
    told = operator.told(leader)
    found = stack.api.post("flow_runs/filter", {"flow_runs": {"tags": {"all_": [f"backfill:{operator.id}"]}}})
    parts = "\n".join(f"{run['name']} {run['state']}\n{stack.run_log(run['id'])}" for run in found)
    return "\n".join([told, parts, *(stack.log(name) for name in ("server", "worker", "dask-scheduler"))])


@pytest.mark.timeout(1200)
def test_thirty_days_killed_twice_are_each_computed_once(stack: RunningStack, tmp_path: Path) -> None:
    """With a store of its own, on the stack of all tests, whose server comes up again after the kill."""
    write_days(tmp_path, DAYS, poisoned=POISONED)
    stack.deploy("backfill")
    operator = Operator(tmp_path, str(tmp_path / "store"), stack.environment())
    first = operator.start(
        "nightly", "--from", DAYS[0], "--to", DAYS[-1], "--order", "oldest", "--max-active", "2", *operator.options
    )
    workers = f".backfills/{operator.id}/workers"
    told = partial(_told, stack, operator, first)

    until(lambda: operator.ended() >= 4, otherwise=told)
    victim = until(lambda: at_work(operator.store, workers), otherwise=told)[0]
    os.kill(victim.pid, signal.SIGKILL)

    until(lambda: operator.ended() >= 10, otherwise=told)
    os.kill(stack.pid("server"), signal.SIGKILL)
    first.kill()
    first.wait()
    begun = operator.ended()
    assert begun < len(DAYS)

    code, said = operator.do("resume", operator.id)
    assert code == 1, said
    assert f"found 1 failed: {POISONED} (" in said
    assert "expected a Parquet file" in said
    states = operator.states(DAYS[0], DAYS[-1])
    assert {day for day, one in states.items() if one["state"] != "fresh"} == {POISONED}
    assert states[POISONED]["state"] == "failed"
    whole = [r for r in runs(operator.store, newest=99) if r["error_kind"] or r["state"] == "completed"]
    check_course(whole, DAYS, cap=2, in_flight=4)

    write_day(tmp_path, POISONED, DAYS.index(POISONED))
    before = {record["id"] for record in runs(operator.store, newest=99)}
    code, said = operator.do("retry-failed", operator.id)
    assert code == 0, said
    assert [r["day"] for r in runs(operator.store, newest=99) if r["id"] not in before] == [POISONED]
    assert {one["state"] for one in operator.states(DAYS[0], DAYS[-1]).values()} == {"fresh"}
    tagged = stack.api.post("flow_runs/filter", {"flow_runs": {"tags": {"all_": [f"backfill:{operator.id}"]}}})
    assert {run["state_type"] for run in tagged} <= {"COMPLETED", "FAILED", "CRASHED"}


@contextmanager
def quiet_home(folder: Path) -> Iterator[dict[str, str]]:
    """An environment without a server, whose processes are ended at the end."""
    env = clean_environment(PREFECT_HOME=str(folder / "prefect"), FINGERPOST_MARK=str(folder))
    try:
        yield env
    finally:
        for process in psutil.process_iter():
            try:
                if process.environ().get("FINGERPOST_MARK") == str(folder):
                    process.kill()
            except (psutil.Error, OSError):
                continue


@pytest.mark.timeout(600)
def test_days_in_processes_of_this_machine_go_on_after_a_kill_and_make_the_same(tmp_path: Path) -> None:
    days = DAYS[:3]
    write_days(tmp_path, days)
    span = ("--from", days[0], "--to", days[-1])
    with quiet_home(tmp_path) as env:
        operator = Operator(tmp_path, str(tmp_path / "store"), env)
        first = operator.start("nightly", *span, "--max-active", "2", *operator.options)
        until(lambda: operator.ended() >= 1)
        os.kill(first.pid, signal.SIGKILL)
        first.wait()
        until(lambda: not at_work(operator.store, f".backfills/{operator.id}/workers"))
        code, said = operator.do("resume", operator.id)
        assert code == 0, said
        check_course(
            [r for r in runs(operator.store, newest=99) if r["state"] == "completed"], days[::-1], cap=2, in_flight=2
        )
        assert {one["state"] for one in operator.states(days[0], days[-1]).values()} == {"fresh"}

        alone = Operator(tmp_path, str(tmp_path / "alone"), env)
        code, said = alone.do("nightly", *span, "--order", "oldest", *operator.options)
        assert code == 0, said
        assert _same(alone.store) == _same(operator.store)


def _same(store: Store) -> dict[str, Any]:
    """What every artifact holds. Which day's files it refers to, where days share some, depends on their order."""
    found = {}
    for ref in store.refs():
        identity = store.manifest(ref).identity
        files = sorted((entry["table"], entry["shard"], entry["sha256"]) for entry in identity["files"])
        found[str(ref)] = (identity["rows"], identity["quality"], files)
    return found


def test_a_backfill_asked_for_in_the_form_of_the_ui_asks_for_runs_of_its_own(stack: RunningStack) -> None:
    run = stack.request(collection="from-the-form", store=stack.store)["request"]
    asked = {"flow": "featurize_corpus", "first_day": DAYS[0], "last_day": DAYS[1], "run": run}
    with pytest.raises(ApiError, match="reprocess"):
        stack.submit("backfill", {"request": {**asked, "reprocess": "some"}})
    lead = stack.submit("backfill", {"request": asked})
    assert stack.wait(lead)["state_type"] == "COMPLETED", stack.run_log(lead)
    [backfill] = [one for one in backfills(Store(stack.store)) if one.request.run.collection == "from-the-form"]
    parts = stack.api.post("flow_runs/filter", {"flow_runs": {"tags": {"all_": [f"backfill:{backfill.id}"]}}})
    assert [part["parameters"]["request"]["resume"] for part in parts] == [backfill.id]
    course = course_of(backfill)
    assert [(end.day, end.state) for end in course.ended.values()] == [(day, "completed") for day in DAYS[1::-1]]
    assert course.control.state == "finished"
    found = stack.api.post("artifacts/filter", {"artifacts": {"flow_run_id": {"any_": [lead]}}})
    assert {one["key"] for one in found} >= {
        "backfill",
        "backfill-days",
        "backfill-ended",
        "partitions-featurize-corpus-from-the-form",
    }
