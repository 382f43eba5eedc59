"""The input of a threshold: a file of embeddings with labels, or the vectors of a collection's documents."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from fingerpost.flows import domains
from fingerpost.flows.domains.metric.sources import daily_of, embedding_setting, embedding_source
from fingerpost.flows.featurize_corpus import featurize_corpus
from fingerpost.flows.run.daily import import_days, merging, note_deletions
from fingerpost.flows.run.input_days import several_days
from fingerpost.flows.run.request import RunRequest
from fingerpost.flows.run.rewriting import instead_of
from fingerpost.flows.run.runtime import Run, part, scoped
from fingerpost.schemas.inputs.daily import DailyEmbeddings
from fingerpost.schemas.inputs.embeddings import EmbeddingFile
from fingerpost.schemas.refs import Ref
from fingerpost.tasks.metric.open import GROUP_PARAMETER, LABEL_PARAMETER
from fingerpost.tasks.metric.stages.inputs import (
    import_daily_embeddings,
    import_embeddings,
    import_images,
    merge_daily_embeddings,
    take_embeddings,
)

#: The scope of the stages that read a file of embeddings; the same stages also run over the collection's documents.
PART = "embeddings"


@dataclass(frozen=True)
class Labelled:
    """Documents with vectors and classes, as artifacts.

    The column that is their class, the identity of the model of the vectors, the column of groups of classes ("" for
    none), and the artifacts of the training of that model, by role.
    """

    documents: Ref
    vectors: Ref
    column: str
    model: str
    group: str = ""
    trained: Mapping[str, Ref] = field(default_factory=dict)


def labelled(run: Run, request: RunRequest) -> Labelled:
    """The input of a run's threshold: an imported file, or the corpus, which is featurized if it is not yet."""
    metric, artifacts = run.settings.metric, run.refs
    suppressed = domains.forgotten(run.env.store, run.env.collection).suppressed()
    source = embedding_source(run.settings, run.flow, suppressed)
    if source is None:
        if "vectors" not in artifacts:
            part(featurize_corpus, request)
        computed = str(artifacts["projection"].identity) if "projection" in artifacts else run.env.collection
        return Labelled(
            artifacts["documents"], artifacts["vectors"], metric.label, metric.model or computed, metric.group
        )
    with scoped(run, PART):
        if several_days(run.settings, embedding_setting(run.settings, run.flow)):
            documents = _merged(run)
        else:
            stored = instead_of("metric")
            importing = import_images if metric.kind == "images" else import_embeddings
            documents = importing(stored if stored is not None else source, params=run.settings.corpus.imports)
            if isinstance(source, EmbeddingFile):
                note_deletions(run, documents, DailyEmbeddings(source.path, source.mapping))
        vectors = take_embeddings(documents, normalize=False)
    artifacts |= {"threshold_documents": documents, "threshold_vectors": vectors}
    return Labelled(documents, vectors, LABEL_PARAMETER, metric.model or run.env.collection, GROUP_PARAMETER)


def _merged(run: Run) -> Ref:
    """The embeddings of several days."""
    setting, imports = embedding_setting(run.settings, run.flow), run.settings.corpus.imports
    opened = daily_of(run.settings, run.flow)
    days = import_days(run, "metric", setting, import_daily_embeddings, opened, params=imports)
    with merging(run, merge_daily_embeddings, days):
        return merge_daily_embeddings(*days, rows_per_shard=imports.rows_per_shard)


def note_warnings(run: Run, threshold: Ref) -> None:
    """Notes in the run and its report why the target of a threshold is not safely met."""
    if not run.env.planning:
        for caution in run.env.store.manifest(threshold).quality["cautions"]:
            run.note(f"The threshold's target is not safely met: {caution}")
