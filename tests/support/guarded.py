"""The stack with authentication, TLS and, where it is installed, PostgreSQL, which tests of several files share.

It is started when a test first asks for ``guarded``; the tests of tests/ops/test_stack_cut_off.py, the last ones, kill it.
"""

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.ops.conftest import RunningStack, started_stack
from tests.postgres import postgres

PASSWORD = "correct-horse-7Zq!"
SECRETS = {"FINGERPOST_AUTH": f"operator:{PASSWORD}", "FINGERPOST_WEBHOOK": "http://127.0.0.1:9/hook-token-93jf"}
FORBIDDEN = (PASSWORD, "hook-token-93jf", "b3BlcmF0b3I6")  # the last: how credentials begin in base64
OPTIONS = ("--auth", "--tls")


@pytest.fixture(scope="session")
def database() -> Iterator[str]:
    """The URL of a PostgreSQL database; empty where there is no PostgreSQL."""
    with ExitStack() as stack:
        try:
            url = stack.enter_context(postgres())
        except pytest.skip.Exception:
            url = ""
        yield url


@pytest.fixture(scope="session")
def guarded(database: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningStack]:
    """The stack."""
    with started_stack(tmp_path_factory.mktemp("guarded"), *OPTIONS, secrets=secrets_of(database)) as stack:
        yield stack


def secrets_of(database: str) -> dict[str, str]:
    """The variables that the stack gets its secrets from."""
    return SECRETS | ({"FINGERPOST_DATABASE": database} if database else {})


def files_with_secrets(*folders: Path) -> list[tuple[str, str]]:
    """The files below some folders that hold a secret, whatever kind they are of."""
    found = []
    for path in (path for folder in folders for path in folder.rglob("*") if path.is_file()):
        data = path.read_bytes()
        found += [(str(path), secret) for secret in FORBIDDEN if secret.encode() in data]
    return found
