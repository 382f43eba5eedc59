"""Erasure: the list of suppressed keys, the unfinished jobs, and the proofs of absence.

Everything is under ``.forgotten/``: ``salt.json``, and by collection ``<column>/<HMAC>-<length>.json`` (one file per
key), ``jobs/<HMAC>.json`` (an unfinished job) and ``proofs/<moment>-<HMAC>.json``. No file holds a key or a text in
plain text.
"""

import base64
import getpass
import hashlib
import hmac
import json
import re
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from fingerpost.schemas.errors import CorruptArtifactError, FingerpostError
from fingerpost.schemas.inputs.suppression import Suppressed, digest_of_key
from fingerpost.schemas.manifests import STORE_FORMAT, decode_checked
from fingerpost.schemas.records import decoded
from fingerpost.schemas.refs import checked_name, digest_of
from fingerpost.schemas.store import Store

FOLDER = ".forgotten"
_SALT = f"{FOLDER}/salt.json"
#: The name of a suppressed key's file, also in the names of its copies.
_KEY = re.compile(r"([0-9a-f]{64})-(\d{1,9})\.json")
_SALTED = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class Forgotten:
    """The suppressed keys of one column of a collection, which imports leave out for good."""

    store: Store
    collection: str
    column: str = "id"
    #: Gives texts of one key that are spelled differently one form.
    spelled: Callable[[str], str] | None = None

    def __post_init__(self) -> None:
        checked_name(self.collection, what="collection")
        checked_name(self.column, what="column")

    @property
    def folder(self) -> str:
        """The folder of the keyed hashes."""
        return f"{FOLDER}/{self.collection}/{self.column}"

    def suppressed(self) -> Suppressed | None:
        """The keys that imports leave out; None if nothing was ever forgotten."""
        found = filter(None, map(_KEY.search, self.store.files.names(self.folder)))
        pairs = frozenset((match[1], int(match[2])) for match in found)
        return Suppressed(salt_of(self.store), pairs, self.column, self.spelled) if pairs else None

    def add(self, key: str) -> None:
        """Suppresses a key from now on; does nothing if it is suppressed already."""
        wanted = Suppressed.of([key], salt_of(self.store), column=self.column, spelled=self.spelled)
        note = {"at": now(), "by": getpass.getuser()}
        for digest, size in sorted(wanted.entries):
            self.store.files.create(f"{self.folder}/{digest}-{size}.json", json.dumps(note).encode())


@dataclass(frozen=True)
class Journal:
    """The state of a job that erases one key, encrypted with the key: only who knows the key can resume the job."""

    store: Store
    collection: str
    key: str
    column: str = "id"

    @property
    def digest(self) -> str:
        """The key's HMAC."""
        return digest_of_key(salt_of(self.store), self.key, column=self.column)

    @property
    def path(self) -> str:
        """The path of the job's state in the store."""
        return f"{FOLDER}/{checked_name(self.collection)}/jobs/{self.digest}.json"

    def load(self) -> dict[str, Any] | None:
        """The state saved last; None if there is no unfinished job."""
        if self.store.files.size(_SALT) is None:
            return None
        try:
            data = self.store.files.read(self.path)
        except FileNotFoundError:
            return None
        advice = "remove it to begin again"
        body = decode_checked(data, where=self.path, advice=advice, shape={"sealed": str})
        try:
            content = self._sealed(base64.b64decode(body["sealed"], validate=True))
        except ValueError as problem:
            raise CorruptArtifactError(
                f"{self.path}: expected the state of a job, found other text; {advice}"
            ) from problem
        loaded: dict[str, Any] = decoded(content, dict, where=self.path, advice=advice)
        return loaded

    def save(self, state: dict[str, Any]) -> None:
        """Saves the state of the job atomically."""
        sealed = base64.b64encode(self._sealed(json.dumps(state).encode())).decode()
        body = {"format": STORE_FORMAT, "sealed": sealed}
        self.store.files.write(self.path, json.dumps({**body, "sha256": digest_of(body)}).encode())

    def remove(self) -> None:
        """Removes the state: the job is done."""
        self.store.files.remove(self.path)

    def _sealed(self, data: bytes) -> bytes:
        """Encrypts or decrypts bytes with a key stream derived from the forgotten key."""
        secret = hmac.new(salt_of(self.store), b"journal\0" + self.key.encode(), hashlib.sha256).digest()
        stream = hashlib.shake_256(secret).digest(len(data))
        return (int.from_bytes(data) ^ int.from_bytes(stream)).to_bytes(len(data))


def save_proof(store: Store, collection: str, digest: str, body: dict[str, Any]) -> str:
    """Saves a proof of absence; returns its path in the store."""
    path = (
        f"{FOLDER}/{checked_name(collection)}/proofs/{now().replace(':', '').replace('+0000', 'Z')}-{digest[:16]}.json"
    )
    store.files.write(path, json.dumps({**body, "sha256": digest_of(body)}, indent=1, sort_keys=True).encode())
    return path


def salt_of(store: Store) -> bytes:
    """The random salt of the store's keyed hashes, created on first use."""
    advice = "restore that file: without it, nobody can tell which keys are forgotten"
    if store.files.size(_SALT) is None:
        if others := [name for name in store.files.names(FOLDER) if store.files.names(f"{FOLDER}/{name}")]:
            raise CorruptArtifactError(
                f"{_SALT}: expected the salt of the forgotten keys of {', '.join(others)}, found none; {advice}"
            )
        store.files.create(_SALT, json.dumps({"salt": secrets.token_hex(32)}).encode())
    text = decoded(store.files.read(_SALT), {"salt": str}, where=_SALT, advice=advice)["salt"]
    if not _SALTED.fullmatch(text):
        raise CorruptArtifactError(f"{_SALT}: expected the salt of the forgotten keys, found something else; {advice}")
    return bytes.fromhex(text)


def known_salt(store: Store) -> bytes:
    """The salt of the store's keyed hashes; empty if it has none yet, which then has no keyed hash either."""
    return salt_of(store) if store.files.size(_SALT) is not None else b""


def checked_key(key: str) -> str:
    """The key as inputs have it, stripped of white space; FingerpostError for an empty one."""
    if not key.strip():
        raise FingerpostError(
            "forget: expected the id of a document, a query's id or text, the id of a label, or the key of a user, got an"
            " empty text; pass one"
        )
    return key.strip()


def now() -> str:
    """The present time in UTC, in ISO format to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")
