"""Late input on a running stack: a run that waits leaves its worker, and finishes once its input is there."""

import os
import shutil
import time
from datetime import UTC, datetime
from pathlib import Path

from fingerpost.flows.run.waits import AWAITING_INPUT
from tests.ops.conftest import RunningStack


def test_a_run_waits_for_its_input_outside_of_the_worker(stack: RunningStack, tmp_path: Path) -> None:
    day, documents = f"{datetime.now(UTC):%Y-%m-%d}", tmp_path / "late.csv"
    settings = {"schedule.wait_interval": 5, "schedule.wait_until": "23:59"}
    given = {"day": day, "input": str(documents), "collection": "latecomers", "wait": True, "settings": settings}
    run = stack.submit("featurize_corpus", stack.request(**given))
    found = stack.api.get(f"flow_runs/{run}")
    deadline = time.monotonic() + 120
    while found["state_name"] != AWAITING_INPUT:
        assert time.monotonic() < deadline, f"{found['state']}\n{stack.run_log(run)}"
        time.sleep(0.2)
        found = stack.api.get(f"flow_runs/{run}")
    assert found["state_type"] == "SCHEDULED"
    assert f"waits for {documents} (not there)" in found["state"]["message"]
    deployment = stack.api.get(f"deployments/{stack.deploy('featurize_corpus')}")
    assert deployment["global_concurrency_limit"]["active_slots"] == 0
    shown = stack.cli("partitions", "featurize_corpus", "--collection", "latecomers", "--from", day, "--to", day)
    assert "waiting" in shown.stdout, shown.stdout + shown.stderr
    shutil.copy(stack.documents, documents)
    os.utime(documents, (time.time() - 60,) * 2)
    ended = stack.wait(run)
    assert ended["state_type"] == "COMPLETED", stack.run_log(run)
    # Looks are no attempts, so a failure later on would be retried as ever.
    assert ended["run_count"] == 1
    assert "The run waited for its input since" in stack.run_log(run)
