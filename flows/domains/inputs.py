"""Which input a run reads."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from flows.run.rewriting import rewriting
from flows.run.runtime import Run
from flows.run.settings import SAMPLE_INTERACTIONS, Settings
from schemas.forgotten import Forgotten
from schemas.inputs import NAMES_SAMPLE, SAMPLE
from schemas.inputs.forgotten import suppressing
from schemas.inputs.interactions import (
    InteractionFile,
    InteractionSource,
)
from schemas.inputs.sources import FileSource, InputSource, PythonDocsSource
from schemas.inputs.suppression import Suppressed
from schemas.refs import Ref
from tasks.ann.retrieval import RetrievalParams
from tasks.corpus.stages.documents import extract_documentation
from tasks.environment import current_environment


def retrieval_params(settings: Settings) -> RetrievalParams:
    """How retrieval is evaluated; the built-in sample has sample queries of its own."""
    retrieval = settings.ann.retrieval
    own = settings.input.source == SAMPLE and not retrieval.samples
    return replace(retrieval, samples=settings.input.sample_queries) if own else retrieval


def source_of(settings: Settings) -> FileSource | PythonDocsSource:
    """What comes from outside the store: a user's file, or the installed packages."""
    given = settings.input
    if given.source != SAMPLE:
        return FileSource(given.source, tuple(sorted(given.columns.items())))
    return PythonDocsSource(given.distributions)


def input_of(settings: Settings) -> "Ref | InputSource":
    """A user's file, or the extracts of the built-in sample, without what is to be forgotten."""
    instead = rewriting.get()
    if instead is not None and instead.source is not None:
        return instead.source
    if settings.input.source == SAMPLE:
        return _extracts(settings)
    return suppressing(source_of(settings), _suppressed(settings))


def _suppressed(settings: Settings) -> Suppressed | None:
    return Forgotten(current_environment().store, settings.input.collection).suppressed()


def _extracts(settings: Settings) -> Ref:
    """The documentation of the built-in sample, parsed once for documents and interactions."""
    if asked := current_environment().asked.get(extract_documentation.name):
        return Ref.parse(asked)
    distributions = settings.input.distributions
    source = suppressing(PythonDocsSource(distributions), _suppressed(settings))
    return extract_documentation(source, distributions=distributions)


def computes_vectors(run: Run, documents: Ref) -> bool:
    """Whether vectors are made from the texts, rather than taken from the input.

    A plan for documents that are not there yet goes by the newest of the collection, or supposes texts.
    """
    choice, store = run.settings.input.vectors, run.env.store
    if choice != "auto":
        return choice == "computed"
    there = documents if store.has(documents) else run.env.ledger.latest(documents.name)
    return there is None or bool(store.manifest(there).quality["texts"])


def has_interactions(settings: Settings) -> bool:
    """Whether a nightly trains a ranker: there are interactions, and those of the built-in sample go with it alone."""
    return not without_ranker(settings)


def without_ranker(settings: Settings) -> str:
    """Why a nightly trains no ranker; empty if it trains one."""
    chosen, source = settings.xmr.input, settings.input.source
    if not chosen:
        return "No ranker is trained: xmr.input names no interactions"
    if chosen in SAMPLE_INTERACTIONS and source != SAMPLE:
        return (
            f"No ranker is trained: xmr.input is {chosen}, which goes with the built-in sample alone; name interactions"
            f" of {settings.input.collection} there to train one"
        )
    return ""


@dataclass(frozen=True)
class InteractionFiles:
    """Files of interactions and (or "") of labels, with our column name to theirs where they differ, and of negatives."""

    path: str
    labels: str
    columns: Mapping[str, str]
    negatives: str = ""


def interaction_files(settings: Settings, flow: str) -> InteractionFiles | None:
    """The files that a flow's ranker is trained on; None where those are the built-in sample's.

    Run by itself, ``train_ranker`` reads the input that was asked for, with the columns that were mapped, unless the settings
    name a file of interactions.
    """
    xmr, given = settings.xmr, settings.input
    if xmr.input and xmr.input not in SAMPLE_INTERACTIONS:
        return InteractionFiles(xmr.input, xmr.labels, xmr.columns, xmr.negatives)
    if flow == "train_ranker" and given.source != SAMPLE:
        return InteractionFiles(given.source, xmr.labels, given.columns or xmr.columns, xmr.negatives)
    return None


def interaction_source(settings: Settings, flow: str, suppressed: Suppressed | None) -> InteractionSource | None:
    """The files that a flow's ranker is trained on, without what is to be forgotten; None for the built-in sample."""
    files = interaction_files(settings, flow)
    if files is None:
        return None
    return InteractionFile(
        files.path,
        files.labels,
        tuple(sorted(files.columns.items())),
        settings.xmr.unknown_labels,
        suppressed,
        files.negatives,
    )


def sample_of(settings: Settings, flow: str) -> str:
    """Which of the built-in sample's interactions a flow's ranker is trained on: first sentences where the settings name
    none; empty where it reads files.
    """
    return "" if interaction_files(settings, flow) else settings.xmr.input or NAMES_SAMPLE


def interactions_of(run: Run) -> "Ref | InteractionSource":
    """What a ranker is trained on: files of interactions, or the extracts of the built-in sample."""
    instead = rewriting.get()
    if instead is not None and instead.interactions is not None:
        return instead.interactions
    source = interaction_source(run.settings, run.flow, _suppressed(run.settings))
    return source if source is not None else _extracts(run.settings)
