"""The ``@stage`` decorator: fingerprint, reuse or run, check, commit, record.

A stage is a function ``(run, *inputs, **parameters)`` that writes tables through ``run``. Called inside a flow it
becomes a Prefect task and returns the reference of its artifact, computed or reused.
"""

import functools
import importlib.metadata
import inspect
import json
import platform
import socket
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import asdict, dataclass, field, is_dataclass, replace
from datetime import UTC, datetime
from typing import Any, Protocol

import pyarrow as pa
from prefect import task
from prefect.cache_policies import NO_CACHE
from threadpoolctl import threadpool_limits

from schemas.contract import Contract
from schemas.errors import CorruptArtifactError, FingerpostError, ForeignArtifactError, MissingArtifactError
from schemas.refs import Ref, canonical_json, changed_keys, digest_of
from schemas.store import FileEntry, Manifest, Store, Workspace
from tasks.code import code_hash
from tasks.ledger import Ledger, StageRecord
from tasks.shards import Executor, PassJob, SerialExecutor, Shard, ShardJob, ShardOutput, peak_memory_mb


class Progress(Protocol):
    """Where people see how far a stage is."""

    def begin(self, stage: str, total: int) -> None:
        """A stage starts on ``total`` steps."""

    def advance(self, stage: str, done: int) -> None:
        """``done`` of them are finished."""

    def end(self, record: StageRecord) -> None:
        """A stage ended, reused or run."""


class SilentProgress:
    """Shows nothing."""

    def begin(self, stage: str, total: int) -> None:
        """Nothing."""

    def advance(self, stage: str, done: int) -> None:
        """Nothing."""

    def end(self, record: StageRecord) -> None:
        """Nothing."""


class Source(Protocol):
    """An input from outside the store, for example a user's file."""

    def identity(self) -> str:
        """A digest of its content."""
        ...


@dataclass
class Environment:
    """What a run gives to its stages: where to store and compute, for which day and collection, what to force."""

    store: Store
    collection: str
    day: str
    executor: Executor = field(default_factory=SerialExecutor)
    threads: int = 1
    forced: frozenset[str] = frozenset()
    stale_on_versions: bool = False
    progress: Progress = field(default_factory=SilentProgress)
    records: list[StageRecord] = field(default_factory=list)
    rerun: set[str] = field(default_factory=set)

    @property
    def ledger(self) -> Ledger:
        """The notes on this collection's earlier artifacts."""
        return Ledger(self.store, self.collection)


_current: ContextVar[Environment] = ContextVar("fingerpost_environment")


@contextmanager
def environment(env: Environment) -> Iterator[Environment]:
    """Stages called inside run in this environment."""
    token = _current.set(env)
    try:
        yield env
    finally:
        _current.reset(token)


def current_environment() -> Environment:
    """The environment that stages called now run in."""
    try:
        return _current.get()
    except LookupError as problem:
        raise FingerpostError(
            "stage: expected to be called inside a run, found no environment; call the flow, or use `tasks.stage.environment`"
        ) from problem


