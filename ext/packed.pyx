# distutils: language = c++
"""Search of packed indexes, their codes and stored vectors; see packed.pyi."""

import numpy as np

from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t
from libcpp cimport bool as cbool

from ext.build cimport FINGERPOST_SOURCE_HASH
from ext.graph cimport Metric, kNone, metric_of
from ext.simd cimport active_name, available_names, force_name

SOURCE_HASH: str = FINGERPOST_SOURCE_HASH.decode()
NONE = 0xFFFFFFFF

cdef extern from "packed.hpp" namespace "fingerpost" nogil:
    cdef enum class Keeping(int):
        floats
        integers
        bits12
    cdef cppclass StoreView:
        Keeping keeping
        size_t dim, stride
        const uint8_t* rows
        const float* low
        const float* step
    cdef cppclass CodeView:
        const uint8_t* codes
        size_t lines
        int bits
        size_t bytes()
        size_t positions()
    cdef cppclass CodeMap:
        size_t dim, positions
        const float* matrix
        const float* shift
        const float* low
        const float* step
    cdef cppclass PackedView:
        size_t n, dim
        Metric metric
        size_t stride
        const uint32_t* links
        size_t upper_count
        const uint32_t* upper_nodes
        const uint32_t* upper_start
        size_t upper_stride
        const uint32_t* upper_links
        int top_level
        const uint32_t* entries
        size_t entry_count
        StoreView store
        cbool coded
        CodeView code
        CodeMap map
        const uint32_t* rows
    cdef cppclass Kept:
        const uint64_t* bits
        size_t words
        const int64_t* passing
        const uint8_t* methods
        const int64_t* owners
    cdef cppclass PackedCounters:
        uint64_t distances, estimates, expansions
    size_t kExactRows
    size_t padded(size_t)
    size_t store_bytes(Keeping, size_t)
    cdef cppclass Mapper:
        Mapper(const CodeMap&) except +
        void apply(const float*, size_t, size_t)
        const float* mapped(size_t)
    cdef cppclass StoreScorer:
        StoreScorer(const StoreView&, Metric) except +
        void decode(uint32_t, float*)
    cdef cppclass CodeQuery:
        pass
    ctypedef void (*CodeKernel)(const CodeView&, const CodeQuery&, const uint32_t*, size_t, float*)
    CodeKernel code_kernel(int)
    cdef cppclass QueryCode:
        QueryCode(const CodeMap&, cbool) except +
        void prepare(const float*, size_t, size_t)
        CodeQuery query(size_t)
    void c_encode "fingerpost::encode_rows"(const CodeMap&, const CodeView&, const float*, const float*, size_t, cbool,
                                            uint8_t*) except +
    size_t c_search "fingerpost::search_packed"(const PackedView&, const float*, size_t, size_t, size_t, size_t,
                                                const Kept&, int, uint32_t*, float*, PackedCounters*) except +

_KEEPINGS = {"float32": <int>Keeping.floats, "integers": <int>Keeping.integers, "bits12": <int>Keeping.bits12}

EXACT_ROWS: int = kExactRows

def available_paths():
    return available_names()


def active_path():
    return active_name()


def force_path(str name):
    force_name(name)


cdef CodeMap _map(const float[:, ::1] matrix, const float[::1] shift, const float[::1] low,
                  const float[::1] step) except *:
    cdef CodeMap found
    cdef Py_ssize_t positions = matrix.shape[1]
    if positions == 0 or matrix.shape[0] == 0 or \
            not (shift.shape[0] == low.shape[0] == step.shape[0] == positions):
        raise ValueError(f"codes: expected shift, low and step of the matrix's {positions} columns; fit them together")
    found.dim = matrix.shape[0]
    found.positions = positions
    found.matrix = &matrix[0, 0]
    found.shift = &shift[0]
    found.low = &low[0]
    found.step = &step[0]
    return found


cdef CodeView _codes(int bits, size_t positions) except *:
    cdef CodeView view
    view.bits = bits
    view.lines = positions * bits // 512
    if bits not in (4, 8) or view.lines == 0 or view.positions() != positions:
        raise ValueError(f"codes: expected whole lines of 4 or 8 bits, got {positions} positions of {bits}; fit them")
    return view


