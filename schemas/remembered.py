"""The inputs that collections remember: settings that name files and how these are read, under ``.inputs/``.

A file ``.inputs/<collection>.json`` holds paths and names of columns; nothing of what the files contain.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from fingerpost.schemas.manifests import STORE_FORMAT, decode_checked
from fingerpost.schemas.records import Each, built, calendar_day, is_record
from fingerpost.schemas.refs import checked_name, digest_of, is_name
from fingerpost.schemas.store import Store

FOLDER = ".inputs"
_SHAPE = {"inputs": Each({"values": dict, "day": calendar_day, "run": str})}


@dataclass(frozen=True)
class Remembered:
    """An input of a collection: values of settings by dotted key, and the newest day and its run that used them."""

    values: dict[str, Any]
    day: str
    run: str


def remembered_inputs(store: Store, collection: str) -> dict[str, Remembered]:
    """The inputs of a collection by the setting that names the file; empty if it has none.

    CorruptArtifactError for a record that cannot be read.
    """
    path = _path(collection)
    where, advice = f"inputs {path}", "restore it, or remove it and name the inputs"
    try:
        body = decode_checked(store.files.read(path), where=where, advice=advice, shape=_SHAPE)
    except FileNotFoundError:
        return {}
    return {setting: built(Remembered, entry) for setting, entry in body["inputs"].items()}


def remember_inputs(store: Store, collection: str, inputs: Mapping[str, Remembered]) -> None:
    """Replaces the inputs of a collection."""
    body = {"format": STORE_FORMAT, "inputs": {setting: asdict(one) for setting, one in sorted(inputs.items())}}
    # As it will be read again: a tuple becomes a list, which the checksum must not tell apart.
    body = json.loads(json.dumps(body))
    content = json.dumps({**body, "sha256": digest_of(body)}, indent=1, sort_keys=True)
    store.files.write(_path(collection), content.encode())


def remembering(store: Store) -> list[str]:
    """The collections that remember inputs, sorted."""
    names = (name.removesuffix(".json") for name in store.files.names(FOLDER) if is_record(name))
    return [name for name in names if is_name(name)]


def _path(collection: str) -> str:
    return f"{FOLDER}/{checked_name(collection, what='collection')}.json"