@dataclass
class StageRun:
    """One execution of a stage: the door through which its body reads, writes and fans out."""

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
        """The stage's working state."""
        return Workspace(self.store, self.ref)

    @property
    def threads(self) -> int:
        """Threads for kernels whose results do not depend on their number."""
        return self.env.threads

    def write(self, table: str, data: pa.Table, *, shard: int = 0) -> None:
        """Writes a table that the stage made in one piece."""
        self.entries.append(self.store.write_table(self.ref, self.contract, table, data, shard=shard))

    def write_companion(self, contract: Contract, tables: Mapping[str, pa.Table], *, quality: Mapping[str, Any]) -> Ref:
        """Commits a second artifact of the same day and fingerprint, for example the quarantine."""
        ref = Ref(contract.name, self.ref.day, self.ref.fingerprint)
        entries = [self.store.write_table(ref, contract, name, data) for name, data in tables.items()]
        identity = _identity(contract, {"parameters": {}, "inputs": {}, "code": "", "plan": []}, entries, quality)
        self.store.commit(ref, Manifest(identity, {"written_by": self.contract.name}), replace=self.replace)
        self.companions[contract.name] = str(ref)
        return ref

    def map_shards(
        self, function: Callable[..., ShardOutput], shards: Sequence[Shard], **arguments: Any
    ) -> list[dict[str, Any]]:
        """Runs ``function(store, shard, **arguments)`` for every shard not finished yet; their figures in shard order.

        Each shard's files are in place and recorded before the next result is waited for, so that after a kill only
        the shards in flight are computed again.
        """
        finished = {} if self.replace else self.workspace.finished_shards()
        todo = [shard for shard in shards if shard.index not in finished]
        self.shards_resumed += len(shards) - len(todo)
        job = ShardJob(self.store, self.ref, self.contract, function, arguments)
        self.env.progress.begin(self.contract.name, len(shards))
        self.env.progress.advance(self.contract.name, len(shards) - len(todo))
        for done, (position, report) in enumerate(self.env.executor.map(job, todo), start=len(shards) - len(todo) + 1):
            finished[todo[position].index] = (report.entries, report.figures)
            self.shards_run += 1
            self.peak_mb = max(self.peak_mb, report.peak_mb)
            self.env.progress.advance(self.contract.name, done)
        for shard in shards:
            self.entries += finished[shard.index][0]
        return [finished[shard.index][1] for shard in shards]

    def gather(self, function: Callable[..., Any], shards: Sequence[Shard], **arguments: Any) -> list[Any]:
        """The results of ``function(store, shard, **arguments)`` in shard order, for sums over shards."""
        results: dict[int, Any] = dict(self.env.executor.map(PassJob(self.store, function, arguments), list(shards)))
        return [results[position] for position in range(len(shards))]

    def begin(self, total: int) -> None:
        """Announces the number of steps of a stage that does not use shards."""
        self.env.progress.begin(self.contract.name, total)

    def advance(self, done: int) -> None:
        """Shows how many of them are done."""
        self.env.progress.advance(self.contract.name, done)


