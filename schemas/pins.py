"""Pins: artifacts that are kept until someone takes the pin off again, with who set it and why."""

import getpass
import json
import socket
from dataclasses import asdict, dataclass
from datetime import UTC, datetime

from schemas.errors import CorruptArtifactError, MissingArtifactError
from schemas.manifests import STORE_FORMAT, decode_checked
from schemas.refs import Ref, digest_of
from schemas.store import Store

FOLDER = ".pins"


@dataclass(frozen=True)
class Pin:
    """An artifact that is kept, why, and since when by whom."""

    ref: str
    reason: str
    by: str
    at: str


def pin(store: Store, ref: Ref, *, reason: str = "") -> Pin:
    """Keeps an artifact and all that it was made of; MissingArtifactError if there is none."""
    store.manifest(ref)
    kept = Pin(str(ref), reason, f"{_user()}@{socket.gethostname()}", datetime.now(UTC).isoformat(timespec="seconds"))
    body = {"format": STORE_FORMAT, "pin": asdict(kept)}
    store.files.write(_path(ref), json.dumps({**body, "sha256": digest_of(body)}, indent=1).encode())
    return kept


def unpin(store: Store, ref: Ref) -> None:
    """Takes a pin off; MissingArtifactError if there is none."""
    if store.files.size(_path(ref)) is None:
        pinned = ", ".join(found.ref for found in pins(store)) or "none"
        raise MissingArtifactError(
            f"pin: expected {ref} to be pinned, found it is not (pinned: {pinned}); nothing was changed"
        )
    store.files.remove_file(_path(ref))


def pins(store: Store) -> list[Pin]:
    """Every pin, by artifact; CorruptArtifactError for one that cannot be read."""
    found = []
    for name in store.files.names(FOLDER):
        where, advice = f"pin {FOLDER}/{name}", "restore it, or remove it and pin the artifact again"
        try:
            body = decode_checked(store.files.read(f"{FOLDER}/{name}"), where=where, advice=advice)
        except FileNotFoundError:  # taken off meanwhile
            continue
        if "pin" not in body:
            raise CorruptArtifactError(f"{where}: expected a pin, found {sorted(body)}; {advice}")
        found.append(Pin(**body["pin"]))
    return found


def _path(ref: Ref) -> str:
    return f"{FOLDER}/{ref.name}-{ref.day}-{ref.fingerprint}.json"


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return "unknown"
