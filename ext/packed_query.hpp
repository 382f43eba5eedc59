// The linear map from vectors to the positions of codes, and the signed bytes of a query.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "packed_codes.hpp"
#include "simd.hpp"

namespace fingerpost {

// What makes codes of vectors; nothing is owned. matrix: dim rows of code.positions() floats, zero columns where a
// node's own term lies. Position p of a vector x is (x . column p) + shift[p]; its code c stands for
// low[p] + step[p] * c.
struct CodeMap {
  size_t dim = 0;
  size_t positions = 0;
  const float* matrix = nullptr;
  const float* shift = nullptr;
  const float* low = nullptr;
  const float* step = nullptr;
};

// Adds value[i] * row index[i] to 64 sums in the order of i, multiplication and addition rounded separately. Values
// that are zero are left out on every path: images and sparse vectors are mostly zeros.
using Tile = void (*)(const float* values, const uint32_t* indices, size_t count, const float* matrix, size_t stride,
                      float* sums);

namespace portable {
inline void tile(const float* values, const uint32_t* indices, size_t count, const float* matrix, size_t stride,
                 float* sums) {
  for (size_t i = 0; i < count; ++i) {
    const float* row = matrix + static_cast<size_t>(indices[i]) * stride;
    for (size_t j = 0; j < 64; ++j) sums[j] += values[i] * row[j];
  }
}
}  // namespace portable

#if FINGERPOST_X86
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wuninitialized"
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#endif
namespace avx2 {
__attribute__((target("avx2"))) inline void tile(const float* values, const uint32_t* indices, size_t count,
                                                 const float* matrix, size_t stride, float* sums) {
  __m256 sum[8];
  for (int r = 0; r < 8; ++r) sum[r] = _mm256_loadu_ps(sums + 8 * r);
  for (size_t i = 0; i < count; ++i) {
    const float* row = matrix + static_cast<size_t>(indices[i]) * stride;
    const __m256 x = _mm256_set1_ps(values[i]);
    for (int r = 0; r < 8; ++r) sum[r] = _mm256_add_ps(sum[r], _mm256_mul_ps(x, _mm256_loadu_ps(row + 8 * r)));
  }
  for (int r = 0; r < 8; ++r) _mm256_storeu_ps(sums + 8 * r, sum[r]);
}
}  // namespace avx2
namespace avx512 {
__attribute__((target("avx512f"))) inline void tile(const float* values, const uint32_t* indices, size_t count,
                                                    const float* matrix, size_t stride, float* sums) {
  __m512 sum[4];
  for (int r = 0; r < 4; ++r) sum[r] = _mm512_loadu_ps(sums + 16 * r);
  for (size_t i = 0; i < count; ++i) {
    const float* row = matrix + static_cast<size_t>(indices[i]) * stride;
    const __m512 x = _mm512_set1_ps(values[i]);
    for (int r = 0; r < 4; ++r) sum[r] = _mm512_add_ps(sum[r], _mm512_mul_ps(x, _mm512_loadu_ps(row + 16 * r)));
  }
  for (int r = 0; r < 4; ++r) _mm512_storeu_ps(sums + 16 * r, sum[r]);
}

// Four vectors at once, so that a row of the matrix is loaded once for them.
__attribute__((target("avx512f"))) inline void tile4(const float* const values[4], size_t dim, const float* matrix,
                                                     size_t stride, float* const sums[4]) {
  __m512 sum[4][4];
  for (int v = 0; v < 4; ++v) {
    for (int r = 0; r < 4; ++r) sum[v][r] = _mm512_loadu_ps(sums[v] + 16 * r);
  }
  for (size_t i = 0; i < dim; ++i) {
    const float* row = matrix + i * stride;
    const __m512 part[4] = {_mm512_loadu_ps(row), _mm512_loadu_ps(row + 16), _mm512_loadu_ps(row + 32),
                            _mm512_loadu_ps(row + 48)};
    for (int v = 0; v < 4; ++v) {
      const __m512 x = _mm512_set1_ps(values[v][i]);
      for (int r = 0; r < 4; ++r) sum[v][r] = _mm512_add_ps(sum[v][r], _mm512_mul_ps(x, part[r]));
    }
  }
  for (int v = 0; v < 4; ++v) {
    for (int r = 0; r < 4; ++r) _mm512_storeu_ps(sums[v] + 16 * r, sum[v][r]);
  }
}
}  // namespace avx512
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic pop
#endif
#endif

// Vectors without zeros side by side: what is zero adds nothing, so that the sums are those of the tile above.
using Tile4 = void (*)(const float* const values[4], size_t dim, const float* matrix, size_t stride,
                       float* const sums[4]);

inline Tile4 tile4_kernel() {
#if FINGERPOST_X86
  if (active_path() == Path::avx512) return avx512::tile4;
#endif
  return nullptr;
}

inline Tile tile_kernel() {
#if FINGERPOST_X86
  if (active_path() == Path::avx512) return avx512::tile;
  if (active_path() == Path::avx2) return avx2::tile;
#endif
  return portable::tile;
}

// Maps vectors to positions, several at once, so that the matrix is read once for all of them; one a thread.
class Mapper {
 public:
  static constexpr size_t kBlock = 16;

