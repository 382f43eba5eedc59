"""Artifacts: Parquet files under ``<name>/day=<day>/<fingerprint>/`` and a manifest that is written last.

No manifest, no artifact. Files carry their checksum in their name, so two writers of one fingerprint cannot damage each
other; the manifest is created by one of them. Every read verifies checksums and the contract.
"""

import contextlib
import hashlib
import io
import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from schemas import files as _files
from schemas.contract import Contract
from schemas.errors import (
    ContractError,
    CorruptArtifactError,
    ForeignArtifactError,
    MissingArtifactError,
    StoreUnreachableError,
)
from schemas.files import Files
from schemas.refs import Ref, checked_name, digest_of

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


@dataclass(frozen=True)
class Manifest:
    """What an artifact is (``identity``) and how it came about (``run``).

    Two artifacts are identical when their ``identity`` is the same.
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
        return [FileEntry(**entry) for entry in self.identity["files"]]

    @property
    def quality(self) -> Mapping[str, Any]:
        """The quality figures."""
        return self.identity["quality"]

    def encode(self) -> bytes:
        """The manifest as JSON, with a checksum over the rest."""
        body = {"format": STORE_FORMAT, "identity": self.identity, "run": self.run}
        return json.dumps({**body, "sha256": digest_of(body)}, indent=1, sort_keys=True, ensure_ascii=False).encode()

    @classmethod
    def decode(cls, data: bytes, *, where: str) -> "Manifest":
        """The manifest of ``encode``; CorruptArtifactError or ForeignArtifactError naming ``where``."""
        body = decode_checked(data, where=where)
        if not isinstance(body.get("identity"), dict) or not isinstance(body.get("run"), dict):
            raise CorruptArtifactError(
                f"{where}: expected a manifest with identity and run, found {sorted(body)}; rebuild it with --force"
            )
        return cls(identity=body["identity"], run=body["run"])


def decode_checked(data: bytes, *, where: str, advice: str = "rebuild it with --force") -> dict[str, Any]:
    """The object of a JSON file with ``format`` and ``sha256``, verified; errors end in ``advice``."""
    try:
        body = json.loads(data)
        found = body.pop("sha256")
        version = int(body["format"])
        digest = digest_of(body)
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError) as problem:
        raise CorruptArtifactError(
            f"{where}: expected JSON with format and checksum, found {len(data)} bytes that do not parse as such; {advice}"
        ) from problem
    check_format(version, where=where)
    if digest != found:
        raise CorruptArtifactError(
            f"{where}: expected checksum {str(found)[:12]}, found {digest[:12]}; the file was altered: {advice}"
        )
    return body


def check_format(version: int, *, where: str) -> None:
    """ForeignArtifactError unless this version's readers know the format."""
    if not OLDEST_STORE_FORMAT <= version <= STORE_FORMAT:
        advice = (
            "upgrade fingerpost"
            if version > STORE_FORMAT
            else "open it with the older fingerpost, or start a new store"
        )
        raise ForeignArtifactError(
            f"{where}: expected store format {OLDEST_STORE_FORMAT} to {STORE_FORMAT}, found {version}; {advice}"
        )


