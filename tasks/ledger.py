"""What is remembered of a collection's stages: the newest artifact of each, accepted code, and the record of a stage's run."""

import getpass
import json
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import Any

from schemas.errors import FingerpostError, MissingArtifactError
from schemas.manifests import Manifest
from schemas.refs import Ref, checked_name
from schemas.store import Store


@dataclass(frozen=True)
class StageRecord:
    """What a stage did in a run: reused or computed, why, rows, seconds, shards, peak memory in MB, quality figures."""

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

    @classmethod
    def reused(cls, stage: str, ref: Ref, manifest: Manifest, *, reason: str, seconds: float) -> "StageRecord":
        """The record of a stage whose artifact was there."""
        return cls._of(stage, ref, manifest, computed=False, reason=reason, seconds=round(seconds, 3))

    @classmethod
    def ran(cls, stage: str, ref: Ref, manifest: Manifest, *, reason: str) -> "StageRecord":
        """The record of a stage that was computed."""
        run = manifest.run
        return cls._of(
            stage, ref, manifest, computed=True, reason=reason, seconds=run["seconds"],
            shards_run=run["shards_run"], shards_resumed=run["shards_resumed"], peak_mb=run["peak_mb"],
        )  # fmt: skip

    @classmethod
    def _of(cls, stage: str, ref: Ref, manifest: Manifest, **rest: Any) -> "StageRecord":
        return cls(
            stage=stage, ref=str(ref), rows=dict(manifest.identity["rows"]), quality=dict(manifest.quality),
            measured=dict(manifest.run.get("measured", {})), companions=dict(manifest.run.get("companions", {})), **rest,
        )  # fmt: skip


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

    def note(self, artifact: str, ref: Ref) -> None:
        """Remembers the newest artifact of a name."""
        if self.latest(artifact) != ref:
            self.store.files.write(f".index/{self.collection}/{artifact}.json", json.dumps({"ref": str(ref)}).encode())

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
                f"stage {stage}: expected older code to accept, found that {newest} is of the present code; nothing to do"
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


def save_run(store: Store, run_id: str, body: dict[str, Any]) -> None:
    """Keeps the record of a flow run for `history`, `status` and the report."""
    store.files.write(f".runs/{run_id}.json", json.dumps(body, indent=1, default=_plain).encode())


def runs(store: Store, *, newest: int = 20) -> list[dict[str, Any]]:
    """The records of the newest flow runs, newest first."""
    names = [name for name in store.files.names(".runs") if name.endswith(".json")]
    return [json.loads(store.files.read(f".runs/{name}")) for name in sorted(names, reverse=True)[:newest]]


def _plain(value: Any) -> Any:
    return asdict(value) if isinstance(value, StageRecord) else str(value)
