"""Artifacts: Parquet files under ``<name>/day=<day>/<fingerprint>/`` and a manifest that is written last.

No manifest, no artifact. Files have their checksum in their name, so two writers of one fingerprint cannot damage each
other's files; the manifest is created by one of them. Every read verifies checksums and the contract.
"""

import contextlib
import hashlib
import io
import json
import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import pyarrow as pa

from fingerpost.schemas import files as _files
from fingerpost.schemas.arrow_files import map_arrow, read_arrow, read_parquet, write_arrow
from fingerpost.schemas.contract import Contract
from fingerpost.schemas.errors import (
    ContractError,
    CorruptArtifactError,
    ForeignArtifactError,
    MissingArtifactError,
    RemovedArtifactError,
    UnsafeNameError,
)
from fingerpost.schemas.files import Files
from fingerpost.schemas.manifests import STORE_FORMAT, FileEntry, Manifest, check_format
from fingerpost.schemas.memory import check_memory_for, tell_memory
from fingerpost.schemas.records import NUMBER, Shape, checked
from fingerpost.schemas.refs import Ref, checked_name

T = TypeVar("T")


class Store:
    """A store of artifacts in a folder or at an fsspec URL."""

    def __init__(self, url: str) -> None:
        self.files = Files(url)
        #: The releases that were opened, whose parts may be read later.
        self.opened: set[str] = set()

    def __reduce__(self) -> tuple[type["Store"], tuple[str]]:
        return Store, (self.files.root if self.files.local else self.files.url,)

    @property
    def url(self) -> str:
        """The folder or URL."""
        return self.files.url

    def prepare(self) -> "Store":
        """Creates the store if it does not exist, and refuses one of a format that it cannot read."""
        if self.files.size("store.json") is None:
            self.files.create("store.json", json.dumps({"format": STORE_FORMAT}).encode())
        return self.checked()

    def checked(self) -> "Store":
        """The store itself if it exists in a format that can be read."""
        try:
            version = int(json.loads(self.files.read("store.json"))["format"])
        except FileNotFoundError as problem:
            raise MissingArtifactError(
                f"store {self.url}: expected a store, found none; run `fingerpost run nightly` or set FINGERPOST_STORE"
            ) from problem
        except (ValueError, KeyError, TypeError, OverflowError, RecursionError) as problem:
            raise CorruptArtifactError(
                f"store {self.url}: expected store.json with a format number, found something else; restore that file"
            ) from problem
        check_format(version, where=f"store {self.url}")
        return self

    def has(self, ref: Ref) -> bool:
        """Whether the artifact is committed."""
        return self.files.size(f"{ref}/manifest.json") is not None

    def manifest(self, ref: Ref) -> Manifest:
        """The manifest of a committed artifact, verified."""
        try:
            data = self.files.read(f"{ref}/manifest.json")
        except FileNotFoundError as problem:
            for release in self.opened:
                self.check_kept(Ref.parse(release), part=str(ref))
            raise MissingArtifactError(
                f"artifact {ref}: expected a committed artifact, found no manifest; run the flow that computes it"
            ) from problem
        return Manifest.decode(data, where=f"artifact {ref}, manifest.json")

    def check_kept(self, ref: Ref, *, part: str) -> None:
        """RemovedArtifactError if an artifact of which a part could not be read was removed since it was opened."""
        if not self.has(ref):
            raise RemovedArtifactError(
                f"artifact {ref}: expected it as it was opened, found it removed since, and {part} with it (by"
                " `fingerpost gc`, for example); open what is live now again"
            )

    def open(self, ref: Ref, *contracts: Contract) -> "Artifact":
        """An artifact for reading; ForeignArtifactError unless it is of one of the contracts in a readable version."""
        manifest = self.manifest(ref)
        name, version = manifest.identity["contract"]["name"], manifest.identity["contract"]["version"]
        for contract in contracts:
            if name == contract.name and contract.readable_from <= version <= contract.version:
                return Artifact(self, ref, contract, manifest)
        expected = " or ".join(f"{c.name} version {c.readable_from} to {c.version}" for c in contracts)
        raise ForeignArtifactError(
            f"artifact {ref}: expected contract {expected}, found {name} version {version}; rebuild it with this"
            " version"
        )

    def write_table(
        self, ref: Ref, contract: Contract, table_name: str, data: pa.Table, *, shard: int = 0
    ) -> FileEntry:
        """Checks a table against its contract and writes it as one file of an artifact that is not committed yet."""
        table = contract.table(table_name)
        table.check(data, where=f"artifact {ref}, table '{table_name}', shard {shard}")
        begin = f"{ref}/{checked_name(table_name)}-{shard:05d}-"
        if table.form == "arrow":
            made = self.files.write_named(lambda sha: f"{begin}{sha[:12]}.arrow", lambda sink: write_arrow(sink, data))
            return FileEntry(table_name, shard, made.path, made.sha256, made.bytes, data.num_rows)
        import pyarrow.parquet as pq  # imported here: readers of mapped files get along without

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
        path = f"{begin}{checksum[:12]}.parquet"
        self.files.write(path, content)
        return FileEntry(
            table=table_name, shard=shard, path=path, sha256=checksum, bytes=len(content), rows=data.num_rows
        )

    def read_table(self, entry: FileEntry, contract: Contract, *, where: str) -> pa.Table:
        """One file of an artifact, verified against its checksum and its contract."""
        check_memory_for(entry.bytes, entry.path)
        try:
            content = self.files.buffer(entry.path)
        except FileNotFoundError as problem:
            raise CorruptArtifactError(
                f"{where}: expected {entry.path}, found no such file; rebuild the artifact with --force"
            ) from problem
        checksum = hashlib.sha256(content).hexdigest()
        if checksum != entry.sha256:
            raise CorruptArtifactError(
                f"{where}: expected {entry.path} with checksum {entry.sha256[:12]} and {entry.bytes} bytes, "
                f"found {checksum[:12]} and {content.size}; the file was altered: rebuild the artifact with --force"
            )
        table = contract.table(entry.table)
        data = _decoded(lambda: read_arrow(content) if table.form == "arrow" else read_parquet(content), entry, where)
        table.check(data, where=f"{where}, {entry.path}")
        _check_rows(data, entry, where)
        return data

    def map_table(self, entry: FileEntry, contract: Contract, *, where: str) -> pa.Table:
        """One Arrow file of an artifact of a local store, mapped; processes that map it share its memory.

        Its size, form, columns and number of rows are verified, not its checksum, for which all of it would be read: that is
        done after it was written, when the artifact is published, and by `verify`. The file must stay as it is, or be
        removed, while it is mapped.
        """
        if not self.files.local or contract.table(entry.table).form != "arrow":
            raise ContractError(
                f"{where}: expected an Arrow file in a folder to map, got {entry.path} of {self.url}; read it instead"
            )
        size = self.files.size(entry.path)
        if size != entry.bytes:
            raise CorruptArtifactError(
                f"{where}: expected {entry.path} with {entry.bytes} bytes, found"
                f" {'no such file' if size is None else f'{size} bytes'}; rebuild the artifact with --force"
            )
        data = _decoded(lambda: map_arrow(self.files.path(entry.path)), entry, where)
        contract.table(entry.table).check_schema(data, where=f"{where}, {entry.path}")
        _check_rows(data, entry, where)
        return data

    def commit(self, ref: Ref, manifest: Manifest, *, replace: bool = False) -> Manifest:
        """Commits an artifact and returns the manifest in effect: another writer's if that was first."""
        _files.reached("before-manifest")
        path = f"{ref}/manifest.json"
        if replace:
            self.files.write(path, manifest.encode())
        elif not self.files.create(path, manifest.encode()):
            return self.manifest(ref)
        _files.reached("after-manifest")
        return manifest

    def refs(self, name: str | None = None, *, day: str = "") -> Iterable[Ref]:
        """The committed artifacts (of a name, of a day), sorted by name, day and fingerprint."""
        for folder in [checked_name(name)] if name else self.files.names(""):
            if folder.startswith("."):
                continue
            for made in [f"day={day}"] if day else self.files.names(folder):
                if not made.startswith("day="):
                    continue
                for fingerprint in self.files.names(f"{folder}/{made}"):
                    with contextlib.suppress(UnsafeNameError):  # what others put there
                        ref = Ref(folder, made.removeprefix("day="), fingerprint)
                        if self.has(ref):
                            yield ref

    def holds(self, entry: FileEntry) -> bool:
        """Whether a file exists with its checksum; reads all of it."""
        try:
            return self.files.digest(entry.path) == entry.sha256
        except FileNotFoundError:
            return False

    def intact(self, manifest: Manifest) -> bool:
        """Whether every file of a manifest exists with its size (checksums are verified on read)."""
        return all(self.files.size(entry.path) == entry.bytes for entry in manifest.files)

    def verify(self, ref: Ref, *, seen: set[str] | None = None) -> int:
        """Verifies the checksums of all files of an artifact and of its inputs; returns the number of bytes read."""
        seen = set() if seen is None else seen
        if str(ref) in seen:
            return 0
        seen.add(str(ref))
        manifest, total = self.manifest(ref), 0
        for entry in manifest.files:
            if not self.holds(entry):
                raise CorruptArtifactError(
                    f"artifact {ref}: expected {entry.path} with checksum {entry.sha256[:12]}, found another or none;"
                    " rebuild the artifact with --force"
                )
            total += entry.bytes
        for source in manifest.identity["inputs"].values():
            if "ref" in source:
                total += self.verify(Ref.parse(source["ref"]), seen=seen)
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
        return self._tables(table, self.store.read_table, shard=shard)

    def mapped(self, table: str) -> pa.Table:
        """A table in the form "arrow", mapped from its files without reading them (`Store.map_table`).

        On object storage, which cannot be mapped, it is read and verified into memory instead.
        """
        return self._tables(table, self.store.map_table if self.store.files.local else self.store.read_table)

    def _tables(self, table: str, opened: Callable[..., pa.Table], *, shard: int | None = None) -> pa.Table:
        entries = [entry for entry in self.entries(table) if shard is None or entry.shard == shard]
        if not entries:
            raise ContractError(
                f"artifact {self.ref}: expected table '{table}'{'' if shard is None else f' shard {shard}'}, found no"
                " such file; rebuild the artifact"
            )
        try:
            return pa.concat_tables([opened(entry, self.contract, where=f"artifact {self.ref}") for entry in entries])
        except CorruptArtifactError:
            self.store.check_kept(self.ref, part=f"its table '{table}'")
            raise

    @property
    def quality(self) -> Mapping[str, Any]:
        """The quality values of the manifest."""
        return self.manifest.quality

    def figure(self, name: str, shape: Shape) -> Any:
        """A quality value of a shape; CorruptArtifactError for a missing one or one of another shape."""
        where = f"artifact {self.ref}, manifest.json, quality"
        value = self.quality[name]
        checked({name: value}, {name: shape}, where=where, advice="rebuild the artifact with --force")
        return value

    def measured(self, name: str) -> float:
        """A measured number; CorruptArtifactError for a missing one or another value."""
        where, advice = f"artifact {self.ref}, manifest.json, run", "rebuild the artifact with --force"
        checked(self.manifest.run, {"measured": {name: NUMBER}}, where=where, advice=advice)
        return float(self.manifest.run["measured"][name])