class Store:
    """A folder or fsspec URL full of artifacts."""

    def __init__(self, url: str) -> None:
        self.files = Files(url)

    def __reduce__(self) -> tuple[type["Store"], tuple[str]]:
        return Store, (self.files.root if self.files.local else self.files.url,)

    @property
    def url(self) -> str:
        """Where it is."""
        return self.files.url

    def prepare(self) -> "Store":
        """Creates the store if it is not there, and refuses one of a format it cannot read."""
        self.files.create("store.json", json.dumps({"format": STORE_FORMAT}).encode())
        return self.checked()

    def checked(self) -> "Store":
        """The store itself if it exists in a format that can be read."""
        try:
            found = int(json.loads(self.files.read("store.json"))["format"])
        except FileNotFoundError as problem:
            raise MissingArtifactError(
                f"store {self.url}: expected a store, found none; run `fingerpost run nightly` or set FINGERPOST_STORE"
            ) from problem
        except (ValueError, KeyError, TypeError, OverflowError, RecursionError) as problem:
            raise CorruptArtifactError(
                f"store {self.url}: expected store.json with a format number, found something else; restore that file"
            ) from problem
        check_format(found, where=f"store {self.url}")
        return self

    def has(self, ref: Ref) -> bool:
        """Whether the artifact is committed."""
        return self.files.size(f"{ref}/manifest.json") is not None

    def manifest(self, ref: Ref) -> Manifest:
        """The manifest of a committed artifact, verified."""
        try:
            data = self.files.read(f"{ref}/manifest.json")
        except FileNotFoundError as problem:
            raise MissingArtifactError(
                f"artifact {ref}: expected a committed artifact, found no manifest; run the flow that makes it"
            ) from problem
        return Manifest.decode(data, where=f"artifact {ref}, manifest.json")

    def open(self, ref: Ref, contract: Contract) -> "Artifact":
        """An artifact to read from; its manifest must fit the contract's name and version."""
        manifest = self.manifest(ref)
        name, version = manifest.identity["contract"]["name"], manifest.identity["contract"]["version"]
        if name != contract.name or not contract.readable_from <= version <= contract.version:
            raise ForeignArtifactError(
                f"artifact {ref}: expected contract {contract.name} version {contract.readable_from} to {contract.version}, "
                f"found {name} version {version}; rebuild it with this version"
            )
        return Artifact(self, ref, contract, manifest)

    def write_table(
        self, ref: Ref, contract: Contract, table_name: str, data: pa.Table, *, shard: int = 0
    ) -> FileEntry:
        """Checks a table against its contract and writes it as one file of a not yet committed artifact."""
        table = contract.table(table_name)
        table.check(data, where=f"artifact {ref}, table '{table_name}', shard {shard}")
        sink = io.BytesIO()
        pq.write_table(
            data.combine_chunks(),
            sink,
            compression=table.compression,
            use_dictionary=table.compression != "none",
            row_group_size=max(data.num_rows, 1),
            write_statistics=False,
        )
        content = sink.getvalue()
        checksum = hashlib.sha256(content).hexdigest()
        path = f"{ref}/{checked_name(table_name)}-{shard:05d}-{checksum[:12]}.parquet"
        self.files.write(path, content)
        return FileEntry(
            table=table_name, shard=shard, path=path, sha256=checksum, bytes=len(content), rows=data.num_rows
        )

    def read_table(self, entry: FileEntry, contract: Contract, *, where: str) -> pa.Table:
        """One file of an artifact, its checksum and its contract verified."""
        try:
            content = self.files.read(entry.path)
        except FileNotFoundError as problem:
            raise CorruptArtifactError(
                f"{where}: expected {entry.path}, found no such file; rebuild the artifact with --force"
            ) from problem
        found = hashlib.sha256(content).hexdigest()
        if found != entry.sha256:
            raise CorruptArtifactError(
                f"{where}: expected {entry.path} with checksum {entry.sha256[:12]} and {entry.bytes} bytes, "
                f"found {found[:12]} and {len(content)}; the file was altered: rebuild the artifact with --force"
            )
        try:
            data = pq.read_table(pa.BufferReader(content))
        except (pa.ArrowException, OSError) as problem:
            raise CorruptArtifactError(
                f"{where}: expected {entry.path} to be Parquet, found something else ({problem}); rebuild the artifact"
            ) from problem
        return contract.table(entry.table).check(data, where=f"{where}, {entry.path}")

    def commit(self, ref: Ref, manifest: Manifest, *, replace: bool = False) -> Manifest:
        """Makes an artifact exist, and returns the manifest that counts: another writer's if it was first."""
        _files.reached("before-manifest")
        path = f"{ref}/manifest.json"
        if replace:
            self.files.write(path, manifest.encode())
        elif not self.files.create(path, manifest.encode()):
            return self.manifest(ref)
        _files.reached("after-manifest")
        return manifest

    def refs(self, name: str | None = None) -> Iterable[Ref]:
        """The committed artifacts, by name, day and fingerprint."""
        for folder in (
            [checked_name(name)]
            if name
            else [n for n in self.files.names("") if not n.startswith(".") and n != "store.json"]
        ):
            for day in self.files.names(folder):
                if not day.startswith("day="):
                    continue
                for fingerprint in self.files.names(f"{folder}/{day}"):
                    ref = Ref(folder, day.removeprefix("day="), fingerprint)
                    if self.has(ref):
                        yield ref

    def holds(self, entry: FileEntry) -> bool:
        """Whether a file is there with its checksum; reads all of it."""
        try:
            return hashlib.sha256(self.files.read(entry.path)).hexdigest() == entry.sha256
        except FileNotFoundError:
            return False

    def intact(self, manifest: Manifest) -> bool:
        """Whether every file of a manifest is there with its size (checksums are verified on read)."""
        return all(self.files.size(entry.path) == entry.bytes for entry in manifest.files)

    def verify(self, ref: Ref, *, seen: set[str] | None = None) -> int:
        """Reads every file of an artifact and of its inputs against the checksums; the number of bytes read."""
        seen = set() if seen is None else seen
        if str(ref) in seen:
            return 0
        seen.add(str(ref))
        manifest, total = self.manifest(ref), 0
        for entry in manifest.files:
            if not self.holds(entry):
                raise CorruptArtifactError(
                    f"artifact {ref}: expected {entry.path} with checksum {entry.sha256[:12]}, found another or none; rebuild the artifact with --force"
                )
            total += entry.bytes
        for given in manifest.identity["inputs"].values():
            if "ref" in given:
                total += self.verify(Ref.parse(given["ref"]), seen=seen)
        return total


