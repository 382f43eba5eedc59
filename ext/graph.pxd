# graph.hpp: a stored graph, its vectors and its metric.

from libc.stdint cimport int64_t, uint32_t, uint64_t
from libcpp cimport bool as cbool
from libcpp.vector cimport vector

cdef extern from "graph.hpp" namespace "fingerpost" nogil:
    cdef enum class Metric(int):
        l2
        ip
        cosine
    cdef cppclass Counters:
        uint64_t distances
        uint64_t expansions
    cdef cppclass GraphStore:
        GraphStore(const float*, size_t, size_t, Metric, const int64_t*, const uint32_t*, const uint32_t*,
                   size_t) except +
        GraphStore(const float*, size_t, size_t, Metric, const int64_t*, const uint32_t*, const uint32_t*,
                   size_t, cbool) except +
        void set_upper(const vector[const uint32_t*]&, const vector[size_t]&, const vector[const int64_t*]&,
                       const vector[const uint32_t*]&) except +
        size_t n()
        size_t dim()
        uint32_t bad_row()
    uint32_t kNone
    cbool c_normalise "fingerpost::normalise"(float*, size_t)


cdef inline Metric metric_of(str name) except *:
    numbers = {"l2": <int>Metric.l2, "ip": <int>Metric.ip, "cosine": <int>Metric.cosine}
    if name not in numbers:
        raise ValueError(f"metric: expected one of {tuple(numbers)}, got {name!r}; choose one of them")
    return <Metric><int>numbers[name]