def _decoded(read: Callable[[], pa.Table], entry: FileEntry, where: str) -> pa.Table:
    """The table of a file."""
    try:
        return read()
    except (pa.ArrowException, OSError) as problem:
        tell_memory(problem, entry.path)
        form = "an Arrow file" if entry.path.endswith(".arrow") else "Parquet"
        raise CorruptArtifactError(
            f"{where}: expected {entry.path} to be {form}, found something else ({problem}); rebuild the artifact"
        ) from problem


def _check_rows(data: pa.Table, entry: FileEntry, where: str) -> None:
    """CorruptArtifactError where a file has other rows than the manifest lists."""
    if data.num_rows != entry.rows:
        raise CorruptArtifactError(
            f"{where}: expected {entry.path} with {entry.rows} rows, as the manifest lists it, found"
            f" {data.num_rows}; rebuild the artifact with --force"
        )


def parameters_of(store: Store, ref: Ref, build: Callable[[Mapping[str, Any]], T]) -> T:
    """What ``build`` makes of the parameters of an artifact; CorruptArtifactError where it refuses them."""
    parameters = store.manifest(ref).identity["parameters"]
    try:
        return build(parameters)
    except (TypeError, ValueError) as problem:
        raise CorruptArtifactError(
            f"artifact {ref}, manifest.json: expected the parameters that it was made with, found others ({problem});"
            " rebuild the artifact with --force"
        ) from problem


def find_store() -> str:
    """The store: ``FINGERPOST_STORE``, else the nearest ``.fingerpost`` in this folder or above, else one here."""
    if url := os.environ.get("FINGERPOST_STORE"):
        return url
    here = Path.cwd()
    for folder in (here, *here.parents):
        if (folder / ".fingerpost" / "store.json").is_file():
            return str(folder / ".fingerpost")
    return str(here / ".fingerpost")
