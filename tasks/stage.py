"""The ``@stage`` decorator: fingerprint, reuse or run, check, commit, record.

A stage is a function ``(run, *inputs, **parameters)`` that writes tables through ``run``. Called inside a flow, it runs
as a Prefect task and returns the reference of its artifact, computed or reused.
"""

import functools
import importlib.metadata
import inspect
import json
import platform
import socket
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, is_dataclass, replace
from datetime import UTC, datetime
from typing import Any

from prefect import task
from prefect.cache_policies import NO_CACHE

from fingerpost.schemas.contract import Contract
from fingerpost.schemas.errors import (
    CorruptArtifactError,
    FingerpostError,
    ForeignArtifactError,
    InputError,
    MissingArtifactError,
)
from fingerpost.schemas.refs import Ref, canonical_json, changed_keys, digest_of, former_name
from fingerpost.schemas.store import FileEntry, Manifest, Store
from fingerpost.schemas.wording import some
from fingerpost.tasks.code import code_hash
from fingerpost.tasks.environment import Environment, Source, current_environment
from fingerpost.tasks.ledger import Estimate, PlannedStage, StageRecord, full_name, input_texts
from fingerpost.tasks.room import check_room
from fingerpost.tasks.same_code import known_as
from fingerpost.tasks.shards import peak_memory_mb, release_memory, reset_peak_memory
from fingerpost.tasks.stage_run import StageRun, identity_of
from fingerpost.tasks.threads import blas_cores, single_threaded

#: Packages that only some stages need, and that may not be installed.
_EXTRAS = ("torch", "pytorch-metric-learning", "onnx", "onnxruntime")

#: The beginning of a reason.
_INPUT_CHANGED = "input changed"


