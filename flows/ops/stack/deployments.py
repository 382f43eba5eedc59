"""The deployments of infra/prefect.yaml, applied to the running stack with Prefect's own deploy."""

import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

import yaml

from fingerpost.flows.ops.stack.state import api_of, connection
from fingerpost.flows.ops.watch.catch_up import catch_up
from fingerpost.flows.run.api import Api, ApiError
from fingerpost.schemas.errors import FingerpostError

#: The package that the flows are installed in.
_PACKAGE = "fingerpost"
#: Timeout of Prefect's deploy in seconds.
_DEPLOY_SECONDS = 180


class DeploymentError(FingerpostError):
    """A deployment that is unknown, or that the server or Prefect refuses."""


@dataclass(frozen=True)
class Deployed:
    """A deployment on the server."""

    name: str
    id: str
    schedules: tuple[str, ...]
    paused: bool
    limit: int | None


def read_file(path: str = "") -> dict[str, Any]:
    """The deployments file: the one that comes with the package, or another of the same form."""
    try:
        text = (
            Path(path).read_text() if path else resources.files("fingerpost.infra").joinpath("prefect.yaml").read_text()
        )
        found = yaml.safe_load(text)
    except (OSError, ValueError, RecursionError, yaml.YAMLError) as problem:
        raise DeploymentError(
            f"deployments {path or 'infra/prefect.yaml'}: expected a YAML file, got {' '.join(str(problem).split())};"
            " fix it"
        ) from problem
    if not isinstance(found, dict) or not isinstance(found.get("deployments"), list):
        raise DeploymentError(
            f"deployments {path or 'infra/prefect.yaml'}: expected a list `deployments`, found none; see"
            " infra/prefect.yaml"
        )
    return found


def adapted(
    file: dict[str, Any], *, profile: str = "", only: tuple[str, ...] = (), paused: bool = False
) -> dict[str, Any]:
    """The deployments file with another profile (and its time zone), only some entries, or all entries paused."""
    from fingerpost.flows.run.profiles import load_settings

    names = [entry["name"] for entry in file["deployments"]]
    if unknown := sorted(set(only) - set(names)):
        raise DeploymentError(
            f"--only: expected deployments among {', '.join(names)}, got {', '.join(unknown)}; correct it"
        )
    file_content = {**file, "deployments": [deepcopy(e) for e in file["deployments"] if not only or e["name"] in only]}
    for entry in file_content["deployments"]:
        request = (entry.get("parameters") or {}).get("request")
        if request is not None and profile:
            request["profile"] = str(Path(profile).absolute()) if profile.endswith(".toml") else profile
        settings, _ = load_settings((request or {}).get("profile", "nightly"))
        for schedule in entry.get("schedules") or ():
            if "cron" in schedule or "rrule" in schedule:
                schedule["timezone"] = settings.run.timezone
        if paused:
            entry["paused"] = True
    return file_content


def deploy(
    *,
    home: str = "",
    profile: str = "",
    only: tuple[str, ...] = (),
    paused: bool = False,
    file: str = "",
    say: Callable[[str], None],
) -> list[Deployed]:
    """Applies the deployments file to the running stack or the server of PREFECT_API_URL; returns the deployments."""
    file_content = adapted(read_file(file), profile=profile, only=only, paused=paused)
    environment = connection(home)
    api = api_of(environment)
    _check_pools(api, file_content)
    _apply(file_content, environment)
    if not paused:
        catch_up(api, only=[entry["name"] for entry in file_content["deployments"]], say=say)
    return [_deployed(api, entry) for entry in file_content["deployments"]]


def _check_pools(api: Api, file_content: dict[str, Any]) -> None:
    for pool in sorted({entry["work_pool"]["name"] for entry in file_content["deployments"]}):
        try:
            api.get(f"work_pools/{pool}")
        except ApiError as problem:
            if problem.status != 404:
                raise
            raise DeploymentError(
                f"work pool {pool}: expected it on the server, found none; `fingerpost up` creates it, or `prefect"
                f" work-pool create {pool} --type process`"
            ) from None


def _apply(file_content: dict[str, Any], environment: dict[str, str]) -> None:
    with tempfile.TemporaryDirectory(prefix="fingerpost-deploy-") as folder:
        path = Path(folder) / "prefect.yaml"
        path.write_text(yaml.safe_dump(file_content, sort_keys=False))
        done = subprocess.run(
            [sys.executable, "-P", "-m", "prefect", "--no-prompt", "deploy", "--all", "--prefect-file", str(path)],
            env={**os.environ, **environment, "NO_COLOR": "1", "COLUMNS": "200"},
            cwd=folder,
            capture_output=True,
            text=True,
            timeout=_DEPLOY_SECONDS,
            check=False,
        )
    if done.returncode != 0:
        said = [line.strip() for line in (done.stdout + done.stderr).splitlines() if line.strip()]
        raise DeploymentError(
            f"deployments: expected Prefect to apply them, got exit code {done.returncode}"
            f" ({said[-1] if said else 'no message'}); fix the file"
        )


def _deployed(api: Api, entry: dict[str, Any]) -> Deployed:
    flow = entry["entrypoint"].rsplit(".", 1)[-1].rsplit(":", 1)[-1]
    found = api.get(f"deployments/name/{flow}/{entry['name']}")
    return Deployed(
        name=f"{flow}/{entry['name']}",
        id=str(found["id"]),
        schedules=tuple(_schedule_text(schedule) for schedule in found["schedules"]),
        paused=bool(found["paused"]),
        limit=(found.get("global_concurrency_limit") or {}).get("limit"),
    )


def _schedule_text(schedule: dict[str, Any]) -> str:
    what = schedule["schedule"]
    when = what.get("cron") or what.get("rrule") or f"every {what.get('interval')} s"
    return f"{when} {what.get('timezone') or 'UTC'}{'' if schedule['active'] else ' (off)'}"


def follow_rename(api: Api, *, say: Callable[[str], None]) -> int:
    """Points deployments of version 0.1, whose entry points lack the package, to the flows where they are now.

    Returns how many there were. Without it their runs would end with "No module named 'flows'".
    """
    older = [found for found in api.pages("deployments/filter", {}) if str(found["entrypoint"]).startswith("flows.")]
    for deployment in older:
        entrypoint = f"{_PACKAGE}.{deployment['entrypoint']}"
        api.ask("PATCH", f"deployments/{deployment['id']}", {"entrypoint": entrypoint})
        say(f"deployment {deployment['name']} runs {entrypoint} now")
    return len(older)
