"""Names of planned runs: Prefect plans the runs of a schedule under random names, and asks a flow for its own at the start."""

from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.filters import (
    FlowFilter,
    FlowFilterName,
    FlowRunFilter,
    FlowRunFilterState,
    FlowRunFilterStateType,
)
from prefect.client.schemas.objects import FlowRun, StateType

from fingerpost.flows.run.calendar import logical_day
from fingerpost.flows.run.flow_names import flow_names
from fingerpost.flows.run.request import RunRequest
from fingerpost.schemas.errors import FingerpostError
from fingerpost.schemas.records import leave_out


def name_planned_runs() -> int:
    """Gives planned runs the names that they will have: flow, collection and day; returns how many had another."""
    named = 0
    with get_client(sync_client=True) as client:
        for flow in flow_names():
            for run in _planned(client, flow):
                try:
                    name = planned_name(flow, run)
                except FingerpostError as problem:
                    # It will fail when it starts, and say why.
                    leave_out(problem)
                    continue
                if run.name != name:
                    client.update_flow_run(run.id, name=name)
                    named += 1
    return named


def planned_name(flow: str, run: FlowRun) -> str:
    """The name of a run that its schedule has planned."""
    settings = RunRequest.of(**(run.parameters.get("request") or {})).for_any_day()
    day = settings.day
    if not day and run.expected_start_time is not None:
        zone = settings.run.timezone
        day = logical_day(run.expected_start_time, timezone=zone, lag_days=settings.schedule.lag_days)
    return f"{flow} {settings.input.collection} {day}"


def _planned(client: SyncPrefectClient, flow: str) -> list[FlowRun]:
    wanted = FlowRunFilter(state=FlowRunFilterState(type=FlowRunFilterStateType(any_=[StateType.SCHEDULED])))
    found = client.read_flow_runs(
        flow_filter=FlowFilter(name=FlowFilterName(any_=[flow])), flow_run_filter=wanted, limit=200
    )
    return [run for run in found if run.auto_scheduled]
