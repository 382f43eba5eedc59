// Estimated distances from scalar codes of 4 or 8 bits, the same bits on every path: products are sums of integers,
// and the two float operations after them are rounded one by one.
//
// The code of a node is a whole number of 64-byte lines. Its last four bytes are a float32, the node's own term of the
// estimate; where it lies the query has zeros. 8 bits: byte p holds position p. 4 bits: byte b of line l holds position
// 128 l + b in its low half and 128 l + 64 + b in its high half.
#pragma once

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>

#include "simd.hpp"

namespace fingerpost {

constexpr size_t kLine = 64;

// The codes of all nodes; nothing is owned.
struct CodeView {
  const uint8_t* codes = nullptr;
  size_t lines = 0;  // of one node
  int bits = 4;

  size_t bytes() const { return lines * kLine; }
  // Positions of the query that a node's code covers, those of the float included.
  size_t positions() const { return bytes() * 8 / static_cast<size_t>(bits); }
  const uint8_t* row(uint32_t id) const { return codes + static_cast<size_t>(id) * bytes(); }
};

// A query as signed bytes, laid out as the codes are read: per line 64 bytes (8 bits) or the 64 bytes of the low halves
// and then those of the high halves (4 bits). Estimate of node x: own term of x + scale * (query . code of x).
struct CodeQuery {
  const int8_t* weights = nullptr;
  float scale = 0.0f;
};

// Estimates of nodes ids[0..count); writes up to count rounded up to four, and reads ids up to there.
using CodeKernel = void (*)(const CodeView&, const CodeQuery&, const uint32_t* ids, size_t count, float* out);

inline float own_term(const uint8_t* row, size_t bytes) {
  float value;
  std::memcpy(&value, row + bytes - sizeof value, sizeof value);
  return value;
}

namespace portable {

template <int Bits>
inline int32_t code_dot(const int8_t* query, const uint8_t* row, size_t lines) {
  int32_t sum = 0;
  for (size_t l = 0; l < lines; ++l, row += kLine) {
    if (Bits == 8) {
      for (size_t b = 0; b < kLine; ++b) sum += static_cast<int32_t>(row[b]) * query[b];
      query += kLine;
    } else {
      for (size_t b = 0; b < kLine; ++b) {
        sum += static_cast<int32_t>(row[b] & 15) * query[b] + static_cast<int32_t>(row[b] >> 4) * query[kLine + b];
      }
      query += 2 * kLine;
    }
  }
  return sum;
}

template <int Bits>
inline void estimates(const CodeView& view, const CodeQuery& query, const uint32_t* ids, size_t count, float* out) {
  for (size_t i = 0; i < count; ++i) {
    const uint8_t* row = view.row(ids[i]);
    const float product = static_cast<float>(code_dot<Bits>(query.weights, row, view.lines)) * query.scale;
    out[i] = own_term(row, view.bytes()) + product;
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
#define FINGERPOST_AVX2 __attribute__((target("avx2")))

FINGERPOST_AVX2 inline int32_t fold_integers(__m256i sum) {
  const __m128i four = _mm_add_epi32(_mm256_castsi256_si128(sum), _mm256_extracti128_si256(sum, 1));
  const __m128i two = _mm_add_epi32(four, _mm_unpackhi_epi64(four, four));
  return _mm_cvtsi128_si32(_mm_add_epi32(two, _mm_shuffle_epi32(two, 1)));
}

template <int Bits>
FINGERPOST_AVX2 inline int32_t code_dot(const int8_t* query, const uint8_t* row, size_t lines) {
  const __m256i ones = _mm256_set1_epi16(1), half = _mm256_set1_epi8(15);
  __m256i sum = _mm256_setzero_si256();
  for (size_t l = 0; l < lines; ++l) {
    for (size_t part = 0; part < 2; ++part) {
      const uint8_t* from = row + l * kLine + part * 32;
      if (Bits == 8) {
        // Products of bytes would overflow 16 bits in pairs, so bytes are widened first.
        for (size_t h = 0; h < 32; h += 16) {
          const __m128i codes = _mm_loadu_si128(reinterpret_cast<const __m128i*>(from + h));
          const __m128i other = _mm_loadu_si128(reinterpret_cast<const __m128i*>(query + l * kLine + part * 32 + h));
          sum = _mm256_add_epi32(sum, _mm256_madd_epi16(_mm256_cvtepu8_epi16(codes), _mm256_cvtepi8_epi16(other)));
        }
      } else {
        const __m256i codes = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(from));
        const int8_t* weights = query + l * 2 * kLine + part * 32;
        const __m256i low = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(weights));
        const __m256i high = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(weights + kLine));
        const __m256i lows = _mm256_maddubs_epi16(_mm256_and_si256(codes, half), low);
        const __m256i highs = _mm256_maddubs_epi16(_mm256_and_si256(_mm256_srli_epi16(codes, 4), half), high);
        // Each is at most 2 * 15 * 128 in size, so their sum still fits.
        sum = _mm256_add_epi32(sum, _mm256_madd_epi16(_mm256_add_epi16(lows, highs), ones));
      }
    }
  }
  return fold_integers(sum);
}

template <int Bits>
FINGERPOST_AVX2 inline void estimates(const CodeView& view, const CodeQuery& query, const uint32_t* ids, size_t count,
                                      float* out) {
  for (size_t i = 0; i < count; ++i) {
    const uint8_t* row = view.row(ids[i]);
    const float product = static_cast<float>(code_dot<Bits>(query.weights, row, view.lines)) * query.scale;
    out[i] = own_term(row, view.bytes()) + product;
  }
}

#undef FINGERPOST_AVX2
}  // namespace avx2

