"""What a threshold is tuned on: a file of embeddings with labels, or the vectors of a collection's documents."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from flows.domains.metric.sources import embedding_source
from flows.featurize_corpus import featurize_corpus
from flows.run.request import RunRequest
from flows.run.rewriting import instead_of
from flows.run.runtime import Run, part, scoped
from schemas.forgotten import Forgotten
from schemas.refs import Ref
from tasks.metric.open import GROUP_PARAMETER, LABEL_PARAMETER
from tasks.metric.stages.inputs import import_embeddings, import_images, take_embeddings

#: What the stages that read a file of embeddings are remembered under, apart from those over the collection's documents.
PART = "embeddings"


@dataclass(frozen=True)
class Labelled:
    """Documents and their vectors, the column that is their class, the identity of the model that made the vectors, the
    column of groups of classes ("" for none), and what was trained to make the vectors, by role.
    """

    documents: Ref
    vectors: Ref
    column: str
    model: str
    group: str = ""
    trained: Mapping[str, Ref] = field(default_factory=dict)


def labelled(run: Run, request: RunRequest) -> Labelled:
    """What a run's threshold is tuned on; a file is taken over as it is, and a corpus is featurized where that was not done yet."""
    metric, made = run.settings.metric, run.refs
    suppressed = Forgotten(run.env.store, run.env.collection).suppressed()
    source = embedding_source(run.settings, run.flow, suppressed)
    if source is None:
        if "vectors" not in made:
            part(featurize_corpus, request)
        computed = str(made["projection"].identity) if "projection" in made else run.env.collection
        return Labelled(made["documents"], made["vectors"], metric.label, metric.model or computed, metric.group)
    stored = instead_of("metric")
    given = stored if stored is not None else source
    with scoped(run, PART):
        importing = import_images if metric.kind == "images" else import_embeddings
        documents = importing(given, params=run.settings.corpus.imports)
        vectors = take_embeddings(documents, normalize=False)
    made |= {"threshold_documents": documents, "threshold_vectors": vectors}
    return Labelled(documents, vectors, LABEL_PARAMETER, metric.model or run.env.collection, GROUP_PARAMETER)


def note_cautions(run: Run, threshold: Ref) -> None:
    """Says in the run and its report where the target of a threshold is not safely met."""
    if not run.env.planning:
        for caution in run.env.store.manifest(threshold).quality["cautions"]:
            run.note(f"The threshold's target is not safely met: {caution}")
