# distutils: language = c++
"""Lists of neighbours without some nodes; see removal.pyi."""

import numpy as np

from libc.stdint cimport int64_t, uint8_t, uint32_t
from libcpp.vector cimport vector

from ext.build cimport FINGERPOST_SOURCE_HASH
from ext.graph cimport Metric, metric_of
from ext.simd cimport active_name, available_names, force_name

SOURCE_HASH: str = FINGERPOST_SOURCE_HASH.decode()

cdef extern from "removal.hpp" namespace "fingerpost" nogil:
    cdef cppclass LevelLists:
        LevelLists()
        const uint32_t* nodes
        size_t count
        const int64_t* indptr
        const uint32_t* ids
    cdef cppclass Remover:
        Remover(const float*, size_t, Metric, const LevelLists&, const uint8_t*, size_t)
        vector[vector[uint32_t]] chosen(int) except +


def available_paths():
    return available_names()


def active_path():
    return active_name()


def force_path(str name):
    force_name(name)


def level_without(const float[:, ::1] vectors, str metric, const uint32_t[::1] nodes, const int64_t[::1] indptr,
                 const uint32_t[::1] indices, const uint8_t[::1] removed, size_t cap, *, int threads=1):
    cdef Metric kind = metric_of(metric)
    cdef LevelLists lists
    cdef size_t i, j, at = 0, total = 0, dim = vectors.shape[1]
    cdef vector[vector[uint32_t]] found
    cdef const float* rows = &vectors[0, 0] if vectors.shape[0] and dim else NULL
    if removed.shape[0] != vectors.shape[0]:
        raise ValueError(f"removed: expected {vectors.shape[0]} values, got {removed.shape[0]}; pass one for each row")
    lists.count = indptr.shape[0] - 1
    if lists.count == 0:
        return np.zeros(1, dtype=np.int64), np.empty(0, dtype=np.uint32)
    lists.nodes = &nodes[0] if nodes.shape[0] else NULL
    lists.indptr = &indptr[0]
    lists.ids = &indices[0] if indices.shape[0] else NULL
    cdef Remover* remover = new Remover(rows, dim, kind, lists, &removed[0], cap)
    try:
        with nogil:
            found = remover.chosen(threads)
    finally:
        del remover
    pointers = np.zeros(lists.count + 1, dtype=np.int64)
    cdef int64_t[::1] starts = pointers
    for i in range(lists.count):
        total += found[i].size()
        starts[i + 1] = <int64_t>total
    ids = np.empty(total, dtype=np.uint32)
    cdef uint32_t[::1] out = ids
    for i in range(lists.count):
        for j in range(found[i].size()):
            out[at] = found[i][j]
            at += 1
    return pointers, ids
