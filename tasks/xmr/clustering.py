"""Balanced hierarchical clustering of labels into a tree (PECOS, JMLR 23(98), 2022, section 3.1).

Random numbers depend on the seed and the node's position, so that a subtree can be computed by any worker with the same
result.
"""

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from fingerpost.ext.ranker_split import split_rows
from fingerpost.tasks.xmr.sparse_rows import checked_rows
from fingerpost.tasks.xmr.tree import LabelTree, TreeError, merged_tree

#: spherical, euclidean: recursive 2-means, merged to the branching factor; kmeans: balanced k-means at each node.
Clustering = Literal["spherical", "euclidean", "kmeans"]
CLUSTERINGS: tuple[Clustering, ...] = ("spherical", "euclidean", "kmeans")


@dataclass(frozen=True)
class ClusterParams:
    """Parameters of the clustering.

    method: spherical or euclidean (recursive 2-means, merged to the branching factor), or kmeans (balanced k-means at
        each node).
    branching: maximum number of children per node.
    max_leaf_size: maximum number of labels per leaf cluster.
    flat_labels: up to this many labels form a single cluster without a tree, solved on all rows: affordable and more
        precise.
    max_iter: maximum number of passes per split.
    seed: seed of the splits.
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
        for name, minimum in (("branching", 2), ("max_leaf_size", 1), ("max_iter", 1), ("flat_labels", 0)):
            if getattr(self, name) < minimum:
                raise ValueError(f"{name}: expected at least {minimum}, got {getattr(self, name)}; raise it")
        if not 0 <= self.seed < 2**64:
            raise ValueError(f"seed: expected 0 to 2**64 - 1, got {self.seed}; choose another")

    def splits(self, labels: int) -> int:
        """Number of levels of splits above the leaf clusters; 0 where one cluster holds all labels.

        Raises TreeError for too few labels.
        """
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
    position: int = 0,
) -> tuple[NDArray[np.uint32], NDArray[np.int64]]:
    """Splits a node's members ``depth`` times: members ordered by leaf, uint32 (m,), and sizes of the leaves, int64.

    features: label features, CSR as returned by checked_rows. (level, position): of the node among all splits.
    """
    if params.method == "kmeans":
        return _kmeans_subtree(features, np.sort(members), params, depth, level, position)
    return split_rows(
        features.indptr,
        features.indices,
        features.data,
        features.shape[1],
        members,
        depth=depth,
        level=level,
        place=position,
        max_iter=params.max_iter,
        spherical=params.method == "spherical",
        seed=params.seed,
    )


def tree_of_leaves(order: NDArray[np.uint32], sizes: NDArray[np.int64], params: ClusterParams) -> LabelTree:
    """The tree over leaf clusters; ``order``: members ordered by leaf, ``sizes``: of the leaves."""
    leaf_of_label = np.empty(len(order), dtype=np.int32)
    leaf_of_label[order] = np.repeat(np.arange(len(sizes), dtype=np.int32), sizes)
    return merged_tree(leaf_of_label, len(sizes), params.branching)


def cluster_labels(features: sparse.csr_array, params: ClusterParams = ClusterParams()) -> LabelTree:
    """The label tree of features CSR (labels, m); leaf sizes differ by at most one.

    Raises TreeError without labels or with too few.
    """
    rows = checked_rows(features, "label features")
    if rows.shape[0] == 0:
        raise TreeError("label tree: expected at least one label, got none; pass labels")
    members = np.arange(rows.shape[0], dtype=np.uint32)
    order, sizes = split_subtree(rows, members, params, depth=params.splits(len(members)))
    return tree_of_leaves(order, sizes, params)


def _kmeans_subtree(
    features: sparse.csr_array,
    members: NDArray[np.uint32],
    params: ClusterParams,
    depth: int,
    level: int,
    position: int,
) -> tuple[NDArray[np.uint32], NDArray[np.int64]]:
    if depth == 0:
        return members, np.array([len(members)], dtype=np.int64)
    sides = _kmeans_sides(features[members], params, level, position)
    parts = [
        _kmeans_subtree(
            features, members[sides == part], params, depth - 1, level + 1, position * params.branching + part
        )
        for part in range(params.branching)
    ]
    return np.concatenate([order for order, _ in parts]), np.concatenate([sizes for _, sizes in parts])


def _kmeans_sides(rows: sparse.csr_array, params: ClusterParams, level: int, position: int) -> NDArray[np.int64]:
    """Balanced spherical k-means: the cluster of each row, int64 (rows,)."""
    parts, count = params.branching, rows.shape[0]
    capacity = np.full(parts, count // parts)
    capacity[: count % parts] += 1
    start = np.random.default_rng([params.seed, level, position]).choice(count, size=parts, replace=False)
    centres = rows[start].toarray()
    sides = np.full(count, -1)
    for _ in range(params.max_iter):
        assigned = balanced_assignment(np.asarray(rows @ np.ascontiguousarray(centres.T)), capacity)
        if (assigned == sides).all():
            break
        sides = assigned
        choice = sparse.csr_array((np.ones(count), sides, np.arange(count + 1)), shape=(count, parts))
        sums = (choice.T.tocsr() @ rows.astype(np.float64)).toarray()
        norms = np.sqrt(np.einsum("ij,ij->i", sums, sums))
        centres = (sums / np.where(norms > 0, norms, 1.0)[:, None]).astype(np.float32)
    return sides


def balanced_assignment(scores: NDArray[np.float32], capacity: NDArray[np.int64]) -> NDArray[np.int64]:
    """The cluster of each row, int64 (n,), with at most ``capacity`` rows per cluster.

    In rounds, every unassigned row requests its best cluster with free capacity, and the rows with the highest scores
    are accepted. Ties go to the smaller cluster and the smaller row.

    scores: float32 (n, parts). capacity: int64 (parts,), with a sum of at least n.
    """
    sides = np.full(len(scores), -1)
    free = capacity.copy()
    while True:
        waiting = np.flatnonzero(sides < 0)
        if len(waiting) == 0:
            return sides
        open_scores = np.where(free > 0, scores[waiting], -np.inf)
        requested = open_scores.argmax(axis=1)
        for part in np.unique(requested):
            applicants = waiting[requested == part]
            accepted = applicants[np.argsort(-scores[applicants, part], kind="stable")[: free[part]]]
            sides[accepted] = part
            free[part] -= len(accepted)
