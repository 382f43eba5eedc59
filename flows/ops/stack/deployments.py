"""The deployments of infra/prefect.yaml, applied to the running stack with Prefect's own deploy."""

import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib import resources
from itertools import chain, count
from pathlib import Path
from typing import Any

import yaml

from fingerpost.flows.ops.stack.schedules import checked_schedule, whole_days
from fingerpost.flows.ops.stack.state import api_of, connection
from fingerpost.flows.ops.watch.catch_up import catch_up
from fingerpost.flows.run.api import Api, ApiError
from fingerpost.flows.run.calendar import logical_day
from fingerpost.flows.run.flow_names import NIGHTLY, flow_names
from fingerpost.flows.run.profiles import load_settings
from fingerpost.flows.run.request import RunRequest
from fingerpost.flows.run.schedule_pause import begin_schedule, end_schedule
from fingerpost.schemas.errors import FingerpostError, UsageError
from fingerpost.schemas.store import Store, find_store
from fingerpost.tasks.ledger import partitions

#: The package that the flows are installed in.
_PACKAGE = "fingerpost"
#: The beginning of the tag of a deployment, and so of its runs, that names the collection.
_COLLECTION = "collection:"
#: Timeout of Prefect's deploy in seconds.
_DEPLOY_SECONDS = 180


class DeploymentError(FingerpostError):
    """A deployment that is unknown, or that the server or Prefect refuses."""


@dataclass(frozen=True)
class Deployed:
    """A deployment on the server.

    ``collection`` is empty for one that serves all of them, ``profile`` for one whose runs name another each. ``ours``:
    made by `deploy`, of this version or the one before. ``problem``: why its request cannot be read.
    """

    name: str
    id: str
    schedules: tuple[str, ...]
    paused: bool
    limit: int | None
    collection: str = ""
    profile: str = ""
    store: str = ""
    ours: bool = True
    problem: str = ""

    @property
    def flow(self) -> str:
        """The name of its flow."""
        return self.name.partition("/")[0]

    @property
    def shared(self) -> bool:
        """Whether it serves all collections of a store."""
        return self.flow not in flow_names()

    @property
    def own_name(self) -> str:
        """Its name without that of the flow."""
        return self.name.partition("/")[2]


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
    file: dict[str, Any],
    *,
    profile: str = "",
    only: tuple[str, ...] = (),
    paused: bool = False,
    served: Sequence[Deployed] = (),
    say: Callable[[str], None] = lambda line: None,
) -> dict[str, Any]:
    """The deployments file for the collection of a profile: with its names, time zone and cron, only some entries.

    Flows of a collection get deployments of its own, named by it; deployments of other collections stay. The others
    (`backfill`, `watch_freshness`) serve all collections of a store, and are not paused where they are ``served``
    already. A deployment that is served for the same flow, collection and store keeps its name.
    """
    names = [entry["name"] for entry in file["deployments"]]
    if unknown := sorted(set(only) - set(names)):
        raise UsageError(f"--only: expected deployments among {', '.join(names)}, got {', '.join(unknown)}; correct it")
    entries = [deepcopy(entry) for entry in file["deployments"] if not only or entry["name"] in only]
    known = list(served)
    for entry in entries:
        _adapt(entry, str(Path(profile).absolute()) if profile.endswith(".toml") else profile, known, say)
        if paused:
            shared = [one for one in served if one.name == _full_name(entry) and one.shared]
            entry["paused"] = shared[0].paused if shared else True
    return {**file, "deployments": entries}


