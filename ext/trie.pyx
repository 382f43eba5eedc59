# distutils: language = c++
"""A path-compressed trie in flat arrays, maxima of ranges, and texts of rows; see trie.pyi."""

import numpy as np

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_GET_SIZE
from cpython.list cimport PyList_New, PyList_SET_ITEM
from cpython.ref cimport Py_INCREF
from cpython.unicode cimport PyUnicode_DecodeUTF8
from libc.stdint cimport int64_t, uint8_t, uint32_t
from libc.string cimport memcpy
from libcpp.vector cimport vector

from ext.build cimport FINGERPOST_SOURCE_HASH

SOURCE_HASH: str = FINGERPOST_SOURCE_HASH.decode()
NONE: int = 0xFFFFFFFF

cdef extern from "trie.hpp" namespace "fingerpost::tries" nogil:
    cdef cppclass Arrays:
        vector[uint32_t] low, first_child, tail_start
        vector[uint8_t] first_byte, tails
    cdef cppclass Builder:
        Builder(const uint8_t*, const int64_t*, size_t) except +
        Arrays build() except +
    cdef cppclass Range:
        uint32_t low
        uint32_t high
    cdef cppclass View:
        const uint32_t* low
        const uint32_t* first_child
        const uint32_t* tail_start
        const uint8_t* first_byte
        const uint8_t* tails
        uint32_t nodes
        uint32_t rows
    cdef cppclass Walker:
        Walker(const View&)
    cdef cppclass Maxima:
        const float* weights
        const uint32_t* table
        size_t blocks
    Range c_find "fingerpost::tries::find"(const Walker&, const uint8_t*, size_t)
    void c_within "fingerpost::tries::within_one_edit"(const Walker&, const uint8_t*, size_t,
                                                       vector[Range]&) except +
    size_t kBlock
    size_t table_levels(size_t)
    void fill_maxima(const float*, size_t, uint32_t*)
    size_t best_rows(const Maxima&, const uint32_t*, const uint32_t*, size_t, size_t, uint32_t*) except +

BLOCK: int = kBlock


cdef _numbers(const vector[uint32_t]& source):
    out = np.empty(source.size(), dtype=np.uint32)
    cdef uint32_t[::1] view = out
    if source.size():
        memcpy(&view[0], source.data(), source.size() * sizeof(uint32_t))
    return out


cdef _bytes(const vector[uint8_t]& source):
    out = np.empty(source.size(), dtype=np.uint8)
    cdef uint8_t[::1] view = out
    if source.size():
        memcpy(&view[0], source.data(), source.size())
    return out


def _check_texts(const int64_t[::1] offsets, const uint8_t[::1] data, str name):
    cdef Py_ssize_t row
    if offsets.shape[0] == 0 or offsets[0] < 0 or offsets[offsets.shape[0] - 1] > data.shape[0]:
        raise ValueError(f"{name}: expected offsets (n + 1,) inside {data.shape[0]} bytes; pass both of one array")
    for row in range(offsets.shape[0] - 1):
        if offsets[row] > offsets[row + 1]:
            raise ValueError(f"{name}: expected ascending offsets, got a descent at row {row}; pass both of one array")


def build_trie(const int64_t[::1] offsets, const uint8_t[::1] data):
    _check_texts(offsets, data, "keys")
    cdef size_t rows = offsets.shape[0] - 1
    if rows >= <size_t>1 << 31:
        raise ValueError(f"keys: expected fewer than 2**31, got {rows}; use fewer suggestions")
    cdef Builder* builder = new Builder(&data[0] if data.shape[0] else NULL, &offsets[0], rows)
    cdef Arrays built
    try:
        with nogil:
            built = builder.build()
    finally:
        del builder
    return {
        "low": _numbers(built.low),
        "first_child": _numbers(built.first_child),
        "first_byte": _bytes(built.first_byte),
        "tail_start": _numbers(built.tail_start),
        "tails": _bytes(built.tails),
    }


