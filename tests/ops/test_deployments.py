"""The deployments file: every flow is in it, each entry can be loaded, and the server takes them all."""

import json
from pathlib import Path
from typing import Any

import pytest

from fingerpost.flows.ops.stack.deployments import DeploymentError, adapted, follow_rename, read_file
from tests.ops.conftest import RunningStack


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
    assert entry["parameters"]["request"]["profile"] == str(tmp_path / "mine.toml")
    assert [schedule["timezone"] for schedule in entry["schedules"]] == ["Europe/Berlin"]
    assert entry["paused"]
    assert file["deployments"][0]["schedules"][0]["timezone"] == "UTC"


def test_an_unknown_deployment_is_refused(file: dict[str, Any]) -> None:
    with pytest.raises(DeploymentError, match=r"--only: expected deployments among nightly, .* got monthly"):
        adapted(file, only=("monthly",))


@pytest.mark.parametrize("text", ["deployments: 3", "[", "name: x"])
def test_a_file_of_another_form_is_refused(text: str, tmp_path: Path) -> None:
    (tmp_path / "prefect.yaml").write_text(text)
    with pytest.raises(DeploymentError, match=r"prefect\.yaml: expected"):
        read_file(str(tmp_path / "prefect.yaml"))


def test_the_server_takes_them_all_twice_without_doubling_schedules(stack: RunningStack) -> None:
    found = {}
    for only in ((), ("--only", "nightly")):
        done = stack.cli("deploy", "--profile", "tiny", "--paused", "--json", *only)
        assert done.returncode == 0, done.stderr
        found |= {one["name"]: one for one in json.loads(done.stdout)}
    assert len(found) == len(read_file()["deployments"])
    assert found["nightly/nightly"]["schedules"] == ["0 3 * * * UTC"]
    assert all(one["paused"] for one in found.values())
    nightly = stack.api.get(f"deployments/{found['nightly/nightly']['id']}")
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
