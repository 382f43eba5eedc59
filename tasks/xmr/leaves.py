"""Leaves of a tree whose labels change: which leaf is nearest to a new label, and how far the centres of leaves go.

Sums of a leaf's label features are made dense, one leaf at a time: label features are so many entries that sparse sums of all
leaves at once cost more than the solving of a small refresh.
"""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from tasks.xmr.clustering import balanced_assignment
from tasks.xmr.label_features import labels_by_row, pifa
from tasks.xmr.sparse_rows import checked_rows
from tasks.xmr.tree import LabelTree


def embedded(rows: sparse.csr_array, targets: sparse.csr_array, chosen: NDArray[np.int64]) -> sparse.csr_array:
    """PIFA of some labels, CSR (chosen, features): the very rows that embed_labels gives them.

    rows (n, features): scaled to length one where labels are embedded by such.
    """
    return pifa(rows, checked_rows(labels_by_row(targets)[chosen], "targets"))


def leaf_sum(features: sparse.csr_array, labels: NDArray[np.int64]) -> NDArray[np.float64]:
    """The sum of the features of some labels, float64 (m,), added in their order."""
    columns, values = _entries(features, labels)
    return np.bincount(columns, weights=values, minlength=features.shape[1]).astype(np.float64, copy=False)


def _entries(features: sparse.csr_array, labels: NDArray[np.int64]) -> tuple[NDArray[np.intp], NDArray[np.float64]]:
    """Columns and values of some rows, in the types that bincount would else make copies of."""
    spans = list(zip(features.indptr[labels].tolist(), features.indptr[labels + 1].tolist(), strict=True))
    if not spans:
        return np.empty(0, np.intp), np.empty(0)
    columns = np.concatenate([features.indices[begin:end] for begin, end in spans], dtype=np.intp)
    return columns, np.concatenate([features.data[begin:end] for begin, end in spans], dtype=np.float64)


@dataclass(frozen=True)
class Came:
    """Labels that count with other features than before: their numbers int64 (c,), ascending, and these features, CSR (c, m)."""

    labels: NDArray[np.int64]
    features: sparse.csr_array


def grow_tree(
    tree: LabelTree, origin: NDArray[np.int64], label_features: sparse.csr_array, came: Came, *, capacity: int
) -> tuple[LabelTree, NDArray[np.float64]]:
    """The tree of the labels in their new numbering, and how far each leaf's centre has gone, float64 (leaves,).

    Kept labels stay in their leaf, each new one joins the leaf with room whose centre, that of the labels that stay, is
    nearest; where all leaves are full they grow alike. How far: 1 - cosine of the centre of all a leaf's labels before and
    now, 0 where either is empty. label_features (labels before, m); origin (labels,): the number before, -1 for a new
    label; came: all new labels, and those that stay with other features.
    """
    leaves, leaf_before, known = tree.width(tree.depth - 2), tree.parents[-1], origin[origin >= 0]
    leaf = np.full(len(origin), -1, dtype=np.int64)
    leaf[origin >= 0] = leaf_before[known]
    is_new = origin[came.labels] < 0
    new, changed = came.labels[is_new], came.labels[~is_new]
    removed = np.setdiff1d(np.arange(tree.labels), known)
    stay, away, gone = (
        _by_leaf(labels, leaf_before, leaves)
        for labels in (np.sort(known), removed, np.union1d(removed, origin[changed]))
    )
    others, rows = came.features[np.flatnonzero(~is_new)], _by_leaf(np.arange(len(changed)), leaf[changed], leaves)
    fresh = came.features[np.flatnonzero(is_new)].astype(np.float64)
    near, dots = np.empty((len(new), leaves), dtype=np.float32), np.empty((len(new), leaves))
    squares, along = np.empty(leaves), np.empty(leaves)
    # One pass over all features; what comes and goes is little beside them.
    for place in range(leaves):
        then = leaf_sum(label_features, stay[place])
        dots[:, place] = fresh @ then
        near[:, place] = dots[:, place] / (math.sqrt(then @ then) or 1.0)
        if len(away[place]):
            left = leaf_sum(label_features, away[place])
            dots[:, place] += fresh @ left
            then += left
        squares[place] = then @ then
        along[place] = _dot(then, others, rows[place]) - _dot(then, label_features, gone[place])
    if len(new):
        room = np.maximum(capacity - np.bincount(leaf[leaf >= 0], minlength=leaves), 0)
        if room.sum() < len(new):
            room += -(-(len(new) - int(room.sum())) // leaves)
        leaf[new] = balanced_assignment(near, room)
        along += np.bincount(leaf[new], weights=dots[np.arange(len(new)), leaf[new]], minlength=leaves)
    drift, filled = np.zeros(leaves), np.bincount(leaf, minlength=leaves) > 0
    for place, mine in enumerate(_by_leaf(np.arange(len(came.labels)), leaf[came.labels], leaves)):
        # What an emptied leaf has left is rounding.
        if filled[place] and (len(mine) or len(gone[place])):
            change = leaf_sum(came.features, mine) - leaf_sum(label_features, gone[place])
            now = squares[place] + 2 * along[place] + float(change @ change)
            norm = math.sqrt(squares[place] * max(now, 0.0))
            drift[place] = max(1 - (squares[place] + along[place]) / norm, 0.0) if norm > 0 else 0.0
    return LabelTree((*tree.parents[:-1], leaf.astype(np.int32))), drift


def _dot(vector: NDArray[np.float64], features: sparse.csr_array, labels: NDArray[np.int64]) -> float:
    """A vector (m,) times the sum of some rows."""
    columns, values = _entries(features, labels)
    return float(vector[columns] @ values)


def _by_leaf(labels: NDArray[np.int64], leaf_of: NDArray[Any], leaves: int) -> list[NDArray[np.int64]]:
    """These labels by their leaf, in their order."""
    of = leaf_of[labels]
    order = np.argsort(of, kind="stable")
    return np.split(labels[order], np.searchsorted(of[order], np.arange(1, leaves)))
