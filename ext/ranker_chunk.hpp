// Masked sparse chunk multiplication: a sparse query times the columns of one parent, stored by feature.
//
// Source: Etter, Zhong, Yu, Ying, Dhillon, "Accelerating inference for sparse extreme multi-label ranking trees", WWW 2022
// (arXiv 2106.02697). Four ways to find the features that query and chunk share; all add in the order of features, so all
// give the same bits.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <vector>

#include "pages.hpp"

namespace fingerpost {
namespace rankers {

enum class Lookup : int { march = 0, binary = 1, hash = 2, dense = 3, chosen = 4 };
constexpr size_t kLookups = 4;

struct Query {
  const int32_t* features;  // ascending
  const float* values;
  size_t count;
  float scale;  // of the values
};

struct ChunkView {
  const uint32_t* features;  // ascending
  const uint32_t* start;     // rows + 1, into columns and values
  const uint8_t* narrow;     // columns of a chunk of at most 256, else null
  const uint16_t* wide;
  const float* values;
  const float* bias;
  const uint32_t* ids;  // of the children
  uint32_t rows, width;
};

struct Hit {
  uint32_t row;
  float value;
};

// 64 features: which of them the chunk has, and how many it has before them. Unaligned to stay small: lookups of a large
// model are mostly these.
struct Bits {
  uint32_t words[2];
  uint32_t before;

  uint64_t present() const {
    uint64_t bits;
    std::memcpy(&bits, words, sizeof(bits));
    return bits;
  }
  void add(uint32_t place) {
    const uint64_t bits = present() | uint64_t(1) << place;
    std::memcpy(words, &bits, sizeof(bits));
  }
};

// What the lookups of a level need, in one piece.
struct Tables {
  std::vector<Bits, LargePages<Bits>> bits;
  std::vector<uint32_t, LargePages<uint32_t>> buckets;
};

// Asks for memory ahead of its use. Without the empty statement GCC takes a function of nothing but these for one without
// effect, and drops the calls to it.
inline void prefetch(const void* memory) {
  __builtin_prefetch(memory);
  asm volatile("");
}

// How a chunk's features are found, with what that needs.
class Finder {
 public:
  // `wanted` forces a way; `chosen` takes the bitmap where the chunk has at least one of 64 features, so that the bitmap
  // takes at most 12 bytes for each of them, the hash where the chunk is large, and else leaves it to the query.
  void plan(const ChunkView& chunk, size_t features, Lookup wanted) {
    way_ = wanted;
    if (wanted == Lookup::chosen && chunk.rows >= kLargeChunk) {
      way_ = static_cast<size_t>(chunk.rows) * kSparsest >= features ? Lookup::dense : Lookup::hash;
    }
    shift_ = 0;
    while (kRowsABucket * (features >> shift_) > chunk.rows) ++shift_;
  }

  size_t bits(size_t features) const { return way_ == Lookup::dense ? features / 64 + 1 : 0; }
  size_t buckets(size_t features) const { return way_ == Lookup::hash ? (features >> shift_) + 2 : 0; }

  // Fills the tables, which have room for as many as bits() and buckets() say.
  void build(const ChunkView& chunk, size_t features, Bits* bits, uint32_t* buckets) {
    bits_ = bits;
    buckets_ = buckets;
    if (way_ == Lookup::dense) build_bits(chunk, features, bits);
    if (way_ == Lookup::hash) build_buckets(chunk, features, buckets);
  }

  // The way for a query: small chunks are searched where one side is much shorter than the other, else marched through.
  Lookup way(const ChunkView& chunk, const Query& query) const {
    if (way_ != Lookup::chosen) return way_;
    const size_t small = std::min<size_t>(chunk.rows, query.count), large = std::max<size_t>(chunk.rows, query.count);
    return large > kSearchRatio * small ? Lookup::binary : Lookup::march;
  }

