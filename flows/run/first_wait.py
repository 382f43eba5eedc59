"""The wait of a command for late input, before it starts a server or loads the code of flows."""

from pathlib import Path

from fingerpost.flows.run.alerts import Alert, raise_alert
from fingerpost.flows.run.inputs import check_named
from fingerpost.flows.run.late_input import Clock, LateInputError, wait_for_input
from fingerpost.flows.run.progress import RunProgress
from fingerpost.flows.run.request import ResolvedRequest, RunRequest
from fingerpost.schemas.store import Store


def waited(
    flow: str, request: RunRequest, *, quiet: bool = False, log_file: Path | None = None, clock: Clock = Clock()
) -> RunRequest:
    """Waits for the input of the request's day, and returns the request of that day, which need not wait.

    LateInputError, with an alert, if the input is not complete at the end of the wait.
    """
    settings = ResolvedRequest.of(request).settings
    check_named(settings, flow)
    store, say = Store(settings.store).prepare(), RunProgress(quiet=quiet, log_file=log_file).say
    try:
        if note := wait_for_input(store, flow, settings, say=say, clock=clock):
            say(note)
    except LateInputError as problem:
        collection, day = settings.input.collection, settings.day
        text = f"Fingerpost: {flow} of {collection} did not begin for {day}: {problem}"
        raise_alert(store, Alert("failed", flow, collection, day, text, occasion="late-input"))
        raise
    # The day stays that of the beginning, also where the wait goes on past midnight.
    return request.for_day(settings.day).model_copy(update={"wait": False})
