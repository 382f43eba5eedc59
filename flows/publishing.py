"""The last step of a flow: from a finished index to the live one."""

from prefect import task
from prefect.cache_policies import NO_CACHE

from flows.gates import index_gates, publish
from flows.runtime import Run
from schemas.refs import Ref
from tasks.ann.open import PRODUCT


@task(cache_policy=NO_CACHE, persist_result=False)
def publish_index(run: Run, ref: Ref) -> None:
    """Checks the gates and makes the index live, or fails and leaves what is live."""
    gates = index_gates(run.env.store.manifest(ref), run.settings.gates)
    run.gates = [{"gate": str(gate), "holds": gate.holds} for gate in gates]
    run.publication = publish(run.env.store, run.env.collection, ref, gates, reason=f"run {run.id}")
    run.progress.say(
        f"live   {run.env.collection}/{PRODUCT} is {ref}, generation {run.publication.generation}; gates: {'; '.join(str(gate) for gate in gates)}"
    )
