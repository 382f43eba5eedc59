"""Alerts of runs that Prefect knows to have crashed or failed, even where the run itself could not raise one."""

import logging
from datetime import UTC, datetime, timedelta
from typing import Any

from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import (
    FlowFilter,
    FlowFilterName,
    FlowRunFilter,
    FlowRunFilterEndTime,
    FlowRunFilterParentTaskRunId,
    FlowRunFilterState,
    FlowRunFilterStateType,
)
from prefect.client.schemas.objects import FlowRun, StateType

from fingerpost.flows.domains.settings import Settings
from fingerpost.flows.run.alerts import Alert, raise_alert
from fingerpost.flows.run.failures import alert_of_crash, occasion
from fingerpost.flows.run.loggers import warn
from fingerpost.flows.run.request import RunRequest
from fingerpost.schemas.errors import FingerpostError, UnsafeNameError
from fingerpost.schemas.refs import checked_name
from fingerpost.schemas.store import Store

_log = logging.getLogger("fingerpost.alerts")
#: A watch looks at runs that ended within this time.
_WINDOW = timedelta(days=1)


def alert_when_crashed(flow: Any, flow_run: FlowRun, state: Any) -> None:
    """The ``on_crashed`` hook of flows, called by the worker when a run's process is gone, and by an ended run."""
    if flow_run.parent_task_run_id is None:
        try:
            settings = _settings(flow_run)
            _alert_of(Store(settings.store), flow.name, flow_run, settings)
        except Exception as problem:
            warn(_log, f"the alert of the crash of run {flow_run.id} could not be raised", problem)


def alert_of_prefect_runs(store: Store, flows: tuple[str, ...], *, now: datetime) -> int:
    """Raises alerts of the crashed and failed runs of these flows over this store; returns how many are new."""
    wanted = FlowRunFilter(
        state=FlowRunFilterState(type=FlowRunFilterStateType(any_=[StateType.CRASHED, StateType.FAILED])),
        end_time=FlowRunFilterEndTime.model_validate({"after_": now - _WINDOW}),
        parent_task_run_id=FlowRunFilterParentTaskRunId(is_null_=True),
    )
    news = 0
    with get_client(sync_client=True) as client:
        for name in flows:
            runs = client.read_flow_runs(
                flow_filter=FlowFilter(name=FlowFilterName(any_=[name])), flow_run_filter=wanted
            )
            for run in runs:
                try:
                    settings = _settings(run)
                except (FingerpostError, ValueError) as problem:
                    news += _alert_of_unusable(store, name, run, problem)
                    continue
                if Store(settings.store).files.root == store.files.root:
                    news += _alert_of(store, name, run, settings)
    return news


def _alert_of_unusable(store: Store, flow: str, run: FlowRun, problem: Exception) -> bool:
    """Raises an alert of a run with an invalid request, which ended before it had a record, a collection or a store."""
    moment = run.expected_start_time or datetime.now(UTC)
    request = (run.parameters or {}).get("request")
    collection = str(request.get("collection") or "") if isinstance(request, dict) else ""
    try:
        checked_name(collection)
    except UnsafeNameError:
        collection = "unknown"
    text = f"Fingerpost: {flow} failed at the start, scheduled for {moment:%Y-%m-%d %H:%M} UTC: {problem}"
    name = occasion({"id": str(run.id), "attempt": run.run_count}, "")
    return raise_alert(store, Alert("failed", flow, collection, f"{moment:%Y-%m-%d}", text, occasion=name))


def _settings(run: FlowRun) -> Settings:
    request = RunRequest.model_validate((run.parameters or {}).get("request") or {})
    return request.resolve(run.expected_start_time)


def _alert_of(store: Store, flow: str, run: FlowRun, settings: Settings) -> bool:
    name = occasion({"id": str(run.id), "attempt": run.run_count}, "")
    said = run.state.message if run.state and run.state.message else "no reason given"
    if run.state_type == StateType.FAILED:
        collection, day = settings.input.collection, settings.day
        text = f"Fingerpost: {flow} of {collection} failed for {day}: {said}"
        return raise_alert(store, Alert("failed", flow, collection, day, text, occasion=name))
    since = run.start_time or run.expected_start_time or datetime.now(UTC)
    return alert_of_crash(store, flow, settings, name=name, reason=said, since=since)
