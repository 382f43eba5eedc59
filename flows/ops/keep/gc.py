"""Garbage collection: removes what nothing can reach, and only that.

A manifest goes first and an artifact before what it was made of, so that no artifact ever lacks a part; then the files that
no other manifest lists. What is left where that is cut short, the next collection takes.
"""

import secrets
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import Any

from flows.ops.keep.reachability import KINDS, Reach
from flows.ops.keep.survey import Survey, survey
from schemas import files as _files
from schemas.errors import CorruptArtifactError, MissingArtifactError
from schemas.leases import COLLECTING, Held, collecting, lease, records
from schemas.pins import Pin, pin
from schemas.refs import Ref
from schemas.store import Store

#: Files that nothing lists may belong to a write that is under way; one never lasts as long as this.
GRACE = timedelta(days=1)

WORKING, ORPHANS, UNFINISHED, HINTS, LEASES = (
    "working state",
    "files of no artifact",
    "unfinished writes",
    "hints to nothing",
    "dead leases",
)


@dataclass(frozen=True)
class Row:
    """What goes of one name: artifacts, files and bytes."""

    name: str
    artifacts: int
    files: int
    bytes: int


@dataclass(frozen=True)
class Plan:
    """What goes from a store, in the order in which it goes, and why the rest is kept."""

    seen: Survey
    reach: Reach
    keep_days: int
    artifacts: list[str]
    works: list[str]
    data: list[str]
    unfinished: list[str]
    hints: list[str]
    leases: list[str]

    @property
    def kept(self) -> dict[str, int]:
        """How many artifacts are kept, by the first reason."""
        goes = set(self.artifacts)
        kinds = [kind for ref, kind in self.reach.kept.items() if ref not in goes]
        counts = {kind: kinds.count(kind) for kind in KINDS if kind in kinds}
        if rest := len(self.seen.artifacts) - len(kinds) - len(self.artifacts):
            counts["beside a manifest that cannot be read"] = rest
        return counts

    @cached_property
    def removals(self) -> list[tuple[str, str]]:
        """Every file that goes, in order, with the name that it is counted under."""
        goes = set(self.artifacts)
        folders = set(self.works)
        working = [path for path in self.seen.listing if path.rsplit("/", 1)[0] in folders]
        found = [(f"{ref}/manifest.json", ref.split("/")[0]) for ref in self.artifacts]
        found += [(path, WORKING) for path in working]
        found += [
            (path, path.split("/")[0] if "/".join(path.split("/")[:3]) in goes else ORPHANS) for path in self.data
        ]
        for paths, name in ((self.unfinished, UNFINISHED), (self.hints, HINTS), (self.leases, LEASES)):
            found += [(path, name) for path in paths]
        return found

    @property
    def rows(self) -> list[Row]:
        """What goes, by the artifacts' names and then the rest."""
        counted: dict[str, list[int]] = {}
        for path, name in self.removals:
            row = counted.setdefault(name, [0, 0, 0])
            row[0] += path.endswith("/manifest.json")
            row[1] += 1
            row[2] += self.seen.listing[path].size
        rest = [WORKING, ORPHANS, UNFINISHED, HINTS, LEASES]
        order = sorted(set(counted) - set(rest)) + [name for name in rest if name in counted]
        return [Row(name, *counted[name]) for name in order]

    @property
    def freed(self) -> int:
        """The bytes that go."""
        return sum(row.bytes for row in self.rows)

    @property
    def problem(self) -> str:
        """What keeps the collection from doing its work; empty if nothing does."""
        if not self.seen.damaged:
            return ""
        names = ", ".join(sorted(self.seen.damaged)[:3])
        return (
            f"store {self.seen.store.url}: expected manifests that can be read, found {len(self.seen.damaged)} that"
            f" cannot ({names}); no artifact and no data file was removed, since they may need any: make them again"
            " with --force, or remove those manifests"
        )

    def as_json(self, *, dry_run: bool) -> dict[str, Any]:
        """The plan as plain values."""
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
        }


def plan_collection(
    store: Store,
    *,
    keep_days: int,
    keep_rollbacks: int | None = None,
    now: datetime | None = None,
    grace: timedelta = GRACE,
) -> Plan:
    """What a collection at this moment would remove; changes nothing.

    Kept are the artifacts of the last ``keep_days`` days, by their day or by when they were committed, and all that
    `Survey.roots` names, with everything that these need. ``grace`` is for how long a file that nothing lists is kept,
    ``keep_rollbacks`` how many versions back a rollback can go (None: to any).
    """
    now = now or datetime.now(UTC)
    seen = survey(store)
    reach = Reach(
        {ref: artifact.needs for ref, artifact in seen.artifacts.items()},
        seen.roots(now=now, keep_days=keep_days, rollbacks=keep_rollbacks),
    )
    frozen = bool(seen.damaged)
    goes = set() if frozen else set(seen.artifacts) - set(reach.kept)
    stays = set(seen.artifacts) - goes
    old, long_ago = (now - grace).timestamp(), (now - max(grace, GRACE)).timestamp()
    works = _works(seen, before=now - max(timedelta(days=keep_days), grace))
    there = stays | set(seen.damaged)
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
        if ref not in there and not _leased(seen, collection=path.split("/")[1])
    ]
    leases = [
        path
        for path, lease in {**seen.leases, **records(store, COLLECTING)}.items()
        if path in seen.listing and seen.listing[path].modified < long_ago and not lease.alive()
    ]
    unfinished = _unfinished(seen, works, before=long_ago)
    return Plan(seen, reach, keep_days, reach.users_first(goes), works, data, unfinished, hints, leases)


def _unfinished(seen: Survey, works: list[str], *, before: float) -> list[str]:
    """The writes that did not end, outside of what goes anyway; none while a run is at work, since they may be its own."""
    if seen.running:
        return []
    return [
        path for path in seen.unfinished if seen.listing[path].modified < before and path.rsplit("/", 1)[0] not in works
    ]


def _works(seen: Survey, *, before: datetime) -> list[str]:
    """The working states of stages that are committed, or whose run ended long ago; none of a day that a run works on."""
    return [
        folder
        for folder, work in seen.works.items()
        if not _leased(seen, day=work.day)
        and work.ref not in seen.damaged
        and (work.ref in seen.artifacts or work.written < before)
    ]


def _is_orphan(seen: Survey, path: str, ref: str, old: float) -> bool:
    """Whether a file that nothing lists has been there for long, and not for a run that works on its day."""
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
    """Removes what a collection at this moment removes; what that was. No run begins meanwhile."""
    with collecting(store) as held:
        plan = plan_collection(store, keep_days=keep_days, keep_rollbacks=keep_rollbacks, now=now, grace=grace)
        carry_out(plan, held)
    return plan


def carry_out(plan: Plan, held: Held) -> None:
    """Removes what a plan names, which must have been made while the collector's record is held."""
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
    """Why an artifact is kept: a chain for each kind of reason; none where it goes."""

    ref: str
    goes: bool
    chains: list[list[str]] = field(default_factory=list)
    shared: dict[str, list[str]] = field(default_factory=dict)


def explain(plan: Plan, ref: Ref) -> Explanation:
    """Which chains reach an artifact, and which of its files others list; MissingArtifactError if there is none."""
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
    """Pins an artifact, so that no collection that is under way removes it at the same time."""
    with lease(store, f"pin-{secrets.token_hex(6)}", flow="pin"):
        return pin(store, ref, reason=reason)
