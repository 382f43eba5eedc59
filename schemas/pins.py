"""Pins: artifacts that garbage collection keeps until they are unpinned, with who pinned them and why."""

import contextlib
import getpass
import json
import re
import socket
from dataclasses import asdict, dataclass
from datetime import UTC, datetime

from fingerpost.schemas.errors import CorruptArtifactError, FingerpostError, MissingArtifactError, UnsafeNameError
from fingerpost.schemas.manifests import STORE_FORMAT, decode_checked
from fingerpost.schemas.records import built, leave_out, reference
from fingerpost.schemas.refs import Ref, digest_of
from fingerpost.schemas.store import Store

FOLDER = ".pins"
_NAME = re.compile(r"(.+)-(\d{4}-\d\d-\d\d)-([0-9a-f]{16,64})\.json")
#: Larger files beside the pins are not read.
_LARGEST_STRANGER = 1_000_000
_SHAPE = {"pin": {"ref": reference, "reason": str, "by": str, "at": str}}


@dataclass(frozen=True)
class Pin:
    """A pinned artifact, the reason, and by whom and when it was pinned."""

    ref: str
    reason: str
    by: str
    at: str


def pin(store: Store, ref: Ref, *, reason: str = "") -> Pin:
    """Pins an artifact and all its inputs; MissingArtifactError if it does not exist."""
    store.manifest(ref)
    record = Pin(str(ref), reason, f"{_user()}@{socket.gethostname()}", datetime.now(UTC).isoformat(timespec="seconds"))
    body = {"format": STORE_FORMAT, "pin": asdict(record)}
    store.files.write(_path(ref), json.dumps({**body, "sha256": digest_of(body)}, indent=1).encode())
    return record


def unpin(store: Store, ref: Ref) -> None:
    """Removes a pin; MissingArtifactError if there is none."""
    if store.files.size(_path(ref)) is None:
        pinned = ", ".join(record.ref for record in pins(store)) or "none"
        raise MissingArtifactError(
            f"pin: expected {ref} to be pinned, found it is not (pinned: {pinned}); nothing was changed"
        )
    store.files.remove_file(_path(ref))


def pins(store: Store) -> list[Pin]:
    """All pins, sorted by artifact; one that cannot be read pins what its name says, and a warning names it."""
    records = []
    for name in store.files.names(FOLDER):
        where, advice = f"pin {FOLDER}/{name}", "restore it, or remove it and pin the artifact again"
        try:
            named = pinned_by(name)
            if named is not None:
                body = decode_checked(store.files.read(f"{FOLDER}/{name}"), where=where, advice=advice, shape=_SHAPE)
                records.append(built(Pin, body["pin"]))
        except FileNotFoundError:  # removed concurrently
            continue
        except CorruptArtifactError as problem:
            leave_out(problem)
            records.append(Pin(str(named), "its record cannot be read", "", ""))
    return records


def stray_pins(store: Store) -> dict[str, Pin]:
    """The pins in files whose names are not those of pins, which do not count as such, by path."""
    found = {}
    for name in store.files.names(FOLDER):
        path = f"{FOLDER}/{name}"
        with contextlib.suppress(FingerpostError, FileNotFoundError):
            if pinned_by(name) is None and (store.files.size(path) or 0) <= _LARGEST_STRANGER:
                body = decode_checked(store.files.read(path), where=path, shape=_SHAPE)
                found[path] = built(Pin, body["pin"])
    return found


def pinned_by(name: str) -> Ref | None:
    """The artifact that a file of this name pins; None if it is not the name of a pin."""
    found = _NAME.fullmatch(name)
    try:
        return Ref(*found.groups()) if found else None
    except UnsafeNameError:
        return None


def _path(ref: Ref) -> str:
    return f"{FOLDER}/{ref.name}-{ref.day}-{ref.fingerprint}.json"


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return "unknown"
