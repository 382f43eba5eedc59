// The nearest candidates of a search in ascending order: results and frontier at once, as Pool of graph.hpp, with whole
// batches taken in. The same on every path.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <limits>

#include "graph.hpp"
#include "simd.hpp"

namespace fingerpost {

class Candidates {
 public:
  static constexpr uint64_t kEmpty = ~uint64_t{0};

  // most: the nodes of one crowd that are wanted at least. range: see Crowds.
  void reset(size_t capacity, size_t most, float range) {
    capacity_ = width_ = capacity;
    blocks_ = blocks_of(capacity);
    const size_t largest = blocks_of(Crowds::largest(capacity));
    if (keys_.size() < 8 * largest) keys_ = Buffer<uint64_t>(16 * largest);
    std::memset(static_cast<void*>(keys_.data()), 0xFF, 8 * blocks_ * sizeof(uint64_t));
    crowds_.reset(capacity, most, range);
    cursor_ = 0;
  }
  // The worst distance in a full pool; infinite while it is not full.
  float bound() const {
    const uint64_t worst = keys_[capacity_ - 1];
    return worst == kEmpty ? std::numeric_limits<float>::infinity() : distance_of(worst);
  }
  size_t size() const {
    if (keys_[capacity_ - 1] != kEmpty) return capacity_;
    const uint64_t* end = keys_.data() + capacity_;
    return static_cast<size_t>(std::lower_bound(keys_.data(), end, kEmpty) - keys_.data());
  }
  uint32_t id(size_t i) const { return id_of(keys_[i]); }
  float distance(size_t i) const { return distance_of(keys_[i]); }
  bool worse(uint64_t key) const { return key > keys_[capacity_ - 1]; }
  // Whether a key would be the next to be expanded.
  bool ahead(uint64_t key) const { return key < keys_[cursor_]; }
  // Takes the nearest node that was not expanded and marks it; kNone where there is none.
  uint32_t next() {
    if (!advance()) return kNone;
    if (keys_[Crowds::close_place(capacity_)] != kEmpty && crowds_.at(keys_.data(), size(), cursor_)) {
      make_room();
      if (!advance()) return kNone;
    }
    const uint32_t id = id_of(keys_[cursor_]);
    keys_[cursor_++] |= 1u;
    return id;
  }
  // The node that next() would give, without taking it; kNone where there is none.
  uint32_t peek() const {
    size_t at = cursor_;
    while (at < capacity_ && (keys_[at] & 1u)) ++at;
    return at < capacity_ ? id_of(keys_[at]) : kNone;
  }
  // Keys in whole blocks of eight, for what puts them in and then calls placed().
  uint64_t* keys() { return keys_.data(); }
  size_t blocks() const { return blocks_; }
  size_t cursor() const { return cursor_; }
  // Places beyond the width, which crowds have made.
  size_t extra() const { return capacity_ - width_; }
  void placed(size_t at) {
    keys_[capacity_] = kEmpty;
    if (at < cursor_) cursor_ = at;
  }

 private:
  // An empty key counts as expanded, so that next() passes it.
  static_assert((kEmpty & 1u) == 1u, "empty places are no candidates");
  // One place more than needed, where what is pushed out lands, in blocks of eight keys.
  static size_t blocks_of(size_t capacity) { return capacity / 8 + 1; }
  bool advance() {
    while (cursor_ < capacity_ && (keys_[cursor_] & 1u)) ++cursor_;
    return cursor_ < capacity_;
  }
  void make_room() {
    const size_t held = crowds_.thin(keys_.data(), size(), &capacity_);
    blocks_ = blocks_of(capacity_);
    std::fill(keys_.data() + held, keys_.data() + 8 * blocks_, kEmpty);
    cursor_ = 0;
  }

  Buffer<uint64_t> keys_;
  size_t capacity_ = 0, width_ = 0, blocks_ = 0, cursor_ = 0;
  Crowds crowds_;
};

// Takes a batch of nodes in; those that are now first in line have their lists fetched.
struct Arrivals {
  const float* distances;
  const uint32_t* ids;
  size_t count;
  const uint32_t* links;
  size_t stride;

