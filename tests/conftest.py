"""What tests of several folders share."""

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
from unittest import mock

import pytest
from hypothesis import settings

from flows.run.loggers import quieten
from flows.run.server import PLAIN
from tests.ops.conftest import SESSION, RunningStack, end_stack, place_database, start_stack
from tests.support.plain_runs import without_prefect

#: The files that take longest, the longest first.
_LONGEST = (
    "tests/ops/test_backfill.py",
    "tests/ui/test_pages.py",
    "tests/ops/test_authentication.py",
    "tests/ops/test_same_elsewhere.py",
    "tests/unit/xmr/test_kills.py",
    "tests/ops/test_gc.py",
    "tests/ops/test_forget.py",
    "tests/ops/test_forget_ranker.py",
    "tests/unit/xmr/test_refresh_flow.py",
    "tests/flows/test_train_ranker.py",
    "tests/ops/test_faulty_store.py",
)

# A busy machine is no failure.
settings.register_profile("fingerpost", deadline=None)
settings.load_profile("fingerpost")
quieten()


def pytest_configure(config: pytest.Config) -> None:
    """A folder for what several processes of a session share."""
    if getattr(config.option, "numprocesses", None):
        os.environ[SESSION] = tempfile.mkdtemp()


def pytest_unconfigure(config: pytest.Config) -> None:
    """Nothing is left of it."""
    if getattr(config.option, "numprocesses", None):
        shutil.rmtree(os.environ.pop(SESSION), ignore_errors=True)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Sets the files that take long first, so that processes which share the files out end at about the same time."""

    def place(item: pytest.Item) -> int:
        file = item.nodeid.partition("::")[0]
        if file in _LONGEST:
            return _LONGEST.index(file)
        return len(_LONGEST) + (not file.startswith(("tests/ops", "tests/ui", "tests/flows")))

    items.sort(key=place)


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
            "flows.run.server_process",
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
    """Flows of a module's tests run as plain code."""
    with without_prefect():
        yield


@pytest.fixture(scope="session")
def forked_workers() -> Iterator[None]:
    """Dask's workers are forked from a process that has imported the stages: they start, and a killed one is replaced, soon."""
    import dask

    multiprocessing.get_context("forkserver").set_forkserver_preload(
        ["distributed", "flows.run.catalog", "tests.unit.xmr.logged"]
    )
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