def range_maxima(const float[::1] weights):
    cdef size_t rows = weights.shape[0], blocks = rows // kBlock
    table = np.empty((table_levels(blocks), blocks), dtype=np.uint32)
    cdef uint32_t[:, ::1] view = table
    if blocks:
        with nogil:
            fill_maxima(&weights[0], rows, &view[0, 0])
    return table


cdef class Trie:
    cdef View view
    cdef Walker* walker
    cdef tuple kept

    def __cinit__(self, size_t rows, const uint32_t[::1] low, const uint32_t[::1] first_child,
                  const uint8_t[::1] first_byte, const uint32_t[::1] tail_start, const uint8_t[::1] tails):
        self.kept = (low, first_child, first_byte, tail_start, tails)
        self.view.low = &low[0]
        self.view.first_child = &first_child[0]
        self.view.first_byte = &first_byte[0]
        self.view.tail_start = &tail_start[0]
        self.view.tails = &tails[0] if tails.shape[0] else NULL
        self.view.nodes = low.shape[0]
        self.view.rows = rows
        self.walker = new Walker(self.view)

    def __dealloc__(self):
        del self.walker

    def find(self, bytes prefix not None):
        cdef Range found = c_find(self.walker[0], <const uint8_t*>PyBytes_AS_STRING(prefix), PyBytes_GET_SIZE(prefix))
        return found.low, found.high

    def find_many(self, const int64_t[::1] offsets, const uint8_t[::1] data):
        _check_texts(offsets, data, "prefixes")
        cdef Py_ssize_t row, count = offsets.shape[0] - 1
        low, high = np.empty(count, dtype=np.uint32), np.empty(count, dtype=np.uint32)
        cdef uint32_t[::1] low_view = low, high_view = high
        cdef const uint8_t* texts = &data[0] if data.shape[0] else NULL
        cdef Range found
        with nogil:
            for row in range(count):
                found = c_find(self.walker[0], texts + offsets[row], offsets[row + 1] - offsets[row])
                low_view[row] = found.low
                high_view[row] = found.high
        return low, high

    def within_one_edit(self, bytes prefix not None):
        cdef vector[Range] found
        cdef const uint8_t* text = <const uint8_t*>PyBytes_AS_STRING(prefix)
        cdef size_t size = PyBytes_GET_SIZE(prefix), i
        with nogil:
            c_within(self.walker[0], text, size, found)
        return _split(found)

    def within_one_edit_many(self, const int64_t[::1] offsets, const uint8_t[::1] data):
        _check_texts(offsets, data, "prefixes")
        cdef Py_ssize_t row, count = offsets.shape[0] - 1
        indptr = np.zeros(count + 1, dtype=np.int64)
        cdef int64_t[::1] indptr_view = indptr
        cdef const uint8_t* texts = &data[0] if data.shape[0] else NULL
        cdef vector[Range] found, joined
        with nogil:
            for row in range(count):
                c_within(self.walker[0], texts + offsets[row], offsets[row + 1] - offsets[row], found)
                joined.insert(joined.end(), found.begin(), found.end())
                indptr_view[row + 1] = joined.size()
        low, high = _split(joined)
        return indptr, low, high


cdef _split(const vector[Range]& ranges):
    cdef size_t i
    low, high = np.empty(ranges.size(), dtype=np.uint32), np.empty(ranges.size(), dtype=np.uint32)
    cdef uint32_t[::1] low_view = low, high_view = high
    for i in range(ranges.size()):
        low_view[i] = ranges[i].low
        high_view[i] = ranges[i].high
    return low, high


