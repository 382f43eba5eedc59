"""The difference of two artifacts, two releases with their members, or two runs. Imports no Prefect."""

from dataclasses import dataclass, field
from typing import Any

from fingerpost.flows.domains import products
from fingerpost.flows.ops.compare.causes import (
    Cause,
    Change,
    cause_of,
    causes,
    changes,
    difference_of,
    lineage,
    stage_names,
    stage_of,
)
from fingerpost.flows.ops.compare.changes import DataChange, data_changes
from fingerpost.flows.ops.compare.versions import Version, publications_of
from fingerpost.schemas.errors import UsageError
from fingerpost.schemas.figures import significant
from fingerpost.schemas.manifests import Manifest
from fingerpost.schemas.refs import Ref, same_kind
from fingerpost.schemas.releases import read_members
from fingerpost.schemas.store import Store
from fingerpost.tasks.ledger import stages_by_name


@dataclass(frozen=True)
class ArtifactDiff:
    """A pair of artifacts; ``state`` is same, changed, only before or only after."""

    role: str
    before: str
    after: str
    state: str
    own: Cause | None = None
    inputs: list[Change] = field(default_factory=list)
    versions: list[Change] = field(default_factory=list)
    schema: list[Change] = field(default_factory=list)
    rows: list[Change] = field(default_factory=list)
    quality: list[Change] = field(default_factory=list)
    files: dict[str, int] = field(default_factory=dict)
    cost: list[Change] = field(default_factory=list)
    data: list[DataChange] = field(default_factory=list)


@dataclass(frozen=True)
class StagePair:
    """A stage in two runs."""

    stage: str
    before: str
    after: str
    same_artifact: bool
    seconds: Change
    peak_mb: Change


@dataclass(frozen=True)
class Diff:
    """The difference of two versions; first causes in the order in which artifacts are made."""

    before: str
    after: str
    kind: str
    causes: list[Cause]
    artifacts: list[ArtifactDiff]
    gates: list[Change] = field(default_factory=list)
    settings: list[Change] = field(default_factory=list)
    stages: list[StagePair] = field(default_factory=list)
    about: list[Change] = field(default_factory=list)


def diff(store: Store, before: Version, after: Version) -> Diff:
    """The difference of two versions: of runs if both are runs, otherwise of artifacts."""
    if before.run is not None and after.run is not None:
        return _runs(store, before.run, after.run)
    known = before.ref or after.ref
    assert known is not None
    left, right = before.artifact(known.name), after.artifact(known.name)
    if not same_kind(left.name, right.name):
        raise UsageError(f"diff: expected two artifacts of one kind, got {left} and {right}; name two of the same kind")
    product = products().get(left.name)
    if product is None:
        whole = diff_artifacts(store, left, right)
        return Diff(str(left), str(right), "artifact", causes(store, left, right), [whole])
    members = _pairs(store, read_members(store, left), read_members(store, right))
    members.append(diff_artifacts(store, left, right))
    gates = changes(*(_gates_of(store, ref) for ref in (left, right)))
    return Diff(str(left), str(right), product.title, causes(store, left, right), members, gates)


def diff_artifacts(store: Store, before: Ref, after: Ref, *, role: str = "", stage: str = "") -> ArtifactDiff:
    """Two artifacts of one contract."""
    role = role or after.name
    left, right = store.manifest(before), store.manifest(after)
    if left.digest == right.digest:
        return ArtifactDiff(role, str(before), str(after), "same")
    old, new = left.identity, right.identity
    return ArtifactDiff(
        role,
        str(before),
        str(after),
        "changed",
        cause_of(after.name, left, right, stage),
        inputs=changes(old["input_identities"], new["input_identities"]),
        versions=changes(left.run.get("versions", {}), right.run.get("versions", {})),
        schema=changes(old["schema"], new["schema"]),
        rows=changes(old["rows"], new["rows"]),
        quality=changes(old["quality"], new["quality"]),
        files=_files(left, right),
        cost=_cost(left, right),
        data=data_changes(store, before, after),
    )


def _pairs(store: Store, left: dict[str, Ref], right: dict[str, Ref]) -> list[ArtifactDiff]:
    stages, found = stage_names(store), list[ArtifactDiff]()
    for role in _order(store, left, right):
        if role not in left or role not in right:
            state = "only after" if role in right else "only before"
            found.append(ArtifactDiff(role, str(left.get(role, "")), str(right.get(role, "")), state))
        elif same_kind(left[role].name, right[role].name):
            found.append(diff_artifacts(store, left[role], right[role], role=role, stage=stage_of(stages, right[role])))
    return found


