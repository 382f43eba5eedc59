# distutils: language = c++
"""Balanced 2-means of sparse rows, recursively; see ranker_split.pyi."""

import numpy as np

from libc.stdint cimport int32_t, int64_t, uint32_t, uint64_t
from libcpp cimport bool as cbool
from libcpp.memory cimport unique_ptr

from ext.build cimport FINGERPOST_SOURCE_HASH

SOURCE_HASH: str = FINGERPOST_SOURCE_HASH.decode()

cdef extern from "ranker_split.hpp" namespace "fingerpost::rankers" nogil:
    cdef cppclass Splitter:
        Splitter(const int64_t*, const int32_t*, const float*, size_t, int, cbool, uint64_t) except +
        void split(uint32_t*, size_t, int, uint64_t, uint64_t, int64_t*) except +
        uint64_t iterations()


def split_rows(const int64_t[::1] indptr, const int32_t[::1] indices, const float[::1] data, size_t features,
               const uint32_t[::1] members, *, int depth, uint64_t level=0, uint64_t place=0, int max_iter,
               cbool spherical, uint64_t seed):
    cdef unique_ptr[Splitter] splitter
    order = np.array(members, dtype=np.uint32)
    sizes = np.zeros(1 << depth, dtype=np.int64)
    cdef uint32_t[::1] order_view = order
    cdef int64_t[::1] size_view = sizes
    cdef size_t count = order.shape[0]
    if count == 0:
        return order, sizes
    splitter.reset(new Splitter(&indptr[0], &indices[0] if indices.shape[0] else NULL,
                                &data[0] if data.shape[0] else NULL, features, max_iter, spherical, seed))
    with nogil:
        splitter.get().split(&order_view[0], count, depth, level, place, &size_view[0])
    return order, sizes
