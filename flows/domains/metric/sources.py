"""The source of embeddings outside the store, by the settings alone: a user's file, or the collection's input.

Imports no Prefect.
"""

from collections import Counter
from collections.abc import Callable, Mapping

from fingerpost.flows.domains.corpus.sources import source_of
from fingerpost.flows.domains.domain import FileUse
from fingerpost.flows.domains.metric.settings import OWN_EMBEDDINGS, MetricSettings
from fingerpost.flows.domains.settings import Settings
from fingerpost.flows.run.input_days import several_days
from fingerpost.flows.run.section import SettingsError
from fingerpost.schemas.inputs import PACKAGES_SAMPLE, SAMPLE
from fingerpost.schemas.inputs.daily import DailyEmbeddings
from fingerpost.schemas.inputs.embeddings import EmbeddingFile
from fingerpost.schemas.inputs.images import ImageFiles
from fingerpost.schemas.inputs.sources import InputSource
from fingerpost.schemas.inputs.stored import suppressing
from fingerpost.schemas.inputs.suppression import Suppressed
from fingerpost.tasks.metric.classes import ClassParams, Part, side_of


def skipped(settings: Settings) -> str:
    """Why a nightly tunes no threshold; empty if it tunes one.

    The built-in sample's embeddings need the built-in sample, with enough packages for both sides of the split.
    """
    metric, sample = settings.metric, settings.input.source == SAMPLE
    if not metric.input:
        return "No threshold is tuned: metric.input names no embeddings"
    if metric.input != PACKAGES_SAMPLE:
        return ""
    if not sample:
        return (
            f"No threshold is tuned: metric.input is {PACKAGES_SAMPLE}, which requires the built-in sample; name"
            f" embeddings of {settings.input.collection} there to tune one"
        )
    sides = Counter(side_of(name, classes_of(metric, metric.label, "all")) for name in settings.input.distributions)
    if sides["validation"] >= 3 and sides["test"] >= 2 and (not metric.trains or sides["training"] >= 2):
        return ""
    return f"No threshold is tuned: {len(settings.input.distributions)} package(s) are too few classes for a split"


def classes_of(metric: MetricSettings, column: str, part: Part, group: str = "") -> ClassParams:
    """The classes of a column of documents on one side of the split."""
    share = metric.training.share if metric.trains else 0.0
    return ClassParams(column, part, metric.validation_share, metric.least_rows, metric.seed, share, group)


def embedding_columns(settings: Settings, flow: str) -> tuple[str, Mapping[str, str]] | None:
    """The file that a flow's threshold is tuned on and the mapping of its columns; None for the collection's documents.

    Run alone, ``tune_thresholds`` reads the requested input, unless the settings name embeddings.
    """
    metric, requested = settings.metric, settings.input
    if metric.input and metric.input not in OWN_EMBEDDINGS:
        return metric.input, metric.columns
    own = requested.source not in ("", SAMPLE)
    asked = flow == "tune_thresholds" and metric.input in ("", PACKAGES_SAMPLE) and own
    return (requested.source, requested.columns or metric.columns) if asked else None


def embedding_setting(settings: Settings, flow: str) -> str:
    """The setting that names the file that a flow's threshold is tuned on; empty for the collection's documents."""
    columns = embedding_columns(settings, flow)
    return "" if columns is None else "metric.input" if columns[0] == settings.metric.input else "input.source"


def daily_of(settings: Settings, flow: str) -> Callable[[str, Suppressed | None], DailyEmbeddings]:
    """The source of one day's file, for inputs that are read over several days; SettingsError for images."""
    if settings.metric.kind == "images":
        raise SettingsError(
            "metric.kind: expected embeddings where several days are read, got images; set metric.days=snapshot"
        )
    columns = embedding_columns(settings, flow)
    mapping = tuple(sorted(columns[1].items())) if columns else ()
    return lambda path, suppressed: DailyEmbeddings(path, mapping, suppressed)


def embedding_source(settings: Settings, flow: str, suppressed: Suppressed | None) -> EmbeddingFile | ImageFiles | None:
    """The file that a flow's threshold is tuned on, without suppressed keys; None for the collection's documents."""
    file = embedding_columns(settings, flow)
    if file is None:
        return None
    path, mapping = file[0], tuple(sorted(file[1].items()))
    if settings.metric.kind == "images":
        return ImageFiles(path, settings.metric.images, mapping, suppressed)
    return EmbeddingFile(path, mapping, suppressed)


def suppressed_source(
    settings: Settings, flow: str, suppressed: Suppressed | None
) -> EmbeddingFile | ImageFiles | InputSource:
    """The source of a threshold outside the store, without suppressed keys."""
    source = embedding_source(settings, flow, suppressed)
    return source if source is not None else suppressing(source_of(settings), suppressed)


def files_of(settings: Settings, flow: str) -> list[FileUse]:
    """The files that a flow's threshold is tuned on; empty for the collection's documents."""
    columns = embedding_columns(settings, flow)
    if columns is None:
        return []
    path, mapping = columns
    setting = embedding_setting(settings, flow)
    form = "images" if settings.metric.kind == "images" else "embeddings"
    daily = "daily " if several_days(settings, setting) and form == "embeddings" else ""
    return [FileUse(f"{daily}{form}", path, dict(mapping), setting)]