@dataclass(frozen=True)
class Stage:
    """A decorated stage function; call it inside a flow with references and keyword parameters."""

    function: Callable[..., None]
    contract: Contract

    @property
    def name(self) -> str:
        """The stage's name, as commands and tables show it."""
        return self.function.__name__

    def __call__(self, *inputs: "Ref | Source", **parameters: Any) -> Ref:
        """Reuses or computes the artifact as a Prefect task of the running flow."""
        env = current_environment()

        def run() -> str:
            return str(self.execute(env, *inputs, **parameters))

        run.__doc__ = self.function.__doc__
        named = task(
            name=self.name, task_run_name=f"{self.name} {env.day}", cache_policy=NO_CACHE, persist_result=False
        )(run)
        return Ref.parse(named())

    def execute(self, env: Environment, *inputs: "Ref | Source", **parameters: Any) -> Ref:
        """The same without Prefect."""
        started = time.perf_counter()
        parts = self._parts(env, inputs, parameters)
        fingerprint = digest_of(
            {key: parts[key] for key in ("contract", "parameters", "input_identities", "plan", "code", "versions")}
        )[:32]
        ref = Ref(self.contract.name, env.day, fingerprint)
        earlier = env.ledger.latest(self.contract.name)
        forced = self.name in env.forced or any(isinstance(given, Ref) and str(given) in env.rerun for given in inputs)
        if not forced and (manifest := self._reusable(env, ref, earlier)) is not None:
            record = StageRecord.reused(
                self.name,
                ref,
                manifest,
                reason="accepted" if parts["accepted"] else "reused",
                seconds=time.perf_counter() - started,
            )
        else:
            record = self._compute(
                env,
                ref,
                parts,
                inputs,
                parameters,
                forced=forced,
                reason=self._reason(env, parts, earlier, forced=forced),
            )
        env.ledger.note(self.contract.name, ref)
        env.records.append(record)
        env.progress.end(record)
        return ref

    def _input_names(self, count: int) -> list[str]:
        """The names of the inputs, as the function calls them; those of ``*members`` are numbered."""
        names: list[str] = []
        for parameter in list(inspect.signature(self.function).parameters.values())[1:]:
            if parameter.kind is parameter.VAR_POSITIONAL:
                names += [f"{parameter.name}_{number:02d}" for number in range(count - len(names))]
            elif parameter.kind is parameter.POSITIONAL_OR_KEYWORD:
                names.append(parameter.name)
        return names[:count]

    def _parts(
        self, env: Environment, inputs: Sequence["Ref | Source"], parameters: Mapping[str, Any]
    ) -> dict[str, Any]:
        code = code_hash(self.function)
        accepted = env.ledger.accepted(self.name, code)
        names = self._input_names(len(inputs))
        return {
            "contract": {"name": self.contract.name, "version": self.contract.version},
            "parameters": json.loads(canonical_json({key: asdict(value) if is_dataclass(value) and not isinstance(value, type) else value for key, value in parameters.items()})),
            "input_identities": {name: given.identity if isinstance(given, Ref) else given.identity() for name, given in zip(names, inputs, strict=True)},
            "inputs": {name: {"ref": str(given)} if isinstance(given, Ref) else {"source": given.identity()} for name, given in zip(names, inputs, strict=True)},
            "plan": [],
            "code": accepted or code,
            "accepted": accepted is not None,
            "versions": package_versions() if env.stale_on_versions else {},
        }  # fmt: skip

    def _reusable(self, env: Environment, ref: Ref, earlier: Ref | None) -> Manifest | None:
        """The manifest of this fingerprint, of this day or carried over from an earlier one."""
        if env.store.has(ref):
            manifest = env.store.manifest(ref)
            return manifest if env.store.intact(manifest) else self._refuse_damaged(ref, manifest, env.store)
        if earlier is None or earlier.fingerprint != ref.fingerprint:
            return None
        carried = _readable(env.store, earlier)
        return env.store.commit(ref, carried) if carried is not None and env.store.intact(carried) else None

    def _refuse_damaged(self, ref: Ref, manifest: Manifest, store: Store) -> Manifest:
        lost = [entry.path for entry in manifest.files if store.files.size(entry.path) != entry.bytes]
        raise MissingArtifactError(
            f"artifact {ref}: expected {lost[0]} as the manifest lists it, found it missing or of another size; run again with --force {self.name}"
        )

    def _reason(self, env: Environment, parts: Mapping[str, Any], earlier: Ref | None, *, forced: bool) -> str:
        if forced:
            return "forced" if self.name in env.forced else "forced (an input was)"
        known = _readable(env.store, earlier)
        if known is None:
            return "first run"
        before = known.identity
        reasons = []
        if changed := changed_keys(before["parameters"], parts["parameters"]):
            reasons.append(f"parameters changed ({_some(changed)})")
        if changed := changed_keys(before["input_identities"], parts["input_identities"]):
            reasons.append(f"input changed ({_some(changed)})")
        if before["code"] != parts["code"]:
            reasons.append("code changed")
        if before["contract"] != parts["contract"]:
            reasons.append("contract changed")
        return "; ".join(reasons) or "not finished before"

    def _compute(self, env: Environment, ref: Ref, parts: Mapping[str, Any], inputs: Sequence["Ref | Source"], parameters: Mapping[str, Any], *, forced: bool, reason: str) -> StageRecord:  # fmt: skip
        run = StageRun(env, self.contract, ref, replace=forced)
        if forced:
            run.workspace.clear()
        started, cpu = time.perf_counter(), time.process_time()
        try:
            with threadpool_limits(1):
                self.function(run, *inputs, **parameters)
        except FingerpostError:
            # Another run of the same stage may have finished first, and cleared the working state under this one.
            if forced or not env.store.has(ref):
                raise
            seconds = time.perf_counter() - started
            return StageRecord.reused(self.name, ref, env.store.manifest(ref), reason="reused", seconds=seconds)
        entries = run.entries if forced else self._share_unchanged(env, run.entries)
        identity = _identity(self.contract, parts, entries, run.quality)
        cost = {
            "seconds": round(time.perf_counter() - started, 3),
            "cpu_seconds": round(time.process_time() - cpu, 3),
            "peak_mb": max(run.peak_mb, peak_memory_mb()),
        }
        about = {
            "at": datetime.now(UTC).isoformat(timespec="seconds"), "host": socket.gethostname(), "collection": env.collection, "reason": reason,
            "versions": package_versions(), "python": platform.python_version(), "machine": platform.machine(), "threads": env.threads,
            "shards_run": run.shards_run, "shards_resumed": run.shards_resumed, "measured": run.measured, "companions": run.companions, **cost,
        }  # fmt: skip
        manifest = env.store.commit(ref, Manifest(identity, about), replace=forced)
        # Only now, since a run that is stopped before this line goes on with these files.
        for path in {entry.path for entry in run.entries} - {entry.path for entry in manifest.files}:
            env.store.files.remove(path)
        run.workspace.clear()
        if forced:
            env.rerun.add(str(ref))
        return StageRecord.ran(self.name, ref, manifest, reason=reason)

    def _share_unchanged(self, env: Environment, entries: list[FileEntry]) -> list[FileEntry]:
        """The entries, with whole files that an earlier artifact of this stage already holds referred to instead."""
        earlier = _readable(env.store, env.ledger.latest(self.contract.name))
        known = {(e.table, e.sha256): e for e in earlier.files} if earlier else {}
        shared = []
        for entry in entries:
            same = known.get((entry.table, entry.sha256))
            if same is not None and same.path != entry.path and env.store.holds(same):
                entry = replace(entry, path=same.path)
            shared.append(entry)
        return shared


