"""What a dry run refuses since the run would be refused with it, by its first stages or later."""

from fingerpost.flows import domains
from fingerpost.flows.domains.domain import FileUse, named
from fingerpost.flows.run.expectations import Inputs, rows_outlook
from fingerpost.flows.run.flow_names import NIGHTLY
from fingerpost.flows.run.inputs import domains_read
from fingerpost.flows.run.plan import Plan
from fingerpost.tasks.room import check_room, free_bytes
from fingerpost.tasks.shards import available_memory

#: The forms of rows whose columns are looked for: in a file of others, such as a graph, a column may be anything.
_FORMS = frozenset(("documents", "interactions", "labels", "negatives", "events", "embeddings"))


def check_columns(inputs: Inputs) -> None:
    """InputError for a file whose first rows cannot be read, or which lacks a column: as its import would say."""
    for domain in domains_read(inputs.settings, inputs.flow):
        for use in inputs.uses(domain.word):
            if use.form in _FORMS and _reads(inputs, domain, use):
                rows_outlook(use)


def _reads(inputs: Inputs, domain: domains.Domain, use: FileUse) -> bool:
    """Whether the flow reads the file as this: a flow of its own may read the requested input in place of documents."""
    own = [other for other in domains.DOMAINS if other.flow_name == inputs.flow]
    taken = {one.path for other in own for one in inputs.uses(other.word)}
    return inputs.flow == NIGHTLY or domain in own or use.path not in taken


def check_plan(inputs: Inputs, plan: Plan) -> list[str]:
    """Raises what the stages of a plan would raise for want of memory or disk; what is merely scarce is returned as notes."""
    stages = {stage.stage for stage in plan.runs}
    for domain in domains.DOMAINS:
        if domain.checks:
            named(domain.checks)(inputs, stages)
    check_room(inputs.settings.store, f"{len(plan.runs)} stage(s)", plan.cost.bytes)
    return _scarce(inputs.settings.store, plan)


def _scarce(store: str, plan: Plan) -> list[str]:
    notes, free, memory = [], free_bytes(store), available_memory() / 2**20
    if free is not None and free < plan.cost.bytes:
        notes.append(
            f"Disk space is scarce: {plan.cost.bytes / 1e6:,.0f} MB are expected, {free / 1e6:,.0f} MB are free"
        )
    if memory < plan.cost.peak_mb:
        notes.append(f"Memory is scarce: {plan.cost.peak_mb:,.0f} MB are expected, {memory:,.0f} MB are available")
    return notes
