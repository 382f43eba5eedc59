"""Indexes opened as plans say, over one set of vectors and one graph."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from fingerpost.tasks.ann.codes import Codes
from fingerpost.tasks.ann.deferred_search import DeferredIndex
from fingerpost.tasks.ann.edge_blocks import EdgeBlocks, edge_blocks
from fingerpost.tasks.ann.edge_codes import EdgeCoder
from fingerpost.tasks.ann.graph import Graph
from fingerpost.tasks.ann.held_out import (
    AskedVectors,
    HeldOut,
    asked,
    held_out_documents,
    held_out_graph,
    rows_to_hold_out,
)
from fingerpost.tasks.ann.hnsw import HnswIndex
from fingerpost.tasks.ann.packed import PackedIndex
from fingerpost.tasks.ann.packed_store import Keeping, fits
from fingerpost.tasks.ann.removal import graph_without
from fingerpost.tasks.ann.search import Index, Metric
from fingerpost.tasks.ann.search_plan import PLAIN, Profile, SearchPlan, plans_to_try
from fingerpost.tasks.ann.search_plan import Codes as Kind
from fingerpost.tasks.ann.search_tuning import CertificateParams


@dataclass(frozen=True)
class PlanOpener:
    """Opens the index of a plan; every call packs vectors (n, d), graph and codes.

    codes: by kind, those that were fitted, under ``metric`` or another that orders these rows alike. coder: of FINGER's
    estimates, None where it is not used.
    """

    vectors: NDArray[np.float32]
    graph: Graph
    metric: Metric
    codes: Mapping[Kind, Codes]
    coder: EdgeCoder | None = None

    def __call__(self, plan: SearchPlan) -> Index:
        """The index that a plan describes."""
        if plan == PLAIN:
            return HnswIndex(self.vectors, self.graph, self.metric)
        if plan.finger:
            return DeferredIndex(self.vectors, self.graph, self._blocks, self.metric)
        return self.packed(plan)

    def packed(self, plan: SearchPlan) -> PackedIndex:
        """The packed index of a plan; of plain search where that is FINGER's, which has a form of its own."""
        plan = PLAIN if plan.finger else plan
        codes = self.codes.get(plan.codes)
        metric = self.metric if codes is None else codes.metric
        whole = fits("integers", self.vectors, metric)
        keepings: dict[Profile, Keeping | None] = {
            "plain": "float32",
            "fast": None,
            "compact": "integers" if whole else "bits12",
        }
        keeping = keepings[plan.profile]
        return PackedIndex.pack(
            self.vectors, self.graph, metric, codes=codes, keeping=keeping, reordered=plan.reordered
        )

    def plans(self, params: CertificateParams) -> tuple[SearchPlan, ...]:
        """The plans that the parts allow: one that is set and plain search, or those of a profile."""
        if params.plan is not None:
            return tuple(dict.fromkeys((PLAIN, self._fitted(params.plan))))
        whole: tuple[Kind, ...] = ("integers",) if fits("integers", self.vectors, self.metric) else ()
        kinds = whole + tuple(kind for kind in ("bits8", "bits4") if kind in self.codes)
        found = plans_to_try(params.profile, codes=kinds, finger=False, reordered=False)
        # Packed without codes is plain search; FINGER defers the distances of full vectors.
        useful = tuple(plan for plan in found if plan == PLAIN or plan.codes != "none")
        screened = (SearchPlan("fast", finger=True),) if self.coder is not None and params.profile == "fast" else ()
        return useful + screened

    def _fitted(self, plan: SearchPlan) -> SearchPlan:
        """A plan with the bits that codes were fitted to, which may be more than were asked for.

        ValueError for one of parts that there are not.
        """
        if plan.finger and self.coder is None:
            raise ValueError(
                f"plan: expected FINGER's tables for {plan.name}, found none; raise ann.parts.finger_documents, or set"
                " another plan"
            )
        if plan.codes not in ("bits4", "bits8") or plan.codes in self.codes:
            return plan
        if not self.codes:
            raise ValueError(f"plan: expected codes for {plan.name}, found none fitted; fit them, or set another plan")
        return replace(plan, codes=next(iter(self.codes)))

    @cached_property
    def _blocks(self) -> EdgeBlocks:
        assert self.coder is not None
        return edge_blocks(self.vectors, self.graph, self.metric, self.coder)


@dataclass(frozen=True)
class HeldSearches:
    """The ways to search an index that lacks some documents, which are asked of it.

    opener: over the graph without them.
    """

    opener: PlanOpener
    held: HeldOut
    params: CertificateParams

    @classmethod
    def of(cls, whole: PlanOpener, params: CertificateParams, *, threads: int = 1) -> "HeldSearches":
        """Without as many documents, at random, as the certificate needs, or as may be held out."""
        rows = rows_to_hold_out(whole.graph, params.asked, share=params.held_share, seed=params.seed)

        def repaired(graph: Graph, removed: NDArray[np.bool_]) -> Graph:
            return graph_without(whole.vectors, graph, removed, whole.metric, threads=threads)

        graph = held_out_graph(whole.graph, rows, repaired)
        held = held_out_documents(whole.vectors, rows, choosing=params.choosing)
        return cls(PlanOpener(whole.vectors, graph, whole.metric, whole.codes, whole.coder), held, params)

    @property
    def plans(self) -> tuple[SearchPlan, ...]:
        """The plans to try."""
        return self.opener.plans(self.params)

    def choosing(self) -> AskedVectors:
        """The queries that the plan is chosen on."""
        return self._asked(self.held.choosing)

    def certifying(self) -> AskedVectors:
        """The queries that its recall is certified on."""
        return self._asked(self.held.certifying)

    def _asked(self, queries: NDArray[np.float32]) -> AskedVectors:
        return asked(queries, self.opener.vectors, self.held.removed, self.opener.metric, k=self.params.k)
