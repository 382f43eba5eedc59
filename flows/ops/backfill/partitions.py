"""What became of the days of a flow and collection, derived from the store."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from flows import domains
from flows.domains.settings import Settings
from flows.run.dry_run import plan_of
from flows.run.plan import Plan
from flows.run.profiles import limits_digest
from flows.run.request import RunRequest
from schemas.corpus import QUARANTINE
from schemas.errors import FingerpostError, InputError
from schemas.leases import at_work
from schemas.refs import Ref
from schemas.store import Store
from tasks.code import unchanging_code
from tasks.ledger import full_name, partition, partitions

#: The states there are, with the sign and the colour of each in a calendar.
STATES = {
    "fresh": ("●", "green"),
    "missing": ("·", "white"),
    "stale": ("○", "yellow"),
    "failed": ("✗", "red"),
    "quarantined": ("!", "magenta"),
    "running": ("▸", "cyan"),
}
#: How an error is called that says nothing about the day: its run was stopped, or lost Prefect's server.
_INTERRUPTIONS = frozenset(
    {
        "",
        "ConnectError",
        "ConnectTimeout",
        "ReadError",
        "ReadTimeout",
        "WriteError",
        "WriteTimeout",
        "PoolTimeout",
        "RemoteProtocolError",
        "PrefectHTTPStatusError",
        "HTTPStatusError",
        "CancelledRun",
        "TerminationSignal",
    }
)


@dataclass(frozen=True)
class Partition:
    """A day of a flow and collection: its state, why, the bad rows set aside, and what running it would cost.

    ``seconds`` are the stages' that would run, None where one of them was never computed before.
    """

    day: str
    state: str
    reason: str = ""
    quarantined: int = 0
    run: str = ""
    seconds: float | None = 0.0


def interrupted(record: Mapping[str, Any]) -> bool:
    """Whether the record of a day is of a run that was cut off."""
    return record.get("state") == "failed" and record.get("error_kind", "") in _INTERRUPTIONS


class Partitions:
    """The states of the days of a flow under a request, whose own day and forced stages do not count."""

    def __init__(self, flow: str, request: RunRequest) -> None:
        self.flow, self.request = flow, request.model_copy(update={"force": (), "dry_run": False})
        self.settings: Settings = self.request.resolve()
        self.collection = self.settings.input.collection
        self.store = Store(self.settings.store)
        self._limits = limits_digest(self.settings)

    def known_days(self) -> list[str]:
        """The days that ever ran."""
        return sorted(partitions(self.store, self.flow, self.collection))

    def record(self, day: str) -> dict[str, Any]:
        """What the newest run of a day left; empty if there was none."""
        return partition(self.store, self.flow, self.collection, day)

    def of(self, days: Iterable[str]) -> list[Partition]:
        """The states of some days, in their order; nothing is computed or written."""
        with unchanging_code():
            running = self._running()
            return [self._state(day, self.record(day), running) for day in days]

    def _running(self) -> set[str]:
        live = (lease for lease in at_work(self.store) if lease.collection in {"", self.collection})
        return {lease.day for lease in live if lease.flow == self.flow}

    def _state(self, day: str, record: Mapping[str, Any], running: set[str]) -> Partition:
        try:
            plan, refused = plan_of(self.flow, self.request.for_day(day)), ""
        except InputError as problem:
            plan, refused = None, " ".join(str(problem).split())
        # A day that lacks nothing but observations needs no run.
        needed = plan if plan is None or plan.decisive.runs else plan.decisive
        about = {"day": day, "run": record.get("run", ""), "seconds": _seconds(needed)}
        if day in running:
            return Partition(state="running", **about)
        state, reason = self._told(record, plan, refused)
        return Partition(state=state, reason=reason, quarantined=self._quarantined(record, state), **about)

    def _told(self, record: Mapping[str, Any], plan: Plan | None, refused: str) -> tuple[str, str]:
        state, error = record.get("state"), " ".join(str(record.get("error", "")).split())
        if plan is None:
            # Inputs are often not kept for long: what was made of them is there all the same.
            return (
                ("fresh", f"no input any more: {refused}")
                if state == "completed"
                else ("missing", f"no input: {refused}")
            )
        decisive = plan.decisive
        changed = _changed(record, decisive)
        if state == "completed":
            if decisive.runs:
                return ("stale", decisive.reason) if changed else ("missing", f"gone: {decisive.runs[0].name}")
            return ("stale", f"its newest run was another one: {', '.join(changed)}") if changed else ("fresh", "")
        if state == "failed" and not interrupted(record):
            if not record.get("stages"):
                # Nothing was asked for yet, as without an input; a plan could be made now.
                return "stale", f"changed since it failed: {error}"
            # It may have failed in a stage that only observes, and a change of that one cure it.
            changed = _changed(record, plan)
            if changed or record.get("limits", self._limits) != self._limits:
                return "stale", f"changed since it failed: {', '.join(changed) or 'gates'}"
            return ("quarantined" if record["error_kind"] == "QuarantineLimitError" else "failed"), error
        there = sum(self.store.has(Ref.parse(stage.ref)) for stage in decisive.stages)
        if state is None and not there:
            return "missing", "never run"
        cause = f" ({error})" if record.get("error_kind") else ""
        return "missing", f"interrupted: {there} of {len(decisive.stages)} stages are there{cause}"

    def _quarantined(self, record: Mapping[str, Any], state: str) -> int:
        """The bad rows of a day; where those of an input were too many, its run had no figures of them."""
        if state != "quarantined":
            return int(record.get("quarantined", 0))
        asked: Mapping[str, str] = record.get("stages") or {}
        names = (full_name(stage, file.part) for _, file in domains.inputs() for stage in file.stages)
        imports = (asked.get(name, "") for name in names)
        return sum(self._rows_quarantined(made) for made in imports if made)

    def _rows_quarantined(self, made: str) -> int:
        """The rows in the quarantine of an import, finished or not."""
        try:
            ref = Ref.parse(made)
            return int(self.store.manifest(Ref(QUARANTINE.name, ref.day, ref.fingerprint)).quality["rows"])
        except (FingerpostError, KeyError):
            return 0


def counts(found: Iterable[Partition]) -> dict[str, int]:
    """How many days there are of each state."""
    states = [one.state for one in found]
    return {state: states.count(state) for state in STATES if state in states}


def needing(found: Iterable[Partition]) -> Iterator[Partition]:
    """The days that are not fresh, and those with something to say."""
    return (one for one in found if one.state != "fresh" or one.reason)


def _changed(record: Mapping[str, Any], plan: Plan) -> list[str]:
    """The stages whose artifacts would be others than those that the newest run asked for.

    A run that failed asked for some of them only, and those that it did not come to count for nothing.
    """
    asked: Mapping[str, str] = record.get("stages") or {}
    whole = record.get("state") == "completed"
    return [stage.name for stage in plan.stages if asked.get(stage.name, "" if whole else stage.ref) != stage.ref]


def _seconds(plan: Plan | None) -> float | None:
    if plan is None or plan.cost.unknown:
        return None
    return round(plan.cost.seconds, 2)
