"""The stages that a full alignment's artifacts come from, with their parameters: what a refresh must find unchanged."""

from collections.abc import Collection, Mapping
from typing import Any

from fingerpost.flows.domains.kg.settings import KgSettings
from fingerpost.tasks.kg.stages.aligner import ROLES, train_aligner
from fingerpost.tasks.kg.stages.blocking import propose_pairs
from fingerpost.tasks.kg.stages.comparison import compare_pairs, fit_scorer, train_baseline
from fingerpost.tasks.kg.stages.decisions import calibrate_alignment
from fingerpost.tasks.kg.stages.embeddings import embed_entities
from fingerpost.tasks.kg.stages.labels import label_pairs
from fingerpost.tasks.kg.stages.neighborhoods import sample_neighborhoods
from fingerpost.tasks.kg.stages.rivals import find_rivals
from fingerpost.tasks.kg.stages.scores import score_pairs
from fingerpost.tasks.kg.stages.search import index_entities
from fingerpost.tasks.kg.stages.structure import align_structure
from fingerpost.tasks.kg.stages.terms import weigh_attributes
from fingerpost.tasks.stage import Stage

#: What an aligner looks at, and itself, in the order in which stages get them.
OF_ALIGNER = ("aligner", *ROLES)


def steps_of(own: KgSettings, roles: Collection[str]) -> Mapping[str, tuple[Stage, Mapping[str, Any]]]:
    """The stage of each of some roles of a full alignment, and all its parameters; roles without one are left out."""
    shards = {"rows_per_shard": own.rows_per_shard}
    looked_at = tuple(role for role in OF_ALIGNER if role in roles) if "aligner" in roles else ()
    beside = tuple(role for role in looked_at if role not in ("left", "right"))
    steps: dict[str, tuple[Stage, Mapping[str, Any]]] = {
        "structure": (align_structure, {"params": own.structure}),
        "candidates": (propose_pairs, {"params": own.blocked, **shards}),
        "terms": (weigh_attributes, {"params": own.terms, **shards}),
        "rivals": (find_rivals, {"params": own.pairs}),
        "labels": (label_pairs, {"params": own.labels, "splits": own.linking}),
        "features": (compare_pairs, {"params": own.features}),
        "baseline": (train_baseline, {"params": own.baseline}),
        "aligner": (train_aligner, {"params": own.aligner.params}),
        "scorer": (fit_scorer, {"params": own.scorer, "roles": looked_at}),
        "scores": (score_pairs, {"params": own.pairs, "roles": ("structure", *beside)}),
        "calibration": (calibrate_alignment, {"params": own.calibration, "assignment": own.assignment}),
    }
    for side in ("left", "right"):
        steps[f"{side}_vectors"] = (embed_entities, {"params": own.embedding, **shards})
        steps[f"{side}_index"] = (index_entities, {"params": own.searched})
        steps[f"{side}_neighborhoods"] = (sample_neighborhoods, {"params": own.sampling, **shards})
    return {role: step for role, step in steps.items() if role in roles}
