"""The deployments file: every flow is in it, each entry can be loaded, and the server takes them all."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from unittest import mock

import pytest

from fingerpost.flows.ops.stack import deployments
from fingerpost.flows.ops.stack.deployments import (
    Deployed,
    DeploymentError,
    adapted,
    deploy,
    deployed,
    flow_of,
    follow_rename,
    read_file,
    undeploy,
)
from fingerpost.flows.run.freshness import scheduled_freshness
from fingerpost.flows.run.profiles import load_settings
from fingerpost.flows.run.schedule_pause import begin_schedule
from fingerpost.schemas.errors import FingerpostError, UsageError
from fingerpost.schemas.store import Store
from tests.ops.conftest import RunningStack
from tests.ops.watched import note_day
from tests.support.commands import refused


@pytest.fixture
def file() -> dict[str, Any]:
    return read_file()


def test_every_flow_has_a_deployment_with_what_it_needs(file: dict[str, Any]) -> None:
    from prefect.flows import load_flow_from_entrypoint

    from fingerpost.flows.run.flow_names import flow_names

    entries = {entry["name"]: entry for entry in file["deployments"]}
    assert set(flow_names()) <= set(entries)
    for name, entry in entries.items():
        assert load_flow_from_entrypoint(entry["entrypoint"], use_placeholder_flow=False).name == name
        assert entry["work_pool"]["name"] == "fingerpost"
        assert entry["tags"]
    for name in flow_names():
        assert entries[name]["parameters"] == {"request": {"profile": "nightly"}}
        assert all(schedule["cron"] and schedule["timezone"] for schedule in entries[name]["schedules"])
        assert entries[name]["concurrency_limit"] == {"limit": 1, "collision_strategy": "ENQUEUE"}
        assert entries[name]["work_pool"]["job_variables"]["env"]["PREFECT_FLOWS_DEFAULT_RETRIES"] == "1"


def test_the_profile_gives_the_schedules_their_zone(file: dict[str, Any], tmp_path: Path) -> None:
    (tmp_path / "mine.toml").write_text('[run]\ntimezone = "Europe/Berlin"\n')
    made = adapted(file, profile=str(tmp_path / "mine.toml"), only=("nightly",), paused=True)
    (entry,) = made["deployments"]
    assert entry["name"] == "python-docs"
    assert "collection:python-docs" in entry["tags"]
    assert entry["parameters"]["request"]["profile"] == str(tmp_path / "mine.toml")
    assert [schedule["timezone"] for schedule in entry["schedules"]] == ["Europe/Berlin"]
    assert entry["paused"]
    assert file["deployments"][0]["schedules"][0]["timezone"] == "UTC"


def test_an_unknown_deployment_is_refused(file: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match=r"--only: expected deployments among nightly, .* got monthly"):
        adapted(file, only=("monthly",))


@pytest.mark.parametrize("text", ["deployments: 3", "[", "name: x"])
def test_a_file_of_another_form_is_refused(text: str, tmp_path: Path) -> None:
    (tmp_path / "prefect.yaml").write_text(text)
    with pytest.raises(DeploymentError, match=r"prefect\.yaml: expected"):
        read_file(str(tmp_path / "prefect.yaml"))


def profile_of(folder: Path, collection: str, more: str = "") -> str:
    """A profile of one's own for a collection."""
    path = folder / f"{collection}.toml"
    path.write_text(f'[input]\ncollection = "{collection}"\nsource = "{collection}-{{day}}.csv"\n{more}')
    return str(path)


def served_by(content: dict[str, Any]) -> list[Deployed]:
    """The deployments as the server would have them."""
    found = []
    for entry in content["deployments"]:
        request = (entry.get("parameters") or {}).get("request") or {}
        collection = next((tag[11:] for tag in entry["tags"] if tag.startswith("collection:")), "")
        name = f"{flow_of(entry)}/{entry['name']}"
        store = request.get("store", "") or (load_settings(request["profile"])[0].store if "profile" in request else "")
        paused = entry.get("paused", False)
        found.append(Deployed(name, name, (), paused, 1, collection, request.get("profile", ""), store))
    return found


def names_in(content: dict[str, Any]) -> dict[str, str]:
    return {flow_of(entry): entry["name"] for entry in content["deployments"]}


