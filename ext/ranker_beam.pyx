# distutils: language = c++
"""Beam search over chunks of weights; see ranker_beam.pyi."""

import numpy as np

from libc.stdint cimport int32_t, int64_t, uint8_t, uint16_t, uint32_t, uint64_t
from libcpp cimport bool as cbool
from libcpp.memory cimport unique_ptr
from libcpp.vector cimport vector

from ext.build cimport FINGERPOST_SOURCE_HASH

SOURCE_HASH: str = FINGERPOST_SOURCE_HASH.decode()

cdef extern from "ranker_beam.hpp" namespace "fingerpost::rankers" nogil:
    cdef enum class Lookup(int):
        march
        binary
        hash
        dense
        chosen
    cdef enum class Transform(int):
        hinge
        sigmoid
        noop
    cdef cppclass ChunkView:
        const uint32_t* features
        const uint32_t* start
        const uint8_t* narrow
        const uint16_t* wide
        const float* values
        const float* bias
        const uint32_t* ids
        uint32_t rows
        uint32_t width
    cdef cppclass BeamSettings:
        Transform transform
        int power
        cbool exponential
        size_t beam
        size_t k
        cbool normalise
    cdef cppclass BeamCounters:
        uint64_t ways[4]
        uint64_t left_out
        uint64_t hits
    cdef cppclass Wanted:
        const uint32_t* low
        const uint32_t* high
        size_t count
    cdef cppclass BeamSearch:
        BeamSearch(size_t, const vector[size_t]&) except +
        void set_places(size_t, const uint32_t*, size_t) except +
        void set_labels(size_t, const uint32_t*, const uint32_t*) except +
        void set_chunk(size_t, size_t, const ChunkView&) except +
        void build(Lookup) except +
        size_t lookup_bytes()
        void search(const int64_t*, const int32_t*, const float*, size_t, const Wanted*, const BeamSettings&, int,
                    uint32_t*, float*, BeamCounters*) except +

_LOOKUPS = {"march": <int>Lookup.march, "binary": <int>Lookup.binary, "hash": <int>Lookup.hash,
            "dense": <int>Lookup.dense, "chosen": <int>Lookup.chosen}
_TRANSFORMS = {"hinge": <int>Transform.hinge, "sigmoid": <int>Transform.sigmoid, "noop": <int>Transform.noop}
LOOKUPS: tuple = tuple(_LOOKUPS)
NONE: int = 0xFFFFFFFF
CHAIN: int = 0x80000000


cdef class Searcher:
    cdef unique_ptr[BeamSearch] beam
    cdef list kept
    cdef vector[size_t] widths

    def __init__(self, size_t features, list chunks_a_level):
        cdef size_t chunks
        for chunks in chunks_a_level:
            self.widths.push_back(chunks)
        self.beam.reset(new BeamSearch(features, self.widths))
        self.kept = []

    def set_places(self, size_t level, const uint32_t[::1] places):
        self.beam.get().set_places(level, &places[0], <size_t>places.shape[0])

    def set_labels(self, size_t level, const uint32_t[::1] start, const uint32_t[::1] labels=None):
        self.kept.append((start, labels))
        self.beam.get().set_labels(level, &start[0], &labels[0] if labels is not None else NULL)

    def add_chunks(self, size_t level, const uint32_t[::1] parents, const int64_t[::1] feature_start,
                   const uint32_t[::1] features, const uint32_t[::1] start, const int64_t[::1] entry_start, columns,
                   const float[::1] values, const int64_t[::1] child_start, const uint32_t[::1] ids,
                   const float[::1] bias):
        cdef ChunkView view
        cdef Py_ssize_t i
        cdef const uint8_t[::1] narrow
        cdef const uint16_t[::1] wide
        cdef bint is_narrow = columns.dtype == np.uint8
        if is_narrow:
            narrow = columns
        else:
            wide = columns
        self.kept.append((parents, features, start, columns, values, ids, bias))
        for i in range(parents.shape[0]):
            view.rows = <uint32_t>(feature_start[i + 1] - feature_start[i])
            view.width = <uint32_t>(child_start[i + 1] - child_start[i])
            view.features = &features[0] + feature_start[i] if features.shape[0] else NULL
            view.start = &start[0] + feature_start[i] + i
            view.narrow = NULL
            view.wide = NULL
            view.values = NULL
            if values.shape[0]:
                view.values = &values[0] + entry_start[i]
                if is_narrow:
                    view.narrow = &narrow[0] + entry_start[i]
                else:
                    view.wide = &wide[0] + entry_start[i]
            view.bias = &bias[0] + child_start[i] if bias.shape[0] else NULL
            view.ids = &ids[0] + child_start[i] if ids.shape[0] else NULL
            self.beam.get().set_chunk(level, parents[i], view)

    def build(self, str lookup):
        if lookup not in _LOOKUPS:
            raise ValueError(f"lookup: expected one of {LOOKUPS}, got {lookup!r}; choose one of them")
        cdef Lookup wanted = <Lookup><int>_LOOKUPS[lookup]
        with nogil:
            self.beam.get().build(wanted)

    @property
    def lookup_bytes(self):
        return int(self.beam.get().lookup_bytes())

    def search(self, const int64_t[::1] indptr, const int32_t[::1] indices, const float[::1] data, *, size_t k,
               size_t beam, str transform, int power, cbool exponential, cbool normalise=False,
               const int64_t[::1] range_start=None, const uint32_t[::1] low=None, const uint32_t[::1] high=None,
               int threads=1):
        cdef size_t queries = indptr.shape[0] - 1
        cdef vector[Wanted] wanted
        cdef Py_ssize_t i
        cdef BeamSettings settings
        cdef BeamCounters counters
        settings.transform = <Transform><int>_TRANSFORMS[transform]
        settings.power = power
        settings.exponential = exponential
        settings.k = k
        settings.beam = beam
        settings.normalise = normalise
        if indices.shape[0] < indptr[queries] or data.shape[0] < indptr[queries]:
            raise ValueError("queries: expected index pointers inside the entries; pass one CSR matrix")
        ids = np.empty((queries, k), dtype=np.uint32)
        scores = np.empty((queries, k), dtype=np.float32)
        cdef uint32_t[:, ::1] id_view = ids
        cdef float[:, ::1] score_view = scores
        if queries == 0:
            return ids, scores, (0, 0, 0, 0, 0, 0)
        if range_start is not None:
            wanted.resize(queries)
            for i in range(<Py_ssize_t>queries):
                wanted[i].count = <size_t>(range_start[i + 1] - range_start[i])
                if wanted[i].count:
                    wanted[i].low = &low[range_start[i]]
                    wanted[i].high = &high[range_start[i]]
        cdef const int32_t* index_data = &indices[0] if indices.shape[0] else NULL
        cdef const float* value_data = &data[0] if data.shape[0] else NULL
        with nogil:
            self.beam.get().search(&indptr[0], index_data, value_data, queries,
                                   wanted.data() if not wanted.empty() else NULL, settings, threads, &id_view[0, 0],
                                   &score_view[0, 0], &counters)
        return ids, scores, (counters.ways[0], counters.ways[1], counters.ways[2], counters.ways[3],
                             counters.left_out, counters.hits)
