"""The states of the days of a flow and collection, derived from the store."""

import logging
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any

from fingerpost.flows import domains
from fingerpost.flows.domains.settings import Settings
from fingerpost.flows.run.calendar import days_between, today
from fingerpost.flows.run.day_states import STATES, DayState, recorded_state
from fingerpost.flows.run.dry_run import plan_of
from fingerpost.flows.run.plan import Plan
from fingerpost.flows.run.profiles import limits_digest
from fingerpost.flows.run.request import OF_ANY_RUN, RunRequest
from fingerpost.flows.run.waits import days_at_work
from fingerpost.schemas.corpus import QUARANTINE
from fingerpost.schemas.errors import CorruptArtifactError, FingerpostError, InputError
from fingerpost.schemas.inputs.days import unchanging_files
from fingerpost.schemas.records import leave_out
from fingerpost.schemas.refs import Ref, checked_day
from fingerpost.schemas.store import Store
from fingerpost.schemas.urls import public_url
from fingerpost.tasks.code import unchanging_code
from fingerpost.tasks.ledger import full_name, partition, partitions, read_run

#: Maximum number of days in a row that are shown where no first day is named.
SHOWN_DAYS = 366


@dataclass(frozen=True)
class Partition:
    """A day of a flow and collection: its state, the reason, its quarantined rows, and the expected cost of running it.

    ``seconds`` are those of the stages that would run, None if one of them was never computed before.
    """

    day: str
    state: str
    reason: str = ""
    quarantined: int = 0
    run: str = ""
    seconds: float | None = 0.0


class Partitions:
    """The states of the days of a flow under a request; the request's own day and forced stages do not count."""

    def __init__(self, flow: str, request: RunRequest) -> None:
        self.flow, self.request = flow, request.model_copy(update={**OF_ANY_RUN, "future": True})
        self.settings: Settings = self.request.resolve()
        self.collection = self.settings.input.collection
        self.store = Store(self.settings.store)
        self._limits = limits_digest(self.settings)

    def known_days(self) -> list[str]:
        """The days with a record."""
        return sorted(partitions(self.store, self.flow, self.collection))

    def days(self, first: str = "", last: str = "") -> tuple[list[str], str]:
        """The days from ``first`` to ``last`` in order, and a note where days are left out.

        By default from the first day with a record to the newest, at most `SHOWN_DAYS` of them; before these and after
        today only the days with a record. Without any record both ends have to be given.
        """
        known = self.known_days()
        if first and last:
            return days_between(first, last), ""
        if not known:
            raise FingerpostError(
                f"partitions: expected days of {self.flow} of {self.collection} in {public_url(self.store.url)}, found"
                " none; give --from and --to, or another --collection"
            )
        start = first or min(known[0], last or known[0])
        end = last or max(known[-1], first)
        whole_end = last or max(min(end, today(self.settings.run.timezone)), start)
        ordinal = date.fromisoformat(checked_day(whole_end)).toordinal()
        whole_start = first or max(start, date.fromordinal(max(ordinal - SHOWN_DAYS + 1, 1)).isoformat())
        found = sorted({*days_between(whole_start, whole_end), *(day for day in known if start <= day <= end)})
        without = [f"before {whole_start}"] if whole_start > start else []
        without += [f"after {whole_end}"] if end > whole_end else []
        note = f"days without a run {' and '.join(without)} are left out; name --from and --to" if without else ""
        return found, note

    def record(self, day: str) -> dict[str, Any]:
        """The record of a day's newest run; empty if there is none."""
        return partition(self.store, self.flow, self.collection, day)

    def of(self, days: Iterable[str]) -> list[Partition]:
        """The states of some days, in order. Computes and writes nothing."""
        with unchanging_code(), unchanging_files(), _without_notes():
            at_work = days_at_work(self.store, self.flow, self.collection, now=datetime.now(UTC))
            return [self._state(day, self.record(day), at_work.get(day)) for day in days]

    def _state(self, day: str, record: Mapping[str, Any], now: DayState | None) -> Partition:
        try:
            plan, refused = plan_of(self.flow, self.request.for_day(day)), ""
        except InputError as problem:
            plan, refused = None, " ".join(str(problem).split())
        # A day in which only observing stages would run is fresh.
        needed = plan if plan is None or plan.decisive.runs else plan.decisive
        about = {"day": day, "run": record.get("run", ""), "seconds": _seconds(needed)}
        if now is not None:
            return Partition(state=now.state, reason=now.reason, **about)
        state, reason = self._verdict(record, plan, refused)
        return Partition(state=state, reason=reason, quarantined=self._quarantined(record, state), **about)

    def _verdict(self, record: Mapping[str, Any], plan: Plan | None, refused: str) -> tuple[str, str]:
        recorded, error = recorded_state(record), " ".join(str(record.get("error", "")).split())
        if plan is None:
            # Inputs are often deleted after a while; the artifacts made from them remain, and so does a failure.
            if recorded == "fresh":
                return "fresh", f"no input any more: {refused}"
            return (recorded, error or refused) if recorded != "missing" else ("missing", f"no input: {refused}")
        decisive = plan.decisive
        changed = _changed(record, decisive)
        if recorded == "fresh":
            if decisive.runs:
                return ("stale", decisive.reason) if changed else ("missing", f"gone: {decisive.runs[0].name}")
            return ("stale", f"its newest run was a different one: {', '.join(changed)}") if changed else ("fresh", "")
        if recorded in {"failed", "quarantined"}:
            if not record.get("stages"):
                # The failed run planned no stage, for example without an input; now there is a plan.
                return "stale", f"changed since it failed: {error}"
            # It may have failed in an observing stage that has changed since.
            changed = _changed(record, plan)
            if changed or record.get("limits", self._limits) != self._limits:
                return "stale", f"changed since it failed: {', '.join(changed) or 'gates'}"
            return recorded, error
        finished = [stage.name for stage in decisive.stages if self.store.has(Ref.parse(stage.ref))]
        if record.get("state") is None and all(_imports_a_day(name) for name in finished):
            # The runs of other days import the files that they read, this day's too.
            return "missing", "never run"
        cause = f" ({error})" if record.get("error_kind") else ""
        return "missing", f"interrupted: {len(finished)} of {len(decisive.stages)} stages are finished{cause}"

    def _quarantined(self, record: Mapping[str, Any], state: str) -> int:
        """The number of quarantined rows of a day, including those of an input that was refused for them."""
        if state != "quarantined":
            return int(record.get("quarantined", 0))
        asked: Mapping[str, str] = record.get("stages") or {}
        names = (full_name(stage, file.part) for _, file in domains.inputs() for stage in file.stages)
        imports = [asked.get(name, "") for name in names]
        # Of the days that a run reads, the last one that was asked for is the one that was refused.
        for _, file in domains.inputs():
            imports += [ref for name, ref in asked.items() if name.partition(" (")[0] == file.day_stage][-1:]
        return sum(self._rows_quarantined(reference) for reference in imports if reference)

    def _rows_quarantined(self, reference: str) -> int:
        """The number of rows in the quarantine of an import, finished or not."""
        try:
            ref = Ref.parse(reference)
            return int(self.store.manifest(Ref(QUARANTINE.name, ref.day, ref.fingerprint)).quality["rows"])
        except (FingerpostError, KeyError):
            return 0


