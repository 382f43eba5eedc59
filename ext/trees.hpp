// Sums of the leaves that rows reach in binary trees.
//
// Trees are few nodes each, so a block of rows goes through one tree after the other; a row's sum runs over the trees in
// their order.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>

namespace fingerpost {
namespace trees {

// A node: the feature that it looks at and the largest value that goes left, or what its leaf adds; where a missing value
// goes; its children. A leaf is its own child.
struct Nodes {
  const int32_t* features;
  const double* values;
  const uint8_t* missing_left;
  const int32_t* left;
  const int32_t* right;
};

constexpr size_t kBlock = 512;

inline double leaf(const Nodes& nodes, int32_t node, const float* row) {
  while (nodes.features[node] >= 0) {
    const float value = row[nodes.features[node]];
    const bool goes_left = value != value ? nodes.missing_left[node] != 0
                                          : static_cast<double>(value) <= nodes.values[node];
    node = goes_left ? nodes.left[node] : nodes.right[node];
  }
  return nodes.values[node];
}

inline void sums(const Nodes& nodes, const int32_t* roots, size_t trees, const float* rows, size_t count, size_t width,
                 double start, double* out) {
  std::fill(out, out + count, start);
  for (size_t begin = 0; begin < count; begin += kBlock) {
    const size_t end = std::min(begin + kBlock, count);
    for (size_t tree = 0; tree < trees; ++tree) {
      for (size_t i = begin; i < end; ++i) out[i] += leaf(nodes, roots[tree], rows + i * width);
    }
  }
}

}  // namespace trees
}  // namespace fingerpost
