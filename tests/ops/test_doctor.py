"""`fingerpost doctor` over a healthy stack, and each check over what it is there to find."""

import importlib.metadata
import json
from pathlib import Path

import pytest

from fingerpost.ext import sources
from fingerpost.flows.ops.stack import doctor
from fingerpost.flows.run.api import Api
from fingerpost.schemas.files import Files
from tests.ops.conftest import RunningStack


def test_a_healthy_stack_fails_nothing_and_its_schedules_make_runs(stack: RunningStack) -> None:
    done = stack.cli("doctor", "--json")
    assert done.returncode == 0, done.stdout + done.stderr
    found = {check["name"]: check for check in json.loads(done.stdout)}
    for name in ("python", "packages", "extensions", "store", "database", "stack", "server", "clock", "worker"):
        assert found[name]["status"] == "ok", found[name]
    assert found["schedules"]["status"] == "ok", found["schedules"]
    assert found["webhook"]["status"] == "warn"
    left = stack.api.post("flows/filter", {"flows": {"name": {"like_": "fingerpost-doctor"}}})
    assert left == []


def test_a_schedule_without_runs_is_found(stack: RunningStack) -> None:
    found = doctor.schedules(stack.api, seconds=0.0)
    assert (found.status, "SQLAlchemy" in found.advice) == ("fail", True)


def test_clocks_that_differ_are_found(stack: RunningStack, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "CLOCK", -1.0)
    assert doctor.clock(stack.api).status == "fail"


def test_a_package_beyond_its_bound_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    real = importlib.metadata.version
    monkeypatch.setattr(importlib.metadata, "version", lambda name: "2.1.9" if name == "sqlalchemy" else real(name))
    packages = next(check for check in doctor.versions() if check.name == "packages")
    assert packages.status == "fail"
    assert "sqlalchemy 2.1.9 is not " in packages.found
    assert "constraints.txt" in packages.advice


def test_an_extension_of_other_sources_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sources, "source_hash", lambda name: "0" * 16 if name == "hnsw" else None)
    found = doctor.extensions()
    assert (found.status, found.found, found.advice) == ("fail", "hnsw is a build of other sources", "`make build`")


def test_a_store_that_creates_a_file_twice_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert doctor.conditional_writes(str(tmp_path / "store")).status == "ok"
    assert not (tmp_path / "store").exists()

    def careless(files: Files, relative: str, data: bytes) -> bool:
        files.write(relative, data)
        return True

    monkeypatch.setattr(Files, "create", careless)
    assert doctor.conditional_writes(str(tmp_path / "store")).status == "fail"


def test_a_store_that_cannot_be_reached_is_a_failure_in_words(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder")
    found = doctor.guarded("store", lambda: doctor.conditional_writes(str(tmp_path / "file")))
    assert found.status == "fail"
    assert "expected to" in found.found


def test_a_full_disk_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "DISK_FAIL", 2**62)
    (found,) = doctor.disk({"store": tmp_path / "not" / "yet"})
    assert found.status == "fail"


def test_a_database_that_does_not_answer_is_named_without_its_password(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FINGERPOST_DATABASE", "postgresql+asyncpg://me:hush-hush@127.0.0.1:1/prefect")
    found = doctor.database(None, tmp_path)
    assert found.status == "fail"
    assert "127.0.0.1:1" in found.found
    assert "hush" not in found.found


def test_a_server_that_is_not_there_is_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PREFECT_API_URL", "http://127.0.0.1:1/api")
    (found,) = doctor.server("")
    assert (found.name, found.status) == ("server", "fail")
    assert not Api("http://127.0.0.1:1/api").healthy()


def test_the_webhooks_path_is_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FINGERPOST_WEBHOOK", "https://me:pw@hooks.example/services/T0KEN")
    assert doctor.webhook() == doctor.Check("webhook", "ok", "set, at hooks.example")
