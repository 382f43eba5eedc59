// Squared L2 distance of rows of bytes: whole numbers, so that every path and every order gives the same bits.
//
// Rows are multiples of 64 bytes; at most 32,768, so that sums fit 32 bits with a sign.
#pragma once

#include "simd.hpp"

namespace fingerpost {

using BytesKernel = int32_t (*)(const uint8_t* a, const uint8_t* b, size_t bytes);
using BytesKernel4 = void (*)(const uint8_t* a, const uint8_t* const rows[4], size_t bytes, int32_t out[4]);

namespace portable {

inline int32_t bytes_l2(const uint8_t* a, const uint8_t* b, size_t bytes) {
  int32_t sum = 0;
  for (size_t i = 0; i < bytes; ++i) {
    const int32_t difference = static_cast<int32_t>(a[i]) - static_cast<int32_t>(b[i]);
    sum += difference * difference;
  }
  return sum;
}
inline void bytes_l2x4(const uint8_t* a, const uint8_t* const rows[4], size_t bytes, int32_t out[4]) {
  for (int r = 0; r < 4; ++r) out[r] = bytes_l2(a, rows[r], bytes);
}

}  // namespace portable

#if FINGERPOST_X86
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wuninitialized"
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#endif
namespace avx2 {
#define FINGERPOST_AVX2 __attribute__((target("avx2")))

FINGERPOST_AVX2 inline int32_t fold_int(__m256i sum) {
  __m128i four = _mm_add_epi32(_mm256_castsi256_si128(sum), _mm256_extracti128_si256(sum, 1));
  four = _mm_add_epi32(four, _mm_shuffle_epi32(four, 0x4E));
  return _mm_cvtsi128_si32(_mm_add_epi32(four, _mm_shuffle_epi32(four, 0xB1)));
}
FINGERPOST_AVX2 inline __m256i wide(const uint8_t* bytes) {
  return _mm256_cvtepu8_epi16(_mm_loadu_si128(reinterpret_cast<const __m128i*>(bytes)));
}
FINGERPOST_AVX2 inline __m256i step_int(__m256i sum, __m256i a, __m256i b) {
  const __m256i difference = _mm256_sub_epi16(a, b);
  return _mm256_add_epi32(sum, _mm256_madd_epi16(difference, difference));
}
FINGERPOST_AVX2 inline int32_t bytes_l2(const uint8_t* a, const uint8_t* b, size_t bytes) {
  __m256i sum = _mm256_setzero_si256();
  for (size_t i = 0; i < bytes; i += 16) sum = step_int(sum, wide(a + i), wide(b + i));
  return fold_int(sum);
}
FINGERPOST_AVX2 inline void bytes_l2x4(const uint8_t* a, const uint8_t* const rows[4], size_t bytes, int32_t out[4]) {
  const uint8_t *r0 = rows[0], *r1 = rows[1], *r2 = rows[2], *r3 = rows[3];
  __m256i s0 = _mm256_setzero_si256(), s1 = s0, s2 = s0, s3 = s0;
  for (size_t i = 0; i < bytes; i += 16) {
    const __m256i x = wide(a + i);
    s0 = step_int(s0, x, wide(r0 + i));
    s1 = step_int(s1, x, wide(r1 + i));
    s2 = step_int(s2, x, wide(r2 + i));
    s3 = step_int(s3, x, wide(r3 + i));
  }
  out[0] = fold_int(s0);
  out[1] = fold_int(s1);
  out[2] = fold_int(s2);
  out[3] = fold_int(s3);
}

#undef FINGERPOST_AVX2
}  // namespace avx2

namespace avx512 {
#define FINGERPOST_AVX512BW __attribute__((target("avx512f,avx512dq,avx512bw,avx2")))

FINGERPOST_AVX512BW inline __m512i wide(const uint8_t* bytes) {
  return _mm512_cvtepu8_epi16(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(bytes)));
}
FINGERPOST_AVX512BW inline __m512i step_int(__m512i sum, __m512i a, __m512i b) {
  const __m512i difference = _mm512_sub_epi16(a, b);
  return _mm512_add_epi32(sum, _mm512_madd_epi16(difference, difference));
}
FINGERPOST_AVX512BW inline int32_t bytes_l2(const uint8_t* a, const uint8_t* b, size_t bytes) {
  __m512i sum = _mm512_setzero_si512();
  for (size_t i = 0; i < bytes; i += 32) sum = step_int(sum, wide(a + i), wide(b + i));
  return _mm512_reduce_add_epi32(sum);
}
FINGERPOST_AVX512BW inline void bytes_l2x4(const uint8_t* a, const uint8_t* const rows[4], size_t bytes,
                                           int32_t out[4]) {
  const uint8_t *r0 = rows[0], *r1 = rows[1], *r2 = rows[2], *r3 = rows[3];
  __m512i s0 = _mm512_setzero_si512(), s1 = s0, s2 = s0, s3 = s0;
  for (size_t i = 0; i < bytes; i += 32) {
    const __m512i x = wide(a + i);
    s0 = step_int(s0, x, wide(r0 + i));
    s1 = step_int(s1, x, wide(r1 + i));
    s2 = step_int(s2, x, wide(r2 + i));
    s3 = step_int(s3, x, wide(r3 + i));
  }
  // Four sums at once: pairs, then quadruples of lanes, then the four quarters.
  const __m512i p = _mm512_add_epi32(_mm512_unpacklo_epi32(s0, s1), _mm512_unpackhi_epi32(s0, s1));
  const __m512i q = _mm512_add_epi32(_mm512_unpacklo_epi32(s2, s3), _mm512_unpackhi_epi32(s2, s3));
  const __m512i all = _mm512_add_epi32(_mm512_unpacklo_epi64(p, q), _mm512_unpackhi_epi64(p, q));
  const __m256i half = _mm256_add_epi32(_mm512_castsi512_si256(all), _mm512_extracti64x4_epi64(all, 1));
  const __m128i four = _mm_add_epi32(_mm256_castsi256_si128(half), _mm256_extracti128_si256(half, 1));
  _mm_storeu_si128(reinterpret_cast<__m128i*>(out), four);
}

#undef FINGERPOST_AVX512BW
}  // namespace avx512
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic pop
#endif

// 512-bit vectors of bytes are an extension of their own, which the oldest CPUs with AVX-512 lack.
inline bool wide_bytes() { return active_path() == Path::avx512 && __builtin_cpu_supports("avx512bw"); }
#endif  // FINGERPOST_X86

inline BytesKernel bytes_squared_l2() {
#if FINGERPOST_X86
  if (wide_bytes()) return avx512::bytes_l2;
  if (active_path() != Path::portable) return avx2::bytes_l2;
#endif
  return portable::bytes_l2;
}
inline BytesKernel4 bytes_squared_l2_x4() {
#if FINGERPOST_X86
  if (wide_bytes()) return avx512::bytes_l2x4;
  if (active_path() != Path::portable) return avx2::bytes_l2x4;
#endif
  return portable::bytes_l2x4;
}

}  // namespace fingerpost
