# distutils: language = c++
"""Latencies of operators on an accelerator with an array of multipliers; see accelerator.pyi."""

import numpy as np

from libc.stdint cimport int64_t

from ext.build cimport FINGERPOST_SOURCE_HASH

SOURCE_HASH: str = FINGERPOST_SOURCE_HASH.decode()

cdef extern from "accelerator.hpp" namespace "fingerpost::accelerator" nogil:
    cdef cppclass Array:
        int64_t inputs
        int64_t outputs
        int64_t packed
        double bytes_per_value
        double weight_bandwidth
        double activation_bandwidth
        double overhead_cycles
        double cycles_per_ms
    void c_latencies "fingerpost::accelerator::latencies"(const Array&, const int64_t*, size_t, double*)

#: Kind, size, inputs, outputs, kernel, stride, output size, whether a ReLU runs in it, whether an input is added in it.
COLUMNS = 9
KINDS = 6


cdef _check(rows):
    if rows.shape[1] != COLUMNS:
        raise ValueError(f"operators: expected (n, {COLUMNS}), got {rows.shape[1]} columns; give rows of operators")
    if not len(rows):
        return
    if rows[:, 0].min() < 0 or rows[:, 0].max() >= KINDS:
        raise ValueError(f"operators: expected kinds of 0 to {KINDS - 1}, got {rows[:, 0].min()} to {rows[:, 0].max()}; "
                         "correct them")
    if rows[:, 1:7].min() < 1 or rows[:, 1:7].max() >= 2**31:
        raise ValueError(f"operators: expected sizes, channels, kernels and strides from 1, got {rows[:, 1:7].min()} to "
                         f"{rows[:, 1:7].max()}; correct them")


def operator_latencies(const int64_t[:, ::1] operators, *, int64_t input_parallelism, int64_t output_parallelism,
                       int64_t packed_channels, double bytes_per_value, double weight_bandwidth,
                       double activation_bandwidth, double overhead_cycles, double cycles_per_ms):
    _check(np.asarray(operators))
    if min(input_parallelism, output_parallelism, packed_channels) < 1:
        raise ValueError(f"accelerator: expected groups of at least 1 channel, got {input_parallelism}, "
                         f"{output_parallelism} and {packed_channels}; correct them")
    # Not by min(), which a NaN passes.
    if not (bytes_per_value > 0 and weight_bandwidth > 0 and activation_bandwidth > 0 and cycles_per_ms > 0
            and overhead_cycles >= 0):
        raise ValueError(f"accelerator: expected bandwidths and a clock above 0, got {weight_bandwidth}, "
                         f"{activation_bandwidth} and {cycles_per_ms}, {bytes_per_value} bytes and an overhead of "
                         f"{overhead_cycles}; correct them")
    cdef Array array
    array.inputs, array.outputs, array.packed = input_parallelism, output_parallelism, packed_channels
    array.bytes_per_value, array.weight_bandwidth = bytes_per_value, weight_bandwidth
    array.activation_bandwidth, array.overhead_cycles = activation_bandwidth, overhead_cycles
    array.cycles_per_ms = cycles_per_ms
    out = np.zeros(operators.shape[0])
    cdef double[::1] view = out
    cdef size_t count = operators.shape[0]
    if count:
        with nogil:
            c_latencies(array, &operators[0, 0], count, &view[0])
    return out