def _order(store: Store, left: dict[str, Ref], right: dict[str, Ref]) -> list[str]:
    """The roles in topological order of their artifacts."""
    order: list[str] = []
    for side in (right, left):
        for role in sorted(side):
            order += [ref.identity for ref, _ in lineage(store, side[role]).values() if ref.identity not in order]
    roles = sorted(left.keys() | right.keys())
    return sorted(roles, key=lambda role: (order.index((right[role] if role in right else left[role]).identity), role))


def _runs(store: Store, before: dict[str, Any], after: dict[str, Any]) -> Diff:
    sides = [stages_by_name(run) for run in (before, after)]
    names = [*sides[1], *(name for name in sides[0] if name not in sides[1])]
    refs = [{name: Ref.parse(record["ref"]) for name, record in side.items()} for side in sides]
    kept = [{name: ref for name, ref in side.items() if store.has(ref)} for side in refs]
    shared = [name for name in names if name in kept[0] and name in kept[1]]
    artifacts = [diff_artifacts(store, kept[0][name], kept[1][name], role=name, stage=name) for name in shared]
    roots = [artifact.own for artifact in artifacts if artifact.own is not None and artifact.own.kinds]
    about = changes(
        *(
            {key: run.get(key) for key in ("flow", "collection", "day", "state", "error", "seconds", "profile")}
            for run in (before, after)
        )
    )
    return Diff(
        before["id"],
        after["id"],
        "run",
        roots,
        artifacts,
        gates=changes(*({_gate_name(gate): _gate_text(gate) for gate in run["gates"]} for run in (before, after))),
        settings=changes(before["settings"], after["settings"]),
        stages=[_stage_pair(name, *sides) for name in names],
        about=about,
    )


def _stage_pair(name: str, left: dict[str, Any], right: dict[str, Any]) -> StagePair:
    one, other = left.get(name), right.get(name)
    same = bool(one and other and Ref.parse(one["ref"]).identity == Ref.parse(other["ref"]).identity)
    cost = [changes({key: (one or {}).get(key)}, {key: (other or {}).get(key)}) for key in ("seconds", "peak_mb")]
    seconds, peak = (
        found[0] if found else Change(key, (one or {}).get(key), (other or {}).get(key), 0.0)
        for key, found in zip(("seconds", "peak_mb"), cost, strict=True)
    )
    return StagePair(name, _did(one), _did(other), same, seconds, peak)


def _did(record: dict[str, Any] | None) -> str:
    if record is None:
        return "not in it"
    return f"ran: {record['reason']}" if record["computed"] else record["reason"]


def _gates_of(store: Store, ref: Ref) -> dict[str, str]:
    """The gates of a release at its last promotion."""
    moves = publications_of(store, ref)
    return {gate["name"]: _gate_text(gate) for gate in moves[-1].gates} if moves else {"published": "never"}


def _gate_name(gate: dict[str, Any]) -> str:
    return str(gate["name"] if "name" in gate else str(gate["gate"]).split(" ")[0])


def _gate_text(gate: dict[str, Any]) -> str:
    if "gate" in gate:
        return str(gate["gate"]).partition(" ")[2] + ("" if gate["holds"] else ", missed")
    if gate.get("unmeasured"):
        return f"unmeasured: {gate['unmeasured']}"
    return f"{significant(gate['value'], 6)} ({gate['kind'].replace('_', ' ')} {significant(gate['bound'], 6)})"


def _files(left: Manifest, right: Manifest) -> dict[str, int]:
    """The number of identical files, and the bytes of each version."""
    old, new = ({(e.table, e.sha256): e.bytes for e in manifest.files} for manifest in (left, right))
    return {
        "before": len(left.files),
        "after": len(right.files),
        "same": len(old.keys() & new.keys()),
        "bytes_before": sum(e.bytes for e in left.files),
        "bytes_after": sum(e.bytes for e in right.files),
    }


def _cost(left: Manifest, right: Manifest) -> list[Change]:
    """Measured times, and the machine that they were measured on."""
    keys = ("seconds", "cpu_seconds", "peak_mb", "python", "machine", "blas", "threads")
    pairs = [(key, left.run.get(key), right.run.get(key)) for key in keys]
    return [Change(key, old, new, difference_of(old, new)) for key, old, new in pairs if (old, new) != (None, None)]
