// What two sets of weighted terms have in common, for pairs of rows of two sparse matrices.
//
// Rows ascend by term, so that one pass over both finds the common ones. Sums run in that order in double precision: the
// figures of a pair depend on its two rows alone.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>

namespace fingerpost {
namespace overlaps {

// Rows of terms: the range of a row, its terms ascending, their parts of a unit vector, and how rare they are.
struct Rows {
  const int64_t* indptr;
  const uint32_t* terms;
  const float* parts;
  const float* rarity;
};

// Product of the unit vectors, rarity of the common terms, that of all terms of either side, largest of a common term and
// of a term that one side alone has.
constexpr size_t kFigures = 6;

inline void compare(const Rows& left, const Rows& right, size_t i, size_t j, float* out) {
  double product = 0, common = 0, alone[2] = {0, 0};
  float most_common = 0, most_alone[2] = {0, 0};
  int64_t a = left.indptr[i], b = right.indptr[j];
  const int64_t a_end = left.indptr[i + 1], b_end = right.indptr[j + 1];
  while (a < a_end && b < b_end) {
    const uint32_t one = left.terms[a], other = right.terms[b];
    if (one == other) {
      product += static_cast<double>(left.parts[a]) * right.parts[b];
      common += left.rarity[a];
      most_common = std::max(most_common, left.rarity[a]);
      ++a, ++b;
    } else if (one < other) {
      alone[0] += left.rarity[a];
      most_alone[0] = std::max(most_alone[0], left.rarity[a++]);
    } else {
      alone[1] += right.rarity[b];
      most_alone[1] = std::max(most_alone[1], right.rarity[b++]);
    }
  }
  for (; a < a_end; ++a) alone[0] += left.rarity[a], most_alone[0] = std::max(most_alone[0], left.rarity[a]);
  for (; b < b_end; ++b) alone[1] += right.rarity[b], most_alone[1] = std::max(most_alone[1], right.rarity[b]);
  out[0] = static_cast<float>(product);
  out[1] = static_cast<float>(common);
  out[2] = static_cast<float>(common + alone[0]);
  out[3] = static_cast<float>(common + alone[1]);
  out[4] = most_common;
  out[5] = std::min(most_alone[0], most_alone[1]);
}

inline void compare_all(const Rows& left, const Rows& right, const uint32_t* pairs, size_t count, float* out) {
  for (size_t k = 0; k < count; ++k) compare(left, right, pairs[2 * k], pairs[2 * k + 1], out + k * kFigures);
}

}  // namespace overlaps
}  // namespace fingerpost
