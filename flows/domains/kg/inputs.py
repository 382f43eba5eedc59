"""The graphs and links of a run: imported from the user's files, the built-in sample, or artifacts that stand for them."""

from collections.abc import Mapping
from dataclasses import dataclass

from fingerpost.flows.domains.corpus.inputs import suppressed_keys
from fingerpost.flows.domains.kg.sources import GraphSources, suppressed_source
from fingerpost.flows.run.rewriting import instead_of
from fingerpost.flows.run.runtime import Run, scoped
from fingerpost.schemas.refs import Ref
from fingerpost.tasks.kg.stages.inputs import import_graph, import_links


@dataclass(frozen=True)
class Inputs:
    """The imported graphs and links; within one graph, both sides are the same."""

    left: Ref
    right: Ref
    links: Ref

    @property
    def within(self) -> bool:
        """Whether duplicates within one graph are sought."""
        return self.left == self.right

    @property
    def roles(self) -> dict[str, Ref]:
        """The artifacts by role; no right graph within one."""
        return {"left": self.left, "links": self.links} | ({} if self.within else {"right": self.right})

    @property
    def both(self) -> tuple[Ref, Ref]:
        """Both graphs; within one graph, that one twice."""
        return self.left, self.right

    @property
    def sides(self) -> Mapping[str, Ref]:
        """The graphs by side, one within one graph."""
        return {"left": self.left} if self.within else {"left": self.left, "right": self.right}

    def name_across(self, side: str) -> str:
        """The side that the entities of a side are compared with: within one graph, the same."""
        return side if self.within else "right" if side == "left" else "left"

    def across(self, side: str) -> Ref:
        """The graph that the entities of a side are compared with."""
        return self.sides[self.name_across(side)]


def inputs_of(run: Run) -> Inputs:
    """The imported graphs and links."""
    own, sources = run.settings.kg, _sources(run)
    with scoped(run, "left"):
        left = right = import_graph(sources.left, side="left", params=own.imports)
    if sources.right is not None:
        with scoped(run, "right"):
            right = import_graph(sources.right, side="right", params=own.imports)
    links = import_links(left, right, *sources.links, params=own.linking)
    return Inputs(left, right, links)


def _sources(run: Run) -> GraphSources:
    """What is read: from outside, or from the store in place of inputs that are missing."""
    stored = instead_of("kg")
    if stored is not None:
        found: GraphSources = stored
        return found
    return suppressed_source(run.settings, run.flow, suppressed_keys(run.settings))
