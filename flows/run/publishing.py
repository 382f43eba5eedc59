"""The last step of a flow: from a finished index, ranker or threshold to the live one."""

from prefect import task
from prefect.cache_policies import NO_CACHE

from flows.run.gates import GATES, kept_back, publish, replay_beside_live, replay_gates
from flows.run.rewriting import rewriting
from flows.run.runtime import Run
from schemas.publish import Pointer
from schemas.refs import Ref


def make_live(run: Run, ref: Ref) -> None:
    """Checks the gates and makes an index, ranker or threshold live; where a plan is made or an earlier version is written anew, nothing."""
    if not run.env.planning and rewriting.get() is None:
        publish_product(run, ref)


@task(cache_policy=NO_CACHE, persist_result=False)
def publish_product(run: Run, ref: Ref) -> None:
    """Checks the gates, with real queries if there are any, and makes a product live, or fails and leaves what is live.

    A threshold that misses its gates fails nothing where the settings say so (gates.threshold_missed): it is noted.
    The product of an earlier day than the live one's must hold the gates too, but does not take its place.
    """
    store, collection, product = run.env.store, run.env.collection, ref.name
    live = Pointer(store, collection, product).live()
    earlier = live is not None and live.artifact.day > ref.day
    gates = GATES[product](store.manifest(ref), run.settings.gates)
    replayed = None if earlier else replay_beside_live(store, collection, ref, run.settings.replay)
    gates += replay_gates(replayed, run.settings.replay)
    run.gates += [{"gate": str(gate), "holds": gate.holds} for gate in gates]
    words = f"gates: {'; '.join(str(gate) for gate in gates)}"
    if live is not None and earlier and all(gate.holds for gate in gates):
        run.progress.say(f"kept   {ref}; {live.ref}, of a later day, stays live; {words}")
        return
    if why := kept_back(ref, collection, gates, run.settings.gates):
        run.env.notes.append(why)
        run.progress.say(f"kept back {ref}; {why}")
        return
    move = publish(store, collection, ref, gates, reason=f"run {run.id}", replayed=replayed)
    run.publications.append(move)
    run.progress.say(f"live   {collection}/{product} is {ref}, generation {move.generation}; {words}")
