"""The collection and the profile that a command means where none is named. Imports no Prefect."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fingerpost.flows.run.flow_names import NIGHTLY, flow_names
from fingerpost.flows.run.profiles import environment_settings
from fingerpost.flows.run.request import RunRequest, collection_of
from fingerpost.flows.run.section import SettingsError
from fingerpost.schemas.errors import CorruptArtifactError
from fingerpost.schemas.inputs import SAMPLE
from fingerpost.schemas.publish import only_collection
from fingerpost.schemas.store import Store, find_store
from fingerpost.tasks.ledger import newest_partition, partitioned, read_run

#: The profile of a collection that never ran.
DEFAULT_PROFILE = "quick"

#: The settings that name a collection, or the documents of one.
_NAMING = ("input.collection", "input.source")


def collection_with_days(store: Store, flow: str = "") -> str:
    """The only collection of a store that has days of a flow, or of any flow where none has days of that one.

    The built-in sample if it is among them or there are none; MissingArtifactError for several.
    """
    known = partitioned(store)
    return only_collection({name for ran, name in known if ran == flow} or {name for _, name in known})


def names_collection(origins: Mapping[str, str]) -> bool:
    """Whether the origins of settings say that a collection or its documents are named."""
    return any(key in origins for key in _NAMING)


def with_collection(request: RunRequest, flow: str) -> RunRequest:
    """The request for the only collection of its store, unless it, the environment or its profile names one."""
    if request.collection or request.input:
        return request
    settings, origins = request.with_origins()
    if names_collection(origins):
        return request
    found = collection_with_days(Store(settings.store or find_store()), flow)
    return request if found == settings.input.collection else request.model_copy(update={"collection": found})


def asked_collection(
    *,
    store: str = "",
    flow: str = NIGHTLY,
    collection: str = "",
    source: str = "",
    settings: Mapping[str, Any] | None = None,
    only: bool = False,
) -> str:
    """The collection that options name, or the environment or the name of an input.

    Without any it is the built-in sample's; with ``only`` the only one of the store that has days of the flow.
    """
    given = {**environment_settings(), **(settings or {})}
    name = collection or str(given.get("input.collection") or "") or (collection_of(source) if source else "")
    return name or (collection_with_days(_place(store, given), flow) if only else SAMPLE)


def asked_profile(profile: str, *, store: str = "", flow: str = NIGHTLY, **named: Any) -> str:
    """The profile of an option; without one, what the collection that `asked_collection` finds was run with before."""
    if profile:
        return profile
    given = {**environment_settings(), **(named.get("settings") or {})}
    return remembered_profile(_place(store, given), asked_collection(store=store, flow=flow, **named), flow)


def _place(store: str, given: Mapping[str, Any]) -> Store:
    return Store(store or str(given.get("store") or find_store()))


def remembered_profile(store: Store, collection: str, flow: str = NIGHTLY) -> str:
    """The profile of the newest successful day of a flow of a collection, else of another flow; else the default one.

    SettingsError if it was a file that is no more.
    """
    known = {ran for ran, name in partitioned(store) if name == collection}
    for one in [name for name in dict.fromkeys((flow, *flow_names())) if name in known]:
        if not (day := newest_partition(store, one, collection)):
            continue
        try:
            named = str((read_run(store, day["run"]).get("request") or {}).get("profile") or "")
        except (FileNotFoundError, CorruptArtifactError):
            continue
        if named.endswith(".toml") and not Path(named).is_file():
            raise SettingsError(
                f"profile of {collection}: expected the file {named} that {one} of {day['day']} was run with, found none;"
                " name a profile with --profile"
            )
        if named:
            return named
    return DEFAULT_PROFILE
