"""Clusters of entities that are one: connected components of matches, split where the pairs between the parts say no.

Matches that are one-to-one are clusters of two as they are. Where an entity may match several, one wrong match would join
all that hangs on either end. Components of more than two are therefore built again by average linkage (Sokal and
Michener, 1958): the two groups with the highest mean probability over the pairs between them are joined, as long as this
mean is that of an acceptable match. Pairs that were compared and refused count with their probability; those that were
never compared say little, and count with a small weight, so that long chains break while large groups, whose members are
not all compared with each other, do not.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fingerpost.tasks.kg.mixing import mixed

#: Probabilities are added as whole multiples of 2**-30, so that sums do not depend on the order of rows.
_UNIT = 2**30
#: In place of the probability of a pair that is known to be two entities: no group with both is ever made.
NEVER = -1e6


@dataclass(frozen=True)
class ClusterParams:
    """linkage: the least mean probability between two groups that are joined, as a multiple of the threshold of matches.

    unscored: weight in this mean of a pair that was never compared; a compared one has a weight of 1.
    """

    linkage: float = 1.0
    unscored: float = 0.1

    def __post_init__(self) -> None:
        if not 0 < self.linkage <= 1 or not 0 <= self.unscored <= 1:
            raise ValueError(
                "clusters: expected a linkage above 0 and up to 1, and a weight of unscored pairs of 0 to 1, got"
                f" {self.linkage} and {self.unscored}; correct them"
            )


@dataclass(frozen=True)
class ComparedPairs:
    """Pairs of entities, each once, with their probabilities.

    pairs: int64 (m, 2), numbers of entities. probabilities: float64 (m,), 0 to 1, or `NEVER`.
    """

    pairs: NDArray[np.int64]
    probabilities: NDArray[np.float64]


def members_to_split(component: NDArray[np.int64]) -> NDArray[np.bool_]:
    """bool (entities,): members of components of more than two, which may have to be split."""
    return np.bincount(component)[component] > 2


def split_components(
    component: NDArray[np.int64],
    scored: ComparedPairs,
    order: NDArray[np.int64],
    *,
    threshold: float,
    params: ClusterParams,
) -> NDArray[np.int64]:
    """int64 (entities,): the cluster of each entity, from 0, as components of more than two are split.

    component: int64 (entities,), see `components`. scored: all compared pairs inside the components of more than two,
    accepted and refused. order: int64 (entities,), the place of each by its key, which decides ties. threshold: the
    probability from which pairs are matches.
    """
    labels = np.where(members_to_split(component), -1, component)
    nodes = np.flatnonzero(labels < 0)
    number = np.full(len(component), -1, dtype=np.int64)
    number[nodes] = np.arange(len(nodes))
    groups = _linked(
        _Groups.of(component[nodes], number[scored.pairs], scored.probabilities, order[nodes]),
        threshold * params.linkage,
        params.unscored,
    )
    labels[nodes] = len(component) + groups
    return np.unique(labels, return_inverse=True)[1].astype(np.int64)


@dataclass(frozen=True)
class _Groups:
    """Groups of nodes while they are joined, and the edges between groups with any compared pair.

    group: int64 (nodes,). sizes, first: int64 (nodes,), by group: its nodes, and the place of its first node by key within
    its component, which does not depend on other components. component: int64 (nodes,), by group, from 0. ends: int64 (edges, 2),
    ascending. sums: int64 (edges,), probabilities in units. counts: int64 (edges,), compared pairs.
    """

    group: NDArray[np.int64]
    sizes: NDArray[np.int64]
    first: NDArray[np.int64]
    component: NDArray[np.int64]
    ends: NDArray[np.int64]
    sums: NDArray[np.int64]
    counts: NDArray[np.int64]

    @classmethod
    def of(
        cls,
        component: NDArray[np.int64],
        pairs: NDArray[np.int64],
        probabilities: NDArray[np.float64],
        order: NDArray[np.int64],
    ) -> "_Groups":
        nodes = len(component)
        component = np.unique(component, return_inverse=True)[1].astype(np.int64)
        by_key = np.lexsort((order, component))
        starts = np.flatnonzero(np.diff(component[by_key], prepend=-1))
        first = np.empty(nodes, dtype=np.int64)
        first[by_key] = np.arange(nodes) - np.repeat(starts, np.diff(starts, append=nodes))
        units = np.rint(np.asarray(probabilities, dtype=np.float64) * _UNIT).astype(np.int64)
        own = np.arange(nodes)
        return cls(own, np.ones(nodes, np.int64), first, component, np.sort(pairs, axis=1), units, np.ones_like(units))


def _linked(groups: _Groups, least: float, unscored: float) -> NDArray[np.int64]:
    """int64 (nodes,): the group of each node when no two have a mean of at least ``least`` between them.

    All groups that are each other's best are joined at once. This gives what joining the best two at a time does, since
    a joined group is never closer to a third one than its closer part was (Bruynooghe, 1977).
    """
    while len(groups.ends):
        one, other = groups.ends.T
        compared = groups.sizes[one] * groups.sizes[other]
        means = groups.sums / _UNIT / (groups.counts + unscored * (compared - groups.counts))
        near = means >= least
        # Components without such an edge are done.
        open_components = np.zeros(len(groups.component), dtype=bool)
        open_components[groups.component[one[near]]] = True
        kept = open_components[groups.component[one]]
        joined = _mutual(groups, one[near], other[near], means[near])
        groups = _contracted(groups, kept, joined)
    return groups.group


def _mutual(
    groups: _Groups, one: NDArray[np.int64], other: NDArray[np.int64], means: NDArray[np.float64]
) -> NDArray[np.int64]:
    """int64 (joins, 2): groups that are each other's best, the one to keep first."""
    low, high = np.sort(np.stack([groups.first[one], groups.first[other]]), axis=0).astype(np.uint64)
    # Equal means are as if drawn, by the keys alone: in order of keys a large group of equals would grow one at a time.
    drawn = mixed(mixed(low) + high)
    rank = np.empty(len(one), dtype=np.int64)
    rank[np.lexsort((high, low, drawn, -means))] = np.arange(len(one))
    best = np.full(len(groups.sizes), len(one), dtype=np.int64)
    np.minimum.at(best, one, rank)
    np.minimum.at(best, other, rank)
    chosen = (best[one] == rank) & (best[other] == rank)
    return np.stack([one[chosen], other[chosen]], axis=1)


def _contracted(groups: _Groups, kept: NDArray[np.bool_], joined: NDArray[np.int64]) -> _Groups:
    """The groups after the joins, with the ``kept`` edges that still lead from one to another, those alike as one."""
    stays, goes = joined.T
    becomes = np.arange(len(groups.sizes))
    becomes[goes] = stays
    sizes, first = groups.sizes.copy(), groups.first.copy()
    sizes[stays] += groups.sizes[goes]
    first[stays] = np.minimum(first[stays], groups.first[goes])
    ends = np.sort(becomes[groups.ends[kept]], axis=1)
    between = ends[:, 0] != ends[:, 1]
    packed, sums, counts = (
        values[between] for values in (ends[:, 0] * len(sizes) + ends[:, 1], groups.sums[kept], groups.counts[kept])
    )
    order = np.argsort(packed, kind="stable")
    begins = np.flatnonzero(np.diff(packed[order], prepend=-1))
    if len(begins):
        sums, counts = np.add.reduceat(sums[order], begins), np.add.reduceat(counts[order], begins)
    ends = np.stack(np.divmod(packed[order][begins], len(sizes)), axis=1)
    return _Groups(becomes[groups.group], sizes, first, groups.component, ends, sums, counts)
