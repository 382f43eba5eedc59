"""Rivals after few entities changed: the best two partners of an entity are sought again only where they are not known.

A pair that is scored again has a new or changed entity. Its rivals on the side of an unchanged one are the other new and
changed partners, which are compared anyway, and the best of the unchanged partners: the first before, or the second if the
first changed. Only where both did must all partners be compared. Pairs of unchanged entities that something is measured on
need the best two themselves.
"""

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
    it is one; NaN for unknown, for none, and before where there is no doubt.
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


def in_doubt(best: BestTwo, lost: LostPairs, exact: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """bool (k,): lost pairs of which it matters whether they were the second best of their entity.

    Those of an entity that lost its best partner by any text and another one, and of entities (bool (entities before,)) whose
    best two are wanted exactly. The similarities of ``lost`` are not looked at.
    """
    if not len(best.entities):
        return np.zeros(len(lost.entities), dtype=bool)
    place, first = _first_of(best, lost)
    counts = np.bincount(place, minlength=len(best.entities))
    without = np.zeros(len(best.entities), dtype=bool)
    without[place[first.any(axis=1)]] = True
    return (without[place] & (counts[place] > 1)) | exact[lost.entities]


def _first_of(best: BestTwo, lost: LostPairs) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """The places of the entities of lost pairs, and by text, bool (k, texts), whether the partner was the best."""
    place = np.minimum(np.searchsorted(best.entities, lost.entities), len(best.entities) - 1)
    there = best.entities[place] == lost.entities
    return place, there[:, None] & (best.partners[place] == lost.partners[:, None])


def sought_again(before: SideBefore, changed: NDArray[np.bool_], exact: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """bool (entities now,): whether the best two of an entity are to be sought among all of its pairs.

    changed: bool (entities now,), sought in any case. exact: bool (entities before,), those whose best two are wanted
    exactly: also where one of them is lost, unless it is now better than the second was, and so still one of the two, and
    where two are equally good and changed their order.
    """
    again, best, lost = changed.copy(), before.best, before.lost
    if not len(best.entities):
        return again
    place, first = _first_of(best, lost)
    there = best.entities[place] == lost.entities
    # Without any similarity it is not the second, which is 0 for want of others.
    second = ~first & (lost.then > 0) & (lost.then >= best.second[place]) & there[:, None]
    lacking = [np.zeros(best.best.shape, dtype=bool) for _ in range(2)]
    for of, which in zip(lacking, (first, second), strict=True):
        np.logical_or.at(of, place, which)
    both = (lacking[0] & lacking[1]).any(axis=1)
    worse = ((first | second) & ~(lost.now > best.second[place])).any(axis=1) & exact[lost.entities]
    again[_there(before.unchanged[best.entities[both]])] = True
    again[_there(before.unchanged[lost.entities[worse]])] = True
    if (np.diff(_there(before.partners)) < 0).any():
        tied = (best.best == best.second).any(axis=1) & exact[best.entities]
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

    Where the first before is lost, the second takes its place without its partner's name, and where the second is lost its
    similarity stays: both are as good for pairs of new and changed partners, see above.

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
