"""The stages of a ranker's artifacts up to its weights, with their parameters, for training and refresh alike."""

from collections.abc import Callable, Mapping
from typing import Any

from fingerpost.flows.domains.settings import Settings
from fingerpost.flows.domains.xmr.sources import reads_several_days, sample_of
from fingerpost.flows.run.runtime import Run
from fingerpost.schemas.refs import Ref
from fingerpost.tasks.corpus.stages.features import count_ngrams, merge_vocabulary, weigh_terms
from fingerpost.tasks.stage import Stage
from fingerpost.tasks.xmr.open import numbered
from fingerpost.tasks.xmr.stages.interactions import import_interactions, list_queries, merge_daily_interactions
from fingerpost.tasks.xmr.stages.training import train_rankers
from fingerpost.tasks.xmr.stages.trees import cluster_labels, embed_labels

#: Prefix of the roles of artifacts made from held-out queries.
HELD = "held_"


def steps_of(settings: Settings, flow: str) -> Mapping[str, tuple[Stage, Mapping[str, Any]]]:
    """The stage of each role of a full training, and all its parameters."""
    xmr, rows = settings.xmr, settings.corpus.imports.rows_per_shard
    ngrams, tfidf = {"params": xmr.ngrams}, {"params": xmr.tfidf}
    blocks = {"rows": xmr.rows, "blocks": xmr.blocks}
    importing: tuple[Stage, Mapping[str, Any]] = (
        import_interactions,
        {"params": xmr.interactions.params, "sample": sample_of(settings, flow)},
    )
    if reads_several_days(settings, flow):
        importing = merge_daily_interactions, {"params": xmr.interactions.params}
    steps: dict[str, tuple[Stage, Mapping[str, Any]]] = {
        "interactions": importing,
        "queries": (list_queries, {"held_out": False, "label_words": xmr.label_words, "rows_per_shard": rows}),
        "ngrams": (count_ngrams, ngrams),
        "vocabulary": (merge_vocabulary, ngrams),
        "features": (weigh_terms, tfidf),
        f"{HELD}queries": (list_queries, {"held_out": True, "label_words": 0, "rows_per_shard": rows}),
        f"{HELD}ngrams": (count_ngrams, ngrams),
        f"{HELD}features": (weigh_terms, tfidf),
        "label_features": (embed_labels, {"params": xmr.embedding, **blocks}),
    }
    for member, clusters in enumerate(xmr.ensemble.clusterings(xmr.clusters)):
        steps[numbered("tree", member)] = (cluster_labels, {"params": clusters, "blocks": xmr.blocks})
        steps[numbered("model", member)] = (train_rankers, {"params": xmr.training, **blocks})
    return steps


def maker(run: Run) -> Callable[..., Ref]:
    """A function of a role and the inputs of its stage, which makes or reuses the artifact."""
    steps = steps_of(run.settings, run.flow)

    def make(role: str, *inputs: Any) -> Ref:
        stage, parameters = steps[role]
        return stage(*inputs, **parameters)

    return make
