"""Incremental alignment: pairs of unchanged entities are carried over, only those of new and changed ones are computed."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fingerpost.tasks.kg.blocking import LINKS, RULES, STRUCTURE, Candidates
from fingerpost.tasks.kg.changes import Changes
from fingerpost.tasks.kg.lookups import looked_up
from fingerpost.tasks.kg.search import Nearest
from fingerpost.tasks.kg.shared_neighbors import places

#: Candidates from these sources stay, however dissimilar their vectors are.
_FIRM = LINKS | RULES | STRUCTURE
_COLUMNS = ("left", "right", "similarity", "sources")


def joined_nearest(first: Nearest, second: Nearest, *, most: int) -> Nearest:
    """The ``most`` nearest of two searches for the same entities, nearest first, the smaller row of equal ones."""
    owners = np.concatenate([np.repeat(np.arange(len(one.indptr) - 1), np.diff(one.indptr)) for one in (first, second)])
    rows = np.concatenate([first.rows, second.rows])
    similarities = np.concatenate([first.similarities, second.similarities])
    order = np.lexsort((rows, -similarities, owners))
    order = order[places(owners[order]) < most]
    indptr = np.searchsorted(owners[order], np.arange(len(first.indptr))).astype(np.int64)
    return Nearest(indptr, rows[order], similarities[order], first.distances + second.distances)


def renumbered(nearest: Nearest, number: NDArray[np.int64]) -> Nearest:
    """What a search found under other numbers of rows; number: int64 (rows,), -1 for one that is left out."""
    rows = number[nearest.rows]
    kept = rows >= 0
    owners = np.repeat(np.arange(len(nearest.indptr) - 1), np.diff(nearest.indptr))[kept]
    indptr = np.searchsorted(owners, np.arange(len(nearest.indptr))).astype(np.int64)
    return Nearest(indptr, rows[kept].astype(np.uint32), nearest.similarities[kept], nearest.distances)


def joined_candidates(carried: Candidates, found: Candidates, *, most: int) -> Candidates:
    """Carried and newly found candidates, no pair in both, up to ``most`` of each left entity.

    Where a left entity has more with the new ones, the most similar stay, after known pairs and those of equal values or
    structure. A left entity without a new one keeps all that it had.
    """
    touched = np.zeros(int(max(carried.left.max(initial=0), found.left.max(initial=0))) + 1, dtype=bool)
    touched[found.left] = True
    again = touched[carried.left]
    kept, open_ = _rows_of(carried, ~again), _rows_of(carried, again)
    both = Candidates(*(np.concatenate([getattr(open_, name), getattr(found, name)]) for name in _COLUMNS))
    order = np.lexsort((both.right, -both.similarity, (both.sources & _FIRM) == 0, both.left))
    chosen = order[places(both.left[order]) < most]
    chosen = chosen[np.lexsort((both.right[chosen], both.left[chosen]))]
    at = np.searchsorted(kept.left, both.left[chosen])
    return Candidates(*(np.insert(getattr(kept, name), at, getattr(both, name)[chosen]) for name in _COLUMNS))


def _rows_of(candidates: Candidates, kept: NDArray[np.bool_]) -> Candidates:
    return Candidates(*(getattr(candidates, name)[kept] for name in _COLUMNS))


def places_of_pairs(
    left: NDArray[np.integer], right: NDArray[np.integer], among: tuple[NDArray[np.integer], NDArray[np.integer]]
) -> NDArray[np.int64]:
    """int64 (m,): the place of each pair of rows among others; -1 for one that is not there."""
    width = max(int(np.max(column, initial=0)) for column in (right, among[1])) + 1
    keys = among[0].astype(np.int64) * width + among[1]
    wanted = np.asarray(left, dtype=np.int64) * width + right
    if not len(keys):
        return np.full(len(wanted), -1, dtype=np.int64)
    order = None if (np.diff(keys) >= 0).all() else np.argsort(keys, kind="stable")
    keys = keys if order is None else keys[order]
    found, there = looked_up(keys, wanted)
    return np.where(there, found if order is None else order[found], -1)


def old_places(
    pairs: NDArray[np.integer], old: NDArray[np.integer], sides: tuple[Changes, Changes], *, within: bool
) -> NDArray[np.int64]:
    """int64 (m,): the place of each pair among the old ones; -1 where an entity is new or changed, or it was none.

    pairs: (m, 2) rows now. old: (k, 2) rows in the earlier version, ascending. within: both sides are one, and the smaller
    row is the left one.
    """
    left, right = (side.origin[pairs[:, place]] for place, side in enumerate(sides))
    same = ~(sides[0].changed[pairs[:, 0]] | sides[1].changed[pairs[:, 1]])
    if within:
        left, right = np.minimum(left, right), np.maximum(left, right)
    found = np.full(len(pairs), -1, dtype=np.int64)
    found[same] = places_of_pairs(left[same], right[same], (old[:, 0], old[:, 1]))
    return found


def known_pairs(pairs: NDArray[np.integer], sides: tuple[Changes, Changes], *, within: bool) -> NDArray[np.int64]:
    """int64 (m, 2): pairs of an earlier version under the rows now, -1 for an entity that is gone."""
    rows = np.stack([side.becomes[pairs[:, at]] for at, side in enumerate(sides)], axis=1).reshape(-1, 2)
    return np.sort(rows, axis=1) if within else rows


@dataclass(frozen=True)
class KnownBefore:
    """Known pairs of an earlier version under the rows now: int64 (m, 2), their labels, and their place there."""

    pairs: NDArray[np.int64]
    labels: NDArray[np.int8]
    places: NDArray[np.int64]


def known_before(
    pairs: NDArray[np.integer], labels: NDArray[np.int8], sides: tuple[Changes, Changes], *, within: bool
) -> KnownBefore:
    """The known pairs (m, 2) of an earlier version whose entities are still there."""
    rows = known_pairs(pairs, sides, within=within)
    kept = np.flatnonzero((rows >= 0).all(axis=1))
    kept = kept[np.lexsort((rows[kept, 1], rows[kept, 0]))]
    return KnownBefore(rows[kept], labels[kept], kept)


def other_labels(pairs: NDArray[np.integer], labels: NDArray[np.int8], before: KnownBefore) -> int:
    """How many pairs have another label than before, are new, or are known no more although both entities are there."""
    place = places_of_pairs(pairs[:, 0], pairs[:, 1], (before.pairs[:, 0], before.pairs[:, 1]))
    there = place >= 0
    same = int((labels[there] == before.labels[place[there]]).sum())
    return len(pairs) + len(before.pairs) - int(there.sum()) - same