SHARED = {"backfill": "backfill", "watch_freshness": "watch_freshness"}


def test_each_collection_has_deployments_of_its_own(file: dict[str, Any], tmp_path: Path) -> None:
    first, second = (profile_of(tmp_path, name) for name in ("first", "second"))
    one = adapted(file, profile=first)
    served = served_by(one)
    two = adapted(file, profile=second, served=served)
    flows = {flow_of(entry) for entry in file["deployments"]} - set(SHARED)
    assert names_in(one) == SHARED | dict.fromkeys(flows, "first")
    assert names_in(two) == SHARED | dict.fromkeys(flows, "second")
    assert [entry.get("parameters") for entry in two["deployments"] if flow_of(entry) in SHARED] == [
        entry.get("parameters") for entry in file["deployments"] if flow_of(entry) in SHARED
    ]
    again = adapted(file, profile=first, served=[*served, *served_by(two)])
    assert names_in(again) == names_in(one)


def test_deployments_of_the_version_before_stay_those_of_their_collection(file: dict[str, Any], tmp_path: Path) -> None:
    first, second = (profile_of(tmp_path, name) for name in ("first", "second"))
    before = [Deployed("nightly/nightly", "1", (), False, 1, "first", first)]
    assert names_in(adapted(file, profile=first, only=("nightly",), served=before)) == {"nightly": "nightly"}
    assert names_in(adapted(file, profile=second, only=("nightly",), served=before)) == {"nightly": "second"}
    theirs = [Deployed("nightly/weekly", "1", (), False, 1, "first", first, ours=False)]
    assert names_in(adapted(file, profile=first, only=("nightly",), served=theirs)) == {"nightly": "first"}


def test_one_collection_in_two_stores_is_two(file: dict[str, Any], tmp_path: Path) -> None:
    here = profile_of(tmp_path, "first")
    (tmp_path / "other").mkdir()
    there = tmp_path / "other" / "first.toml"
    there.write_text('store = "elsewhere"\n[input]\ncollection = "first"\nsource = "x.csv"\n')
    one = adapted(file, profile=here)
    two = adapted(file, profile=str(there), served=served_by(one))
    assert names_in(two) == {**dict.fromkeys(names_in(one), "first-2"), "backfill": "backfill"} | {
        "watch_freshness": "watch_freshness-2"
    }
    watch = next(entry for entry in two["deployments"] if flow_of(entry) == "watch_freshness")
    assert watch["parameters"]["request"]["store"] == str(tmp_path / "other" / "elsewhere")
    assert names_in(adapted(file, profile=str(there), served=[*served_by(one), *served_by(two)])) == names_in(two)


def test_a_pause_is_for_one_collection_and_a_cron_for_its_nightly(file: dict[str, Any], tmp_path: Path) -> None:
    first = profile_of(tmp_path, "first", '[schedule]\ncron = "30 2 * * *"\n[run]\ntimezone = "Asia/Tokyo"\n')
    made = adapted(file, profile=first)
    crons = {flow_of(one): [each["cron"] for each in one.get("schedules", ())] for one in made["deployments"]}
    plain = {flow_of(one): [each["cron"] for each in one.get("schedules", ())] for one in file["deployments"]}
    assert crons == {**plain, "nightly": ["30 2 * * *"]}
    served = served_by(adapted(file, profile=profile_of(tmp_path, "second")))
    paused = adapted(file, profile=first, paused=True, served=served)
    assert {flow_of(one) for one in paused["deployments"] if not one["paused"]} == set(SHARED)


@pytest.fixture
def removed(monkeypatch: pytest.MonkeyPatch, file: dict[str, Any], tmp_path: Path) -> list[str]:
    """A server with the deployments of two collections, and a user's own; the names of those that are removed."""
    gone: list[str] = []
    first, second = (adapted(file, profile=profile_of(tmp_path, name)) for name in ("first", "second"))
    served = {one.name: one for content in (first, second) for one in served_by(content)}
    served["nightly/weekly"] = Deployed("nightly/weekly", "own", (), False, 1, "second", ours=False)

    class Api:
        def ask(self, method: str, path: str) -> None:
            assert method == "DELETE"
            name = path.removeprefix("deployments/")
            gone.append(name)
            del served[name]

    monkeypatch.setattr(deployments, "connection", lambda home: {"FINGERPOST_STORE": str(tmp_path / "store")})
    monkeypatch.setattr(deployments, "api_of", lambda environment: Api())
    monkeypatch.setattr(deployments, "deployed", lambda api: list(served.values()))
    return gone


