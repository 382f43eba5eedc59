"""From two graphs, or one, to a published alignment."""

from prefect import flow

from fingerpost.flows.domains.kg.inputs import inputs_of
from fingerpost.flows.domains.kg.refresh import refreshed
from fingerpost.flows.domains.kg.training import align, decide, judge, note_estimates
from fingerpost.flows.run.crashes import alert_when_crashed
from fingerpost.flows.run.publishing import make_live
from fingerpost.flows.run.request import RunRequest
from fingerpost.flows.run.runtime import named, running
from fingerpost.tasks.kg.stages.release import assemble_alignment


@flow(name="align_graphs", flow_run_name=named, persist_result=False, on_crashed=[alert_when_crashed])
def align_graphs(request: RunRequest = RunRequest()) -> None:
    """Finds which entities of two graphs, or of one, are the same, joins them, measures and publishes the alignment."""
    with running("align_graphs", request) as run:
        inputs = inputs_of(run)
        artifacts = inputs.roles | (refreshed(run, inputs) or align(run, inputs))
        artifacts |= decide(run, inputs, artifacts)
        artifacts |= judge(run, inputs, artifacts)
        members = run.members(artifacts)
        alignment = assemble_alignment(*members.values(), roles=tuple(members))
        run.refs |= {f"alignment_{role}": ref for role, ref in artifacts.items()} | {"alignment": alignment}
        note_estimates(run, alignment)
        make_live(run, alignment)
