"""The ledger of a collection's stages: newest artifacts, accepted code, and the records of runs and days."""

import getpass
import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, is_dataclass
from datetime import UTC, datetime
from typing import Any

from fingerpost.schemas.errors import CorruptArtifactError, FingerpostError, MissingArtifactError, UnsafeNameError
from fingerpost.schemas.manifests import Manifest
from fingerpost.schemas.records import (
    NUMBER,
    Each,
    Maybe,
    calendar_day,
    decoded,
    is_record,
    leave_out,
    moment,
    reference,
)
from fingerpost.schemas.refs import Ref, checked_day, checked_name
from fingerpost.schemas.store import Store

#: Days, the newest first, among which one that ended in a state is looked for.
_LOOKED_AT = 60


@dataclass(frozen=True)
class Estimate:
    """Expected cost of a stage: seconds, peak memory in MB, bytes stored.

    basis: what it is known from: ``run``, its last computation; ``size``, a model of its cost over the size of the
    input; ``corrected``, the model corrected by what earlier runs took of the stage in other collections.
    """

    seconds: float
    peak_mb: float
    bytes: int
    basis: str = "run"

    @classmethod
    def of(cls, manifest: Manifest | None) -> "Estimate | None":
        """The cost of an earlier artifact; None if it is unknown."""
        if manifest is None or "seconds" not in manifest.run:
            return None
        return cls(
            float(manifest.run["seconds"]),
            float(manifest.run.get("peak_mb", 0.0)),
            sum(entry.bytes for entry in manifest.files),
        )


@dataclass(frozen=True)
class PlannedStage:
    """The plan of a stage: whether it would run, why, and its estimated cost if known.

    observes: the stage affects neither whether a day is stale nor the members of a release.
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
        """The stage's name with its part, if a flow has the stage more than once."""
        return full_name(self.stage, self.part)


@dataclass(frozen=True)
class StageRecord:
    """The record of a stage in a run.

    computed: computed or reused, and the reason. rows: by table. seconds, peak_mb: cost in seconds and MB. shards_run,
    shards_resumed: shards computed, and taken from an interrupted run. quality, measured: quality values, and values
    that depend on the machine. companions: further artifacts by contract. bytes: size of the artifact. estimate: the
    expected cost. inputs: references or digests by name. part: distinguishes stages that a flow has more than once.
    observes: the stage is not a member of a release.
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
        """The stage's name with its part, if a flow has the stage more than once."""
        return full_name(self.stage, self.part)

    @classmethod
    def reused(cls, stage: str, ref: Ref, manifest: Manifest, *, reason: str, seconds: float) -> "StageRecord":
        """The record of a stage whose artifact was reused."""
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
    """The name of a stage or artifact with its part of the flow, if it has one."""
    return f"{name} ({part})" if part else name


