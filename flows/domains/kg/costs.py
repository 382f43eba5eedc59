"""What an alignment will cost that was never computed, for plans. Imports no Prefect."""

from collections.abc import Mapping
from dataclasses import astuple, dataclass

from fingerpost.flows.domains.kg.sources import files_of, left_path, skipped, suppressed_source
from fingerpost.flows.domains.settings import Settings
from fingerpost.flows.run.cost_laws import Law, costs_by
from fingerpost.flows.run.expectations import Inputs
from fingerpost.schemas.inputs import OBJECTS_SAMPLE
from fingerpost.schemas.inputs.graph_outlook import graph_outlook, links_outlook
from fingerpost.tasks.ledger import Estimate


@dataclass(frozen=True)
class _Size:
    """What two graphs bring: entities of both, those of types that are aligned, and pairs that something is learned from."""

    entities: float
    aligned: float
    labels: float


#: The whole built-in sample's.
_SAMPLE = _Size(entities=2_825, aligned=2_090, labels=5_640)
#: The fraction of the entities of the smaller graph for which a match is assumed where none is known.
_ASSUMED = 0.5
_PROCESS_MB = 560.0

#: Of one of two graphs.
_SIDES = {
    "import_graph": Law("entities", 0.35, held=20, stored=0.06),
    "embed_entities": Law("entities", 0.5, held=20, stored=5.0, shards=True),
    "index_entities": Law("entities", 0.03, held=10),
    "search_entities": Law("entities", 0.12, held=15, stored=0.23, shards=True),
    "share_neighbors": Law("entities", 0.08, held=15, stored=0.01, shards=True),
    "sample_neighborhoods": Law("entities", 0.06, held=10, stored=0.02, shards=True),
}
_LAWS = {
    **{f"{name} ({side})": law for name, law in _SIDES.items() for side in ("left", "right")},
    "import_links": Law("entities", 0.05),
    "align_structure": Law("entities", 2.1, held=30, stored=0.3),
    "propose_pairs": Law("aligned", 0.2, held=20, stored=0.17, shards=True),
    "weigh_attributes": Law("entities", 0.35, held=20, stored=0.6),
    "find_rivals": Law("aligned", 0.25, held=15, stored=0.07, shards=True),
    "label_pairs (labels)": Law("labels", 0.04, stored=0.01),
    "compare_pairs": Law("labels", 0.35, held=60, stored=1.75),
    "train_baseline (baseline)": Law("labels", 0.8, held=40, stored=0.18),
    # Of all epochs; most trainings end after fewer, that of the sample after 11 s.
    "train_aligner": Law("aligner", 20.0, held=120, stored=2.2),
    "fit_scorer": Law("labels", 2.0, held=110, stored=0.42),
    "score_labelled": Law("labels", 0.15, held=60, stored=0.02),
    "score_pairs": Law("aligned", 1.0, held=40, stored=0.16, shards=True),
    "calibrate_alignment": Law("labels", 0.25, held=20),
    "decide_matches": Law("aligned", 0.02),
    "identify_entities": Law("entities", 0.02, stored=0.03),
    "join_graphs": Law("entities", 0.04, held=20, stored=0.17),
    "evaluate_alignment": Law("labels", 0.06),
    "queue_review": Law("aligned", 0.06),
    "assemble_alignment": Law("labels", 0.02),
}
#: The sample's graphs are of Python's own objects, which are parsed.
_PARSED = {
    f"import_graph ({side})": Law("entities", seconds, stored=0.06) for side, seconds in (("left", 3.1), ("right", 0.7))
}


def costs(inputs: Inputs) -> Mapping[str, Estimate]:
    """The cost of the stages from graphs to an alignment; none where they cannot be told, or nothing is aligned."""
    settings = inputs.settings
    if skipped(settings) and inputs.flow != "align_graphs":
        return {}
    sample = left_path(settings, inputs.flow) == OBJECTS_SAMPLE
    size = _of_sample(inputs) if sample else _of_files(inputs)
    if size is None:
        return {}
    return costs_by(
        _LAWS | (_PARSED if sample else {}),
        _units(settings, size),
        _units(Settings(), _SAMPLE),
        process_mb=_PROCESS_MB,
        workers=inputs.workers,
    )


def _of_sample(inputs: Inputs) -> _Size | None:
    share = inputs.sample_share
    return None if share is None else _Size(*(share * number for number in astuple(_SAMPLE)))


def _of_files(inputs: Inputs) -> _Size | None:
    """The expected size of the user's graphs and links; None where none can be read, as with those of several days."""
    named = {use.setting for use in inputs.uses("kg")}
    needed = {use.setting for use in files_of(inputs.settings, inputs.flow)}
    if not needed or named != needed:
        return None
    sources = suppressed_source(inputs.settings, inputs.flow, None)
    sides = [graph_outlook(side) for side in (sources.left, sources.right) if side is not None]
    graphs = [side for side in sides if side is not None]
    known = [links_outlook(links) for links in sources.links]
    same, apart = sum(one for one, _ in known), sum(other for _, other in known)
    own = inputs.settings.kg.labels
    if not same:
        same = min(_ASSUMED * min((graph.rows for graph in graphs), default=0.0), own.most)
    return _Size(
        sum(graph.entities for graph in graphs),
        sum(graph.rows for graph in graphs),
        same * (1 + own.negatives) + apart,
    )


def _units(settings: Settings, size: _Size) -> dict[str, float]:
    return {
        "entities": size.entities,
        "aligned": size.aligned,
        "labels": size.labels,
        "aligner": size.labels * settings.kg.aligner.epochs,
    }
