# distutils: language = c++
"""FINGER tables and the search that screens neighbours by estimated distances; see finger.pyi."""

import numpy as np

from libc.stdint cimport int64_t, uint32_t, uint64_t
from libcpp cimport bool as cbool
from libcpp.memory cimport unique_ptr
from libcpp.vector cimport vector

from ext.build cimport FINGERPOST_SOURCE_HASH
from ext.graph cimport GraphStore, kNone, metric_of
from ext.simd cimport active_name, available_names, force_name

SOURCE_HASH: str = FINGERPOST_SOURCE_HASH.decode()

cdef extern from "finger.hpp" namespace "fingerpost::finger" nogil:
    cdef enum class Code(int):
        floats
        bytes
        signs
    cdef cppclass TableInput:
        const float* vectors
        size_t dim
        const float* projections
        size_t rank
        const int64_t* indptr
        const uint32_t* indices
        size_t begin
        size_t rows
        Code code
        float tiny_norm2
    cdef cppclass ScreenCounters:
        uint64_t distances
        uint64_t expansions
        uint64_t estimates
    cdef cppclass Blocks:
        void fill(size_t, const int64_t*, const uint32_t*, const float*, const float*, const float*, const float*,
                  const void*) except +
        size_t bytes()
    cdef cppclass Tables:
        Tables(const float*, size_t, size_t, Code, float, float) except +
        Blocks& blocks()
    void c_project "fingerpost::finger::project"(const float*, size_t, size_t, const float*, size_t, float*,
                                                 int) except +
    void c_edge_tables "fingerpost::finger::edge_tables"(const TableInput&, float*, float*, float*, void*,
                                                         int) except +
    int64_t c_search "fingerpost::finger::search"(const GraphStore&, const Tables&, const float*, size_t, size_t,
                                                  size_t, int, uint32_t*, float*, ScreenCounters*) except +
    cbool estimate_node(const GraphStore&, const Tables&, const float*, uint32_t, float*) except +

_CODES = {"float32": <int>Code.floats, "int8": <int>Code.bytes, "signs": <int>Code.signs}
_CODE_TYPES = {"float32": np.float32, "int8": np.int8, "signs": np.uint64}
NONE = 0xFFFFFFFF


cdef Code _code(str name) except *:
    if name not in _CODES:
        raise ValueError(f"code: expected one of {tuple(_CODES)}, got {name!r}; choose one of them")
    return <Code><int>_CODES[name]


cdef const void* _data(array) except *:
    """The address of a contiguous array's first element."""
    if not array.flags.c_contiguous:
        raise ValueError("codes: expected a C-contiguous array, got strides; copy it")
    return <const void*><size_t>array.ctypes.data


def available_paths():
    return available_names()


def active_path():
    return active_name()


def force_path(str name):
    force_name(name)


def project(const float[:, ::1] rows, const float[:, ::1] directions, *, int threads=1):
    cdef size_t n = rows.shape[0], dim = rows.shape[1], rank = directions.shape[0]
    if rows.shape[1] != directions.shape[1]:
        raise ValueError(f"rows: expected {directions.shape[1]} columns, got {rows.shape[1]}; use the fitted vectors")
    out = np.zeros((n, rank), dtype=np.float32)
    cdef float[:, ::1] view = out
    if n and rank and dim:
        with nogil:
            c_project(&rows[0, 0], n, dim, &directions[0, 0], rank, &view[0, 0], threads)
    return out


