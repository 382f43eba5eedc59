"""Late input on a running stack: a run that waits leaves its worker, and finishes once its input is there."""

import os
import shutil
import time
from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

from fingerpost.flows.run.waits import AWAITING_INPUT, days_at_work
from fingerpost.schemas.store import Store
from tests.ops.conftest import RunningStack

FLOW, COLLECTION = "featurize_corpus", "latecomers"


def test_a_run_waits_for_its_input_outside_of_the_worker(stack: RunningStack, tmp_path: Path) -> None:
    now, documents = datetime.now(UTC), tmp_path / "late.csv"
    # Where it is noon now, so that the day does not end meanwhile.
    zone = f"Etc/GMT{now.hour - 12:+}"
    day = f"{now.astimezone(ZoneInfo(zone)):%Y-%m-%d}"
    settings = {"schedule.wait_interval": 1800, "schedule.wait_until": "23:59", "run.timezone": zone}
    given = {"day": day, "input": str(documents), "collection": COLLECTION, "wait": True, "settings": settings}
    run = stack.submit(FLOW, stack.request(**given))
    limit = time.monotonic() + 300
    while (found := stack.api.get(f"flow_runs/{run}"))["state_name"] != AWAITING_INPUT:
        assert time.monotonic() < limit, f"{found['state']}\n{stack.run_log(run)}"
        time.sleep(0.2)
    assert found["state_type"] == "SCHEDULED"
    assert f"waits for {documents} (not there)" in found["state"]["message"]
    deployment = stack.api.get(f"deployments/{stack.deploy(FLOW)}")
    assert deployment["global_concurrency_limit"]["active_slots"] == 0
    assert days_at_work(Store(stack.store), FLOW, COLLECTION, now=datetime.now(UTC))[day].state == "waiting"
    shutil.copy(stack.documents, documents)
    os.utime(documents, (time.time() - 3600,) * 2)
    # The next look is due now.
    details = {"scheduled_time": datetime.now(UTC).isoformat()}
    state = {"type": "SCHEDULED", "name": AWAITING_INPUT, "state_details": details}
    stack.api.post(f"flow_runs/{run}/set_state", {"state": state, "force": True})
    ended = stack.wait(run)
    assert ended["state_type"] == "COMPLETED", stack.run_log(run)
    # Looks are no attempts, so a failure later on would be retried as ever.
    assert ended["run_count"] == 1
    # A run is completed a moment before the last of its log is sent.
    limit = time.monotonic() + 60
    while "The run waited for its input since" not in stack.run_log(run):
        assert time.monotonic() < limit, stack.run_log(run)
        time.sleep(0.2)
    assert days_at_work(Store(stack.store), FLOW, COLLECTION, now=datetime.now(UTC)) == {}
