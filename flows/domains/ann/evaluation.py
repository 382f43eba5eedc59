"""Parameters of an index's evaluation."""

from dataclasses import replace

from fingerpost.flows.domains.settings import Settings
from fingerpost.schemas.inputs import SAMPLE
from fingerpost.tasks.ann.retrieval import RetrievalParams


def retrieval_params(settings: Settings) -> RetrievalParams:
    """The parameters of the retrieval evaluation; the built-in sample brings its own sample queries."""
    retrieval = settings.ann.retrieval
    own = settings.input.source == SAMPLE and not retrieval.samples
    return replace(retrieval, samples=settings.input.sample_queries) if own else retrieval
