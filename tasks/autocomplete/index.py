"""Trees over suggestions: tries, balanced clusters of label features, hybrids of both, and must-link clusters.

The suggestions' matching keys ascend, so that those with a common prefix are consecutive. A tree is put together from
partitions of the suggestions, the coarsest first, each a refinement of the one before: an array with the number of each
suggestion's part. Where a part is not divided any further, its node goes on as a chain. Source: the index variants of
"Session-aware query auto-completion using extreme multi-label ranking", KDD 2021.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from fingerpost.tasks.autocomplete.must_link import must_link_partitions
from fingerpost.tasks.xmr.clustering import ClusterParams, split_subtree
from fingerpost.tasks.xmr.sparse_rows import checked_rows
from fingerpost.tasks.xmr.tree import LabelTree, TreeError

#: trie: by the first characters; hybrid: by the first few, below that by label features; must_link: by label features,
#: but suggestions that share their first characters together; clusters: by label features alone.
IndexMethod = Literal["trie", "hybrid", "must_link", "clusters"]
INDEX_METHODS: tuple[IndexMethod, ...] = ("trie", "hybrid", "must_link", "clusters")

#: Of each suggestion, the number of its part: int32 (suggestions,), every number from 0 on.
Partition = NDArray[np.int32]


@dataclass(frozen=True)
class IndexParams:
    """Parameters of a tree.

    method: trie (by the first characters), hybrid (by the first few, below that by label features), must_link (by
        label features, but suggestions that share their first characters together) or clusters (by label features
        alone).
    depth: number of first characters (code points of the key) that a trie branches on, or that are linked; not used
        by ``clusters``.
    max_children: a node of a trie with more children has groups of consecutive ones in between, so that the children
        of a node are solved and searched in reasonable time where a language has thousands of characters.
    max_leaf_size: maximum number of suggestions per leaf. A larger leaf of a trie is cut in the order of keys.
    branching: maximum number of children of a node above clusters.
    max_iter: maximum number of passes per split into clusters.
    seed: seed of the clusters.
    """

    method: IndexMethod = "hybrid"
    depth: int = 3
    max_children: int = 64
    max_leaf_size: int = 100
    branching: int = 16
    max_iter: int = 20
    seed: int = 0

    def __post_init__(self) -> None:
        if self.method not in INDEX_METHODS:
            raise ValueError(f"method: expected one of {INDEX_METHODS}, got {self.method!r}; choose one of them")
        for name, minimum in (("depth", 1), ("max_children", 2), ("max_leaf_size", 2), ("branching", 2)):
            if getattr(self, name) < minimum:
                raise ValueError(f"{name}: expected at least {minimum}, got {getattr(self, name)}; raise it")
        _ = self.clusters  # which checks the others

    @property
    def clusters(self) -> ClusterParams:
        """Parameters of the clustering of label features."""
        return ClusterParams(
            branching=self.branching,
            max_leaf_size=self.max_leaf_size,
            flat_labels=0,
            max_iter=self.max_iter,
            seed=self.seed,
        )

    @property
    def embedded(self) -> bool:
        """Whether the tree depends on label features."""
        return self.method != "trie"


def trie_partitions(keys: Sequence[str], depth: int) -> list[Partition]:
    """The partitions by the first 1 to ``depth`` characters; keys of fewer characters are parts of their own.

    Raises TreeError for keys that do not ascend.
    """
    if any(one >= other for one, other in pairwise(keys)):
        raise TreeError("suggestions: expected distinct ascending keys, got others; sort them by their UTF-8 bytes")
    letters = np.array([key[:depth] for key in keys], dtype=f"<U{depth}").view(np.uint32).reshape(len(keys), depth)
    begins = np.ones(len(keys), dtype=np.bool_)
    differs = np.zeros(len(keys) - 1, dtype=np.bool_)
    partitions = []
    for place in range(depth):
        differs |= letters[1:, place] != letters[:-1, place]
        begins[1:] = differs
        partitions.append((np.cumsum(begins) - 1).astype(np.int32))
    return partitions


def upper_partitions(
    keys: Sequence[str], features: sparse.csr_array | None, params: IndexParams = IndexParams()
) -> list[Partition]:
    """The partitions down to the parts of which each is clustered by itself.

    keys: ascending. features: CSR (suggestions, m), which must-link clusters need.

    Raises TreeError without suggestions, and for keys that do not ascend.
    """
    if not keys:
        raise TreeError("suggestions: expected at least one, got none; pass suggestions")
    if params.method == "clusters":
        return [np.zeros(len(keys), dtype=np.int32)]
    tries = trie_partitions(keys, params.depth)
    if params.method == "must_link":
        return must_link_partitions(_features_of(keys, features), tries, params.clusters)
    return with_groups(tries, params.max_children)


def _features_of(keys: Sequence[str], features: sparse.csr_array | None) -> sparse.csr_array:
    """The label features in the kernels' form; TreeError without them, or for another number of rows."""
    if features is None:
        raise TreeError("tree of suggestions: expected label features, got none; pass them, or make a trie")
    if features.shape[0] != len(keys):
        raise TreeError(f"label features: expected {len(keys)} rows, got {features.shape[0]}; pass one per suggestion")
    return checked_rows(features, "label features")


