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
import secrets
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from fingerpost.schemas.errors import CorruptArtifactError, FingerpostError
from fingerpost.schemas.inputs.suppression import Suppressed, digest_of_key
from fingerpost.schemas.manifests import STORE_FORMAT, decode_checked
from fingerpost.schemas.refs import checked_name, digest_of
from fingerpost.schemas.store import Store

FOLDER = ".forgotten"
_SALT = f"{FOLDER}/salt.json"


@dataclass(frozen=True)
class Forgotten:
    """The suppressed keys of one column of a collection, which imports leave out for good."""

    store: Store
    collection: str
    column: str = "id"

    def __post_init__(self) -> None:
        checked_name(self.collection, what="collection")
        checked_name(self.column, what="column")

    @property
    def folder(self) -> str:
        """The folder of the keyed hashes."""
        return f"{FOLDER}/{self.collection}/{self.column}"

    def suppressed(self) -> Suppressed | None:
        """The keys that imports leave out; None if nothing was ever forgotten."""
        names = [name.removesuffix(".json") for name in self.store.files.names(self.folder)]
        if not names:
            return None
        pairs = (name.rpartition("-") for name in names)
        return Suppressed(salt_of(self.store), frozenset((digest, int(size)) for digest, _, size in pairs), self.column)

    def add(self, key: str) -> None:
        """Suppresses a key from now on; does nothing if it is suppressed already."""
        digest, size = digest_of_key(salt_of(self.store), key, column=self.column), len(key.encode())
        note = {"at": now(), "by": getpass.getuser()}
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
        body = decode_checked(data, where=self.path, advice="remove it to begin again")
        loaded: dict[str, Any] = json.loads(self._sealed(base64.b64decode(body["sealed"])))
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
    if store.files.size(_SALT) is None:
        store.files.create(_SALT, json.dumps({"salt": secrets.token_hex(32)}).encode())
    try:
        return bytes.fromhex(json.loads(store.files.read(_SALT))["salt"])
    except (ValueError, KeyError, TypeError) as problem:
        raise CorruptArtifactError(
            f"{_SALT}: expected the salt of the forgotten keys, found something else; restore that file"
        ) from problem


def checked_key(key: str) -> str:
    """The key as inputs have it, stripped of white space; FingerpostError for an empty one."""
    if not key.strip():
        raise FingerpostError(
            "forget: expected the id of a document, a query's id or text, or the id of a label, got an empty text;"
            " pass one"
        )
    return key.strip()


def now() -> str:
    """The present time in UTC, in ISO format to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")
