"""Publishing: the live artifact of a collection's product, guarded by gates, with a record of every move.

A pointer is a series of numbered files ``.published/<collection>/<product>/<generation>.json``, each created by exactly
one writer; the highest is live. So the pointer moves atomically, the files are the audit log, and of two concurrent
promotions only one succeeds. Other files beside them (copies, backups of editors, what a file system leaves) do not
count, nor does a file whose name is not the generation in it.
"""

import getpass
import json
import re
import socket
from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

from fingerpost.schemas import files as _files
from fingerpost.schemas.errors import (
    CorruptArtifactError,
    FingerpostError,
    GateError,
    MissingArtifactError,
    PublicationConflictError,
)
from fingerpost.schemas.figures import significant
from fingerpost.schemas.inputs import SAMPLE
from fingerpost.schemas.manifests import STORE_FORMAT, decode_checked
from fingerpost.schemas.records import Each, built, leave_out, moment, reference
from fingerpost.schemas.refs import Ref, checked_name, digest_of, is_name
from fingerpost.schemas.store import Store

_MOVE = re.compile(r"(\d{8})\.json")
#: The highest generation that a name of eight digits has.
_MOST = 99_999_999
#: Larger files beside the moves are not read.
_LARGEST_STRANGER = 1_000_000
_SHAPE = {
    "publication": {
        "generation": int,
        "ref": reference,
        "identity": str,
        "action": str,
        "at": moment,
        "by": str,
        "reason?": str,
        "gates?": [dict],
        "replaced?": Each(reference),
        "lost?": Each(str),
    }
}


@dataclass(frozen=True)
class Gate:
    """A value of a candidate and the bound that it must satisfy (``at_least`` or ``at_most``)."""

    name: str
    value: float
    bound: float
    kind: str = "at_least"

    @property
    def holds(self) -> bool:
        """Whether the gate passes: the value satisfies the bound (NaN never does)."""
        return self.value >= self.bound if self.kind == "at_least" else self.value <= self.bound

    def __str__(self) -> str:
        return f"{self.name} {significant(self.value)} ({self.kind.replace('_', ' ')} {significant(self.bound)})"


@dataclass(frozen=True)
class Publication:
    """One move of a pointer.

    action: "promote", "rollback", "forget" or "withdraw". A "forget" lists the earlier versions that were rebuilt
    (``replaced``: old to new) and those that could not be (``lost``: with the reason); after "withdraw" nothing is
    live.
    """

    generation: int
    ref: str
    identity: str
    action: str
    at: str
    by: str
    reason: str = ""
    gates: list[dict[str, Any]] = field(default_factory=list)
    replaced: dict[str, str] = field(default_factory=dict)
    lost: dict[str, str] = field(default_factory=dict)

    @property
    def artifact(self) -> Ref:
        """The artifact that became live."""
        return Ref.parse(self.ref)


