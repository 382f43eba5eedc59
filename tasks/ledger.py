"""What is remembered of a collection's stages: the newest artifact of each, accepted code, and the record of a stage's run."""

import getpass
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, is_dataclass
from datetime import UTC, datetime
from typing import Any

from schemas.errors import FingerpostError, MissingArtifactError
from schemas.manifests import Manifest
from schemas.refs import Ref, checked_day, checked_name
from schemas.store import Store


@dataclass(frozen=True)
class Estimate:
    """What a stage is expected to cost, from the last time that it was computed: seconds, peak memory in MB, bytes stored."""

    seconds: float
    peak_mb: float
    bytes: int

    @classmethod
    def of(cls, manifest: Manifest | None) -> "Estimate | None":
        """What an earlier artifact did cost."""
        if manifest is None or "seconds" not in manifest.run:
            return None
        return cls(
            float(manifest.run["seconds"]),
            float(manifest.run.get("peak_mb", 0.0)),
            sum(entry.bytes for entry in manifest.files),
        )


@dataclass(frozen=True)
class PlannedStage:
    """What a stage would do: be reused or run, why, and at what cost if that is known.

    ``observes``: it decides neither whether a day is stale nor what a release consists of.
    """

    stage: str
    ref: str
    runs: bool
    reason: str
    estimate: Estimate | None = None
    inputs: dict[str, str] = field(default_factory=dict)
    part: str = ""
    observes: bool = False

    @property
    def name(self) -> str:
        """The stage and, where a flow has it more than once, the part that it belongs to."""
        return full_name(self.stage, self.part)


@dataclass(frozen=True)
class StageRecord:
    """What a stage did in a run: reused or computed, why, rows, seconds, shards, peak memory in MB, quality figures.

    ``bytes`` is what its artifact stores, ``estimate`` what it was expected to cost, ``inputs`` what it was made of, ``part``
    what tells it apart where a flow has the stage more than once; ``observes`` says that it is no part of a release.
    """

    stage: str
    ref: str
    computed: bool
    reason: str
    seconds: float
    rows: dict[str, int]
    shards_run: int = 0
    shards_resumed: int = 0
    peak_mb: float = 0.0
    quality: dict[str, Any] = field(default_factory=dict)
    measured: dict[str, Any] = field(default_factory=dict)
    companions: dict[str, str] = field(default_factory=dict)
    bytes: int = 0
    estimate: Estimate | None = None
    inputs: dict[str, str] = field(default_factory=dict)
    part: str = ""
    observes: bool = False

    @property
    def name(self) -> str:
        """The stage and, where a flow has it more than once, the part that it belongs to."""
        return full_name(self.stage, self.part)

    @classmethod
    def reused(cls, stage: str, ref: Ref, manifest: Manifest, *, reason: str, seconds: float) -> "StageRecord":
        """The record of a stage whose artifact was there."""
        return cls._of(stage, ref, manifest, computed=False, reason=reason, seconds=round(seconds, 3))

    @classmethod
    def ran(
        cls, stage: str, ref: Ref, manifest: Manifest, *, reason: str, estimate: Estimate | None = None
    ) -> "StageRecord":
        """The record of a stage that was computed."""
        run = manifest.run
        return cls._of(
            stage,
            ref,
            manifest,
            computed=True,
            reason=reason,
            seconds=run["seconds"],
            shards_run=run["shards_run"],
            shards_resumed=run["shards_resumed"],
            peak_mb=run["peak_mb"],
            estimate=estimate,
        )

    @classmethod
    def _of(cls, stage: str, ref: Ref, manifest: Manifest, **rest: Any) -> "StageRecord":
        return cls(
            stage=stage,
            ref=str(ref),
            rows=dict(manifest.identity["rows"]),
            quality=dict(manifest.quality),
            measured=dict(manifest.run.get("measured", {})),
            companions=dict(manifest.run.get("companions", {})),
            bytes=sum(entry.bytes for entry in manifest.files),
            inputs=input_texts(manifest.identity["inputs"]),
            **rest,
        )


def full_name(name: str, part: str) -> str:
    """A stage or artifact with the part of a flow that it belongs to, if it has one."""
    return f"{name} ({part})" if part else name


