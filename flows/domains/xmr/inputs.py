"""The interactions that a ranker is trained on: a user's files, or those of the built-in sample."""

from fingerpost.flows.domains.corpus.inputs import extracts, suppressed_keys
from fingerpost.flows.domains.xmr.sources import interaction_source
from fingerpost.flows.run.rewriting import instead_of
from fingerpost.flows.run.runtime import Run
from fingerpost.schemas.inputs.interactions import InteractionSource
from fingerpost.schemas.refs import Ref


def interactions_of(run: Run) -> "Ref | InteractionSource":
    """The source of a ranker's interactions: files, or the extracts of the built-in sample."""
    stored = instead_of("xmr")
    if stored is not None:
        return stored
    source = interaction_source(run.settings, run.flow, suppressed_keys(run.settings))
    return source if source is not None else extracts(run.settings)
