"""What `fingerpost up` starts: runs by schedule and by hand, refusals, restarts, and an end without remains."""

import os
import signal
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psutil
import pytest
from prefect.settings import PREFECT_API_URL, temporary_settings

from fingerpost.flows.ops.stack.children import Options, with_ports
from fingerpost.flows.ops.stack.processes import StackError
from fingerpost.flows.run.api import ApiError
from fingerpost.flows.run.calendar import logical_day
from fingerpost.flows.run.planned_names import name_planned_runs
from fingerpost.schemas.store import Store
from fingerpost.tasks.ledger import partitions
from tests.ops.conftest import RunningStack


def states(stack: RunningStack, collection: str) -> dict[str, str]:
    """What became of the days of a collection of the nightly."""
    found = partitions(Store(stack.store), "nightly", collection)
    return {day: record["state"] for day, record in found.items()}


def test_an_ad_hoc_run_with_parameters_completes(stack: RunningStack, night: dict[str, Any]) -> None:
    assert states(stack, night["collection"]) == {night["day"]: "completed"}


def test_an_interval_schedule_makes_runs_for_the_day_they_are_scheduled_on(stack: RunningStack) -> None:
    """The zone is 14 hours ahead and the lag three days, so the clock's own day would be another one."""
    ahead = {"run.timezone": "Pacific/Kiritimati", "schedule.lag_days": 3}

    def day_of(run: dict[str, Any]) -> str:
        scheduled = datetime.fromisoformat(run["expected_start_time"].replace("Z", "+00:00"))
        return logical_day(scheduled, timezone="Pacific/Kiritimati", lag_days=3)

    soon = (datetime.now(UTC) + timedelta(seconds=8)).isoformat()
    schedule = {"interval": 3600, "anchor_date": soon}
    made = stack.copied("nightly", "every-hour", [schedule], collection="interval", settings=ahead)
    try:
        run, *later = stack.planned(made)
        with temporary_settings({PREFECT_API_URL: stack.state.api}):
            assert name_planned_runs() >= len(later)
        assert stack.api.get(f"flow_runs/{later[-1]['id']}")["name"] == f"nightly interval {day_of(later[-1])}"
        done = stack.wait(run["id"])
    finally:
        stack.remove(made)
    assert done["auto_scheduled"]
    assert done["state_type"] == "COMPLETED", stack.run_log(run["id"])
    assert done["name"] == f"nightly interval {day_of(done)}"
    assert states(stack, "interval") == {day_of(done): "completed"}


@pytest.mark.parametrize(
    ("request_", "said"),
    [
        ({"day": "tomorrow"}, "'tomorrow' does not match"),
        ({"rpofile": "tiny"}, "'rpofile' was unexpected"),
        ({"force": ["bake_bread"]}, "'bake_bread' is not one of ['"),
    ],
)
def test_a_wrong_parameter_is_refused_by_the_server(stack: RunningStack, request_: dict[str, Any], said: str) -> None:
    with pytest.raises(ApiError, match="expected POST") as refused:
        stack.submit("nightly", {"request": request_})
    assert said in str(refused.value)
    assert refused.value.status in {409, 422}


def test_no_process_of_the_stack_talks_to_anyone_but_this_machine(stack: RunningStack) -> None:
    talked = []
    for process in [psutil.Process(stack.process.pid), *psutil.Process(stack.process.pid).children(recursive=True)]:
        for connection in process.net_connections("inet"):
            talked += [end.ip for end in (connection.laddr, connection.raddr) if end]
    assert len(talked) > 10
    assert set(talked) <= {"127.0.0.1", "::1"}


def test_a_killed_child_is_started_again(stack: RunningStack) -> None:
    before = stack.pid("dask-workers")
    os.kill(before, signal.SIGKILL)
    deadline = time.monotonic() + 120
    while stack.pid("dask-workers") == before:
        assert time.monotonic() < deadline, stack.log("up")
        time.sleep(0.1)
    assert "dask-workers ended with signal SIGKILL; restarting it (1 of 5)" in stack.log("up")
    assert not psutil.pid_exists(before)


def test_a_second_stack_in_the_same_folder_is_refused(stack: RunningStack) -> None:
    ports = [f"--{name}port=0" for name in ("", "dask-", "dashboard-", "metrics-")]
    done = stack.cli("up", *ports)
    assert done.returncode == 1
    assert "expected none to run there, found one" in done.stderr.replace("\n", " ")


def test_a_taken_port_is_named(stack: RunningStack, tmp_path: Path) -> None:
    port = int(stack.ui.rsplit(":", 1)[1])
    with pytest.raises(StackError, match=f"port {port}: expected it to be free.*--port"):
        with_ports(Options(tmp_path, "", port=port))


def test_the_state_file_and_the_folder_are_private(stack: RunningStack) -> None:
    assert (stack.home / "stack.json").stat().st_mode & 0o777 == 0o600
    assert stack.home.stat().st_mode & 0o777 == 0o700
