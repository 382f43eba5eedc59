"""Loading of settings, checked before anything starts: defaults, profile, environment, command line, in this order."""

import logging
import os
import tomllib
from collections.abc import Callable, Container, Iterator, Mapping, Sequence, Set
from copy import copy
from dataclasses import fields as dataclass_fields
from dataclasses import is_dataclass
from functools import lru_cache
from importlib import resources
from pathlib import Path
from typing import Any, TypeVar, get_origin, get_type_hints

from pydantic import BaseModel, ValidationError

from fingerpost.flows import domains
from fingerpost.flows.domains.settings import Settings
from fingerpost.flows.run.section import NamesFile, SettingsError
from fingerpost.schemas.errors import InputError
from fingerpost.schemas.records import nested_deeply
from fingerpost.schemas.refs import digest_of
from fingerpost.schemas.urls import has_credentials
from fingerpost.schemas.wording import shown

T = TypeVar("T")

_log = logging.getLogger("fingerpost.settings")
#: The origin of a setting that a collection remembers.
REMEMBERED = "remembered"


def profile_names() -> list[str]:
    """The profiles that come with the package."""
    return sorted(
        file.name.removesuffix(".toml")
        for file in resources.files("fingerpost.infra.profiles").iterdir()
        if file.name.endswith(".toml")
    )


def load_settings(
    profile: str,
    *,
    overrides: dict[str, Any] | None = None,
    remembered: Callable[[Mapping[str, Any], Mapping[str, str]], dict[str, Any]] = lambda values, origins: {},
) -> tuple[Settings, dict[str, str]]:
    """The settings in force and, by dotted key, the origin of each that is not a default.

    ``profile`` is a name or a TOML file. ``overrides`` are dotted keys with values from the command line. Environment
    variables ``FINGERPOST_SET_<SECTION>__<KEY>`` come between. ``remembered`` gives further dotted keys that none of
    these names, by their unchecked tree and origins. SettingsError names the key and what is allowed.
    """
    values: dict[str, Any] = {}
    origins: dict[str, str] = {}
    for origin, layer in (
        (f"profile {profile}", _flat(read_profile(profile))),
        ("environment", environment_settings()),
        ("command line", overrides or {}),
    ):
        for key, value in renamed(layer, origin=origin).items():
            _put(values, key, _listed(value))
            origins[key] = origin
    for key, value in renamed(remembered(values, origins)).items():
        _put(values, key, value)
        origins[key] = REMEMBERED
    try:
        settings = domains.settings.Settings(
            **{"profile": profile if profile in profile_names() else Path(profile).stem, **values}
        )
    except ValidationError as problem:
        raise SettingsError(_explain(problem, origins)) from problem
    for path in file_settings():
        if has_credentials(str(value_at(settings, path))):
            key = ".".join(path)
            raise SettingsError(
                f"{key} (from {origins.get(key, 'default')}): expected a path or URL without credentials, got one with"
                " them (not shown); give them in the environment"
            )
    return settings, origins


def read_profile(profile: str) -> dict[str, Any]:
    """The content of a profile, unchecked.

    SettingsError if there is no profile of this name or the file is no TOML, InputError if there is no such file.
    """
    folder: Path | None = None
    if profile in profile_names():
        text = resources.files("fingerpost.infra.profiles").joinpath(f"{profile}.toml").read_text()
    elif profile.endswith(".toml"):
        text, folder = _text_of(profile), Path(profile).absolute().parent
    else:
        raise SettingsError(
            f"profile: expected one of {', '.join(profile_names())} or a TOML file, got {profile!r}; choose one of them"
        )
    try:
        tree = tomllib.loads(text)
    except tomllib.TOMLDecodeError as problem:
        raise SettingsError(f"profile {profile}: expected TOML, found {problem}; fix that line") from problem
    except RecursionError:
        tree = None
    if tree is None or nested_deeply(tree):
        raise SettingsError(f"profile {profile}: expected sections of settings, found deep nesting; write it again")
    return _relative_to(folder, tree) if folder else tree


def _text_of(profile: str) -> str:
    try:
        return Path(profile).read_text("utf-8")
    except (FileNotFoundError, NotADirectoryError):
        raise InputError(f"profile {profile}: expected a file, found nothing there; check the path") from None
    except UnicodeDecodeError as problem:
        raise SettingsError(
            f"profile {profile}: expected UTF-8, found byte {problem.object[problem.start]:#04x} at position"
            f" {problem.start}; save it as UTF-8"
        ) from None
    except OSError as problem:
        raise SettingsError(
            f"profile {profile}: expected a file that can be read, got {problem.strerror or problem}; check its"
            " permissions"
        ) from problem


