# distutils: language = c++
"""Graphs that go on: nodes taken out, others inserted; see growth.pyi."""

import numpy as np

from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t
from libcpp.memory cimport unique_ptr

from ext.build cimport FINGERPOST_SOURCE_HASH
from ext.graph cimport Counters, Metric, kNone, metric_of
from ext.simd cimport active_name, available_names, force_name

SOURCE_HASH: str = FINGERPOST_SOURCE_HASH.decode()

cdef extern from "growth.hpp" namespace "fingerpost" nogil:
    cdef cppclass GrowingBuilder:
        GrowingBuilder(const float*, size_t, size_t, Metric, int, int, uint64_t, int, const uint8_t*) except +
        size_t inserted()
        uint32_t bad_row()
        uint32_t entry()
        int level(size_t)
        size_t cap(int)
        const Counters& counters()
        uint64_t repaired()
        const uint32_t* links(uint32_t, int)
        void insert_until(size_t, int) except +
        void restore_level(int, const uint32_t*, size_t, const int64_t*, const uint32_t*, int) except +
        void restore_end(size_t, uint64_t, uint64_t)
        uint64_t remove(const uint8_t*, int) except +
        void arrange(int) except +
        void connect() except +


def available_paths():
    return available_names()


def active_path():
    return active_name()


def force_path(str name):
    force_name(name)


cdef class Builder:
    cdef unique_ptr[GrowingBuilder] builder
    # The builder reads the rows where they lie.
    cdef const float[:, ::1] vectors

    def __init__(self, const float[:, ::1] vectors, str metric, int max_neighbors, int ef_construction,
                 const uint8_t[::1] levels, *, int threads=1):
        cdef Metric kind = metric_of(metric)
        if vectors.shape[0] == 0 or vectors.shape[1] == 0 or levels.shape[0] != vectors.shape[0]:
            raise ValueError("builder: expected vectors and a level for each; check the inputs")
        if max_neighbors < 2 or ef_construction < 1:
            raise ValueError("builder: expected max_neighbors >= 2 and ef_construction >= 1; check the inputs")
        self.vectors = vectors
        with nogil:
            self.builder.reset(new GrowingBuilder(&vectors[0, 0], vectors.shape[0], vectors.shape[1], kind,
                                                  max_neighbors, ef_construction, 0, threads, &levels[0]))

    @property
    def bad_row(self):
        cdef uint32_t row = self.builder.get().bad_row()
        return -1 if row == kNone else int(row)

    @property
    def inserted(self):
        return int(self.builder.get().inserted())

    @property
    def entry_point(self):
        return int(self.builder.get().entry())

    @property
    def counters(self):
        cdef Counters total = self.builder.get().counters()
        return int(total.distances), int(total.expansions), int(self.builder.get().repaired())

    def restore_level(self, int level, const uint32_t[::1] nodes, const int64_t[::1] indptr,
                      const uint32_t[::1] indices, *, int threads=1):
        cdef size_t count = nodes.shape[0]
        cdef const uint32_t* ids = &indices[0] if indices.shape[0] else NULL
        cdef size_t i
        for i in range(count):
            if indptr[i + 1] - indptr[i] > <int64_t>self.builder.get().cap(level):
                raise ValueError(f"graph: expected lists of at most {self.builder.get().cap(level)} nodes, got a longer one")
        if count == 0:
            return
        with nogil:
            self.builder.get().restore_level(level, &nodes[0], count, &indptr[0], ids, threads)

    def restore_end(self, size_t inserted):
        self.builder.get().restore_end(inserted, 0, 0)

    def remove(self, const uint8_t[::1] removed, int threads):
        cdef uint64_t lists
        if <size_t>removed.shape[0] != self.builder.get().inserted():
            raise ValueError("removed: expected one byte for each inserted row; check the inputs")
        with nogil:
            lists = self.builder.get().remove(&removed[0], threads)
        return int(lists)

    def arrange(self, int threads):
        with nogil:
            self.builder.get().arrange(threads)

    def insert_until(self, size_t target, int threads):
        with nogil:
            self.builder.get().insert_until(target, threads)

    def connect(self):
        with nogil:
            self.builder.get().connect()

    def level_links(self, int level, const uint32_t[::1] nodes):
        cdef GrowingBuilder* builder = self.builder.get()
        cdef size_t count = nodes.shape[0], i, j, at = 0
        cdef const uint32_t* record
        indptr = np.zeros(count + 1, dtype=np.int64)
        cdef int64_t[::1] indptr_view = indptr
        for i in range(count):
            if nodes[i] >= builder.inserted() or builder.level(nodes[i]) < level:
                raise ValueError(f"nodes: expected inserted nodes of level {level}, got {nodes[i]}; check the levels")
            indptr_view[i + 1] = indptr_view[i] + builder.links(nodes[i], level)[0]
        indices = np.empty(indptr[count], dtype=np.uint32)
        cdef uint32_t[::1] index_view = indices
        for i in range(count):
            record = builder.links(nodes[i], level)
            for j in range(record[0]):
                index_view[at] = record[1 + j]
                at += 1
        return indptr, indices