def splits_of(partition: Partition, params: IndexParams) -> NDArray[np.int64]:
    """Number of levels of splits in halves below each part, int64 (parts,): as many as its leaves need; 0 in a trie."""
    sizes = np.bincount(partition)
    if not params.embedded:
        return np.zeros(len(sizes), dtype=np.int64)
    return np.array([params.clusters.splits(size) for size in sizes.tolist()], dtype=np.int64)


def leaf_numbers(
    features: sparse.csr_array, partition: Partition, parts: range, params: IndexParams
) -> tuple[NDArray[np.uint32], NDArray[np.int32]]:
    """The suggestions of those of some parts that are split, uint32, and the number of each one's leaf in its part, int32.

    features: label features CSR (suggestions, m), as returned by checked_rows.
    """
    order = np.argsort(partition, kind="stable").astype(np.uint32)
    ends = np.cumsum(np.bincount(partition))
    splits = splits_of(partition, params)
    members: list[NDArray[np.uint32]] = [np.empty(0, np.uint32)]
    numbers: list[NDArray[np.int32]] = [np.empty(0, np.int32)]
    for part in parts:
        if splits[part] == 0:
            continue
        mine = order[ends[part - 1] if part else 0 : ends[part]]
        mine, sizes = split_subtree(features, mine, params.clusters, depth=int(splits[part]), position=part)
        members.append(mine)
        numbers.append(np.repeat(np.arange(len(sizes), dtype=np.int32), sizes))
    return np.concatenate(members), np.concatenate(numbers)


def part_blocks(partition: Partition, params: IndexParams, most: int) -> list[range]:
    """Ranges of parts, each ending with the first that brings it to ``most`` suggestions to be clustered."""
    sizes = np.where(splits_of(partition, params) > 0, np.bincount(partition), 0)
    blocks, start, held = [], 0, 0
    for part, size in enumerate(sizes.tolist()):
        held += size
        if held >= most or (held and part == len(sizes) - 1):
            blocks.append(range(start, part + 1))
            start, held = part + 1, 0
    return blocks


def joined_tree(upper: Sequence[Partition], leaf: NDArray[np.int32], params: IndexParams) -> LabelTree:
    """The tree over the upper partitions and the leaves in which their last parts are split.

    leaf: int32 (suggestions,), the number of each one's leaf within its part of the last partition.
    """
    last = upper[-1]
    width = np.left_shift(1, splits_of(last, params))
    below: list[Partition] = []
    while True:
        start = np.cumsum(width) - width
        below.insert(0, (start[last] + leaf).astype(np.int32))
        if width.max() <= params.branching:
            break
        leaf, width = leaf // params.branching, -(-width // params.branching)
    partitions = [*upper, *below]
    if params.method == "trie":
        partitions += _groups(last, params.max_leaf_size)
    return tree_of_partitions(partitions)


