# distutils: language = c++
"""Blocks of coded residuals, and the search whose distances are deferred; see deferred.pyi."""

import numpy as np

from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t
from libc.string cimport memset
from libcpp cimport bool as cbool
from libcpp.memory cimport unique_ptr
from libcpp.vector cimport vector

from ext.build cimport FINGERPOST_SOURCE_HASH
from ext.graph cimport Metric, c_normalise, metric_of
from ext.simd cimport active_name, available_names, force_name

SOURCE_HASH: str = FINGERPOST_SOURCE_HASH.decode()

cdef extern from "deferred_search.hpp" namespace "fingerpost::deferred" nogil:
    cdef struct Layout:
        size_t rank
        int bits
        cbool l2
        size_t rows()
        size_t group_lines()
        size_t block_lines(size_t)
    cdef cppclass Coded:
        Coded()
        void set(const float*, const Layout&)
        vector[float] value
        float scale
        float noise
    cdef struct BlockInput:
        const float* vectors
        size_t dim
        const float* projections
        const float* norms2
        const int64_t* indptr
        const uint32_t* indices
        size_t begin
        size_t rows
        Layout layout
        float tiny_norm2
        size_t stride
        float left_margin
        float noise_margin
    cdef struct Work:
        uint64_t distances
        uint64_t expansions
        uint64_t estimates
    cdef struct Rows:
        const float* data
        size_t stride
        size_t n
        Metric metric
    cdef struct CodeMap "fingerpost::CodeMap":
        size_t dim
        size_t positions
        const float* matrix
        const float* shift
    cdef struct Tables:
        Layout layout
        CodeMap map
        const uint8_t* lines
        size_t stride
        const uint32_t* first
        const uint8_t* entries
    cdef cppclass Searcher:
        Searcher(const Rows&, const Tables&, size_t) except +
        float distance(const float*, uint32_t)
        void project(const float*, size_t)
        void set_query(size_t, const float*)
        void set_centre(float, float)
        uint32_t estimate(const uint8_t*, float, float*)
    size_t kMostNodes
    void c_fill_blocks "fingerpost::deferred::fill_blocks"(const BlockInput&, uint8_t*, int) except +
    void c_fill_entries "fingerpost::deferred::fill_entries"(const BlockInput&, const uint32_t*, size_t,
                                                             uint8_t*) except +
    int64_t c_search "fingerpost::deferred::search"(const Rows&, const Tables&, const float*, size_t, size_t, size_t,
                                                    size_t, int, uint32_t*, float*, Work*) except +
    void c_project "fingerpost::deferred::project"(const float*, size_t, size_t, const float*, size_t, float*,
                                                   int) except +
    void c_norms2 "fingerpost::deferred::norms2"(const float*, size_t, size_t, float*, int) except +
    size_t padded "fingerpost::padded"(size_t)

MOST_NODES = int(kMostNodes)
LINE = 64
NONE = 0xFFFFFFFF


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


def squared_norms(const float[:, ::1] rows, *, int threads=1):
    cdef size_t n = rows.shape[0], dim = rows.shape[1]
    out = np.zeros(n, dtype=np.float32)
    cdef float[::1] view = out
    if n and dim:
        with nogil:
            c_norms2(&rows[0, 0], n, dim, &view[0], threads)
    return out


cdef Layout _layout(size_t rank, int bits, str metric) except *:
    cdef Layout layout
    if rank == 0 or bits not in (1, 2, 4):
        raise ValueError(f"codes: expected directions and 1, 2 or 4 bits, got {rank} and {bits}; choose those")
    layout.rank, layout.bits, layout.l2 = rank, bits, metric_of(metric) == Metric.l2
    return layout


def block_lines(degrees, *, size_t rank, int bits, str metric):
    """Lines of the blocks of nodes with so many neighbours, int64."""
    cdef Layout layout = _layout(rank, bits, metric)
    return 1 + (np.asarray(degrees, dtype=np.int64) + 15) // 16 * <int64_t>layout.group_lines()


def aligned(size_t lines):
    """Zeros uint8 (lines, 64) that begin on a cache line."""
    # Not np.zeros: memory that is written at once can lie on large pages.
    memory = np.empty(lines * LINE + LINE, dtype=np.uint8)
    cdef size_t skip = (-<size_t>memory.ctypes.data) % LINE
    out = memory[skip:skip + lines * LINE]
    out.fill(0)
    return out.reshape(lines, LINE)


def decoded(const float[:, ::1] projections, *, int bits):
    cdef size_t n = projections.shape[0], rank = projections.shape[1]
    cdef Layout layout = _layout(rank, bits, "l2")
    cdef Coded coded
    out = np.zeros((n, rank), dtype=np.float32)
    noise = np.zeros(n, dtype=np.float32)
    cdef float[:, ::1] view = out
    cdef float[::1] noise_view = noise
    cdef size_t i, k
    for i in range(n):
        coded.set(&projections[i, 0], layout)
        for k in range(rank):
            view[i, k] = coded.scale * coded.value[k]
        noise_view[i] = coded.noise
    return out, noise


