# distutils: language = c++
"""Sums of the leaves that rows reach in binary trees; see trees.pyi."""

import numpy as np

from libc.stdint cimport int32_t, uint8_t

from ext.build cimport FINGERPOST_SOURCE_HASH

SOURCE_HASH: str = FINGERPOST_SOURCE_HASH.decode()

cdef extern from "trees.hpp" namespace "fingerpost::trees" nogil:
    cdef cppclass Nodes:
        const int32_t* features
        const double* values
        const uint8_t* missing_left
        const int32_t* left
        const int32_t* right
    void c_sums "fingerpost::trees::sums"(const Nodes&, const int32_t*, size_t, const float*, size_t, size_t, double,
                                          double*)


cdef _check(features, left, right, roots, int width):
    count = len(features)
    inner = np.flatnonzero(features >= 0)
    if len(inner) and features.max() >= width:
        raise ValueError(f"trees: expected features below {width}, got {features.max()}; give the rows of training")
    if len(roots) and not 0 <= roots.min() <= roots.max() < count:
        raise ValueError(f"trees: expected roots of 0 to {count - 1}, got others; correct them")
    # Children come after their parents: so every walk ends.
    for children in (left[inner], right[inner]):
        if len(inner) and not ((children > inner) & (children < count)).all():
            raise ValueError("trees: expected children after their parents, got others; number them from the root")


def tree_sums(const int32_t[::1] features, const double[::1] values, const uint8_t[::1] missing_left,
              const int32_t[::1] left, const int32_t[::1] right, const int32_t[::1] roots, const float[:, ::1] rows, *,
              double start):
    if not (len(features) == len(values) == len(missing_left) == len(left) == len(right)):
        raise ValueError(f"trees: expected arrays of one length, got {len(features)} to {len(right)}; correct them")
    _check(np.asarray(features), np.asarray(left), np.asarray(right), np.asarray(roots), rows.shape[1])
    out = np.full(rows.shape[0], start)
    cdef double[::1] view = out
    cdef Nodes nodes
    cdef size_t count = rows.shape[0], width = rows.shape[1], trees = roots.shape[0]
    if count == 0 or trees == 0 or width == 0:
        if trees and width == 0:
            raise ValueError("rows: expected at least one feature, got none; give the rows of training")
        return out
    nodes.features, nodes.values, nodes.missing_left = &features[0], &values[0], &missing_left[0]
    nodes.left, nodes.right = &left[0], &right[0]
    with nogil:
        c_sums(nodes, &roots[0], trees, &rows[0, 0], count, width, start, &view[0])
    return out
