# distutils: language = c++
"""Exact best documents of weighted query terms over an inverted index, and sorted texts; see postings.pyi."""

import numpy as np

from libc.math cimport isfinite
from libc.stdint cimport int32_t, int64_t, uint8_t, uint32_t, uint64_t

from ext.build cimport FINGERPOST_SOURCE_HASH

SOURCE_HASH: str = FINGERPOST_SOURCE_HASH.decode()

cdef extern from "Python.h":
    const char* PyUnicode_AsUTF8AndSize(object text, Py_ssize_t* size) except NULL

cdef extern from "postings.hpp" namespace "fingerpost::postings" nogil:
    cdef cppclass View:
        const int64_t* indptr
        const uint32_t* documents
        const float* weights
        const float* maxima
        size_t terms
        size_t rows
    cdef cppclass Forward:
        const int64_t* indptr
        const int32_t* terms
        const float* weights
    cdef cppclass Searcher:
        Searcher(const View&, const Forward&) except +
        size_t search(const int64_t*, const float*, size_t, size_t, const uint8_t*, int64_t*, float*) except +
    cdef cppclass Texts:
        Texts(const int64_t*, const uint8_t*, size_t)
        int64_t find(const uint8_t*, size_t)
    void search_many(const View&, const Forward&, const int64_t*, const int64_t*, const float*, size_t, size_t, const uint8_t*, int,
                     int64_t*, float*) except +
    size_t count_places(int64_t*, size_t, float*)
    void score_rows(const View&, const Forward&, const int64_t*, const float*, size_t, const int64_t*, size_t, float*,
                    float*) except +
    void c_invert "fingerpost::postings::invert"(const Forward&, size_t, size_t, int64_t*, uint32_t*, float*,
                                                 float*) except +
    bint ascending[T](const int64_t*, size_t, const T*, uint64_t)


cdef _check_ranges(const int64_t[::1] indptr, Py_ssize_t size, str name):
    cdef Py_ssize_t i, count = indptr.shape[0] - 1
    cdef bint fits = count >= 0 and indptr[0] == 0 and indptr[count] == size
    for i in range(max(count, 0)):
        fits = fits and indptr[i] <= indptr[i + 1]
    if not fits:
        raise ValueError(f"{name}: expected ascending index pointers from 0 to {size}, got others; pass those of the array")


cdef _check_length(Py_ssize_t found, Py_ssize_t expected, str name):
    if found != expected:
        raise ValueError(f"{name}: expected {expected} values, got {found}; pass arrays of one index")


def find_texts(list texts not None, const int64_t[::1] offsets, const uint8_t[::1] letters):
    cdef Py_ssize_t i, count = len(texts), known = offsets.shape[0] - 1, size
    if known < 0 or offsets[0] < 0 or offsets[known] > letters.shape[0]:
        raise ValueError(f"offsets: expected them inside {letters.shape[0]} bytes, got others; pass those of the letters")
    places = np.full(count, -1, dtype=np.int64)
    if known == 0 or count == 0:
        return places
    cdef int64_t[::1] out = places
    cdef const uint8_t* data = &letters[0] if letters.shape[0] else NULL
    cdef Texts* sorted_texts = new Texts(&offsets[0], data, known)
    cdef const char* text
    try:
        for i in range(count):
            try:
                text = PyUnicode_AsUTF8AndSize(texts[i], &size)
            except UnicodeEncodeError:
                continue
            out[i] = sorted_texts.find(<const uint8_t*>text, size)
    finally:
        del sorted_texts
    return places


def count_texts(list texts not None, const int64_t[::1] offsets, const uint8_t[::1] letters):
    places = find_texts(texts, offsets, letters)
    counts = np.empty(len(texts), dtype=np.float32)
    cdef int64_t[::1] place_view = places
    cdef float[::1] count_view = counts
    cdef size_t distinct = 0
    if place_view.shape[0]:
        distinct = count_places(&place_view[0], place_view.shape[0], &count_view[0])
    return places[:distinct], counts[:distinct]


