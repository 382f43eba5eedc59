# distutils: language = c++
"""Searches of a graph for the nearest rows that pass a filter; see filtered.pyi."""

import numpy as np

from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t
from libcpp cimport bool as cbool
from libcpp.memory cimport unique_ptr
from libcpp.vector cimport vector

from ext.build cimport FINGERPOST_SOURCE_HASH
from ext.graph cimport Counters, GraphStore, Metric, kNone, metric_of
from ext.simd cimport active_name, available_names, force_name

SOURCE_HASH: str = FINGERPOST_SOURCE_HASH.decode()

COMPARE, CROSS, SCAN = 0, 1, 2

cdef extern from "filtered_batch.hpp" namespace "fingerpost" nogil:
    cdef cppclass KeptWidths:
        size_t ef
        size_t capacity
        size_t wanted
        float radius
    cdef cppclass KeptSets:
        const uint64_t* bits
        size_t words
        const int64_t* passing
    size_t search_kept_many(const GraphStore&, const float*, size_t, const KeptSets&, const int64_t*, const uint8_t*,
                            const KeptWidths&, int, uint32_t*, float*, Counters*, uint64_t*) except +
    cdef cppclass Products:
        const float* values
        size_t count
        Metric metric
    void c_nearest_screened "fingerpost::nearest_screened"(Products, const float*, const float*, const int64_t*,
                                                           size_t, size_t, size_t, size_t, uint32_t*, float*,
                                                           Counters*) except +


def available_paths():
    return available_names()


def active_path():
    return active_name()


def force_path(str name):
    force_name(name)


def nearest_screened(const float[:, ::1] products, const float[:, ::1] queries, const float[:, ::1] rows,
                     const int64_t[::1] numbers, str metric, size_t k, uint32_t[:, ::1] ids, float[:, ::1] distances):
    cdef size_t asked = products.shape[0], count = products.shape[1], dim = rows.shape[1]
    cdef Products given
    cdef Counters total
    if <size_t>queries.shape[0] != asked or <size_t>ids.shape[0] != asked or <size_t>distances.shape[0] != asked or \
            <size_t>rows.shape[0] != count or <size_t>numbers.shape[0] != count or \
            <size_t>queries.shape[1] != dim or ids.shape[1] != distances.shape[1] or k > <size_t>ids.shape[1]:
        raise ValueError("products: expected one of each query and row, and places for k results; check the inputs")
    if asked == 0 or count == 0 or k == 0 or dim == 0:
        return 0
    given.values = &products[0, 0]
    given.count = count
    given.metric = metric_of(metric)
    with nogil:
        c_nearest_screened(given, &queries[0, 0], &rows[0, 0], &numbers[0], asked, dim, k, <size_t>ids.shape[1],
                           &ids[0, 0], &distances[0, 0], &total)
    return int(total.distances)


cdef class Store:
    cdef unique_ptr[GraphStore] store

    def __init__(self, const float[:, ::1] vectors, str metric, const int64_t[::1] indptr,
                 const uint32_t[::1] indices, upper, const uint32_t[::1] entry_points):
        cdef size_t n = vectors.shape[0], dim = vectors.shape[1]
        cdef Metric kind = metric_of(metric)
        cdef const uint32_t* links = &indices[0] if indices.shape[0] else NULL
        cdef vector[const uint32_t*] nodes
        cdef vector[size_t] counts
        cdef vector[const int64_t*] indptrs
        cdef vector[const uint32_t*] ids
        cdef const uint32_t[::1] level_nodes, level_ids
        cdef const int64_t[::1] level_indptr
        if n == 0 or dim == 0 or entry_points.shape[0] == 0 or indptr.shape[0] != <Py_ssize_t>n + 1:
            raise ValueError("graph store: expected at least one vector, column and entry point; check the graph first")
        self.store.reset(new GraphStore(&vectors[0, 0], n, dim, kind, &indptr[0], links, &entry_points[0],
                                        entry_points.shape[0]))
        keep = []
        for level in upper:
            level_nodes, level_indptr, level_ids = level
            keep.append((level_nodes, level_indptr, level_ids))
            nodes.push_back(&level_nodes[0])
            counts.push_back(level_nodes.shape[0])
            indptrs.push_back(&level_indptr[0])
            ids.push_back(&level_ids[0] if level_ids.shape[0] else NULL)
        self.store.get().set_upper(nodes, counts, indptrs, ids)

    @property
    def bad_row(self):
        cdef uint32_t row = self.store.get().bad_row()
        return -1 if row == kNone else int(row)

    def search(self, const float[:, ::1] queries, const uint64_t[:, ::1] bits, const int64_t[::1] passing,
               const int64_t[::1] set_of, const uint8_t[::1] methods, size_t ef, size_t wanted,
               float radius, int threads):
        cdef size_t count = queries.shape[0], bad
        cdef KeptSets sets
        cdef KeptWidths widths
        cdef Counters total
        cdef uint64_t scans = 0
        if <size_t>queries.shape[1] != self.store.get().dim():
            raise ValueError("queries: expected as many columns as the vectors have; embed both alike")
        ids = np.empty((count, wanted), dtype=np.uint32)
        distances = np.empty((count, wanted), dtype=np.float32)
        cdef uint32_t[:, ::1] id_view = ids
        cdef float[:, ::1] distance_view = distances
        if count == 0:
            return ids, distances, 0, 0, 0, -1
        sets.bits = &bits[0, 0] if bits.shape[0] else NULL
        sets.words = bits.shape[1]
        sets.passing = &passing[0]
        widths.ef = ef
        widths.capacity = max(ef, wanted)
        widths.wanted = wanted
        widths.radius = radius
        with nogil:
            bad = search_kept_many(self.store.get()[0], &queries[0, 0], count, sets, &set_of[0], &methods[0], widths,
                                   threads, &id_view[0, 0], &distance_view[0, 0], &total, &scans)
        return (ids, distances, int(total.distances), int(total.expansions), int(scans),
                -1 if bad == count else int(bad))
