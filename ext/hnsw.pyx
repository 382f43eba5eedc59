# distutils: language = c++
"""HNSW graphs: building in batches, best-first search over any graph, distances; see hnsw.pyi."""

import numpy as np

from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t
from libcpp cimport bool as cbool
from libcpp.memory cimport unique_ptr
from libcpp.vector cimport vector

from ext.build cimport FINGERPOST_SOURCE_HASH
from ext.graph cimport Counters, GraphStore, Metric, c_normalise, kNone, metric_of
from ext.simd cimport (Kernel, Kernel4, active_name, available_names, dot, dot_x4, force_name, l2_squared,
                       l2_squared_x4)

SOURCE_HASH: str = FINGERPOST_SOURCE_HASH.decode()

cdef extern from "hnsw.hpp" namespace "fingerpost" nogil:
    size_t search_many(const GraphStore&, const float*, size_t, size_t, size_t, int, uint32_t*, float*,
                       Counters*) except +
    int draw_level(uint64_t, uint64_t, int)
    cdef enum class RowForm(int):
        floats
        integers
        codes
    size_t kBatch "fingerpost::HnswBuilder::kBatch"
    cdef cppclass HnswBuilder:
        HnswBuilder(const float*, size_t, size_t, Metric, int, int, uint64_t, int, const uint8_t*) except +
        size_t n()
        size_t inserted()
        uint32_t bad_row()
        uint32_t entry()
        int level(size_t)
        const Counters& counters()
        uint64_t repaired()
        RowForm form()
        const uint32_t* links(uint32_t, int)
        void insert_until(size_t, int) except +
        void restore_level(int, const uint32_t*, size_t, const int64_t*, const uint32_t*, int) except +
        void restore_end(size_t, uint64_t, uint64_t)
        void connect() except +

cdef extern from "hnsw_merge.hpp" namespace "fingerpost" nogil:
    cdef cppclass HnswMerge:
        HnswMerge(HnswBuilder&, const uint64_t*, size_t, size_t) except +
        const vector[uint64_t]& bounds()
        void round(int) except +

NONE = 0xFFFFFFFF
BATCH: int = kBatch


def available_paths():
    return available_names()


def active_path():
    return active_name()


def force_path(str name):
    force_name(name)


def pair_distance(const float[::1] a, const float[::1] b, str metric, *, cbool four=False):
    if a.shape[0] != b.shape[0]:
        raise ValueError(f"vectors: expected equal lengths, got {a.shape[0]} and {b.shape[0]}; pass rows of one matrix")
    cdef size_t dim = a.shape[0]
    cdef const float* left = &a[0] if dim else NULL
    cdef const float* right = &b[0] if dim else NULL
    cdef const float* rows[4]
    cdef float out[4]
    cdef cbool is_l2 = metric_of(metric) == Metric.l2
    if four:
        rows[0] = left
        rows[1] = right
        rows[2] = left
        rows[3] = right
        (l2_squared_x4() if is_l2 else dot_x4())(left, rows, dim, out)
        return out[1] if out[1] == out[3] or out[1] != out[1] else float("nan")
    return l2_squared()(left, right, dim) if is_l2 else dot()(left, right, dim)


def normalise_rows(const float[:, ::1] rows):
    out = np.array(rows, dtype=np.float32, order="C")
    cdef float[:, ::1] view = out
    cdef size_t i, n = view.shape[0], dim = view.shape[1]
    for i in range(n):
        if not c_normalise(&view[i, 0] if dim else NULL, dim):
            return out, int(i)
    return out, -1


def gather_distances(const float[:, ::1] queries, const float[:, ::1] vectors, const int64_t[::1] indptr,
                     const uint32_t[::1] ids, str metric):
    cdef Metric kind = metric_of(metric)
    if queries.shape[1] != vectors.shape[1]:
        raise ValueError(f"queries: expected {vectors.shape[1]} columns, got {queries.shape[1]}; embed both alike")
    out = np.empty(ids.shape[0], dtype=np.float32)
    cdef float[::1] view = out
    cdef size_t dim = queries.shape[1], i
    cdef int64_t j
    cdef Kernel kernel = l2_squared() if kind == Metric.l2 else dot()
    with nogil:
        for i in range(<size_t>queries.shape[0]):
            for j in range(indptr[i], indptr[i + 1]):
                view[j] = kernel(&queries[i, 0], &vectors[ids[j], 0], dim)
                if kind != Metric.l2:
                    view[j] = <float>1.0 - view[j]
    return out


def node_levels(size_t n, int max_neighbors, uint64_t seed):
    out = np.empty(n, dtype=np.uint8)
    cdef uint8_t[::1] view = out
    cdef size_t i
    for i in range(n):
        view[i] = draw_level(seed, i, max_neighbors)
    return out


