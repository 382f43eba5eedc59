"""Files that somebody damaged beside the records of a store: profiles, deployments, a stack's state, alerts, deadlines."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from fingerpost.flows.ops.stack.deployments import DeploymentError, read_file
from fingerpost.flows.ops.stack.state import State, read_state, write_state
from fingerpost.flows.run.alerts import WEBHOOK, Alert, alerts, raise_alert, redeliver, undelivered
from fingerpost.flows.run.freshness import Deadline, recorded_deadline
from fingerpost.flows.run.profiles import load_settings, read_profile
from fingerpost.flows.run.section import SettingsError
from fingerpost.schemas.store import Store

DEEP = 3_000


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"\xff\xfe[run]", "expected UTF-8, found byte 0xff at position 0"),
        ("[run]\ntimezone = 'M\u00fcnchen'".encode("latin-1"), "expected UTF-8"),
        (b"a = " + b"[" * DEEP, "found deep nesting"),
        (b"a = " + b"{a=" * DEEP, "found deep nesting"),
        (b".".join([b"a"] * DEEP) + b" = 1", "found deep nesting"),
        (b"[" + b".".join([b"a"] * DEEP) + b"]", "found deep nesting"),
        (b"a = " + b"[" * 150 + b"]" * 150, "found deep nesting"),
        (b"[run\n", "expected TOML"),
        (b"\x00", "expected TOML"),
        (b"run = 7", "run"),
    ],
)
def test_a_damaged_profile_is_refused_in_one_line_that_names_it(tmp_path: Path, content: bytes, said: str) -> None:
    profile = tmp_path / "mine.toml"
    profile.write_bytes(content)
    with pytest.raises(SettingsError) as caught:
        load_settings(str(profile))
    assert said in str(caught.value)
    assert len(str(caught.value)) < 400
    assert "\n" not in str(caught.value).strip()


def test_a_profile_that_cannot_be_read_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    profile = tmp_path / "mine.toml"
    profile.write_text("")
    monkeypatch.setattr(Path, "read_text", lambda *_: (_ for _ in ()).throw(PermissionError(13, "Permission denied")))
    with pytest.raises(SettingsError, match=r"mine\.toml: expected a file that can be read, got Permission denied"):
        read_profile(str(profile))


def test_a_deeply_nested_setting_of_the_command_line_is_refused_by_name() -> None:
    with pytest.raises(SettingsError, match="ann"):
        load_settings("tiny", overrides={"ann.hnsw.max_neighbors": f"{'[' * DEEP}{']' * DEEP}"})


@pytest.mark.parametrize("content", [b"\xff\xfe", b"deployments: " + b"[" * 1_200, b"\x00", b"deployments: 7"])
def test_a_damaged_file_of_deployments_is_refused_in_one_line(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "mine.yaml"
    file.write_bytes(content)
    with pytest.raises(DeploymentError, match=r"mine\.yaml: expected"):
        read_file(str(file))


def changed(content: bytes, key: str, value: Any) -> bytes:
    return json.dumps({**json.loads(content), key: value}).encode()


def test_a_damaged_state_of_a_stack_is_none(tmp_path: Path) -> None:
    state = State("a", 1, 1.0, "store", "api", "ui", "", "", "pool", "sqlite", auth=False, tls=False)
    write_state(tmp_path, state)
    assert read_state(tmp_path) == state
    content = (tmp_path / "stack.json").read_bytes()
    for damaged in (
        b"",
        b"[]",
        b"\xff",
        b"[" * 100_000,
        content * 2,
        content[:20],
        changed(content, "pid", "1"),
        changed(content, "children", [7]),
    ):
        (tmp_path / "stack.json").write_bytes(damaged)
        assert read_state(tmp_path) is None
    (tmp_path / "stack.json").write_bytes(changed(content, "of_a_later_version", 1))
    assert read_state(tmp_path) == state


@pytest.mark.parametrize("way", ["emptied", "list", "types", "time", "nested", "text"])
def test_a_damaged_alert_hides_no_other(tmp_path: Path, way: str, monkeypatch: pytest.MonkeyPatch) -> None:
    store, now = Store(str(tmp_path / "store")).prepare(), datetime.now(UTC)
    for day in ("2026-01-02", "2026-01-03"):
        raise_alert(store, Alert("late", "nightly", "toys", day, "late"), now=now)
    name = "late-nightly-toys-2026-01-02"
    content = store.files.read(f".alerts/{name}.json")
    damaged = {
        "emptied": b"",
        "list": b"[]",
        "types": changed(content, "text", 7),
        "time": changed(content, "at", "yesterday"),
        "nested": b"[" * 100_000,
        "text": changed(content, "at", "2026-01-02T00:00:00"),
    }[way]
    store.files.write(f".alerts/{name}.json", damaged)
    store.files.write(".alerts/.DS_Store", b"")
    store.files.write(".alerts/late-nightly-toys-2026-01-03.attempt-000001~", b"")
    assert [found["day"] for found in alerts(store)] == ["2026-01-03"]
    assert undelivered(store, now=now) == ["late-nightly-toys-2026-01-03"]
    monkeypatch.setenv(WEBHOOK, "file:///nowhere")
    assert list(redeliver(store, now=now)) == ["late-nightly-toys-2026-01-03"]


@pytest.mark.parametrize(
    "deadline", [{"at": "noon"}, {"at": 8}, {"timezone": "Nowhere/At_all"}, {"timezone": "../x"}, {"lag_days": 10**12}]
)
def test_a_damaged_deadline_gives_way_to_the_one_before(deadline: dict[str, Any]) -> None:
    records = {
        "2026-01-02": {"deadline": {"at": "09:00", "of_a_later_version": 1}},
        "2026-01-03": {"deadline": deadline},
    }
    assert recorded_deadline(records) == Deadline(at="09:00")
    assert recorded_deadline({"2026-01-03": {"deadline": deadline}}) is None
