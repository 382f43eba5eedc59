# distutils: language = c++
"""What pairs of rows of weighted terms have in common; see overlaps.pyi."""

import numpy as np

from libc.stdint cimport int64_t, uint32_t

from ext.build cimport FINGERPOST_SOURCE_HASH

SOURCE_HASH: str = FINGERPOST_SOURCE_HASH.decode()

cdef extern from "overlaps.hpp" namespace "fingerpost::overlaps" nogil:
    cdef size_t kFigures
    cdef cppclass Rows:
        const int64_t* indptr
        const uint32_t* terms
        const float* parts
        const float* rarity
    void c_compare "fingerpost::overlaps::compare_all"(const Rows&, const Rows&, const uint32_t*, size_t, float*)


cdef _check(str side, indptr, terms, parts, rarity, rows):
    if len(indptr) < 1 or indptr[0] != 0 or indptr[-1] != len(terms) or (np.diff(indptr) < 0).any():
        raise ValueError(f"{side} rows: expected ranges of 0 to {len(terms)}, got others; give an indptr")
    if not len(terms) == len(parts) == len(rarity):
        raise ValueError(f"{side} rows: expected a part and a rarity for each of {len(terms)} terms, got {len(parts)} and "
                         f"{len(rarity)}; correct them")
    if len(rows) and rows.max() >= len(indptr) - 1:
        raise ValueError(f"pairs: expected {side} rows below {len(indptr) - 1}, got {rows.max()}; correct them")


def compare_rows(const int64_t[::1] left_indptr, const uint32_t[::1] left_terms, const float[::1] left_parts,
                 const float[::1] left_rarity, const int64_t[::1] right_indptr, const uint32_t[::1] right_terms,
                 const float[::1] right_parts, const float[::1] right_rarity, const uint32_t[:, ::1] pairs):
    if pairs.shape[1] != 2:
        raise ValueError(f"pairs: expected (m, 2), got {pairs.shape[1]} columns; give left and right row")
    given = np.asarray(pairs)
    _check("left", np.asarray(left_indptr), left_terms, left_parts, left_rarity, given[:, 0])
    _check("right", np.asarray(right_indptr), right_terms, right_parts, right_rarity, given[:, 1])
    out = np.zeros((pairs.shape[0], kFigures), np.float32)
    cdef float[:, ::1] view = out
    cdef size_t count = pairs.shape[0]
    if count == 0 or len(left_terms) == 0 or len(right_terms) == 0:
        # Without terms on a side there is nothing to point to; the sums of the other are of no use then.
        return out
    cdef Rows left, right
    left.indptr, left.terms, left.parts, left.rarity = &left_indptr[0], &left_terms[0], &left_parts[0], &left_rarity[0]
    right.indptr, right.terms = &right_indptr[0], &right_terms[0]
    right.parts, right.rarity = &right_parts[0], &right_rarity[0]
    with nogil:
        c_compare(left, right, &pairs[0, 0], count, &view[0, 0])
    return out