cdef BlockInput _input(const float[:, ::1] vectors, const float[:, ::1] projections, const float[::1] norms2,
                       Layout layout, float tiny_norm2, margins) except *:
    cdef BlockInput data
    cdef Py_ssize_t n = vectors.shape[0]
    if projections.shape[0] != n or norms2.shape[0] != n or n == 0 or vectors.shape[1] == 0:
        raise ValueError(f"projections: expected {n} rows, at least one, got {projections.shape[0]} and "
                         f"{norms2.shape[0]} norms; project all nodes first")
    data.vectors, data.dim = &vectors[0, 0], vectors.shape[1]
    data.projections, data.norms2 = &projections[0, 0], &norms2[0]
    data.layout, data.tiny_norm2 = layout, tiny_norm2
    data.left_margin, data.noise_margin = margins
    return data


def fill_blocks(const float[:, ::1] vectors, const float[:, ::1] projections, const float[::1] norms2,
                const int64_t[::1] indptr, const uint32_t[::1] indices, uint8_t[:, ::1] out, *, size_t begin, size_t stride, int bits,
                str metric, float tiny_norm2, margins, int threads=1):
    cdef size_t rows = indptr.shape[0] - 1, edges = indices.shape[0], total = 0
    cdef Layout layout = _layout(projections.shape[1], bits, metric)
    cdef BlockInput data = _input(vectors, projections, norms2, layout, tiny_norm2, margins)
    cdef size_t i, needed
    if begin + rows > <size_t>vectors.shape[0] or indptr[0] != 0 or indptr[rows] != <int64_t>edges:
        raise ValueError(f"indptr: expected {rows} rows from node {begin} of {vectors.shape[0]} that count from 0 to "
                         f"{edges}, got {indptr[0]} to {indptr[rows]}; cut the range's own part of the adjacency")
    for i in range(rows):
        needed = layout.block_lines(indptr[i + 1] - indptr[i])
        if stride and needed > stride:
            raise ValueError(f"stride: expected at least {needed} lines, got {stride}; take the widest block's")
        total += stride if stride else needed
    if <size_t>out.shape[0] != total or out.shape[1] != 64:
        raise ValueError(f"out: expected ({total}, 64), got ({out.shape[0]}, {out.shape[1]}); use block_lines")
    if rows == 0:
        return
    data.indptr, data.indices = &indptr[0], &indices[0] if edges else NULL
    data.begin, data.rows, data.stride = begin, rows, stride
    with nogil:
        memset(&out[0, 0], 0, total * 64)
        c_fill_blocks(data, &out[0, 0], threads)


def entry_block(const float[:, ::1] vectors, const float[:, ::1] projections, const float[::1] norms2,
                const uint32_t[::1] ids, *, int bits, str metric, margins):
    """The block of the nodes that searches begin from, (lines, 64)."""
    cdef size_t count = ids.shape[0]
    cdef Layout layout = _layout(projections.shape[1], bits, metric)
    cdef BlockInput data = _input(vectors, projections, norms2, layout, 0.0, margins)
    if count == 0 or int(np.max(ids)) >= vectors.shape[0]:
        raise ValueError(f"ids: expected rows below {vectors.shape[0]}, at least one; name nodes of the graph")
    out = aligned(layout.block_lines(count))
    cdef uint8_t[:, ::1] view = out
    c_fill_entries(data, &ids[0], count, &view[0, 0])
    return out