@contextmanager
def _without_notes() -> Iterator[None]:
    """Plans log their notes once a day, which would fill the log of whoever looks at many days."""
    log = logging.getLogger("fingerpost.run")
    before, log.disabled = log.disabled, True
    try:
        yield
    finally:
        log.disabled = before


def usual_request(store: Store, flow: str, collection: str) -> RunRequest | None:
    """The request of the newest run, of a scheduled one if there was any, for any day; None if no run has a record."""
    records = partitions(store, flow, collection)
    newest = sorted(records, key=lambda day: (bool(records[day].get("deadline")), day), reverse=True)
    for run in (_run(store, records[day]) for day in newest):
        if asked := run.get("request"):
            return RunRequest.of(**{**asked, "day": "", "store": store.url, **OF_ANY_RUN})
    return None


def _run(store: Store, record: Mapping[str, Any]) -> Mapping[str, Any]:
    """The record of a day's newest run; empty if there is none that can be read."""
    try:
        return read_run(store, str(record["run"]))
    except (FileNotFoundError, KeyError):
        return {}
    except CorruptArtifactError as problem:
        leave_out(problem)
        return {}


def counts(partitions: Iterable[Partition]) -> dict[str, int]:
    """The number of days by state."""
    states = [partition.state for partition in partitions]
    return {state: states.count(state) for state in STATES if state in states}


def needing(partitions: Iterable[Partition]) -> Iterator[Partition]:
    """The days that are not fresh, and those with a reason."""
    return (partition for partition in partitions if partition.state != "fresh" or partition.reason)


def _changed(record: Mapping[str, Any], plan: Plan) -> list[str]:
    """The stages whose artifacts would differ from those of the newest run.

    A failed run requested only some of the artifacts; stages that it did not reach do not count. Of a stage that a run
    has twice (a ranker is refreshed, and then trained fully) the record has one of the artifacts.
    """
    asked: Mapping[str, str] = record.get("stages") or {}
    whole = record.get("state") == "completed"
    would: dict[str, list[str]] = {}
    for stage in plan.stages:
        would.setdefault(stage.name, []).append(stage.ref)
    return [name for name, refs in would.items() if asked.get(name, "" if whole else refs[0]) not in refs]


def _imports_a_day(name: str) -> bool:
    """Whether a stage imports one day's file of an input that is read over several days."""
    stage = name.partition(" (")[0]
    return any(stage == file.day_stage for _, file in domains.inputs())


def _seconds(plan: Plan | None) -> float | None:
    if plan is None or plan.cost.unknown:
        return None
    return round(plan.cost.seconds, 2)
