"""Planning a flow without running it, for the commands."""

from dataclasses import asdict, replace
from datetime import UTC, datetime

from fingerpost.flows.domains.settings import Settings
from fingerpost.flows.run.console import table_of, wide_console
from fingerpost.flows.run.cost_laws import RUN_STARTS_AND_ENDS, WORKERS_START, machine_slowness
from fingerpost.flows.run.expectations import Inputs, basis_text
from fingerpost.flows.run.first_checks import check_columns, check_plan
from fingerpost.flows.run.late_input import would_wait
from fingerpost.flows.run.plain_text import echo_json
from fingerpost.flows.run.plan import Plan, figures, plan_in
from fingerpost.flows.run.request import ResolvedRequest, RunRequest
from fingerpost.flows.run.runtime import planning
from fingerpost.flows.run.start import check_run, known
from fingerpost.schemas.store import Store


def plan_of(flow: str, request: RunRequest) -> Plan:
    """The plan of a flow. Computes and writes nothing, and needs no Prefect server."""
    recipe = known(flow)
    with planning(flow, request) as run:
        recipe.fn(request)
    return plan_in(flow, run.env)


def checked_plan(flow: str, request: RunRequest) -> Plan:
    """The plan of a flow after the checks that a run makes; raises what the run would be refused with."""
    recipe = known(flow)
    settled = ResolvedRequest.of(request)
    check_run(flow, request, settled)
    inputs = Inputs(settled.settings, flow)
    with planning(flow, settled.request, settings=settled.settings) as run:
        check_columns(inputs)
        recipe.fn(settled.request)
        plan = plan_in(flow, run.env)
        notes = (*plan.notes, *check_plan(inputs, plan))
        return replace(plan, notes=notes, beside_seconds=_beside(plan, settled.settings))


def show_wait(flow: str, request: RunRequest, *, as_json: bool) -> bool:
    """Prints what a run that is asked to wait for its input would wait for now; returns whether it would wait."""
    settings = ResolvedRequest.of(request).settings
    words = would_wait(Store(settings.store), flow, settings, now=datetime.now(UTC))
    if words:
        said = f"{flow} of {settings.input.collection}, {settings.day}: {words}"
        echo_json({"flow": flow, "waits": said}) if as_json else wide_console().tell(said)
    return bool(words)


def show_plan(flow: str, request: RunRequest, *, as_json: bool) -> None:
    """Prints a plan."""
    plan = checked_plan(flow, request)
    if as_json:
        echo_json({**asdict(plan), "cost": asdict(plan.cost)})
        return
    heading = f"{plan.flow} of {plan.collection}, {plan.day}"
    table = table_of(heading, "stage", "would", "why", "seconds>", "peak MB>", "MB stored>")
    for stage in plan.stages:
        table.add_row(stage.name, "run" if stage.runs else "be reused", stage.reason, *figures(stage))
    console = wide_console()
    console.print(table)
    for note in plan.notes:
        console.tell(note)
    if text := basis_text([stage.estimate for stage in plan.runs if stage.estimate]):
        console.tell(text)
    console.tell(f"{len(plan.runs)} of {len(plan.stages)} stages would run: {plan.cost}")
    console.tell(f"Beside its stages a run and its workers start and end in about {plan.beside_seconds:.0f} s")


def _beside(plan: Plan, settings: Settings) -> float:
    """The seconds in which a run of a command starts and ends, and its workers, which the first shards wait for."""
    workers = bool(plan.runs) and settings.run.workers > 0 and not settings.run.cluster
    return round((RUN_STARTS_AND_ENDS + WORKERS_START * workers) * machine_slowness(), 1)
