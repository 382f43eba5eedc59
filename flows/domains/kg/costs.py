"""What an alignment will cost that was never computed, for plans. Imports no Prefect."""

from collections.abc import Mapping

from fingerpost.flows.domains import FileUse
from fingerpost.flows.domains.kg.sources import left_path, skipped
from fingerpost.flows.domains.settings import Settings
from fingerpost.flows.run.cost_laws import Law, costs_by
from fingerpost.flows.run.expectations import Inputs
from fingerpost.schemas.inputs import OBJECTS_SAMPLE
from fingerpost.schemas.inputs.files import input_files
from fingerpost.schemas.inputs.outlook import row_count
from fingerpost.tasks.ledger import Estimate

#: The entities of both graphs of the whole built-in sample, and the bytes of a file per entity that is no table.
_ENTITIES, _BYTES = 2_825.0, 900.0
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
    "propose_pairs": Law("entities", 0.2, held=20, stored=0.17, shards=True),
    "weigh_attributes": Law("entities", 0.35, held=20, stored=0.6),
    "find_rivals": Law("entities", 0.25, held=15, stored=0.07, shards=True),
    "label_pairs (labels)": Law("labels", 0.04, stored=0.01),
    "compare_pairs": Law("labels", 0.35, held=60, stored=1.75),
    "train_baseline (baseline)": Law("labels", 0.8, held=40, stored=0.18),
    "train_aligner": Law("aligner", 11.0, held=120, stored=2.2),
    "fit_scorer": Law("labels", 2.0, held=110, stored=0.42),
    "score_labelled": Law("labels", 0.15, held=60, stored=0.02),
    "score_pairs": Law("entities", 1.0, held=40, stored=0.16, shards=True),
    "calibrate_alignment": Law("labels", 0.25, held=20),
    "decide_matches": Law("entities", 0.02),
    "identify_entities": Law("entities", 0.02, stored=0.03),
    "join_graphs": Law("entities", 0.04, held=20, stored=0.17),
    "evaluate_alignment": Law("labels", 0.06),
    "queue_review": Law("entities", 0.06),
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
    graphs = [use for use in inputs.uses("kg") if use.setting in ("kg.left", "kg.right", "input.source")]
    share = inputs.sample_share
    entities = (_ENTITIES * share if share is not None else 0.0) if sample else sum(map(_entities, graphs))
    if not entities:
        return {}
    return costs_by(
        _LAWS | (_PARSED if sample else {}),
        _units(settings, entities),
        _units(Settings(), _ENTITIES),
        process_mb=_PROCESS_MB,
        workers=inputs.workers,
    )


def _entities(use: FileUse) -> float:
    """The expected entities of a file: its lines where each is one, else by its bytes."""
    files = input_files(use.path)
    if use.form == "graph rows":
        return float(sum(map(row_count, files)))
    return sum(file.stat().st_size for file in files) / _BYTES


def _units(settings: Settings, entities: float) -> dict[str, float]:
    own = settings.kg.aligner
    return {"entities": entities, "labels": entities, "aligner": entities * own.epochs}