  void announce(uint32_t id) const { prefetch_bytes(links + static_cast<size_t>(id) * stride, stride * 4); }
};
using TakeIn = void (*)(Candidates&, const Arrivals&);

namespace portable {

// Moves the keys behind the place of `key` by one and writes it there; returns the place.
inline size_t place(uint64_t* keys, size_t blocks, uint64_t key) {
  size_t at = 8 * blocks - 1;
  for (; at > 0 && keys[at - 1] > key; --at) keys[at] = keys[at - 1];
  keys[at] = key;
  return at;
}

inline void take_in(Candidates& pool, const Arrivals& new_ones) {
  for (size_t i = 0; i < new_ones.count; ++i) {
    if (!(new_ones.distances[i] <= pool.bound())) continue;
    const uint64_t key = pack(new_ones.distances[i], new_ones.ids[i]);
    if (pool.worse(key)) continue;
    if (pool.ahead(key)) new_ones.announce(new_ones.ids[i]);
    pool.placed(place(pool.keys(), pool.blocks(), key));
  }
}

}  // namespace portable

#if FINGERPOST_X86
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wuninitialized"
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#endif
namespace avx512 {
#define FINGERPOST_POOL __attribute__((target("avx512f,avx512dq,avx2,popcnt,bmi,bmi2")))

// Every key at or above the new one becomes the greater of that and its left neighbour; no branch depends on the keys,
// which nothing foresees. A key that is worse than all changes what lies beyond the capacity alone.
FINGERPOST_POOL inline void place(uint64_t* keys, size_t blocks, uint64_t key) {
  // Wide searches leave out what lies before the key, sixteen blocks at a time.
  size_t first = (blocks - 1) / 16 * 16;
  while (first > 0 && keys[8 * first - 1] > key) first -= 16;
  const __m512i wanted = _mm512_set1_epi64(static_cast<long long>(key));
  __m512i here = _mm512_load_si512(keys + 8 * (blocks - 1));
  for (size_t block = blocks - 1; block > first; --block) {
    const __m512i before = _mm512_load_si512(keys + 8 * block - 8);
    const __mmask8 from = _mm512_cmpge_epu64_mask(here, wanted);
    const __m512i left = _mm512_alignr_epi64(here, before, 7);
    _mm512_store_si512(keys + 8 * block, _mm512_mask_max_epu64(here, from, left, wanted));
    here = before;
  }
  const __m512i before = first > 0 ? _mm512_load_si512(keys + 8 * first - 8) : _mm512_setzero_si512();
  const __m512i left = _mm512_alignr_epi64(here, before, 7);
  const __mmask8 from = _mm512_cmpge_epu64_mask(here, wanted);
  _mm512_store_si512(keys + 8 * first, _mm512_mask_max_epu64(here, from, left, wanted));
}

// The number of keys below `key` among the blocks up to that of `last`.
FINGERPOST_POOL inline size_t count_below(const uint64_t* keys, size_t last, uint64_t key) {
  const __m512i wanted = _mm512_set1_epi64(static_cast<long long>(key));
  size_t at = 0;
  for (size_t i = 0; i <= last; i += 8) {
    at += static_cast<size_t>(__builtin_popcount(_mm512_cmplt_epu64_mask(_mm512_load_si512(keys + i), wanted)));
  }
  return at;
}

FINGERPOST_POOL inline void take_in(Candidates& pool, const Arrivals& new_ones) {
  for (size_t i = 0; i < new_ones.count; i += 16) {
    const size_t left = new_ones.count - i;
    const __mmask16 valid = static_cast<__mmask16>(left >= 16 ? 0xFFFFu : (1u << left) - 1u);
    const __m512 distances = _mm512_maskz_loadu_ps(valid, new_ones.distances + i);
    unsigned near = _mm512_mask_cmp_ps_mask(valid, distances, _mm512_set1_ps(pool.bound()), _CMP_LE_OQ);
    for (; near != 0; near &= near - 1) {
      const size_t j = i + static_cast<size_t>(__builtin_ctz(near));
      const uint64_t key = pack(new_ones.distances[j], new_ones.ids[j]);
      size_t at = pool.cursor();
      if (pool.ahead(key)) {
        new_ones.announce(new_ones.ids[j]);
        at = count_below(pool.keys(), at, key);
      }
      place(pool.keys(), pool.blocks(), key);
      pool.placed(at);
    }
  }
}

#undef FINGERPOST_POOL
}  // namespace avx512
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic pop
#endif
#endif  // FINGERPOST_X86

inline TakeIn take_in_kernel() {
#if FINGERPOST_X86
  if (active_path() == Path::avx512) return avx512::take_in;
#endif
  return portable::take_in;
}

}  // namespace fingerpost