@dataclass(frozen=True)
class Stage:
    """A decorated stage function; call it inside a flow with references and keyword parameters."""

    function: Callable[..., None]
    contract: Contract
    #: Its artifact is shown, kept and compared, but it is not a member of a release and makes no day stale.
    observes: bool = False

    @property
    def name(self) -> str:
        """The stage's name in commands and tables."""
        return self.function.__name__

    @property
    def code(self) -> str:
        """The hash of the code that it runs, or of earlier code known to be equivalent."""
        return known_as(self.name, code_hash(self.function))

    def __call__(self, *inputs: "Ref | Source", **parameters: Any) -> Ref:
        """Reuses or computes the artifact as a Prefect task of the running flow."""
        env = current_environment()
        if env.planning:
            return self.execute(env, *inputs, **parameters)

        def run() -> str:
            return str(self.execute(env, *inputs, **parameters))

        run.__doc__ = self.function.__doc__
        named = task(
            name=self.name, task_run_name=f"{self.name} {env.day}", cache_policy=NO_CACHE, persist_result=False
        )(run)
        return Ref.parse(named())

    def execute(self, env: Environment, *inputs: "Ref | Source", **parameters: Any) -> Ref:
        """Reuses or computes the artifact without Prefect; when planning, only returns the reference it would have."""
        ref = self._executed(env, inputs, parameters)
        assert ref is not None
        return ref

    def reuse(self, env: Environment, *inputs: "Ref | Source", **parameters: Any) -> Ref | None:
        """The artifact without Prefect if it need not be computed; else None. Not for planning."""
        return self._executed(env, inputs, parameters, computing=False)

    def _executed(
        self,
        env: Environment,
        inputs: Sequence["Ref | Source"],
        parameters: Mapping[str, Any],
        *,
        computing: bool = True,
    ) -> Ref | None:
        """The artifact; None if it must be computed and is not to be."""
        started, env.running = time.perf_counter(), full_name(self.name, env.part)
        self._check_observed(env, inputs)
        parts = self._parts(env, inputs, parameters)
        fingerprint = digest_of(
            {key: parts[key] for key in ("parameters", "input_identities", "code", "versions")}
            | {"contract": _in_fingerprints(parts["contract"])}
        )[:32]
        ref = Ref(self.contract.name, env.day, fingerprint)
        env.asked[full_name(self.name, env.part)] = str(ref)
        if self.observes:
            env.observed.add(str(ref))
        earlier = env.ledger.same(self.contract.name, fingerprint) or self.before(env)
        forced = self.name in env.forced or any(isinstance(ref, Ref) and str(ref) in env.rerun for ref in inputs)
        if env.planning:
            env.planned.append(self._planned(env, ref, parts, earlier, forced=forced))
            return ref
        if not forced and (manifest := self._reusable(env, ref, earlier)) is not None:
            record = StageRecord.reused(
                self.name,
                ref,
                manifest,
                reason="accepted" if parts["accepted"] else "reused",
                seconds=time.perf_counter() - started,
            )
        elif not computing:
            return None
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
        record = replace(record, part=env.part, observes=self.observes)
        env.records.append(record)
        env.progress.end(record)
        env.running = ""
        return ref

    def _check_observed(self, env: Environment, inputs: Sequence["Ref | Source"]) -> None:
        """FingerpostError if a stage that does not observe depends on one that only observes."""
        observed = [ref for ref in inputs if isinstance(ref, Ref) and str(ref) in env.observed]
        if observed and not self.observes:
            raise FingerpostError(
                f"stage {self.name}: expected inputs of stages that do not only observe, got {observed[0]}; leave it"
                f" out, or declare {self.name} with observes=True"
            )

    def before(self, env: Environment) -> Ref | None:
        """The artifact of this stage in the last run for the day, or the newest of any day."""
        text = env.before.get(full_name(self.name, env.part))
        ref = Ref.parse(text) if text else None
        return ref if ref is not None and env.store.has(ref) else env.ledger.latest(self.contract.name)

    def _planned(
        self, env: Environment, ref: Ref, parts: Mapping[str, Any], earlier: Ref | None, *, forced: bool
    ) -> PlannedStage:
        existing = committed = _readable(env.store, ref)
        if existing is None and earlier is not None and _same_artifact(earlier, ref):
            existing = _readable(env.store, earlier)
        runs = forced or existing is None or not env.store.intact(existing)
        if forced:
            env.rerun.add(str(ref))
        reason = self._reason(env, parts, earlier, forced=forced) if runs else ""
        if runs and committed is not None and not forced:
            reason = f"damaged: needs --force {self.name}"
        return PlannedStage(
            self.name,
            str(ref),
            runs,
            reason,
            self._estimate(env, existing) if runs else None,
            input_texts(parts["inputs"]),
            env.part,
            self.observes,
        )

    def _estimate(self, env: Environment, existing: Manifest | None = None) -> Estimate | None:
        known = existing or _readable(env.store, env.ledger.latest(self.contract.name))
        return Estimate.of(known) or env.expected(self.contract.name.partition(".")[0], full_name(self.name, env.part))

    def differs(self, env: Environment, ref: Ref, **parameters: Any) -> str:
        """Why the stage would produce an artifact other than ``ref`` from the same inputs; empty if it would not."""
        manifest, parts = env.store.manifest(ref), self._parts(env, (), parameters)
        reasons = _changes(manifest.identity, {**parts, "input_identities": manifest.identity["input_identities"]})
        if env.stale_on_versions and manifest.run.get("versions") != package_versions():
            reasons.append("versions changed")
        return "; ".join(reasons)

    def _input_names(self, count: int) -> list[str]:
        """The names of the inputs in the function's signature; those of ``*members`` are numbered."""
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
        code = self.code
        accepted = env.ledger.accepted(self.name, code)
        named = dict(zip(self._input_names(len(inputs)), inputs, strict=True))
        identities = {
            name: value.identity if isinstance(value, Ref) else value.identity() for name, value in named.items()
        }
        return {
            "contract": {"name": self.contract.name, "version": self.contract.version},
            "parameters": json.loads(
                canonical_json(
                    {
                        key: asdict(value) if is_dataclass(value) and not isinstance(value, type) else value
                        for key, value in parameters.items()
                    }
                )
            ),
            "input_identities": identities,
            "inputs": {
                name: {"ref": str(value)} if isinstance(value, Ref) else {"source": identities[name]}
                for name, value in named.items()
            },
            "code": accepted or code,
            "accepted": accepted is not None,
            "versions": package_versions() if env.stale_on_versions else {},
        }

    def _reusable(self, env: Environment, ref: Ref, earlier: Ref | None) -> Manifest | None:
        """The manifest of this fingerprint, of this day or carried over from another day."""
        if env.store.has(ref):
            manifest = env.store.manifest(ref)
            return manifest if env.store.intact(manifest) else self._refuse_damaged(ref, manifest, env.store)
        if earlier is None or not _same_artifact(earlier, ref):
            return None
        carried = _readable(env.store, earlier)
        return env.store.commit(ref, carried) if carried is not None and env.store.intact(carried) else None

    def _refuse_damaged(self, ref: Ref, manifest: Manifest, store: Store) -> Manifest:
        lost = [entry.path for entry in manifest.files if store.files.size(entry.path) != entry.bytes]
        raise MissingArtifactError(
            f"artifact {ref}: expected {lost[0]} as the manifest lists it, found it missing or of another size; rerun"
            f" with --force {self.name}"
        )

    def _reason(self, env: Environment, parts: Mapping[str, Any], earlier: Ref | None, *, forced: bool) -> str:
        if forced:
            return "forced" if self.name in env.forced else "forced (an input was)"
        known = _readable(env.store, earlier)
        if known is None:
            return "first run"
        changes = _changes(known.identity, parts)
        if env.changed:
            changes = [env.changed if change.startswith(_INPUT_CHANGED) else change for change in changes]
        return "; ".join(changes) or "not finished before"

    def _compute(
        self,
        env: Environment,
        ref: Ref,
        parts: Mapping[str, Any],
        inputs: Sequence["Ref | Source"],
        parameters: Mapping[str, Any],
        *,
        forced: bool,
        reason: str,
    ) -> StageRecord:
        estimate = self._estimate(env)
        if estimate is not None:
            check_room(env.store.url, self.name, estimate.bytes)
        run = StageRun(env, self.contract, ref, replace=forced)
        if forced:
            run.workspace.clear()
        reason = "; ".join(filter(None, (reason, env.because)))
        env.progress.start(full_name(self.name, env.part), estimate)
        release_memory()
        reset_peak_memory()
        started, cpu = time.perf_counter(), time.process_time()
        try:
            with single_threaded():
                self.function(run, *inputs, **parameters)
            _check_unchanged(inputs, parts["input_identities"])
        except FingerpostError:
            # Another run of the same stage may have finished first and cleared the shared workspace.
            if forced or not env.store.has(ref):
                raise
            seconds = time.perf_counter() - started
            return StageRecord.reused(self.name, ref, env.store.manifest(ref), reason="reused", seconds=seconds)
        entries = run.entries if forced else self._share_unchanged(env, run.entries)
        identity = identity_of(self.contract, parts, entries, run.quality)
        cost = {
            "seconds": round(time.perf_counter() - started, 3),
            "cpu_seconds": round(time.process_time() - cpu, 3),
            "peak_mb": max(run.peak_mb, peak_memory_mb()),
        }
        about = {
            "at": datetime.now(UTC).isoformat(timespec="seconds"),
            "host": socket.gethostname(),
            "collection": env.collection,
            "reason": reason,
            "versions": package_versions(),
            "python": platform.python_version(),
            "machine": platform.machine(),
            "blas": blas_cores(),
            "threads": env.threads,
            "shards_run": run.shards_run,
            "shards_resumed": run.shards_resumed,
            "measured": run.measured,
            "companions": run.companions,
            **cost,
        }
        manifest = env.store.commit(ref, Manifest(identity, about), replace=forced)
        # Only now, since a run that is killed before this line resumes with these files.
        for path in {entry.path for entry in run.entries} - {entry.path for entry in manifest.files}:
            env.store.files.remove(path)
        run.workspace.clear()
        if forced:
            env.rerun.add(str(ref))
        return StageRecord.ran(self.name, ref, manifest, reason=reason, estimate=estimate)

    def _share_unchanged(self, env: Environment, entries: list[FileEntry]) -> list[FileEntry]:
        """The entries, referring to identical files of an earlier artifact of this stage where there are any."""
        earlier = _readable(env.store, env.ledger.latest(self.contract.name))
        known = {(e.table, e.sha256): e for e in earlier.files} if earlier else {}
        shared = []
        for entry in entries:
            same = known.get((entry.table, entry.sha256))
            if same is not None and same.path != entry.path and env.store.holds(same):
                entry = replace(entry, path=same.path)
            shared.append(entry)
        return shared


