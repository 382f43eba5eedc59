# distutils: language = c++
"""Counts of word and character n-grams, and merges of sorted term lists (shapes and dtypes: ``ngrams.pyi``)."""

import unicodedata

import numpy as np

from cpython.object cimport PyObject
from cpython.unicode cimport PyUnicode_Check, PyUnicode_Compare, PyUnicode_GET_LENGTH
from libc.stdint cimport int32_t, int64_t, uint32_t, uint64_t
from libcpp cimport bool as cbool
from libcpp.vector cimport vector

from ext.build cimport FINGERPOST_SOURCE_HASH

cdef extern from "Python.h":
    bint PyUnicode_IS_ASCII(object text)
    void* PyUnicode_DATA(object text)

cdef extern from "ngrams.hpp" namespace "fingerpost":
    cdef cppclass Tokens:
        vector[uint32_t] tokens
        vector[uint64_t] starts
        cbool marks
        void add_ascii(const char* text, size_t size) except +
        void add_object(PyObject* text) except +
        void rank() except + nogil
    cdef cppclass Counts:
        vector[uint64_t] row_sizes
        size_t entries() nogil
    void count_words(const Tokens& source, Counts& out, unsigned least, unsigned most) except + nogil
    void count_characters(const Tokens& source, Counts& out, unsigned least, unsigned most) except + nogil
    void fill_rows(const Counts& source, int64_t* indptr, int32_t* indices, float* counts) except + nogil
    object term_list(const Counts& counts, const Tokens& source, cbool words, unsigned least) except +
    vector[uint64_t] term_hashes(const Counts& counts, const Tokens& source, cbool words, unsigned least) except + nogil
    int64_t fold_rows(const vector[uint64_t]& hashes, uint64_t buckets, size_t rows, int64_t* indptr,
                      int32_t* indices, float* counts) except + nogil

SOURCE_HASH: str = FINGERPOST_SOURCE_HASH.decode()
FAMILIES: tuple = ("word", "char")


cdef class _Counter:
    cdef Tokens tokens
    cdef Counts counts
    cdef cbool words
    cdef unsigned least
    cdef unsigned most

    def __init__(self, list texts, str family, int ngram_min, int ngram_max, bint marks):
        if family not in FAMILIES:
            raise ValueError(f"family: expected 'word' or 'char', got {family!r}; choose one of them")
        if not 1 <= ngram_min <= ngram_max <= 255:
            raise ValueError(
                f"ngram range: expected 1 <= ngram_min <= ngram_max <= 255, got {ngram_min} to {ngram_max}; correct it"
            )
        self.words = family == "word"
        self.least = ngram_min
        self.most = ngram_max
        self.tokens.marks = marks
        self.read(texts)
        cdef size_t rows = len(texts)
        with nogil:
            self.tokens.rank()
            self.counts.row_sizes.resize(rows)
            if self.words:
                count_words(self.tokens, self.counts, self.least, self.most)
            else:
                count_characters(self.tokens, self.counts, self.least, self.most)

    cdef read(self, list texts):
        cdef Py_ssize_t row
        cdef object text
        for row in range(len(texts)):
            text = texts[row]
            if not PyUnicode_Check(text):
                raise TypeError(f"texts[{row}]: expected a str, got {type(text).__name__}; give text for every row")
            if PyUnicode_IS_ASCII(text):
                self.tokens.add_ascii(<const char*>PyUnicode_DATA(text), <size_t>PyUnicode_GET_LENGTH(text))
            else:
                # Lower-casing looks at the whole text (a final sigma differs), so Python does it.
                if self.tokens.marks:
                    text = unicodedata.normalize("NFC", text)
                text = str.lower(text)
                self.tokens.add_object(<PyObject*>text)
        if self.tokens.tokens.size() >= <size_t>0xFFFFFFFF:
            raise ValueError(
                f"texts: expected fewer than 2**32 tokens, got {self.tokens.tokens.size()}; count smaller shards"
            )

    cdef rows(self):
        cdef size_t rows = self.counts.row_sizes.size()
        indptr = np.empty(rows + 1, dtype=np.int64)
        indices = np.empty(self.counts.entries(), dtype=np.int32)
        counts = np.empty(self.counts.entries(), dtype=np.float32)
        cdef int64_t[::1] indptr_view = indptr
        cdef int32_t[::1] indices_view = indices
        cdef float[::1] counts_view = counts
        cdef int32_t* indices_at = &indices_view[0] if indices.size else NULL
        cdef float* counts_at = &counts_view[0] if counts.size else NULL
        with nogil:
            fill_rows(self.counts, &indptr_view[0], indices_at, counts_at)
        return indptr, indices, counts