  // block: vectors that are mapped at once, at most kBlock.
  explicit Mapper(const CodeMap& map, size_t block = kBlock)
      : map_(map), tile_(tile_kernel()), tile4_(tile4_kernel()), values_(map.dim * block), indices_(map.dim * block),
        mapped_(map.positions * block) {}

  // Maps up to `block` vectors of map.dim floats, `stride` floats apart.
  void apply(const float* vectors, size_t stride, size_t count) {
    size_t used[kBlock];
    for (size_t v = 0; v < count; ++v) used[v] = pick(vectors + v * stride, v);
    std::fill(mapped_.begin(), mapped_.begin() + static_cast<std::ptrdiff_t>(count * map_.positions), 0.0f);
    for (size_t p = 0; p < map_.positions; p += 64) {
      size_t v = 0;
      for (; tile4_ != nullptr && v + 4 <= count; v += 4) {
        if (used[v] + used[v + 1] + used[v + 2] + used[v + 3] < 2 * map_.dim) break;
        const float* const values[4] = {vectors + v * stride, vectors + (v + 1) * stride, vectors + (v + 2) * stride,
                                        vectors + (v + 3) * stride};
        float* const sums[4] = {sum(v) + p, sum(v + 1) + p, sum(v + 2) + p, sum(v + 3) + p};
        tile4_(values, map_.dim, map_.matrix + p, map_.positions, sums);
      }
      for (; v < count; ++v) {
        tile_(values_.data() + v * map_.dim, indices_.data() + v * map_.dim, used[v], map_.matrix + p, map_.positions,
              sum(v) + p);
      }
    }
    for (size_t v = 0; v < count; ++v) {
      float* row = sum(v);
      for (size_t p = 0; p < map_.positions; ++p) row[p] += map_.shift[p];
    }
  }
  const float* mapped(size_t v) const { return mapped_.data() + v * map_.positions; }

 private:
  float* sum(size_t v) { return mapped_.data() + v * map_.positions; }
  size_t pick(const float* vector, size_t v) {
    float* values = values_.data() + v * map_.dim;
    uint32_t* indices = indices_.data() + v * map_.dim;
    size_t count = 0;
    for (size_t i = 0; i < map_.dim; ++i) {
      values[count] = vector[i];
      indices[count] = static_cast<uint32_t>(i);
      count += vector[i] != 0.0f;
    }
    return count;
  }

  CodeMap map_;
  Tile tile_;
  Tile4 tile4_;
  std::vector<float> values_;
  std::vector<uint32_t> indices_;
  std::vector<float> mapped_;
};

// The nearest integer, ties to even, of a float far below 2^22: what the sum's rounding leaves.
inline float nearest(float value) {
  const float big = 12582912.0f;
  return (value + big) - big;
}

// Makes the signed bytes of queries; one a thread.
class QueryCode {
 public:
  QueryCode(const CodeMap& map, bool l2) : map_(map), factor_(l2 ? -2.0f : -1.0f), mapper_(map),
                                           scaled_(map.positions), weights_(map.positions * Mapper::kBlock) {}

