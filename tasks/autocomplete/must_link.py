"""Clusters of suggestions by label features under must-link constraints on their first characters.

On round d, suggestions that share their first d characters are one super-point: the sum of their features, with their
number as its weight. Clusters of more suggestions than a leaf may have and of more than one super-point are split in two
by balanced 2-means of the super-points, again and again. Source: the constrained index variant of "Session-aware query
auto-completion using extreme multi-label ranking", KDD 2021.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from fingerpost.tasks.xmr.clustering import ClusterParams


def must_link_partitions(
    features: sparse.csr_array, tries: Sequence[NDArray[np.int32]], params: ClusterParams
) -> list[NDArray[np.int32]]:
    """Partitions of suggestions, the coarsest first; nodes have at most ``params.branching`` parts below.

    features: label features CSR (suggestions, m).
    tries: int32 (suggestions,) each, the partitions by the first 1, 2, ... characters.
    """
    cluster = np.zeros(features.shape[0], dtype=np.int32)
    steps = [cluster]
    for points in tries:
        sums, weights = super_points(features, points)
        first = np.flatnonzero(np.diff(points, prepend=-1))
        while True:
            halves = _split(sums, weights, cluster[first], params, step=len(steps))
            if not halves.any():
                break
            cluster = _renumbered(2 * cluster + halves[points])
            steps.append(cluster)
    # Of halves of halves, those remain that a node with so many children needs.
    stride = params.branching.bit_length() - 1
    return steps[::-1][::stride][::-1]


def super_points(features: sparse.csr_array, points: NDArray[np.int32]) -> tuple[sparse.csr_array, NDArray[np.int64]]:
    """Sums of the features of the suggestions of each point, CSR float64 (points, m), and their number."""
    count, rows = int(points.max()) + 1, len(points)
    choice = sparse.csr_array((np.ones(rows), (points, np.arange(rows))), shape=(count, rows))
    return (choice @ features.astype(np.float64)).tocsr(), np.bincount(points).astype(np.int64)


def _split(
    sums: sparse.csr_array,
    weights: NDArray[np.int64],
    cluster: NDArray[np.int32],
    params: ClusterParams,
    *,
    step: int,
) -> NDArray[np.int32]:
    """The half of each point, 0 or 1: all 0 in clusters that are small enough or of one point. cluster: of the points."""
    halves = np.zeros(len(cluster), dtype=np.int32)
    order = np.argsort(cluster, kind="stable")
    for members in np.split(order, np.flatnonzero(np.diff(cluster[order])) + 1):
        if len(members) > 1 and weights[members].sum() > params.max_leaf_size:
            seed = [params.seed, step, int(cluster[members[0]])]
            halves[members] = weighted_halves(sums[members], weights[members], max_iter=params.max_iter, seed=seed)
    return halves


def weighted_halves(
    sums: sparse.csr_array, weights: NDArray[np.int64], *, max_iter: int, seed: Sequence[int]
) -> NDArray[np.bool_]:
    """Spherical 2-means of points, with halves of equal weight as far as whole points allow: bool (points,).

    sums: CSR float64 (points, m), weighted points. Ties go by the point's number; no half is empty.
    """
    units = sparse.diags_array(1 / _nonzero(np.sqrt(sums.multiply(sums).sum(axis=1)))).dot(sums).tocsr()
    one, other = np.random.default_rng(seed).choice(len(weights), size=2, replace=False)
    direction = units[[one]].toarray()[0] - units[[other]].toarray()[0]
    half = np.zeros(len(weights), dtype=np.bool_)
    for _ in range(max_iter):
        order = np.argsort(units @ direction, kind="stable")
        heavier = np.cumsum(weights[order])[:-1]
        cut = int(np.argmin(np.abs(2 * heavier - weights.sum()))) + 1
        before, half = half, np.zeros(len(weights), dtype=np.bool_)
        half[order[cut:]] = True
        if (half == before).all():
            break
        direction = _unit(sums[np.flatnonzero(half)]) - _unit(sums[np.flatnonzero(~half)])
    return half


def _unit(rows: sparse.csr_array) -> NDArray[np.float64]:
    """The sum of rows at unit length."""
    total = np.bincount(rows.indices, weights=rows.data, minlength=rows.shape[1])
    return total / float(_nonzero(np.sqrt(np.square(total).sum())))


def _nonzero(norms: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.where(norms > 0, norms, 1.0)


def _renumbered(parts: NDArray[np.int32]) -> NDArray[np.int32]:
    """The same parts, numbered from 0 in their order."""
    return np.unique(parts, return_inverse=True)[1].astype(np.int32)
