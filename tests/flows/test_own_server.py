"""The server of a run on its own: it ends with the run, killed or not, and says so if it cannot start."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from tests.ops.conftest import clean_environment

pytestmark = pytest.mark.slow

RUN = """
import sys, time
from fingerpost.flows.run.server import own_server
with own_server() as server:
    server.wait()
    with own_server() as same:
        print(server.process.pid, server.api, same is server, flush=True)
    if "stay" in sys.argv:
        time.sleep(120)
"""


NAMED = """
import psutil
from fingerpost.flows.run.server import own_server
with own_server() as server:
    print(server, len(psutil.Process().children()))
"""


def gone(pid: int, *, seconds: float) -> bool:
    """Whether a process ends in time."""
    deadline = time.monotonic() + seconds
    while psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE:
        if time.monotonic() > deadline:
            return False
        time.sleep(0.1)
    return True


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder for Prefect's database, which the first server makes."""
    return tmp_path_factory.mktemp("prefect")


def test_a_killed_run_leaves_no_server(home: Path) -> None:
    env = clean_environment(PREFECT_HOME=str(home))
    with subprocess.Popen([sys.executable, "-c", RUN, "stay"], env=env, stdout=subprocess.PIPE, text=True) as run:
        assert run.stdout is not None
        pid, api, same = run.stdout.readline().split()
        assert (same, api.startswith("http://127.0.0.1:")) == ("True", True)
        os.kill(run.pid, signal.SIGKILL)
    assert gone(int(pid), seconds=120)


def test_a_run_that_ends_has_ended_its_server_and_one_that_cannot_start_is_named(home: Path) -> None:
    env = clean_environment(PREFECT_HOME=str(home))
    done = subprocess.run([sys.executable, "-c", RUN], env=env, capture_output=True, text=True, timeout=300, check=True)
    assert gone(int(done.stdout.split()[0]), seconds=1)
    for file in home.glob("prefect.db*"):
        file.unlink()
    (home / "prefect.db").write_bytes(b"no database at all" * 100)
    done = subprocess.run(
        [sys.executable, "-c", RUN], env=env, capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 1
    assert "Prefect's server of this run: expected it to start, found exit code" in done.stderr


def test_a_server_that_a_profile_of_prefect_names_is_used_instead(tmp_path: Path) -> None:
    (tmp_path / "profiles.toml").write_text(
        'active = "ours"\n[profiles.ours]\nPREFECT_API_URL = "http://127.0.0.1:9/api"\n'
    )
    env = clean_environment(PREFECT_HOME=str(tmp_path), PREFECT_PROFILES_PATH=str(tmp_path / "profiles.toml"))
    done = subprocess.run([sys.executable, "-c", NAMED], env=env, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["None", "0"]