def _readable(store: Store, ref: Ref | None) -> Manifest | None:
    """The manifest of an earlier artifact; None if it is gone or damaged, which must not stop what does not need it."""
    try:
        return store.manifest(ref) if ref is not None else None
    except (MissingArtifactError, CorruptArtifactError, ForeignArtifactError):
        return None


def _some(keys: list[str]) -> str:
    """The first few of some keys, and how many there are beyond."""
    return ", ".join(keys[:4]) + (f" and {len(keys) - 4} more" if len(keys) > 4 else "")


def stage(contract: Contract) -> Callable[[Callable[..., None]], Stage]:
    """Makes a stage of a function ``(run, *inputs, **parameters)`` that writes one artifact of this contract."""

    def decorate(function: Callable[..., None]) -> Stage:
        return Stage(function, contract)

    return decorate


def _identity(
    contract: Contract, parts: Mapping[str, Any], entries: list[FileEntry], quality: Mapping[str, Any]
) -> dict[str, Any]:
    rows: dict[str, int] = {table.name: 0 for table in contract.tables}
    for entry in entries:
        rows[entry.table] += entry.rows
    return {
        "contract": {"name": contract.name, "version": contract.version}, "schema": contract.schema(), "rows": rows, "quality": dict(quality),
        "parameters": parts["parameters"], "inputs": parts["inputs"], "input_identities": parts.get("input_identities", {}), "code": parts["code"], "plan": parts["plan"],
        "files": [asdict(entry) for entry in sorted(entries, key=lambda entry: (entry.table, entry.shard))],
    }  # fmt: skip


@functools.lru_cache(maxsize=1)
def package_versions() -> dict[str, str]:
    """The versions of what results may depend on."""
    return {
        name: importlib.metadata.version(name) for name in ("numpy", "scipy", "pyarrow", "pandas", "dask", "prefect")
    }
