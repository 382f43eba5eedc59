"""Balanced hierarchical clustering of labels into a tree (PECOS, JMLR 23(98), 2022, section 3.1).

Random numbers come from the seed and a node's place, so a subtree can be computed anywhere with the same result.
"""

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from ext.ranker_split import split_rows
from tasks.xmr.sparse_rows import checked_rows
from tasks.xmr.tree import LabelTree, TreeError, merged_tree

#: spherical, euclidean: halves merged to the branching; kmeans: as many balanced parts a node as the branching says.
Clustering = Literal["spherical", "euclidean", "kmeans"]
CLUSTERINGS: tuple[Clustering, ...] = ("spherical", "euclidean", "kmeans")


@dataclass(frozen=True)
class ClusterParams:
    """Children a node, most labels a leaf cluster, passes a split.

    Up to ``flat_labels`` labels get no tree: a single cluster, solved on all rows, is then affordable and more precise.
    """

    method: Clustering = "spherical"
    branching: int = 16
    max_leaf_size: int = 100
    flat_labels: int = 1_000
    max_iter: int = 20
    seed: int = 0

    def __post_init__(self) -> None:
        if self.method not in CLUSTERINGS:
            raise ValueError(f"method: expected one of {CLUSTERINGS}, got {self.method!r}; choose one of them")
        for name, least in (("branching", 2), ("max_leaf_size", 1), ("max_iter", 1), ("flat_labels", 0)):
            if getattr(self, name) < least:
                raise ValueError(f"{name}: expected at least {least}, got {getattr(self, name)}; raise it")
        if not 0 <= self.seed < 2**64:
            raise ValueError(f"seed: expected 0 to 2**64 - 1, got {self.seed}; choose another")

    def splits(self, labels: int) -> int:
        """Levels of splits above the leaf clusters; 0 where one cluster holds all labels."""
        if labels <= max(self.max_leaf_size, self.flat_labels):
            return 0
        base = self.branching if self.method == "kmeans" else 2
        depth = max(1, math.ceil(round(math.log(labels / self.max_leaf_size, base), 9)))
        if base**depth > labels:
            raise TreeError(
                f"label tree: expected at least {base**depth} labels for leaf clusters of {self.max_leaf_size}, "
                f"got {labels}; raise max_leaf_size"
            )
        return depth


def split_subtree(
    features: sparse.csr_array,
    members: NDArray[np.uint32],
    params: ClusterParams,
    *,
    depth: int,
    level: int = 0,
    place: int = 0,
) -> tuple[NDArray[np.uint32], NDArray[np.int64]]:
    """Splits a node's members ``depth`` times: members leaf by leaf uint32 (m,), and sizes of the leaves int64.

    features: label features CSR as checked_rows gives them. (level, place) is the node's place among all splits.
    """
    if params.method == "kmeans":
        return _kmeans_subtree(features, np.sort(members), params, depth, level, place)
    return split_rows(
        features.indptr,
        features.indices,
        features.data,
        features.shape[1],
        members,
        depth=depth,
        level=level,
        place=place,
        max_iter=params.max_iter,
        spherical=params.method == "spherical",
        seed=params.seed,
    )


def tree_of_leaves(order: NDArray[np.uint32], sizes: NDArray[np.int64], params: ClusterParams) -> LabelTree:
    """The tree over leaf clusters given as members leaf by leaf and their sizes."""
    leaf_of_label = np.empty(len(order), dtype=np.int32)
    leaf_of_label[order] = np.repeat(np.arange(len(sizes), dtype=np.int32), sizes)
    return merged_tree(leaf_of_label, len(sizes), params.branching)


def cluster_labels(features: sparse.csr_array, params: ClusterParams = ClusterParams()) -> LabelTree:
    """The tree of labels with these features (labels, m); leaf sizes differ by at most one."""
    rows = checked_rows(features, "label features")
    if rows.shape[0] == 0:
        raise TreeError("label tree: expected at least one label, got none; give labels")
    members = np.arange(rows.shape[0], dtype=np.uint32)
    order, sizes = split_subtree(rows, members, params, depth=params.splits(len(members)))
    return tree_of_leaves(order, sizes, params)


def _kmeans_subtree(
    features: sparse.csr_array, members: NDArray[np.uint32], params: ClusterParams, depth: int, level: int, place: int
) -> tuple[NDArray[np.uint32], NDArray[np.int64]]:
    if depth == 0:
        return members, np.array([len(members)], dtype=np.int64)
    sides = _kmeans_sides(features[members], params, level, place)
    parts = [
        _kmeans_subtree(features, members[sides == part], params, depth - 1, level + 1, place * params.branching + part)
        for part in range(params.branching)
    ]
    return np.concatenate([order for order, _ in parts]), np.concatenate([sizes for _, sizes in parts])


def _kmeans_sides(rows: sparse.csr_array, params: ClusterParams, level: int, place: int) -> NDArray[np.int64]:
    """Balanced spherical k-means of rows: the part of each."""
    parts, count = params.branching, rows.shape[0]
    room = np.full(parts, count // parts)
    room[: count % parts] += 1
    start = np.random.default_rng([params.seed, level, place]).choice(count, size=parts, replace=False)
    centres = rows[start].toarray()
    sides = np.full(count, -1)
    for _ in range(params.max_iter):
        found = balanced_assignment(np.asarray(rows @ np.ascontiguousarray(centres.T)), room)
        if (found == sides).all():
            break
        sides = found
        choice = sparse.csr_array((np.ones(count), sides, np.arange(count + 1)), shape=(count, parts))
        sums = (choice.T.tocsr() @ rows.astype(np.float64)).toarray()
        norms = np.sqrt(np.einsum("ij,ij->i", sums, sums))
        centres = (sums / np.where(norms > 0, norms, 1.0)[:, None]).astype(np.float32)
    return sides


def balanced_assignment(scores: NDArray[np.float32], room: NDArray[np.int64]) -> NDArray[np.int64]:
    """A part for each row, at most ``room`` rows a part: every row asks for its best open part, the best get in.

    Ties go to the smaller part and the smaller row; ``room`` sums up to at least the rows.
    """
    sides = np.full(len(scores), -1)
    left = room.copy()
    while True:
        waiting = np.flatnonzero(sides < 0)
        if len(waiting) == 0:
            return sides
        wishes = np.where(left > 0, scores[waiting], -np.inf)
        wanted = wishes.argmax(axis=1)
        for part in np.unique(wanted):
            asking = waiting[wanted == part]
            best = asking[np.argsort(-scores[asking, part], kind="stable")[: left[part]]]
            sides[best] = part
            left[part] -= len(best)
