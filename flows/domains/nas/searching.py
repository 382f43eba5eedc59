"""From a device and images to a searched, trained and measured network, as parts of the flow that publishes it."""

from collections.abc import Mapping
from contextlib import suppress

from fingerpost.flows.domains.nas.gates import unmeasured
from fingerpost.flows.domains.nas.inputs import Inputs
from fingerpost.flows.domains.nas.sources import device_of, reference_of
from fingerpost.flows.run.rewriting import rewriting
from fingerpost.flows.run.runtime import Run
from fingerpost.schemas import nas as contracts
from fingerpost.schemas.errors import CorruptArtifactError, ForeignArtifactError, MissingArtifactError
from fingerpost.schemas.publish import Pointer
from fingerpost.schemas.refs import Ref
from fingerpost.schemas.releases import read_members
from fingerpost.tasks.nas.stages.landscape import map_landscape
from fingerpost.tasks.nas.stages.latency import fit_latency, measure_operators
from fingerpost.tasks.nas.stages.measured import measure_network
from fingerpost.tasks.nas.stages.networks import evaluate_network, train_network
from fingerpost.tasks.nas.stages.patterns import mine_patterns
from fingerpost.tasks.nas.stages.search import search_networks
from fingerpost.tasks.nas.stages.supernet import train_supernet


def estimate(run: Run, inputs: Inputs) -> dict[str, Ref]:
    """Latencies of operators on the device, and the estimator that is fitted to them, by role."""
    own = run.settings.nas
    given = tuple(filter(None, [reference_of(own)]))
    measurements = measure_operators(device_of(own), space=inputs.space, params=own.measuring, given=given)
    return {"measurements": measurements, "latency": fit_latency(measurements, params=own.latency)}


def search(run: Run, inputs: Inputs, artifacts: Mapping[str, Ref]) -> dict[str, Ref]:
    """The searched candidates, where the method needs them the weights that they share, the landscape and patterns."""
    own = run.settings.nas
    shared: dict[str, Ref] = {}
    if own.search.method == "single-shot":
        shared["supernet"] = train_supernet(inputs.images, space=inputs.space, params=own.supernet)
    found = search_networks(
        inputs.images,
        artifacts["latency"],
        *shared.values(),
        roles=tuple(shared),
        space=inputs.space,
        reference=reference_of(own),
        params=own.search,
        limits=own.limits,
        training=own.candidates,
    )
    landscape = map_landscape(artifacts["latency"], found, space=inputs.space, params=own.landscape)
    patterns = mine_patterns(found, *earlier_searches(run, found, most=own.earlier_searches), params=own.patterns)
    return shared | {"search": found, "landscape": landscape, "patterns": patterns}


def earlier_searches(run: Run, search: Ref, *, most: int) -> list[Ref]:
    """The other searches behind the versions of earlier days, the newest first; none where a version is rewritten.

    Those of the run's own day are left out, so that a rerun finds its artifacts.
    """
    if rewriting.get() is not None:
        return []
    store, pointer = run.env.store, Pointer(run.env.store, run.env.collection, contracts.NETWORK.name)
    found = dict[str, Ref]()
    for release in (move.artifact for move in reversed(pointer.line()) if move.artifact.day < run.env.day):
        with suppress(CorruptArtifactError, ForeignArtifactError, MissingArtifactError, KeyError):
            ref = read_members(store, release)["search"]
            if store.has(ref) and ref.fingerprint != search.fingerprint:
                found.setdefault(ref.fingerprint, ref)
    return list(found.values())[:most]


def finish(run: Run, inputs: Inputs, artifacts: Mapping[str, Ref]) -> dict[str, Ref]:
    """The chosen network trained fully, measured on the device and evaluated on test images, by role."""
    own = run.settings.nas
    trained = train_network(inputs.images, artifacts["search"], params=own.training, seed=own.search.seed)
    measured = measure_network(trained, artifacts["search"], artifacts["latency"], device_of(own), params=own.measuring)
    evaluation = evaluate_network(inputs.images, trained, measured, artifacts["search"], params=own.evaluation)
    return {"trained": trained, "measured": measured, "evaluation": evaluation}


def note_unmeasured(run: Run, network: Ref) -> None:
    """Notes in the run and its report what about a network was not measured, and why."""
    if not run.env.planning:
        for words in unmeasured(run.env.store.manifest(network)):
            run.note(words)