  // Writes the shared features in ascending order to `hits` (room for query.count) and returns how many there are.
  size_t find(const ChunkView& chunk, const Query& query, Lookup way, Hit* hits) const {
    switch (way) {
      case Lookup::dense: return find_dense(query, hits);
      case Lookup::hash: return find_hash(chunk, query, hits);
      case Lookup::binary: return find_binary(chunk, query, hits);
      default: return find_march(chunk, query, hits);
    }
  }

  // Asks for the memory that find() will read first.
  void touch(const ChunkView& chunk, const Query& query, Lookup way) const {
    if (way == Lookup::march || way == Lookup::binary) prefetch(chunk.features);
    for (size_t i = 0; i < query.count && way == Lookup::hash; ++i) prefetch(buckets_ + bucket(query.features[i]));
    for (size_t i = 0; i < query.count && way == Lookup::dense; ++i) {
      const Bits* word = bits_ + static_cast<uint32_t>(query.features[i]) / 64;
      prefetch(word);
      prefetch(&word->before);  // of another cache line now and then
    }
  }

 private:
  static constexpr uint32_t kLargeChunk = 1024;
  static constexpr size_t kSparsest = 64, kSearchRatio = 8, kRowsABucket = 2;
  static constexpr uint32_t kCompared = 8;

  static void build_bits(const ChunkView& chunk, size_t features, Bits* bits) {
    const size_t words = features / 64 + 1;
    std::fill(bits, bits + words, Bits{});
    for (uint32_t row = 0; row < chunk.rows; ++row) {
      bits[chunk.features[row] / 64].add(chunk.features[row] % 64);
    }
    uint32_t before = 0;
    for (size_t i = 0; i < words; ++i) {
      bits[i].before = before;
      before += static_cast<uint32_t>(__builtin_popcountll(bits[i].present()));
    }
  }

  size_t bucket(uint32_t feature) const { return feature >> shift_; }

  // Bucket b begins at the first row with a feature of at least b << shift_; two to four rows a bucket where features lie
  // evenly, so that all buckets take at most half the memory of the chunk's features.
  void build_buckets(const ChunkView& chunk, size_t features, uint32_t* buckets) const {
    const size_t last = (features >> shift_) + 1;
    std::fill(buckets, buckets + last + 1, chunk.rows);
    for (uint32_t row = chunk.rows; row-- > 0;) buckets[bucket(chunk.features[row])] = row;
    for (size_t i = last; i-- > 0;) buckets[i] = std::min(buckets[i], buckets[i + 1]);
  }

  size_t find_dense(const Query& query, Hit* hits) const {
    size_t found = 0;
    for (size_t i = 0; i < query.count; ++i) {
      const uint32_t feature = static_cast<uint32_t>(query.features[i]);
      const uint64_t present = bits_[feature / 64].present();
      const uint64_t bit = uint64_t(1) << (feature % 64);
      hits[found].row = bits_[feature / 64].before + count_bits(present & (bit - 1));
      hits[found].value = query.values[i] * query.scale;
      found += (present & bit) != 0;
    }
    return found;
  }

  // Without the instruction for it, which is not to be assumed.
  static uint32_t count_bits(uint64_t word) {
    word -= (word >> 1) & 0x5555555555555555ull;
    word = (word & 0x3333333333333333ull) + ((word >> 2) & 0x3333333333333333ull);
    word = (word + (word >> 4)) & 0x0F0F0F0F0F0F0F0Full;
    return static_cast<uint32_t>((word * 0x0101010101010101ull) >> 56);
  }

  // The buckets keep the order of the features, so rows beside a bucket may be compared as well as its own: what lies
  // before is smaller, what lies behind is larger.
  size_t find_hash(const ChunkView& chunk, const Query& query, Hit* hits) const {
    if (chunk.rows < kCompared) return find_march(chunk, query, hits);
    size_t found = 0;
    for (size_t i = 0; i < query.count; ++i) {
      const uint32_t feature = static_cast<uint32_t>(query.features[i]);
      uint32_t begin = buckets_[bucket(feature)], end = buckets_[bucket(feature) + 1];
      while (end - begin > kCompared) {
        const uint32_t middle = begin + (end - begin) / 2;
        if (chunk.features[middle] <= feature) begin = middle;
        else end = middle;
      }
      begin = std::min(begin, chunk.rows - kCompared);
      const uint32_t row = begin + count_less(chunk.features + begin, feature);
      hits[found] = {row, query.values[i] * query.scale};
      found += row < chunk.rows && chunk.features[row] == feature;
    }
    return found;
  }

