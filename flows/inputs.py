"""Which input a run reads."""

from dataclasses import replace

from flows.runtime import Run
from flows.settings import Settings
from schemas.inputs import SAMPLE
from schemas.inputs.sources import FileSource, InputSource, PythonDocsSource
from schemas.refs import Ref
from tasks.ann.retrieval import RetrievalParams
from tasks.corpus.stages import extract_documentation


def retrieval_params(settings: Settings) -> RetrievalParams:
    """How retrieval is evaluated; the built-in sample has sample queries of its own."""
    retrieval = settings.ann.retrieval
    own = settings.input.source == SAMPLE and not retrieval.samples
    return replace(retrieval, samples=settings.input.sample_queries) if own else retrieval


def input_of(settings: Settings) -> "Ref | InputSource":
    """A user's file, or the extracts of the built-in sample."""
    given = settings.input
    if given.source != SAMPLE:
        return FileSource(given.source, tuple(sorted(given.columns.items())))
    return extract_documentation(PythonDocsSource(given.distributions), distributions=given.distributions)


def computes_vectors(run: Run, documents: Ref) -> bool:
    """Whether vectors are made from the texts, rather than taken from the input."""
    choice = run.settings.input.vectors
    return choice == "computed" or (choice == "auto" and bool(run.env.store.manifest(documents).quality["texts"]))
