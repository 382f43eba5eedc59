"""Rivals after few entities changed: the best two partners of an entity are sought again only where they may be others."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fingerpost.tasks.kg.rivals import BestTwo, merged


@dataclass(frozen=True)
class SidePairs:
    """Pairs as one side sees them: entity, partner (m,), and whether the pair was there before."""

    entities: NDArray[np.int64]
    partners: NDArray[np.int64]
    before: NDArray[np.bool_]


@dataclass(frozen=True)
class SideBefore:
    """The best two of the entities of a side before, and the rows of entities and partners now.

    unchanged: int64 (entities before,), the row now of an entity of which nothing else is said, else -1. partners: the same
    of the other side. lost: entities and partners (k,) and similarities (k, texts) of pairs that are gone, by rows before.
    """

    best: BestTwo
    unchanged: NDArray[np.int64]
    partners: NDArray[np.int64]
    lost: tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float32]]


def sought_again(before: SideBefore, changed: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """bool (entities now,): whether the best two of an entity are to be sought among all of its pairs.

    changed: bool (entities now,). Besides changed entities it is those that lost one of the best two, by any text, and
    those with two equally good partners where these changed their order.
    """
    again, best = changed.copy(), before.best
    if not len(best.entities):
        return again
    entities, partners, similarities = before.lost
    place = np.minimum(np.searchsorted(best.entities, entities), len(best.entities) - 1)
    # Without any similarity it is neither of the two, unless it was taken as the first for want of others.
    was_second = (similarities > 0) & (similarities >= best.second[place])
    hit = (best.entities[place] == entities) & (was_second | (best.partners[place] == partners[:, None])).any(axis=1)
    again[_there(before.unchanged[entities[hit]])] = True
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
    partners = before.best.partners[kept]
    known = partners < len(before.partners)
    partners[known] = before.partners[partners[known]].astype(np.uint32)
    old = BestTwo(rows[kept].astype(np.uint32), partners, before.best.best[kept], before.best.second[kept])
    used = again[pairs.entities[chosen]] | ~pairs.before[chosen]
    entities, others = pairs.entities[chosen][used], pairs.partners[chosen][used]
    return merged([old, BestTwo.of(entities, others, similarities[used])])
