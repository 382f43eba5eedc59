"""The judged queries of a run: imported from the user's files, or from an artifact that stands for them."""

from fingerpost.flows.domains.ann.sources import suppressed_source
from fingerpost.flows.domains.corpus.inputs import suppressed_keys
from fingerpost.flows.run.rewriting import instead_of
from fingerpost.flows.run.runtime import Run
from fingerpost.schemas.inputs.judged import JudgedSource
from fingerpost.schemas.refs import Ref
from fingerpost.tasks.ann.stages.judged import import_judged


def judged_of(run: Run, documents: Ref) -> Ref | None:
    """The imported judged queries; None where none are named."""
    source: JudgedSource | None = instead_of("ann")
    if source is None:
        source = suppressed_source(run.settings, run.flow, suppressed_keys(run.settings))
    return None if source is None else import_judged(documents, source, params=run.settings.ann.judged.imports)
