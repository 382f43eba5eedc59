"""The last step of a flow: publishing its product."""

from prefect import task
from prefect.cache_policies import NO_CACHE

from fingerpost.flows.run.gates import gates_of, held_back, publish, replay_gates, replay_with_live
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


@task(cache_policy=NO_CACHE, persist_result=False)
def publish_product(run: Run, ref: Ref) -> None:
    """Checks the gates, with a replay of real queries if there are any, and makes a product live, or raises GateError.

    Where the product's domain says so, a missed gate is noted instead.
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
    replayed = None if earlier else replay_with_live(store, collection, ref, run.settings.replay)
    gates += replay_gates(replayed, run.settings.replay)
    run.gates += [{"gate": str(gate), "holds": gate.holds} for gate in gates]
    words = f"gates: {'; '.join(str(gate) for gate in gates)}"
    if live is not None and earlier and all(gate.holds for gate in gates):
        run.progress.say(f"kept   {ref}; {live.ref}, of a later day, stays live; {words}")
        return
    if why := held_back(ref, collection, gates, run.settings):
        run.env.notes.append(why)
        run.progress.say(f"held back {ref}; {why}")
        return
    move = publish(store, collection, ref, gates, reason=f"run {run.id}", replayed=replayed)
    run.publications.append(move)
    run.progress.say(f"live   {collection}/{product} is {ref}, generation {move.generation}; {words}")
