"""Manifests: the identity of an artifact and the record of its computation, with a checksum over both."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from fingerpost.schemas.errors import CorruptArtifactError, ForeignArtifactError
from fingerpost.schemas.records import NUMBER, Each, Shape, built, checked, count, moment, parsed, reference
from fingerpost.schemas.refs import digest_of

#: The version of the store's layout and of its manifests, and the oldest that is still read.
STORE_FORMAT = 1
OLDEST_STORE_FORMAT = 1


@dataclass(frozen=True)
class FileEntry:
    """One file of an artifact: its path from the store's root, checksum, size in bytes and rows."""

    table: str
    shard: int
    path: str
    sha256: str
    bytes: int
    rows: int


#: The form of a `FileEntry` in JSON.
FILE_ENTRY = {"table": str, "shard": count, "path": str, "sha256": str, "bytes": count, "rows": count}
_MANIFEST = {
    "identity": {
        "contract": {"name": str, "version": int},
        "schema?": Each(Each(str)),
        "rows": Each(count),
        "quality": dict,
        "parameters": dict,
        "inputs": Each({"ref?": reference, "source?": str}),
        "input_identities?": Each(str),
        "code?": str,
        "files": [FILE_ENTRY],
    },
    "run": {
        "at?": moment,
        "collection?": str,
        "seconds?": NUMBER,
        "peak_mb?": NUMBER,
        "versions?": Each(str),
        "measured?": dict,
        "companions?": Each(reference),
    },
}


@dataclass(frozen=True)
class Manifest:
    """The identity of an artifact (``identity``) and the record of its computation (``run``).

    Two artifacts are identical if their ``identity`` is the same.
    """

    identity: Mapping[str, Any]
    run: Mapping[str, Any]

    @property
    def digest(self) -> str:
        """The digest of the identity."""
        return digest_of(self.identity)

    @property
    def files(self) -> list[FileEntry]:
        """The files in order of table and shard."""
        return [built(FileEntry, entry) for entry in self.identity["files"]]

    @property
    def quality(self) -> Mapping[str, Any]:
        """The quality values."""
        return self.identity["quality"]

    def encode(self) -> bytes:
        """The manifest as JSON, with a checksum over the rest."""
        body = {"format": STORE_FORMAT, "identity": self.identity, "run": self.run}
        return json.dumps({**body, "sha256": digest_of(body)}, indent=1, sort_keys=True, ensure_ascii=False).encode()

    @classmethod
    def decode(cls, data: bytes, *, where: str) -> "Manifest":
        """The manifest of ``encode``; CorruptArtifactError or ForeignArtifactError naming ``where``."""
        body = decode_checked(data, where=where, shape=_MANIFEST)
        rows = dict.fromkeys(body["identity"]["rows"], 0)
        for entry in body["identity"]["files"]:
            rows[entry["table"]] = rows.get(entry["table"], 0) + entry["rows"]
        if rows != body["identity"]["rows"]:
            raise CorruptArtifactError(
                f"{where}: expected as many rows as its files have, {rows}, found {dict(body['identity']['rows'])};"
                " rebuild it with --force"
            )
        return cls(identity=body["identity"], run=body["run"])


def decode_checked(
    data: bytes, *, where: str, advice: str = "rebuild it with --force", shape: Shape = dict
) -> dict[str, Any]:
    """The object of a JSON file with ``format`` and ``sha256``, verified, of a shape; errors end in ``advice``."""
    try:
        body = parsed(data, where=where, advice=advice)
        checksum = body.pop("sha256")
        version = int(body["format"])
        digest = digest_of(body)
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError) as problem:
        raise CorruptArtifactError(
            f"{where}: expected JSON with format and checksum, found {len(data)} bytes that do not parse as such;"
            f" {advice}"
        ) from problem
    check_format(version, where=where)
    if digest != checksum:
        raise CorruptArtifactError(
            f"{where}: expected checksum {str(checksum)[:12]}, found {digest[:12]}; the file was altered: {advice}"
        )
    checked(body, shape, where=where, advice=advice)
    return body


def check_format(version: int, *, where: str) -> None:
    """ForeignArtifactError unless this version can read the format."""
    if not OLDEST_STORE_FORMAT <= version <= STORE_FORMAT:
        advice = (
            "upgrade fingerpost"
            if version > STORE_FORMAT
            else "open it with the older fingerpost, or start a new store"
        )
        raise ForeignArtifactError(
            f"{where}: expected store format {OLDEST_STORE_FORMAT} to {STORE_FORMAT}, found {version}; {advice}"
        )