def stages_by_name(record: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """The stages of a run's record by full name; of equal names the first."""
    stages: dict[str, dict[str, Any]] = {}
    for stage in record["stages"]:
        stages.setdefault(full_name(stage["stage"], stage.get("part", "")), stage)
    return stages


class Ledger:
    """Hints by collection; without them explanations are lost, never results."""

    def __init__(self, store: Store, collection: str) -> None:
        self.store, self.collection = store, checked_name(collection, what="collection")

    def latest(self, artifact: str) -> Ref | None:
        """The newest artifact of that name in this collection."""
        return self._hinted(f".index/{self.collection}/{artifact}.json")

    def same(self, artifact: str, fingerprint: str) -> Ref | None:
        """An artifact of that name and fingerprint, of any day."""
        ref = self._hinted(self._hint(artifact, fingerprint))
        return ref if ref is not None and self.store.has(ref) else None

    def _hinted(self, path: str) -> Ref | None:
        try:
            return Ref.parse(decoded(self.store.files.read(path), {"ref": reference}, where=path, advice="")["ref"])
        except (FileNotFoundError, FingerpostError):
            return None

    def note(self, artifact: str, ref: Ref) -> None:
        """Records the newest artifact of a name, and the artifact of its fingerprint."""
        content = json.dumps({"ref": str(ref)}).encode()
        if self.latest(artifact) != ref:
            self.store.files.write(f".index/{self.collection}/{artifact}.json", content)
        if self.same(artifact, ref.fingerprint) is None:
            self.store.files.write(self._hint(artifact, ref.fingerprint), content)

    def _hint(self, artifact: str, fingerprint: str) -> str:
        return f".index/{self.collection}/{artifact}/{fingerprint}.json"

    def accepted(self, stage: str, code: str) -> str | None:
        """The older code hash as which this one was accepted, if it was."""
        path = f".accepted/{stage}/{code}.json"
        try:
            return str(decoded(self.store.files.read(path), {"as": str}, where=path, advice="")["as"])
        except (FileNotFoundError, CorruptArtifactError):
            return None

    def accept(self, stage: str, code: str, artifact: str, *, reason: str) -> dict[str, str]:
        """Accepts the newest artifact of a stage as the result of the present code, and records by whom and when.

        MissingArtifactError without an artifact; FingerpostError if it is of the present code already.
        """
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
    """The inputs of a manifest by name: references, or the digests of external sources."""
    return {name: str(entry.get("ref") or entry.get("source", "")) for name, entry in inputs.items()}


def save_partition(store: Store, body: dict[str, Any]) -> None:
    """Saves the outcome of a day of a flow and collection: the end of its newest run."""
    path = f".partitions/{checked_name(body['flow'])}/{checked_name(body['collection'])}/{body['day']}.json"
    store.files.write(path, json.dumps(body, indent=1, default=_plain).encode())


def partition(store: Store, flow: str, collection: str, day: str) -> dict[str, Any]:
    """The outcome of one day; empty if it never ran or its record cannot be read, which a warning then names."""
    return _partition(store, f".partitions/{checked_name(flow)}/{checked_name(collection)}/{checked_day(day)}.json")


def partitions(store: Store, flow: str, collection: str) -> dict[str, dict[str, Any]]:
    """The outcomes of the days of a flow and collection, by day; a record that cannot be read is left out and named."""
    folder = f".partitions/{checked_name(flow)}/{checked_name(collection)}"
    days = (name.removesuffix(".json") for name in store.files.names(folder) if is_record(name))
    found = {day: _partition(store, f"{folder}/{day}.json") for day in days if _is(checked_day, day)}
    return {day: record for day, record in found.items() if record}


def newest_partition(store: Store, flow: str, collection: str, *, state: str = "completed") -> dict[str, Any]:
    """The outcome of the newest day of a flow and collection that ended in a state; empty if none of the last ones did."""
    folder = f".partitions/{checked_name(flow)}/{checked_name(collection)}"
    days = sorted(name.removesuffix(".json") for name in store.files.names(folder) if is_record(name))
    for day in [day for day in days[::-1] if _is(checked_day, day)][:_LOOKED_AT]:
        if (found := _partition(store, f"{folder}/{day}.json")).get("state") == state:
            return found
    return {}


def _partition(store: Store, path: str) -> dict[str, Any]:
    advice = "run that day again, or restore that file"
    try:
        found: dict[str, Any] = decoded(
            store.files.read(path), _PARTITION, where=f"record of a day {path}", advice=advice
        )
        if found["day"] != path.rsplit("/", 1)[-1].removesuffix(".json"):
            raise CorruptArtifactError(
                f"record of a day {path}: expected the day of its name, found {found['day']}; {advice}"
            )
    except FileNotFoundError:
        return {}
    except CorruptArtifactError as problem:
        leave_out(problem)
        return {}
    return found


def partitioned(store: Store) -> list[tuple[str, str]]:
    """The (flow, collection) pairs that ever ran."""
    return [
        (flow, collection)
        for flow in store.files.names(".partitions")
        if _is(checked_name, flow)
        for collection in store.files.names(f".partitions/{flow}")
        if _is(checked_name, collection)
    ]


def save_run(store: Store, run_id: str, body: dict[str, Any]) -> None:
    """Saves the record of a flow run for `history`, `status` and the report."""
    store.files.write(f".runs/{run_id}.json", json.dumps(body, indent=1, default=_plain).encode())


def runs(store: Store, *, newest: int = 20) -> list[dict[str, Any]]:
    """The records of the newest flow runs, newest first; one that cannot be read is left out and named."""
    found = []
    for run in run_ids(store)[: -newest - 1 : -1]:
        try:
            found.append(read_run(store, run))
        except FileNotFoundError:
            continue
        except CorruptArtifactError as problem:
            leave_out(problem)
    return found


def run_ids(store: Store) -> list[str]:
    """The ids of all finished flow runs, oldest first."""
    return sorted(name.removesuffix(".json") for name in store.files.names(".runs") if is_record(name))


def read_run(store: Store, run_id: str) -> dict[str, Any]:
    """The record of a flow run; FileNotFoundError if there is none, CorruptArtifactError if it cannot be read."""
    where, advice = f"record of a run .runs/{run_id}.json", "restore that file, or remove it"
    record: dict[str, Any] = decoded(store.files.read(f".runs/{run_id}.json"), _RUN, where=where, advice=advice)
    if record["id"] != run_id:
        raise CorruptArtifactError(f"{where}: expected the run of its name, found {record['id']}; {advice}")
    return record


def _is(check: Callable[[str], str], text: str) -> bool:
    try:
        return bool(check(text))
    except UnsafeNameError:
        return False


_STAGE = {
    "stage": str,
    "ref": reference,
    "computed?": bool,
    "reason?": str,
    "seconds?": NUMBER,
    "rows?": Each(int),
    "shards_run?": int,
    "shards_resumed?": int,
    "peak_mb?": NUMBER,
    "quality?": dict,
    "measured?": dict,
    "companions?": Each(reference),
    "bytes?": int,
    "inputs?": Each(str),
    "part?": str,
}
_GATE = {"gate?": str, "name?": str, "holds?": bool}
_MOVE = {"generation": int, "ref": reference}
_RUN = {
    "id": str,
    "flow": str,
    "state": str,
    "error?": str,
    "collection": str,
    "day": calendar_day,
    "seconds": NUMBER,
    "stages": [_STAGE],
    "at?": moment,
    "settings?": dict,
    "refs?": Each(reference),
    "gates?": [_GATE],
    "publication?": Maybe(_MOVE),
    "publications?": [_MOVE],
    "notes?": [str],
    "request?": Maybe(dict),
    "error_kind?": str,
}
_PARTITION = {
    "day": calendar_day,
    "state": str,
    "error?": str,
    "error_kind?": str,
    "seconds?": NUMBER,
    "refs?": Each(reference),
    "stages?": Maybe(Each(reference)),
    "quarantined?": int,
    "deadline?": Maybe(dict),
    "backfill?": str,
    "run?": str,
}


def _plain(value: Any) -> Any:
    return asdict(value) if is_dataclass(value) and not isinstance(value, type) else str(value)