def tree_of_suggestions(
    keys: Sequence[str], features: sparse.csr_array | None = None, params: IndexParams = IndexParams()
) -> LabelTree:
    """The tree of suggestions by their ascending keys and, but for a trie, their label features CSR (suggestions, m).

    Raises TreeError without suggestions, for keys that do not ascend, and without the features that a method needs.
    """
    upper = upper_partitions(keys, features, params)
    leaf = np.zeros(len(keys), dtype=np.int32)
    if params.embedded:
        rows = _features_of(keys, features)
        for parts in part_blocks(upper[-1], params, len(keys)):
            members, numbers = leaf_numbers(rows, upper[-1], parts, params)
            leaf[members] = numbers
    return joined_tree(upper, leaf, params)


def tree_of_partitions(partitions: Sequence[Partition]) -> LabelTree:
    """The tree with a level for each partition that refines the one before, and with chain nodes."""
    labels = len(partitions[0])
    levels: list[NDArray[np.int32]] = []
    above, width = np.zeros(labels, dtype=np.int32), 1
    for partition in [*partitions, np.arange(labels, dtype=np.int32)]:
        parts = int(partition.max()) + 1
        if parts > width:
            parents = np.zeros(parts, dtype=np.int32)
            parents[partition] = above
            levels.append(parents)
            above, width = partition, parts
    return LabelTree(tuple(levels or [np.zeros(1, dtype=np.int32)]), chains=True)


def with_groups(partitions: Sequence[Partition], limit: int) -> list[Partition]:
    """Partitions in the order of keys, with groups in between where a part has more than ``limit`` parts below."""
    grouped: list[Partition] = []
    above = np.zeros(len(partitions[0]), dtype=np.int32)
    for partition in partitions:
        first = np.flatnonzero(np.diff(partition, prepend=-1))
        grouped += [groups[partition] for groups in _groups(above[first], limit)]
        grouped.append(partition)
        above = partition
    return grouped


def _groups(parents: NDArray[np.int32], limit: int) -> list[Partition]:
    """Partitions of children into groups of consecutive ones of a parent, so that no node has more than ``limit``.

    As few levels as possible, with groups of about as many on each. Children of a parent with few of them are one group.

    parents: of the children, ascending; each has children.
    """
    levels: list[Partition] = []
    group = np.arange(len(parents), dtype=np.int32)
    of, counts = parents, np.bincount(parents)
    while counts.max() > limit:
        levels_left = np.maximum(np.ceil(np.round(np.log(counts) / math.log(limit), 9)), 1)
        size = np.minimum(np.ceil(np.round(counts ** (1 / levels_left), 9)).astype(np.int64), limit)
        start, groups = np.cumsum(counts) - counts, -(-counts // size)
        place = np.arange(len(of)) - start[of]
        group = ((np.cumsum(groups) - groups)[of] + place * groups[of] // counts[of])[group].astype(np.int32)
        levels.insert(0, group)
        of, counts = np.repeat(np.arange(len(counts), dtype=np.int32), groups), groups
    return levels


def index_need(suggestions: int, entries: int, columns: int, params: IndexParams) -> dict[str, int]:
    """Bytes of making a tree, by part. entries, columns: of the label features."""
    groups = max(1, math.ceil(math.log(max(suggestions, 2), min(params.max_children, params.max_leaf_size))))
    levels = 1 if params.method == "clusters" else params.depth + groups
    return {
        "keys": (4 * params.depth + 80) * suggestions,
        "partitions": 4 * (levels + 12) * suggestions,
        "label_features": 8 * entries + 16 * suggestions if params.embedded else 0,
        "splits": (14 * entries + 32 * columns + 60 * suggestions) if params.embedded else 0,
        "super_points": 40 * entries + 40 * columns if params.method == "must_link" else 0,
    }
