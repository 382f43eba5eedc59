"""The wait of a flow run for late input: which runs wait, and how one leaves its worker between two looks.

A run of a deployment ends its process and is scheduled again for the next look, in the state `AWAITING_INPUT`. Until
then it holds no process, no Dask workers and no slot under a concurrency limit, and it outlives a restart of the stack.
"""

from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import FlowRun, State, StateDetails, StateType
from prefect.context import FlowRunContext
from prefect.exceptions import Pause

from fingerpost.flows.domains.settings import Settings
from fingerpost.flows.run.request import RunRequest
from fingerpost.flows.run.waits import AWAITING_INPUT, Waiting


def waits(request: RunRequest, settings: Settings) -> bool:
    """Whether the running flow waits for its input: asked for by its request, or by the settings of a scheduled run."""
    if request.wait:
        return True
    context = FlowRunContext.get()
    run = context.flow_run if context else None
    return bool(settings.schedule.wait_for_input and run and (run.auto_scheduled or "catch-up" in run.tags))


def leave_between_looks(wait: Waiting) -> None:
    """Ends a run of a deployment, which Prefect starts again for the next look; does nothing in any other run."""
    context = FlowRunContext.get()
    if context and context.flow_run and context.flow_run.deployment_id:
        raise _scheduled_again(context.flow_run, wait)


def _scheduled_again(run: FlowRun, wait: Waiting) -> Pause:
    """Schedules a run for the next look; what it returns, raised, ends the running flow without a final state."""
    details = StateDetails.model_validate({"scheduled_time": wait.next})
    state = State(type=StateType.SCHEDULED, name=AWAITING_INPUT, message=str(wait), state_details=details)
    with get_client(sync_client=True) as client:
        # Without this each look would count as one of the attempts after which a failed run is not retried.
        policy = run.empirical_policy.model_copy(update={"resuming": True})
        client.update_flow_run(run.id, empirical_policy=policy)
        # Rules are for results of attempts; this one has none. What is forced releases its slot all the same.
        client.set_flow_run_state(run.id, state, force=True)
    return Pause(state=state)