cdef class Heaviest:
    cdef Maxima maxima
    cdef uint32_t rows
    cdef tuple kept

    def __cinit__(self, const float[::1] weights, const uint32_t[:, ::1] table):
        cdef size_t blocks = weights.shape[0] // kBlock
        if table.shape[0] != table_levels(blocks) or table.shape[1] != blocks:
            raise ValueError(f"maxima: expected {table_levels(blocks)} levels of {blocks} blocks, got "
                             f"{table.shape[0]} of {table.shape[1]}; pass those of the same weights")
        self.kept = (weights, table)
        self.rows = weights.shape[0]
        self.maxima.weights = &weights[0] if weights.shape[0] else NULL
        self.maxima.table = &table[0, 0] if blocks else NULL
        self.maxima.blocks = blocks

    def best(self, const uint32_t[::1] low, const uint32_t[::1] high, size_t k):
        self.check(low, high)
        k = min(k, <size_t>self.rows)
        out = np.empty(k, dtype=np.uint32)
        cdef uint32_t[::1] view = out
        cdef size_t found = 0, ranges = low.shape[0]
        if k and ranges:
            with nogil:
                found = best_rows(self.maxima, &low[0], &high[0], ranges, k, &view[0])
        return out if found == k else out[:found].copy()

    def best_many(self, const int64_t[::1] indptr, const uint32_t[::1] low, const uint32_t[::1] high, size_t k):
        self.check(low, high)
        cdef Py_ssize_t query, count = indptr.shape[0] - 1, ranges = low.shape[0]
        if count < 0 or indptr[0] != 0 or indptr[count] != ranges:
            raise ValueError(f"ranges: expected index pointers from 0 to {ranges}, got others; pass those of the ranges")
        for query in range(count):
            if indptr[query] > indptr[query + 1]:
                raise ValueError(f"ranges: expected ascending index pointers, got a descent at {query}; pass those of the "
                                 "ranges")
        rows = np.full((count, k), NONE, dtype=np.uint32)
        counts = np.zeros(count, dtype=np.int64)
        cdef uint32_t[:, ::1] row_view = rows
        cdef int64_t[::1] count_view = counts
        if k and ranges:
            with nogil:
                for query in range(count):
                    count_view[query] = best_rows(self.maxima, &low[0] + indptr[query], &high[0] + indptr[query],
                                                  indptr[query + 1] - indptr[query], k, &row_view[query, 0])
        return rows, counts

    cdef check(self, const uint32_t[::1] low, const uint32_t[::1] high):
        cdef Py_ssize_t i
        if low.shape[0] != high.shape[0]:
            raise ValueError(f"ranges: expected as many ends as beginnings, got {high.shape[0]} and {low.shape[0]}; pass "
                             "both of one search")
        for i in range(low.shape[0]):
            if high[i] > self.rows or low[i] > high[i]:
                raise ValueError(f"range {i}: expected 0 <= low <= high <= {self.rows}, got {low[i]} to {high[i]}; "
                                 "search for it in the same trie")


cdef class Texts:
    cdef const int64_t[::1] offsets
    cdef const uint8_t[::1] data

    def __init__(self, const int64_t[::1] offsets, const uint8_t[::1] data):
        _check_texts(offsets, data, "texts")
        self.offsets = offsets
        self.data = data

    def __len__(self):
        return self.offsets.shape[0] - 1

    cdef _text(self, Py_ssize_t row):
        cdef int64_t start = self.offsets[row], size = self.offsets[row + 1] - self.offsets[row]
        return PyUnicode_DecodeUTF8(<const char*>(&self.data[0] + start), size, NULL) if size else ""

    def between(self, size_t low, size_t high):
        cdef size_t rows = self.offsets.shape[0] - 1, row
        if low > high or high > rows:
            raise ValueError(f"range: expected 0 <= low <= high <= {rows}, got {low} to {high}; use rows of these texts")
        out = PyList_New(high - low)
        for row in range(low, high):
            text = self._text(row)
            Py_INCREF(text)
            PyList_SET_ITEM(out, row - low, text)
        return out

    def take(self, const uint32_t[::1] rows):
        cdef Py_ssize_t i, count = rows.shape[0]
        cdef size_t size = self.offsets.shape[0] - 1
        for i in range(count):
            if rows[i] >= size:
                raise ValueError(f"rows: expected numbers below {size}, got {rows[i]}; use rows of these texts")
        out = PyList_New(count)
        for i in range(count):
            text = self._text(rows[i])
            Py_INCREF(text)
            PyList_SET_ITEM(out, i, text)
        return out
