"""The sources of the graphs and links of an alignment outside the store, by the settings alone.

Imports no Prefect.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from fingerpost.flows.domains.domain import FileUse
from fingerpost.flows.domains.kg.settings import KgSettings
from fingerpost.flows.domains.settings import Settings
from fingerpost.flows.run.section import SettingsError
from fingerpost.schemas.inputs import OBJECTS_SAMPLE, SAMPLE
from fingerpost.schemas.inputs.graph_links import LINKS
from fingerpost.schemas.inputs.graph_sources import (
    GraphSource,
    LinkSource,
    check_sides,
    form_of,
    graph_source,
    link_source,
    part_of,
    reviewed_source,
)
from fingerpost.schemas.inputs.graphs_triples import TRIPLES
from fingerpost.schemas.inputs.suppression import Suppressed
from fingerpost.schemas.refs import digest_of

FLOW = "align_graphs"
#: Forms of which one file or folder has both graphs, and links.
_BOTH = ("dbp15k", "python-objects")


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
        return digest_of([source.identity() for source in self._all()])

    def check(self) -> None:
        """InputError for a file that is missing or lacks a column, and for two tables without a common attribute."""
        for source in self._all():
            source.check()
        if self.right is not None:
            check_sides(self.left, self.right)

    def _all(self) -> Iterator[GraphSource | LinkSource]:
        yield self.left
        if self.right is not None:
            yield self.right
        yield from self.links


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


def may_have_relations(settings: Settings, flow: str) -> bool:
    """Whether the graphs of a flow may have relations: not tables of rows that share no entities."""
    uses = [use for use in files_of(settings, flow) if use.setting in ("kg.left", "kg.right", "input.source")]
    return bool(settings.kg.shared) or not uses or any(use.form != "graph rows" for use in uses)


def _graph_use(own: KgSettings, path: str, setting: str) -> FileUse:
    form = form_of(path, own.form, own.columns)
    if form != "table":
        return FileUse(form, path, dict(part_of(own.columns, TRIPLES)) if form == "triples" else {}, setting)
    theirs = own.right_columns.get(own.id, own.id) if setting == "kg.right" else own.id
    return FileUse("graph rows", path, {"id": theirs} if theirs else {}, setting)


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
    both = form_of(path, own.form, own.columns) in _BOTH
    if not (own.within or own.right or both):
        raise SettingsError(
            f"kg.right: expected the graph that {path} is aligned with, found none; name it, or set kg.within=true to find"
            " duplicates in this one"
        )
    right = None if own.within else _graph(own, own.right or path, "right", suppressed)
    return GraphSources(_graph(own, path, "left", suppressed), right, tuple(_links(own, path, both, suppressed)))


def _graph(own: KgSettings, path: str, side: str, suppressed: Suppressed | None) -> GraphSource:
    return graph_source(
        path,
        form=own.form,
        side=side,
        kind=own.type,
        id=own.id,
        name=own.name,
        shared=own.shared,
        attributes=own.attributes,
        columns=own.columns,
        renamed=own.right_columns if side == "right" else {},
        language=own.language,
        suppressed=suppressed,
    )


def _links(own: KgSettings, path: str, both: bool, suppressed: Suppressed | None) -> Iterator[LinkSource]:
    """The named links or those that come with both graphs, then those of reviewers."""
    if own.links:
        yield link_source(own.links, columns=dict(part_of(own.columns, LINKS)), suppressed=suppressed)
    elif both and not own.within:
        yield link_source(path, suppressed=suppressed)
    if own.reviewed:
        yield reviewed_source(own.reviewed, suppressed=suppressed)