class Pointer:
    """The live version of one product of one collection."""

    def __init__(self, store: Store, collection: str, product: str) -> None:
        self.store, self.collection, self.product = (
            store,
            checked_name(collection, what="collection"),
            checked_name(product, what="product"),
        )
        self.folder = f".published/{collection}/{product}"

    def history(self) -> list[Publication]:
        """All moves, oldest first; CorruptArtifactError where one cannot be read, or the newest has another name."""
        return self._moves()[0]

    def live(self) -> Publication | None:
        """The live version; None if nothing was ever published, or everything was withdrawn."""
        newest, _ = self._newest()
        return newest if newest is not None and newest.action != "withdraw" else None

    def strangers(self) -> dict[str, Publication | None]:
        """The files that do not count, by path, with the move that is in each, if one is."""
        found = {name: self._in_stranger(name) for name in self.store.files.names(self.folder)}
        return {
            f"{self.folder}/{name}": move
            for name, move in found.items()
            if not _MOVE.fullmatch(name) or (move is not None and move.generation != int(name[:8]))
        }

    def _moves(self) -> tuple[list[Publication], int]:
        """All moves, oldest first, and the generation of the next one."""
        names = self.store.files.names(self.folder)
        moves = [move for name in names if _MOVE.fullmatch(name) and (move := self._read(name)) is not None]
        return moves, self._next(moves[-1] if moves else None, names)

    def _newest(self) -> tuple[Publication | None, int]:
        """The newest move, and the generation of the next one."""
        names = self.store.files.names(self.folder)
        found = (self._read(name) for name in reversed(names) if _MOVE.fullmatch(name))
        newest = next((move for move in found if move is not None), None)
        return newest, self._next(newest, names)

    def _next(self, newest: Publication | None, names: list[str]) -> int:
        """The first generation after the newest whose name is free; the copy of a move may have taken one."""
        generation = newest.generation if newest else 0
        for name in names:
            stray = None if _MOVE.fullmatch(name) or name.startswith(".") else self._in_stranger(name)
            if stray is not None and stray.generation > generation:
                right = f"{stray.generation:08d}.json"
                raise CorruptArtifactError(
                    f"publication {self.folder}/{name}: expected the name {right}, since it is newer than what is"
                    f" live, found another; rename it to {right}, or move it away to return to the generation before"
                )
        after = generation + 1
        while f"{after:08d}.json" in names:
            after += 1
        if after > _MOST:
            raise CorruptArtifactError(
                f"publication {self.folder}: expected generations up to {_MOST}, found no free one; move away the"
                " highest files if they do not belong there"
            )
        return after

    def _read(self, name: str) -> Publication | None:
        """The move of a file; None, and a warning, for one whose name is not the generation in it."""
        try:
            move = self._decoded(name)
        except FileNotFoundError:  # moved away meanwhile
            return None
        if move.generation == int(name[:8]):
            return move
        leave_out(
            f"publication {self.folder}/{name}: expected generation {int(name[:8])} in it, found {move.generation}, so"
            " it is a copy and does not count; move it away"
        )
        return None

    def _decoded(self, name: str) -> Publication:
        where = f"publication {self.folder}/{name}"
        advice = "restore it, or remove it to return to the generation before"
        content = self.store.files.read(f"{self.folder}/{name}")
        return built(Publication, decode_checked(content, where=where, advice=advice, shape=_SHAPE)["publication"])

    def _in_stranger(self, name: str) -> Publication | None:
        try:
            size = self.store.files.size(f"{self.folder}/{name}")
            return self._decoded(name) if size is not None and size <= _LARGEST_STRANGER else None
        except (FingerpostError, FileNotFoundError):
            return None

    def required(self) -> Publication:
        """The live version; MissingArtifactError if there is none."""
        live = self.live()
        if live is None:
            raise MissingArtifactError(
                f"{self.collection}/{self.product}: expected a live version, found none in store {self.store.url}; run"
                " `fingerpost run nightly`, or list the versions with `fingerpost status`"
            )
        return live

    def promote(
        self,
        ref: Ref,
        *,
        gates: list[Gate],
        action: str = "promote",
        reason: str = "",
        after: int | None = None,
        despite: Collection[str] = (),
        replaced: Mapping[str, str] | None = None,
        lost: Mapping[str, str] | None = None,
    ) -> Publication:
        """Makes a committed artifact live.

        Every file of the artifact and of its inputs is verified first. GateError if a gate does not pass;
        PublicationConflictError if the pointer is no longer at generation ``after`` (default: the present one) when the
        move is made. Promoting the live version changes nothing. Gates named in ``despite`` are recorded but do not
        block, and the recorded reason names those that did not pass.
        """
        failed = [str(gate) for gate in gates if not gate.holds and gate.name not in despite]
        waived = [str(gate) for gate in gates if not gate.holds and gate.name in despite]
        reason = f"despite {'; '.join(waived)}: {reason}" if waived else reason
        if failed:
            live = self.live()
            raise GateError(
                f"{self.collection}/{self.product}: expected every gate to pass, found {'; '.join(failed)};"
                f" {f'{live.ref} stays live' if live else 'nothing is live'}"
            )
        last, following = self._newest()
        live = last if last is not None and last.action != "withdraw" else None
        newest = last.generation if last else 0
        expected = newest if after is None or (after == 0 and live is None) else after
        manifest = self.store.manifest(ref)
        if live and live.ref == str(ref) and live.identity == manifest.digest and action == "promote":
            return live
        self.store.verify(ref)
        move = Publication(
            generation=following,
            ref=str(ref),
            identity=manifest.digest,
            action=action,
            at=datetime.now(UTC).isoformat(timespec="seconds"),
            by=f"{_user()}@{socket.gethostname()}",
            reason=reason,
            gates=[asdict(gate) for gate in gates],
            replaced=dict(replaced or {}),
            lost=dict(lost or {}),
        )
        return self._append(move, expected, stale=expected != newest)

    def _append(self, move: Publication, expected: int, *, stale: bool = False) -> Publication:
        """Creates the file of a move after the generation ``expected``, unless that is ``stale`` already."""
        body = {"format": STORE_FORMAT, "publication": asdict(move)}
        content = json.dumps({**body, "sha256": digest_of(body)}, indent=1, sort_keys=True).encode()
        _files.reached("before-pointer")
        if stale or not self.store.files.create(f"{self.folder}/{move.generation:08d}.json", content):
            now, _ = self._newest()
            if now is None:
                raise PublicationConflictError(
                    f"{self.collection}/{self.product}: expected generation {expected} to be the newest, found none;"
                    " promote again"
                )
            if now.ref == move.ref and now.identity == move.identity:
                return now
            raise PublicationConflictError(
                f"{self.collection}/{self.product}: expected generation {expected} to be the newest, found"
                f" {now.generation} ({now.ref}, by {now.by}); check it and promote again"
            )
        return move

    def rollback(self, *, reason: str = "") -> Publication:
        """Makes the previous version live again; MissingArtifactError if there is none."""
        moves = self.history()
        earlier = self._line(moves)[:-1]
        if not earlier:
            raise MissingArtifactError(
                f"{self.collection}/{self.product}: expected an earlier version to roll back to, found {len(moves)}"
                " publication(s); nothing was changed"
            )
        target = earlier[-1]
        if why := {ref: why for move in moves for ref, why in move.lost.items()}.get(target.ref):
            raise MissingArtifactError(
                f"{self.collection}/{self.product}: expected generation {target.generation} ({target.ref}) to roll back"
                f" to, found it removed because a document in it was forgotten, and not rebuilt ({why}); nothing was"
                " changed: run the flow for that day, or promote another version"
            )
        if not self.store.has(target.artifact):
            raise MissingArtifactError(
                f"{self.collection}/{self.product}: expected generation {target.generation} ({target.ref}) to roll back"
                " to, found it removed, as by `fingerpost gc`; nothing was changed: run the flow for that day, or promote"
                " a version that is still there"
            )
        return self.promote(
            target.artifact, gates=[], action="rollback", reason=reason or f"back to generation {target.generation}"
        )

    def forget(self, replaced: Mapping[str, str], lost: Mapping[str, str], *, reason: str) -> Publication | None:
        """Replaces versions by their rebuilt ones, live and rollback targets alike; None if no version is affected.

        If the live version is lost, the newest earlier one that is not lost becomes live; if all are lost, nothing is.
        """
        line = self.line()
        if not any(move.ref in replaced or move.ref in lost for move in line):
            return None
        published = {move.ref for move in self.history()}
        replaced = {old: new for old, new in replaced.items() if old in published}
        lost = {old: why for old, why in lost.items() if old in published}
        for move in reversed(line):
            if move.ref not in lost:
                target = Ref.parse(replaced.get(move.ref, move.ref))
                return self.promote(target, gates=[], action="forget", reason=reason, replaced=replaced, lost=lost)
        moves, following = self._moves()
        move = replace(
            line[-1],
            generation=following,
            action="withdraw",
            at=datetime.now(UTC).isoformat(timespec="seconds"),
            by=f"{_user()}@{socket.gethostname()}",
            reason=reason,
            gates=[],
            replaced=replaced,
            lost=lost,
        )
        return self._append(move, moves[-1].generation)

    def line(self) -> list[Publication]:
        """The versions that rollbacks would return to, in order, the live one last."""
        return self._line(self.history())

    @staticmethod
    def _line(moves: list[Publication]) -> list[Publication]:
        """The versions as a stack: a rollback pops the version that it undid, so two rollbacks go back two versions."""
        stack: list[Publication] = []
        for move in moves:
            if move.action == "rollback" and len(stack) > 1:
                stack.pop()
            elif move.action == "withdraw":
                stack = []
            elif move.action == "forget":
                stack = [replace(old, ref=move.replaced.get(old.ref, old.ref)) for old in stack]
                while stack and stack.pop().ref != move.ref:
                    pass
                stack.append(move)
            else:
                stack.append(move)
        return stack


def products(store: Store) -> list[tuple[str, str]]:
    """The (collection, product) pairs that were ever published."""
    return [
        (collection, product)
        for collection in filter(is_name, store.files.names(".published"))
        for product in filter(is_name, store.files.names(f".published/{collection}"))
    ]


def published_collection(store: Store, collection: str | None = None, *, product: str) -> str:
    """The collection named, else the built-in sample or the only collection with that product published.

    MissingArtifactError if several collections have it.
    """
    if collection:
        return collection
    return only_collection({name for name, published in products(store) if published == product})


def only_collection(names: Collection[str]) -> str:
    """The built-in sample if it is among the names of collections or there are none, else the only one.

    MissingArtifactError for several.
    """
    found = sorted(set(names))
    if SAMPLE in found or not found:
        return SAMPLE
    if len(found) > 1:
        raise MissingArtifactError(
            f"collection: expected one to be named, since there are {len(found)}: {', '.join(found)}; name it"
            " (--collection)"
        )
    return found[0]


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return "unknown"
