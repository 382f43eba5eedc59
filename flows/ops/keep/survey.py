"""A survey of a store: artifacts, working states, hints and unlisted files. Changes nothing."""

import re
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import Any, TypeVar

from fingerpost.flows.ops.keep.reachability import STRAY, Root
from fingerpost.schemas.errors import CorruptArtifactError, FingerpostError
from fingerpost.schemas.evaluation_cache import PATH as EVALUATIONS
from fingerpost.schemas.files import Listed
from fingerpost.schemas.leases import RUNNING, Lease, records
from fingerpost.schemas.manifests import FileEntry, Manifest, decode_checked
from fingerpost.schemas.pins import Pin, pins, stray_pins
from fingerpost.schemas.publish import Pointer, Publication, products
from fingerpost.schemas.records import decoded, reference
from fingerpost.schemas.refs import Ref
from fingerpost.schemas.store import Store

_REF = r"[a-z0-9][a-z0-9_.-]*/day=\d{4}-\d\d-\d\d/[0-9a-f]{16,64}"
_MANIFEST = re.compile(rf"({_REF})/manifest\.json")
_OTHER_MANIFEST = re.compile(rf"({_REF})/(?!manifest\.json$)[^/]*manifest[^/]*(?<!\.tmp)")
_DATA = re.compile(rf"({_REF})/[a-z0-9][a-z0-9_.-]*-\d{{5,}}-[0-9a-f]{{12}}\.(?:parquet|arrow)")
_WORK = re.compile(r"(\.work/([a-z0-9][a-z0-9_.-]*)-(\d{4}-\d\d-\d\d)-([0-9a-f]{16,64}))/[^/]+")
_UNFINISHED = re.compile(r".*\.[0-9a-f]{32}\.tmp|\.claims/[0-9a-f]{32}/[0-9a-f]{32}|\.probe/[0-9a-f]{32}")
_HINT = re.compile(r"\.index/([^/]+)/[^/]+(?:/[0-9a-f]{16,64})?\.json")

T = TypeVar("T")


@dataclass(frozen=True)
class Artifact:
    """A committed artifact: its files, what it needs (reference to its role), its collection and commit time."""

    files: tuple[FileEntry, ...]
    needs: dict[str, str]
    collection: str
    day: str
    committed: datetime


@dataclass(frozen=True)
class Work:
    """The working state of a stage: its reference, its data files, and when it was last written."""

    ref: str
    day: str
    names: frozenset[str]
    written: datetime


@dataclass(frozen=True)
class Published:
    """A pointer: the live version, those that it can be rolled back to, and the moves in files that do not count."""

    name: str
    live: Publication | None
    line: list[Publication]
    strays: dict[str, Publication]

    @classmethod
    def of(cls, pointer: Pointer) -> "Published":
        """The state of a pointer; CorruptArtifactError for one that cannot be read."""
        strays = {path: move for path, move in pointer.strangers().items() if move is not None}
        return cls(f"{pointer.collection}/{pointer.product}", pointer.live(), pointer.line(), strays)


@dataclass(frozen=True)
class Survey:
    """A store at one moment.

    ``damaged`` are the manifests that cannot be read, and ``unreadable`` the pointers, with the error of each.
    """

    store: Store
    listing: dict[str, Listed]
    artifacts: dict[str, Artifact]
    damaged: dict[str, str]
    hints: dict[str, str]
    leases: dict[str, Lease]
    pins: list[Pin]
    published: list[Published]
    unreadable: dict[str, str]

    @cached_property
    def running(self) -> list[Lease]:
        """The runs at work."""
        return [lease for lease in self.leases.values() if lease.alive()]

    @cached_property
    def works(self) -> dict[str, Work]:
        """The working states by folder."""
        found: dict[str, Work] = {}
        for path, listed in self.listing.items():
            if match := _WORK.fullmatch(path):
                folder, name, day, fingerprint = match.groups()
                before = found.get(folder)
                written = max(_moment(listed.modified), before.written) if before else _moment(listed.modified)
                names = (before.names if before else frozenset()) | self._named(path)
                found[folder] = Work(f"{name}/day={day}/{fingerprint}", day, names, written)
        return found

    def _named(self, path: str) -> frozenset[str]:
        if not path.rsplit("/", 1)[-1].startswith("shard-"):
            return frozenset()
        try:
            body = decode_checked(self.store.files.read(path), where=path)
            return frozenset(str(entry["path"]) for entry in body["entries"])
        except (FileNotFoundError, FingerpostError, KeyError, TypeError):
            return frozenset()  # an unreadable state is recomputed

    @property
    def data(self) -> dict[str, str]:
        """The data files in artifacts' folders, with the artifact of the folder."""
        return {path: match.group(1) for path in self.listing if (match := _DATA.fullmatch(path))}

    @property
    def evaluations(self) -> list[str]:
        """The cached evaluations of candidates."""
        return [path for path in self.listing if EVALUATIONS.fullmatch(path)]

    @property
    def unfinished(self) -> list[str]:
        """The files of unfinished writes."""
        return [path for path in self.listing if _UNFINISHED.fullmatch(path)]

    def roots(self, *, now: datetime, keep_days: int, rollbacks: int | None = None) -> list[Root]:
        """The artifacts kept for their own sake: published, pinned, used by a run, recent, or the newest of a name.

        ``rollbacks`` is the number of versions by which each pointer can be rolled back (None: all).
        """
        found = [
            Root(pin.ref, "pinned", f"pinned by {pin.by}, {pin.at}{f' ({pin.reason})' if pin.reason else ''}")
            for pin in self.pins
        ]
        for pointer in self.published:
            found += _published(pointer, rollbacks)
        found += [
            Root(pin.ref, STRAY, f"pinned by {path}, which does not belong there")
            for path, pin in stray_pins(self.store).items()
        ]
        for lease in self.running:
            found += [Root(ref, "running", f"run {lease}") for ref in self._used(lease)]
        since = now - timedelta(days=keep_days)
        for ref, artifact in self.artifacts.items() if keep_days else ():
            if artifact.day > since.date().isoformat() or artifact.committed > since:
                found.append(Root(ref, "recent", f"of {artifact.day}, committed {artifact.committed:%Y-%m-%d %H:%M}"))
        for path, ref in self.hints.items():
            if path.count("/") == 2:
                _, collection, name = path.removesuffix(".json").split("/")
                found.append(Root(ref, "latest", f"newest {name} of {collection}"))
        return found

    def _used(self, lease: Lease) -> Iterable[str]:
        """The artifacts that a run may reuse: those of its collection, those that hints name, and those of its day."""
        for ref, artifact in self.artifacts.items():
            if lease.collection in {"", artifact.collection} or lease.day in {"", artifact.day}:
                yield ref
        yield from (ref for path, ref in self.hints.items() if path.split("/")[1] == lease.collection)


