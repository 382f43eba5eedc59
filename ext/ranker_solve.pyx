# distutils: language = c++
"""One-versus-rest linear rankers of a cluster by dual coordinate descent; see ranker_solve.pyi."""

import numpy as np

from libc.stdint cimport int32_t, int64_t, uint16_t, uint32_t, uint64_t
from libc.string cimport memcpy
from libcpp cimport bool as cbool
from libcpp.vector cimport vector

from ext.build cimport FINGERPOST_SOURCE_HASH
from ext.simd cimport active_name, available_names, force_name

SOURCE_HASH: str = FINGERPOST_SOURCE_HASH.decode()

cdef extern from "ranker_cluster.hpp" namespace "fingerpost::rankers" nogil:
    cdef enum class Loss(int):
        squared_hinge
        hinge
        logistic
    cdef cppclass Matrix:
        const int64_t* indptr
        const int32_t* indices
        const float* data
        size_t features
    cdef cppclass Settings:
        Loss loss
        double cost_positive
        double cost_negative
        double bias
        double eps
        double threshold
        int max_iter
        size_t max_nonzeros
        uint64_t seed
    cdef cppclass Labels:
        size_t count
        const int64_t* start
        const uint32_t* rows
        const float* costs
        const float* shifts
        const int64_t* warm_start
        const uint32_t* warm_features
        const float* warm_values
        const float* warm_bias
    cdef cppclass Chunk:
        vector[uint32_t] features
        vector[uint32_t] start
        vector[uint16_t] columns
        vector[float] values
        vector[float] bias
        vector[int32_t] passes
        vector[double] objective
    cdef cppclass FloatSolver "fingerpost::rankers::Solver<float>":
        Chunk solve(const Matrix&, const uint32_t*, size_t, const Labels&, const Settings&, int) except +
    cdef cppclass DoubleSolver "fingerpost::rankers::Solver<double>":
        Chunk solve(const Matrix&, const uint32_t*, size_t, const Labels&, const Settings&, int) except +

_LOSSES = {"squared_hinge": <int>Loss.squared_hinge, "hinge": <int>Loss.hinge, "logistic": <int>Loss.logistic}
LOSSES: tuple = tuple(_LOSSES)
MAX_LABELS: int = 65535


def available_paths():
    return available_names()


def active_path():
    return active_name()


def force_path(str name):
    force_name(name)


cdef _array(const void* data, size_t count, dtype):
    """A copy of a vector's elements."""
    out = np.empty(count, dtype=dtype)
    if count:
        memcpy(<void*><size_t>out.ctypes.data, data, count * out.itemsize)
    return out


cdef class Solver:
    cdef const int64_t[::1] indptr
    cdef const int32_t[::1] indices
    cdef const float[::1] data
    cdef Matrix matrix
    cdef FloatSolver single
    cdef DoubleSolver precise

    def __init__(self, const int64_t[::1] indptr, const int32_t[::1] indices, const float[::1] data, size_t features):
        if indices.shape[0] != data.shape[0] or indptr.shape[0] < 1 or indptr[indptr.shape[0] - 1] != data.shape[0]:
            raise ValueError("features: expected index pointers that end at the number of entries; pass one CSR matrix")
        self.indptr, self.indices, self.data = indptr, indices, data
        self.matrix.indptr = &indptr[0]
        self.matrix.indices = &indices[0] if indices.shape[0] else NULL
        self.matrix.data = &data[0] if data.shape[0] else NULL
        self.matrix.features = features

    def solve(self, const uint32_t[::1] rows, const int64_t[::1] label_start, const uint32_t[::1] label_rows, *,
              const float[::1] label_costs=None, const float[::1] label_shifts=None, warm=None, str loss, double cost_positive, double cost_negative,
              double bias, double eps, int max_iter, double threshold, size_t max_nonzeros, uint64_t seed,
              cbool precise, int threads=1):
        cdef Settings settings
        cdef Labels labels
        cdef Chunk chunk
        cdef const int64_t[::1] warm_start
        cdef const uint32_t[::1] warm_features
        cdef const float[::1] warm_values, warm_bias
        cdef size_t count = rows.shape[0]
        if loss not in _LOSSES:
            raise ValueError(f"loss: expected one of {LOSSES}, got {loss!r}; choose one of them")
        if not 0 < label_start.shape[0] <= MAX_LABELS + 1 or label_start[label_start.shape[0] - 1] != label_rows.shape[0]:
            raise ValueError(f"labels: expected index pointers of at most {MAX_LABELS} labels; use smaller clusters")
        settings.loss = <Loss><int>_LOSSES[loss]
        settings.cost_positive = cost_positive
        settings.cost_negative = cost_negative
        settings.bias = bias
        settings.eps = eps
        settings.max_iter = max_iter
        settings.threshold = threshold
        settings.max_nonzeros = max_nonzeros
        settings.seed = seed
        labels.count = label_start.shape[0] - 1
        labels.start = &label_start[0]
        labels.rows = &label_rows[0] if label_rows.shape[0] else NULL
        labels.costs = NULL
        labels.shifts = NULL
        labels.warm_start = NULL
        if label_costs is not None and label_costs.shape[0]:
            labels.costs = &label_costs[0]
        if label_shifts is not None and label_shifts.shape[0]:
            if label_shifts.shape[0] != <Py_ssize_t>labels.count:
                raise ValueError(f"shifts: expected one of each of {labels.count} labels, got {label_shifts.shape[0]}; pass as many")
            labels.shifts = &label_shifts[0]
        if warm is not None:
            warm_start, warm_features, warm_values, warm_bias = warm
            if warm_start.shape[0] != label_start.shape[0] or warm_bias.shape[0] != <Py_ssize_t>labels.count:
                raise ValueError(f"warm start: expected weights of {labels.count} labels; pass the same labels")
            labels.warm_start = &warm_start[0]
            labels.warm_features = &warm_features[0] if warm_features.shape[0] else NULL
            labels.warm_values = &warm_values[0] if warm_values.shape[0] else NULL
            labels.warm_bias = &warm_bias[0] if warm_bias.shape[0] else NULL
        cdef const uint32_t* row_data = &rows[0] if count else NULL
        with nogil:
            if precise:
                chunk = self.precise.solve(self.matrix, row_data, count, labels, settings, threads)
            else:
                chunk = self.single.solve(self.matrix, row_data, count, labels, settings, threads)
        return (
            _array(chunk.features.data(), chunk.features.size(), np.uint32),
            _array(chunk.start.data(), chunk.start.size(), np.uint32),
            _array(chunk.columns.data(), chunk.columns.size(), np.uint16),
            _array(chunk.values.data(), chunk.values.size(), np.float32),
            _array(chunk.bias.data(), chunk.bias.size(), np.float32),
            _array(chunk.passes.data(), chunk.passes.size(), np.int32),
            _array(chunk.objective.data(), chunk.objective.size(), np.float64),
        )
