"""The inputs of a run, and those that a collection remembers.

A collection remembers, for each kind of input, the file and how it was read in the last successful run of its newest
day, with ``{day}`` still in the path. A run uses that where neither the command line, the environment nor a profile of
the user's own names documents. The collection of the built-in sample remembers nothing: its input is the sample.
"""

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from fingerpost.flows import domains
from fingerpost.flows.domains.domain import Domain, FileUse, InputFile, named
from fingerpost.flows.run.flow_names import NIGHTLY
from fingerpost.flows.run.input_days import SNAPSHOT, several_days
from fingerpost.flows.run.profiles import REMEMBERED, file_settings, in_force, profile_names
from fingerpost.schemas.errors import UnsafeNameError
from fingerpost.schemas.inputs import SAMPLE
from fingerpost.schemas.inputs.days import DAY
from fingerpost.schemas.refs import checked_name
from fingerpost.schemas.remembered import Remembered, remember_inputs, remembered_inputs
from fingerpost.schemas.store import Store, find_store
from fingerpost.schemas.urls import without_credentials

_DOCUMENTS = "input.source"


def inputs_named(origins: Mapping[str, str]) -> frozenset[str]:
    """The settings of input files that the user named; what a packaged profile has there is for the sample alone."""
    packaged = {f"profile {name}" for name in profile_names()} | {REMEMBERED}
    settings = [file.setting for _, file in domains.inputs()]
    settings += [keys[0] for domain in domains.DOMAINS for keys in domain.files_of.values()]
    return frozenset(setting for setting in settings if _named(setting, origins, packaged))


def _named(key: str, origins: Mapping[str, str], apart: Collection[str]) -> bool:
    return any(
        origin not in apart and (other == key or other.startswith(f"{key}.")) for other, origin in origins.items()
    )


def remembered_settings(values: Mapping[str, Any], origins: Mapping[str, str]) -> dict[str, Any]:
    """The settings that a collection remembers and nobody named, by dotted key.

    ``values`` are the settings that are given, as an unchecked tree. What is wrong in them is for their check to say.
    """
    given = values.get("input")
    section: Mapping[str, Any] = given if isinstance(given, Mapping) else {}
    collection, named_inputs = section.get("collection", SAMPLE), inputs_named(origins)
    if collection == SAMPLE or _DOCUMENTS in named_inputs or not _is_name(collection):
        return {}
    store = Store(str(values.get("store") or find_store()))
    apart = {f"profile {name}" for name in profile_names()}
    return {
        key: value
        for setting, entry in remembered_inputs(store, collection).items()
        if setting not in named_inputs
        for key, value in entry.values.items()
        if not _named(key, origins, apart)
    }


def _is_name(value: object) -> bool:
    try:
        return isinstance(value, str) and bool(checked_name(value))
    except UnsafeNameError:
        return False


def domains_read(settings: Any, flow: str) -> list[Domain]:
    """The domains whose inputs a flow reads: its own with what that is made of, or those of the domains that it needs."""
    running = [domain for domain in domains.DOMAINS if flow in (NIGHTLY, domain.flow_name)]
    if flow == NIGHTLY:
        running = [domain for domain in running if not (domain.skipped and named(domain.skipped)(settings))]
    wanted = [one for domain in running for one in _made_of(domain)]
    return [domain for domain in domains.DOMAINS if domain.source and domain in wanted]


def _made_of(domain: Domain) -> list[Domain]:
    """A domain with its own input, and the domains that it is made of."""
    if not domain.source:
        return domains.with_needs(domain)
    return [domain, *(one for word in domain.made_of for one in _made_of(domains.domain_of(word)))]


def check_named(settings: Any, flow: str) -> None:
    """SettingsError, before anything starts, where a flow reads an input that nobody named."""
    for domain in domains_read(settings, flow):
        named(domain.source)(settings, flow, None)


def remember(store: Store, flow: str, settings: Any, named_inputs: Collection[str], *, day: str, run: str) -> None:
    """Remembers the inputs of a successful run, unless those of a later day are known.

    ``settings``: those of the run with ``{day}`` in the paths. An input that was named as empty is forgotten.
    CorruptArtifactError if what is known cannot be read; it stays as it is.
    """
    collection = settings.input.collection
    if collection == SAMPLE:
        return
    before = remembered_inputs(store, collection)
    now = {
        setting: Remembered(values, day, run)
        for setting, values in _values_read(settings, flow, named_inputs).items()
        if setting not in before or before[setting].day <= day
    }
    after = {setting: one for setting, one in {**before, **now}.items() if one.values}
    if after != before:
        remember_inputs(store, collection, after)


def _values_read(settings: Any, flow: str, named_inputs: Collection[str]) -> dict[str, dict[str, Any]]:
    """The settings of each input that a flow read, by the setting of the file; empty for one named as empty."""
    uses, flat, default = domains.files_read(settings, flow), in_force(settings), in_force(type(settings)())
    read, found = domains_read(settings, flow), dict[str, dict[str, Any]]()
    if any(domain.source and domain not in uses for domain in read):
        # What has no file of its own is made from the documents.
        read = [*read, *(domain for domain, file in domains.inputs() if file.setting == _DOCUMENTS)]
    for domain in domains.DOMAINS:
        for file in domain.inputs:
            if domain in read and not (file.optional and not flat[file.setting]):
                found[file.setting] = _values_of(file, uses.get(domain, []), settings, flat, default)
            elif file.setting in named_inputs and not flat[file.setting]:
                found[file.setting] = {}
        for setting, *beside in domain.files_of.values():
            if domain in read and flat[setting]:
                found[setting] = {setting: _absolute(flat[setting], ())}
                found[setting] |= {key: flat[key] for key in beside if flat[key] != default[key]}
            elif setting in named_inputs and not flat[setting]:
                found[setting] = {}
    return found


def _values_of(
    file: InputFile, uses: list[FileUse], settings: Any, flat: Mapping[str, Any], default: Mapping[str, Any]
) -> dict[str, Any]:
    """The file of an input and how it was read, also where the flow read another setting in its place."""
    uses = _uses_of(file, uses)
    values = {file.setting: uses[0].path if uses else flat[file.setting]}
    columns = {ours: theirs for use in uses for ours, theirs in use.columns.items()}
    if file.columns and columns:
        values[file.columns] = columns
    beside = [key for key in flat if any(key == one or key.startswith(f"{one}.") for one in file.beside)]
    values |= {key: flat[key] for key in beside if flat[key] != default[key]}
    marks = {".".join(path): mark for path, mark in file_settings().items()}
    if uses and DAY in uses[0].path and (key := marks[file.setting].days):
        # The setting of all inputs may say so, and may be another one later.
        values[key] = several_days(settings, uses[0].setting) or SNAPSHOT
    for key in values.keys() & marks.keys():
        values[key] = _absolute(values[key], marks[key].builtin)
    secret = any(isinstance(value, str) and without_credentials(value) != value for value in values.values())
    return {} if secret or not values[file.setting] else values


def _uses_of(file: InputFile, uses: list[FileUse]) -> list[FileUse]:
    """Those of a domain's files that are an input's own, or are read beside it: of several inputs, beside the first."""
    siblings = next(domain.inputs for domain, other in domains.inputs() if other is file)
    if file is not siblings[0]:
        return [use for use in uses if use.setting == file.setting]
    apart = {other.setting for other in siblings[1:]}
    return [use for use in uses if use.setting not in apart]


def _absolute(path: str, builtin: Collection[str]) -> str:
    return path if path in {"", *builtin} or "://" in path else str(Path(path).absolute())
