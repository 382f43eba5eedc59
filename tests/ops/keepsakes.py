"""Stores with a past: artifacts that need each other across days, published, pinned, leased and left behind, and what a collection may leave of them."""

import json
import random
import re
import time
from contextlib import ExitStack
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import tests.support.unflushed  # noqa: F401 - importing it is its use
from fingerpost.schemas.leases import RUNNING, Lease, _machine, _process, lease
from fingerpost.schemas.manifests import Manifest
from fingerpost.schemas.pins import pin, unpin
from fingerpost.schemas.publish import Pointer
from fingerpost.schemas.refs import Ref
from fingerpost.schemas.store import Store
from fingerpost.schemas.workspace import Workspace
from fingerpost.tasks.environment import Environment
from fingerpost.tasks.ledger import Ledger
from tests.worlds import GATE, run_pipeline, things_ref, write_things

#: Collections of these tests take place long after their stores were written, so that nothing is recent by its commit.
LATER = timedelta(days=100)
NAMES = ("test.things", "test.parts", "test.sums")
COLLECTIONS = ("red", "blue")


def at_noon() -> datetime:
    """When the collection takes place."""
    return (datetime.now(UTC) + LATER).replace(hour=12, minute=0)


class Past:
    """A store that is filled at random; it keeps its own account of what must stay."""

    def __init__(self, store: Store, seed: int) -> None:
        self.store, self.random, self.now = store.prepare(), random.Random(seed), at_noon()
        self.refs: list[Ref] = []
        self.lines: dict[str, list[Ref]] = {}
        self.pins: set[Ref] = set()
        self.latest: dict[tuple[str, str], Ref] = {}
        self.runs: list[tuple[str, str]] = []
        self.made_for: dict[Ref, str] = {}
        self.foreign = {"notes.txt", "test.things/README", ".elsewhere/x.json"}
        self.exits = ExitStack()
        for path in self.foreign:
            store.files.write(path, b"not ours")

    def day(self, ago: int) -> str:
        return (self.now.date() - timedelta(days=ago)).isoformat()

    def commit(self) -> Ref:
        """An artifact of some inputs, perhaps with a companion, perhaps with files that an earlier one holds."""
        number = len(self.refs)
        ref = things_ref(number, day=self.day(self.random.randint(0, 40)), name=self.random.choice(NAMES))
        inputs = tuple(self.random.sample(self.refs, min(len(self.refs), self.random.choice((0, 1, 1, 2)))))
        manifest = write_things(self.store, ref, seed=number, shards=1, inputs=inputs)
        collection, run = self.random.choice((*COLLECTIONS, "")), dict(manifest.run)
        if collection:
            run["collection"] = collection
        if self.random.random() < 0.2:
            companion = Ref("test.quarantine", ref.day, ref.fingerprint)
            plain = write_things(self.store, companion, seed=number, shards=1)
            self.store.commit(companion, Manifest(plain.identity, {"written_by": ref.name}))
            run["companions"] = {"test.quarantine": str(companion)}
            self.refs.append(companion)
        identity = dict(manifest.identity)
        if self.refs and self.random.random() < 0.4:
            earlier = self.store.manifest(self.random.choice(self.refs)).files[0]
            mine = manifest.files
            self.store.files.remove_file(mine[0].path)
            identity["files"] = [vars(entry) for entry in (earlier, *mine[1:])]
        self.store.commit(ref, Manifest(identity, run))
        if collection:
            self.made_for[ref] = collection
            if self.random.random() < 0.5:
                Ledger(self.store, collection).note(ref.name, ref)
                self.latest[collection, ref.name] = ref
        self.refs.append(ref)
        return ref

    def carry(self) -> None:
        """The same artifact, of a later day, with the files that it has."""
        earlier = self.random.choice(self.refs)
        ref = replace(earlier, day=self.day(self.random.randint(0, 5)))
        if not self.store.has(ref):
            self.store.commit(ref, self.store.manifest(earlier))
            self.refs.append(ref)
            if collection := self.made_for.get(earlier):
                self.made_for[ref] = collection

    def publish(self) -> None:
        collection, ref = self.random.choice(COLLECTIONS), self.random.choice(self.refs)
        line = self.lines.setdefault(collection, [])
        if not line or line[-1] != ref:
            Pointer(self.store, collection, "test.product").promote(ref, gates=[GATE])
            line.append(ref)

    def roll_back(self) -> None:
        for collection, line in self.lines.items():
            if len(line) > 1 and self.random.random() < 0.5:
                Pointer(self.store, collection, "test.product").rollback()
                line.pop()

    def pin(self) -> None:
        ref = self.random.choice(self.refs)
        if ref in self.pins:
            unpin(self.store, ref)
            self.pins.remove(ref)
        else:
            pin(self.store, ref, reason="why not")
            self.pins.add(ref)

    def run(self) -> None:
        """A run that is at work, or one whose process has ended."""
        collection, day, alive = (
            self.random.choice(COLLECTIONS),
            self.day(self.random.randint(0, 40)),
            self.random.random() < 0.5,
        )
        lease_of(self.store, f"run-{len(self.runs)}-{alive}".lower(), collection=collection, day=day, alive=alive)
        if alive:
            self.runs.append((collection, day))

    def leave(self) -> None:
        """What runs leave that were stopped: files without a manifest, working state, writes that did not end, hints."""
        number = self.random.randint(10_000, 99_999)
        ref = things_ref(number, day=self.day(self.random.randint(0, 40)))
        entries = write_things(self.store, ref, seed=number, shards=1).files
        if self.random.random() < 0.5:
            Workspace(self.store, ref).finish_shard(0, entries, {})
        if self.random.random() < 0.5:
            Workspace(self.store, self.random.choice(self.refs)).finish_shard(0, [], {})
        self.store.files.write(f"{ref}/things-00000-{'0' * 12}.parquet.{'a' * 32}.tmp", b"half")
        self.store.files.write(f".index/red/test.things/{ref.fingerprint}.json", json.dumps({"ref": str(ref)}).encode())

    def fill(self, steps: int) -> "Past":
        """Takes so many steps at random."""
        self.commit()
        steps_by_weight = [
            (self.commit, 10),
            (self.carry, 2),
            (self.publish, 3),
            (self.roll_back, 1),
            (self.pin, 2),
            (self.leave, 2),
            (self.run, 1),
        ]
        moves, weights = zip(*steps_by_weight, strict=True)
        for move in self.random.choices(moves, weights, k=steps):
            move()
        return self

    def must_stay(self, keep_days: int) -> set[Ref]:
        """The artifacts that something reaches, by looking again and again until nothing is added."""
        stay = {ref for line in self.lines.values() for ref in line} | self.pins | set(self.latest.values())
        for ref in self.refs:
            if keep_days and (self.now.date() - date.fromisoformat(ref.day)).days < keep_days:
                stay.add(ref)
            for collection, day in self.runs:
                if ref.day == day or self.made_for.get(ref) == collection:
                    stay.add(ref)
        while True:
            more = set(stay)
            for ref in stay:
                manifest = self.store.manifest(ref)
                texts = [given["ref"] for given in manifest.identity["inputs"].values()]
                texts += manifest.run.get("companions", {}).values()
                more |= {Ref.parse(text) for text in texts}
            if more == stay:
                return stay
            stay = more

    def files_that_stay(self, keep_days: int) -> set[str]:
        """Every file that a collection must leave, and no other."""
        store, there = self.store, set(self.store.files.listing())
        stay = self.must_stay(keep_days)
        found = {f"{ref}/manifest.json" for ref in stay} | {e.path for ref in stay for e in store.manifest(ref).files}
        days = {day for _, day in self.runs}
        for path in there:
            if path.startswith(".work/"):
                [day] = re.findall(r"-(\d{4}-\d\d-\d\d)-[0-9a-f]+/", path)
                if day in days:
                    found |= {path} | {entry["path"] for entry in json.loads(store.files.read(path))["entries"]}
            elif path.startswith((".published/", ".pins/")) or path in self.foreign or path == "store.json":
                found.add(path)
            elif path.startswith(".index/"):
                ref = Ref.parse(json.loads(store.files.read(path))["ref"])
                if ref in stay or path.split("/")[1] in {collection for collection, _ in self.runs}:
                    found.add(path)
            elif (path.startswith(".running/") and "true" in path) or (path.endswith(".tmp") and days):
                found.add(path)
            elif any(f"/day={day}/" in path for day in days) and path.endswith(".parquet"):
                folder = Ref.parse(path.rsplit("/", 1)[0])
                listed = {e.path for ref in self.refs for e in store.manifest(ref).files}
                if folder.day in days and path not in listed:
                    found.add(path)
        return found


