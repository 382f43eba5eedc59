"""The request of a backfill and its record in the store: days in order, state, and claims of days.

``.backfills/<id>/`` contains ``request.json``, written once; ``control.json``, the state that an operator set last;
``claims-<attempt>/<day>.json``, created by the one process that runs the day; and the leases of those processes. The
outcome of a day is not stored here: it is derived from the store's own record of that day.
"""

import getpass
import json
import secrets
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from fingerpost.flows.run.day_states import interrupted
from fingerpost.flows.run.flow_names import NIGHTLY, flow_names
from fingerpost.flows.run.partitions import Partition
from fingerpost.flows.run.request import ResolvedRequest, RunRequest, invalid
from fingerpost.schemas.errors import CorruptArtifactError, FingerpostError
from fingerpost.schemas.records import (
    NUMBER,
    Each,
    Shape,
    built,
    calendar_day,
    count,
    decoded,
    leave_out,
)
from fingerpost.schemas.refs import checked_day, checked_name, is_name
from fingerpost.schemas.store import Store

FOLDER = ".backfills"
#: The number of died processes after which a day is given up.
MOST_CRASHES = 3
_DAY = r"^\d{4}-\d{2}-\d{2}$"


_AGAIN = "start a new backfill over the same days, what is fresh stays"
_REQUEST = {"id": str, "request": dict, "by": str, "at": str}
_CONTROL = {"state": str, "attempt": int, "days": [calendar_day], "by?": str, "at?": str, "now?": bool}
_CLAIM = {
    "worker": str,
    "skipped?": bool,
    "reason?": str,
    "outcome?": {"state": str, "seconds": NUMBER, "error": str},
}


class BackfillError(FingerpostError):
    """A request that a backfill cannot fulfil in its state, or failed days."""


FlowName = Annotated[str, Field(json_schema_extra=lambda schema: schema.update(enum=list(flow_names())))]


class Reprocess(StrEnum):
    """Which days are run."""

    missing = "missing"
    failed = "failed"
    all = "all"


class Order(StrEnum):
    """Which day is started first."""

    newest = "newest"
    oldest = "oldest"


