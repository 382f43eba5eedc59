"""From imported graphs and links to an alignment's artifacts and measurements, as parts of the flow that aligns."""

from collections.abc import Mapping

from fingerpost.flows.domains.kg.gates import unmeasured
from fingerpost.flows.domains.kg.inputs import Inputs
from fingerpost.flows.domains.kg.versions import clusters_before
from fingerpost.flows.run.runtime import Run, scoped
from fingerpost.schemas.refs import Ref
from fingerpost.tasks.kg.stages.aligner import train_aligner
from fingerpost.tasks.kg.stages.blocking import embed_entities, index_entities, propose_pairs, search_entities
from fingerpost.tasks.kg.stages.calibration import calibrate_alignment
from fingerpost.tasks.kg.stages.clusters import identify_entities
from fingerpost.tasks.kg.stages.decisions import decide_matches
from fingerpost.tasks.kg.stages.evaluation import evaluate_alignment
from fingerpost.tasks.kg.stages.features import compare_pairs, weigh_attributes
from fingerpost.tasks.kg.stages.joining import join_graphs
from fingerpost.tasks.kg.stages.neighborhoods import sample_neighborhoods
from fingerpost.tasks.kg.stages.review import queue_review
from fingerpost.tasks.kg.stages.scorer import fit_scorer, score_labelled, score_pairs, train_baseline
from fingerpost.tasks.kg.stages.structure import align_structure

#: The part of the flow with stages that are recorded once for each graph.
_SIDES = ("left", "right")


def align(run: Run, inputs: Inputs) -> dict[str, Ref]:
    """Everything up to the scores of all candidates, and their calibration, by role."""
    made = blocked(run, inputs)
    made |= learned(run, inputs, made)
    return made | scored(run, inputs, made)


def blocked(run: Run, inputs: Inputs) -> dict[str, Ref]:
    """Embeddings, nearest entities, what the structure says, and the candidate pairs, by role."""
    own, graphs = run.settings.kg, {"left": inputs.left, "right": inputs.right}
    made, shards = dict[str, Ref](), {"rows_per_shard": own.rows_per_shard}
    for side, graph in inputs.sides().items():
        other = graphs["right" if side == "left" else "left"]
        with scoped(run, side):
            made[f"{side}_vectors"] = embed_entities(graph, other, params=own.embedding, **shards)
            made[f"{side}_index"] = index_entities(graph, made[f"{side}_vectors"], params=own.search)
    for side, graph in inputs.sides().items():
        across = side if inputs.within else "right" if side == "left" else "left"
        found = (made[f"{across}_vectors"], made[f"{across}_index"])
        with scoped(run, side):
            made[f"{side}_nearest"] = search_entities(
                graph, made[f"{side}_vectors"], graphs[across], *found, params=own.search, **shards
            )
    made["structure"] = align_structure(inputs.left, inputs.right, inputs.links, params=own.structure)
    vectors, nearest = (_both(made, role) for role in ("vectors", "nearest"))
    return made | {
        "candidates": propose_pairs(
            inputs.left, inputs.right, *vectors, *nearest, inputs.links, made["structure"], params=own.blocked, **shards
        )
    }


def _both(made: Mapping[str, Ref], role: str) -> tuple[Ref, Ref]:
    """The artifacts of a role of both sides; within one graph, that of the only one twice."""
    left = made[f"left_{role}"]
    return left, made.get(f"right_{role}", left)