def count_ngrams(list texts not None, *, str family not None, int ngram_min, int ngram_max,
                 bint marks=True):
    counter = _Counter(texts, family, ngram_min, ngram_max, marks)
    indptr, indices, counts = counter.rows()
    return indptr, indices, counts, term_list(counter.counts, counter.tokens, counter.words, counter.least)


def hash_ngrams(list texts not None, *, str family not None, int ngram_min, int ngram_max, int64_t buckets,
                bint marks=True):
    if not 1 <= buckets <= 2**31 - 1:
        raise ValueError(f"buckets: expected 1 to 2**31 - 1, got {buckets}; choose a size in between")
    counter = _Counter(texts, family, ngram_min, ngram_max, marks)
    indptr, indices, counts = counter.rows()
    cdef int64_t[::1] indptr_view = indptr
    cdef int32_t[::1] indices_view = indices
    cdef float[::1] counts_view = counts
    cdef int64_t left = 0
    cdef _Counter typed = counter
    cdef vector[uint64_t] hashes
    if indices.size:
        with nogil:
            hashes = term_hashes(typed.counts, typed.tokens, typed.words, typed.least)
            left = fold_rows(hashes, <uint64_t>buckets, typed.counts.row_sizes.size(), &indptr_view[0],
                             &indices_view[0], &counts_view[0])
    return indptr, indices[:left].copy(), counts[:left].copy()


def merge_counts(list left_terms not None, left_counts, list right_terms not None, right_counts):
    cdef const int64_t[::1] left = np.ascontiguousarray(left_counts, dtype=np.int64)
    cdef const int64_t[::1] right = np.ascontiguousarray(right_counts, dtype=np.int64)
    cdef Py_ssize_t n = len(left_terms), m = len(right_terms), i = 0, j = 0, filled = 0
    if left.shape[0] != n or right.shape[0] != m:
        raise ValueError(
            f"counts: expected one for each term ({n} and {m}), got {left.shape[0]} and {right.shape[0]}; pass them together"
        )
    counts = np.empty(n + m, dtype=np.int64)
    cdef int64_t[::1] out = counts
    cdef list terms = []
    cdef int order
    while i < n and j < m:
        order = PyUnicode_Compare(left_terms[i], right_terms[j])
        if order <= 0:
            terms.append(left_terms[i])
            out[filled] = left[i] + (right[j] if order == 0 else 0)
            i += 1
            j += order == 0
        else:
            terms.append(right_terms[j])
            out[filled] = right[j]
            j += 1
        filled += 1
    for i in range(i, n):
        terms.append(left_terms[i])
        out[filled] = left[i]
        filled += 1
    for j in range(j, m):
        terms.append(right_terms[j])
        out[filled] = right[j]
        filled += 1
    return terms, counts[:filled].copy()


def match_terms(list terms not None, list vocabulary not None):
    cdef Py_ssize_t n = len(terms), m = len(vocabulary), i, low = 0, high, middle, step
    cdef object term
    places = np.full(n, -1, dtype=np.int32)
    cdef int32_t[::1] out = places
    for i in range(n):
        # Doubling steps from the last place: linear for two long lists, logarithmic for a short one.
        term = terms[i]
        step = 1
        high = low
        while high < m and PyUnicode_Compare(vocabulary[high], term) < 0:
            low = high + 1
            high += step
            step *= 2
        if high > m:
            high = m
        while low < high:
            middle = (low + high) // 2
            if PyUnicode_Compare(vocabulary[middle], term) < 0:
                low = middle + 1
            else:
                high = middle
        if low == m:
            break
        if PyUnicode_Compare(vocabulary[low], term) == 0:
            out[i] = low
            low += 1
    return places
