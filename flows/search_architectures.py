"""From labelled images and a device to a published network that fits it."""

from prefect import flow

from fingerpost.flows.domains.nas.inputs import inputs_of
from fingerpost.flows.domains.nas.searching import estimate, finish, note_unmeasured, search
from fingerpost.flows.run.crashes import alert_when_crashed
from fingerpost.flows.run.publishing import make_live
from fingerpost.flows.run.request import RunRequest
from fingerpost.flows.run.runtime import named, running
from fingerpost.tasks.nas.stages.release import assemble_network


@flow(name="search_architectures", flow_run_name=named, persist_result=False, on_crashed=[alert_when_crashed])
def search_architectures(request: RunRequest = RunRequest()) -> None:
    """Searches a network for labelled images that keeps limits on a device, trains, measures and publishes it."""
    with running("search_architectures", request) as run:
        inputs = inputs_of(run)
        artifacts = inputs.roles | estimate(run, inputs)
        artifacts |= search(run, inputs, artifacts)
        artifacts |= finish(run, inputs, artifacts)
        members = run.members(artifacts)
        network = assemble_network(*members.values(), roles=tuple(members))
        run.refs |= {f"network_{role}": ref for role, ref in artifacts.items()} | {"network": network}
        note_unmeasured(run, network)
        make_live(run, network)
