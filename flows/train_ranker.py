"""From interactions to a published ranker."""

from prefect import flow

from flows.domains.xmr.baselines import compare
from flows.domains.xmr.features import features_of
from flows.domains.xmr.inputs import interactions_of
from flows.domains.xmr.refresh import refreshed
from flows.domains.xmr.steps import maker
from flows.domains.xmr.training import measure, train
from flows.run.crashes import tell_when_crashed
from flows.run.publishing import make_live
from flows.run.request import RunRequest
from flows.run.runtime import named, running
from tasks.xmr.stages.release import assemble_ranker


@flow(name="train_ranker", flow_run_name=named, persist_result=False, on_crashed=[tell_when_crashed])
def train_ranker(request: RunRequest = RunRequest()) -> None:
    """Trains, measures and publishes the ranker of a collection."""
    with running("train_ranker", request) as run:
        xmr, made = run.settings.xmr, {}
        made["interactions"] = taken = maker(run)("interactions", interactions_of(run))
        made |= refreshed(run, taken)
        if "model" not in made:
            made |= features_of(run, taken)
            made |= train(run, made)
        made |= measure(run, made)
        members = run.members(made)
        ranker = assemble_ranker(*members.values(), roles=tuple(members))
        if xmr.baselines.compared:
            run.refs |= {f"ranker_{role}": ref for role, ref in compare(xmr, made | {"ranker": ranker}).items()}
        run.refs |= {f"ranker_{role}": ref for role, ref in made.items()} | {"ranker": ranker}
        make_live(run, ranker)