  static uint32_t count_less(const uint32_t* features, uint32_t feature) {
    uint32_t less = 0;
    for (uint32_t i = 0; i < kCompared; ++i) less += features[i] < feature;
    return less;
  }

  // Each side's next feature is looked for in what is left of the other side.
  static size_t find_binary(const ChunkView& chunk, const Query& query, Hit* hits) {
    size_t found = 0, i = 0;
    const uint32_t *at = chunk.features, *end = chunk.features + chunk.rows;
    const int32_t* last = query.features + query.count;
    while (i < query.count && at != end) {
      const uint32_t feature = static_cast<uint32_t>(query.features[i]);
      at = std::lower_bound(at, end, feature);
      if (at == end) break;
      if (*at == feature) {
        hits[found++] = {static_cast<uint32_t>(at - chunk.features), query.values[i] * query.scale};
        ++at;
        ++i;
      } else {
        const int32_t* next = std::lower_bound(query.features + i, last, static_cast<int32_t>(*at));
        i = static_cast<size_t>(next - query.features);
      }
    }
    return found;
  }

  static size_t find_march(const ChunkView& chunk, const Query& query, Hit* hits) {
    size_t found = 0, i = 0;
    uint32_t row = 0;
    while (i < query.count && row < chunk.rows) {
      const uint32_t left = static_cast<uint32_t>(query.features[i]), right = chunk.features[row];
      if (left == right) hits[found++] = {row, query.values[i] * query.scale};
      i += left <= right;
      row += right <= left;
    }
    return found;
  }

  Lookup way_ = Lookup::chosen;
  int shift_ = 0;
  const Bits* bits_ = nullptr;
  const uint32_t* buckets_ = nullptr;
};

// Asks for the entries of the hits; where they begin was asked for before.
template <class Column>
inline void touch_entries(const ChunkView& chunk, const Column* columns, const Hit* hits, size_t count) {
  constexpr uint32_t kLine = 64 / sizeof(float);
  for (size_t i = 0; i < count; ++i) {
    const uint32_t begin = chunk.start[hits[i].row], end = chunk.start[hits[i].row + 1];
    for (uint32_t at = begin; at < end; at += kLine) prefetch(chunk.values + at);
    prefetch(chunk.values + end - 1);
    prefetch(columns + begin);
    prefetch(columns + end - 1);
  }
}

inline void touch_entries(const ChunkView& chunk, const Hit* hits, size_t count) {
  if (chunk.narrow != nullptr) touch_entries(chunk, chunk.narrow, hits, count);
  else touch_entries(chunk, chunk.wide, hits, count);
}

template <class Column>
inline void add_hits(const ChunkView& chunk, const Column* columns, const Hit* hits, size_t count, float* out) {
  for (size_t i = 0; i < count; ++i) {
    const float value = hits[i].value;
    const uint32_t end = chunk.start[hits[i].row + 1];
    for (uint32_t at = chunk.start[hits[i].row]; at < end; ++at) out[columns[at]] += value * chunk.values[at];
  }
}

// The query's value for each column of the chunk.
inline void multiply(const ChunkView& chunk, const Hit* hits, size_t count, float* out) {
  std::copy(chunk.bias, chunk.bias + chunk.width, out);
  if (chunk.narrow != nullptr) add_hits(chunk, chunk.narrow, hits, count, out);
  else add_hits(chunk, chunk.wide, hits, count, out);
}

}  // namespace rankers
}  // namespace fingerpost
