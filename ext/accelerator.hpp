// Latencies of operators on an accelerator with an array of multipliers.
//
// The cycles of an operator are the larger of those that the array is busy and those that memory is, and a fixed overhead.
// An array takes whole groups of channels, so that latency is a staircase in them; so do tensors in memory.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>

namespace fingerpost {
namespace accelerator {

// The order of OPERATOR_KINDS.
enum Kind : int64_t { kConv = 0, kDepthwise = 1, kPool = 2, kLinear = 3, kResize = 4, kAdd = 5 };

// The columns of an operator.
enum Column { kKind, kSize, kInputs, kOutputs, kKernel, kStride, kOutputSize, kRelu, kAdded, kColumns };

// groups: channels of the array's two sides, and of a tensor in memory. Bandwidths in bytes a cycle.
struct Array {
  int64_t inputs, outputs, packed;
  double bytes_per_value, weight_bandwidth, activation_bandwidth, overhead_cycles, cycles_per_ms;
};

inline double groups(int64_t channels, int64_t group) { return static_cast<double>((channels + group - 1) / group); }

inline double busy_cycles(const Array& array, const int64_t* row) {
  const double pixels = static_cast<double>(row[kOutputSize]) * row[kOutputSize];
  const double taps = static_cast<double>(row[kKernel]) * row[kKernel];
  const double out = groups(row[kOutputs], array.outputs);
  switch (row[kKind]) {
    case kConv: return pixels * taps * groups(row[kInputs], array.inputs) * out;
    // A channel reads one channel: one of the array's rows alone is busy.
    case kDepthwise: return pixels * taps * out;
    case kLinear: return groups(row[kInputs], array.inputs) * out;
    case kPool: return static_cast<double>(row[kSize]) * row[kSize] * out;
    // Four neighbours of each pixel.
    case kResize: return 4 * pixels * out;
    default: return pixels * out;
  }
}

inline double weights(const int64_t* row) {
  const double taps = static_cast<double>(row[kKernel]) * row[kKernel];
  switch (row[kKind]) {
    case kConv: return taps * row[kInputs] * row[kOutputs] + row[kOutputs];
    case kDepthwise: return taps * row[kOutputs] + row[kOutputs];
    case kLinear: return static_cast<double>(row[kInputs]) * row[kOutputs] + row[kOutputs];
    default: return 0;
  }
}

inline double memory_cycles(const Array& array, const int64_t* row) {
  const double in = static_cast<double>(row[kSize]) * row[kSize] * groups(row[kInputs], array.packed) * array.packed;
  const double out =
      static_cast<double>(row[kOutputSize]) * row[kOutputSize] * groups(row[kOutputs], array.packed) * array.packed;
  const double added = row[kAdded] || row[kKind] == kAdd ? out : 0;
  return array.bytes_per_value * ((in + out + added) / array.activation_bandwidth + weights(row) / array.weight_bandwidth);
}

inline void latencies(const Array& array, const int64_t* rows, size_t count, double* out) {
  for (size_t i = 0; i < count; ++i) {
    const int64_t* row = rows + i * kColumns;
    out[i] = (std::max(busy_cycles(array, row), memory_cycles(array, row)) + array.overhead_cycles) / array.cycles_per_ms;
  }
}

}  // namespace accelerator
}  // namespace fingerpost
