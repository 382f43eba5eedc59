"""One run of a flow: its store, executor, progress, record and report."""

import logging
import os
import secrets
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from contextvars import ContextVar
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

from prefect import Flow, get_run_logger, task
from prefect.cache_policies import NO_CACHE
from prefect.context import FlowRunContext
from prefect.runtime import flow_run
from prefect.settings import PREFECT_FLOWS_HEARTBEAT_FREQUENCY, temporary_settings

from fingerpost.flows.domains.domain import named as loaded
from fingerpost.flows.domains.settings import Settings
from fingerpost.flows.run import openlineage
from fingerpost.flows.run.execution import close_executor, executor_of
from fingerpost.flows.run.expectations import Expectations, Inputs, basis_text
from fingerpost.flows.run.failures import alert_of_failure, deadline_kept
from fingerpost.flows.run.faults import said
from fingerpost.flows.run.first_checks import check_columns, check_plan
from fingerpost.flows.run.flow_names import flow_names
from fingerpost.flows.run.input_wait import leave_between_looks, waits
from fingerpost.flows.run.inputs import remember
from fingerpost.flows.run.late_input import LateInputError, wait_for_input
from fingerpost.flows.run.loggers import warn
from fingerpost.flows.run.page import prefect_run, show_run, show_table, show_waiting_day
from fingerpost.flows.run.plan import Plan, accuracy, plan_in, rows_of
from fingerpost.flows.run.profiles import in_force, limits_digest
from fingerpost.flows.run.progress import RunProgress
from fingerpost.flows.run.request import ResolvedRequest, RunRequest
from fingerpost.flows.run.rewriting import rewriting
from fingerpost.flows.run.section import SettingsError
from fingerpost.flows.run.time_left import Outline
from fingerpost.flows.run.waits import Waiting
from fingerpost.schemas.corpus import QUARANTINE
from fingerpost.schemas.errors import CorruptArtifactError, FingerpostError
from fingerpost.schemas.inputs.forms import first_rows
from fingerpost.schemas.inputs.limits import limited
from fingerpost.schemas.leases import lease
from fingerpost.schemas.publish import Publication
from fingerpost.schemas.refs import Ref
from fingerpost.schemas.store import Store
from fingerpost.schemas.wording import LONGEST
from fingerpost.tasks.environment import Environment, environment
from fingerpost.tasks.ledger import StageRecord, partition, save_partition, save_run
from fingerpost.tasks.shards import Executor, SerialExecutor

T = TypeVar("T")


@dataclass
class Run:
    """A run under way, and what its record is made from."""

    id: str
    flow: str
    request: RunRequest
    settings: Settings
    env: Environment
    progress: RunProgress
    started: float = field(default_factory=time.perf_counter)
    refs: dict[str, Ref] = field(default_factory=dict)
    publications: list[Publication] = field(default_factory=list)
    gates: list[dict[str, Any]] = field(default_factory=list)

    def members(self, artifacts: Mapping[str, Ref]) -> dict[str, Ref]:
        """The members of a release among artifacts by role, sorted by role: all but those of observing stages."""
        return {role: artifacts[role] for role in sorted(artifacts) if str(artifacts[role]) not in self.env.observed}

    def note(self, text: str) -> None:
        """Adds a note to the run's log, plan and report."""
        self.env.notes.append(text)
        self.progress.say(text)

    def record(self, *, state: str, error: str = "", kind: str = "") -> dict[str, Any]:
        """The run as it is stored."""
        return {
            "id": self.id,
            "flow": self.flow,
            "state": state,
            "error": error,
            "profile": self.settings.profile,
            "collection": self.env.collection,
            "day": self.env.day,
            "seconds": round(time.perf_counter() - self.started, 2),
            "stages": [asdict(record) for record in self.env.records],
            "notes": self.env.notes,
            "gates": self.gates,
            "publication": asdict(self.publications[0]) if self.publications else None,
            "publications": [asdict(move) for move in self.publications],
            "at": datetime.now(UTC).isoformat(timespec="seconds"),
            "settings": in_force(self.settings),
            "cpus": os.cpu_count(),
            "refs": {role: str(ref) for role, ref in self.refs.items()},
            "request": self.request.model_dump(mode="json"),
            "accuracy": accuracy(self.env.records),
            "error_kind": kind,
            "failed_stage": self.env.running if kind else "",
            "prefect": prefect_run(),
        }

    def partition(self, record: dict[str, Any]) -> dict[str, Any]:
        """The record of the run's day."""
        names = (
            "flow",
            "collection",
            "day",
            "state",
            "error",
            "error_kind",
            "at",
            "seconds",
            "refs",
            "gates",
            "publication",
        )
        kept = {name: record[name] for name in names}
        # Not those of earlier days' files that the run reads too, nor those that a merge of days repeats.
        mine = (stage.quality for stage in self.env.records if Ref.parse(stage.ref).day == self.env.day)
        counts = (quality.get("quarantined", 0) - quality.get("quarantined_by_days", 0) for quality in mine)
        return {
            **kept,
            "run": self.id,
            "deadline": deadline_kept(self.settings, record["prefect"]),
            "quarantined": sum(int(count) for count in counts if count),
            "stages": self.env.asked,
            "limits": limits_digest(self.settings),
            "backfill": backfilling.get(),
        }


