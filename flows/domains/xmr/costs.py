"""What a ranker will cost that was never trained, for plans. Imports no Prefect."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

from fingerpost.flows.domains.settings import Settings
from fingerpost.flows.domains.xmr.sources import interaction_files, skipped
from fingerpost.flows.run.cost_laws import Law, costs_by
from fingerpost.flows.run.expectations import Inputs
from fingerpost.tasks.ledger import Estimate


@dataclass(frozen=True)
class _Size:
    """What interactions bring: pairs of queries and labels, distinct ones, and the mean characters of each."""

    pairs: float
    queries: float
    length: float
    labels: float
    label_length: float


#: The built-in sample's.
_SAMPLE = _Size(pairs=10_428, queries=4_428, length=1_970, labels=3_902, label_length=30)
#: The powers of a text's length by which its terms grow, since it repeats them, and the seconds of training on them.
_TERMS, _TRAINED = 0.75, 0.5
_PROCESS_MB = 500.0

_LAWS = {
    "import_interactions": Law("terms", 1.7, held=110, stored=4.4),
    "list_queries (queries)": Law("terms", 0.25, held=60, stored=2.4),
    "count_ngrams (queries)": Law("terms", 2.2, held=120, stored=21.7, shards=True),
    "merge_vocabulary (queries)": Law("terms", 0.95, held=320, stored=3.0),
    "weigh_terms (queries)": Law("terms", 1.6, held=120, stored=32.1, shards=True),
    "list_queries (held-out)": Law("held out", 0.06, held=30, stored=0.41),
    "count_ngrams (held-out)": Law("held out", 0.4, held=40, stored=5.1, shards=True),
    "weigh_terms (held-out)": Law("held out", 0.4, held=40, stored=3.8, shards=True),
    "embed_labels": Law("terms", 1.7, held=180, stored=38.0, shards=True),
    "cluster_labels": Law("trained", 0.95, held=210, stored=0.05),
    "train_rankers": Law("trained", 6.5, held=180, stored=6.9, shards=True),
    "predict_labels": Law("held out", 0.3, held=60, stored=0.57, shards=True),
    "calibrate_scores": Law("held out", 0.09, held=30, stored=0.04),
    "evaluate_ranker": Law("held out", 0.11, held=30),
    "sweep_ranker": Law("held out", 6.0, held=180, shards=True),
    "prune_rankers": Law("trained", 0.5, held=60, stored=6.0, shards=True),
    "include_held_out (final)": Law("terms", 0.14, held=60, stored=4.4),
    "join_features (final)": Law("terms", 0.85, held=290, stored=35.9),
    "train_rankers (final)": Law("trained", 7.5, held=190, stored=7.3, shards=True),
    "pack_ranker": Law("terms", 0.55, held=60, stored=13.4),
    "assemble_ranker": Law("held out", 0.01),
}


def costs(inputs: Inputs) -> Mapping[str, Estimate]:
    """The cost of the stages from interactions to a ranker; none where they cannot be told, or none is trained."""
    size = None if skipped(inputs.settings) and inputs.flow != "train_ranker" else _size(inputs)
    if size is None:
        return {}
    units, reference = _units(inputs.settings, size), _units(Settings(), _SAMPLE)
    return costs_by(_LAWS, units, reference, process_mb=_PROCESS_MB, workers=inputs.workers)


def _size(inputs: Inputs) -> _Size | None:
    """The expected size of interactions; None where it cannot be told."""
    if interaction_files(inputs.settings, inputs.flow) is None:
        share = inputs.sample_share
        if share is None:
            return None
        return replace(
            _SAMPLE, pairs=_SAMPLE.pairs * share, queries=_SAMPLE.queries * share, labels=_SAMPLE.labels * share
        )
    rows = inputs.table("xmr", "interactions")
    if rows is None:
        return None
    named = inputs.table("xmr", "labels")
    labels = float(named.rows) if named else rows.distinct("label")
    length = named.length("name", "text") if named else rows.length("label")
    return _Size(float(rows.rows), rows.distinct("query"), rows.length("query"), labels, length)


def _units(settings: Settings, size: _Size) -> dict[str, float]:
    own = settings.xmr.interactions
    terms = size.queries * size.length**_TERMS
    return {
        "terms": terms + size.labels * size.label_length**_TERMS,
        # Each level of the tree is trained, of the chunks that a query's labels are in.
        "trained": size.pairs * size.length**_TRAINED * math.log2(max(size.labels, 2.0)),
        "held out": terms * (own.test_share + own.calibration_share) + 200.0,
    }
