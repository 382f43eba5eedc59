"""What a ranker will cost that was never trained, for plans. Imports no Prefect."""

import math
from collections.abc import Mapping

from fingerpost.flows.domains.settings import Settings
from fingerpost.flows.domains.xmr.sources import interaction_files, skipped
from fingerpost.flows.run.cost_laws import Law, costs_by
from fingerpost.flows.run.expectations import Inputs
from fingerpost.tasks.ledger import Estimate

#: The queries of the whole built-in sample, their characters and its labels.
_QUERIES, _CHARACTERS, _LABELS = 4_428.0, 8.7e6, 3_902.0
#: The fraction of queries that train, by default.
_TRAINING = 0.84
_PROCESS_MB = 500.0

_LAWS = {
    "import_interactions": Law("characters", 1.7, held=110, stored=4.4),
    "list_queries (queries)": Law("characters", 0.25, held=60, stored=2.4),
    "count_ngrams (queries)": Law("characters", 2.2, held=120, stored=21.7, shards=True),
    "merge_vocabulary (queries)": Law("characters", 0.95, held=320, stored=3.0),
    "weigh_terms (queries)": Law("characters", 1.6, held=120, stored=32.1, shards=True),
    "list_queries (held-out)": Law("held out", 0.06, held=30, stored=0.41),
    "count_ngrams (held-out)": Law("held out", 0.4, held=40, stored=5.1, shards=True),
    "weigh_terms (held-out)": Law("held out", 0.4, held=40, stored=3.8, shards=True),
    "embed_labels": Law("characters", 1.7, held=180, stored=38.0, shards=True),
    "cluster_labels": Law("trained", 0.95, held=210, stored=0.05),
    "train_rankers": Law("trained", 6.5, held=180, stored=6.9, shards=True),
    "predict_labels": Law("held out", 0.3, held=60, stored=0.57, shards=True),
    "calibrate_scores": Law("held out", 0.09, held=30, stored=0.04),
    "evaluate_ranker": Law("held out", 0.11, held=30),
    "sweep_ranker": Law("held out", 6.0, held=180, shards=True),
    "prune_rankers": Law("trained", 0.5, held=60, stored=6.0, shards=True),
    "include_held_out (final)": Law("characters", 0.14, held=60, stored=4.4),
    "join_features (final)": Law("characters", 0.85, held=290, stored=35.9),
    "train_rankers (final)": Law("trained", 7.5, held=190, stored=7.3, shards=True),
    "assemble_ranker": Law("held out", 0.01),
}


def costs(inputs: Inputs) -> Mapping[str, Estimate]:
    """The cost of the stages from interactions to a ranker; none where they cannot be told, or none is trained."""
    size = None if skipped(inputs.settings) and inputs.flow != "train_ranker" else _size(inputs)
    if size is None:
        return {}
    queries, characters, labels = size
    units = _units(inputs.settings, queries, characters, labels)
    reference = _units(Settings(), _QUERIES, _CHARACTERS, _LABELS)
    return costs_by(_LAWS, units, reference, process_mb=_PROCESS_MB, workers=inputs.workers)


def _size(inputs: Inputs) -> tuple[float, float, float] | None:
    """The expected distinct queries, the characters of them and of the labels, and the labels."""
    if interaction_files(inputs.settings, inputs.flow) is None:
        share = inputs.sample_share
        return None if share is None else (_QUERIES * share, _CHARACTERS * share, _LABELS * share)
    rows = inputs.table("xmr", "interactions")
    if rows is None:
        return None
    named = inputs.table("xmr", "labels")
    queries, labels = rows.distinct("query"), float(named.rows) if named else rows.distinct("label")
    texts = labels * (named.length("name", "text") if named else rows.length("label"))
    return queries, queries * rows.length("query") + texts, labels


def _units(settings: Settings, queries: float, characters: float, labels: float) -> dict[str, float]:
    own = settings.xmr.interactions
    held_out = own.test_share + own.calibration_share
    return {
        "characters": characters,
        # Each level of the tree is trained, of the chunks that a query is in; a query's features count less than once.
        "trained": characters * math.log2(max(labels, 2)),
        "held out": characters * held_out + 200.0,
    }
