// Masked sparse chunk multiplication: a sparse query times the columns of one parent, stored by feature.
//
// Source: Etter, Zhong, Yu, Ying, Dhillon, "Accelerating inference for sparse extreme multi-label ranking trees", WWW 2022
// (arXiv 2106.02697). Four ways to find the features that query and chunk share; all add in the order of features, so all
// give the same bits.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <vector>

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

// 64 features: which of them the chunk has, and how many it has before them.
struct Bits {
  uint64_t present;
  uint64_t before;
};

struct Slot {
  uint32_t feature, row;
};

// How a chunk's features are found, with what that needs.
class Finder {
 public:
  // `wanted` forces a way; `chosen` takes the bitmap where the chunk has at least one of 64 features, so that the bitmap
  // is not larger than what a table of hashes takes, the hash where the chunk is large, and else leaves it to the query.
  void build(const ChunkView& chunk, size_t features, Lookup wanted) {
    way_ = wanted;
    if (wanted == Lookup::chosen && chunk.rows >= kLargeChunk) {
      way_ = static_cast<size_t>(chunk.rows) * kSparsest >= features ? Lookup::dense : Lookup::hash;
    }
    if (way_ == Lookup::dense) build_bits(chunk, features);
    if (way_ == Lookup::hash) build_slots(chunk);
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
      case Lookup::hash: return find_hash(query, hits);
      case Lookup::binary: return find_binary(chunk, query, hits);
      default: return find_march(chunk, query, hits);
    }
  }

  size_t bytes() const { return bits_.size() * sizeof(Bits) + slots_.size() * sizeof(Slot); }

 private:
  static constexpr uint32_t kLargeChunk = 1024, kEmpty = 0xFFFFFFFFu;
  static constexpr size_t kSparsest = 64, kSearchRatio = 8;

  void build_bits(const ChunkView& chunk, size_t features) {
    bits_.assign(features / 64 + 1, Bits{0, 0});
    for (uint32_t row = 0; row < chunk.rows; ++row) {
      bits_[chunk.features[row] / 64].present |= uint64_t(1) << (chunk.features[row] % 64);
    }
    uint64_t before = 0;
    for (Bits& word : bits_) {
      word.before = before;
      before += static_cast<uint64_t>(__builtin_popcountll(word.present));
    }
  }

  void build_slots(const ChunkView& chunk) {
    size_t size = 2;
    shift_ = 31;
    while (size < 2 * static_cast<size_t>(chunk.rows)) {
      size *= 2;
      --shift_;
    }
    slots_.assign(size, Slot{kEmpty, 0});
    for (uint32_t row = 0; row < chunk.rows; ++row) {
      size_t at = place(chunk.features[row]);
      while (slots_[at].feature != kEmpty) at = (at + 1) & (size - 1);
      slots_[at] = {chunk.features[row], row};
    }
  }

  size_t place(uint32_t feature) const { return (feature * 0x9E3779B1u) >> shift_; }

  size_t find_dense(const Query& query, Hit* hits) const {
    size_t found = 0;
    for (size_t i = 0; i < query.count; ++i) {
      const uint32_t feature = static_cast<uint32_t>(query.features[i]);
      const Bits word = bits_[feature / 64];
      const uint64_t bit = uint64_t(1) << (feature % 64);
      hits[found].row = static_cast<uint32_t>(word.before) + count_bits(word.present & (bit - 1));
      hits[found].value = query.values[i] * query.scale;
      found += (word.present & bit) != 0;
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

  size_t find_hash(const Query& query, Hit* hits) const {
    size_t found = 0;
    const size_t mask = slots_.size() - 1;
    for (size_t i = 0; i < query.count; ++i) {
      const uint32_t feature = static_cast<uint32_t>(query.features[i]);
      for (size_t at = place(feature); slots_[at].feature != kEmpty; at = (at + 1) & mask) {
        if (slots_[at].feature == feature) {
          hits[found++] = {slots_[at].row, query.values[i] * query.scale};
          break;
        }
      }
    }
    return found;
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
  int shift_ = 31;
  std::vector<Bits> bits_;
  std::vector<Slot> slots_;
};

template <class Column>
inline void add_hits(const ChunkView& chunk, const Column* columns, const Hit* hits, size_t count, float* out) {
  for (size_t i = 0; i < count; ++i) {
    if (i + 4 < count) {
      const uint32_t ahead = chunk.start[hits[i + 4].row];
      __builtin_prefetch(columns + ahead);
      __builtin_prefetch(chunk.values + ahead);
    }
    const float value = hits[i].value;
    const uint32_t end = chunk.start[hits[i].row + 1];
    for (uint32_t at = chunk.start[hits[i].row]; at < end; ++at) out[columns[at]] += value * chunk.values[at];
  }
}

// The query's value for each column of the chunk.
inline void multiply(const ChunkView& chunk, const Hit* hits, size_t count, float* out) {
  std::copy(chunk.bias, chunk.bias + chunk.width, out);
  for (size_t i = 0; i < count; ++i) __builtin_prefetch(chunk.start + hits[i].row);
  if (chunk.narrow != nullptr) add_hits(chunk, chunk.narrow, hits, count, out);
  else add_hits(chunk, chunk.wide, hits, count, out);
}

}  // namespace rankers
}  // namespace fingerpost
