"""The source of documents outside the store, by the settings alone: a user's file, or the built-in sample.

Imports no Prefect.
"""

from collections.abc import Callable

from fingerpost.flows.domains.domain import FileUse
from fingerpost.flows.domains.settings import Settings
from fingerpost.flows.run.input_days import several_days
from fingerpost.flows.run.section import SettingsError
from fingerpost.schemas.inputs import SAMPLE
from fingerpost.schemas.inputs.daily import DailyDocuments
from fingerpost.schemas.inputs.sources import FileSource, InputSource, PythonDocsSource
from fingerpost.schemas.inputs.stored import suppressing
from fingerpost.schemas.inputs.suppression import Suppressed


def source_of(settings: Settings) -> FileSource | PythonDocsSource:
    """The source outside the store: a user's file, or the installed packages; SettingsError if there is none."""
    chosen = settings.input
    if chosen.source in ("", SAMPLE):
        return sample_source(settings)
    return FileSource(chosen.source, tuple(sorted(chosen.columns.items())))


def sample_source(settings: Settings) -> PythonDocsSource:
    """The built-in sample; SettingsError where it is not the input, so that nothing else is replaced by it."""
    if settings.input.source != SAMPLE:
        raise SettingsError(
            f"input: expected an input for collection {settings.input.collection}, found none named and none"
            f" remembered; name it with --input ({SAMPLE} is the built-in sample)"
        )
    return PythonDocsSource(settings.input.distributions)


def daily_of(settings: Settings, flow: str = "") -> Callable[[str, Suppressed | None], DailyDocuments]:
    """The source of one day's file, for inputs that are read over several days."""
    mapping = tuple(sorted(settings.input.columns.items()))
    return lambda path, suppressed: DailyDocuments(path, mapping, suppressed)


def suppressed_source(settings: Settings, flow: str, suppressed: Suppressed | None) -> InputSource:
    """The source outside the store, without suppressed keys."""
    return suppressing(source_of(settings), suppressed)


def files_of(settings: Settings, flow: str) -> list[FileUse]:
    """The user's file of documents, if there is one."""
    source = settings.input.source
    form = "daily documents" if several_days(settings, "input.source") else "documents"
    return [] if source in ("", SAMPLE) else [FileUse(form, source, settings.input.columns, "input.source")]
