"""The workspace of a stage that is not committed yet: records of finished shards, and checkpoints."""

import contextlib
import hashlib
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, TypeVar

from fingerpost.schemas import files as _files
from fingerpost.schemas.arrow_files import read_arrow, write_arrow
from fingerpost.schemas.errors import CorruptArtifactError, ForeignArtifactError, StoreUnreachableError
from fingerpost.schemas.manifests import FILE_ENTRY, STORE_FORMAT, FileEntry, decode_checked
from fingerpost.schemas.records import built
from fingerpost.schemas.refs import Ref, digest_of
from fingerpost.schemas.store import Store
from fingerpost.schemas.tensors import lent_tensors, tensors_in_place

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

C = TypeVar("C", bound="bytes | pa.Buffer")

_SHARD = re.compile(r"shard-\d{5,}\.json")
_SHAPE = {"entries": [FILE_ENTRY], "figures": dict}


class Workspace:
    """The working state of a stage that is not committed yet: one record per finished shard, and checkpoints.

    No other stage reads it; it is removed after the commit. part: the shard whose checkpoints these are, if they are
    those of one shard.
    """

    def __init__(self, store: Store, ref: Ref, *, part: int | None = None) -> None:
        self.store, self.ref = store, ref
        self._prefix = "checkpoint-" if part is None else f"checkpoint.{part:05d}-"
        self.folder = f".work/{ref.name}-{ref.day}-{ref.fingerprint}"

    def finish_shard(self, shard: int, entries: list[FileEntry], figures: Mapping[str, Any]) -> None:
        """Records that a shard's files are written."""
        body = {"format": STORE_FORMAT, "entries": [asdict(entry) for entry in entries], "figures": dict(figures)}
        self.store.files.write(
            f"{self.folder}/shard-{shard:05d}.json", json.dumps({**body, "sha256": digest_of(body)}).encode()
        )
        _files.reached("between-shards")

    def finished_shards(self) -> dict[int, tuple[list[FileEntry], dict[str, Any]]]:
        """The shards whose record and files are complete; all others are recomputed."""
        done = {}
        for name in filter(_SHARD.fullmatch, self.store.files.names(self.folder)):
            try:
                body = decode_checked(self.store.files.read(f"{self.folder}/{name}"), where=name, shape=_SHAPE)
            except (CorruptArtifactError, ForeignArtifactError, FileNotFoundError):
                continue
            entries = [built(FileEntry, entry) for entry in body["entries"]]
            if all(self.store.files.size(entry.path) == entry.bytes for entry in entries):
                done[int(name[6:11])] = (entries, body["figures"])
        return done

    def save_checkpoint(self, position: int, content: bytes) -> None:
        """Saves a checkpoint and removes all but the newest two."""
        path = self._checkpoint_path(position, hashlib.sha256(content).hexdigest())
        self.store.files.write(path, content, durable=False)
        self._after_checkpoint()

    def save_arrays(self, position: int, arrays: "Mapping[str, np.ndarray[Any, Any]]") -> None:
        """As :meth:`save_checkpoint`, of numeric arrays by name: large ones are written from where they lie."""
        table = lent_tensors(arrays)
        self.store.files.write_named(
            lambda checksum: self._checkpoint_path(position, checksum),
            lambda sink: write_arrow(sink, table),
            durable=False,
        )
        self._after_checkpoint()

    def newest_checkpoint(self) -> tuple[int, bytes] | None:
        """The position and content of the newest intact checkpoint; None if there is none."""
        return self._newest(self.store.files.read)

    def newest_arrays(self) -> "dict[str, np.ndarray[Any, Any]]":
        """The arrays of the newest intact checkpoint, read-only; empty if there is none."""
        found = self._newest(self.store.files.buffer)
        return {} if found is None else tensors_in_place(read_arrow(found[1]))

    def _newest(self, read: Callable[[str], C]) -> tuple[int, C] | None:
        for name in reversed(self._checkpoints()):
            _, position, checksum = name.split("-")
            try:
                content = read(f"{self.folder}/{name}")
            except FileNotFoundError:
                continue
            if hashlib.sha256(content).hexdigest()[:16] == checksum:
                return int(position), content
        return None

    def checkpoint(self, position: int) -> bytes:
        """The content of the checkpoint at a position; CorruptArtifactError if it is missing or altered."""
        for name in self._checkpoints():
            if int(name.split("-")[1]) == position:
                content = self.store.files.read(f"{self.folder}/{name}")
                if hashlib.sha256(content).hexdigest()[:16] == name.split("-")[2]:
                    return content
        raise CorruptArtifactError(
            f"working state of {self.ref}: expected an intact checkpoint at {position}, found none; run again"
        )

    def _checkpoint_path(self, position: int, checksum: str) -> str:
        return f"{self.folder}/{self._prefix}{position:012d}-{checksum[:16]}"

    def _after_checkpoint(self) -> None:
        for name in self._checkpoints()[:-2]:
            self.store.files.remove(f"{self.folder}/{name}")
        _files.reached("after-checkpoint")

    def _checkpoints(self) -> list[str]:
        form = re.compile(re.escape(self._prefix) + r"\d{12}-[0-9a-f]{16}")
        return [name for name in self.store.files.names(self.folder) if form.fullmatch(name)]

    def clear(self) -> None:
        """Removes the working state; files that another run of the stage adds concurrently may remain."""
        with contextlib.suppress(StoreUnreachableError):
            self.store.files.remove(self.folder)
