"""What documents, their terms and vectors will cost that were never computed, for plans. Imports no Prefect."""

import zlib
from collections.abc import Mapping

from fingerpost.flows.domains.settings import Settings
from fingerpost.flows.run.cost_laws import Law, costs_by, told
from fingerpost.flows.run.expectations import Inputs
from fingerpost.schemas.inputs.outlook import Outlook
from fingerpost.tasks.ann.costs import vector_costs
from fingerpost.tasks.ledger import Estimate

#: Rows that are compressed to tell how far documents can be, and bytes of a row beside its vector.
_SAMPLE, _BESIDE = 2048, 20.0
#: The documents of the whole built-in sample, and their characters.
SAMPLE_DOCUMENTS, SAMPLE_CHARACTERS = 31_444, 21.5e6
#: What vectors of texts are factored by: columns and passes of the default settings.
_FACTORED = 266 * 2.0
#: Memory of a process that runs the flow, in MB.
_PROCESS_MB = 470.0

#: Measured over the whole built-in sample.
_SAMPLE_LAWS = {"extract_documentation": Law("characters", 44.0, stored=7.9, shards=True)}
_TEXT_LAWS = {
    "import_documents": Law("characters", 0.6, held=30, stored=6.5),
    "choose_analyzer": Law("characters", 0.1, fixed=0.8, held=120),
    "count_terms": Law("characters", 6.5, held=30, stored=27.1, shards=True),
    "merge_lexicon": Law("characters", 0.45, held=140, stored=0.94),
    "choose_field_weights": Law("characters", 0.6, fixed=2.3, held=250),
    "build_postings": Law("characters", 0.5, held=190, stored=27.3),
    "weigh_documents": Law("characters", 0.8, held=50, stored=9.5, shards=True),
    "fit_projection": Law("factored", 5.6, held=600, stored=28.5),
    "embed_documents": Law("factored", 0.7, held=80, stored=32.4, shards=True),
}


def costs(inputs: Inputs) -> Mapping[str, Estimate]:
    """The cost of importing documents, and their vectors or what is computed from their texts."""
    outlook, settings = inputs.documents, inputs.settings
    given = outlook is not None and outlook.vectors is not None and settings.input.vectors != "computed"
    if outlook is not None and given:
        found = _given(settings, outlook)
        return {**_of_texts(inputs), **found} if outlook.texts else found
    return _of_texts(inputs)


def text_size(inputs: Inputs) -> tuple[float, float] | None:
    """The expected documents of a run and their characters; None where neither a file nor the sample tells."""
    if inputs.documents is not None:
        return inputs.documents.rows, inputs.documents.rows * inputs.documents.length
    if inputs.sample_share is not None:
        return SAMPLE_DOCUMENTS * inputs.sample_share, SAMPLE_CHARACTERS * inputs.sample_share
    return None


def _of_texts(inputs: Inputs) -> Mapping[str, Estimate]:
    size = text_size(inputs)
    if size is None:
        return {}
    svd = inputs.settings.corpus.svd
    units = {"characters": size[1], "factored": size[1] * (svd.rank + svd.oversampling) * svd.passes}
    reference = {"characters": SAMPLE_CHARACTERS, "factored": SAMPLE_CHARACTERS * _FACTORED}
    laws = _TEXT_LAWS if inputs.sample_share is None else _TEXT_LAWS | _SAMPLE_LAWS
    return costs_by(laws, units, reference, process_mb=_PROCESS_MB, workers=inputs.workers)


def _given(settings: Settings, outlook: Outlook) -> Mapping[str, Estimate]:
    """The cost of importing documents with vectors."""
    assert outlook.vectors is not None
    sample = outlook.vectors[:_SAMPLE]
    row = len(zlib.compress(sample.tobytes(), 1)) / len(sample) + _BESIDE + outlook.length / 2
    workers = settings.run.workers or int(bool(settings.run.cluster))
    found = vector_costs(outlook.rows, outlook.dimensions, stored_row=row, workers=workers)
    return {name: told(cost.seconds, cost.peak, cost.stored) for name, cost in found.items()}
