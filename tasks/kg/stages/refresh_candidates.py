"""The stage that carries candidates of unchanged entities over, and finds those of new and changed ones."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from fingerpost.schemas import kg as contracts
from fingerpost.schemas.refs import Ref
from fingerpost.schemas.store import Store
from fingerpost.tasks.ann.hnsw import build
from fingerpost.tasks.kg.blocking import (
    LINKS,
    NEIGHBORS,
    VECTORS,
    BlockingParams,
    Candidates,
    Proposals,
    proposed_nearest,
    union,
)
from fingerpost.tasks.kg.changes import Changes, carried_pairs
from fingerpost.tasks.kg.refresh import joined_candidates, joined_nearest, places_of_pairs, renumbered
from fingerpost.tasks.kg.search import EntitySearcher, Nearest, SearchParams, rows_by_type
from fingerpost.tasks.kg.shared_neighbors import SharedNeighbors
from fingerpost.tasks.kg.stages.blocking import blocking_quality, candidates_table, figures_of, other_proposals
from fingerpost.tasks.kg.stages.changes import read_changes
from fingerpost.tasks.kg.stages.embeddings import read_contexts
from fingerpost.tasks.kg.stages.graph_tables import GraphTables
from fingerpost.tasks.kg.stages.known_pairs import known_positives, paired_types
from fingerpost.tasks.kg.stages.search import read_graphs
from fingerpost.tasks.kg.stages.shared_neighbors import linked_entities
from fingerpost.tasks.shards import row_shards
from fingerpost.tasks.stage import stage
from fingerpost.tasks.stage_run import StageRun

Pairs = NDArray[np.int64]


@stage(contracts.CANDIDATES)
def refresh_candidates(
    run: StageRun,
    left: Ref,
    right: Ref,
    left_changes: Ref,
    right_changes: Ref,
    left_vectors: Ref,
    right_vectors: Ref,
    links: Ref,
    structure: Ref,
    old_left: Ref,
    old_right: Ref,
    old_left_vectors: Ref,
    old_right_vectors: Ref,
    old_left_index: Ref,
    old_right_index: Ref,
    old_links: Ref,
    old_candidates: Ref,
    old_matches: Ref,
    *,
    search: SearchParams,
    params: BlockingParams,
    rows_per_shard: int,
) -> None:
    """Candidates of an alignment in which few entities changed; pairs of unchanged ones are those of the old candidates.

    New and changed entities are searched among the unchanged ones by the old index, and among each other. Entities that
    were matched count as one where neighbours are compared.
    """
    ours = _Side(run.store, left, left_changes, left_vectors, old_left, old_left_vectors, old_left_index)
    theirs = _Side(run.store, right, right_changes, right_vectors, old_right, old_right_vectors, old_right_index)
    sides = (ours, ours if left == right else theirs)
    names, types = paired_types(run.store, left, right, links, chosen=params.types)
    before, _ = paired_types(run.store, old_left, old_right, old_links, chosen=params.types)
    carried = _carried(run.store, sides, old_candidates)
    proposals = [
        *_nearest(sides, search, run.threads),
        *_sharing(run.store, sides, _anchors(run.store, sides, links, old_matches), types, params),
        *_others(other_proposals(run.store, left, right, links, [structure], params), sides),
    ]
    vectors = (sides[0].vectors, sides[1].vectors)
    found = _without(union(proposals, types, vectors, params, within=_within(sides)), carried)
    joined = joined_candidates(carried, found, most=params.candidates)
    added = int((places_of_pairs(found.left, found.right, (joined.left, joined.right)) >= 0).sum())
    run.quality = blocking_quality(_write(run, joined, rows_per_shard, names, types, links)) | {
        "carried": len(joined.left) - added,
        "added": added,
        "must_retrain": _other_types(before, names),
    }


def _other_types(before: Sequence[str], now: Sequence[str]) -> str:
    """Why the candidates do not suffice: other types are paired than before; empty where they are the same."""
    return "" if now == before else f"types of pairs: {', '.join(before)} before, {', '.join(now)} now"


@dataclass(frozen=True)
class _Side:
    """A graph and its vectors, and those of the last full alignment."""

    store: Store
    graph: Ref
    of_changes: Ref
    of_vectors: Ref
    old_graph: Ref
    of_old_vectors: Ref
    old_index: Ref

    @cached_property
    def tables(self) -> GraphTables:
        return GraphTables.open(self.store, self.graph)

    @cached_property
    def changes(self) -> Changes:
        return read_changes(self.store, self.of_changes)

    @cached_property
    def vectors(self) -> NDArray[np.float32]:
        return read_contexts(self.store.open(self.of_vectors, contracts.VECTORS))

    @cached_property
    def rows(self) -> NDArray[np.int64]:
        """The new and changed entities."""
        return np.flatnonzero(self.changes.changed)

    def types_of(self, rows: NDArray[np.int64]) -> list[str]:
        return list(self.tables.entities["type"].take(pa.array(rows)).to_pylist())

    def old_searcher(self) -> EntitySearcher:
        """Search among all entities as they were."""
        return EntitySearcher(
            read_contexts(self.store.open(self.of_old_vectors, contracts.VECTORS)),
            GraphTables.open(self.store, self.old_graph).types,
            read_graphs(self.store.open(self.old_index, contracts.INDEX)),
        )

    def new_searcher(self, params: SearchParams, threads: int) -> EntitySearcher:
        """Search among the new and changed entities."""
        vectors, types, graphs = self.vectors[self.rows], self.types_of(self.rows), {}
        for name, rows in rows_by_type(vectors, types).items():
            if len(rows) >= params.exact_below and params.searches(name):
                graphs[name], _ = build(vectors[rows], params.hnsw, threads=threads)
        return EntitySearcher(vectors, types, graphs)


def _within(sides: tuple[_Side, _Side]) -> bool:
    return sides[0].graph == sides[1].graph


def _carried(store: Store, sides: tuple[_Side, _Side], old_candidates: Ref) -> Candidates:
    rows = store.open(old_candidates, contracts.CANDIDATES).read("candidates")
    left, right, similarity, sources = (rows[name].to_numpy() for name in ("left", "right", "similarity", "sources"))
    places, ours, theirs = carried_pairs(left, right, (sides[0].changes, sides[1].changes), within=_within(sides))
    return Candidates(ours.astype(np.uint32), theirs.astype(np.uint32), similarity[places], sources[places])


def _nearest(sides: tuple[_Side, _Side], params: SearchParams, threads: int) -> list[Proposals]:
    """The entities nearest to the new and changed ones of each side."""
    left = _searched(sides[0], sides[1], params, threads)
    found = [_proposed(left, sides[0].rows, VECTORS)]
    right = left if _within(sides) else _searched(sides[1], sides[0], params, threads)
    return [*found, _proposed(right, sides[1].rows, VECTORS, turned=True)]


def _searched(own: _Side, other: _Side, params: SearchParams, threads: int) -> Nearest:
    """The nearest entities of the other side for the new and changed ones of a side."""
    vectors, types = own.vectors[own.rows], own.types_of(own.rows)
    # Some of what is found in the old index is changed or gone, and left out.
    more = replace(params, nearest=2 * params.nearest)
    old = renumbered(other.old_searcher().nearest(vectors, types, more, threads=threads), other.changes.unchanged)
    itself = np.arange(len(own.rows)) if own.graph == other.graph else None
    new = other.new_searcher(params, threads).nearest(vectors, types, params, own=itself, threads=threads)
    return joined_nearest(old, renumbered(new, other.rows), most=params.nearest)


def _proposed(found: Nearest, rows: NDArray[np.int64], source: int, *, turned: bool = False) -> Proposals:
    """The pairs of a search for some rows; turned: of right entities among left ones."""
    near = proposed_nearest(found, source)
    own, other = rows[near.left].astype(np.uint32), near.right
    return Proposals(other, own, near.ranks, source) if turned else Proposals(own, other, near.ranks, source)


def _anchors(store: Store, sides: tuple[_Side, _Side], links: Ref, old_matches: Ref) -> Pairs:
    """(m, 2): the pairs that count as one where neighbours are compared: known ones, and old matches beside them."""
    if _within(sides):
        return np.repeat(np.arange(len(sides[0].tables))[:, None], 2, axis=1)
    known = known_positives(store, links, split="training")
    rows = store.open(old_matches, contracts.MATCHES).read("matches")
    columns = [
        side.changes.becomes[np.asarray(rows[name].to_numpy())]
        for side, name in zip(sides, ("left", "right"), strict=True)
    ]
    matched = np.stack(columns, axis=1)
    matched = matched[(matched >= 0).all(axis=1)]
    free = ~(np.isin(matched[:, 0], known[:, 0]) | np.isin(matched[:, 1], known[:, 1]))
    return np.unique(np.concatenate([known, matched[free]]), axis=0)


def _sharing(
    store: Store,
    sides: tuple[_Side, _Side],
    anchors: Pairs,
    types: tuple[NDArray[np.int32], NDArray[np.int32]],
    params: BlockingParams,
) -> list[Proposals]:
    """The entities that share most rare neighbours with the new and changed ones of each side."""
    if not all(side.tables.has_relations for side in sides):
        return []
    linked = [linked_entities(store, side.graph) for side in sides]
    found = []
    for which, side in enumerate(sides):
        shared = SharedNeighbors(
            linked[which],
            linked[1 - which],
            anchors if which == 0 else anchors[:, ::-1],
            most_neighbors=params.most_neighbors,
        )
        of_types = types if which == 0 else types[::-1]
        nearest = shared.nearest_of(side.rows, of_types, most=params.shared, within=_within(sides))
        found.append(_proposed(nearest, side.rows, NEIGHBORS, turned=which == 1))
    return found


def _others(others: pa.Table, sides: tuple[_Side, _Side]) -> list[Proposals]:
    """What rules, links and structure propose for new and changed entities; known pairs of all."""
    left, right, ranks, sources = (others[name].to_numpy() for name in ("left", "right", "rank", "source"))
    kept = sides[0].changes.changed[left] | sides[1].changes.changed[right] | (sources == LINKS)
    return [
        Proposals(left[mine], right[mine], ranks[mine], bit)
        for bit in np.unique(sources).tolist()
        if (mine := kept & (sources == bit)).any()
    ]


def _without(found: Candidates, carried: Candidates) -> Candidates:
    """The candidates found that are not carried over: known pairs may be both."""
    new = places_of_pairs(found.left, found.right, (carried.left, carried.right)) < 0
    return Candidates(found.left[new], found.right[new], found.similarity[new], found.sources[new])


def _write(
    run: StageRun,
    found: Candidates,
    rows_per_shard: int,
    names: Sequence[str],
    types: tuple[NDArray[np.int32], NDArray[np.int32]],
    links: Ref,
) -> list[dict[str, object]]:
    """Writes the candidates by shards of left entities; returns the counts of each."""
    positives, figures = known_positives(run.store, links), []
    for shard in row_shards(len(types[0]), rows_per_shard):
        mine = slice(*np.searchsorted(found.left, (shard.start, shard.stop)).tolist())
        part = Candidates(found.left[mine], found.right[mine], found.similarity[mine], found.sources[mine])
        run.write("candidates", candidates_table(part), shard=shard.index)
        figures.append(figures_of(part, shard, names, types, positives))
    return figures