cdef class Store:
    """Vectors and blocks as the search reads them: those that lie on cache lines are not copied."""
    cdef Rows rows
    cdef Tables tables
    cdef unique_ptr[Searcher] one
    cdef size_t dim
    cdef object kept
    cdef readonly int bad_row

    def __init__(self, const float[:, ::1] vectors, str metric, const float[:, ::1] directions,
                 lines, const uint32_t[::1] first, entries, *, size_t stride, int bits):
        cdef size_t n = vectors.shape[0], dim = vectors.shape[1], i
        cdef const float[:, ::1] data, columns
        cdef const float[::1] shift_view
        cdef float[:, ::1] writable
        cdef const uint8_t[:, ::1] line_view, entry_view
        self.dim, self.bad_row = dim, -1
        if not 0 < n <= kMostNodes or dim == 0 or first.shape[0] != (0 if stride else <Py_ssize_t>n + 1):
            raise ValueError(f"vectors: expected 1 to {kMostNodes} rows and a block for each, got {n} rows and "
                             f"{first.shape[0]} first lines; make the blocks of this graph")
        if <size_t>directions.shape[1] != dim:
            raise ValueError(f"directions: expected {dim} columns, got {directions.shape[1]}; use the fitted vectors")
        rows = _padded_rows(np.asarray(vectors), copied=metric == "cosine")
        if metric == "cosine":
            writable = rows
            for i in range(n):
                if not c_normalise(&writable[i, 0], dim):
                    self.bad_row = i
                    break
        lines, entries = _on_lines(lines), _on_lines(entries)
        across = _columns(np.asarray(directions))
        shift = np.zeros(across.shape[1], dtype=np.float32)
        data, columns, shift_view, line_view, entry_view = rows, across, shift, lines, entries
        total = stride * n if stride else first[n]
        if total != <size_t>line_view.shape[0] or np.any(np.diff(np.asarray(first).astype(np.int64)) < 1):
            raise ValueError(f"blocks: expected {total} lines, got {line_view.shape[0]}; make them for this graph")
        self.kept = (rows, across, shift, lines, np.asarray(first), entries)
        self.rows.data, self.rows.stride, self.rows.n = &data[0, 0], data.shape[1], n
        self.rows.metric = metric_of(metric)
        self.tables.layout = _layout(directions.shape[0], bits, metric)
        self.tables.map.dim, self.tables.map.positions = dim, columns.shape[1]
        self.tables.map.matrix, self.tables.map.shift = &columns[0, 0], &shift_view[0]
        self.tables.lines = &line_view[0, 0]
        self.tables.stride = stride
        if not stride:
            self.tables.first = &first[0]
        self.tables.entries = &entry_view[0, 0]
        self.one.reset(new Searcher(self.rows, self.tables, 1))

    @property
    def nbytes(self):
        return sum(int(array.nbytes) for array in self.kept)

    def search(self, const float[:, ::1] queries, size_t k, size_t ef, int threads):
        cdef size_t count = queries.shape[0]
        cdef int64_t bad
        cdef Work work
        work.distances = work.expansions = work.estimates = 0
        if <size_t>queries.shape[1] != self.dim:
            raise ValueError("queries: expected as many columns as the vectors have; embed both alike")
        ids = np.empty((count, k), dtype=np.uint32)
        distances = np.empty((count, k), dtype=np.float32)
        cdef uint32_t[:, ::1] id_view = ids
        cdef float[:, ::1] distance_view = distances
        if count == 0 or k == 0:
            return ids, distances, 0, 0, 0, -1
        with nogil:
            bad = c_search(self.rows, self.tables, &queries[0, 0], count, self.dim, k, ef, threads, &id_view[0, 0],
                           &distance_view[0, 0], &work)
        return ids, distances, int(work.distances), int(work.expansions), int(work.estimates), int(bad)

    def estimate(self, const float[::1] query, int64_t node):
        """Estimates for the neighbours of a node, or for the entries (node -1): ids and distances of whole groups."""
        cdef float[::1] padded_query = np.zeros(self.rows.stride, dtype=np.float32)
        cdef const uint8_t* block
        cdef uint32_t degree
        cdef float c2, distance = 0
        cdef uint32_t i
        if <size_t>query.shape[0] != self.dim or not -1 <= node < <int64_t>self.rows.n:
            raise ValueError("estimate: expected a known node and a query of the vectors' length; check them")
        padded_query[:self.dim] = query
        if self.rows.metric == Metric.cosine and not c_normalise(&padded_query[0], self.dim):
            raise ValueError("estimate: expected a query of nonzero length for cosine, got zeros; leave it out")
        self.one.get().project(&padded_query[0], 1)
        self.one.get().set_query(0, &padded_query[0])
        block = self.tables.entries if node < 0 else self.tables.lines + 64 * (
            self.tables.stride * <size_t>node if self.tables.stride else <size_t>self.tables.first[node])
        degree, c2 = (<const uint32_t*>block)[0], (<const float*>block)[1]
        if node >= 0:
            distance = self.one.get().distance(&padded_query[0], node)
        self.one.get().set_centre(c2, distance)
        groups = (degree + 15) // 16
        ids = np.zeros(16 * groups, dtype=np.uint32)
        out = np.zeros(16 * groups, dtype=np.float32)
        cdef uint32_t[::1] id_view = ids
        cdef float[::1] view = out
        block += 64
        for i in range(groups):
            for lane in range(16):
                id_view[16 * i + lane] = (<const uint32_t*>block)[lane]
            self.one.get().estimate(block, 0.0, &view[16 * i])
            block += 64 * self.tables.layout.group_lines()
        return ids[:degree], out[:degree]


def _padded_rows(rows, *, copied):
    """Rows of whole cache lines; the rows themselves where they are that, unless a copy is asked for."""
    n, dim = rows.shape
    if not copied and dim % 16 == 0 and rows.ctypes.data % LINE == 0:
        return rows
    out = aligned(n * (padded(dim) // 16)).view(np.float32).reshape(n, padded(dim))
    out[:, :dim] = rows
    return out


def _columns(directions):
    """Directions (rank, dim) as columns on cache lines, with columns of zeros up to a multiple of 64."""
    rank, dim = directions.shape
    out = aligned(dim * ((rank + 63) // 64) * 4).view(np.float32).reshape(dim, -1)
    out[:, :rank] = directions.T
    return out


def _on_lines(lines):
    """Lines (m, 64) on cache lines, copied only where they are not."""
    if lines.dtype != np.uint8 or lines.ndim != 2 or lines.shape[1] != LINE or not lines.flags.c_contiguous:
        raise ValueError(f"blocks: expected contiguous uint8 (lines, 64), got {lines.dtype} {lines.shape}; make them "
                         "for this graph")
    if lines.ctypes.data % LINE == 0:
        return lines
    out = aligned(len(lines))
    out[:] = lines
    return out
