"""What a threshold will cost that was never tuned, for plans. Imports no Prefect."""

from collections.abc import Mapping

from fingerpost.flows.domains.corpus.costs import SAMPLE_DOCUMENTS, text_size
from fingerpost.flows.domains.metric.sources import embedding_columns, skipped
from fingerpost.flows.domains.settings import Settings
from fingerpost.flows.run.cost_laws import Law, costs_by
from fingerpost.flows.run.expectations import Inputs
from fingerpost.schemas.inputs.outlook import outlook_of
from fingerpost.tasks.ledger import Estimate

#: The dimensions of the whole built-in sample's vectors, and the fraction of its rows that validate.
_DIMENSIONS, _VALIDATION = 256.0, 0.34
_PROCESS_MB = 500.0

_LAWS = {
    "arrange_classes (validation)": Law("validation", 0.37, held=190, stored=11.3),
    "count_class_pairs (validation)": Law("validation pairs", 0.6, fixed=0.1, held=60, stored=0.84, shards=True),
    "merge_pair_counts (validation)": Law("validation", 0.05, held=60, stored=1.3),
    "arrange_classes (test)": Law("test", 0.48, held=220, stored=21.6),
    "count_class_pairs (test)": Law("test pairs", 1.5, fixed=0.1, held=60, stored=1.6, shards=True),
    "merge_pair_counts (test)": Law("test", 0.09, held=80, stored=1.7),
    "assess_threshold": Law("test", 0.02, held=20, stored=0.02),
    "measure_retrieval": Law("queries", 4.4, held=60, shards=True),
    "release_threshold": Law("test", 0.19, held=120, stored=0.012),
}
#: Of embeddings of the user's own, which are imported.
_IMPORT = {
    "import_embeddings (embeddings)": Law("numbers", 0.9, held=200, stored=33.0),
    "take_embeddings (embeddings)": Law("numbers", 0.7, held=60, stored=33.0, shards=True),
}


def costs(inputs: Inputs) -> Mapping[str, Estimate]:
    """The cost of the stages from embeddings to a threshold; none where they cannot be told, or none is tuned."""
    settings = inputs.settings
    if skipped(settings) and inputs.flow != "tune_thresholds":
        return {}
    size = _size(inputs)
    if size is None:
        return {}
    share = settings.metric.validation_share if embedding_columns(settings, inputs.flow) else _VALIDATION
    return costs_by(
        _LAWS | (_IMPORT if embedding_columns(settings, inputs.flow) else {}),
        _units(settings, *size, share),
        _units(Settings(), float(SAMPLE_DOCUMENTS), _DIMENSIONS, _VALIDATION),
        process_mb=_PROCESS_MB,
        workers=inputs.workers,
    )


def _size(inputs: Inputs) -> tuple[float, float] | None:
    """The expected rows and dimensions; None where they cannot be told."""
    settings = inputs.settings
    if embedding_columns(settings, inputs.flow) is None:
        size = text_size(inputs)
        return None if size is None else (size[0], float(settings.corpus.svd.rank))
    uses = [use for use in inputs.uses("metric") if use.form == "embeddings"]
    if not uses:
        return None
    mapping = {ours: theirs for ours, theirs in uses[0].columns.items() if ours in ("id", "vector")}
    found = outlook_of(uses[0].path, mapping)
    return (float(found.rows), float(found.dimensions)) if found.dimensions else None


def _units(settings: Settings, rows: float, dimensions: float, share: float) -> dict[str, float]:
    validation, test = rows * share, rows * (1 - share)
    return {
        "numbers": rows * dimensions,
        "validation": validation * dimensions,
        "test": test * dimensions,
        "validation pairs": validation**2 * dimensions,
        "test pairs": test**2 * dimensions,
        "queries": min(settings.metric.queries, test) * test * dimensions,
    }
