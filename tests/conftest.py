"""What tests of several folders share."""

import gc
import multiprocessing
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from multiprocessing import forkserver
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
from hypothesis import settings

import tests.support.unflushed  # noqa: F401 - importing it is its use
from fingerpost.flows.run.loggers import silence
from fingerpost.flows.run.server import PLAIN
from tests.ops.conftest import SESSION, RunningStack, end_stack, place_database, start_stack
from tests.support.groups import SHARED, group_of, long_first, scheduling, write_groups
from tests.support.guarded import database, guarded  # noqa: F401 - fixtures
from tests.support.plain_runs import without_prefect

# A busy machine is no failure.
settings.register_profile("fingerpost", deadline=None)
settings.load_profile("fingerpost")
silence()
# A store that the tester works with is none of the tests'.
os.environ.pop("FINGERPOST_STORE", None)
# Importing, collecting and most tests leave no garbage: at Python's 700 new objects, looking for some took a sixth of the time.
gc.set_threshold(50_000, 50, 50)


def pytest_configure(config: pytest.Config) -> None:
    """A folder for what several processes of a session share."""
    if getattr(config.option, "numprocesses", None):
        os.environ[SESSION] = tempfile.mkdtemp()


def pytest_unconfigure(config: pytest.Config) -> None:
    """Nothing is left of it."""
    if getattr(config.option, "numprocesses", None):
        shutil.rmtree(os.environ.pop(SESSION), ignore_errors=True)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Marks the tests that share a stack or a harness, and sets those of groups that take long first."""
    groups = {item.nodeid: group_of(item) for item in items}
    for item in items:
        if groups[item.nodeid] in SHARED:
            item.add_marker(groups[item.nodeid])
    items.sort(key=long_first)
    if SESSION in os.environ:
        write_groups(Path(os.environ[SESSION]), groups)


def pytest_collection_finish() -> None:
    """What was collected stays to the end: looking for garbage passes it over."""
    gc.freeze()


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> object:
    """Gives each group of tests to one process."""
    return scheduling(Path(os.environ[SESSION]), config, log)


@pytest.fixture(scope="session")
def prefect_server() -> Iterator[None]:
    """Prefect's own test harness: a server, as a run starts one, on a temporary database, which need not make its tables."""
    from prefect.server.api.server import SubprocessASGIServer
    from prefect.settings import PREFECT_FLOWS_HEARTBEAT_FREQUENCY, get_current_settings, temporary_settings
    from prefect.testing.utilities import prefect_test_harness

    def started(server: SubprocessASGIServer) -> "subprocess.Popen[bytes]":
        command = [
            sys.executable,
            "-m",
            "fingerpost.flows.run.server_process",
            "--port",
            str(server.port),
            "--parent",
            str(os.getpid()),
        ]
        settings = get_current_settings().to_environment_variables(exclude_unset=True)
        return subprocess.Popen(command, env=os.environ | PLAIN | settings)

    folder = tempfile.mkdtemp()
    place_database(Path(folder) / "prefect-test.db")
    with (
        mock.patch("prefect.testing.utilities.mkdtemp", return_value=folder),
        mock.patch.object(SubprocessASGIServer, "_run_uvicorn_command", started),
        prefect_test_harness(server_startup_timeout=120),
        temporary_settings({PREFECT_FLOWS_HEARTBEAT_FREQUENCY: None}),
    ):
        yield


@pytest.fixture(scope="module")
def plain_runs() -> Iterator[None]:
    """Flows of a module's tests run as plain code, and their reports have blank plots."""
    with without_prefect():
        yield


@pytest.fixture(scope="module")
def drawn_runs() -> Iterator[None]:
    """The same with the plots drawn, for tests of reports."""
    with without_prefect(drawn=True):
        yield


@pytest.fixture(scope="session")
def forked_workers() -> Iterator[None]:
    """Dask's workers are forked from a process that has imported the stages: they start, and a killed one is replaced, soon."""
    import dask

    multiprocessing.get_context("forkserver").set_forkserver_preload(["distributed", "tests.support.forked"])
    forkserver.ensure_running()
    with dask.config.set({"distributed.worker.multiprocessing-method": "forkserver"}):
        yield


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningStack]:
    """The stack that the tests of a session share; it ends by Ctrl-C and leaves no process."""
    stack = start_stack(tmp_path_factory.mktemp("stack"))
    yield stack
    left = end_stack(stack, signal.SIGINT)
    assert not left, left
    assert stack.process.returncode == 0, stack.log("up")


@pytest.fixture(scope="session")
def night(stack: RunningStack) -> dict[str, Any]:
    """A nightly that completed on the stack: its collection, day, id and name, and the ids of its artifacts by key."""
    # A day of its own: what another test made of the same documents that day would be reused.
    about = {"collection": "seen", "day": "2026-02-03"}
    run = stack.submit("nightly", stack.request(**about))
    done = stack.wait(run)
    assert done["state_type"] == "COMPLETED", stack.run_log(run)
    artifacts = stack.api.post("artifacts/filter", {"artifacts": {"flow_run_id": {"any_": [run]}}, "limit": 200})
    return {"id": run, "name": done["name"], "artifacts": {one["key"]: one["id"] for one in artifacts}, **about}


@pytest.fixture(scope="session")
def by_hand(stack: RunningStack, night: dict[str, Any]) -> dict[str, Any]:
    """The run of the same day that a command started beside the stack."""
    asked = ("--profile", "tiny", "--input", str(stack.documents), "--collection", night["collection"])
    done = stack.cli("run", "nightly", *asked, "--day", night["day"], PREFECT_API_URL=stack.state.api)
    assert done.returncode == 0, done.stderr
    found = stack.api.post("flow_runs/filter", {"flow_runs": {"name": {"any_": [night["name"]]}}})
    (run,) = [run for run in found if run["id"] != night["id"]]
    return {"id": run["id"], "name": run["name"], "said": done.stderr}


@pytest.fixture(scope="session")
def backfilled(stack: RunningStack) -> dict[str, Any]:
    """A backfill of two days that was asked for in the form of the UI and completed on the stack: the leading run and its request."""
    run = stack.request(collection="from-the-form", store=stack.store)["request"]
    asked = {"flow": "featurize_corpus", "first_day": "2026-01-02", "last_day": "2026-01-03", "run": run}
    lead = stack.submit("backfill", {"request": asked})
    assert stack.wait(lead)["state_type"] == "COMPLETED", stack.run_log(lead)
    return {"id": lead, "request": asked}
