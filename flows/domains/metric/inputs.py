"""What a threshold is tuned on: a file of embeddings with labels, or the vectors of a collection's documents."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from flows.domains.metric.settings import OWN_EMBEDDINGS, MetricSettings
from flows.domains.xmr.features import apart
from flows.featurize_corpus import featurize_corpus
from flows.run.request import RunRequest
from flows.run.rewriting import rewriting
from flows.run.runtime import Run, part
from flows.run.settings import Settings
from schemas.forgotten import Forgotten
from schemas.inputs import PACKAGES_SAMPLE, SAMPLE
from schemas.inputs.embeddings import CLASS_COLUMN, GROUP_COLUMN, EmbeddingFile
from schemas.inputs.images import ImageFiles
from schemas.inputs.suppression import Suppressed
from schemas.refs import Ref
from tasks.corpus.stages.documents import import_documents, take_vectors
from tasks.metric.classes import ClassParams, Part, side_of

#: What the stages that read a file of embeddings are remembered under, apart from those over the collection's documents.
PART = "embeddings"


@dataclass(frozen=True)
class Labelled:
    """Documents and their vectors, the column that is their class, the identity of the model that made the vectors, and the
    column of groups of classes ("" for none).
    """

    documents: Ref
    vectors: Ref
    column: str
    model: str
    group: str = ""


def tunes(settings: Settings) -> bool:
    """Whether a nightly tunes a threshold: there are embeddings, and those of the built-in sample go with it alone, if its
    packages are enough for either side of the split.
    """
    metric, given = settings.metric, settings.input
    if metric.input != PACKAGES_SAMPLE:
        return bool(metric.input)
    sides = Counter(side_of(name, classes_of(metric, metric.label, "all")) for name in given.distributions)
    trained = not metric.trains or sides["training"] >= 2
    return given.source == SAMPLE and trained and sides["validation"] >= 3 and sides["test"] >= 2


def classes_of(metric: MetricSettings, column: str, part: Part, group: str = "") -> ClassParams:
    """The classes of a column of documents on one side of the split."""
    share = metric.training.share if metric.trains else 0.0
    return ClassParams(column, part, metric.validation_share, metric.least_rows, metric.seed, share, group)


def embedding_columns(settings: Settings, flow: str) -> tuple[str, Mapping[str, str]] | None:
    """The file that a flow's threshold is tuned on and the mapping of its columns; None where it is the collection's documents.

    Run by itself, ``tune_thresholds`` reads the input that was asked for, unless the settings name embeddings.
    """
    metric, given = settings.metric, settings.input
    if metric.input and metric.input not in OWN_EMBEDDINGS:
        return metric.input, metric.columns
    asked = flow == "tune_thresholds" and metric.input in ("", PACKAGES_SAMPLE) and given.source != SAMPLE
    return (given.source, given.columns or metric.columns) if asked else None


def embedding_source(settings: Settings, flow: str, suppressed: Suppressed | None) -> EmbeddingFile | ImageFiles | None:
    """The file that a flow's threshold is tuned on, without what is to be forgotten; None where it is the collection's documents."""
    found = embedding_columns(settings, flow)
    if found is None:
        return None
    path, mapping = found[0], tuple(sorted(found[1].items()))
    if settings.metric.kind == "images":
        return ImageFiles(path, settings.metric.images, mapping, suppressed)
    return EmbeddingFile(path, mapping, suppressed)


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
    instead = rewriting.get()
    given = instead.embeddings if instead is not None and instead.embeddings is not None else source
    with apart(run, PART):
        documents = import_documents(given, params=run.settings.corpus.imports)
        vectors = take_vectors(documents, normalize=False)
    made |= {"threshold_documents": documents, "threshold_vectors": vectors}
    return Labelled(documents, vectors, CLASS_COLUMN, metric.model or run.env.collection, GROUP_COLUMN)


def note_cautions(run: Run, threshold: Ref) -> None:
    """Says in the run and its report where the target of a threshold is not safely met."""
    if not run.env.planning:
        for caution in run.env.store.manifest(threshold).quality["cautions"]:
            run.env.notes.append(f"The threshold's target is not safely met: {caution}")
            run.progress.say(run.env.notes[-1])
