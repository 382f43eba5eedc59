"""The sources of the graphs and links of an alignment outside the store, by the settings alone.

Imports no Prefect.
"""

from dataclasses import dataclass

from fingerpost.flows.domains.domain import FileUse
from fingerpost.flows.domains.kg.settings import KgSettings
from fingerpost.flows.domains.settings import Settings
from fingerpost.flows.run.section import SettingsError
from fingerpost.schemas.errors import InputError
from fingerpost.schemas.inputs import OBJECTS_SAMPLE, SAMPLE
from fingerpost.schemas.inputs.graph_links import LINKS, LinkFile, LinkSource, ReviewedLinks
from fingerpost.schemas.inputs.graph_sources import GraphChoice, form_of, graph_source, own_links, part_of
from fingerpost.schemas.inputs.graphs import GraphSource
from fingerpost.schemas.inputs.graphs_triples import TRIPLES
from fingerpost.schemas.inputs.suppression import Suppressed
from fingerpost.schemas.refs import digest_of

FLOW = "align_graphs"
#: What is read as a table without a look at it.
_TABLE = "table"
#: The form whose folders have both graphs, and links.
_BOTH = "dbp15k"


@dataclass(frozen=True)
class GraphSources:
    """What an alignment reads: its graphs, of which the right one is missing where duplicates within one are sought, and
    files of links, those of reviewers last.
    """

    left: GraphSource
    right: GraphSource | None
    links: tuple[LinkSource, ...] = ()

    def identity(self) -> str:
        """The identities of all in one; InputError if one cannot be read."""
        graphs = [self.left] if self.right is None else [self.left, self.right]
        return digest_of([source.identity() for source in (*graphs, *self.links)])


def skipped(settings: Settings) -> str:
    """Why a nightly aligns nothing; empty if it does."""
    own, source = settings.kg, settings.input.source
    if not own.left:
        return "Nothing is aligned: kg.left names no graph"
    if own.left == OBJECTS_SAMPLE and source != SAMPLE:
        return (
            f"Nothing is aligned: kg.left is {own.left}, which requires the built-in sample; name the graphs of"
            f" {settings.input.collection} in kg.left and kg.right to align them"
        )
    return ""


def left_path(settings: Settings, flow: str) -> str:
    """The left graph's path; empty where none is named and the built-in sample is not run.

    Run alone, ``align_graphs`` reads the requested input where kg.left names no file.
    """
    own, requested = settings.kg, settings.input.source
    if own.left and own.left != OBJECTS_SAMPLE:
        return own.left
    if flow == FLOW and requested not in ("", SAMPLE):
        return requested
    return OBJECTS_SAMPLE if requested == SAMPLE else ""


def left_setting(settings: Settings, flow: str) -> str:
    """The setting that names the left graph."""
    path = left_path(settings, flow)
    return "kg.left" if path in (settings.kg.left, OBJECTS_SAMPLE) else "input.source"


def files_of(settings: Settings, flow: str) -> list[FileUse]:
    """The files of graphs and links that a flow reads; none for the built-in sample."""
    own, path, uses = settings.kg, left_path(settings, flow), list[FileUse]()
    if path not in ("", OBJECTS_SAMPLE):
        uses.append(_graph_use(own, path, left_setting(settings, flow)))
    if own.right:
        uses.append(_graph_use(own, own.right, "kg.right"))
    if own.links:
        uses.append(FileUse("links", own.links, dict(part_of(own.columns, LINKS)), "kg.links"))
    if own.reviewed:
        uses.append(FileUse("reviewed links", own.reviewed, {}, "kg.reviewed"))
    return uses


def _graph_use(own: KgSettings, path: str, setting: str) -> FileUse:
    form = _form(own, path)
    if form != _TABLE:
        return FileUse(form, path, dict(part_of(own.columns, TRIPLES)) if form == "triples" else {}, setting)
    theirs = own.right_columns.get(own.id, own.id) if setting == "kg.right" else own.id
    return FileUse("graph rows", path, {"id": theirs} if theirs else {}, setting)


def _form(own: KgSettings, path: str) -> str:
    """The form of a graph's file or folder; of one that is missing, a table."""
    try:
        return form_of(path, _choice(own, "left"))
    except InputError:
        return _TABLE


def _choice(own: KgSettings, side: str) -> GraphChoice:
    """How the graph of a side is read."""
    return GraphChoice(
        form=own.form,
        columns=part_of(own.columns, TRIPLES),
        id=own.id,
        name=own.name,
        kind=own.type,
        shared=own.shared,
        attributes=own.attributes or None,
        language=own.language,
        renamed=tuple(sorted(own.right_columns.items())) if side == "right" else (),
    )


def suppressed_source(settings: Settings, flow: str, suppressed: Suppressed | None) -> GraphSources:
    """The sources of an alignment outside the store, without suppressed keys.

    SettingsError where neither a graph is named nor the sample is run.
    """
    own, path = settings.kg, left_path(settings, flow)
    if not path:
        raise SettingsError(
            f"kg: expected graphs for collection {settings.input.collection}, found none named and none remembered; name"
            " them in kg.left and kg.right, or one in kg.left with kg.within=true"
        )
    left, right = graph_source(path, _choice(own, "left"), side=1, suppressed=suppressed), None
    if not own.within:
        if not (own.right or path == OBJECTS_SAMPLE or _form(own, path) == _BOTH):
            raise SettingsError(
                f"kg.right: expected the graph that {path} is aligned with, found none; name it, or set kg.within=true to"
                " find duplicates in this one"
            )
        right = graph_source(own.right or path, _choice(own, "right"), side=2, suppressed=suppressed)
    return GraphSources(left, right, tuple(_links(own, path, suppressed)))


def _links(own: KgSettings, path: str, suppressed: Suppressed | None) -> list[LinkSource]:
    """The files of links, of reviewers last; what comes with the graphs, where no other file is named."""
    given: LinkSource | None = (
        LinkFile(own.links, part_of(own.columns, LINKS), suppressed)
        if own.links
        else own_links(path, _choice(own, "left"), suppressed=suppressed)
    )
    reviewed: LinkSource | None = ReviewedLinks(own.reviewed, suppressed) if own.reviewed else None
    return [source for source in (given, reviewed) if source is not None]
