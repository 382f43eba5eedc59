"""The execution of a stage: reading and writing of artifacts, and distribution over shards."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import cached_property
from typing import Any

import pyarrow as pa

from fingerpost.schemas.contract import Contract
from fingerpost.schemas.manifests import FileEntry, Manifest
from fingerpost.schemas.refs import Ref
from fingerpost.schemas.store import Store
from fingerpost.schemas.workspace import Workspace
from fingerpost.tasks.environment import Environment
from fingerpost.tasks.shards import PassJob, Shard, ShardJob, ShardOutput


@dataclass
class StageRun:
    """One execution of a stage, through which its function reads, writes and distributes work.

    entries: the files written so far. quality, measured: values for the manifest; those that depend on the machine in
    ``measured``. companions: further artifacts by contract. shards_run, shards_resumed: shards computed, and taken from
    an interrupted run. peak_mb: peak memory of the shards in MB.
    """

    env: Environment
    contract: Contract
    ref: Ref
    replace: bool
    entries: list[FileEntry] = field(default_factory=list)
    quality: dict[str, Any] = field(default_factory=dict)
    measured: dict[str, Any] = field(default_factory=dict)
    companions: dict[str, str] = field(default_factory=dict)
    shards_run: int = 0
    shards_resumed: int = 0
    peak_mb: float = 0.0

    @property
    def store(self) -> Store:
        """The store."""
        return self.env.store

    @property
    def workspace(self) -> Workspace:
        """The stage's workspace."""
        return Workspace(self.store, self.ref)

    @property
    def threads(self) -> int:
        """Threads for kernels whose results do not depend on their number."""
        return self.env.threads

    def threads_of(self, shards: Sequence[Shard]) -> int:
        """Threads per shard if there are fewer shards than cores; results do not depend on it."""
        return max(1, self.threads // max(1, len(shards)))

    def write(self, table: str, data: pa.Table, *, shard: int = 0) -> None:
        """Writes a table of the artifact that was not computed by shards."""
        self.entries.append(self.store.write_table(self.ref, self.contract, table, data, shard=shard))

    def write_companion(self, contract: Contract, tables: Mapping[str, pa.Table], *, quality: Mapping[str, Any]) -> Ref:
        """Commits a second artifact of the same day and fingerprint, for example the quarantine."""
        ref = Ref(contract.name, self.ref.day, self.ref.fingerprint)
        entries = [self.store.write_table(ref, contract, name, data) for name, data in tables.items()]
        identity = identity_of(contract, {"parameters": {}, "inputs": {}, "code": ""}, entries, quality)
        self.store.commit(ref, Manifest(identity, {"written_by": self.contract.name}), replace=self.replace)
        self.companions[contract.name] = str(ref)
        return ref

    def map_shards(
        self, function: Callable[..., ShardOutput], shards: Sequence[Shard], **arguments: Any
    ) -> list[dict[str, Any]]:
        """Runs ``function(store, shard, **arguments)`` for every unfinished shard; the values of all in shard order.

        Each shard's files are written and recorded before the next result is awaited, so that after a kill only the
        shards in flight are recomputed.
        """
        self.env.progress.begin(self.contract.name, len(shards))
        finished = {} if self.replace else self.workspace.finished_shards()
        return self._mapped(function, shards, arguments, finished, before=0)

    def map_further_shards(
        self, function: Callable[..., ShardOutput], shards: Sequence[Shard], **arguments: Any
    ) -> list[dict[str, Any]]:
        """As ``map_shards``, for shards that depend on the results of earlier ones.

        Their progress is counted on from those before; ``begin`` announced how many there will be in all.
        """
        before = self.shards_run + self.shards_resumed
        return self._mapped(function, shards, arguments, self._interrupted, before=before)

    def _mapped(
        self,
        function: Callable[..., ShardOutput],
        shards: Sequence[Shard],
        arguments: Mapping[str, Any],
        finished: dict[int, tuple[list[FileEntry], dict[str, Any]]],
        *,
        before: int,
    ) -> list[dict[str, Any]]:
        todo = [shard for shard in shards if shard.index not in finished]
        self.shards_resumed += len(shards) - len(todo)
        job = ShardJob(self.store, self.ref, self.contract, function, arguments)
        start = before + len(shards) - len(todo)
        self.env.progress.advance(self.contract.name, start)
        for done, (position, report) in enumerate(self.env.executor.map(job, todo), start=start + 1):
            finished[todo[position].index] = (report.entries, report.figures)
            self.shards_run += 1
            self.peak_mb = max(self.peak_mb, report.peak_mb)
            self.env.progress.advance(self.contract.name, done)
        for shard in shards:
            self.entries += finished[shard.index][0]
        return [finished[shard.index][1] for shard in shards]

    @cached_property
    def _interrupted(self) -> dict[int, tuple[list[FileEntry], dict[str, Any]]]:
        """The shards that an interrupted run finished, read once."""
        return {} if self.replace else self.workspace.finished_shards()

    def gather(self, function: Callable[..., Any], shards: Sequence[Shard], **arguments: Any) -> list[Any]:
        """The results of ``function(store, shard, **arguments)`` in shard order, for aggregation over shards."""
        results: dict[int, Any] = dict(self.env.executor.map(PassJob(self.store, function, arguments), list(shards)))
        return [results[position] for position in range(len(shards))]

    def begin(self, total: int) -> None:
        """Announces the number of steps of a stage that does not use shards."""
        self.env.progress.begin(self.contract.name, total)

    def advance(self, done: int) -> None:
        """Shows the number of steps done."""
        self.env.progress.advance(self.contract.name, done)

    def tell(self, text: str) -> None:
        """Shows in a few words what a long stage has found so far."""
        self.env.progress.tell(self.contract.name, text)


def identity_of(
    contract: Contract, parts: Mapping[str, Any], entries: list[FileEntry], quality: Mapping[str, Any]
) -> dict[str, Any]:
    """The identity of an artifact: contract, parameters, inputs, code, rows, quality values and files."""
    rows: dict[str, int] = {table.name: 0 for table in contract.tables}
    for entry in entries:
        rows[entry.table] += entry.rows
    return {
        "contract": {"name": contract.name, "version": contract.version},
        "schema": contract.schema(),
        "rows": rows,
        "quality": dict(quality),
        "parameters": parts["parameters"],
        "inputs": parts["inputs"],
        "input_identities": parts.get("input_identities", {}),
        "code": parts["code"],
        "files": [asdict(entry) for entry in sorted(entries, key=lambda entry: (entry.table, entry.shard))],
    }