def edge_tables(const float[:, ::1] vectors, const float[:, ::1] projections, const int64_t[::1] indptr,
                const uint32_t[::1] indices, *, size_t begin, str code, float tiny_norm2, int threads=1):
    cdef size_t n = vectors.shape[0], rank = projections.shape[1], rows = indptr.shape[0] - 1
    cdef size_t edges = indices.shape[0]
    cdef TableInput data
    data.code = _code(code)
    if projections.shape[0] != vectors.shape[0]:
        raise ValueError(f"projections: expected {n} rows, got {projections.shape[0]}; project all nodes first")
    if begin + rows > n or indptr[0] != 0 or indptr[rows] != <int64_t>edges:
        raise ValueError(f"indptr: expected {rows} rows from node {begin} of {n} that count from 0 to {edges}, got "
                         f"{indptr[0]} to {indptr[rows]}; cut the range's own part of the adjacency")
    norm2 = np.zeros(rows, dtype=np.float32)
    coefficient = np.zeros(edges, dtype=np.float32)
    residual = np.zeros(edges, dtype=np.float32)
    codes = np.zeros((edges, (rank + 63) // 64 if code == "signs" else rank), dtype=_CODE_TYPES[code])
    cdef float[::1] norm2_view = norm2, coefficient_view = coefficient, residual_view = residual
    if rows == 0 or rank == 0 or vectors.shape[1] == 0:
        return norm2, coefficient, residual, codes
    cdef void* code_data = <void*>_data(codes)
    data.vectors = &vectors[0, 0]
    data.dim = vectors.shape[1]
    data.projections = &projections[0, 0]
    data.rank = rank
    data.indptr = &indptr[0]
    data.indices = &indices[0] if edges else NULL
    data.begin = begin
    data.rows = rows
    data.tiny_norm2 = tiny_norm2
    cdef float* coefficient_data = &coefficient_view[0] if edges else NULL
    cdef float* residual_data = &residual_view[0] if edges else NULL
    with nogil:
        c_edge_tables(data, &norm2_view[0], coefficient_data, residual_data, code_data, threads)
    return norm2, coefficient, residual, codes


cdef class Store:
    cdef unique_ptr[GraphStore] store
    cdef unique_ptr[Tables] tables

    def __init__(self, const float[:, ::1] vectors, str metric, const int64_t[::1] indptr,
                 const uint32_t[::1] indices, upper, const uint32_t[::1] entry_points):
        cdef size_t n = vectors.shape[0], dim = vectors.shape[1]
        cdef vector[const uint32_t*] nodes
        cdef vector[size_t] counts
        cdef vector[const int64_t*] indptrs
        cdef vector[const uint32_t*] ids
        cdef const uint32_t[::1] level_nodes, level_ids
        cdef const int64_t[::1] level_indptr
        if n == 0 or dim == 0 or entry_points.shape[0] == 0 or indptr.shape[0] != <Py_ssize_t>n + 1:
            raise ValueError("graph store: expected at least one vector, column and entry point; check the graph first")
        self.store.reset(new GraphStore(&vectors[0, 0], n, dim, metric_of(metric), &indptr[0],
                                        &indices[0] if indices.shape[0] else NULL, &entry_points[0],
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

    def set_tables(self, const float[:, ::1] directions, str code, float scale, float bias,
                   const int64_t[::1] indptr, const uint32_t[::1] indices, const float[::1] norm2,
                   const float[:, ::1] projections, const float[::1] coefficient, const float[::1] residual, codes):
        cdef size_t n = self.store.get().n(), rank = directions.shape[0], edges = indices.shape[0]
        cdef Code kind = _code(code)
        width = (rank + 63) // 64 if code == "signs" else rank
        expected = ((n + 1,), (n,), (n, rank), (edges,), (edges,), (edges, width))
        found = tuple(np.shape(array) for array in (indptr, norm2, projections, coefficient, residual, codes))
        if rank == 0 or <size_t>directions.shape[1] != self.store.get().dim() or found != expected:
            raise ValueError(f"FINGER tables: expected shapes {expected}, got {found}; make them for this graph")
        if codes.dtype != _CODE_TYPES[code]:
            raise ValueError(f"FINGER tables: expected {code} codes, got {codes.dtype}; make them for this basis")
        self.tables.reset(new Tables(&directions[0, 0], rank, directions.shape[1], kind, scale, bias))
        self.tables.get().blocks().fill(n, &indptr[0], &indices[0] if edges else NULL, &norm2[0], &projections[0, 0],
                                        &coefficient[0] if edges else NULL, &residual[0] if edges else NULL,
                                        _data(codes))

    @property
    def bad_row(self):
        cdef uint32_t row = self.store.get().bad_row()
        return -1 if row == kNone else int(row)

    @property
    def table_bytes(self):
        return int(self.tables.get().blocks().bytes()) if self.tables.get() else 0

    def search(self, const float[:, ::1] queries, size_t k, size_t ef, int threads):
        cdef size_t count = queries.shape[0]
        cdef int64_t bad
        if not self.tables.get():
            raise ValueError("FINGER search: expected tables, got none; call set_tables first")
        if <size_t>queries.shape[1] != self.store.get().dim():
            raise ValueError("queries: expected as many columns as the vectors have; embed both alike")
        ids = np.empty((count, k), dtype=np.uint32)
        distances = np.empty((count, k), dtype=np.float32)
        cdef uint32_t[:, ::1] id_view = ids
        cdef float[:, ::1] distance_view = distances
        cdef ScreenCounters total
        if count == 0 or k == 0:
            return ids, distances, 0, 0, 0, -1
        with nogil:
            bad = c_search(self.store.get()[0], self.tables.get()[0], &queries[0, 0], count, k, ef, threads,
                           &id_view[0, 0], &distance_view[0, 0], &total)
        return ids, distances, int(total.distances), int(total.expansions), int(total.estimates), int(bad)

    def estimate(self, const float[::1] query, uint32_t node, size_t degree):
        if not self.tables.get() or node >= self.store.get().n() or \
                <size_t>query.shape[0] != self.store.get().dim():
            raise ValueError("estimate: expected tables, a known node and a query of the vectors' length; check them")
        out = np.zeros((degree + 15) // 16 * 16, dtype=np.float32)
        cdef float[::1] view = out
        cdef float* to = &view[0] if degree else NULL
        if not estimate_node(self.store.get()[0], self.tables.get()[0], &query[0], node, to):
            return None
        return out[:degree]