def _same_artifact(earlier: Ref, ref: Ref) -> bool:
    """Whether an earlier artifact is the same on another day; one of a former contract has a different form."""
    return (earlier.name, earlier.fingerprint) == (ref.name, ref.fingerprint)


def _readable(store: Store, ref: Ref | None) -> Manifest | None:
    """The manifest of an earlier artifact; None if it is missing or damaged, which must not stop a run."""
    try:
        return store.manifest(ref) if ref is not None else None
    except (MissingArtifactError, CorruptArtifactError, ForeignArtifactError):
        return None


def _changes(before: Mapping[str, Any], parts: Mapping[str, Any]) -> list[str]:
    """The differences between an earlier artifact of a stage and the requested one."""
    reasons = []
    if changed := changed_keys(before["parameters"], parts["parameters"]):
        reasons.append(f"parameters changed ({some(changed)})")
    if changed := changed_keys(before["input_identities"], parts["input_identities"]):
        reasons.append(f"{_INPUT_CHANGED} ({some(changed)})")
    if before["code"] != parts["code"]:
        reasons.append("code changed")
    if _in_fingerprints(before["contract"]) != _in_fingerprints(parts["contract"]):
        reasons.append("contract changed")
    return reasons


def _in_fingerprints(contract: Mapping[str, Any]) -> dict[str, Any]:
    """Name and version of a contract, with its name in fingerprints."""
    return {**contract, "name": former_name(contract["name"])}


