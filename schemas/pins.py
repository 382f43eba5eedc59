"""Pins: artifacts that garbage collection keeps until they are unpinned, with who pinned them and why."""

import getpass
import json
import socket
from dataclasses import asdict, dataclass
from datetime import UTC, datetime

from fingerpost.schemas.errors import CorruptArtifactError, MissingArtifactError
from fingerpost.schemas.manifests import STORE_FORMAT, decode_checked
from fingerpost.schemas.refs import Ref, digest_of
from fingerpost.schemas.store import Store

FOLDER = ".pins"


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
    """All pins, sorted by artifact; CorruptArtifactError for one that cannot be read."""
    records = []
    for name in store.files.names(FOLDER):
        where, advice = f"pin {FOLDER}/{name}", "restore it, or remove it and pin the artifact again"
        try:
            body = decode_checked(store.files.read(f"{FOLDER}/{name}"), where=where, advice=advice)
        except FileNotFoundError:  # removed concurrently
            continue
        if "pin" not in body:
            raise CorruptArtifactError(f"{where}: expected a pin, found {sorted(body)}; {advice}")
        records.append(Pin(**body["pin"]))
    return records


def _path(ref: Ref) -> str:
    return f"{FOLDER}/{ref.name}-{ref.day}-{ref.fingerprint}.json"


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return "unknown"
