"""The last step of a flow: publishing its product."""

from prefect import task
from prefect.cache_policies import NO_CACHE

from fingerpost.flows.run.gates import (
    accepted,
    compared_with_live,
    gates_of,
    held_back,
    publish,
    replay_gates,
    replay_with_live,
)
from fingerpost.flows.run.rewriting import rewriting
from fingerpost.flows.run.runtime import Run
from fingerpost.schemas.errors import PublicationConflictError
from fingerpost.schemas.publish import Pointer
from fingerpost.schemas.refs import Ref


def make_live(run: Run, ref: Ref) -> None:
    """Checks the gates and makes a product live; does nothing in a plan or a rewriting run."""
    if not run.env.planning and rewriting.get() is None:
        publish_product(run, ref)


#: How often a product is published whose pointer others move meanwhile, as the days of a backfill may.
_ATTEMPTS = 5


@task(task_run_name="publish_product {ref.name} {ref.day}", cache_policy=NO_CACHE, persist_result=False)
def publish_product(run: Run, ref: Ref) -> None:
    """Checks the gates, with a replay of real queries if there are any, and makes a product live, or raises GateError.

    Where the product's domain says so, a missed gate is noted instead. The run's reason for a change, if it has one,
    overrules gates against the live version, and is kept in the publication.
    The product of an earlier day than the live one's must pass the gates too, but does not replace it. Where the run of
    another day publishes in the same moment, what is live then is what counts.
    """
    recorded = len(run.gates)
    for attempt in range(1, _ATTEMPTS + 1):
        try:
            _publish(run, ref)
            return
        except PublicationConflictError:
            del run.gates[recorded:]
            if attempt == _ATTEMPTS:
                raise


def _publish(run: Run, ref: Ref) -> None:
    store, collection, product = run.env.store, run.env.collection, ref.name
    live = Pointer(store, collection, product).live()
    earlier = live is not None and live.artifact.day > ref.day
    gates = gates_of(ref, store.manifest(ref), run.settings)
    replayed, reason = None, run.request.accept_change
    if not earlier:
        gates += compared_with_live(store, live, ref, run.settings)
        replayed = replay_with_live(store, collection, ref, run.settings.replay)
        if replayed is not None and replayed.unasked:
            run.env.notes.append(
                f"the live {replayed.unasked} is of an earlier version and answers no queries any more: they were"
                " replayed with the candidate alone"
            )
    gates += replay_gates(replayed, run.settings.replay)
    despite = accepted(gates, reason)
    run.gates += [
        {"gate": str(gate), "holds": gate.holds}
        | ({"accepted": reason} if gate.name in despite and not gate.holds else {})
        for gate in gates
    ]
    words = f"gates: {'; '.join(str(gate) for gate in gates)}"
    if live is not None and earlier and all(gate.holds for gate in gates):
        run.progress.say(f"kept   {ref}; {live.ref}, of a later day, stays live; {words}")
        return
    if why := held_back(ref, collection, [gate for gate in gates if gate.name not in despite], run.settings):
        run.env.notes.append(why)
        run.progress.say(f"held back {ref}; {why}")
        return
    said = f"run {run.id}"
    if any(gate.name in despite and not gate.holds for gate in gates):
        said = f"{reason}, {said}"
    move = publish(store, collection, ref, gates, reason=said, replayed=replayed, despite=despite, beside=live)
    run.publications.append(move)
    run.progress.say(f"live   {collection}/{product} is {ref}, generation {move.generation}; {words}")
