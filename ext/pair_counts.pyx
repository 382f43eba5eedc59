# distutils: language = c++
"""Scores of all pairs of rows, and their histograms by class; see pair_counts.pyi."""

import numpy as np

from libc.stdint cimport uint32_t
from libcpp cimport bool as cbool

from ext.build cimport FINGERPOST_SOURCE_HASH
from ext.simd cimport active_name, available_names, force_name

SOURCE_HASH: str = FINGERPOST_SOURCE_HASH.decode()

cdef extern from "pair_counts.hpp" namespace "fingerpost::pairs" nogil:
    cdef cppclass Binning:
        float inverse
        float offset
        float last
    cdef cppclass Side:
        const float* rows
        size_t count
        const uint32_t* classes
    cdef cppclass Job:
        Side left
        Side right
        size_t dim
        cbool distance
        Binning binning
        size_t bins
        const uint32_t* same_begin
        const uint32_t* same_end
        cbool triangle
    cdef cppclass Counts:
        uint32_t* left
        uint32_t* right
        uint32_t* inside
    void c_scores "fingerpost::pairs::scores"(const float*, size_t, const float*, size_t, size_t, cbool,
                                              float*) except +
    void c_count "fingerpost::pairs::count"(const Job&, const Counts&, size_t, size_t, int) except +

_MEASURES = ("cosine", "euclidean")
MAX_BINS = 1 << 16


def available_paths():
    return available_names()


def active_path():
    return active_name()


def force_path(str name):
    force_name(name)


def _check(left, right, str measure):
    if measure not in _MEASURES:
        raise ValueError(f"measure: expected one of {_MEASURES}, got {measure!r}; choose one of them")
    if left.shape[1] != right.shape[1] or left.shape[1] == 0:
        raise ValueError(f"rows: expected both sides of one width, got {left.shape[1]} and {right.shape[1]}; "
                         "embed both alike")


def pair_scores(const float[:, ::1] left, const float[:, ::1] right, *, str measure):
    _check(left, right, measure)
    cdef size_t m = left.shape[0], n = right.shape[0], dim = left.shape[1]
    cdef cbool distance = measure == "euclidean"
    out = np.empty((m, n), dtype=np.float32)
    cdef float[:, ::1] view = out
    if m and n:
        with nogil:
            c_scores(&left[0, 0], m, &right[0, 0], n, dim, distance, &view[0, 0])
    return out


def _runs(classes, rows, str side):
    """Number of the run that each row is in, first row of each run, and the end of the last."""
    if classes.shape[0] != rows.shape[0] or (classes[1:] < classes[:-1]).any():
        raise ValueError(f"{side} classes: expected one a row, ascending, got {classes.shape[0]} for {rows.shape[0]} "
                         "rows or another order; sort the rows by class")
    starts = np.flatnonzero(np.diff(classes, prepend=classes[:1] - 1))
    return np.repeat(np.arange(len(starts), dtype=np.uint32), np.diff(starts, append=len(classes))), starts


def pair_counts(const float[:, ::1] left, left_classes, right, right_classes, *, str measure, float inverse_width,
                int offset, int bins, int threads=1):
    cdef cbool triangle = right is None
    if (right is None) != (right_classes is None):
        raise ValueError("right side: expected rows and classes or neither, got one of them; pass both")
    cdef const float[:, ::1] other = left if right is None else right
    other_classes = left_classes if right is None else right_classes
    _check(left, other, measure)
    if not 0 < bins <= MAX_BINS or not inverse_width > 0:
        raise ValueError(f"bins: expected 1 to {MAX_BINS} of a positive width, got {bins}; use fewer")
    cdef size_t m = left.shape[0], n = other.shape[0]
    if m * n >= 1 << 32:
        raise ValueError(f"rows: expected fewer than 2**32 pairs, got {m} by {n}; count smaller blocks")
    left_runs, left_starts = _runs(left_classes, left, "left")
    right_runs, right_starts = _runs(other_classes, other, "right")
    names = left_classes[left_starts]
    begins = np.searchsorted(other_classes, names, side="left").astype(np.uint32)
    ends = np.searchsorted(other_classes, names, side="right").astype(np.uint32)
    of_left = np.zeros((len(left_starts), bins), dtype=np.uint32)
    of_right = np.zeros((len(right_starts), bins), dtype=np.uint32)
    inside = np.zeros((len(left_starts), bins), dtype=np.uint32)
    if m == 0 or n == 0:
        return of_left, of_right, inside
    cdef const uint32_t[::1] left_view = left_runs, right_view = right_runs, begin_view = begins, end_view = ends
    cdef uint32_t[:, ::1] of_left_view = of_left, of_right_view = of_right, inside_view = inside
    cdef Job job
    job.left.rows, job.left.count, job.left.classes = &left[0, 0], m, &left_view[0]
    job.right.rows, job.right.count, job.right.classes = &other[0, 0], n, &right_view[0]
    job.dim = left.shape[1]
    job.distance = measure == "euclidean"
    job.binning.inverse, job.binning.offset, job.binning.last = inverse_width, offset, bins - 1
    job.bins = bins
    job.same_begin = &begin_view[0]
    job.same_end = &end_view[0]
    job.triangle = triangle
    cdef Counts counts
    counts.left = &of_left_view[0, 0]
    counts.right = &of_right_view[0, 0]
    counts.inside = &inside_view[0, 0]
    cdef size_t left_size = of_left.size, right_size = of_right.size
    with nogil:
        c_count(job, counts, left_size, right_size, threads)
    return of_left, of_right, inside