class BackfillRequest(BaseModel):
    """Which days of a flow to run. To continue an existing backfill, give only its id in ``resume``."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    flow: FlowName = Field(default=NIGHTLY, description="flow whose days are run")
    first_day: str = Field(default="", pattern=rf"({_DAY})|(^$)", description="first calendar day YYYY-MM-DD, included")
    last_day: str = Field(default="", pattern=rf"({_DAY})|(^$)", description="last calendar day YYYY-MM-DD, included")
    reprocess: Reprocess = Field(
        default=Reprocess.missing,
        description=(
            "missing: missing, stale and interrupted days; failed: failed and quarantined days; all: every"
            " day, finished stages are reused"
        ),
    )
    order: Order = Field(default=Order.newest, description="which day is started first")
    max_active: int = Field(default=1, ge=1, le=64, description="maximum number of days at a time")
    run: RunRequest = Field(default=RunRequest(), description="request of each day's run; its own day stays empty")
    dry_run: bool = Field(default=False, description="show which days would run and why, without running them")
    resume: str = Field(default="", description="id of a backfill to continue; all other fields are taken from it")
    take: int = Field(
        default=0, ge=0, description="set by backfills themselves: maximum number of days of ``resume`` to run"
    )

    @model_validator(mode="after")
    def _whole(self) -> "BackfillRequest":
        if self.resume:
            return self
        if self.flow not in flow_names():
            raise ValueError(f"flow: expected one of {', '.join(flow_names())}, got {self.flow!r}; correct it")
        for key in ("first_day", "last_day"):
            if not getattr(self, key):
                raise ValueError(f"{key}: expected a day YYYY-MM-DD, got nothing; give the first and the last day")
            try:
                checked_day(getattr(self, key))
            except FingerpostError as problem:
                raise ValueError(str(problem)) from problem
        if self.first_day > self.last_day:
            raise ValueError(
                f"days: expected the first not after the last, got {self.first_day} to {self.last_day}; swap them"
            )
        if self.run.day or self.run.dry_run:
            raise ValueError("run: expected no day and no dry_run of its own, got one; leave it empty")
        return self

    @classmethod
    def of(cls, **given: Any) -> "BackfillRequest":
        """A request from its fields; SettingsError in one line for an invalid one."""
        try:
            return cls(**given)
        except ValidationError as problem:
            raise invalid(problem, days=("first_day", "last_day")) from problem


@dataclass(frozen=True)
class Control:
    """The state of a backfill, and the days of its newest attempt in order."""

    state: str
    attempt: int
    days: tuple[str, ...]
    by: str = ""
    at: str = ""
    now: bool = False


@dataclass(frozen=True)
class Backfill:
    """A backfill in a store."""

    store: Store
    id: str
    request: BackfillRequest
    by: str
    at: str

    @classmethod
    def create(cls, store: Store, request: BackfillRequest, days: Sequence[str]) -> "Backfill":
        """Stores a new backfill, ready to run."""
        now = datetime.now(UTC)
        backfill = cls(store, f"{now:%Y%m%dt%H%M%S}-{secrets.token_hex(2)}", request, getpass.getuser(), _stamp())
        backfill.set_control(Control("running", 1, tuple(days)))
        body = {"id": backfill.id, "request": request.model_dump(mode="json"), "by": backfill.by, "at": backfill.at}
        store.files.write(f"{backfill.folder}/request.json", json.dumps(body, indent=1).encode())
        return backfill

    @classmethod
    def load(cls, store: Store, backfill_id: str) -> "Backfill":
        """The backfill of that id; BackfillError if there is none."""
        path = f"{FOLDER}/{checked_name(backfill_id, what='backfill')}/request.json"
        try:
            body = decoded(store.files.read(path), _REQUEST, where=path, advice=_AGAIN)
            return cls(store, backfill_id, BackfillRequest(**body["request"]), body["by"], body["at"])
        except (FileNotFoundError, ValueError) as problem:
            known = ", ".join(filter(is_name, store.files.names(FOLDER))) or "none"
            raise BackfillError(
                f"backfill: expected the id of one that can be read ({known}), got {backfill_id!r}; see `fingerpost"
                " backfill list`"
            ) from problem
        except CorruptArtifactError as problem:
            raise BackfillError(f"backfill {backfill_id}: {problem}") from problem

    @property
    def folder(self) -> str:
        """The folder in the store."""
        return f"{FOLDER}/{self.id}"

    @property
    def workers(self) -> str:
        """The folder of the leases of the processes that run days."""
        return f"{self.folder}/workers"

    @property
    def leading(self) -> str:
        """The folder of the lease of the process that leads this backfill."""
        return f"{self.folder}/leading"

    def control(self) -> Control:
        """The state that was set last."""
        path = f"{self.folder}/control.json"
        try:
            body = decoded(self.store.files.read(path), _CONTROL, where=path, advice=_AGAIN)
            return built(Control, {**body, "days": tuple(body["days"])})
        except FileNotFoundError as problem:
            raise BackfillError(f"backfill {self.id}: expected {path}, found no such file; {_AGAIN}") from problem
        except CorruptArtifactError as problem:
            raise BackfillError(f"backfill {self.id}: {problem}") from problem

    def set_control(self, control: Control) -> Control:
        """Sets the state that the processes of this backfill follow."""
        kept = replace(control, by=getpass.getuser(), at=_stamp())
        self.store.files.write(f"{self.folder}/control.json", json.dumps(asdict(kept), indent=1).encode())
        return kept

    def tag(self, control: Control) -> str:
        """The record of a day if this attempt ran it."""
        return f"{self.id}#{control.attempt}"

    def ran(self, control: Control, record: dict[str, Any]) -> bool:
        """Whether a day's record is of a finished run, completed or failed, in this attempt."""
        return record.get("backfill") == self.tag(control) and not interrupted(record)

    # Claims

    def holder(self, control: Control, day: str) -> dict[str, Any]:
        """The claim of a day by a ``worker``; empty if there is none.

        Without a worker the day is settled: ``skipped``, or given up with a ``reason``. With an ``outcome`` (state,
        seconds and error) the worker has ended it. A claim that cannot be read is that of a worker that is gone.
        """
        path = self._claim(control, day)
        return self._record(path, _CLAIM) or ({"worker": "unknown"} if self.store.files.size(path) is not None else {})

    def end(self, control: Control, day: str, worker: str, record: Mapping[str, Any]) -> None:
        """Stores the outcome of a day that a worker ran, since other runs may replace the record of the day."""
        outcome = {key: record[key] for key in ("state", "seconds", "error")}
        self.store.files.write(self._claim(control, day), json.dumps({"worker": worker, "outcome": outcome}).encode())

    def settle(self, control: Control, day: str, *, reason: str = "") -> None:
        """Settles a day that is not run: it was fresh already, or is given up for a reason."""
        claim = {"worker": "", "skipped": not reason, "reason": reason}
        self.store.files.write(self._claim(control, day), json.dumps(claim).encode())

    def unclaimed(self, control: Control) -> list[str]:
        """The unclaimed days, in order."""
        names = self.store.files.names(self._claims(control))
        claimed = {name.removesuffix(".json") for name in names if name.endswith(".json")}
        return [day for day in control.days if day not in claimed]

    def claim(self, control: Control, day: str, worker: str) -> bool:
        """Claims a day; False if another process has claimed it."""
        return self.store.files.create(self._claim(control, day), json.dumps({"worker": worker}).encode())

    def release(self, control: Control, day: str) -> None:
        """Releases a day that was not run."""
        self.store.files.remove_file(self._claim(control, day))

    def crashes(self) -> dict[str, int]:
        """The number of died processes by day."""
        return self._record(f"{self.folder}/crashes.json", Each(count))

    def note_crashes(self, counts: dict[str, int]) -> None:
        """Stores the counts."""
        self.store.files.write(f"{self.folder}/crashes.json", json.dumps(counts).encode())

    def _record(self, path: str, shape: Shape) -> dict[str, Any]:
        """A record; empty if there is none or it cannot be read, which a warning then names."""
        try:
            found: dict[str, Any] = decoded(self.store.files.read(path), shape, where=path, advice=_AGAIN)
            return found
        except FileNotFoundError:
            return {}
        except CorruptArtifactError as problem:
            leave_out(problem)
            return {}

    def _claims(self, control: Control) -> str:
        return f"{self.folder}/claims-{control.attempt}"

    def _claim(self, control: Control, day: str) -> str:
        return f"{self._claims(control)}/{checked_day(day)}.json"


