# distutils: language = c++
"""Neighbours of nodes drawn without replacement, weighted by relation or uniformly; see sampling.pyi."""

import numpy as np

from libc.stdint cimport int64_t, uint32_t, uint64_t
from libcpp cimport bool as cbool

from ext.build cimport FINGERPOST_SOURCE_HASH

SOURCE_HASH: str = FINGERPOST_SOURCE_HASH.decode()

cdef extern from "sampling.hpp" namespace "fingerpost::sampling" nogil:
    cdef cppclass Graph:
        const int64_t* run_ranges
        const uint32_t* relations
        const int64_t* starts
        const uint32_t* neighbors
    void c_sample "fingerpost::sampling::sample"(const Graph&, const uint32_t*, size_t, size_t, uint64_t, cbool,
                                                 const int64_t*, uint32_t*, uint32_t*, int) except +


def sample_neighbors(const int64_t[::1] run_ranges, const uint32_t[::1] relations, const int64_t[::1] starts,
                     const uint32_t[::1] neighbors, const uint32_t[::1] nodes, *, int cap, uint64_t seed,
                     cbool weighted, int threads=1):
    if cap < 1:
        raise ValueError(f"cap: expected at least 1 neighbour, got {cap}; 10 is usual")
    asked = np.asarray(nodes)
    if len(asked) and asked.max() >= run_ranges.shape[0] - 1:
        raise ValueError(f"nodes: expected numbers below {run_ranges.shape[0] - 1}, got {asked.max()}; correct them")
    ranges = np.asarray(run_ranges)
    every = np.asarray(starts)
    degrees = every[ranges[asked.astype(np.int64) + 1]] - every[ranges[asked]]
    indptr = np.zeros(len(asked) + 1, np.int64)
    np.cumsum(np.minimum(degrees, cap), out=indptr[1:])
    found = np.empty(indptr[len(asked)], np.uint32)
    kinds = np.empty(indptr[len(asked)], np.uint32)
    cdef Graph graph
    cdef int64_t[::1] indptr_view = indptr
    cdef uint32_t[::1] found_view = found
    cdef uint32_t[::1] kind_view = kinds
    cdef size_t count = nodes.shape[0]
    if len(found) == 0:
        return indptr, found, kinds
    graph.run_ranges = &run_ranges[0]
    graph.relations = &relations[0]
    graph.starts = &starts[0]
    graph.neighbors = &neighbors[0]
    with nogil:
        c_sample(graph, &nodes[0], count, cap, seed, weighted, &indptr_view[0], &found_view[0], &kind_view[0], threads)
    return indptr, found, kinds
