"""Days of two months through a real stack: killed twice, resumed, one day poisoned and rerun; and what the form of the UI asks for."""

import os
import signal
import subprocess
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from fingerpost.flows.ops.backfill.progress import progress_of
from fingerpost.flows.ops.backfill.record import backfills
from fingerpost.flows.run.api import ApiError
from fingerpost.flows.run.calendar import days_between
from fingerpost.schemas.leases import at_work
from fingerpost.schemas.store import Store
from fingerpost.tasks.ledger import runs
from tests.ops.conftest import RunningStack
from tests.support.backfill_operator import Operator, check_course, until, write_day, write_days

DAYS = list(days_between("2026-01-30", "2026-02-04"))
POISONED = "2026-02-01"
#: The nightly goes through the same in processes of this machine.
FLOW = "featurize_corpus"


def _told(stack: RunningStack, operator: Operator, leader: "subprocess.Popen[str]") -> str:
    """How a backfill stands on a stack, and what the stack's own logs say."""
    told = operator.told(leader)
    found = stack.api.post("flow_runs/filter", {"flow_runs": {"tags": {"all_": [f"backfill:{operator.id}"]}}})
    parts = "\n".join(f"{run['name']} {run['state']}\n{stack.run_log(run['id'])}" for run in found)
    return "\n".join([told, parts, *(stack.log(name) for name in ("server", "worker", "dask-scheduler"))])


@pytest.mark.timeout(900)
def test_days_of_two_months_killed_twice_are_each_computed_once(stack: RunningStack, tmp_path: Path) -> None:
    """With a store of its own, on the stack of all tests, whose server comes up again after the kill."""
    write_days(tmp_path, DAYS, poisoned=POISONED)
    stack.deploy("backfill")
    operator = Operator(tmp_path, str(tmp_path / "store"), stack.environment(), FLOW)
    first = operator.start(
        FLOW, "--from", DAYS[0], "--to", DAYS[-1], "--order", "oldest", "--max-active", "2", *operator.options
    )
    workers = f".backfills/{operator.id}/workers"
    told = partial(_told, stack, operator, first)

    until(lambda: operator.ended() >= 1, otherwise=told)
    victim = until(lambda: at_work(operator.store, workers), otherwise=told)[0]
    os.kill(victim.pid, signal.SIGKILL)

    until(lambda: operator.ended() >= 3, otherwise=told)
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


def test_a_backfill_asked_for_in_the_form_of_the_ui_asks_for_runs_of_its_own(
    stack: RunningStack, backfilled: dict[str, Any]
) -> None:
    asked, lead = backfilled["request"], backfilled["id"]
    with pytest.raises(ApiError, match="reprocess"):
        stack.submit("backfill", {"request": {**asked, "reprocess": "some"}})
    [backfill] = [one for one in backfills(Store(stack.store)) if one.request.run.collection == "from-the-form"]
    parts = stack.api.post("flow_runs/filter", {"flow_runs": {"tags": {"all_": [f"backfill:{backfill.id}"]}}})
    assert [part["parameters"]["request"]["resume"] for part in parts] == [backfill.id]
    course = progress_of(backfill)
    days = (asked["last_day"], asked["first_day"])
    assert [(end.day, end.state) for end in course.ended.values()] == [(day, "completed") for day in days]
    assert course.control.state == "finished"
    found = stack.api.post("artifacts/filter", {"artifacts": {"flow_run_id": {"any_": [lead]}}})
    assert {one["key"] for one in found} >= {
        "backfill",
        "backfill-days",
        "backfill-ended",
        "partitions-featurize-corpus-from-the-form",
    }