@dataclass(frozen=True)
class Watching:
    """How a run is shown and where its log goes, set by the commands; ``ended`` takes the record of the run."""

    quiet: bool = False
    log_file: Path | None = None
    ended: list[dict[str, Any]] = field(default_factory=list)


_run: ContextVar[Run | None] = ContextVar("fingerpost_run", default=None)
watching: ContextVar[Watching] = ContextVar("fingerpost_watching")
#: The backfill (and its attempt) that runs days now; it is stored with each day.
backfilling: ContextVar[str] = ContextVar("fingerpost_backfill", default="")
#: The request that was resolved last: shared by a command and the flow that it starts, and by a flow's name and body.
resolved: ContextVar[ResolvedRequest | None] = ContextVar("fingerpost_resolved", default=None)
executor_override: ContextVar[Executor | None] = ContextVar("fingerpost_executor", default=None)


def part(flow: "Flow[..., Any]", request: RunRequest) -> None:
    """Runs a flow as a part of the running one: as a task around its stages, or as plain code where a plan is made.

    Not as a subflow: Prefect lists every subflow as a run of its own, so that one night would be up to eight entries.
    Only the outermost flow is retried after a failure; retries of a part would multiply.
    """
    run = _run.get()
    if run is None or run.env.planning:
        flow.fn(request)
        return
    recipe: Callable[[RunRequest], None] = flow.fn
    name = f"{flow.name} {run.env.collection} {run.env.day}"
    task(name=flow.name, task_run_name=name, retries=0, cache_policy=NO_CACHE, persist_result=False)(recipe)(request)


def without_heartbeat() -> AbstractContextManager[Any]:
    """Flows called inside send no heartbeats, for which no one listens on the server of a run.

    Prefect waits up to a second for the heartbeat thread at the end of each flow.
    """
    return temporary_settings({PREFECT_FLOWS_HEARTBEAT_FREQUENCY: None})


def named() -> str:
    """The name of the flow run that begins: flow, collection and day."""
    settings = settings_of(_asked())
    return f"{flow_run.flow_name} {settings.input.collection} {settings.day}"


@contextmanager
def planning(flow: str, request: RunRequest, *, settings: Settings | None = None, in_ui: bool = False) -> Iterator[Run]:
    """A planning run: stages record what they would do, and nothing is written.

    settings: those of the request where it is resolved already. in_ui: whether notes go to the UI.
    """
    settings = settings or request.resolve(_scheduled())
    _check_forced(settings.force)
    shown = RunProgress(quiet=True, in_ui=in_ui)
    run = _new_run(flow, request, settings, Store(settings.store), SerialExecutor(), shown)
    run.env.planning = True
    token = _run.set(run)
    try:
        with environment(run.env), limited(settings.input.limits):
            yield run
    finally:
        _run.reset(token)


def _asked() -> RunRequest:
    """The request that Prefect starts the running flow with."""
    return RunRequest.model_validate(flow_run.parameters.get("request") or {})


def settings_of(request: RunRequest) -> Settings:
    """The settings of a request, resolved unless this process has resolved it already."""
    return _resolved(request).settings


def _resolved(request: RunRequest) -> ResolvedRequest:
    known = resolved.get()
    if known is None or known.request != request:
        known = ResolvedRequest.of(request, scheduled=_scheduled())
        resolved.set(known)
    return known