def backfills(store: Store) -> list[Backfill]:
    """The readable backfills of a store, newest first; one that cannot be read is left out and named."""
    found = []
    for name in filter(is_name, reversed(store.files.names(FOLDER))):
        try:
            backfill = Backfill.load(store, name)
            backfill.control()
            found.append(backfill)
        except BackfillError as problem:
            leave_out(problem)
    return found


#: The states that each choice of days includes; a day that another run works on is left to it.
_TAKEN = {
    Reprocess.missing: {"missing", "stale"},
    Reprocess.failed: {"failed", "quarantined"},
    Reprocess.all: {"missing", "stale", "failed", "quarantined", "fresh"},
}


def chosen(found: Iterable[Partition], reprocess: Reprocess, order: Order) -> list[Partition]:
    """The days to run, in order of their start."""
    days = sorted(
        (partition for partition in found if partition.state in _TAKEN[reprocess]), key=lambda partition: partition.day
    )
    return days[::-1] if order is Order.newest else days


def settled(request: BackfillRequest) -> BackfillRequest:
    """The request as any process can use it: with store and remembered inputs, and absolute paths of local files."""
    known = ResolvedRequest.of(request.run)
    run = known.request.model_copy(update={"day": ""})
    given = {"store": _whole(run.store)}
    if run.input:
        given["input"] = _whole(run.input)
    if run.profile.endswith(".toml"):
        given["profile"] = _whole(run.profile)
    return request.model_copy(update={"run": run.model_copy(update=given)})


def _whole(path: str) -> str:
    return path if "://" in path else str(Path(path).absolute())


def _stamp() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