def _adapt(entry: dict[str, Any], profile: str, known: list[Deployed], say: Callable[[str], None]) -> None:
    """Completes an entry, and notes in ``known`` that its name is taken."""
    flow = flow_of(entry)
    request = (entry.get("parameters") or {}).get("request")
    of_collection = flow in flow_names()
    settings, _ = load_settings(profile or (request or {}).get("profile", NIGHTLY))
    if request is not None and profile and (of_collection or request.get("collections")):
        request["profile"] = profile
    if request is not None and not of_collection and settings.store:
        request["store"] = settings.store
    if of_collection:
        entry["parameters"] = {**(entry.get("parameters") or {}), "request": request or {}}
        asked = RunRequest.of(**(request or {})).for_any_day()
        collection, store = asked.input.collection, asked.store
    else:
        collection, store = "", settings.store if request is not None else ""
    entry["tags"] = [*(entry.get("tags") or ()), *([f"{_COLLECTION}{collection}"] if collection else [])]
    entry["name"] = _name(entry["name"], flow, collection or settings.input.collection, (collection, store), known)
    known.append(Deployed(_full_name(entry), "", (), False, None, collection, "", store))
    for schedule in entry.get("schedules") or ():
        if flow == NIGHTLY and settings.schedule.cron and "cron" in schedule:
            schedule["cron"] = settings.schedule.cron
        if "cron" in schedule or "rrule" in schedule:
            schedule["timezone"] = settings.run.timezone
        if of_collection:
            kept, line = whole_days(schedule, settings.run.timezone)
            schedule.update(kept)
            if line and schedule.get("active", True):
                say(f"{_full_name(entry)}: {line}")
        else:
            checked_schedule(schedule)


def _name(entry: str, flow: str, collection: str, serves: tuple[str, str], known: Sequence[Deployed]) -> str:
    """The name of the deployment that serves a collection in a store: the one it has, else one that is not taken."""
    own = entry if not serves[0] else collection if entry == flow else f"{entry}-{collection}"
    there = [one for one in known if one.flow == flow]
    for one in there:
        named = one.own_name == entry or (one.ours and (one.own_name == own or one.own_name.startswith(f"{own}-")))
        if named and (one.collection, one.store) == serves:
            return one.own_name
    taken = {one.own_name for one in there}
    return next(name for name in chain([own], (f"{own}-{number}" for number in count(2))) if name not in taken)


def flow_of(entry: Mapping[str, Any]) -> str:
    """The name of an entry's flow."""
    return str(entry["entrypoint"]).rsplit(".", 1)[-1].rsplit(":", 1)[-1]


def _full_name(entry: Mapping[str, Any]) -> str:
    return f"{flow_of(entry)}/{entry['name']}"


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
    content = read_file(file)
    environment = connection(home)
    api = api_of(environment)
    served = deployed(api)
    content = adapted(content, profile=profile, only=only, paused=paused, served=served, say=say)
    _check_pools(api, content)
    _apply(content, environment)
    names = [_full_name(entry) for entry in content["deployments"]]
    found = {one.name: one for one in deployed(api, also=names)}
    made = [found[name] for name in names]
    for one, entry in zip(made, content["deployments"], strict=True):
        if one.collection:
            with _saying(f"{one.name}: the store does not expect its days yet", say):
                settings = RunRequest.of(**entry["parameters"]["request"]).for_any_day()
                zone, lag = settings.run.timezone, settings.schedule.lag_days
                day = logical_day(datetime.now(UTC), timezone=zone, lag_days=lag)
                begin_schedule(_store_of(one, environment), one.flow, one.collection, day=day)
    if not paused:
        catch_up(api, only=[one.id for one in made], say=say)
    _say_of_others(served, made, say)
    return made


def _say_of_others(served: Sequence[Deployed], made: Sequence[Deployed], say: Callable[[str], None]) -> None:
    """Names the deployments that were there and run the same flow of the same collection as one that was made now."""
    names = {one.name for one in made}
    serves = {(one.flow, one.collection, one.store): one.name for one in made if one.collection}
    for one in served:
        if one.problem and one.name not in names:
            say(f"{one.name} cannot be read: {one.problem}; `prefect deployment delete {one.name}` if it is of no use")
        elif one.name not in names and (new := serves.get((one.flow, one.collection, one.store))):
            say(f"{one.name} runs {one.flow} of {one.collection} beside {new}; `prefect deployment delete {one.name}`")