cdef Forward _forward(const int64_t[::1] indptr, const int32_t[::1] terms, const float[::1] weights, Py_ssize_t columns):
    _check_ranges(indptr, terms.shape[0], "documents")
    _check_length(weights.shape[0], terms.shape[0], "weights")
    if indptr.shape[0] - 1 >= 0xFFFFFFFF:
        raise ValueError(f"documents: expected fewer than 2**32 - 1, got {indptr.shape[0] - 1}; index them in parts")
    # A minimum is not a number where a value is not.
    if terms.shape[0] and not (ascending[int32_t](&indptr[0], indptr.shape[0] - 1, &terms[0], columns)
                               and np.min(weights) > 0 and np.isfinite(np.max(weights))):
        raise ValueError(f"documents: expected ascending terms below {columns} with finite weights above 0, got others; "
                         "weigh the terms of the lexicon")
    cdef Forward made
    made.indptr = &indptr[0]
    made.terms = &terms[0] if terms.shape[0] else NULL
    made.weights = &weights[0] if weights.shape[0] else NULL
    return made


def invert(const int64_t[::1] indptr, const int32_t[::1] terms, const float[::1] weights, Py_ssize_t columns):
    cdef Forward rows = _forward(indptr, terms, weights, columns)
    cdef Py_ssize_t entries = terms.shape[0]
    starts = np.zeros(columns + 1, dtype=np.int64)
    np.cumsum(np.bincount(terms, minlength=columns), out=starts[1:])
    documents, turned = np.empty(entries, dtype=np.uint32), np.empty(entries, dtype=np.float32)
    maxima = np.zeros(columns, dtype=np.float32)
    cdef int64_t[::1] start_view = starts
    cdef uint32_t[::1] document_view = documents
    cdef float[::1] weight_view = turned, most_view = maxima
    if entries:
        with nogil:
            c_invert(rows, indptr.shape[0] - 1, columns, &start_view[0], &document_view[0], &weight_view[0], &most_view[0])
    return starts, documents, turned, maxima


