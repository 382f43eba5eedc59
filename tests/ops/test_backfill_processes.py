"""A backfill in processes of this machine, without a stack: killed, resumed, and the same as in one process."""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest

from fingerpost.flows.nightly import nightly
from fingerpost.flows.run.calendar import days_between
from fingerpost.flows.run.request import RunRequest
from fingerpost.schemas.leases import at_work
from fingerpost.schemas.store import Store
from fingerpost.tasks.ledger import runs
from tests.ops.conftest import clean_environment, place_database
from tests.support.backfill_operator import Operator, check_course, until, write_days
from tests.support.plain_runs import without_prefect

pytestmark = pytest.mark.slow


@contextmanager
def quiet_home(folder: Path) -> Iterator[dict[str, str]]:
    """An environment without a server, whose processes are ended at the end."""
    (folder / "prefect").mkdir()
    place_database(folder / "prefect" / "prefect.db")
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
    days = list(days_between("2026-01-01", "2026-01-03"))
    documents = str(write_days(tmp_path, days))
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

    alone = Store(str(tmp_path / "alone"))
    with without_prefect():
        for day in days:
            nightly(RunRequest(profile="tiny", day=day, store=alone.url, input=documents, collection="docs"))
    assert _same(alone) == _same(operator.store)


def _same(store: Store) -> dict[str, Any]:
    """What every artifact holds. Which day's files it refers to, where days share some, depends on their order."""
    found = {}
    for ref in store.refs():
        identity = store.manifest(ref).identity
        files = sorted((entry["table"], entry["shard"], entry["sha256"]) for entry in identity["files"])
        found[str(ref)] = (identity["rows"], identity["quality"], files)
    return found
