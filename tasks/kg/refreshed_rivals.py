"""Rivals after few entities changed: the best two partners of an entity are sought again only where they may be others."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fingerpost.tasks.kg.rivals import NO_PARTNER, BestTwo, merged


@dataclass(frozen=True)
class SidePairs:
    """Pairs as one side sees them: entity, partner (m,), and whether the pair was there before."""

    entities: NDArray[np.int64]
    partners: NDArray[np.int64]
    before: NDArray[np.bool_]


@dataclass(frozen=True)
class LostPairs:
    """Pairs that are gone or whose partner changed, as one side sees them.

    entities, partners: (k,) rows before. then, now: float32 (k, texts), similarities before, and of the same pair now where
    it is one; NaN for unknown or none.
    """

    entities: NDArray[np.int64]
    partners: NDArray[np.int64]
    then: NDArray[np.float32]
    now: NDArray[np.float32]


@dataclass(frozen=True)
class SideBefore:
    """The best two of the entities of a side before, and the rows of entities and partners now.

    unchanged: int64 (entities before,), the row now of an entity of which nothing else is said, else -1. partners: the same
    of the other side. lost: pairs that are gone or whose partner changed.
    """

    best: BestTwo
    unchanged: NDArray[np.int64]
    partners: NDArray[np.int64]
    lost: "LostPairs"


def sought_again(before: SideBefore, changed: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """bool (entities now,): whether the best two of an entity are to be sought among all of its pairs.

    changed: bool (entities now,). Besides changed entities it is those that lost one of the best two, by any text, unless
    that one is now better than the second was, and so still one of the two; and those with two equally good partners where
    these changed their order.
    """
    again, best = changed.copy(), before.best
    if not len(best.entities):
        return again
    lost = before.lost
    place = np.minimum(np.searchsorted(best.entities, lost.entities), len(best.entities) - 1)
    # Without any similarity it is neither of the two, unless it was taken as the first for want of others.
    was_second = (lost.then > 0) & (lost.then >= best.second[place])
    is_one = (best.partners[place] == lost.partners[:, None]) | was_second
    still = lost.now > best.second[place]
    hit = (best.entities[place] == lost.entities) & (is_one & ~still).any(axis=1)
    again[_there(before.unchanged[lost.entities[hit]])] = True
    if (np.diff(_there(before.partners)) < 0).any():
        tied = (best.best == best.second).any(axis=1)
        again[_there(before.unchanged[best.entities[tied]])] = True
    return again


def _there(rows: NDArray[np.int64]) -> NDArray[np.int64]:
    return rows[rows >= 0]


def refreshed_best(
    before: SideBefore,
    again: NDArray[np.bool_],
    pairs: SidePairs,
    similarities: NDArray[np.float32],
    chosen: NDArray[np.bool_],
) -> BestTwo:
    """The best two of a side: as before, with what its new pairs bring, and of those that are sought again by all pairs.

    again: see `sought_again`. pairs: all pairs now. similarities: float32 (c, texts) of the ``chosen`` pairs, among which
    are all new ones and all of entities that are sought again.
    """
    rows = before.unchanged[before.best.entities]
    there = np.zeros(len(again), dtype=bool)
    there[pairs.entities] = True
    kept = np.flatnonzero((rows >= 0) & ~again[rows] & there[rows])
    kept = kept[np.argsort(rows[kept])]
    partners, first, second = (column[kept] for column in (before.best.partners, before.best.best, before.best.second))
    known = partners < len(before.partners)
    moved = np.full(partners.shape, -1, dtype=np.int64)
    moved[known] = before.partners[partners[known]]
    # The first one is lost, and comes back with its new similarity; what is left of the two is the second.
    gone = known & (moved < 0)
    old = BestTwo(
        rows[kept].astype(np.uint32),
        np.where(known & ~gone, moved, NO_PARTNER).astype(np.uint32),
        np.where(gone, second, first),
        np.where(gone, np.float32(0), second),
    )
    used = again[pairs.entities[chosen]] | ~pairs.before[chosen]
    entities, others = pairs.entities[chosen][used], pairs.partners[chosen][used]
    return merged([old, BestTwo.of(entities, others, similarities[used])])