cdef class Store:
    cdef unique_ptr[GraphStore] store
    cdef const float[:, ::1] rows

    def __init__(self, const float[:, ::1] vectors, str metric, const int64_t[::1] indptr,
                 const uint32_t[::1] indices, upper, const uint32_t[::1] entry_points, *, cbool lasting=False):
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
        if lasting:
            self.rows = vectors
        self.store.reset(new GraphStore(&vectors[0, 0], n, dim, kind, &indptr[0], links, &entry_points[0],
                                        entry_points.shape[0], lasting))
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

    def search(self, const float[:, ::1] queries, size_t k, size_t ef, int threads):
        cdef size_t count = queries.shape[0], bad
        if <size_t>queries.shape[1] != self.store.get().dim():
            raise ValueError("queries: expected as many columns as the vectors have; embed both alike")
        ids = np.empty((count, k), dtype=np.uint32)
        distances = np.empty((count, k), dtype=np.float32)
        cdef uint32_t[:, ::1] id_view = ids
        cdef float[:, ::1] distance_view = distances
        cdef Counters total
        if count == 0 or k == 0:
            return ids, distances, 0, 0, -1
        with nogil:
            bad = search_many(self.store.get()[0], &queries[0, 0], count, k, ef, threads, &id_view[0, 0],
                              &distance_view[0, 0], &total)
        return ids, distances, int(total.distances), int(total.expansions), -1 if bad == count else int(bad)


cdef class Builder:
    cdef unique_ptr[HnswBuilder] builder
    # The builder reads the rows where they lie.
    cdef const float[:, ::1] vectors

    def __init__(self, const float[:, ::1] vectors, str metric, int max_neighbors, int ef_construction, uint64_t seed,
                 *, int threads=1, const uint8_t[::1] levels=None):
        cdef Metric kind = metric_of(metric)
        cdef const uint8_t* given = NULL
        if vectors.shape[0] == 0 or vectors.shape[1] == 0 or max_neighbors < 2 or ef_construction < 1:
            raise ValueError("builder: expected vectors, max_neighbors >= 2 and ef_construction >= 1; check the inputs")
        if levels is not None:
            if levels.shape[0] != vectors.shape[0]:
                raise ValueError(f"levels: expected {vectors.shape[0]}, got {levels.shape[0]}; pass one for each row")
            given = &levels[0]
        self.vectors = vectors
        with nogil:
            self.builder.reset(new HnswBuilder(&vectors[0, 0], vectors.shape[0], vectors.shape[1], kind, max_neighbors,
                                               ef_construction, seed, threads, given))

    @property
    def bad_row(self):
        cdef uint32_t row = self.builder.get().bad_row()
        return -1 if row == kNone else int(row)

    @property
    def form(self):
        cdef RowForm form = self.builder.get().form()
        return "integers" if form == RowForm.integers else "codes" if form == RowForm.codes else "floats"

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

    def insert_until(self, size_t target, int threads):
        with nogil:
            self.builder.get().insert_until(target, threads)

    def connect(self):
        with nogil:
            self.builder.get().connect()

    def merge_pairs(self, const uint64_t[::1] bounds, size_t ef, int threads):
        cdef size_t i
        if bounds.shape[0] < 2 or bounds[0] != 0 or bounds[bounds.shape[0] - 1] != self.builder.get().n() or ef < 1:
            raise ValueError("bounds: expected row numbers from 0 to the number of rows, and ef >= 1; check the graphs")
        cdef unique_ptr[HnswMerge] merge
        merge.reset(new HnswMerge(self.builder.get()[0], &bounds[0], bounds.shape[0] - 1, ef))
        with nogil:
            merge.get().round(threads)
        out = np.empty(merge.get().bounds().size(), dtype=np.uint64)
        for i in range(merge.get().bounds().size()):
            out[i] = merge.get().bounds()[i]
        return out

    def level_links(self, int level, const uint32_t[::1] nodes):
        cdef HnswBuilder* builder = self.builder.get()
        cdef size_t count = nodes.shape[0], i, j, at = 0
        cdef const uint32_t* record
        indptr = np.zeros(count + 1, dtype=np.int64)
        cdef int64_t[::1] indptr_view = indptr
        for i in range(count):
            if nodes[i] >= builder.inserted() or builder.level(nodes[i]) < level:
                raise ValueError(f"nodes: expected inserted nodes of level {level}, got {nodes[i]}; see node_levels")
            indptr_view[i + 1] = indptr_view[i] + builder.links(nodes[i], level)[0]
        indices = np.empty(indptr[count], dtype=np.uint32)
        cdef uint32_t[::1] index_view = indices
        for i in range(count):
            record = builder.links(nodes[i], level)
            for j in range(record[0]):
                index_view[at] = record[1 + j]
                at += 1
        return indptr, indices

    def restore_level(self, int level, const uint32_t[::1] nodes, const int64_t[::1] indptr,
                      const uint32_t[::1] indices, *, int threads=1):
        cdef size_t count = nodes.shape[0]
        cdef const uint32_t* ids = &indices[0] if indices.shape[0] else NULL
        if count == 0:
            return
        with nogil:
            self.builder.get().restore_level(level, &nodes[0], count, &indptr[0], ids, threads)

    def restore_end(self, size_t inserted, uint64_t distances, uint64_t expansions):
        self.builder.get().restore_end(inserted, distances, expansions)
