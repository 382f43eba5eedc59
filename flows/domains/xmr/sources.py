"""The source of interactions outside the store, by the settings alone: a user's files, or the built-in sample's.

Imports no Prefect.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from fingerpost.flows.domains.corpus.sources import sample_source
from fingerpost.flows.domains.domain import FileUse
from fingerpost.flows.domains.settings import Settings
from fingerpost.flows.domains.xmr.settings import SAMPLE_INTERACTIONS
from fingerpost.flows.run.input_days import several_days
from fingerpost.schemas.inputs import NAMES_SAMPLE, SAMPLE
from fingerpost.schemas.inputs.daily import DELETED, Catalogue, DailyInteractions
from fingerpost.schemas.inputs.interaction_rows import split_mapping
from fingerpost.schemas.inputs.interactions import InteractionFile, InteractionSource
from fingerpost.schemas.inputs.sources import InputSource
from fingerpost.schemas.inputs.stored import suppressing
from fingerpost.schemas.inputs.suppression import Suppressed


def skipped(settings: Settings) -> str:
    """Why a nightly trains no ranker; empty if it trains one."""
    chosen, source = settings.xmr.input, settings.input.source
    if not chosen:
        return "No ranker is trained: xmr.input names no interactions"
    if chosen in SAMPLE_INTERACTIONS and source != SAMPLE:
        return (
            f"No ranker is trained: xmr.input is {chosen}, which requires the built-in sample; name interactions"
            f" of {settings.input.collection} there to train one"
        )
    return ""


@dataclass(frozen=True)
class InteractionFiles:
    """Files of interactions, labels and negatives ("" for none), and the mapping of their columns."""

    path: str
    labels: str
    columns: Mapping[str, str]
    negatives: str = ""


def interaction_files(settings: Settings, flow: str) -> InteractionFiles | None:
    """The files that a flow's ranker is trained on; None where those are the built-in sample's.

    Run alone, ``train_ranker`` reads the requested input with its column mapping, unless the settings name a file of
    interactions.
    """
    xmr, requested = settings.xmr, settings.input
    if xmr.input and xmr.input not in SAMPLE_INTERACTIONS:
        return InteractionFiles(xmr.input, xmr.labels, xmr.columns, xmr.negatives)
    if flow == "train_ranker" and requested.source not in ("", SAMPLE):
        return InteractionFiles(requested.source, xmr.labels, requested.columns or xmr.columns, xmr.negatives)
    return None


def interactions_setting(settings: Settings, flow: str) -> str:
    """The setting that names the file of interactions of a flow's ranker; empty for the built-in sample's."""
    files = interaction_files(settings, flow)
    return "" if files is None else "xmr.input" if files.path == settings.xmr.input else "input.source"


def reads_several_days(settings: Settings, flow: str) -> bool:
    """Whether the interactions of a flow's ranker are read over several days."""
    setting = interactions_setting(settings, flow)
    return bool(setting and several_days(settings, setting))


def daily_of(settings: Settings, flow: str) -> Callable[[str, Suppressed | None], DailyInteractions]:
    """The source of one day's file, for interactions that are read over several days."""
    files = interaction_files(settings, flow)
    of_rows = _mappings(files, daily=True)[0] if files else {}
    return lambda path, suppressed: DailyInteractions(path, tuple(sorted(of_rows.items())), suppressed)


def catalogue_of(settings: Settings, flow: str, suppressed: Suppressed | None) -> Catalogue:
    """The labels and negatives beside interactions of several days."""
    files = interaction_files(settings, flow)
    if files is None:
        return Catalogue()
    mapping = tuple(sorted((ours, theirs) for ours, theirs in files.columns.items() if ours != DELETED))
    return Catalogue(files.labels, mapping, settings.xmr.unknown_labels, suppressed, files.negatives)


def _mappings(files: InteractionFiles, *, daily: bool) -> tuple[dict[str, str], dict[str, str]]:
    """The mappings of interactions and of labels; a day's file may also map the column of deletions."""
    own = {ours: theirs for ours, theirs in files.columns.items() if daily and ours == DELETED}
    rest = {ours: theirs for ours, theirs in files.columns.items() if ours not in own}
    of_rows, of_labels = split_mapping(rest, labelled=bool(files.labels))
    return of_rows | own, of_labels


def files_of(settings: Settings, flow: str) -> list[FileUse]:
    """The files of interactions, labels and negatives that a flow's ranker is trained on."""
    files = interaction_files(settings, flow)
    if files is None:
        return []
    daily = reads_several_days(settings, flow)
    of_rows, of_labels = _mappings(files, daily=daily)
    form = "daily interactions" if daily else "interactions"
    uses = [FileUse(form, files.path, of_rows, interactions_setting(settings, flow))]
    if files.labels:
        uses.append(FileUse("labels", files.labels, of_labels, "xmr.labels"))
    if files.negatives:
        uses.append(FileUse("negatives", files.negatives, {}, "xmr.negatives"))
    return uses


def interaction_source(settings: Settings, flow: str, suppressed: Suppressed | None) -> InteractionSource | None:
    """The files that a flow's ranker is trained on, without suppressed keys; None for the built-in sample."""
    files = interaction_files(settings, flow)
    if files is None:
        return None
    return InteractionFile(
        files.path,
        files.labels,
        tuple(sorted(files.columns.items())),
        settings.xmr.unknown_labels,
        suppressed,
        files.negatives,
    )


def suppressed_source(settings: Settings, flow: str, suppressed: Suppressed | None) -> InteractionSource | InputSource:
    """The source of a ranker outside the store, without suppressed keys."""
    source = interaction_source(settings, flow, suppressed)
    return source if source is not None else suppressing(sample_source(settings), suppressed)


def sample_of(settings: Settings, flow: str) -> str:
    """The name of the built-in interactions that a flow's ranker is trained on; empty where it reads files.

    First sentences where the settings name none.
    """
    return "" if interaction_files(settings, flow) else settings.xmr.input or NAMES_SAMPLE