cdef class Lists:
    cdef View view
    cdef Forward forward
    cdef tuple kept
    # One that is not in use, for the next search of a single query.
    cdef Searcher* spare

    def __cinit__(self, const int64_t[::1] indptr, const uint32_t[::1] documents, const float[::1] weights,
                  const float[::1] maxima, const int64_t[::1] forward_indptr, const int32_t[::1] forward_terms,
                  const float[::1] forward_weights):
        cdef Py_ssize_t terms = maxima.shape[0], entries = documents.shape[0]
        self.forward = _forward(forward_indptr, forward_terms, forward_weights, terms)
        _check_ranges(indptr, entries, "terms")
        _check_length(indptr.shape[0], terms + 1, "terms")
        _check_length(weights.shape[0], entries, "weights")
        _check_length(forward_terms.shape[0], entries, "documents' terms")
        self.kept = (indptr, documents, weights, maxima, forward_indptr, forward_terms, forward_weights)
        self.view.indptr = &indptr[0]
        self.view.documents = &documents[0] if entries else NULL
        self.view.weights = &weights[0] if entries else NULL
        self.view.maxima = &maxima[0] if terms else NULL
        self.view.terms = terms
        self.view.rows = forward_indptr.shape[0] - 1
        if entries and not ascending[uint32_t](&indptr[0], terms, &documents[0], self.view.rows):
            raise ValueError(f"lists: expected ascending documents below {self.view.rows}, got others; rebuild the index")

    def __dealloc__(self):
        del self.spare

    def __reduce__(self):
        return Lists, tuple(np.asarray(array) for array in self.kept)

    cdef check(self, const int64_t[::1] columns, const float[::1] weights):
        cdef Py_ssize_t i
        _check_length(weights.shape[0], columns.shape[0], "query weights")
        for i in range(columns.shape[0]):
            if columns[i] < -1 or columns[i] >= <int64_t>self.view.terms:
                raise ValueError(f"query: expected columns of -1 to {<int64_t>self.view.terms - 1}, got {columns[i]}; look "
                                 "terms up in the lexicon of the index")
            if not (weights[i] >= 0 and isfinite(weights[i])):
                raise ValueError(f"query: expected finite weights of at least 0, got {weights[i]}; correct them")

    cdef const uint8_t* mask(self, keep) except? NULL:
        if keep is None:
            return NULL
        cdef const uint8_t[::1] view = keep.view(np.uint8)
        _check_length(view.shape[0], self.view.rows, "keep")
        return &view[0] if view.shape[0] else NULL

    def best(self, const int64_t[::1] columns, const float[::1] weights, Py_ssize_t k, keep):
        self.check(columns, weights)
        cdef const uint8_t* allowed = self.mask(keep)
        k = max(min(k, <Py_ssize_t>self.view.rows), 0)
        rows, scores = np.empty(k, dtype=np.int64), np.empty(k, dtype=np.float32)
        cdef int64_t[::1] row_view = rows
        cdef float[::1] score_view = scores
        cdef size_t found = 0
        cdef Searcher* searcher
        if k and columns.shape[0]:
            searcher = self.spare
            self.spare = <Searcher*>NULL
            if searcher == NULL:
                searcher = new Searcher(self.view, self.forward)
            try:
                with nogil:
                    found = searcher.search(&columns[0], &weights[0], columns.shape[0], k, allowed, &row_view[0],
                                            &score_view[0])
            except:
                # It stopped in the middle of a window.
                del searcher
                raise
            # Another thread's may have come back meanwhile.
            del self.spare
            self.spare = searcher
        return (rows, scores) if <Py_ssize_t>found == k else (rows[:found].copy(), scores[:found].copy())

    def best_many(self, const int64_t[::1] indptr, const int64_t[::1] columns, const float[::1] weights, Py_ssize_t k,
                  keep, int threads):
        _check_ranges(indptr, columns.shape[0], "queries")
        self.check(columns, weights)
        cdef const uint8_t* allowed = self.mask(keep)
        cdef Py_ssize_t queries = indptr.shape[0] - 1
        k = max(min(k, <Py_ssize_t>self.view.rows), 0)
        rows, scores = np.full((queries, k), -1, dtype=np.int64), np.zeros((queries, k), dtype=np.float32)
        cdef int64_t[:, ::1] row_view = rows
        cdef float[:, ::1] score_view = scores
        if k and columns.shape[0]:
            with nogil:
                search_many(self.view, self.forward, &indptr[0], &columns[0], &weights[0], queries, k, allowed, threads,
                            &row_view[0, 0], &score_view[0, 0])
        return rows, scores

    def scores_of(self, const int64_t[::1] columns, const float[::1] weights, const int64_t[::1] rows):
        scores = np.zeros(rows.shape[0], dtype=np.float32)
        self.explain(columns, weights, rows, None, scores)
        return scores

    def contributions(self, const int64_t[::1] columns, const float[::1] weights, const int64_t[::1] rows):
        parts = np.zeros((rows.shape[0], columns.shape[0]), dtype=np.float32)
        self.explain(columns, weights, rows, parts, np.zeros(rows.shape[0], dtype=np.float32))
        return parts

    cdef explain(self, const int64_t[::1] columns, const float[::1] weights, const int64_t[::1] rows, parts, scores):
        self.check(columns, weights)
        cdef Py_ssize_t i
        for i in range(rows.shape[0]):
            if rows[i] < 0 or rows[i] >= <int64_t>self.view.rows:
                raise ValueError(f"rows: expected numbers of documents below {self.view.rows}, got {rows[i]}; correct them")
        if rows.shape[0] == 0 or columns.shape[0] == 0:
            return
        cdef float[::1] score_view = scores
        cdef float[:, ::1] part_view
        cdef float* part_at = NULL
        if parts is not None:
            part_view = parts
            part_at = &part_view[0, 0]
        with nogil:
            score_rows(self.view, self.forward, &columns[0], &weights[0], columns.shape[0], &rows[0], rows.shape[0],
                       part_at, &score_view[0])