def _scheduled() -> datetime | None:
    """When Prefect was to start the running flow; None outside of one."""
    scheduled = flow_run.scheduled_start_time if FlowRunContext.get() else None
    return datetime.fromisoformat(str(scheduled)) if scheduled else None


@contextmanager
def running(flow: str, request: RunRequest) -> Iterator[Run]:
    """The run that a flow belongs to: the surrounding flow's, or a new one whose records are stored at its end."""
    surrounding = _run.get(None)
    if surrounding is not None:
        yield surrounding
        return
    if request.dry_run:
        with planning(flow, request, in_ui=True) as run:
            inputs = Inputs(run.settings, flow)
            check_columns(inputs)
            yield run
        plan = plan_in(flow, run.env)
        for note in check_plan(inputs, plan):
            run.note(note)
        _show_plan(plan)
        return
    known = _resolved(request)
    settings = known.settings
    # Only from a command or the name of a run to its body: later runs of this process read what is in force then.
    resolved.set(None)
    _check_forced(settings.force)
    store = Store(settings.store).prepare()
    override = executor_override.get()
    shown = watching.get(Watching())
    progress = RunProgress(quiet=shown.quiet, log_file=shown.log_file, flow=flow)
    # Before there is an executor: a run that waits holds no workers.
    late, waited = _waited(store, flow, settings, progress) if waits(request, settings) else (None, "")
    executor: Executor = override or (SerialExecutor() if late else executor_of(settings))
    run = _new_run(flow, request, settings, store, executor, progress)
    token = _run.set(run)
    state, error, kind = "failed", "stopped", ""
    try:
        with (
            lease(store, run.id, flow=flow, collection=run.env.collection, day=run.env.day),
            environment(run.env),
            limited(settings.input.limits),
            progress.minutes(lambda: outline_of(run)),
        ):
            if late:
                raise late
            if waited:
                run.note(waited)
            yield run
            if rewriting.get() is None:
                try:
                    remember(store, flow, known.any_day, known.named, day=run.env.day, run=run.id)
                except CorruptArtifactError as problem:
                    # What the run made is as good, and may be live; only the next run has to name its inputs again.
                    run.note(f"The inputs are not remembered: {problem}")
        state, error = "completed", ""
    except Exception as problem:
        kind = type(problem).__name__
        error = said(problem, most=LONGEST + 200)
        raise
    finally:
        _run.reset(token)
        if executor is not override:
            close_executor(executor)
        shown.ended.append(_finish(run, state, error, kind))


def outline_of(run: Run) -> Outline | None:
    """The stages that a run under way would still compute, with their expected seconds; None where no plan tells."""
    path = flow_names().get(run.flow)
    if path is None or rewriting.get() is not None:
        return None
    try:
        with planning(run.flow, run.request, settings=run.settings) as planned:
            loaded(path).fn(run.request)
    except Exception as problem:
        warn(logging.getLogger("fingerpost.plan"), "The time left of the run is not known", problem)
        return None
    ended = {record.name for record in run.env.records}
    return {
        stage.name: stage.estimate.seconds if stage.estimate else None
        for stage in planned.env.planned
        if stage.runs and stage.name not in ended
    }


def _waited(store: Store, flow: str, settings: Settings, progress: RunProgress) -> tuple[LateInputError | None, str]:
    """Waits for the input of a run; its error if that is late, and a note if it came after a wait."""

    def leave(wait: Waiting) -> None:
        if wait.at == wait.since:
            show_waiting_day(store, flow, settings.input.collection, settings.day)
        leave_between_looks(wait)

    try:
        return None, wait_for_input(store, flow, settings, say=progress.say, leave=leave)
    except LateInputError as problem:
        return problem, ""


def _new_run(
    flow: str, request: RunRequest, settings: Settings, store: Store, executor: Executor, progress: RunProgress
) -> Run:
    env = Environment(
        store,
        settings.input.collection,
        settings.day,
        executor,
        settings.threads,
        frozenset(settings.force),
        stale_on_versions=settings.run.stale_on == "versions",
        progress=progress,
        before=partition(store, flow, settings.input.collection, settings.day).get("stages") or {},
        expected=Expectations(settings, flow).of,
    )
    now = datetime.now(UTC)
    return Run(
        f"{now:%Y%m%dT%H%M%S}{now.microsecond // 1000:03d}-{secrets.token_hex(3)}",
        flow,
        request,
        settings,
        env,
        progress,
    )


