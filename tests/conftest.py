"""What tests of several folders share."""

import os
import signal
from collections.abc import Iterator

import pytest
from hypothesis import settings

from tests.ops.conftest import RunningStack, end_stack, start_stack

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
os.environ.setdefault("DO_NOT_TRACK", "1")
os.environ.setdefault("PREFECT_SERVER_ANALYTICS_ENABLED", "false")


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
    """Prefect's own test harness: a server on a temporary database."""
    from prefect.settings import PREFECT_FLOWS_HEARTBEAT_FREQUENCY, temporary_settings
    from prefect.testing.utilities import prefect_test_harness

    with (
        prefect_test_harness(server_startup_timeout=120),
        temporary_settings({PREFECT_FLOWS_HEARTBEAT_FREQUENCY: None}),
    ):
        yield


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningStack]:
    """The stack that the tests of a session share; it ends by Ctrl-C and leaves no process."""
    stack = start_stack(tmp_path_factory.mktemp("stack"))
    yield stack
    left = end_stack(stack, signal.SIGINT)
    assert not left, left
    assert stack.process.returncode == 0, stack.log("up")