#: A field of a section: its path, its type and its marks.
_Field = tuple[tuple[str, ...], Any, tuple[Any, ...]]


@lru_cache(maxsize=256)
def _walk(section: Any, prefix: tuple[str, ...] = ()) -> tuple[_Field, ...]:
    """Every field of a section and its subsections."""
    return tuple(_fields(section, prefix))


def _fields(section: Any, prefix: tuple[str, ...]) -> Iterator[_Field]:
    if is_dataclass(section):
        types = get_type_hints(section)
        fields = [(entry.name, types[entry.name], ()) for entry in dataclass_fields(section)]
    else:
        fields = [(name, entry.annotation, tuple(entry.metadata)) for name, entry in section.model_fields.items()]
    for name, kind, marks in fields:
        path = (*prefix, name)
        yield path, kind, marks
        if _is_section(kind):
            yield from _walk(kind, path)


def file_settings(settings: type[BaseModel] | None = None) -> dict[tuple[str, ...], NamesFile]:
    """The settings that name files, by the path of their keys."""
    walked = _walk(settings or domains.settings.Settings)
    return {path: mark for path, _, marks in walked for mark in marks if isinstance(mark, NamesFile)}


def _mappings() -> set[str]:
    """The dotted keys of the settings whose values map keys of the user's choice."""
    return {".".join(path) for path, kind, _ in _walk(domains.settings.Settings) if get_origin(kind) in (dict, Mapping)}


def value_at(settings: BaseModel, path: Sequence[str]) -> Any:
    """The value of a setting by the path of its keys."""
    value: Any = settings
    for key in path:
        value = getattr(value, key)
    return value


def with_values(settings: T, values: Mapping[tuple[str, ...], Any]) -> T:
    """The settings with some values replaced, by the path of their keys; the values are not checked."""
    sections: dict[str, dict[tuple[str, ...], Any]] = {}
    for (head, *rest), value in values.items():
        sections.setdefault(head, {})[tuple(rest)] = value
    update = {
        key: inner[()] if () in inner else with_values(getattr(settings, key), inner) for key, inner in sections.items()
    }
    if isinstance(settings, BaseModel):
        return settings.model_copy(update=update)
    changed = copy(settings)
    for key, value in update.items():
        object.__setattr__(changed, key, value)
    return changed


def _relative_to(folder: Path, tree: dict[str, Any]) -> dict[str, Any]:
    """The settings of a user's profile with paths made absolute: they are relative to the folder of the profile."""
    no_files = {"", *_builtin()}
    for *sections, key in file_settings():
        node: Any = tree
        for section in sections:
            node = node.get(section) if isinstance(node, dict) else None
        value = node.get(key) if isinstance(node, dict) else None
        if isinstance(node, dict) and isinstance(value, str) and value not in no_files and "://" not in value:
            node[key] = str(folder / value)
    return tree


def _builtin() -> set[str]:
    """The values of a path setting that name no file."""
    return {name for mark in file_settings().values() for name in mark.builtin}


#: Keys of earlier versions that were warned about, each with its origin.
_warned: set[tuple[str, str]] = set()


def renamed(values: Mapping[str, Any], *, origin: str = "") -> dict[str, Any]:
    """Settings by dotted key, with keys of earlier versions replaced; with ``origin``, each is warned about once."""
    shared: dict[str, list[str]] = {}
    for domain in domains.DOMAINS:
        for old, new in domain.former.items():
            shared.setdefault(old, []).extend(new)
    current: dict[str, Any] = {}
    for key, value in values.items():
        for name in shared.get(key, [key]):
            current.setdefault(name, value)
        if key in shared and origin and (origin, key) not in _warned:
            _warned.add((origin, key))
            _log.warning("%s: %s is now called %s; rename it", origin, key, " and ".join(shared[key]))
    return current


def _flat(tree: dict[str, Any], prefix: str = "", mappings: Set[str] | None = None) -> dict[str, Any]:
    flat: dict[str, Any] = {}
    mappings = _mappings() if mappings is None else mappings
    for key, value in tree.items():
        if isinstance(value, dict) and f"{prefix}{key}" not in mappings:
            flat |= _flat(value, f"{prefix}{key}.", mappings)
        else:
            flat[f"{prefix}{key}"] = value
    return flat


def _listed(value: Any) -> Any:
    """The list that a text from the command line or environment contains in TOML form; any other text unchanged."""
    if not (isinstance(value, str) and value.startswith("[") and value.endswith("]")):
        return value
    try:
        return tomllib.loads(f"value = {value}")["value"]
    except (tomllib.TOMLDecodeError, RecursionError):
        return value


