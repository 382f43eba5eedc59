// Squared L2 distance and dot product on float32, chosen at run time, the same bits on every path.
//
// Every path adds into 16 lanes in the same order (element i goes to lane i mod 16), multiplies and adds with two
// roundings (no FMA), treats the tail as zeros, and folds the lanes by one fixed tree (8, 4, 2, 1). Hence a graph
// built on a machine without AVX is the graph built on one with it. On ARM the portable loops compile to NEON.
//
// The active path is a variable of the extension that includes this header: each extension has its own.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstring>

#if (defined(__x86_64__) || defined(__i386__)) && (defined(__GNUC__) || defined(__clang__))
#define FINGERPOST_X86 1
#include <immintrin.h>
#else
#define FINGERPOST_X86 0
#endif

namespace fingerpost {

enum class Path : int { portable = 0, avx2 = 1, avx512 = 2 };

// One pair of vectors of `dim` floats.
using Kernel = float (*)(const float* a, const float* b, size_t dim);
// One vector against four; each result has the bits that Kernel gives.
using Kernel4 = void (*)(const float* a, const float* const rows[4], size_t dim, float out[4]);

inline float fold16(const float* lanes) {
  float eight[8], four[4];
  for (int i = 0; i < 8; ++i) eight[i] = lanes[i] + lanes[i + 8];
  for (int i = 0; i < 4; ++i) four[i] = eight[i] + eight[i + 4];
  return (four[0] + four[2]) + (four[1] + four[3]);
}

// ---------------------------------------------------------------------------------------------------- portable
namespace portable {

template <bool L2>
inline float pair(const float* a, const float* b, size_t dim) {
  float lanes[16] = {};
  size_t i = 0;
  for (; i + 16 <= dim; i += 16) {
    for (int j = 0; j < 16; ++j) {
      const float x = L2 ? a[i + j] - b[i + j] : a[i + j];
      const float y = L2 ? x : b[i + j];
      lanes[j] += x * y;
    }
  }
  for (int j = 0; i < dim; ++i, ++j) {
    const float x = L2 ? a[i] - b[i] : a[i];
    const float y = L2 ? x : b[i];
    lanes[j] += x * y;
  }
  return fold16(lanes);
}

inline float l2(const float* a, const float* b, size_t dim) { return pair<true>(a, b, dim); }
inline float dot(const float* a, const float* b, size_t dim) { return pair<false>(a, b, dim); }
inline void l2x4(const float* a, const float* const rows[4], size_t dim, float out[4]) {
  for (int r = 0; r < 4; ++r) out[r] = pair<true>(a, rows[r], dim);
}
inline void dotx4(const float* a, const float* const rows[4], size_t dim, float out[4]) {
  for (int r = 0; r < 4; ++r) out[r] = pair<false>(a, rows[r], dim);
}

}  // namespace portable

#if FINGERPOST_X86
#if defined(__GNUC__) && !defined(__clang__)
// GCC 12 warns of its own _mm512 headers, whose "undefined" operands are meant.
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wuninitialized"
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#endif
// -------------------------------------------------------------------------------------------------------- AVX2
namespace avx2 {
#define FINGERPOST_AVX2 __attribute__((target("avx2")))

FINGERPOST_AVX2 inline float fold(__m256 low, __m256 high) {
  const __m256 eight = _mm256_add_ps(low, high);
  const __m128 four = _mm_add_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
  const __m128 two = _mm_add_ps(four, _mm_movehl_ps(four, four));
  return _mm_cvtss_f32(_mm_add_ss(two, _mm_shuffle_ps(two, two, 1)));
}

template <bool L2>
FINGERPOST_AVX2 inline __m256 step(__m256 sum, __m256 x, __m256 y) {
  if (L2) {
    x = _mm256_sub_ps(x, y);
    y = x;
  }
  return _mm256_add_ps(sum, _mm256_mul_ps(x, y));
}

// Copies the tail into zero-padded lanes; `count` is below 16.
inline void pad(const float* from, size_t count, float* to) {
  std::memset(to, 0, 16 * sizeof(float));
  std::memcpy(to, from, count * sizeof(float));
}

template <bool L2>
FINGERPOST_AVX2 inline float pair(const float* a, const float* b, size_t dim) {
  __m256 low = _mm256_setzero_ps(), high = _mm256_setzero_ps();
  size_t i = 0;
  for (; i + 16 <= dim; i += 16) {
    low = step<L2>(low, _mm256_loadu_ps(a + i), _mm256_loadu_ps(b + i));
    high = step<L2>(high, _mm256_loadu_ps(a + i + 8), _mm256_loadu_ps(b + i + 8));
  }
  if (i < dim) {
    float x[16], y[16];
    pad(a + i, dim - i, x);
    pad(b + i, dim - i, y);
    low = step<L2>(low, _mm256_loadu_ps(x), _mm256_loadu_ps(y));
    high = step<L2>(high, _mm256_loadu_ps(x + 8), _mm256_loadu_ps(y + 8));
  }
  return fold(low, high);
}

template <bool L2>
FINGERPOST_AVX2 inline void four(const float* a, const float* const rows[4], size_t dim, float out[4]) {
  __m256 low[4], high[4];
  for (int r = 0; r < 4; ++r) low[r] = high[r] = _mm256_setzero_ps();
  size_t i = 0;
  for (; i + 16 <= dim; i += 16) {
    const __m256 x = _mm256_loadu_ps(a + i), y = _mm256_loadu_ps(a + i + 8);
    for (int r = 0; r < 4; ++r) {
      low[r] = step<L2>(low[r], x, _mm256_loadu_ps(rows[r] + i));
      high[r] = step<L2>(high[r], y, _mm256_loadu_ps(rows[r] + i + 8));
    }
  }
  if (i < dim) {
    float x[16], y[16];
    pad(a + i, dim - i, x);
    for (int r = 0; r < 4; ++r) {
      pad(rows[r] + i, dim - i, y);
      low[r] = step<L2>(low[r], _mm256_loadu_ps(x), _mm256_loadu_ps(y));
      high[r] = step<L2>(high[r], _mm256_loadu_ps(x + 8), _mm256_loadu_ps(y + 8));
    }
  }
  for (int r = 0; r < 4; ++r) out[r] = fold(low[r], high[r]);
}

FINGERPOST_AVX2 inline float l2(const float* a, const float* b, size_t dim) { return pair<true>(a, b, dim); }
FINGERPOST_AVX2 inline float dot(const float* a, const float* b, size_t dim) { return pair<false>(a, b, dim); }
FINGERPOST_AVX2 inline void l2x4(const float* a, const float* const rows[4], size_t dim, float out[4]) {
  four<true>(a, rows, dim, out);
}
FINGERPOST_AVX2 inline void dotx4(const float* a, const float* const rows[4], size_t dim, float out[4]) {
  four<false>(a, rows, dim, out);
}

#undef FINGERPOST_AVX2
}  // namespace avx2

// ----------------------------------------------------------------------------------------------------- AVX-512
namespace avx512 {
#define FINGERPOST_AVX512 __attribute__((target("avx512f,avx512dq,avx2")))

FINGERPOST_AVX512 inline float fold(__m512 sum) {
  const __m256 eight = _mm256_add_ps(_mm512_castps512_ps256(sum), _mm512_extractf32x8_ps(sum, 1));
  const __m128 four = _mm_add_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
  const __m128 two = _mm_add_ps(four, _mm_movehl_ps(four, four));
  return _mm_cvtss_f32(_mm_add_ss(two, _mm_shuffle_ps(two, two, 1)));
}

template <bool L2>
FINGERPOST_AVX512 inline __m512 step(__m512 sum, __m512 x, __m512 y) {
  if (L2) {
    x = _mm512_sub_ps(x, y);
    y = x;
  }
  return _mm512_add_ps(sum, _mm512_mul_ps(x, y));
}

template <bool L2>
FINGERPOST_AVX512 inline float pair(const float* a, const float* b, size_t dim) {
  __m512 sum = _mm512_setzero_ps();
  size_t i = 0;
  for (; i + 16 <= dim; i += 16) sum = step<L2>(sum, _mm512_loadu_ps(a + i), _mm512_loadu_ps(b + i));
  if (i < dim) {
    const __mmask16 mask = static_cast<__mmask16>((1u << (dim - i)) - 1u);
    sum = step<L2>(sum, _mm512_maskz_loadu_ps(mask, a + i), _mm512_maskz_loadu_ps(mask, b + i));
  }
  return fold(sum);
}

template <bool L2>
FINGERPOST_AVX512 inline void four(const float* a, const float* const rows[4], size_t dim, float out[4]) {
  const float *r0 = rows[0], *r1 = rows[1], *r2 = rows[2], *r3 = rows[3];
  __m512 s0 = _mm512_setzero_ps(), s1 = s0, s2 = s0, s3 = s0;
  size_t i = 0;
  for (; i + 16 <= dim; i += 16) {
    const __m512 x = _mm512_loadu_ps(a + i);
    s0 = step<L2>(s0, x, _mm512_loadu_ps(r0 + i));
    s1 = step<L2>(s1, x, _mm512_loadu_ps(r1 + i));
    s2 = step<L2>(s2, x, _mm512_loadu_ps(r2 + i));
    s3 = step<L2>(s3, x, _mm512_loadu_ps(r3 + i));
  }
  if (i < dim) {
    const __mmask16 mask = static_cast<__mmask16>((1u << (dim - i)) - 1u);
    const __m512 x = _mm512_maskz_loadu_ps(mask, a + i);
    s0 = step<L2>(s0, x, _mm512_maskz_loadu_ps(mask, r0 + i));
    s1 = step<L2>(s1, x, _mm512_maskz_loadu_ps(mask, r1 + i));
    s2 = step<L2>(s2, x, _mm512_maskz_loadu_ps(mask, r2 + i));
    s3 = step<L2>(s3, x, _mm512_maskz_loadu_ps(mask, r3 + i));
  }
  out[0] = fold(s0);
  out[1] = fold(s1);
  out[2] = fold(s2);
  out[3] = fold(s3);
}

FINGERPOST_AVX512 inline float l2(const float* a, const float* b, size_t dim) { return pair<true>(a, b, dim); }
FINGERPOST_AVX512 inline float dot(const float* a, const float* b, size_t dim) { return pair<false>(a, b, dim); }
FINGERPOST_AVX512 inline void l2x4(const float* a, const float* const rows[4], size_t dim, float out[4]) {
  four<true>(a, rows, dim, out);
}
FINGERPOST_AVX512 inline void dotx4(const float* a, const float* const rows[4], size_t dim, float out[4]) {
  four<false>(a, rows, dim, out);
}

#undef FINGERPOST_AVX512
}  // namespace avx512
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic pop
#endif
#endif  // FINGERPOST_X86

// ---------------------------------------------------------------------------------------------------- dispatch
inline bool available(Path path) {
#if FINGERPOST_X86
  if (path == Path::avx512) return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq");
  if (path == Path::avx2) return __builtin_cpu_supports("avx2");
#endif
  return path == Path::portable;
}

// The fastest path that this CPU has.
inline Path detect() {
  if (available(Path::avx512)) return Path::avx512;
  if (available(Path::avx2)) return Path::avx2;
  return Path::portable;
}

inline std::atomic<Path>& path_variable() {
  static std::atomic<Path> variable{detect()};
  return variable;
}

inline Path active_path() { return path_variable().load(std::memory_order_relaxed); }

// Returns false, and changes nothing, where the CPU lacks the path.
inline bool set_path(Path path) {
  if (!available(path)) return false;
  path_variable().store(path, std::memory_order_relaxed);
  return true;
}

inline const char* path_name(Path path) {
  return path == Path::avx512 ? "avx512" : path == Path::avx2 ? "avx2" : "portable";
}

#if FINGERPOST_X86
#define FINGERPOST_DISPATCH(name)                                 \
  switch (active_path()) {                                        \
    case Path::avx512: return avx512::name;                       \
    case Path::avx2: return avx2::name;                           \
    default: return portable::name;                               \
  }
#else
#define FINGERPOST_DISPATCH(name) return portable::name;
#endif

inline Kernel l2_squared() { FINGERPOST_DISPATCH(l2) }
inline Kernel dot() { FINGERPOST_DISPATCH(dot) }
inline Kernel4 l2_squared_x4() { FINGERPOST_DISPATCH(l2x4) }
inline Kernel4 dot_x4() { FINGERPOST_DISPATCH(dotx4) }

#undef FINGERPOST_DISPATCH

}  // namespace fingerpost
