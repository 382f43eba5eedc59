"""The interactions that a ranker is trained on: a user's files, or those of the built-in sample."""

from fingerpost.flows.domains.corpus.inputs import extracts, suppressed_keys
from fingerpost.flows.domains.xmr.sources import (
    catalogue_of,
    daily_of,
    interaction_files,
    interaction_source,
    interactions_setting,
    reads_several_days,
)
from fingerpost.flows.domains.xmr.steps import maker
from fingerpost.flows.run.daily import import_days, merging, note_deletions
from fingerpost.flows.run.rewriting import instead_of
from fingerpost.flows.run.runtime import Run
from fingerpost.schemas.inputs.interactions import InteractionSource
from fingerpost.schemas.refs import Ref
from fingerpost.tasks.corpus.documents import ImportParams
from fingerpost.tasks.xmr.stages.interactions import import_daily_interactions, merge_daily_interactions


def interactions_of(run: Run) -> Ref:
    """The imported interactions of a ranker: of one import, or merged from those of several days."""
    settings, make = run.settings, maker(run)
    if not reads_several_days(settings, run.flow):
        interactions = make("interactions", _source(run))
        if files := interaction_files(settings, run.flow):
            note_deletions(run, interactions, daily_of(settings, run.flow)(files.path, None))
        return interactions
    limits = ImportParams(settings.corpus.imports.rows_per_shard, settings.xmr.interactions.quarantine_share)
    setting, opened = interactions_setting(settings, run.flow), daily_of(settings, run.flow)
    days = import_days(run, "xmr", setting, import_daily_interactions, opened, params=limits)
    with merging(run, merge_daily_interactions, days):
        return make("interactions", catalogue_of(settings, run.flow, suppressed_keys(settings)), *days)


def _source(run: Run) -> "Ref | InteractionSource":
    """The source of a ranker's interactions: files, or the extracts of the built-in sample."""
    stored = instead_of("xmr")
    if stored is not None:
        return stored
    source = interaction_source(run.settings, run.flow, suppressed_keys(run.settings))
    return source if source is not None else extracts(run.settings)
