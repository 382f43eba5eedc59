// Passes over the values of one row, for the forms of rows that a build compares: rotation, range, whole numbers, codes.
//
// Every value goes through the same operations in the same order on every path, so all paths give the same bits.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>

#include "simd.hpp"

namespace fingerpost {

// Sums and differences of all pairs of values that are a power of two apart, `count` (a power of two, at least 32) of
// them, times `factor`: a Hadamard transform.
using HadamardPass = void (*)(float* values, size_t count, float factor);
// The greatest magnitude; what is no number counts for nothing.
using WidestPass = float (*)(const float* values, size_t dim);
// Whether all values are whole numbers below 2^23 in magnitude; *low and *high are widened to hold them.
using WholePass = bool (*)(const float* values, size_t dim, float* low, float* high);
// Whole numbers from `low` on as bytes.
using WholeBytesPass = void (*)(const float* values, size_t dim, float low, uint8_t* out);
// floor(value * inverse + 0.5) + 128 as bytes.
using CodePass = void (*)(const float* values, size_t dim, float inverse, uint8_t* out);

struct RowPasses {
  HadamardPass hadamard;
  WidestPass widest;
  WholePass whole;
  WholeBytesPass whole_bytes;
  CodePass codes;
};

namespace portable {

inline void hadamard(float* values, size_t count, float factor) {
  for (size_t half = 1; half < count; half *= 2) {
    for (size_t i = 0; i < count; i += 2 * half) {
      float *left = values + i, *right = values + i + half;
      for (size_t j = 0; j < half; ++j) {
        const float x = left[j], y = right[j];
        left[j] = x + y;
        right[j] = x - y;
      }
    }
  }
  for (size_t i = 0; i < count; ++i) values[i] *= factor;
}

inline float widest(const float* values, size_t dim) {
  float found = 0.0f;
  for (size_t i = 0; i < dim; ++i) found = std::max(found, std::fabs(values[i]));
  return found;
}

inline bool whole(const float* values, size_t dim, float* low, float* high) {
  bool fine = true;
  for (size_t i = 0; i < dim && fine; ++i) {
    const float value = values[i];
    fine = std::fabs(value) < 8388608.0f && value == static_cast<float>(static_cast<int32_t>(value));
    *low = std::min(*low, value);
    *high = std::max(*high, value);
  }
  return fine;
}

inline void whole_bytes(const float* values, size_t dim, float low, uint8_t* out) {
  for (size_t i = 0; i < dim; ++i) out[i] = static_cast<uint8_t>(static_cast<int32_t>(values[i] - low));
}

inline void codes(const float* values, size_t dim, float inverse, uint8_t* out) {
  for (size_t i = 0; i < dim; ++i) {
    out[i] = static_cast<uint8_t>(static_cast<int32_t>(std::floor(values[i] * inverse + 0.5f)) + 128);
  }
}

}  // namespace portable

#if FINGERPOST_X86
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wuninitialized"
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#endif

// The transform from a distance of one register on, two distances at a time.
#define FINGERPOST_HADAMARD_REST(Register, load, store, add, sub, width)                  \
  size_t half = width;                                                                    \
  for (; 2 * half < count; half *= 4) {                                                   \
    for (size_t i = 0; i < count; i += 4 * half) {                                        \
      for (float* at = values + i; at < values + i + half; at += width) {                 \
        const Register a = load(at), b = load(at + half);                                 \
        const Register c = load(at + 2 * half), d = load(at + 3 * half);                  \
        const Register ab = add(a, b), ab_less = sub(a, b), cd = add(c, d), cd_less = sub(c, d); \
        store(at, add(ab, cd));                                                           \
        store(at + half, add(ab_less, cd_less));                                          \
        store(at + 2 * half, sub(ab, cd));                                                \
        store(at + 3 * half, sub(ab_less, cd_less));                                      \
      }                                                                                   \
    }                                                                                     \
  }                                                                                       \
  for (; half < count; half *= 2) {                                                       \
    for (size_t i = 0; i < count; i += 2 * half) {                                        \
      for (float* at = values + i; at < values + i + half; at += width) {                 \
        const Register a = load(at), b = load(at + half);                                 \
        store(at, add(a, b));                                                             \
        store(at + half, sub(a, b));                                                      \
      }                                                                                   \
    }                                                                                     \
  }

namespace avx2 {
#define FINGERPOST_AVX2 __attribute__((target("avx2")))

FINGERPOST_AVX2 inline void hadamard(float* values, size_t count, float factor) {
  const __m256 one = _mm256_castsi256_ps(_mm256_setr_epi32(0, 1 << 31, 0, 1 << 31, 0, 1 << 31, 0, 1 << 31));
  const __m256 two = _mm256_castsi256_ps(_mm256_setr_epi32(0, 0, 1 << 31, 1 << 31, 0, 0, 1 << 31, 1 << 31));
  const __m256 four = _mm256_castsi256_ps(_mm256_setr_epi32(0, 0, 0, 0, 1 << 31, 1 << 31, 1 << 31, 1 << 31));
  for (size_t i = 0; i < count; i += 8) {
    __m256 v = _mm256_loadu_ps(values + i);
    v = _mm256_add_ps(_mm256_permute_ps(v, 0xB1), _mm256_xor_ps(v, one));
    v = _mm256_add_ps(_mm256_permute_ps(v, 0x4E), _mm256_xor_ps(v, two));
    v = _mm256_add_ps(_mm256_permute2f128_ps(v, v, 1), _mm256_xor_ps(v, four));
    _mm256_storeu_ps(values + i, v);
  }
  FINGERPOST_HADAMARD_REST(__m256, _mm256_loadu_ps, _mm256_storeu_ps, _mm256_add_ps, _mm256_sub_ps, 8)
  const __m256 scale = _mm256_set1_ps(factor);
  for (size_t i = 0; i < count; i += 8) _mm256_storeu_ps(values + i, _mm256_mul_ps(_mm256_loadu_ps(values + i), scale));
}

FINGERPOST_AVX2 inline float widest(const float* values, size_t dim) {
  const __m256 magnitude = _mm256_castsi256_ps(_mm256_set1_epi32(0x7FFFFFFF));
  __m256 most = _mm256_setzero_ps();
  size_t i = 0;
  for (; i + 8 <= dim; i += 8) most = _mm256_max_ps(_mm256_and_ps(_mm256_loadu_ps(values + i), magnitude), most);
  float lanes[8];
  _mm256_storeu_ps(lanes, most);
  return std::max(*std::max_element(lanes, lanes + 8), portable::widest(values + i, dim - i));
}

FINGERPOST_AVX2 inline bool whole(const float* values, size_t dim, float* low, float* high) {
  const __m256 magnitude = _mm256_castsi256_ps(_mm256_set1_epi32(0x7FFFFFFF)), most = _mm256_set1_ps(8388608.0f);
  __m256 fine = _mm256_castsi256_ps(_mm256_set1_epi32(-1)), least = _mm256_set1_ps(*low), greatest = _mm256_set1_ps(*high);
  size_t i = 0;
  for (; i + 8 <= dim; i += 8) {
    const __m256 v = _mm256_loadu_ps(values + i);
    const __m256 back = _mm256_cvtepi32_ps(_mm256_cvttps_epi32(v));
    fine = _mm256_and_ps(fine, _mm256_cmp_ps(v, back, _CMP_EQ_OQ));
    fine = _mm256_and_ps(fine, _mm256_cmp_ps(_mm256_and_ps(v, magnitude), most, _CMP_LT_OQ));
    least = _mm256_min_ps(least, v);
    greatest = _mm256_max_ps(greatest, v);
  }
  float lanes[8];
  _mm256_storeu_ps(lanes, least);
  *low = *std::min_element(lanes, lanes + 8);
  _mm256_storeu_ps(lanes, greatest);
  *high = *std::max_element(lanes, lanes + 8);
  return _mm256_movemask_ps(fine) == 0xFF && portable::whole(values + i, dim - i, low, high);
}

// Eight numbers from 0 to 255 as bytes.
FINGERPOST_AVX2 inline void store_bytes(__m256i numbers, uint8_t* out) {
  const __m128i words = _mm_packus_epi32(_mm256_castsi256_si128(numbers), _mm256_extracti128_si256(numbers, 1));
  _mm_storel_epi64(reinterpret_cast<__m128i*>(out), _mm_packus_epi16(words, words));
}

FINGERPOST_AVX2 inline void whole_bytes(const float* values, size_t dim, float low, uint8_t* out) {
  const __m256 from = _mm256_set1_ps(low);
  size_t i = 0;
  for (; i + 8 <= dim; i += 8) {
    store_bytes(_mm256_cvttps_epi32(_mm256_sub_ps(_mm256_loadu_ps(values + i), from)), out + i);
  }
  portable::whole_bytes(values + i, dim - i, low, out + i);
}

FINGERPOST_AVX2 inline void codes(const float* values, size_t dim, float inverse, uint8_t* out) {
  const __m256 scale = _mm256_set1_ps(inverse), half = _mm256_set1_ps(0.5f);
  const __m256i middle = _mm256_set1_epi32(128);
  size_t i = 0;
  for (; i + 8 <= dim; i += 8) {
    const __m256 step = _mm256_floor_ps(_mm256_add_ps(_mm256_mul_ps(_mm256_loadu_ps(values + i), scale), half));
    store_bytes(_mm256_add_epi32(_mm256_cvttps_epi32(step), middle), out + i);
  }
  portable::codes(values + i, dim - i, inverse, out + i);
}

#undef FINGERPOST_AVX2
}  // namespace avx2

namespace avx512 {
#define FINGERPOST_AVX512 __attribute__((target("avx512f,avx512dq,avx2")))

FINGERPOST_AVX512 inline void hadamard(float* values, size_t count, float factor) {
  const __m512 negative = _mm512_set1_ps(-0.0f), zero = _mm512_setzero_ps();
  const __m512 one = _mm512_mask_blend_ps(0xAAAA, zero, negative), two = _mm512_mask_blend_ps(0xCCCC, zero, negative);
  const __m512 four = _mm512_mask_blend_ps(0xF0F0, zero, negative), eight = _mm512_mask_blend_ps(0xFF00, zero, negative);
  for (size_t i = 0; i < count; i += 16) {
    __m512 v = _mm512_loadu_ps(values + i);
    v = _mm512_add_ps(_mm512_permute_ps(v, 0xB1), _mm512_xor_ps(v, one));
    v = _mm512_add_ps(_mm512_permute_ps(v, 0x4E), _mm512_xor_ps(v, two));
    v = _mm512_add_ps(_mm512_shuffle_f32x4(v, v, 0xB1), _mm512_xor_ps(v, four));
    v = _mm512_add_ps(_mm512_shuffle_f32x4(v, v, 0x4E), _mm512_xor_ps(v, eight));
    _mm512_storeu_ps(values + i, v);
  }
  FINGERPOST_HADAMARD_REST(__m512, _mm512_loadu_ps, _mm512_storeu_ps, _mm512_add_ps, _mm512_sub_ps, 16)
  const __m512 scale = _mm512_set1_ps(factor);
  for (size_t i = 0; i < count; i += 16) {
    _mm512_storeu_ps(values + i, _mm512_mul_ps(_mm512_loadu_ps(values + i), scale));
  }
}

FINGERPOST_AVX512 inline float widest(const float* values, size_t dim) {
  __m512 most = _mm512_setzero_ps();
  size_t i = 0;
  for (; i + 16 <= dim; i += 16) most = _mm512_max_ps(_mm512_abs_ps(_mm512_loadu_ps(values + i)), most);
  return std::max(_mm512_reduce_max_ps(most), portable::widest(values + i, dim - i));
}

FINGERPOST_AVX512 inline bool whole(const float* values, size_t dim, float* low, float* high) {
  const __m512 most = _mm512_set1_ps(8388608.0f);
  __m512 least = _mm512_set1_ps(*low), greatest = _mm512_set1_ps(*high);
  __mmask16 fine = 0xFFFF;
  size_t i = 0;
  for (; i + 16 <= dim; i += 16) {
    const __m512 v = _mm512_loadu_ps(values + i);
    const __m512 back = _mm512_cvtepi32_ps(_mm512_cvttps_epi32(v));
    fine = _mm512_mask_cmp_ps_mask(fine, v, back, _CMP_EQ_OQ);
    fine = _mm512_mask_cmp_ps_mask(fine, _mm512_abs_ps(v), most, _CMP_LT_OQ);
    least = _mm512_min_ps(least, v);
    greatest = _mm512_max_ps(greatest, v);
  }
  *low = _mm512_reduce_min_ps(least);
  *high = _mm512_reduce_max_ps(greatest);
  return fine == 0xFFFF && portable::whole(values + i, dim - i, low, high);
}

FINGERPOST_AVX512 inline void whole_bytes(const float* values, size_t dim, float low, uint8_t* out) {
  const __m512 from = _mm512_set1_ps(low);
  size_t i = 0;
  for (; i + 16 <= dim; i += 16) {
    const __m512i numbers = _mm512_cvttps_epi32(_mm512_sub_ps(_mm512_loadu_ps(values + i), from));
    _mm_storeu_si128(reinterpret_cast<__m128i*>(out + i), _mm512_cvtepi32_epi8(numbers));
  }
  portable::whole_bytes(values + i, dim - i, low, out + i);
}

FINGERPOST_AVX512 inline void codes(const float* values, size_t dim, float inverse, uint8_t* out) {
  const __m512 scale = _mm512_set1_ps(inverse), half = _mm512_set1_ps(0.5f);
  const __m512i middle = _mm512_set1_epi32(128);
  size_t i = 0;
  for (; i + 16 <= dim; i += 16) {
    const __m512 moved = _mm512_add_ps(_mm512_mul_ps(_mm512_loadu_ps(values + i), scale), half);
    const __m512 step = _mm512_roundscale_ps(moved, _MM_FROUND_TO_NEG_INF | _MM_FROUND_NO_EXC);
    const __m512i numbers = _mm512_add_epi32(_mm512_cvttps_epi32(step), middle);
    _mm_storeu_si128(reinterpret_cast<__m128i*>(out + i), _mm512_cvtepi32_epi8(numbers));
  }
  portable::codes(values + i, dim - i, inverse, out + i);
}

#undef FINGERPOST_AVX512
}  // namespace avx512

#undef FINGERPOST_HADAMARD_REST
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic pop
#endif
#endif  // FINGERPOST_X86

// The passes of the active path.
inline RowPasses row_passes() {
#if FINGERPOST_X86
  if (active_path() == Path::avx512) {
    return {avx512::hadamard, avx512::widest, avx512::whole, avx512::whole_bytes, avx512::codes};
  }
  if (active_path() == Path::avx2) return {avx2::hadamard, avx2::widest, avx2::whole, avx2::whole_bytes, avx2::codes};
#endif
  return {portable::hadamard, portable::widest, portable::whole, portable::whole_bytes, portable::codes};
}

}  // namespace fingerpost