  // Prepares up to Mapper::kBlock queries of map.dim floats, `stride` floats apart. The weights' error is at most half
  // of one 127th of the largest.
  void prepare(const float* queries, size_t stride, size_t count) {
    mapper_.apply(queries, stride, count);
    for (size_t q = 0; q < count; ++q) scales_[q] = weigh(mapper_.mapped(q), weights_.data() + q * map_.positions);
  }
  CodeQuery query(size_t q) const {
    CodeQuery code;
    code.weights = weights_.data() + q * map_.positions;
    code.scale = scales_[q];
    return code;
  }

 private:
  float weigh(const float* mapped, int8_t* weights) {
    // The largest by the bits of the absolute values, which sort as they do.
    uint32_t most = 0;
    for (size_t p = 0; p < map_.positions; ++p) {
      scaled_[p] = mapped[p] * map_.step[p];
      uint32_t bits;
      std::memcpy(&bits, &scaled_[p], sizeof bits);
      most = std::max(most, bits & 0x7FFFFFFFu);
    }
    float largest;
    std::memcpy(&largest, &most, sizeof largest);
    const float unit = largest / 127.0f;
    float inverse = unit > 0.0f ? 1.0f / unit : 0.0f;
    const bool good = std::isfinite(inverse) && std::isfinite(unit);
    if (!good) inverse = 0.0f;
    const float big = 12582912.0f;
    for (size_t p = 0; p < map_.positions; ++p) {
      // Adding 1.5 * 2^23 leaves the nearest integer, ties to even, in the low bits of the sum.
      const float sum = (good ? scaled_[p] : 0.0f) * inverse + big;
      int32_t bits;
      std::memcpy(&bits, &sum, sizeof bits);
      weights[p] = static_cast<int8_t>(bits - 0x4B400000);
    }
    // Nothing but zeros, or numbers beyond float32, leave the nodes' own terms.
    return good ? factor_ * unit : 0.0f;
  }

  CodeMap map_;
  float factor_;
  Mapper mapper_;
  std::vector<float> scaled_;
  std::vector<int8_t> weights_;
  float scales_[Mapper::kBlock] = {};
};

// Codes of rows [from, to) of vectors with `map.dim` columns; `centre` is what shift takes off. own: whether the node's
// own term is its squared length around the centre (L2) or 0.
inline void encode_rows(const CodeMap& map, const CodeView& view, const float* centre, const float* vectors,
                        size_t count, bool own, uint8_t* out) {
  Mapper mapper(map);
  std::vector<uint8_t> values(map.positions);
  const float top = view.bits == 8 ? 255.0f : 15.0f;
  for (size_t r = 0; r < count; ++r) {
    const float* row = vectors + r * map.dim;
    const size_t place = r % Mapper::kBlock;
    if (place == 0) mapper.apply(row, map.dim, std::min(Mapper::kBlock, count - r));
    const float* mapped = mapper.mapped(place);
    double length = 0.0, rest = 0.0;
    for (size_t i = 0; i < map.dim; ++i) {
      const double x = static_cast<double>(row[i]) - static_cast<double>(centre[i]);
      rest += x * x;
    }
    for (size_t p = 0; p < map.positions; ++p) {
      const double y = mapped[p];
      rest -= y * y;
      values[p] = 0;
      if (map.step[p] > 0.0f) {
        const float at = (mapped[p] - map.low[p]) / map.step[p];
        values[p] = at > 0.0f ? static_cast<uint8_t>(nearest(std::min(at, top))) : uint8_t{0};
      }
      const double kept = static_cast<double>(map.low[p]) + static_cast<double>(map.step[p]) * values[p];
      length += kept * kept;
    }
    const float term = own ? static_cast<float>(length + std::max(rest, 0.0)) : 0.0f;
    write_code(view, values.data(), map.positions, term, out + r * view.bytes());
  }
}

}  // namespace fingerpost