@contextmanager
def _saying(what: str, say: Callable[[str], None]) -> Iterator[None]:
    """Says an error of a store that this machine cannot use; the server is the one that deployments are on."""
    try:
        yield
    except FingerpostError as problem:
        say(f"{what}: {' '.join(str(problem).split())}")


def _store_of(one: Deployed, environment: Mapping[str, str]) -> Store:
    return Store(one.store or environment.get("FINGERPOST_STORE", "") or find_store())


def undeploy(
    *,
    home: str = "",
    collection: str = "",
    everything: bool = False,
    only: tuple[str, ...] = (),
    say: Callable[[str], None],
) -> list[Deployed]:
    """Removes the deployments of a collection from the server, with their planned runs; returns them.

    What serves all collections goes with the last of them, or where ``everything`` is asked for. Running runs finish,
    and the store stays; days after the newest scheduled one are not expected any more, so they are not late.
    """
    environment = connection(home)
    api = api_of(environment)
    served = [one for one in deployed(api) if one.ours]
    mine = [one for one in served if not one.shared and (everything or one.collection == collection)]
    mine = [one for one in mine if not only or one.flow in only or one.own_name in only]
    left = [one for one in served if not one.shared and one not in mine]
    gone = mine if left or only else [one for one in served if one not in left]
    if not mine and not (everything and gone):
        known = sorted({one.collection for one in served if one.collection})
        raise DeploymentError(
            f"deployments of {collection or 'all collections'}: expected some on the server, found none (there are"
            f" those of {', '.join(known) or 'no collection'}); see `fingerpost deploy --list`"
        )
    for one in gone:
        api.ask("DELETE", f"deployments/{one.id}")
        if one.collection and not one.problem:
            with _saying(f"{one.name}: the store still expects its days", say):
                store = _store_of(one, environment)
                records = partitions(store, one.flow, one.collection)
                if days := [day for day, record in records.items() if record.get("deadline")]:
                    end_schedule(store, one.flow, one.collection, day=max(days))
        say(f"removed {one.name}, with its planned runs")
    return gone


def deployed(api: Api, *, also: Collection[str] = ()) -> list[Deployed]:
    """The deployments of this project's flows on the server, and ``also`` those of these names, by name."""
    flows = {flow["id"]: str(flow["name"]) for flow in api.pages("flows/filter", {})}
    found = api.pages("deployments/filter", {})
    ours = [
        one
        for one in found
        if str(one["entrypoint"] or "").startswith((f"{_PACKAGE}.flows.", "flows."))
        or f"{flows[one['flow_id']]}/{one['name']}" in also
    ]
    return sorted((_deployed(one, flows[one["flow_id"]]) for one in ours), key=lambda one: one.name)


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


def _deployed(found: Mapping[str, Any], flow: str) -> Deployed:
    request = (found["parameters"] or {}).get("request") or {}
    tagged = next((tag.removeprefix(_COLLECTION) for tag in found["tags"] if tag.startswith(_COLLECTION)), "")
    collection = store = problem = ""
    try:
        if flow in flow_names():
            settings = RunRequest.of(**request).for_any_day()
            collection, store = settings.input.collection, settings.store
        elif request:
            store = str(request.get("store") or load_settings(request.get("profile", NIGHTLY))[0].store)
    except (FingerpostError, TypeError) as error:
        problem, collection = " ".join(str(error).split()), tagged
    return Deployed(
        name=f"{flow}/{found['name']}",
        id=str(found["id"]),
        schedules=tuple(_schedule_text(schedule) for schedule in found["schedules"]),
        paused=bool(found["paused"]),
        limit=(found.get("global_concurrency_limit") or {}).get("limit"),
        collection=collection,
        profile=str(request.get("profile", "")),
        store=store,
        # Those of the version before have the names and tags of the deployments file.
        ours="fingerpost" in found["tags"]
        and (bool(tagged) or re.fullmatch(rf"{flow}(-\d+)?", found["name"]) is not None),
        problem=problem,
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