def map_rows(const float[:, ::1] rows, const float[:, ::1] matrix, const float[::1] shift):
    cdef CodeMap found = _map(matrix, shift, shift, shift)
    out = np.empty((rows.shape[0], matrix.shape[1]), dtype=np.float32)
    cdef float[:, ::1] view = out
    cdef Mapper* mapper
    cdef const float* mapped
    cdef size_t i, j
    if rows.shape[1] != matrix.shape[0]:
        raise ValueError(f"rows: expected {matrix.shape[0]} columns, got {rows.shape[1]}; use the fitted vectors")
    mapper = new Mapper(found)
    with nogil:
        for i in range(<size_t>rows.shape[0]):
            mapper.apply(&rows[i, 0], found.dim, 1)
            mapped = mapper.mapped(0)
            for j in range(found.positions):
                view[i, j] = mapped[j]
    del mapper
    return out


def encode(const float[:, ::1] rows, const float[:, ::1] matrix, const float[::1] shift, const float[::1] low,
           const float[::1] step, const float[::1] centre, *, int bits, cbool own, out=None):
    cdef CodeMap found = _map(matrix, shift, low, step)
    cdef CodeView view = _codes(bits, found.positions)
    if rows.shape[1] != matrix.shape[0] or centre.shape[0] != matrix.shape[0]:
        raise ValueError(f"rows: expected {matrix.shape[0]} columns, got {rows.shape[1]}; use the fitted vectors")
    if out is None:
        out = np.empty((rows.shape[0], view.bytes()), dtype=np.uint8)
    cdef uint8_t[:, ::1] to = out
    if to.shape[0] != rows.shape[0] or <size_t>to.shape[1] != view.bytes():
        raise ValueError(f"out: expected ({rows.shape[0]}, {view.bytes()}), got {out.shape}; make it for these rows")
    if rows.shape[0]:
        with nogil:
            c_encode(found, view, &centre[0], &rows[0, 0], rows.shape[0], own, &to[0, 0])
    return out


