"""A stack that is killed: what it leaves is ended, and what it ran counts as crashed. The last tests of the guarded stack."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from fingerpost.flows.ops.stack.processes import alive, marked
from tests.ops.conftest import RunningStack, started_stack
from tests.support.guarded import files_with_secrets

pytestmark = pytest.mark.slow


def test_down_ends_what_a_killed_up_left_even_what_cannot_listen(guarded: RunningStack) -> None:
    """It kills the stack. A stopped process takes no notice of being asked to end."""
    state = guarded.state
    family = psutil.Process(guarded.process.pid).children(recursive=True)
    os.kill(guarded.pid("worker"), signal.SIGSTOP)
    guarded.deployed["cut off"] = running_for_ever(guarded)
    guarded.process.kill()
    guarded.process.wait()
    assert alive(guarded.pid("worker"))
    began = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-m", "fingerpost.flows.cli", "down", "--home", str(guarded.home)],
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "that an earlier stack left" in done.stdout
    assert time.monotonic() - began < 90
    assert marked(state.id) == []
    assert [process for process in family if alive(process.pid)] == []
    assert not (guarded.home / "stack.json").exists()


def running_for_ever(stack: RunningStack) -> str:
    """A run that holds its deployment's only place, as one does whose process was killed with the server."""
    run = stack.submit("featurize_corpus", stack.request())
    for kind in ("PENDING", "RUNNING"):
        answer = stack.api.post(f"flow_runs/{run}/set_state", {"state": {"type": kind, "name": kind.title()}})
        assert answer["status"] == "ACCEPT", answer
    return run


def test_what_was_cut_off_counts_as_crashed_and_blocks_nothing(guarded: RunningStack) -> None:
    """Started again in the same folder, the limit of one run at a time has its place free."""
    with started_stack(guarded.home.parent, "--tls", secrets=guarded.secrets) as again:
        again.deployed |= guarded.deployed
        cut_off = again.api.get(f"flow_runs/{guarded.deployed['cut off']}")
        assert cut_off["state_type"] == "CRASHED"
        assert "The stack was interrupted while this ran" in cut_off["state"]["message"]
        run = again.submit("featurize_corpus", again.request(day="2026-01-03"))
        assert again.wait(run)["state_type"] == "COMPLETED", again.run_log(run)
        assert files_with_secrets(again.home, Path(again.store)) == []
