"""Growth of a label tree: assignment of new labels to the nearest leaves, and drift of the leaf centroids.

The label features of a leaf are summed into a dense vector, one leaf at a time: label features have so many entries
that sparse sums of all leaves at once cost more than solving the columns of a small refresh.
"""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from fingerpost.tasks.xmr.clustering import balanced_assignment
from fingerpost.tasks.xmr.label_features import labels_by_row, pifa
from fingerpost.tasks.xmr.sparse_rows import checked_rows
from fingerpost.tasks.xmr.tree import LabelTree


def embedded(rows: sparse.csr_array, targets: sparse.csr_array, chosen: NDArray[np.int64]) -> sparse.csr_array:
    """PIFA of the labels ``chosen``, CSR (chosen, features): equal to their rows of embed_labels.

    rows: CSR (n, features), scaled to unit length where the embedding normalises. targets: CSR (n, labels).
    """
    return pifa(rows, checked_rows(labels_by_row(targets)[chosen], "targets"))


def leaf_sum(features: sparse.csr_array, labels: NDArray[np.int64]) -> NDArray[np.float64]:
    """Sum of the features of some labels, float64 (m,), added in the order of ``labels``."""
    columns, values = _entries(features, labels)
    return np.bincount(columns, weights=values, minlength=features.shape[1]).astype(np.float64, copy=False)


def _entries(features: sparse.csr_array, labels: NDArray[np.int64]) -> tuple[NDArray[np.intp], NDArray[np.float64]]:
    """Columns and values of some rows, in the dtypes that bincount uses without a copy."""
    spans = list(zip(features.indptr[labels].tolist(), features.indptr[labels + 1].tolist(), strict=True))
    if not spans:
        return np.empty(0, np.intp), np.empty(0)
    columns = np.concatenate([features.indices[begin:end] for begin, end in spans], dtype=np.intp)
    return columns, np.concatenate([features.data[begin:end] for begin, end in spans], dtype=np.float64)


@dataclass(frozen=True)
class ChangedLabels:
    """New labels and known labels with recomputed features.

    labels: int64 (c,), ascending.
    features: CSR (c, m), their features now.
    """

    labels: NDArray[np.int64]
    features: sparse.csr_array


def grow_tree(
    tree: LabelTree,
    origin: NDArray[np.int64],
    label_features: sparse.csr_array,
    changed: ChangedLabels,
    *,
    capacity: int,
) -> tuple[LabelTree, NDArray[np.float64]]:
    """The tree of the labels in their new numbering, and the drift of each leaf's centroid, float64 (leaves,).

    Known labels stay in their leaf. A new label joins the nearest leaf with free capacity, measured to the centroid of
    the labels that stay; where all leaves are full, all grow by the same number. Drift is 1 - cosine of the centroid of
    all labels of a leaf before and now, 0 where the leaf was or is empty.

    origin: int64 (labels,), the label's former number, -1 for a new label.
    label_features: CSR (labels before, m).
    changed: all new labels, and the known labels with recomputed features.
    capacity: maximum number of labels per leaf.
    """
    leaves, leaf_before, known = tree.width(tree.depth - 2), tree.parents[-1], origin[origin >= 0]
    leaf = np.full(len(origin), -1, dtype=np.int64)
    leaf[origin >= 0] = leaf_before[known]
    is_new = origin[changed.labels] < 0
    new, recomputed = changed.labels[is_new], changed.labels[~is_new]
    removed = np.setdiff1d(np.arange(tree.labels), known)
    staying, leaving, dropped = (
        _by_leaf(labels, leaf_before, leaves)
        for labels in (np.sort(known), removed, np.union1d(removed, origin[recomputed]))
    )
    recomputed_features = changed.features[np.flatnonzero(~is_new)]
    rows = _by_leaf(np.arange(len(recomputed)), leaf[recomputed], leaves)
    new_features = changed.features[np.flatnonzero(is_new)].astype(np.float64)
    similarity, dots = np.empty((len(new), leaves), dtype=np.float32), np.empty((len(new), leaves))
    squares, change_dots = np.empty(leaves), np.empty(leaves)
    # One pass over all features; those that are added and removed are few in comparison.
    for i in range(leaves):
        centroid = leaf_sum(label_features, staying[i])
        dots[:, i] = new_features @ centroid
        similarity[:, i] = dots[:, i] / (math.sqrt(centroid @ centroid) or 1.0)
        if len(leaving[i]):
            leaving_sum = leaf_sum(label_features, leaving[i])
            dots[:, i] += new_features @ leaving_sum
            centroid += leaving_sum
        squares[i] = centroid @ centroid
        change_dots[i] = _dot(centroid, recomputed_features, rows[i]) - _dot(centroid, label_features, dropped[i])
    if len(new):
        free = np.maximum(capacity - np.bincount(leaf[leaf >= 0], minlength=leaves), 0)
        if free.sum() < len(new):
            free += -(-(len(new) - int(free.sum())) // leaves)
        leaf[new] = balanced_assignment(similarity, free)
        change_dots += np.bincount(leaf[new], weights=dots[np.arange(len(new)), leaf[new]], minlength=leaves)
    drift, filled = np.zeros(leaves), np.bincount(leaf, minlength=leaves) > 0
    for i, changed_here in enumerate(_by_leaf(np.arange(len(changed.labels)), leaf[changed.labels], leaves)):
        # The remaining sum of an emptied leaf is rounding error.
        if filled[i] and (len(changed_here) or len(dropped[i])):
            change = leaf_sum(changed.features, changed_here) - leaf_sum(label_features, dropped[i])
            now = squares[i] + 2 * change_dots[i] + float(change @ change)
            norm = math.sqrt(squares[i] * max(now, 0.0))
            drift[i] = max(1 - (squares[i] + change_dots[i]) / norm, 0.0) if norm > 0 else 0.0
    return LabelTree((*tree.parents[:-1], leaf.astype(np.int32))), drift


def _dot(vector: NDArray[np.float64], features: sparse.csr_array, labels: NDArray[np.int64]) -> float:
    """Dot product of a vector (m,) and the sum of some rows."""
    columns, values = _entries(features, labels)
    return float(vector[columns] @ values)


def _by_leaf(labels: NDArray[np.int64], leaf_of: NDArray[Any], leaves: int) -> list[NDArray[np.int64]]:
    """The labels of each leaf, in the order of ``labels``."""
    of = leaf_of[labels]
    order = np.argsort(of, kind="stable")
    return np.split(labels[order], np.searchsorted(of[order], np.arange(1, leaves)))
