"""The events that a completer is trained on: a user's query log, or the calls in the built-in sample's packages."""

from dataclasses import replace
from typing import TypeVar

from fingerpost.flows.domains.autocomplete.sources import (
    daily_of,
    events_file,
    reads_several_days,
    suppressed_source,
)
from fingerpost.flows.domains.corpus.inputs import suppressed_keys
from fingerpost.flows.run.daily import import_days, merging, note_deletions
from fingerpost.flows.run.rewriting import instead_of
from fingerpost.flows.run.runtime import Run
from fingerpost.schemas.forgotten import salt_of
from fingerpost.schemas.inputs.daily import DailySource
from fingerpost.schemas.inputs.events import DailyEvents, EventFile, EventSource
from fingerpost.schemas.inputs.suppression import Suppressed
from fingerpost.schemas.refs import Ref
from fingerpost.tasks.autocomplete.stages.events import import_daily_events, import_events, merge_daily_events
from fingerpost.tasks.corpus.documents import ImportParams

#: Rows of a file of events: they are short, and logs are long.
ROWS_PER_SHARD = 2**20

Source = TypeVar("Source", bound="EventSource | DailySource")


def events_of(run: Run) -> Ref:
    """The imported events of a completer: of one import, or merged from those of several days."""
    settings = run.settings
    limits = ImportParams(ROWS_PER_SHARD, settings.autocomplete.quarantine_share)
    file, opened = events_file(settings, run.flow), daily_of(settings, run.flow)
    if file is None or not reads_several_days(settings, run.flow):
        events = import_events(_source(run), params=limits)
        if file is not None:
            note_deletions(run, events, opened(file.path, None))
        return events

    def salted(path: str, suppressed: Suppressed | None) -> DailySource:
        return _salted(run, opened(path, suppressed))

    days = import_days(run, "autocomplete", file.setting, import_daily_events, salted, params=limits)
    with merging(run, merge_daily_events, days):
        return merge_daily_events(*days, params=limits)


def _source(run: Run) -> EventSource:
    """The source of a completer's events: a file, or the built-in sample."""
    stored = instead_of("autocomplete")
    if stored is not None:
        source: EventSource = stored
        return source
    return _salted(run, suppressed_source(run.settings, run.flow, suppressed_keys(run.settings)))


def _salted(run: Run, source: Source) -> Source:
    """A file with the salt of the store that its users' keys are hashed with; a plan reads nothing."""
    if run.env.planning or not isinstance(source, (EventFile, DailyEvents)):
        return source
    return replace(source, salt=salt_of(run.env.store))