def test_what_serves_all_collections_goes_with_the_last(removed: list[str], file: dict[str, Any]) -> None:
    flows = [flow_of(entry) for entry in file["deployments"] if flow_of(entry) not in SHARED]
    said: list[str] = []
    undeploy(collection="first", only=("nightly",), say=said.append)
    assert removed == ["nightly/first"]
    undeploy(collection="first", say=said.append)
    assert sorted(removed) == sorted(f"{flow}/first" for flow in flows)
    with pytest.raises(DeploymentError, match=r"of first: expected some on the server, found none .* of second\)"):
        undeploy(collection="first", say=said.append)
    undeploy(collection="second", say=said.append)
    shared = [f"{name}/{name}" for name in SHARED]
    assert sorted(removed) == sorted([*(f"{flow}/{name}" for flow in flows for name in ("first", "second")), *shared])
    assert len(said) == len(removed)


def test_everything_can_be_undeployed_at_once(removed: list[str], file: dict[str, Any]) -> None:
    assert len(undeploy(everything=True, say=lambda line: None)) == 2 * (len(file["deployments"]) - 2) + 2
    with pytest.raises(DeploymentError, match=r"found none .* of no collection"):
        undeploy(everything=True, say=lambda line: None)


def test_a_deployment_that_cannot_be_read_is_named_and_no_reason_to_remove_others(
    removed: list[str], file: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = {
        "id": "1",
        "name": "nightly",
        "tags": ["fingerpost", "nightly"],
        "parameters": {"request": {"profile": str(tmp_path / "gone.toml")}},
        "schedules": [],
        "paused": False,
    }
    unreadable = deployments._deployed(found, "nightly")
    assert "gone.toml" in unreadable.problem
    assert unreadable.ours
    one = adapted(file, profile=profile_of(tmp_path, "third"), only=("nightly",), served=[unreadable])
    assert names_in(one) == {"nightly": "third"}
    said: list[str] = []
    deployments._say_of_others([unreadable], served_by(one), said.append)
    assert "gone.toml" in said[0]
    served = served_by(adapted(file, profile=profile_of(tmp_path, "first")))
    monkeypatch.setattr(deployments, "deployed", lambda api: [unreadable, *served])
    monkeypatch.setattr(deployments, "api_of", lambda environment: mock.Mock())
    gone = undeploy(collection="first", say=said.append)
    assert {one.flow for one in gone} == set(names_in({"deployments": file["deployments"]})) - set(SHARED)
    assert unreadable in undeploy(everything=True, say=said.append)


def test_days_are_not_expected_while_a_collection_is_not_deployed(removed: list[str], tmp_path: Path) -> None:
    store = Store(str(tmp_path / "store")).prepare()
    for day in ("2026-01-04", "2026-01-05"):
        note_day(store, day, collection="first")
        note_day(store, day, collection="second")
    now = datetime(2026, 1, 8, 12, tzinfo=UTC)
    late = {one.collection: len(one.late) for one in scheduled_freshness(store, now=now)}
    assert late == {"first": 3, "second": 3}
    undeploy(collection="first", say=lambda line: None)
    assert {one.collection: len(one.late) for one in scheduled_freshness(store, now=now)} == {"first": 0, "second": 3}
    begin_schedule(store, "nightly", "first", day="2026-01-08")
    begin_schedule(store, "nightly", "second", day="2026-01-08")
    found = {one.collection: [late.day for late in one.late] for one in scheduled_freshness(store, now=now)}
    assert found == {"first": ["2026-01-08"], "second": ["2026-01-06", "2026-01-07", "2026-01-08"]}


def test_a_store_that_cannot_be_used_from_here_keeps_nothing_from_being_removed(
    removed: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(deployments, "_store_of", mock.Mock(side_effect=FingerpostError("no way there")))
    said: list[str] = []
    assert len(undeploy(collection="first", say=said.append)) == len(removed)
    assert sum("no way there" in line for line in said) == len(removed)


def test_deployments_of_a_users_own_flows_are_found_by_name() -> None:
    own = {
        "id": "1",
        "name": "mine",
        "flow_id": "f",
        "entrypoint": "mine.flows.weekly",
        "tags": [],
        "parameters": {},
        "schedules": [],
        "paused": False,
    }
    api = mock.Mock()
    api.pages = lambda path, body: [own] if path.startswith("deployments") else [{"id": "f", "name": "weekly"}]
    assert deployed(api) == []
    assert [one.name for one in deployed(api, also=["weekly/mine"])] == ["weekly/mine"]


@pytest.mark.parametrize("given", [[], ["--all", "--collection", "x"], ["--collection", "x", "--profile", "tiny"]])
def test_what_to_undeploy_has_to_be_named(given: list[str], tmp_path: Path) -> None:
    assert "expected one of --collection, --profile and --all" in refused("undeploy", *given, cwd=tmp_path)


def test_a_collection_joins_a_stack_and_leaves_it_again(stack: RunningStack, tmp_path: Path) -> None:
    other = stack.deploy("nightly")
    profile = profile_of(tmp_path, "early", '[schedule]\ncron = "0 1 * * *"\n')
    home = str(stack.home)
    (made,) = deploy(home=home, profile=profile, only=("nightly",), say=lambda line: None)
    assert (made.name, made.schedules, made.collection) == ("nightly/early", ("0 1 * * * UTC",), "early")
    planned = stack.planned(made.id)
    assert all("collection:early" in run["tags"] for run in planned)
    assert {one.id: one.collection for one in deployed(stack.api)}.items() >= {
        other: "python-docs",
        made.id: "early",
    }.items()
    assert undeploy(home=home, collection="early", say=lambda line: None) == [made]
    left = {one.id for one in deployed(stack.api)}
    assert other in left
    assert made.id not in left
    body = {"flow_runs": {"id": {"any_": [run["id"] for run in planned]}}}
    assert stack.api.pages("flow_runs/filter", body) == []


def test_the_server_takes_them_all_twice_without_doubling_schedules(stack: RunningStack) -> None:
    found = {}
    for only in ((), ("--only", "nightly")):
        done = stack.cli("deploy", "--profile", "tiny", "--paused", "--json", *only)
        assert done.returncode == 0, done.stderr
        found |= {one["name"]: one for one in json.loads(done.stdout)}
    assert len(found) == len(read_file()["deployments"])
    assert found["nightly/python-docs"]["schedules"] == ["0 3 * * * UTC"]
    assert all(one["paused"] for one in found.values() if one["collection"])
    nightly = stack.api.get(f"deployments/{found['nightly/python-docs']['id']}")
    assert nightly["parameters"] == {"request": {"profile": "tiny"}}
    assert nightly["enforce_parameter_schema"]
    assert nightly["concurrency_options"]["collision_strategy"] == "ENQUEUE"


def test_a_pool_that_is_not_there_is_named(stack: RunningStack, tmp_path: Path) -> None:
    (tmp_path / "prefect.yaml").write_text(
        "deployments: [{name: nightly, entrypoint: fingerpost.flows.nightly.nightly, work_pool: {name: nowhere}}]"
    )
    done = stack.cli("deploy", "--file", str(tmp_path / "prefect.yaml"))
    assert done.returncode == 1
    assert "work pool nowhere: expected it on the server, found none" in done.stderr


def test_deployments_of_the_version_before_follow_the_packages_new_name(stack: RunningStack) -> None:
    flow = stack.api.post("flows/", {"name": "nightly"})
    older = {"name": "of-before", "flow_id": flow["id"], "entrypoint": "flows.nightly.nightly", "paused": True}
    made = stack.api.post("deployments/", older)
    said: list[str] = []
    try:
        assert follow_rename(stack.api, say=said.append) == 1
        assert stack.api.get(f"deployments/{made['id']}")["entrypoint"] == "fingerpost.flows.nightly.nightly"
        assert follow_rename(stack.api, say=said.append) == 0
    finally:
        stack.api.ask("DELETE", f"deployments/{made['id']}")
    assert len(said) == 1
    assert "of-before" in said[0]
