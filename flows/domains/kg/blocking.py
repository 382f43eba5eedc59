"""From imported graphs and links to candidate pairs, as a part of the flow that aligns."""

from collections.abc import Mapping

from fingerpost.flows.domains.kg.inputs import Inputs
from fingerpost.flows.run.runtime import Run, scoped
from fingerpost.schemas.refs import Ref
from fingerpost.tasks.kg.stages.blocking import propose_pairs
from fingerpost.tasks.kg.stages.embeddings import embed_entities
from fingerpost.tasks.kg.stages.search import index_entities, search_entities
from fingerpost.tasks.kg.stages.shared_neighbors import share_neighbors
from fingerpost.tasks.kg.stages.structure import align_structure


def blocked(run: Run, inputs: Inputs) -> dict[str, Ref]:
    """Embeddings, nearest entities, entities that share neighbours, pairs by structure, and the candidates, by role."""
    own, made = run.settings.kg, dict[str, Ref]()
    shards = {"rows_per_shard": own.rows_per_shard}
    for side, graph in inputs.sides.items():
        with scoped(run, side):
            made[f"{side}_vectors"] = embed_entities(graph, inputs.across(side), params=own.embedding, **shards)
            made[f"{side}_index"] = index_entities(graph, made[f"{side}_vectors"], params=own.searched)
    for side, graph in inputs.sides.items():
        other = inputs.name_across(side)
        found = (made[f"{side}_vectors"], inputs.across(side), made[f"{other}_vectors"], made[f"{other}_index"])
        with scoped(run, side):
            made[f"{side}_nearest"] = search_entities(graph, *found, params=own.searched, **shards)
    for side, graph in inputs.sides.items():
        nearest = (made[f"{side}_nearest"], made[f"{inputs.name_across(side)}_nearest"])
        with scoped(run, side):
            made[f"{side}_shared"] = share_neighbors(
                graph, inputs.across(side), *nearest, inputs.links, side=side, params=own.blocked, **shards
            )
    made["structure"] = align_structure(*inputs.both, inputs.links, params=own.structure)
    parts = (*both(made, "vectors"), *both(made, "nearest"), *both(made, "shared"))
    made["candidates"] = propose_pairs(
        *inputs.both, *parts, inputs.links, made["structure"], params=own.blocked, **shards
    )
    return made


def both(made: Mapping[str, Ref], role: str) -> tuple[Ref, Ref]:
    """The artifacts of a role of both sides; within one graph, that of the only one twice."""
    left = made[f"left_{role}"]
    return left, made.get(f"right_{role}", left)
