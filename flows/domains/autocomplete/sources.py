"""The source of events outside the store, by the settings alone: a user's query log, or the built-in sample's calls.

Sources have no salt here: identities do not depend on it, and a plan writes nothing into the store.
Imports no Prefect.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from fingerpost.flows.domains.domain import FileUse
from fingerpost.flows.domains.settings import Settings
from fingerpost.flows.run.input_days import several_days
from fingerpost.flows.run.section import SettingsError
from fingerpost.schemas.inputs import CALLS_SAMPLE, SAMPLE
from fingerpost.schemas.inputs.blocked_queries import BlockedQueries
from fingerpost.schemas.inputs.daily import DELETED
from fingerpost.schemas.inputs.events import DailyEvents, EventFile, EventSource
from fingerpost.schemas.inputs.python_calls import CallSequences
from fingerpost.schemas.inputs.suppression import Suppressed


def skipped(settings: Settings) -> str:
    """Why a nightly trains no completer; empty if it trains one."""
    chosen, source = settings.autocomplete.input, settings.input.source
    if not chosen:
        return "No completer is trained: autocomplete.input names no events"
    if chosen == CALLS_SAMPLE and source != SAMPLE:
        return (
            f"No completer is trained: autocomplete.input is {chosen}, which requires the built-in sample; name a query"
            f" log of {settings.input.collection} there to train one"
        )
    return ""


@dataclass(frozen=True)
class EventsFile:
    """A file of events, the mapping of its columns, and the setting that names it."""

    path: str
    columns: Mapping[str, str]
    setting: str


def events_file(settings: Settings, flow: str) -> EventsFile | None:
    """The file that a flow's completer is trained on; None where that is the built-in sample's.

    Run alone, ``train_autocomplete`` reads the requested input with its column mapping, unless the settings name a file
    of events.
    """
    own, requested = settings.autocomplete, settings.input
    if own.input and own.input != CALLS_SAMPLE:
        return EventsFile(own.input, own.columns, "autocomplete.input")
    if flow == "train_autocomplete" and requested.source not in ("", SAMPLE):
        return EventsFile(requested.source, requested.columns or own.columns, "input.source")
    return None


def reads_several_days(settings: Settings, flow: str) -> bool:
    """Whether the events of a flow's completer are read over several days."""
    file = events_file(settings, flow)
    return bool(file and several_days(settings, file.setting))


def files_of(settings: Settings, flow: str) -> list[FileUse]:
    """The files of events, and of queries that are never suggested, that a flow's completer is trained on."""
    file, blocked, uses = events_file(settings, flow), settings.autocomplete.blocklist, []
    if file is not None:
        daily = reads_several_days(settings, flow)
        columns = {ours: theirs for ours, theirs in file.columns.items() if daily or ours != DELETED}
        uses.append(FileUse("daily events" if daily else "events", file.path, columns, file.setting))
    if blocked:
        uses.append(FileUse("blocked queries", blocked, {}, "autocomplete.blocklist"))
    return uses


def daily_of(settings: Settings, flow: str) -> Callable[[str, Suppressed | None], DailyEvents]:
    """The source of one day's file, for events that are read over several days."""
    file, time_format = events_file(settings, flow), settings.autocomplete.time_format
    mapping = tuple(sorted(file.columns.items())) if file else ()
    return lambda path, suppressed: DailyEvents(path, mapping, suppressed, time_format=time_format)


def suppressed_source(settings: Settings, flow: str, suppressed: Suppressed | None) -> EventSource:
    """The source of a completer outside the store, without suppressed keys.

    SettingsError where there is neither a file nor the sample.
    """
    file = events_file(settings, flow)
    if file is not None:
        columns = {ours: theirs for ours, theirs in file.columns.items() if ours != DELETED}
        return EventFile(file.path, tuple(sorted(columns.items())), settings.autocomplete.time_format, suppressed)
    if settings.input.source != SAMPLE:
        raise SettingsError(
            f"autocomplete: expected events for collection {settings.input.collection}, found none named and none"
            " remembered; name a query log with --input or in autocomplete.input"
        )
    return CallSequences(settings.input.distributions, suppressed)


def blocked_queries(settings: Settings, suppressed: Suppressed | None) -> list[BlockedQueries]:
    """The file of queries that are never suggested, if one is named."""
    path = settings.autocomplete.blocklist
    return [BlockedQueries(path, suppressed)] if path else []
