"""Basic authentication and TLS: nothing is told without credentials, and no secret is kept."""

import asyncio
import json
import ssl
import urllib.error
import urllib.request
from pathlib import Path

import psutil
import pytest

from fingerpost.flows.ops.stack.certificates import dask_security
from fingerpost.flows.ops.stack.processes import StackError
from fingerpost.flows.ops.stack.state import credentials
from fingerpost.flows.run.api import Api, ApiError
from tests.ops.conftest import RunningStack
from tests.support.guarded import FORBIDDEN, PASSWORD, files_with_secrets

pytestmark = pytest.mark.slow


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
