"""Basic authentication and TLS: nothing is told without credentials, no secret is kept, and a killed stack is cleaned up."""

import asyncio
import json
import os
import signal
import ssl
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from fingerpost.flows.ops.stack.certificates import dask_security
from fingerpost.flows.ops.stack.processes import StackError, alive, marked
from fingerpost.flows.ops.stack.state import credentials
from fingerpost.flows.run.api import Api, ApiError
from tests.ops.conftest import RunningStack, started_stack

pytestmark = pytest.mark.slow

PASSWORD = "correct-horse-7Zq!"
SECRETS = {"FINGERPOST_AUTH": f"operator:{PASSWORD}", "FINGERPOST_WEBHOOK": "http://127.0.0.1:9/hook-token-93jf"}
FORBIDDEN = (PASSWORD, "hook-token-93jf", "b3BlcmF0b3I6")  # the last: how credentials begin in base64


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningStack]:
    """A stack of its own with authentication and TLS."""
    with started_stack(tmp_path_factory.mktemp("guarded"), "--auth", "--tls", secrets=SECRETS) as stack:
        yield stack


def files_with_secrets(*folders: Path) -> list[tuple[str, str]]:
    """The files below some folders that hold a secret, whatever kind they are of."""
    found = []
    for path in (path for folder in folders for path in folder.rglob("*") if path.is_file()):
        data = path.read_bytes()
        found += [(str(path), secret) for secret in FORBIDDEN if secret.encode() in data]
    return found


@pytest.mark.parametrize("path", ["flows/filter", "deployments/filter", "flow_runs/filter", "block_documents/filter"])
def test_without_credentials_the_server_tells_nothing(guarded: RunningStack, path: str) -> None:
    for headers in ({}, {"Authorization": "Basic b3BlcmF0b3I6d3Jvbmc="}):
        request = urllib.request.Request(
            f"{guarded.state.api}/{path}", data=b"{}", headers={"Content-Type": "application/json", **headers}
        )
        with pytest.raises(urllib.error.HTTPError) as refused:
            urllib.request.urlopen(request, timeout=60)
        assert refused.value.code == 401
        assert json.loads(refused.value.read()) == {"exception_message": "Unauthorized"}
    assert isinstance(guarded.api.post(path, {}), list)


def test_a_run_completes_behind_authentication_and_tls(guarded: RunningStack) -> None:
    run = guarded.submit("featurize_corpus", guarded.request(day="2026-01-02"))
    assert guarded.wait(run)["state_type"] == "COMPLETED", guarded.run_log(run)
    assert guarded.state.dask.startswith("tls://")


def test_a_command_without_credentials_is_one_line_that_names_the_variable(guarded: RunningStack) -> None:
    guarded.secrets, kept = {}, guarded.secrets
    try:
        done = guarded.cli("deploy")
        wrong = guarded.cli("deploy", FINGERPOST_AUTH="operator:nope-nope")
    finally:
        guarded.secrets = kept
    assert (done.returncode, wrong.returncode) == (1, 1)
    assert "FINGERPOST_AUTH: expected user:password" in done.stderr
    assert "expected valid credentials, got 401; set FINGERPOST_AUTH" in wrong.stderr
    assert "nope-nope" not in wrong.stdout + wrong.stderr


def test_dask_takes_no_connection_without_the_certificate(guarded: RunningStack) -> None:
    from distributed import Client
    from distributed.security import Security

    address = guarded.state.dask

    async def plain(security: Security | None, url: str) -> None:
        async with Client(url, security=security, asynchronous=True, timeout=3):
            pass

    with pytest.raises((OSError, TypeError, asyncio.TimeoutError)):
        asyncio.run(plain(None, address.replace("tls://", "tcp://")))
    with pytest.raises((OSError, asyncio.TimeoutError)):
        asyncio.run(plain(Security.temporary(), address))


def test_no_secret_is_on_a_command_line_or_in_any_file(guarded: RunningStack) -> None:
    family = [psutil.Process(guarded.process.pid), *psutil.Process(guarded.process.pid).children(recursive=True)]
    told = " ".join(" ".join(process.cmdline()) for process in family)
    assert not any(secret in told for secret in FORBIDDEN)
    assert files_with_secrets(guarded.home, Path(guarded.store)) == []
    assert PASSWORD not in repr(guarded)


def test_the_key_can_be_read_by_its_owner_alone(guarded: RunningStack) -> None:
    folder = guarded.home / "tls"
    assert folder.stat().st_mode & 0o777 == 0o700
    assert {path.stat().st_mode & 0o777 for path in folder.iterdir()} == {0o600}


def test_a_certificate_is_made_once(tmp_path: Path) -> None:
    first = dask_security(tmp_path)
    key = (tmp_path / "dask-key.pem").read_bytes()
    assert dask_security(tmp_path) == first
    assert (tmp_path / "dask-key.pem").read_bytes() == key
    ssl.create_default_context(cafile=first["DASK_DISTRIBUTED__COMM__TLS__CA_FILE"])


@pytest.mark.parametrize("given", ["password", "user:", ":password"])
def test_credentials_of_another_form_are_refused_unshown(given: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FINGERPOST_AUTH", given)
    with pytest.raises(StackError, match="expected user:password") as refused:
        credentials()
    assert given not in str(refused.value).replace("user:password", "")


def test_a_refusal_of_the_server_shows_no_credentials(guarded: RunningStack) -> None:
    with pytest.raises(ApiError) as refused:
        Api(guarded.state.api, "operator:nope-nope").post("flows/filter", {})
    assert "nope-nope" not in str(refused.value) + repr(refused.value)


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
    """Last in this file: started again in the same folder, the limit of one run at a time has its place free."""
    with started_stack(guarded.home.parent, "--tls", secrets=SECRETS) as again:
        again.deployed |= guarded.deployed
        cut_off = again.api.get(f"flow_runs/{guarded.deployed['cut off']}")
        assert cut_off["state_type"] == "CRASHED"
        assert "The stack was interrupted while this ran" in cut_off["state"]["message"]
        run = again.submit("featurize_corpus", again.request(day="2026-01-03"))
        assert again.wait(run)["state_type"] == "COMPLETED", again.run_log(run)
        assert files_with_secrets(again.home, Path(again.store)) == []
