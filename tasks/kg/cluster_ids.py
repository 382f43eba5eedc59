"""Ids of clusters that stay from run to run, and the changes since the version before.

A cluster keeps the id of the earlier cluster with which it has the most members in common. All other ids come from the
key of a cluster's first member, so that they depend neither on a counter nor on the clock nor on the order of rows.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fingerpost.tasks.kg.lookups import looked_up

#: What may happen to a cluster; `History.events` has their places.
EVENTS = ("new", "gone", "merged", "split", "moved")
_NEW, _GONE, _MERGED, _SPLIT, _MOVED = range(len(EVENTS))


@dataclass(frozen=True)
class Overlaps:
    """Clusters of two versions with members in common, each pair once.

    now, before: int64 (m,), numbers of clusters, sorted by both. members: int64 (m,), how many they share. first: int64
    (m,), the least place by key of these.
    """

    now: NDArray[np.int64]
    before: NDArray[np.int64]
    members: NDArray[np.int64]
    first: NDArray[np.int64]


@dataclass(frozen=True)
class History:
    """Events of a version: int8 (m,), see `EVENTS`; the clusters before and now, int64 (m,), -1 for none; and members.

    new: a cluster without a member of the version before. gone: one whose members are all gone. merged: the members of a
    cluster whose id ends went to another. split: members of a cluster that keeps its id went to one with a new id. moved:
    they went to one with an id of its own. One row for each two clusters with different ids and common members.
    """

    events: NDArray[np.int8]
    before: NDArray[np.int64]
    now: NDArray[np.int64]
    members: NDArray[np.int64]


def overlaps(now: NDArray[np.int64], before: NDArray[np.int64], order: NDArray[np.int64]) -> Overlaps:
    """The overlaps of the clusters of entities now and before.

    now, before: int64 (entities,), numbers of clusters from 0; -1 in ``before`` for an entity that was not there. order:
    int64 (entities,), the place of each by its key.
    """
    known = np.flatnonzero(before >= 0)
    width = int(before.max(initial=0)) + 1
    packed = now[known] * width + before[known]
    places = np.lexsort((order[known], packed))
    starts = np.flatnonzero(np.diff(packed[places], prepend=-1))
    found = packed[places][starts]
    members = np.diff(starts, append=len(places))
    return Overlaps(found // width, found % width, members, order[known][places][starts])


def kept_clusters(found: Overlaps, count: int) -> NDArray[np.int64]:
    """int64 (count,): the cluster before whose id each cluster now keeps, -1 for none.

    The largest overlaps come first, of equal ones that with the least first member; each id is kept once.
    """
    kept = np.full(count, -1, dtype=np.int64)
    alone = (np.bincount(found.now)[found.now] == 1) & (np.bincount(found.before)[found.before] == 1)
    kept[found.now[alone]] = found.before[alone]
    contested = np.flatnonzero(~alone)
    contested = contested[np.lexsort((found.first[contested], -found.members[contested]))]
    given = set[int]()
    for now, before in zip(found.now[contested].tolist(), found.before[contested].tolist(), strict=True):
        if kept[now] < 0 and before not in given:
            kept[now] = before
            given.add(before)
    return kept


def history(found: Overlaps, kept: NDArray[np.int64], sizes_before: NDArray[np.int64]) -> History:
    """Which clusters are new, gone, merged, split or moved since the version before; kept: see `kept_clusters`.

    sizes_before: int64 (clusters before,), members then.
    """
    lives = np.zeros(len(sizes_before), dtype=bool)
    lives[kept[kept >= 0]] = True
    others = kept[found.now] != found.before
    to, since = found.now[others], found.before[others]
    passed = np.where(~lives[since], _MERGED, np.where(kept[to] < 0, _SPLIT, _MOVED))
    new = np.flatnonzero(np.bincount(found.now, minlength=len(kept)) == 0)
    gone = np.flatnonzero(np.bincount(found.before, minlength=len(sizes_before)) == 0)
    return History(
        np.concatenate([np.full(len(new), _NEW), np.full(len(gone), _GONE), passed]).astype(np.int8),
        np.concatenate([np.full(len(new), -1), gone, since]),
        np.concatenate([new, np.full(len(gone), -1), to]),
        np.concatenate([np.zeros(len(new), np.int64), sizes_before[gone], found.members[others]]),
    )


def content_ids(
    keys: Sequence[str], sides: Sequence[str], order: NDArray[np.int64], taken: NDArray[np.uint64]
) -> NDArray[np.uint64]:
    """uint64 (clusters,): new ids from the first member of each: its key, and left or right.

    order: int64 (clusters,), places of these members by key. taken: uint64, ids that are others'. Where an id is taken, or
    that of a member further in front, the next digest of the same key is used.
    """
    ids = np.array([_digest(side, key, 0) for side, key in zip(sides, keys, strict=True)], dtype=np.uint64)
    taken, attempt = np.sort(taken), 0
    while len(clashes := _clashes(ids, order, taken)):
        attempt += 1
        for place in clashes.tolist():
            ids[place] = _digest(sides[place], keys[place], attempt)
    return ids


def _clashes(ids: NDArray[np.uint64], order: NDArray[np.int64], taken: NDArray[np.uint64]) -> NDArray[np.int64]:
    by_id = np.lexsort((order, ids))
    again = np.zeros(len(ids), dtype=bool)
    again[by_id[1:]] = ids[by_id[1:]] == ids[by_id[:-1]]
    return np.flatnonzero(again | looked_up(taken, ids)[1])


def _digest(side: str, key: str, attempt: int) -> int:
    """64 bits of BLAKE2b of a member; the first attempt has number 0."""
    said = f"{side}\0{attempt}\0{key}".encode()
    return int.from_bytes(hashlib.blake2b(said, digest_size=8).digest(), "big")