def _show_plan(plan: Plan) -> None:
    """Shows the plan in Prefect's UI and in the run's log."""
    words = (
        f"{plan.flow} of {plan.collection}, {plan.day}: {len(plan.runs)} of {len(plan.stages)} stages would run:"
        f" {plan.cost}. {basis_text([stage.estimate for stage in plan.runs if stage.estimate])}"
    )
    if FlowRunContext.get():
        show_table(rows_of(plan), key="plan", description=words)
        get_run_logger().info(words)
    logging.getLogger("fingerpost.plan").info(words)


def _finish(run: Run, state: str, error: str, kind: str) -> dict[str, Any]:
    record = run.record(state=state, error=error, kind=kind)
    try:
        save_run(run.env.store, run.id, record)
        save_partition(run.env.store, run.partition(record))
    except FingerpostError as problem:
        # The error of the run matters more than one of storing its record, on a full disk for example.
        if not error:
            alert_of_failure(
                run.env.store,
                {**record, "state": "failed", "error": str(problem), "error_kind": type(problem).__name__},
            )
            raise
        run.progress.say(f"record not stored: {problem}")
        # Neither would what else is kept in the store.
        show_run(run.env.store, record)
        alert_of_failure(run.env.store, record)
        return record
    if state == "completed":
        for line in quarantined_lines(run.env.store, run.env.records):
            run.progress.say(line)
    if off := record["accuracy"]:
        run.progress.say(
            f"cost   {off['seconds']:.1f} s, {off['peak_mb']:,.0f} MB, {off['bytes'] / 1e6:.1f} MB stored in"
            f" {off['stages']} stage(s); expected {off['expected_seconds']:.1f} s, {off['expected_peak_mb']:,.0f} MB,"
            f" {off['expected_bytes'] / 1e6:.1f} MB"
        )
    _write_report(run, record)
    openlineage.keep(run.env.store, record)
    show_run(run.env.store, record)
    alert_of_failure(run.env.store, record)
    run.progress.log(f"{state} {error}".strip())
    return record


def quarantined_lines(store: Store, stages: Sequence[StageRecord]) -> list[str]:
    """How many rows of each input were quarantined, the first of them, and the command that shows all."""
    lines = []
    for stage in stages:
        ref, count = stage.companions.get(QUARANTINE.name), stage.quality.get("quarantined")
        if ref and count:
            try:
                first = first_rows(store.open(Ref.parse(ref), QUARANTINE).read("rows"))
            except FingerpostError as problem:
                first = f"not readable, {problem}"
            lines.append(f"{stage.name}: {count:,} rows quarantined: {first}; `fingerpost quarantine {ref}` shows all")
    return lines


def _write_report(run: Run, record: dict[str, Any]) -> None:
    """Writes the report of a run; an error in it is noted and fails nothing else."""
    from fingerpost.flows.report.page import write

    try:
        record["report"] = write(run.env.store, record)
        for line in record["below"]:
            run.progress.say(line)
        run.progress.log(f"report {record['report']}")
    except Exception as problem:
        run.progress.say(f"report not written: {type(problem).__name__}: {problem}")


def _check_forced(forced: Sequence[str]) -> None:
    if forced:
        # Imported here: it loads the code of all domains, which a run without ``force`` does not need.
        from fingerpost.flows.run.catalog import stages

        known = stages()
        if unknown := sorted(set(forced) - set(known)):
            raise SettingsError(
                f"force: expected stages among {', '.join(known)}, got {', '.join(unknown)}; correct it"
            )


@contextmanager
def scoped(run: Run, part: str) -> Iterator[None]:
    """A scope in which stages are recorded under the name of a part.

    The reason of a rerun then compares a stage with itself, not with the same stage over other inputs.
    """
    env = run.env
    kept = env.part
    env.part = part
    try:
        yield
    finally:
        env.part = kept


@contextmanager
def of_day(run: Run, day: str) -> Iterator[None]:
    """A scope in which a stage imports the file of a day, which may be an earlier one than the run's.

    Its artifact is of that day, so that the runs of later days find it, and it is recorded under the day's name.
    """
    env = run.env
    kept = env.day, env.part, env.hints
    env.day, env.part, env.hints = day, f"{env.part} {day}".strip(), env.part
    try:
        yield
    finally:
        env.day, env.part, env.hints = kept