def stages_by_name(record: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """The stages of a run's record by name, with their parts where they have one; of equal names the first."""
    found: dict[str, dict[str, Any]] = {}
    for stage in record["stages"]:
        found.setdefault(full_name(stage["stage"], stage.get("part", "")), stage)
    return found


class Ledger:
    """Hints by collection; losing them costs an explanation, never a result."""

    def __init__(self, store: Store, collection: str) -> None:
        self.store, self.collection = store, checked_name(collection, what="collection")

    def latest(self, artifact: str) -> Ref | None:
        """The newest artifact of that name in this collection."""
        try:
            return Ref.parse(json.loads(self.store.files.read(f".index/{self.collection}/{artifact}.json"))["ref"])
        except (FileNotFoundError, ValueError, KeyError, TypeError, AttributeError, FingerpostError):
            return None

    def same(self, artifact: str, fingerprint: str) -> Ref | None:
        """An artifact of that name and fingerprint, of whatever day."""
        try:
            found = Ref.parse(json.loads(self.store.files.read(self._hint(artifact, fingerprint)))["ref"])
            return found if self.store.has(found) else None
        except (FileNotFoundError, ValueError, KeyError, TypeError, AttributeError, FingerpostError):
            return None

    def note(self, artifact: str, ref: Ref) -> None:
        """Remembers the newest artifact of a name, and where its fingerprint is to be found."""
        content = json.dumps({"ref": str(ref)}).encode()
        if self.latest(artifact) != ref:
            self.store.files.write(f".index/{self.collection}/{artifact}.json", content)
        if self.same(artifact, ref.fingerprint) is None:
            self.store.files.write(self._hint(artifact, ref.fingerprint), content)

    def _hint(self, artifact: str, fingerprint: str) -> str:
        return f".index/{self.collection}/{artifact}/{fingerprint}.json"

    def accepted(self, stage: str, code: str) -> str | None:
        """The older code hash that this one was accepted as, if it was."""
        try:
            return str(json.loads(self.store.files.read(f".accepted/{stage}/{code}.json"))["as"])
        except (FileNotFoundError, ValueError, KeyError, TypeError):
            return None

    def accept(self, stage: str, code: str, artifact: str, *, reason: str) -> dict[str, str]:
        """Adopts the newest artifact of a stage as what the present code makes, and keeps who did so and when."""
        newest = self.latest(artifact)
        if newest is None:
            raise MissingArtifactError(
                f"stage {stage}: expected an artifact of {self.collection} to accept, found none; run the flow first"
            )
        older = self.store.manifest(newest).identity["code"]
        if older == code:
            raise FingerpostError(
                f"stage {stage}: expected older code to accept, found that {newest} is of the present code; nothing"
                " to do"
            )
        note = {
            "stage": stage,
            "code": code,
            "as": older,
            "ref": str(newest),
            "by": getpass.getuser(),
            "at": datetime.now(UTC).isoformat(timespec="seconds"),
            "reason": reason,
        }
        self.store.files.write(f".accepted/{stage}/{code}.json", json.dumps(note).encode())
        return note


def input_texts(inputs: Mapping[str, Any]) -> dict[str, str]:
    """The inputs of a manifest by name: references, or the digests of sources from outside."""
    return {name: str(given.get("ref") or given.get("source", "")) for name, given in inputs.items()}


def save_partition(store: Store, body: dict[str, Any]) -> None:
    """Keeps what became of a day of a flow and collection: its newest run's end."""
    where = f".partitions/{checked_name(body['flow'])}/{checked_name(body['collection'])}/{body['day']}.json"
    store.files.write(where, json.dumps(body, indent=1, default=_plain).encode())


def partition(store: Store, flow: str, collection: str, day: str) -> dict[str, Any]:
    """What became of one day; empty if it never ran or its record cannot be read."""
    path = f".partitions/{checked_name(flow)}/{checked_name(collection)}/{checked_day(day)}.json"
    try:
        found = json.loads(store.files.read(path))
        return found if isinstance(found, dict) else {}
    except (FileNotFoundError, ValueError):
        return {}


def partitions(store: Store, flow: str, collection: str) -> dict[str, dict[str, Any]]:
    """What became of the days of a flow and collection, by day; a record that cannot be read is left out."""
    folder = f".partitions/{checked_name(flow)}/{checked_name(collection)}"
    found = {}
    for name in store.files.names(folder):
        try:
            found[name.removesuffix(".json")] = json.loads(store.files.read(f"{folder}/{name}"))
        except (FileNotFoundError, ValueError):
            continue
    return found


def partitioned(store: Store) -> list[tuple[str, str]]:
    """The (flow, collection) pairs that ever ran."""
    return [
        (flow, collection)
        for flow in store.files.names(".partitions")
        for collection in store.files.names(f".partitions/{flow}")
    ]


def save_run(store: Store, run_id: str, body: dict[str, Any]) -> None:
    """Keeps the record of a flow run for `history`, `status` and the report."""
    store.files.write(f".runs/{run_id}.json", json.dumps(body, indent=1, default=_plain).encode())


def runs(store: Store, *, newest: int = 20) -> list[dict[str, Any]]:
    """The records of the newest flow runs, newest first."""
    return [read_run(store, run) for run in run_ids(store)[: -newest - 1 : -1]]


def run_ids(store: Store) -> list[str]:
    """The ids of all flow runs that ended, oldest first."""
    return sorted(name.removesuffix(".json") for name in store.files.names(".runs") if name.endswith(".json"))


def read_run(store: Store, run_id: str) -> dict[str, Any]:
    """The record of a flow run; FileNotFoundError if there is none."""
    found: dict[str, Any] = json.loads(store.files.read(f".runs/{run_id}.json"))
    return found


def _plain(value: Any) -> Any:
    return asdict(value) if is_dataclass(value) and not isinstance(value, type) else str(value)