def survey(store: Store, *, clock: str = "") -> Survey:
    """Reads everything in a store; ``clock`` is a file that was just written, see `schemas.leases.records`."""
    leases = records(store, RUNNING, clock=clock)  # first: a run that ends meanwhile still counts as running
    kept = pins(store)
    published, unreadable = list[Published](), dict[str, str]()
    for collection, product in products(store):
        try:
            published.append(Published.of(Pointer(store, collection, product)))
        except FingerpostError as problem:
            unreadable[f"{collection}/{product}"] = str(problem)
    listing = store.files.listing()
    artifacts: dict[str, Artifact] = {}
    damaged: dict[str, str] = {}
    manifests = {path: match.group(1) for path in listing if (match := _MANIFEST.fullmatch(path))}
    for (path, ref), content in zip(manifests.items(), _read(store, manifests), strict=True):
        if content is not None:
            try:
                artifacts[ref] = _artifact(Ref.parse(ref), content, listing[path])
            except (FingerpostError, ValueError, KeyError, TypeError, AttributeError) as problem:
                damaged[ref] = str(problem)
    for path in listing:
        match = _OTHER_MANIFEST.fullmatch(path)
        if match and match.group(1) not in artifacts and match.group(1) not in damaged:
            damaged[match.group(1)] = (
                f"artifact {match.group(1)}: expected manifest.json, found {path}; rename it back, or remove it"
            )
    for pointer in published:
        if pointer.live and pointer.live.ref not in artifacts and pointer.live.ref not in damaged:
            unreadable[pointer.name] = (
                f"{pointer.name}: expected the artifact that is live, {pointer.live.ref}, found no manifest of it;"
                " restore it, or promote another version"
            )
    paths = [path for path in listing if _HINT.fullmatch(path)]
    hints = {
        path: ref for path, data in zip(paths, _read(store, paths), strict=True) if data and (ref := _hinted(data))
    }
    return Survey(store, listing, artifacts, damaged, hints, leases, kept, published, unreadable)


def _read(store: Store, paths: Iterable[str]) -> list[bytes | None]:
    """The contents of files, read concurrently; None for one that was removed meanwhile."""

    def content(path: str) -> bytes | None:
        try:
            return store.files.read(path)
        except FileNotFoundError:
            return None

    return _several(content, paths)


def _several(function: Callable[[str], T], items: Iterable[str]) -> list[T]:
    with ThreadPoolExecutor(8) as pool:
        return list(pool.map(function, items))


def _artifact(ref: Ref, content: bytes, listed: Listed) -> Artifact:
    manifest = Manifest.decode(content, where=f"artifact {ref}, manifest.json")
    files, needs = tuple(manifest.files), {}
    for entry in files:
        if not _DATA.fullmatch(entry.path):
            raise FingerpostError(f"artifact {ref}, manifest.json: expected data files, found {entry.path!r}")
    for name, given in manifest.identity["inputs"].items():
        if "ref" in given:
            needs[str(Ref.parse(given["ref"]))] = f"input {name}"
    companions: dict[str, Any] = manifest.run.get("companions", {})
    for name, text in companions.items():
        needs.setdefault(str(Ref.parse(text)), f"companion {name}")
    committed = _moment(listed.modified)
    if "at" in manifest.run:
        committed = max(committed, datetime.fromisoformat(manifest.run["at"]))
    return Artifact(files, needs, str(manifest.run.get("collection", "")), ref.day, committed)


def _hinted(content: bytes) -> str | None:
    try:
        return str(decoded(content, {"ref": reference}, where="hint", advice="")["ref"])
    except CorruptArtifactError:
        return None


def _published(pointer: Published, rollbacks: int | None) -> list[Root]:
    name, line = pointer.name, pointer.line
    found = [
        Root(move.ref, "rollback target", f"generation {move.generation} of {name}, to which it can be rolled back")
        for move in (line if rollbacks is None else line[-1 - rollbacks :])
    ]
    if live := pointer.live:
        found.append(Root(live.ref, "live", f"live as {name}, generation {live.generation}"))
    return found + [
        Root(move.ref, STRAY, f"named by {path}, which does not belong there") for path, move in pointer.strays.items()
    ]


def _moment(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)
