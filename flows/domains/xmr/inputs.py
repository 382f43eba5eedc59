"""The interactions that a ranker is trained on: a user's files, or those of the built-in sample."""

from flows.domains.corpus.inputs import extracts, suppressed_keys
from flows.domains.xmr.sources import interaction_source
from flows.run.rewriting import instead_of
from flows.run.runtime import Run
from schemas.inputs.interactions import InteractionSource
from schemas.refs import Ref


def interactions_of(run: Run) -> "Ref | InteractionSource":
    """The source of a ranker's interactions: files, or the extracts of the built-in sample."""
    stored = instead_of("xmr")
    if stored is not None:
        return stored
    source = interaction_source(run.settings, run.flow, suppressed_keys(run.settings))
    return source if source is not None else extracts(run.settings)
