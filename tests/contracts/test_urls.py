"""Secrets in URLs are refused at every door, and removed from whatever is shown or kept. All secrets here are made up."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from fingerpost.flows.ops.stack.children import options_of
from fingerpost.flows.ops.stack.doctor import webhook
from fingerpost.flows.run.executor import check
from fingerpost.flows.run.openlineage import events
from fingerpost.flows.run.profiles import file_settings, load_settings
from fingerpost.flows.run.request import RunRequest
from fingerpost.flows.run.section import SettingsError
from fingerpost.schemas.errors import FingerpostError, StoreUnreachableError, UsageError
from fingerpost.schemas.files import Files
from fingerpost.schemas.store import Store
from fingerpost.schemas.urls import clean_url, has_credentials, public_url, without_credentials
from tests.support.commands import fingerpost_here

SECRET = "made/up+Hidden"
WITH = [
    f"s3://KEY:{SECRET}@bucket/place",
    f"s3://KEY:{SECRET}/more/@bucket/a@b",
    f"s3://KEY:9{SECRET}@bucket",
    f"gs://KEY:12/{SECRET}@bucket",
    f"https://user:{SECRET}@host:8080/x",
    "s3://KEY-Hidden@bucket/x",
    "abfs://bucket/x?sig=Hidden",
    "s3://bucket/x?a=b&aws_secret_access_key=Hidden#part",
]
WITHOUT = [
    "s3://bucket/place",
    "s3://bucket/user@example.org/place",
    "http://127.0.0.1:4200/api",
    "http://127.0.0.1:4200/flows/a@b",
    "tcp://host:8786",
    "/local/KEY:word@place",
    "C:/place",
    "place?key=1",
    "memory://x?size=3",
    "",
]


@pytest.mark.parametrize("url", WITH)
def test_secrets_of_urls_are_found_and_removed(url: str) -> None:
    assert has_credentials(url)
    for shown in (clean_url(url), public_url(url), without_credentials(url)):
        assert "Hidden" not in shown
        assert "KEY" not in shown
        assert not has_credentials(shown)
    text = f"store {url}: expected it, got '{url}' and {json.dumps({'url': url, 'mail': 'a@b'})}; see {url}"
    assert "Hidden" not in without_credentials(text)
    assert '"mail": "a@b"' in without_credentials(text)


@pytest.mark.parametrize("url", WITHOUT)
def test_other_urls_and_paths_stay_as_they_are(url: str) -> None:
    assert not has_credentials(url)
    assert without_credentials(f"see {url}, and a@b") == f"see {url}, and a@b"


@pytest.mark.parametrize("url", WITH)
def test_stores_with_secrets_are_refused_everywhere_without_repeating_them(url: str, tmp_path: Path) -> None:
    for attempt in (Files, Store, lambda url: options_of(home=tmp_path, store=url, auth=False, database="")):
        with pytest.raises((StoreUnreachableError, UsageError)) as refused:
            attempt(url)
        assert "Hidden" not in str(refused.value)
    for field in ("store", "input"):
        with pytest.raises(SettingsError) as wrong:
            RunRequest.of(profile="tiny", **{field: url})
        assert "without credentials" in str(wrong.value)
        assert "Hidden" not in str(wrong.value)
        pattern = RunRequest.model_json_schema()["properties"][field]["pattern"]
        assert "?" in url or not re.search(pattern, url)


@pytest.mark.parametrize("key", [".".join(path) for path in file_settings()])
def test_every_setting_that_names_a_file_refuses_secrets(key: str) -> None:
    with pytest.raises(SettingsError) as wrong:
        load_settings("tiny", overrides={key: WITH[0]})
    assert key in str(wrong.value)
    assert "Hidden" not in str(wrong.value)


@pytest.mark.parametrize(
    "command",
    [
        ("status",),
        ("history",),
        ("gc", "--dry-run"),
        ("query", "x"),
        ("rank", "x"),
        ("report",),
        ("lineage",),
        ("freshness",),
        ("forget", "x"),
        ("diff", "a", "b"),
        ("rollback",),
        ("quarantine",),
        ("doctor",),
        ("up", "--detach"),
        ("partitions", "nightly"),
        ("run", "nightly", "--dry-run"),
        ("run", "nightly"),
        ("backfill", "nightly", "--from", "2026-01-01", "--to", "2026-01-02"),
        ("backfill", "list"),
        ("metrics", "--once"),
    ],
    ids=" ".join,
)
def test_no_command_repeats_the_secret_of_its_store(command: tuple[str, ...], tmp_path: Path) -> None:
    for where in (("--store", WITH[0]),):
        done = fingerpost_here(*command, *where, cwd=tmp_path)
        assert done.returncode != 0
        assert "Hidden" not in done.stdout + done.stderr
        assert "made/up" not in done.stdout + done.stderr
        assert "Traceback" not in done.stderr
    assert not [file for file in tmp_path.rglob("*") if file.is_file() and "Hidden" in file.read_text(errors="replace")]


def test_errors_and_exports_hold_no_secrets() -> None:
    said = str(FingerpostError(f"place {WITH[0]}: expected this, got that; do something"))
    assert said == "place s3://bucket/place: expected this, got that; do something"
    record: dict[str, Any] = {
        "id": "20260105T000000000-abcdef",
        "flow": "nightly",
        "collection": "c",
        "day": "2026-01-05",
        "state": "failed",
        "error": f"OSError: {WITH[0]} is gone",
        "stages": [],
        "at": "2026-01-05T00:00:00+00:00",
        "seconds": 1.0,
        "settings": {},
        "publications": [],
    }
    assert "Hidden" not in json.dumps(list(events(Store("memory://of-exports"), record)))


def test_settings_of_a_cluster_and_addresses_of_doctor_hold_no_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UsageError, match="place") as refused:
        check(1, "dask_kubernetes.operator.KubeCluster", {"place": WITH[0]})
    assert "Hidden" not in str(refused.value)
    for url in (WITH[0], WITH[4], "no address"):
        monkeypatch.setenv("FINGERPOST_WEBHOOK", url)
        assert "Hidden" not in webhook().found


@pytest.mark.parametrize("url", ["user:Hidden@host/name", "mysql://user:Hidden@host/name"])
def test_a_database_of_another_form_is_refused_unshown(url: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError) as refused:
        options_of(home=tmp_path, store="", auth=False, database=url)
    assert "Hidden" not in str(refused.value)
