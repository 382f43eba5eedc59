"""How an index is evaluated."""

from dataclasses import replace

from flows.domains.settings import Settings
from schemas.inputs import SAMPLE
from tasks.ann.retrieval import RetrievalParams


def retrieval_params(settings: Settings) -> RetrievalParams:
    """How retrieval is evaluated; the built-in sample has sample queries of its own."""
    retrieval = settings.ann.retrieval
    own = settings.input.source == SAMPLE and not retrieval.samples
    return replace(retrieval, samples=settings.input.sample_queries) if own else retrieval
