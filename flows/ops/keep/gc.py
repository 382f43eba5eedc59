"""Garbage collection: removes the artifacts and files that nothing reaches.

Manifests are removed first, an artifact before its inputs, so that no artifact ever lacks a part; then the files that
no other manifest lists. What an interrupted collection leaves is removed by the next one.
"""

import secrets
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import Any

from fingerpost.flows.ops.keep.reachability import KINDS, Reach
from fingerpost.flows.ops.keep.survey import Survey, survey
from fingerpost.schemas import files as _files
from fingerpost.schemas.errors import CorruptArtifactError, MissingArtifactError
from fingerpost.schemas.leases import COLLECTING, Held, collecting, lease, records
from fingerpost.schemas.pins import Pin, pin
from fingerpost.schemas.refs import Ref
from fingerpost.schemas.store import Store

#: Unlisted files may belong to a write in progress; no write takes as long as this.
GRACE = timedelta(days=1)

WORKING, ORPHANS, UNFINISHED, HINTS, LEASES, EVALUATIONS = (
    "working state",
    "files of no artifact",
    "unfinished writes",
    "hints to nothing",
    "dead leases",
    "cached evaluations",
)


@dataclass(frozen=True)
class Row:
    """The removals of one name: artifacts, files and bytes."""

    name: str
    artifacts: int
    files: int
    bytes: int


@dataclass(frozen=True)
class Plan:
    """The removals from a store, in order, and the reasons why the rest is kept."""

    seen: Survey
    reach: Reach
    keep_days: int
    artifacts: list[str]
    works: list[str]
    data: list[str]
    unfinished: list[str]
    hints: list[str]
    leases: list[str]
    evaluations: list[str]

    @property
    def kept(self) -> dict[str, int]:
        """The number of kept artifacts, by the first reason."""
        goes = set(self.artifacts)
        kinds = [kind for ref, kind in self.reach.kept.items() if ref not in goes]
        counts = {kind: kinds.count(kind) for kind in KINDS if kind in kinds}
        if rest := len(self.seen.artifacts) - len(kinds) - len(self.artifacts):
            counts["beside a manifest that cannot be read"] = rest
        return counts

    @cached_property
    def removals(self) -> list[tuple[str, str]]:
        """Every file to remove, in order, with the name that it is counted under."""
        goes = set(self.artifacts)
        folders = set(self.works)
        working = [path for path in self.seen.listing if path.rsplit("/", 1)[0] in folders]
        found = [(f"{ref}/manifest.json", ref.split("/")[0]) for ref in self.artifacts]
        found += [(path, WORKING) for path in working]
        found += [
            (path, path.split("/")[0] if "/".join(path.split("/")[:3]) in goes else ORPHANS) for path in self.data
        ]
        named = {UNFINISHED: self.unfinished, HINTS: self.hints, LEASES: self.leases, EVALUATIONS: self.evaluations}
        for name, paths in named.items():
            found += [(path, name) for path in paths]
        return found

    @property
    def rows(self) -> list[Row]:
        """The removals by artifacts' names, then the others."""
        counted: dict[str, list[int]] = {}
        for path, name in self.removals:
            row = counted.setdefault(name, [0, 0, 0])
            row[0] += path.endswith("/manifest.json")
            row[1] += 1
            row[2] += self.seen.listing[path].size
        rest = [WORKING, ORPHANS, UNFINISHED, HINTS, LEASES, EVALUATIONS]
        order = sorted(set(counted) - set(rest)) + [name for name in rest if name in counted]
        return [Row(name, *counted[name]) for name in order]

    @property
    def freed(self) -> int:
        """The number of bytes that are freed."""
        return sum(row.bytes for row in self.rows)

    @property
    def problem(self) -> str:
        """Why nothing can be removed; empty if it can."""
        if not self.seen.damaged and not self.seen.unreadable:
            return ""
        if self.seen.unreadable:
            found = "; ".join(self.seen.unreadable.values())
            return (
                f"{found} (no artifact and no data file was removed of store {self.seen.store.url}, since that may"
                " name any)"
            )
        names = ", ".join(sorted(self.seen.damaged)[:3])
        return (
            f"store {self.seen.store.url}: expected manifests that can be read, found {len(self.seen.damaged)} that"
            f" cannot ({names}); no artifact and no data file was removed, since they may need any: rebuild these"
            " with --force, or remove those manifests"
        )

    def as_json(self, *, dry_run: bool) -> dict[str, Any]:
        """The plan as plain values for JSON."""
        return {
            "store": self.seen.store.url,
            "keep_days": self.keep_days,
            "dry_run": dry_run,
            "removed": [vars(row) for row in self.rows],
            "artifacts": self.artifacts,
            "files": [path for path, _ in self.removals],
            "freed": self.freed,
            "kept": self.kept,
            "pins": [vars(pin) for pin in self.seen.pins],
            "running": [vars(lease) for lease in self.seen.running],
            "damaged": self.seen.damaged,
            "unreadable": self.seen.unreadable,
        }


