"""The stage that carries rivals over to an alignment in which few entities changed."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from fingerpost.schemas import kg as contracts
from fingerpost.schemas.refs import Ref
from fingerpost.schemas.store import Store
from fingerpost.tasks.kg.changes import Changes
from fingerpost.tasks.kg.pair_scorer import FeatureParams
from fingerpost.tasks.kg.pair_shards import PairShards
from fingerpost.tasks.kg.refresh import known_pairs, old_places, places_of_pairs
from fingerpost.tasks.kg.refreshed_rivals import (
    LostPairs,
    SideBefore,
    SidePairs,
    in_doubt,
    refreshed_best,
    sought_again,
)
from fingerpost.tasks.kg.rivals import BestTwo
from fingerpost.tasks.kg.stages.changes import read_changes
from fingerpost.tasks.kg.stages.scoring_inputs import (
    candidate_pairs,
    open_comparer,
    pairs_of,
    read_rivals,
    rivals_table,
)
from fingerpost.tasks.shards import Shard, even_shards
from fingerpost.tasks.stage import stage
from fingerpost.tasks.stage_run import StageRun


@stage(contracts.RIVALS)
def refresh_rivals(
    run: StageRun,
    left: Ref,
    right: Ref,
    terms: Ref,
    candidates: Ref,
    labels: Ref,
    left_changes: Ref,
    right_changes: Ref,
    old_left: Ref,
    old_right: Ref,
    old_candidates: Ref,
    old_rivals: Ref,
    *,
    params: PairShards,
) -> None:
    """The two most similar partners of every entity, as far as pairs of new and changed entities and labelled ones need them.

    Their rivals are those that `find_rivals` finds among all candidates. Compared are the candidates of new and changed
    entities, and all of those of entities that lost both of the two.
    """
    changes, within = (read_changes(run.store, left_changes), read_changes(run.store, right_changes)), left == right
    letters = _Letters(run, params, terms, labels)
    pairs = _Pairs.of(run.store, candidates, old_candidates, changes, within=within)
    new, found = pairs.place < 0, letters.of(left, right, pairs.now[pairs.place < 0])
    lost, exact = pairs.lost(changes), _labelled(run.store, labels, changes, within=within)
    now = _of_pairs(known_pairs(lost, changes, within=within), pairs.now[new], found)
    best = read_rivals(run.store, old_rivals, texts=found.shape[1], within=within)(np.zeros((0, 2), np.int64))
    before = _before(best, changes, LostPairs(lost[:, 0], lost[:, 1], np.full_like(now, np.nan), now), within=within)
    before = _with_doubts(before, letters, (old_left, old_right), lost, exact, within=within)
    again = [sought_again(side, of.changed, one) for side, of, one in zip(before, changes, exact, strict=True)]
    more = pairs.of_entities(again) & ~new
    similarities = _joined(new, found, more, letters.of(left, right, pairs.now[more], texts=found.shape[1]))
    run.write("rivals", rivals_table(pairs.best(before, again, similarities, new | more)))
    compared = len(similarities)
    run.quality = {
        "pairs": len(pairs.now),
        "compared": compared,
        "carried": len(pairs.now) - compared,
        "lost": len(lost),
    }


def _labelled(
    store: Store, labels: Ref, changes: tuple[Changes, Changes], *, within: bool
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """bool (entities before,) of each side: those that are in labelled pairs."""
    rows, found = pairs_of(store.open(labels, contracts.LINKS).read("links")), []
    for at, side in enumerate(changes):
        origin = side.origin[np.unique(rows) if within else rows[:, at]]
        named = np.zeros(len(side.becomes), dtype=bool)
        named[origin[origin >= 0]] = True
        found.append(named)
    return found[0], found[1]


def _with_doubts(
    before: list[SideBefore],
    letters: "_Letters",
    graphs: tuple[Ref, Ref],
    lost: NDArray[np.int64],
    exact: tuple[NDArray[np.bool_], NDArray[np.bool_]],
    *,
    within: bool,
) -> list[SideBefore]:
    """The same with the similarities that lost pairs had where it matters whether they were the second best."""
    doubts = [in_doubt(side.best, side.lost, one) for side, one in zip(before, exact, strict=True)]
    chosen = doubts[0][: len(lost)] | (doubts[0][len(lost) :] if within else doubts[1])
    then = np.full((len(lost), before[0].lost.then.shape[1]), np.nan, dtype=np.float32)
    then[chosen] = letters.of(*graphs, lost[chosen], texts=then.shape[1])
    then = np.concatenate([then, then]) if within else then
    return [replace(side, lost=replace(side.lost, then=then)) for side in before]


def _of_pairs(
    pairs: NDArray[np.int64], among: NDArray[np.int64], similarities: NDArray[np.float32]
) -> NDArray[np.float32]:
    """float32 (m, texts): the similarities of pairs (m, 2) among others (k, 2); NaN for one that is not there."""
    place = places_of_pairs(pairs[:, 0], pairs[:, 1], (among[:, 0], among[:, 1]))
    found = np.full((len(pairs), similarities.shape[1]), np.nan, dtype=np.float32)
    found[place >= 0] = similarities[place[place >= 0]]
    return found


def _joined(
    first: NDArray[np.bool_], of_first: NDArray[np.float32], other: NDArray[np.bool_], of_other: NDArray[np.float32]
) -> NDArray[np.float32]:
    """The rows of two disjoint choices, in the order of what they are chosen from."""
    chosen = first | other
    rows = np.empty((int(chosen.sum()), of_first.shape[1]), dtype=np.float32)
    rows[first[chosen]], rows[other[chosen]] = of_first, of_other
    return rows


@dataclass(frozen=True)
class _Letters:
    """Similarities of pairs by their texts, in shards."""

    run: StageRun
    params: PairShards
    terms: Ref
    links: Ref

    def of(self, left: Ref, right: Ref, pairs: NDArray[np.int64], *, texts: int | None = None) -> NDArray[np.float32]:
        """float32 (m, texts) of pairs of two graphs; texts: their number, where it is known."""
        if texts is not None and not len(pairs):
            return np.zeros((0, texts), dtype=np.float32)
        members = {"left": left, "right": right, "terms": self.terms, "links": self.links}
        shards = even_shards(len(pairs), self.params.pairs_per_shard)
        return np.concatenate(self.run.gather(_letters_shard, shards, members=members, pairs=pairs))


def _letters_shard(
    store: Store, shard: Shard, *, members: Mapping[str, Ref], pairs: NDArray[np.int64]
) -> NDArray[np.float32]:
    comparer = open_comparer(store, members, FeatureParams(neighbors=False))
    return comparer.letters(pairs[shard.start : shard.stop])


@dataclass(frozen=True)
class _Pairs:
    """All pairs now and before, (m, 2) each but those by known links alone, and which of those now were there before."""

    now: NDArray[np.int64]
    old: NDArray[np.int64]
    place: NDArray[np.int64]
    within: bool

    @classmethod
    def of(
        cls, store: Store, candidates: Ref, old_candidates: Ref, changes: tuple[Changes, Changes], *, within: bool
    ) -> "_Pairs":
        now, old = (candidate_pairs(store, ref) for ref in (candidates, old_candidates))
        return cls(now, old, old_places(now, old, changes, within=within), within)

    def lost(self, changes: tuple[Changes, Changes]) -> NDArray[np.int64]:
        """(k, 2): pairs before of an unchanged entity that are none now, or whose partner changed."""
        gone = np.ones(len(self.old), dtype=bool)
        gone[self.place[self.place >= 0]] = False
        unchanged = [side.unchanged[self.old[:, at]] >= 0 for at, side in enumerate(changes)]
        return self.old[gone & (unchanged[0] | unchanged[1])]

    def of_entities(self, chosen: list[NDArray[np.bool_]]) -> NDArray[np.bool_]:
        """bool (m,): the pairs of chosen entities of either side."""
        return chosen[0][self.now[:, 0]] | chosen[1][self.now[:, 1]]

    def best(
        self,
        before: list[SideBefore],
        again: list[NDArray[np.bool_]],
        similarities: NDArray[np.float32],
        chosen: NDArray[np.bool_],
    ) -> dict[str, BestTwo]:
        """The best two partners of the entities of each side; of one graph, of both ends of pairs alike."""
        left, right = self.now.T
        if self.within:
            ends = SidePairs(np.append(left, right), np.append(right, left), np.tile(self.place >= 0, 2))
            twice = np.concatenate([similarities, similarities])
            return {"left": refreshed_best(before[0], again[0], ends, twice, np.tile(chosen, 2))}
        sides = SidePairs(left, right, self.place >= 0), SidePairs(right, left, self.place >= 0)
        return {
            name: refreshed_best(before[at], again[at], sides[at], similarities, chosen)
            for at, name in enumerate(("left", "right"))
        }


def _before(
    best: tuple[BestTwo, BestTwo], changes: tuple[Changes, Changes], lost: LostPairs, *, within: bool
) -> list[SideBefore]:
    """What was found for each side; of one graph, for both ends of pairs alike."""
    turned = LostPairs(lost.partners, lost.entities, lost.then, lost.now)
    both = LostPairs(*(np.concatenate([getattr(lost, name), getattr(turned, name)]) for name in vars(lost)))
    ends = (both, both) if within else (lost, turned)
    return [SideBefore(best[at], changes[at].unchanged, changes[1 - at].unchanged, ends[at]) for at in range(2)]
