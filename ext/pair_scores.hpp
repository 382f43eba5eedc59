// Scores of all pairs of two sets of rows, a micro-tile at a time: cosines of unit rows, or Euclidean distances negated.
//
// A score is a sum over the columns in ascending order, one fused multiply-add each, on every path: it depends on its two
// rows alone, not on the tile, the order of the two, the thread or the instruction set.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "simd.hpp"

namespace fingerpost {
namespace pairs {

// A micro-tile: left rows by right rows. Both are packed so that one column of all of them lies together.
constexpr size_t kLeft = 12, kRight = 32;

// A score s lies in bin floor(s * inverse) + offset, cut to [0, last]; exact where inverse is a power of two.
struct Binning {
  float inverse, offset, last;
};

// Rows first, first + 1, ... (at most `width` of `count`) column by column; rows that are missing are zeros.
inline void pack(const float* rows, size_t first, size_t count, size_t dim, size_t width, float* out) {
  const size_t found = std::min(width, count - first);
  if (found < width) std::fill(out, out + width * dim, 0.0f);
  for (size_t r = 0; r < found; ++r) {
    const float* row = rows + (first + r) * dim;
    for (size_t k = 0; k < dim; ++k) out[k * width + r] = row[k];
  }
}

// ---------------------------------------------------------------------------------------------------- portable
namespace portable {
template <bool Distance>
void sums(const float* left, const float* right, size_t dim, float* out) {
  std::fill(out, out + kLeft * kRight, 0.0f);
  for (size_t k = 0; k < dim; ++k, left += kLeft, right += kRight) {
    for (size_t i = 0; i < kLeft; ++i) {
      for (size_t j = 0; j < kRight; ++j) {
        const float x = Distance ? left[i] - right[j] : left[i];
        out[i * kRight + j] = std::fma(x, Distance ? x : right[j], out[i * kRight + j]);
      }
    }
  }
}

// Bins of one row of a micro-tile.
template <bool Distance>
void bins(const float* sums, const Binning& to, uint16_t* out) {
  for (size_t j = 0; j < kRight; ++j) {
    const float score = Distance ? -std::sqrt(sums[j]) : sums[j];
    const float bin = std::floor(score * to.inverse) + to.offset;
    out[j] = static_cast<uint16_t>(std::min(std::max(bin, 0.0f), to.last));
  }
}
}  // namespace portable

#if FINGERPOST_X86
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#pragma GCC diagnostic ignored "-Wuninitialized"
#endif
// ---------------------------------------------------------------------------------------------------- AVX2
namespace avx2 {
#define FINGERPOST_FMA __attribute__((target("avx2,fma")))

// Six rows by sixteen, which is what sixteen registers hold.
template <bool Distance>
FINGERPOST_FMA inline void part(const float* left, const float* right, size_t dim, float* out) {
  __m256 low[6], high[6];
  for (int i = 0; i < 6; ++i) low[i] = high[i] = _mm256_setzero_ps();
  for (size_t k = 0; k < dim; ++k, left += kLeft, right += kRight) {
    const __m256 a = _mm256_loadu_ps(right), b = _mm256_loadu_ps(right + 8);
#pragma GCC unroll 6
    for (int i = 0; i < 6; ++i) {
      const __m256 x = _mm256_broadcast_ss(left + i);
      if (Distance) {
        const __m256 u = _mm256_sub_ps(x, a), v = _mm256_sub_ps(x, b);
        low[i] = _mm256_fmadd_ps(u, u, low[i]);
        high[i] = _mm256_fmadd_ps(v, v, high[i]);
      } else {
        low[i] = _mm256_fmadd_ps(x, a, low[i]);
        high[i] = _mm256_fmadd_ps(x, b, high[i]);
      }
    }
  }
  for (int i = 0; i < 6; ++i) {
    _mm256_storeu_ps(out + i * kRight, low[i]);
    _mm256_storeu_ps(out + i * kRight + 8, high[i]);
  }
}

template <bool Distance>
FINGERPOST_FMA void sums(const float* left, const float* right, size_t dim, float* out) {
  for (size_t i = 0; i < kLeft; i += 6) {
    for (size_t j = 0; j < kRight; j += 16) part<Distance>(left + i, right + j, dim, out + i * kRight + j);
  }
}

template <bool Distance>
FINGERPOST_FMA void bins(const float* sums, const Binning& to, uint16_t* out) {
  const __m256 inverse = _mm256_set1_ps(to.inverse), offset = _mm256_set1_ps(to.offset);
  const __m256 last = _mm256_set1_ps(to.last), zero = _mm256_setzero_ps();
  for (size_t j = 0; j < kRight; j += 8) {
    __m256 score = _mm256_loadu_ps(sums + j);
    if (Distance) score = _mm256_xor_ps(_mm256_sqrt_ps(score), _mm256_set1_ps(-0.0f));
    const __m256 bin = _mm256_add_ps(_mm256_floor_ps(_mm256_mul_ps(score, inverse)), offset);
    const __m256i whole = _mm256_cvttps_epi32(_mm256_min_ps(_mm256_max_ps(bin, zero), last));
    const __m128i packed = _mm_packus_epi32(_mm256_castsi256_si128(whole), _mm256_extracti128_si256(whole, 1));
    _mm_storeu_si128(reinterpret_cast<__m128i*>(out + j), packed);
  }
}
#undef FINGERPOST_FMA
}  // namespace avx2

// ---------------------------------------------------------------------------------------------------- AVX-512
namespace avx512 {
#define FINGERPOST_AVX512 __attribute__((target("avx512f,avx512dq,avx2")))

template <bool Distance>
FINGERPOST_AVX512 void sums(const float* left, const float* right, size_t dim, float* out) {
  __m512 low[kLeft], high[kLeft];
#pragma GCC unroll 12
  for (size_t i = 0; i < kLeft; ++i) low[i] = high[i] = _mm512_setzero_ps();
  for (size_t k = 0; k < dim; ++k, left += kLeft, right += kRight) {
    const __m512 a = _mm512_loadu_ps(right), b = _mm512_loadu_ps(right + 16);
#pragma GCC unroll 12
    for (size_t i = 0; i < kLeft; ++i) {
      const __m512 x = _mm512_set1_ps(left[i]);
      if (Distance) {
        const __m512 u = _mm512_sub_ps(x, a), v = _mm512_sub_ps(x, b);
        low[i] = _mm512_fmadd_ps(u, u, low[i]);
        high[i] = _mm512_fmadd_ps(v, v, high[i]);
      } else {
        low[i] = _mm512_fmadd_ps(x, a, low[i]);
        high[i] = _mm512_fmadd_ps(x, b, high[i]);
      }
    }
  }
#pragma GCC unroll 12
  for (size_t i = 0; i < kLeft; ++i) {
    _mm512_storeu_ps(out + i * kRight, low[i]);
    _mm512_storeu_ps(out + i * kRight + 16, high[i]);
  }
}

template <bool Distance>
FINGERPOST_AVX512 void bins(const float* sums, const Binning& to, uint16_t* out) {
  const __m512 inverse = _mm512_set1_ps(to.inverse), offset = _mm512_set1_ps(to.offset);
  const __m512 last = _mm512_set1_ps(to.last), zero = _mm512_setzero_ps();
  for (size_t j = 0; j < kRight; j += 16) {
    __m512 score = _mm512_loadu_ps(sums + j);
    if (Distance) score = _mm512_sub_ps(_mm512_set1_ps(-0.0f), _mm512_sqrt_ps(score));
    const __m512 below = _mm512_roundscale_ps(_mm512_mul_ps(score, inverse), _MM_FROUND_TO_NEG_INF | _MM_FROUND_NO_EXC);
    const __m512 bin = _mm512_min_ps(_mm512_max_ps(_mm512_add_ps(below, offset), zero), last);
    _mm512_mask_cvtepi32_storeu_epi16(out + j, 0xffff, _mm512_cvttps_epi32(bin));
  }
}
#undef FINGERPOST_AVX512
}  // namespace avx512
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic pop
#endif
#endif  // FINGERPOST_X86

// ---------------------------------------------------------------------------------------------------- dispatch
using Sums = void (*)(const float* left, const float* right, size_t dim, float* out);
using Bins = void (*)(const float* sums, const Binning& to, uint16_t* out);
struct Kernels {
  Sums sums;
  Bins bins;
};

// Multiply-add came with AVX2 to nearly every CPU; one that lacks it takes the portable path.
inline bool fused() {
#if FINGERPOST_X86
  return __builtin_cpu_supports("fma");
#else
  return false;
#endif
}

inline Kernels kernels(bool distance) {
#if FINGERPOST_X86
  const Path path = active_path();
  if (path == Path::avx512) {
    return distance ? Kernels{avx512::sums<true>, avx512::bins<true>} : Kernels{avx512::sums<false>, avx512::bins<false>};
  }
  if (path == Path::avx2 && fused()) {
    return distance ? Kernels{avx2::sums<true>, avx2::bins<true>} : Kernels{avx2::sums<false>, avx2::bins<false>};
  }
#endif
  return distance ? Kernels{portable::sums<true>, portable::bins<true>}
                  : Kernels{portable::sums<false>, portable::bins<false>};
}

// All rows in packs of `width`, one behind the other.
inline std::vector<float> packed(const float* rows, size_t count, size_t dim, size_t width) {
  const size_t packs = (count + width - 1) / width;
  std::vector<float> out(packs * width * dim);
  for (size_t p = 0; p < packs; ++p) pack(rows, p * width, count, dim, width, out.data() + p * width * dim);
  return out;
}

// Scores of all pairs, (left_count, right_count).
inline void scores(const float* left, size_t left_count, const float* right, size_t right_count, size_t dim,
                   bool distance, float* out) {
  const Sums sums = kernels(distance).sums;
  const std::vector<float> rights = packed(right, right_count, dim, kRight);
  std::vector<float> lefts(kLeft * dim);
  float tile[kLeft * kRight];
  for (size_t i = 0; i < left_count; i += kLeft) {
    pack(left, i, left_count, dim, kLeft, lefts.data());
    for (size_t j = 0; j < right_count; j += kRight) {
      sums(lefts.data(), rights.data() + j * dim, dim, tile);
      for (size_t r = 0; r < std::min(kLeft, left_count - i); ++r) {
        for (size_t c = 0; c < std::min(kRight, right_count - j); ++c) {
          const float sum = tile[r * kRight + c];
          out[(i + r) * right_count + j + c] = distance ? -std::sqrt(sum) : sum;
        }
      }
    }
  }
}

}  // namespace pairs
}  // namespace fingerpost