def plan_collection(
    store: Store,
    *,
    keep_days: int,
    keep_rollbacks: int | None = None,
    now: datetime | None = None,
    grace: timedelta = GRACE,
    clock: str = "",
) -> Plan:
    """The removals of a collection at this moment; changes nothing.

    Kept are the artifacts of the last ``keep_days`` days, by their day or their commit, the roots of
    `Survey.roots`, and everything that these need. ``grace`` is how long an unlisted file is kept,
    ``keep_rollbacks`` the number of versions kept for rollbacks (None: all), ``clock`` as in `survey`.
    """
    now = now or datetime.now(UTC)
    seen = survey(store, clock=clock)
    reach = Reach(
        {ref: artifact.needs for ref, artifact in seen.artifacts.items()},
        seen.roots(now=now, keep_days=keep_days, rollbacks=keep_rollbacks),
    )
    frozen = bool(seen.damaged or seen.unreadable)
    goes = set() if frozen else set(seen.artifacts) - set(reach.kept)
    stays = set(seen.artifacts) - goes
    old, long_ago = (now - grace).timestamp(), (now - max(grace, GRACE)).timestamp()
    unused = now - max(timedelta(days=keep_days), grace)
    works = _works(seen, before=unused)
    kept_refs = stays | set(seen.damaged)
    listed = {entry.path for ref in stays for entry in seen.artifacts[ref].files}
    named = {path for folder in set(seen.works) - set(works) for path in seen.works[folder].names}
    went = {entry.path for ref in goes for entry in seen.artifacts[ref].files}
    data = (
        []
        if frozen
        else [
            path
            for path, ref in seen.data.items()
            if path not in listed and path not in named and (path in went or _is_orphan(seen, path, ref, old))
        ]
    )
    hints = [
        path
        for path, ref in seen.hints.items()
        if ref not in kept_refs and not _leased(seen, collection=path.split("/")[1])
    ]
    leases = [
        path
        for path, lease in {**seen.leases, **records(store, COLLECTING, clock=clock)}.items()
        if path in seen.listing and seen.listing[path].modified < long_ago and not lease.alive()
    ]
    unfinished = _unfinished(seen, works, before=long_ago)
    evaluations = [path for path in seen.evaluations if seen.listing[path].modified < unused.timestamp()]
    return Plan(seen, reach, keep_days, reach.users_first(goes), works, data, unfinished, hints, leases, evaluations)


def _unfinished(seen: Survey, works: list[str], *, before: float) -> list[str]:
    """The unfinished writes, without those that are removed anyway; none while a run is at work, which may own them."""
    if seen.running:
        return []
    return [
        path for path in seen.unfinished if seen.listing[path].modified < before and path.rsplit("/", 1)[0] not in works
    ]


def _works(seen: Survey, *, before: datetime) -> list[str]:
    """The working states of stages that are committed or whose run ended long ago, without days that a run works on."""
    return [
        folder
        for folder, work in seen.works.items()
        if not _leased(seen, day=work.day)
        and work.ref not in seen.damaged
        and (work.ref in seen.artifacts or work.written < before)
    ]


def _is_orphan(seen: Survey, path: str, ref: str, old: float) -> bool:
    """Whether an unlisted file is older than the grace period, and no run works on its day."""
    return seen.listing[path].modified < old and not _leased(seen, day=ref.split("/day=")[1][:10])


def _leased(seen: Survey, *, collection: str | None = None, day: str | None = None) -> bool:
    return any(
        (collection is not None and lease.collection in {"", collection})
        or (day is not None and lease.day in {"", day})
        for lease in seen.running
    )


def collect(
    store: Store,
    *,
    keep_days: int,
    keep_rollbacks: int | None = None,
    now: datetime | None = None,
    grace: timedelta = GRACE,
) -> Plan:
    """Runs a collection and returns what it removed. No run starts meanwhile."""
    with collecting(store) as held:
        plan = plan_collection(
            store, keep_days=keep_days, keep_rollbacks=keep_rollbacks, now=now, grace=grace, clock=held.path
        )
        carry_out(plan, held)
    return plan


def carry_out(plan: Plan, held: Held) -> None:
    """Removes the files of a plan, which must have been made while the collector's record is held."""
    files, folders = plan.seen.store.files, set()
    for path, _ in plan.removals:
        held.check()
        _files.reached("before-removal")
        files.remove_file(path)
        folders.add(path.rsplit("/", 1)[0])
    for folder in sorted(folders, reverse=True):
        files.prune(folder)


@dataclass(frozen=True)
class Explanation:
    """Why an artifact is kept: one chain per kind of reason; none if it is removed."""

    ref: str
    goes: bool
    chains: list[list[str]] = field(default_factory=list)
    shared: dict[str, list[str]] = field(default_factory=dict)


def explain(plan: Plan, ref: Ref) -> Explanation:
    """The chains that reach an artifact, and its files that others list; MissingArtifactError without an artifact."""
    name = str(ref)
    if name in plan.seen.damaged:
        raise CorruptArtifactError(plan.seen.damaged[name])
    if name not in plan.seen.artifacts:
        raise MissingArtifactError(
            f"artifact {ref}: expected a committed artifact, found no manifest; see `fingerpost history`"
        )
    shared: dict[str, list[str]] = {}
    goes, own = set(plan.artifacts), {entry.path for entry in plan.seen.artifacts[name].files}
    for other, artifact in plan.seen.artifacts.items():
        if other != name and other not in goes and (both := own & {entry.path for entry in artifact.files}):
            shared[other] = sorted(both)
    return Explanation(name, name in goes, plan.reach.chains(name), shared)


def keep(store: Store, ref: Ref, *, reason: str = "") -> Pin:
    """Pins an artifact, safe against a collection in progress."""
    with lease(store, f"pin-{secrets.token_hex(6)}", flow="pin"):
        return pin(store, ref, reason=reason)
