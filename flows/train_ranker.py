"""From interactions to a published ranker."""

from prefect import flow

from fingerpost.flows.domains.xmr.baselines import compare
from fingerpost.flows.domains.xmr.features import features_of
from fingerpost.flows.domains.xmr.inputs import interactions_of
from fingerpost.flows.domains.xmr.refresh import refreshed
from fingerpost.flows.domains.xmr.training import finish, measure, note_unmeasured, pack, train
from fingerpost.flows.run.crashes import alert_when_crashed
from fingerpost.flows.run.publishing import make_live
from fingerpost.flows.run.request import RunRequest
from fingerpost.flows.run.runtime import named, running
from fingerpost.tasks.xmr.stages.release import assemble_ranker


@flow(name="train_ranker", flow_run_name=named, persist_result=False, on_crashed=[alert_when_crashed])
def train_ranker(request: RunRequest = RunRequest()) -> None:
    """Trains, measures and publishes the ranker of a collection."""
    with running("train_ranker", request) as run:
        xmr, artifacts = run.settings.xmr, {}
        artifacts["interactions"] = interactions = interactions_of(run)
        artifacts |= refreshed(run, interactions)
        if "model" not in artifacts:
            artifacts |= features_of(run, interactions)
            artifacts |= train(run, artifacts)
        artifacts |= measure(run, artifacts)
        artifacts |= finish(run, artifacts)
        artifacts |= pack(artifacts)
        members = run.members(artifacts)
        ranker = assemble_ranker(*members.values(), roles=tuple(members))
        if xmr.baselines.compared:
            run.refs |= {f"ranker_{role}": ref for role, ref in compare(xmr, artifacts | {"ranker": ranker}).items()}
        run.refs |= {f"ranker_{role}": ref for role, ref in artifacts.items()} | {"ranker": ranker}
        note_unmeasured(run, ranker)
        make_live(run, ranker)