def environment_settings() -> dict[str, Any]:
    """The settings of environment variables ``FINGERPOST_SET_<SECTION>__<KEY>``, by dotted key."""
    prefix = "FINGERPOST_SET_"
    return {
        key.removeprefix(prefix).lower().replace("__", "."): value
        for key, value in os.environ.items()
        if key.startswith(prefix)
    }


def _put(tree: dict[str, Any], dotted: str, value: Any) -> None:
    *path, last = dotted.split(".")
    for key in path:
        tree = tree.setdefault(key, {})
        if not isinstance(tree, dict):
            raise SettingsError(f"{dotted}: expected {key} to be a section, found a value; fix the key")
    tree[last] = value


def _explain(problem: ValidationError, origins: dict[str, str]) -> str:
    from fingerpost.flows.run.explanations import meanings, near_keys  # imported here: they read all sections

    first = problem.errors()[0]
    key = _setting_of([str(part) for part in first["loc"]], known=meanings())
    named = origins.get(key) or next((origin for name, origin in origins.items() if name.startswith(f"{key}.")), "")
    where = f" (from {named})" if named else ""
    if first["type"] in {"extra_forbidden", "unexpected_keyword_argument"}:
        if advice := advice_about(key):
            return f"{key}{where}: expected a key of this version, got one of an earlier version; {advice}"
        return (
            f"{key}{where}: expected a known key, one of {', '.join(_allowed(first['loc'][:-1]))}{near_keys(key)}; correct"
            " or remove it"
        )
    got = f", got {shown(first.get('input'))}"
    if first["type"] == "value_error":
        said = str(first["ctx"]["error"])
        # A section that checks its own values names the field, and what it got.
        field, separator, rest = said.partition(": ")
        if separator and field in _allowed(first["loc"]):
            key, said = f"{key}.{field}", rest
        return f"{key}{where}: {said}{'' if ', got ' in said else got}; see `fingerpost config --explain {key}`"
    if inner := _allowed(first["loc"]):
        expected = f"a section of settings ({', '.join(inner)})"
    else:
        expected = meanings()[key].values if key in meanings() else first["msg"]
    return f"{key}{where}: expected {expected}{got}; see `fingerpost config --explain {key}`"


def _setting_of(path: Sequence[str], *, known: Container[str]) -> str:
    """The setting that a path leads to or into, as to an item of a list; the whole path where it is none."""
    keys = [".".join(path[:end]) for end in range(len(path), 0, -1)]
    return next((key for key in keys if key in known), keys[0] if keys else "")


def advice_about(key: str) -> str:
    """What to do about a key of an earlier version, or one in a section of it; empty for any other."""
    gone = {old: advice for domain in domains.DOMAINS for old, advice in domain.gone.items()}
    return next((advice for old, advice in gone.items() if f"{key}.".startswith(f"{old}.")), "")


def _allowed(path: tuple[Any, ...]) -> list[str]:
    """The keys of a section; none of a value."""
    node: Any = domains.settings.Settings()
    for part in path:
        node = getattr(node, str(part), None)
    if not (is_dataclass(node) or isinstance(node, BaseModel)):
        return []
    return sorted(vars(node)) if is_dataclass(node) else sorted(type(node).model_fields)


def in_force(settings: Settings) -> dict[str, Any]:
    """Every setting by dotted key."""
    return _flat(_plain(settings))


def _plain(value: Any) -> Any:
    if isinstance(value, BaseModel):
        return {key: _plain(getattr(value, key)) for key in type(value).model_fields}
    if is_dataclass(value) and not isinstance(value, type):
        return {key: _plain(item) for key, item in vars(value).items()}
    return value


def limits_digest(settings: Settings) -> str:
    """A digest of the gates of all domains: a failed day is rerun when it changes."""
    sections = {name: getattr(settings, name) for name in type(settings).model_fields}
    gates = {name: part.gates.model_dump(mode="json") for name, part in sections.items() if hasattr(part, "gates")}
    return digest_of(gates)[:16]


def settings_read(values: Mapping[str, Any]) -> Settings:
    """The settings of a run's record (by dotted key), unchecked; defaults for keys that are missing or unknown today.

    For inspecting what a run read, not for rerunning it.
    """
    known = renamed(values)
    tree: dict[tuple[str, ...], Any] = {}
    for path, kind, _ in _walk(domains.settings.Settings):
        if ".".join(path) in known and not _is_section(kind):
            tree[path] = known[".".join(path)]
    return with_values(domains.settings.Settings(), tree)


def _is_section(kind: Any) -> bool:
    return isinstance(kind, type) and (is_dataclass(kind) or issubclass(kind, BaseModel))
