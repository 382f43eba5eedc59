// Vectors as an index keeps them for exact distances: floats, small integers without loss, or 12 bits a value.
//
// A row is decoded to floats on a cache line and compared by the kernels of simd.hpp, so that integers give the bits
// that the same values as floats give.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>

#include "graph.hpp"
#include "simd.hpp"

namespace fingerpost {

enum class Keeping : int { floats = 0, integers = 1, bits12 = 2 };

// Rows of stored vectors; nothing is owned. floats: padded(dim) float32. integers: value = byte + low[0]. bits12: the
// low bytes of padded(dim) values, then half a byte each (block 2 j of 16 values in the low halves of bytes 16 j to
// 16 j + 15, block 2 j + 1 in the high halves); value i = low[i] + step[i] * integer.
struct StoreView {
  Keeping keeping = Keeping::floats;
  size_t dim = 0;  // a multiple of 16
  size_t stride = 0;  // bytes between rows
  const uint8_t* rows = nullptr;
  const float* low = nullptr;
  const float* step = nullptr;

  const uint8_t* row(uint32_t id) const { return rows + static_cast<size_t>(id) * stride; }
};

inline size_t store_bytes(Keeping keeping, size_t dim) {
  if (keeping == Keeping::floats) return padded(dim) * sizeof(float);
  if (keeping == Keeping::integers) return padded(dim);
  return padded(dim) + (padded(dim) + 31) / 32 * 16;
}

// Decoding is exact or rounded operation by operation, hence the same however the compiler arranges it.
#define FINGERPOST_DECODE                                                                                        \
  inline void decode_integers(const uint8_t* row, size_t dim, float low, float* out) {                           \
    for (size_t i = 0; i < dim; ++i) out[i] = static_cast<float>(static_cast<int32_t>(row[i])) + low;            \
  }                                                                                                              \
  inline void decode_bits12(const uint8_t* row, size_t dim, const float* low, const float* step, float* out) {   \
    for (size_t block = 0; block * 16 < dim; ++block) {                                                          \
      const uint8_t* bytes = row + block * 16;                                                                   \
      const uint8_t* halves = row + dim + block / 2 * 16;                                                        \
      const int shift = block % 2 ? 4 : 0;                                                                       \
      for (size_t i = 0; i < 16; ++i) {                                                                          \
        const int32_t value = static_cast<int32_t>(bytes[i]) | (static_cast<int32_t>(halves[i]) >> shift & 15) << 8; \
        out[block * 16 + i] = low[block * 16 + i] + step[block * 16 + i] * static_cast<float>(value);            \
      }                                                                                                          \
    }                                                                                                            \
  }

namespace portable {
FINGERPOST_DECODE
}
#if FINGERPOST_X86
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC push_options
#pragma GCC target("avx2")
namespace avx2 {
FINGERPOST_DECODE
}
#pragma GCC pop_options
#pragma GCC push_options
#pragma GCC target("avx512f,avx512dq,avx512bw,avx512vl,avx2")
namespace avx512 {
FINGERPOST_DECODE
}
#pragma GCC pop_options
#else
namespace avx2 {
using portable::decode_bits12;
using portable::decode_integers;
}
namespace avx512 {
using portable::decode_bits12;
using portable::decode_integers;
}
#endif
#endif
#undef FINGERPOST_DECODE

using DecodeIntegers = void (*)(const uint8_t*, size_t, float, float*);
using DecodeBits12 = void (*)(const uint8_t*, size_t, const float*, const float*, float*);

inline DecodeIntegers integers_decoder() {
#if FINGERPOST_X86
  if (active_path() == Path::avx512 && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl")) {
    return avx512::decode_integers;
  }
  if (active_path() != Path::portable) return avx2::decode_integers;
#endif
  return portable::decode_integers;
}

inline DecodeBits12 bits12_decoder() {
#if FINGERPOST_X86
  if (active_path() == Path::avx512 && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl")) {
    return avx512::decode_bits12;
  }
  if (active_path() != Path::portable) return avx2::decode_bits12;
#endif
  return portable::decode_bits12;
}

// Distances of one query to stored rows: squared L2, or 1 - <q, x>. For cosine of rows in 12 bits half of the squared L2
// distance to what is kept, which is the same for vectors of length one: its error shrinks with the distance, that of
// the product does not, and near rows would change places.
class StoreScorer {
 public:
  explicit StoreScorer(const StoreView& store, Metric metric)
      : store_(store), l2_(metric == Metric::l2),
        halved_(metric == Metric::cosine && store.keeping == Keeping::bits12),
        kernel_(l2_ || halved_ ? l2_squared() : dot()), kernel4_(l2_ || halved_ ? l2_squared_x4() : dot_x4()), integers_(integers_decoder()), bits12_(bits12_decoder()),
        decoded_(store.keeping == Keeping::floats ? 0 : store.dim) {}

  void set(const float* query) { query_ = query; }  // store.dim floats
  void prefetch(uint32_t id) const {
    prefetch_bytes(store_.row(id), store_.stride < 1024 ? store_.stride : 1024);
  }
  // Writes floats of a row, store.dim of them.
  void decode(uint32_t id, float* out) const {
    const uint8_t* row = store_.row(id);
    if (store_.keeping == Keeping::floats) std::memcpy(out, row, store_.dim * sizeof(float));
    if (store_.keeping == Keeping::integers) integers_(row, store_.dim, store_.low[0], out);
    if (store_.keeping == Keeping::bits12) bits12_(row, store_.dim, store_.low, store_.step, out);
  }
  void many(const uint32_t* ids, size_t count, float* out) const {
    size_t i = 0;
    if (store_.keeping == Keeping::floats) {
      for (; i + 4 <= count; i += 4) {
        const float* const rows[4] = {floats(ids[i]), floats(ids[i + 1]), floats(ids[i + 2]), floats(ids[i + 3])};
        kernel4_(query_, rows, store_.dim, out + i);
      }
      for (; i < count; ++i) out[i] = kernel_(query_, floats(ids[i]), store_.dim);
    } else {
      for (; i < count; ++i) {
        decode(ids[i], decoded_.data());
        out[i] = kernel_(query_, decoded_.data(), store_.dim);
      }
    }
    if (l2_) return;
    for (i = 0; i < count; ++i) out[i] = halved_ ? 0.5f * out[i] : 1.0f - out[i];
  }

 private:
  const float* floats(uint32_t id) const { return reinterpret_cast<const float*>(store_.row(id)); }

  StoreView store_;
  bool l2_, halved_;
  Kernel kernel_;
  Kernel4 kernel4_;
  DecodeIntegers integers_;
  DecodeBits12 bits12_;
  const float* query_ = nullptr;
  mutable Buffer<float> decoded_;
};

}  // namespace fingerpost