@dataclass(frozen=True)
class Artifact:
    """A committed artifact, open for reading."""

    store: Store
    ref: Ref
    contract: Contract
    manifest: Manifest

    def entries(self, table: str) -> list[FileEntry]:
        """The files of a table in shard order."""
        self.contract.table(table)
        return sorted((entry for entry in self.manifest.files if entry.table == table), key=lambda entry: entry.shard)

    def rows(self, table: str) -> int:
        """The rows of a table over all its shards."""
        return sum(entry.rows for entry in self.entries(table))

    def read(self, table: str, *, shard: int | None = None) -> pa.Table:
        """A table, or one shard of it, verified."""
        entries = [entry for entry in self.entries(table) if shard is None or entry.shard == shard]
        if not entries:
            raise ContractError(
                f"artifact {self.ref}: expected table '{table}'{'' if shard is None else f' shard {shard}'}, found no such file; rebuild the artifact"
            )
        return pa.concat_tables(
            [self.store.read_table(entry, self.contract, where=f"artifact {self.ref}") for entry in entries]
        )

    @property
    def quality(self) -> Mapping[str, Any]:
        """The quality figures of the manifest."""
        return self.manifest.quality


class Workspace:
    """The working state of a stage that is not committed yet: one record a finished shard, and checkpoints.

    No other stage reads it; it goes after the commit.
    """

    def __init__(self, store: Store, ref: Ref) -> None:
        self.store, self.ref = store, ref
        self.folder = f".work/{ref.name}-{ref.day}-{ref.fingerprint}"

    def finish_shard(self, shard: int, entries: list[FileEntry], figures: Mapping[str, Any]) -> None:
        """Records that a shard's files are in place."""
        body = {"format": STORE_FORMAT, "entries": [asdict(entry) for entry in entries], "figures": dict(figures)}
        self.store.files.write(
            f"{self.folder}/shard-{shard:05d}.json", json.dumps({**body, "sha256": digest_of(body)}).encode()
        )
        _files.reached("between-shards")

    def finished_shards(self) -> dict[int, tuple[list[FileEntry], dict[str, Any]]]:
        """The shards whose record and files are whole; anything else will be computed again."""
        done = {}
        for name in self.store.files.names(self.folder):
            if name.startswith("shard-"):
                try:
                    body = decode_checked(self.store.files.read(f"{self.folder}/{name}"), where=name)
                except (CorruptArtifactError, FileNotFoundError):
                    continue
                entries = [FileEntry(**entry) for entry in body["entries"]]
                if all(self.store.files.size(entry.path) == entry.bytes for entry in entries):
                    done[int(name[6:11])] = (entries, body["figures"])
        return done

    def save_checkpoint(self, position: int, content: bytes) -> None:
        """Keeps the newest two checkpoints."""
        self.store.files.write(
            f"{self.folder}/checkpoint-{position:012d}-{hashlib.sha256(content).hexdigest()[:16]}",
            content,
            durable=False,
        )
        for name in self._checkpoints()[:-2]:
            self.store.files.remove(f"{self.folder}/{name}")
        _files.reached("after-checkpoint")

    def newest_checkpoint(self) -> tuple[int, bytes] | None:
        """The position and content of the newest whole checkpoint."""
        for name in reversed(self._checkpoints()):
            _, position, checksum = name.split("-")
            try:
                content = self.store.files.read(f"{self.folder}/{name}")
            except FileNotFoundError:
                continue
            if hashlib.sha256(content).hexdigest()[:16] == checksum:
                return int(position), content
        return None

    def checkpoint(self, position: int) -> bytes:
        """The content of the checkpoint at a position; CorruptArtifactError if it is gone or altered."""
        for name in self._checkpoints():
            if int(name.split("-")[1]) == position:
                content = self.store.files.read(f"{self.folder}/{name}")
                if hashlib.sha256(content).hexdigest()[:16] == name.split("-")[2]:
                    return content
        raise CorruptArtifactError(
            f"working state of {self.ref}: expected a whole checkpoint at {position}, found none; run again"
        )

    def _checkpoints(self) -> list[str]:
        return [name for name in self.store.files.names(self.folder) if name.startswith("checkpoint-")]

    def clear(self) -> None:
        """Removes it; what another run of the stage puts there meanwhile may stay."""
        with contextlib.suppress(StoreUnreachableError):
            self.store.files.remove(self.folder)
