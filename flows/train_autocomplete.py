"""From the events of a query log to a published completer."""

from prefect import flow

from fingerpost.flows.domains.autocomplete.inputs import events_of
from fingerpost.flows.domains.autocomplete.training import compare, finish, measure, note_unmeasured, train
from fingerpost.flows.run.crashes import alert_when_crashed
from fingerpost.flows.run.publishing import make_live
from fingerpost.flows.run.request import RunRequest
from fingerpost.flows.run.runtime import named, running
from fingerpost.tasks.autocomplete.stages.release import assemble_completer
from fingerpost.tasks.autocomplete.stages.sessions import cut_sessions


@flow(name="train_autocomplete", flow_run_name=named, persist_result=False, on_crashed=[alert_when_crashed])
def train_autocomplete(request: RunRequest = RunRequest()) -> None:
    """Trains, measures and publishes the completer of a collection."""
    with running("train_autocomplete", request) as run:
        settings = run.settings.autocomplete
        events = events_of(run)
        sessions = cut_sessions(events, params=settings.sessions)
        artifacts = {"events": events, "sessions": sessions}
        artifacts |= train(run, sessions)
        artifacts |= measure(run, artifacts)
        artifacts |= finish(run, sessions)
        members = run.members(artifacts)
        completer = assemble_completer(*members.values(), roles=tuple(members), serving=settings.serving)
        artifacts |= compare(run, artifacts)
        run.refs |= {f"completer_{role}": ref for role, ref in artifacts.items()} | {"completer": completer}
        note_unmeasured(run, completer)
        make_live(run, completer)