namespace avx512 {
#define FINGERPOST_VNNI __attribute__((target("avx512f,avx512dq,avx512bw,avx512vnni,avx2")))

template <int Bits>
FINGERPOST_VNNI inline __m512i code_step(__m512i sum, __m512i codes, const int8_t* query) {
  if (Bits == 8) return _mm512_dpbusd_epi32(sum, codes, _mm512_loadu_si512(query));
  const __m512i half = _mm512_set1_epi8(15);
  sum = _mm512_dpbusd_epi32(sum, _mm512_and_si512(codes, half), _mm512_loadu_si512(query));
  return _mm512_dpbusd_epi32(sum, _mm512_and_si512(_mm512_srli_epi16(codes, 4), half),
                             _mm512_loadu_si512(query + kLine));
}

// Adds the four 128-bit parts.
FINGERPOST_VNNI inline __m128i fold_parts(__m512i sums) {
  const __m256i two = _mm256_add_epi32(_mm512_castsi512_si256(sums), _mm512_extracti64x4_epi64(sums, 1));
  return _mm_add_epi32(_mm256_castsi256_si128(two), _mm256_extracti128_si256(two, 1));
}

// Lines is the number of lines of a code, or 0 where it is known at run time only.
template <int Bits, int Lines>
FINGERPOST_VNNI inline void estimate_rows(const CodeView& view, const CodeQuery& query, const uint32_t* ids,
                                          size_t count, float* out) {
  const size_t lines = Lines ? static_cast<size_t>(Lines) : view.lines, bytes = lines * kLine;
  const __m128 scale = _mm_set1_ps(query.scale);
  for (size_t i = 0; i < count; i += 4) {
    __m512i sum[4], last[4];
    for (int r = 0; r < 4; ++r) {
      const uint8_t* row = view.codes + static_cast<size_t>(ids[i + r]) * bytes;
      const int8_t* weights = query.weights;
      sum[r] = _mm512_setzero_si512();
      for (size_t l = 0; l < lines; ++l, weights += Bits == 8 ? kLine : 2 * kLine) {
        last[r] = _mm512_loadu_si512(row + l * kLine);
        sum[r] = code_step<Bits>(sum[r], last[r], weights);
      }
    }
    // A transposition that adds on the way: element r of every 128-bit part becomes the part's sum of row r.
    const __m512i a = _mm512_add_epi32(_mm512_unpacklo_epi32(sum[0], sum[1]), _mm512_unpackhi_epi32(sum[0], sum[1]));
    const __m512i b = _mm512_add_epi32(_mm512_unpacklo_epi32(sum[2], sum[3]), _mm512_unpackhi_epi32(sum[2], sum[3]));
    const __m512i both = _mm512_add_epi32(_mm512_unpacklo_epi64(a, b), _mm512_unpackhi_epi64(a, b));
    const __m512i own = _mm512_unpackhi_epi64(_mm512_unpackhi_epi32(last[0], last[1]),
                                              _mm512_unpackhi_epi32(last[2], last[3]));
    const __m128 product = _mm_mul_ps(_mm_cvtepi32_ps(fold_parts(both)), scale);
    _mm_storeu_ps(out + i, _mm_add_ps(_mm_castsi128_ps(_mm512_extracti32x4_epi32(own, 3)), product));
  }
}

template <int Bits>
FINGERPOST_VNNI inline void estimates(const CodeView& view, const CodeQuery& query, const uint32_t* ids, size_t count,
                                      float* out) {
  switch (view.lines) {
    case 1: return estimate_rows<Bits, 1>(view, query, ids, count, out);
    case 2: return estimate_rows<Bits, 2>(view, query, ids, count, out);
    case 3: return estimate_rows<Bits, 3>(view, query, ids, count, out);
    case 4: return estimate_rows<Bits, 4>(view, query, ids, count, out);
    default: return estimate_rows<Bits, 0>(view, query, ids, count, out);
  }
}

#undef FINGERPOST_VNNI
}  // namespace avx512
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic pop
#endif

inline bool has_vnni() {
  return __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vnni");
}
#endif  // FINGERPOST_X86

inline CodeKernel code_kernel(int bits) {
#if FINGERPOST_X86
  const Path path = active_path();
  if (path == Path::avx512 && has_vnni()) return bits == 8 ? avx512::estimates<8> : avx512::estimates<4>;
  if (path != Path::portable) return bits == 8 ? avx2::estimates<8> : avx2::estimates<4>;
#endif
  return bits == 8 ? portable::estimates<8> : portable::estimates<4>;
}

// Writes the code of one row of positions: integers of `bits` bits, zero beyond `count`, and the node's own term.
inline void write_code(const CodeView& view, const uint8_t* values, size_t count, float own, uint8_t* out) {
  std::memset(out, 0, view.bytes());
  for (size_t p = 0; p < count; ++p) {
    if (view.bits == 8) {
      out[p] = values[p];
    } else {
      uint8_t& byte = out[p / 128 * kLine + p % 64];
      byte = static_cast<uint8_t>(byte | values[p] << (p % 128 < 64 ? 0 : 4));
    }
  }
  std::memcpy(out + view.bytes() - sizeof own, &own, sizeof own);
}

}  // namespace fingerpost