def estimates(const float[::1] query, const uint8_t[:, ::1] codes, const float[:, ::1] matrix, const float[::1] shift,
              const float[::1] low, const float[::1] step, *, int bits, cbool l2):
    cdef CodeMap found = _map(matrix, shift, low, step)
    cdef CodeView view = _codes(bits, found.positions)
    if query.shape[0] != matrix.shape[0] or <size_t>codes.shape[1] != view.bytes():
        raise ValueError(f"estimates: expected {matrix.shape[0]} columns and codes of {view.bytes()} bytes; fit again")
    cdef size_t count = codes.shape[0]
    out = np.zeros((count + 3) // 4 * 4, dtype=np.float32)
    ids = np.minimum(np.arange(len(out), dtype=np.uint32), max(<Py_ssize_t>count - 1, 0)).astype(np.uint32)
    cdef float[::1] to = out
    cdef const uint32_t[::1] rows = ids
    cdef QueryCode* asked
    if count:
        view.codes = &codes[0, 0]
        asked = new QueryCode(found, l2)
        asked.prepare(&query[0], found.dim, 1)
        code_kernel(bits)(view, asked.query(0), &rows[0], count, &to[0])
        del asked
    return out[:count]


def row_bytes(str keeping, size_t dim):
    return int(store_bytes(<Keeping><int>_KEEPINGS[keeping], dim))


cdef class Index:
    cdef PackedView view
    cdef object arrays

    def __init__(self, arrays, *, str metric, size_t dim, int top_level, str keeping, int bits):
        cdef PackedView* view = &self.view
        cdef const uint32_t[:, ::1] links = arrays["links"], upper_links = arrays["upper_links"]
        cdef const uint32_t[::1] upper_nodes = arrays["upper_nodes"], upper_start = arrays["upper_start"]
        cdef const uint32_t[::1] entries = arrays["entries"], rows = arrays["rows"]
        cdef const uint8_t[:, ::1] store = arrays["store"], codes = arrays["codes"]
        cdef const float[::1] low = arrays["store_low"], step = arrays["store_step"]
        view.n = links.shape[0]
        view.dim = dim
        view.metric = metric_of(metric)
        view.stride = links.shape[1]
        view.store.keeping = <Keeping><int>_KEEPINGS[keeping]
        view.store.dim = padded(dim)
        view.store.stride = store.shape[1]
        if view.n == 0 or dim == 0 or entries.shape[0] == 0 or view.stride % 8 or <size_t>store.shape[0] != view.n or \
                view.store.stride != store_bytes(view.store.keeping, dim):
            raise ValueError(f"packed index: expected {view.n} rows of {store_bytes(view.store.keeping, dim)} bytes and "
                             f"lists in eights, got {arrays['store'].shape} and {arrays['links'].shape}; pack it again")
        expected = {"float32": 0, "integers": 1, "bits12": padded(dim)}[keeping]
        if <size_t>low.shape[0] < <size_t>expected or (keeping == "bits12" and <size_t>step.shape[0] < padded(dim)):
            raise ValueError(f"packed index: expected {expected} ranges of stored values, got {low.shape[0]}; pack again")
        view.links = &links[0, 0] if view.stride else NULL
        view.store.rows = &store[0, 0]
        view.store.low = &low[0] if low.shape[0] else NULL
        view.store.step = &step[0] if step.shape[0] else NULL
        view.upper_count = upper_nodes.shape[0]
        view.top_level = top_level
        if view.upper_count:
            if <size_t>upper_start.shape[0] != view.upper_count or upper_links.shape[0] == 0:
                raise ValueError("packed index: expected a start for each upper node, got others; pack it again")
            view.upper_nodes = &upper_nodes[0]
            view.upper_start = &upper_start[0]
            view.upper_stride = upper_links.shape[1]
            view.upper_links = &upper_links[0, 0]
        view.entries = &entries[0]
        view.entry_count = entries.shape[0]
        view.rows = &rows[0] if rows.shape[0] else NULL
        view.coded = bits > 0
        if view.coded:
            view.map = _map(arrays["matrix"], arrays["shift"], arrays["low"], arrays["step"])
            view.code = _codes(bits, view.map.positions)
            if <size_t>codes.shape[0] != view.n or <size_t>codes.shape[1] != view.code.bytes() or view.map.dim != dim:
                raise ValueError(f"packed index: expected codes ({view.n}, {view.code.bytes()}), got "
                                 f"{arrays['codes'].shape}; pack it again")
            view.code.codes = &codes[0, 0]
        self.arrays = arrays

    def search(self, const float[:, ::1] queries, size_t k, size_t ef, size_t rerank, int threads,
               const uint64_t[:, ::1] kept=None, const int64_t[::1] passing=None, const uint8_t[::1] methods=None,
               const int64_t[::1] owners=None):
        cdef size_t count = queries.shape[0], bad
        cdef Kept sets
        cdef PackedCounters total
        if <size_t>queries.shape[1] != self.view.dim:
            raise ValueError("queries: expected as many columns as the vectors have; embed both alike")
        ids = np.empty((count, k), dtype=np.uint32)
        distances = np.empty((count, k), dtype=np.float32)
        cdef uint32_t[:, ::1] id_view = ids
        cdef float[:, ::1] distance_view = distances
        if count == 0 or k == 0:
            return ids, distances, 0, 0, 0, -1
        if kept is not None:
            if <size_t>kept.shape[1] != (self.view.n + 63) // 64 or kept.shape[0] == 0:
                raise ValueError(f"keep: expected sets of {self.view.n} rows, got {kept.shape[1]} words; see keep_rows")
            if passing is None or methods is None or passing.shape[0] != kept.shape[0] or \
                    methods.shape[0] != kept.shape[0]:
                raise ValueError(f"keep: expected rows and a method of {kept.shape[0]} sets, got others; see keep_rows")
            sets.bits = &kept[0, 0]
            sets.words = kept.shape[1]
            sets.passing = &passing[0]
            sets.methods = &methods[0]
            if owners is not None:
                if <size_t>owners.shape[0] != count:
                    raise ValueError(f"keep: expected the sets of {count} queries, got {owners.shape[0]}; see keep_rows")
                sets.owners = &owners[0]
        with nogil:
            bad = c_search(self.view, &queries[0, 0], count, k, ef, rerank, sets, threads, &id_view[0, 0],
                           &distance_view[0, 0], &total)
        return (ids, distances, int(total.distances), int(total.estimates), int(total.expansions),
                -1 if bad == count else int(bad))

    def decoded(self, const int64_t[::1] nodes=None):
        cdef size_t count = self.view.n if nodes is None else nodes.shape[0]
        cdef cbool all_nodes = nodes is None
        out = np.empty((count, self.view.dim), dtype=np.float32)
        cdef float[:, ::1] view = out
        row = np.empty(self.view.store.dim, dtype=np.float32)
        cdef float[::1] buffer = row
        cdef size_t i, j, node, to
        cdef StoreScorer* store = new StoreScorer(self.view.store, self.view.metric)
        with nogil:
            for i in range(count):
                node = i if all_nodes else <size_t>nodes[i]
                store.decode(<uint32_t>node, &buffer[0])
                to = i if self.view.rows == NULL or not all_nodes else self.view.rows[i]
                for j in range(self.view.dim):
                    view[to, j] = buffer[j]
        del store
        return out