def _check_unchanged(inputs: Sequence["Ref | Source"], identities: Mapping[str, str]) -> None:
    """InputError for a source that changed since its fingerprint was computed."""
    for source, identity in zip(inputs, identities.values(), strict=True):
        if not isinstance(source, Ref) and source.identity() != identity:
            raise InputError(
                f"{source}: expected the input to stay unchanged while it is read, found it changed; run again"
            )


def stage(contract: Contract, *, observes: bool = False) -> Callable[[Callable[..., None]], Stage]:
    """Decorates a function ``(run, *inputs, **parameters)`` that writes one artifact of this contract as a stage.

    A stage that ``observes`` computes a summary, a metric or a plot: its artifact is recorded, shown, kept and compared
    like others, but is not a member of a release and makes neither a day stale nor a new version. Only other observing
    stages may use it as an input.
    """

    def decorate(function: Callable[..., None]) -> Stage:
        return Stage(function, contract, observes)

    return decorate


@functools.lru_cache(maxsize=1)
def package_versions() -> dict[str, str]:
    """The versions of packages that results may depend on; extras only if they are installed."""
    versions = {}
    for name in ("numpy", "scipy", "pyarrow", "pandas", "dask", "prefect", "pillow", *_EXTRAS):
        try:
            versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            if name not in _EXTRAS:
                raise
    return versions
