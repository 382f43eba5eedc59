"""What the stages of pairs read: the comparer of two graphs, rivals, structure, trees, and the scorer made of them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from fingerpost.schemas import kg as contracts
from fingerpost.schemas.matrices import fixed_lists, tensors_from_arrow, tensors_to_arrow
from fingerpost.schemas.refs import Ref
from fingerpost.schemas.store import Store
from fingerpost.tasks.kg.blocking import LINKS
from fingerpost.tasks.kg.entity_texts import EntityTexts
from fingerpost.tasks.kg.lookups import spread
from fingerpost.tasks.kg.pair_features import PairComparer
from fingerpost.tasks.kg.pair_scorer import (
    STRUCTURE,
    FeatureParams,
    FindRivals,
    Logits,
    PairFeatures,
    PairScorer,
    Stack,
    StructurePairs,
)
from fingerpost.tasks.kg.rivals import BestTwo, merged
from fingerpost.tasks.kg.stages.graph_tables import GraphTables, is_within
from fingerpost.tasks.kg.stages.known_pairs import known_positives
from fingerpost.tasks.kg.stages.texts import read_terms, read_texts
from fingerpost.tasks.kg.terms import NAME, NEIGHBORS, OWN, WHOLE
from fingerpost.tasks.recent import Recent

SIDES = ("left", "right")
_texts: Recent[tuple[str, Ref, Ref, tuple[str, ...]], tuple[EntityTexts, EntityTexts]] = Recent()
_rivals: Recent[tuple[str, Ref, bool], tuple[BestTwo, BestTwo]] = Recent()


def open_comparer(store: Store, members: Mapping[str, Ref], params: FeatureParams) -> PairComparer:
    """The comparer of two graphs; members: left, right, terms, links."""
    terms = read_terms(store, members["terms"])
    names = [name for name in terms.of_kinds(*OWN) if name not in (NAME, WHOLE)]
    left, right = _sides(store, members, names)
    anchors = _anchors(store, members["links"]) if NEIGHBORS in terms.kinds else np.zeros((0, 2), np.int64)
    return PairComparer(left, right, terms, anchors, neighbors=params.neighbors)


def _sides(store: Store, members: Mapping[str, Ref], names: Sequence[str]) -> tuple[EntityTexts, EntityTexts]:
    """The texts of both graphs, which the next shard asks for again."""
    refs = members["left"], members.get("right", members["left"])

    def read() -> tuple[EntityTexts, EntityTexts]:
        left = read_texts(GraphTables.open(store, refs[0]), names)
        return left, left if is_within(members) else read_texts(GraphTables.open(store, refs[1]), names)

    return _texts.get((store.url, *refs, tuple(names)), read)


def _anchors(store: Store, links: Ref) -> NDArray[np.int64]:
    """Pairs of training that were given as the same: assumed ones are no evidence for others."""
    return known_positives(store, links, split="training", assumed=False)


def open_features(store: Store, members: Mapping[str, Ref], params: FeatureParams) -> PairFeatures:
    """All features of pairs.

    members: left, right, terms, links, candidates; structure where there is one; rivals where they were looked for, else
    they are found among the candidates of the entities asked for, to the same bits.
    """
    comparer = open_comparer(store, members, params)
    structure, rivals = None, None
    if params.structure and "structure" in members:
        rows = store.open(members["structure"], contracts.STRUCTURE).read("pairs")
        structure = StructurePairs.of(*(rows[name].to_numpy() for name in ("left", "right", "probability")))
    if params.rivals:
        within = is_within(members)
        if "rivals" in members:
            rivals = read_rivals(store, members["rivals"], texts=len(comparer.own), within=within)
        else:
            rivals = SoughtRivals(comparer, candidate_pairs(store, members["candidates"]), within=within)
    return PairFeatures(comparer, rivals, structure)


def pairs_of(rows: pa.Table) -> NDArray[np.int64]:
    """int64 (m, 2): left and right entity of each row."""
    return np.stack([rows[side].to_numpy() for side in SIDES], axis=1).astype(np.int64)


def candidate_pairs(store: Store, candidates: Ref) -> NDArray[np.int64]:
    """The candidates that something but a known link proposes: what rivals are looked for among."""
    rows = store.open(candidates, contracts.CANDIDATES).read("candidates")
    return pairs_of(rows)[rows["sources"].to_numpy() != LINKS]


def best_two(comparer: PairComparer, pairs: NDArray[np.int64], *, within: bool) -> tuple[BestTwo, BestTwo]:
    """The best two partners of left and of right entities among some pairs; of one graph, of both ends alike."""
    letters = comparer.letters(pairs)
    ours, theirs = pairs.T
    if within:
        both = BestTwo.of(np.append(ours, theirs), np.append(theirs, ours), np.concatenate([letters, letters]))
        return both, both
    return BestTwo.of(ours, theirs, letters), BestTwo.of(theirs, ours, letters)


@dataclass(frozen=True)
class SoughtRivals:
    """Rivals of pairs, found among the candidates of their entities; pairs: all candidates."""

    comparer: PairComparer
    pairs: NDArray[np.int64]
    within: bool

    @cached_property
    def _orders(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """The candidates by left and by right entity."""
        left, right = (np.argsort(self.pairs[:, side], kind="stable") for side in range(2))
        return left, right

    def _of(self, side: int, entities: NDArray[np.int64]) -> NDArray[np.int64]:
        """The candidates of some entities of a side."""
        order = self._orders[side]
        column = self.pairs[order, side]
        first, last = (np.searchsorted(column, entities, side=end) for end in ("left", "right"))
        sizes = last - first
        return order[spread(first, sizes)]

    def __call__(self, pairs: NDArray[np.integer]) -> tuple[BestTwo, BestTwo]:
        ends = [np.unique(pairs[:, side]) for side in range(2)]
        if self.within:
            ends = [np.union1d(*ends)] * 2
        places = np.unique(np.concatenate([self._of(side, entities) for side, entities in enumerate(ends)]))
        return best_two(self.comparer, self.pairs[places], within=self.within)


def rivals_table(sides: Mapping[str, BestTwo]) -> pa.Table:
    """The rows of both sides."""
    tables = []
    for side, found in sides.items():
        columns = {"side": pa.array([side] * len(found.entities), pa.string()), "entity": pa.array(found.entities)}
        columns |= {name: _lists(getattr(found, name)) for name in ("partners", "best", "second")}
        tables.append(pa.table(columns))
    return pa.concat_tables(tables)


def _lists(matrix: NDArray[np.generic]) -> pa.Array:
    lists = fixed_lists(matrix)
    return lists.cast(pa.list_(lists.type.value_type))


def read_rivals(store: Store, ref: Ref, *, texts: int, within: bool) -> FindRivals:
    """The rivals of all entities, whatever pairs are asked for."""
    found = _rivals.get((store.url, ref, within), lambda: _merged_rivals(store, ref, texts, within=within))
    return lambda _: found


def _merged_rivals(store: Store, ref: Ref, texts: int, *, within: bool) -> tuple[BestTwo, BestTwo]:
    artifact = store.open(ref, contracts.RIVALS)
    parts: dict[str, list[BestTwo]] = {side: [] for side in SIDES}
    for entry in artifact.entries("rivals"):
        rows = artifact.read("rivals", shard=entry.shard)
        for side in SIDES:
            mine = rows.filter(pa.compute.equal(rows["side"], side))
            matrices = (
                mine[name].combine_chunks().flatten().to_numpy().reshape(-1, texts)
                for name in ("partners", "best", "second")
            )
            parts[side].append(BestTwo(mine["entity"].to_numpy(), *matrices))
    if within:
        parts = dict.fromkeys(SIDES, parts["left"] + parts["right"])
    return merged(parts["left"]), merged(parts["right"])


def matcher_tables(names: Sequence[str], arrays: Mapping[str, NDArray[np.generic]]) -> dict[str, pa.Table]:
    """The tables of a matcher."""
    return {"names": pa.table({"name": pa.array(names, pa.string())}), "trees": tensors_to_arrow(arrays)}


def read_stack(store: Store, ref: Ref) -> Stack:
    """A stored matcher."""
    artifact = store.open(ref, contracts.MATCHER)
    return Stack.from_arrays(artifact.read("names")["name"].to_pylist(), tensors_from_arrow(artifact.read("trees")))


def open_aligner(store: Store, members: Mapping[str, Ref]) -> Logits:
    """The log odds of an aligner; members: its own, and those of both sides that it was trained on."""
    # Beside this, few need it: without an aligner nothing of it is loaded.
    from fingerpost.tasks.kg.stages.stored_aligner import StoredAligner

    return StoredAligner(store, members).logits


def open_scorer(store: Store, members: Mapping[str, Ref]) -> PairScorer:
    """The published scorer; members: those of `open_features`, scorer, and those of `open_aligner` if it looks at one."""
    stack = read_stack(store, members["scorer"])
    params = FeatureParams(
        neighbors=any(name.startswith(f"{NEIGHBORS}:") for name in stack.names),
        rivals=any(name.endswith("_rival") for name in stack.names),
        structure=STRUCTURE in stack.names,
    )
    features = open_features(store, members, params)
    return PairScorer(features, stack, open_aligner(store, members) if stack.aligner else None)