def lease_of(store: Store, run: str, *, collection: str, day: str, alive: bool = True, **changed: Any) -> Lease:
    """Writes the lease of a run, of this process or of one that has ended."""
    now, pid = time.time(), 1
    found = Lease(run, "nightly", collection, day, "here", _machine(), pid, _process(pid) if alive else "1", now, now)
    found = replace(found, **changed)
    store.files.write(f"{RUNNING}/{run}.json", json.dumps(vars(found)).encode())
    return found


def check_whole(store: Store) -> None:
    """Every artifact that is there has every file and everything that it was made of."""
    for ref in store.refs():
        assert store.verify(ref), ref


def run_toys(url: str, collection: str, rounds: int, seed: int) -> int:
    """In a process of its own: runs that reuse what is there, make what is not, and publish; how many artifacts they reused."""
    store, chance, reused = Store(url), random.Random(seed), 0
    ledger, pointer = Ledger(store, collection), Pointer(store, collection, "test.sums")
    for number in range(rounds):
        day = f"2026-01-0{chance.randint(1, 3)}"
        with lease(store, f"{collection}-{number}", flow="toys", collection=collection, day=day, timeout=60):
            made: list[Ref] = []
            for name in NAMES:
                ref = things_ref(chance.randint(1, 3), day=day, name=name)
                found = store.manifest(ref) if store.has(ref) else None
                if found is not None and store.intact(found):
                    time.sleep(0.005 * chance.random())
                    store.verify(ref)
                    reused += 1
                elif (earlier := ledger.same(name, ref.fingerprint)) and store.intact(
                    carried := store.manifest(earlier)
                ):
                    time.sleep(0.005 * chance.random())
                    store.commit(ref, carried)
                    reused += 1
                else:
                    whole = write_things(store, ref, seed=chance.randint(1, 3), shards=1, inputs=tuple(made))
                    store.commit(ref, Manifest(whole.identity, {**whole.run, "collection": collection}))
                ledger.note(name, ref)
                made.append(ref)
            pointer.promote(made[-1], gates=[GATE])
    return reused


def run_pipelines(url: str, collection: str, documents: list[str]) -> list[int]:
    """In a process of its own: one run of the pipeline after the other, on two days in turn; how many stages each computed."""
    store, computed = Store(url), []
    for number, path in enumerate(documents):
        env = Environment(store, collection, f"2026-01-0{1 + number % 2}")
        with lease(store, f"{collection}-{number}", flow="nightly", collection=collection, day=env.day, timeout=60):
            run_pipeline(env, Path(path))
        computed.append(sum(record.computed for record in env.records))
    return computed
