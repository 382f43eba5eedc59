// Crowds among the candidates of a search: nodes at one distance from the query, as equal vectors and tight clusters are.
//
// A crowd that is larger than the search is wide would take all places, and leave the search no more ways on than one
// point has: what is nearer than the crowd, or as near but for little, would be found as if the search were a few nodes
// wide. So candidates in crowds do not count toward the width, up to as many again as it has; a crowd keeps no more places
// than `most`, its nearest nodes.
//
// What a crowd is follows from the distances of the search alone, so that it holds for estimates too: a run of candidates
// in which the next eighth of the width lies within 0.0015 of the widest range of distances that the candidates have had.
// The nearest ef of any set without clusters, in as many dimensions as one likes, take about an eighth of 1 / ln(ef) of
// their range for that, some fifteen to twenty times as much.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "keys.hpp"

namespace fingerpost {

class Crowds {
 public:
  // ef: the width of the search. most: the candidates of one crowd that are wanted at least. range: that of the distances
  // met before the search, such as those on higher levels: where a search begins in a crowd, all it has seen may be alike.
  void reset(size_t ef, size_t most, float range) {
    ef_ = ef;
    most_ = std::max(most, ef / 2);
    window_ = std::max(kLeast, ef / 8);
    widest_ = 0.0f;
    widen(range);
  }
  void widen(float range) { widest_ = std::max(widest_, kFar * range); }
  // The greatest number of candidates that a search of this width ever holds.
  static size_t largest(size_t ef) { return 2 * ef; }

  // Whether the neighbours of one more node might take more places than are left: only then do crowds matter. The same in
  // another way: whether this place is taken.
  static bool close(size_t size, size_t capacity) { return size + kRoom > capacity; }
  static size_t close_place(size_t capacity) { return capacity > kRoom ? capacity - kRoom : 0; }

  // Whether the candidate at place `at` among those in ascending order is in a crowd; to be asked where places are few.
  bool at(const uint64_t* keys, size_t size, size_t at) {
    if (at + window_ >= size) return false;
    widest_ = std::max(widest_, distance_of(keys[size - 1]) - distance_of(keys[0]));
    return dense(keys, at);
  }

  // Takes out what is beyond `most` in each crowd. The new number of candidates; capacity: how many may be held from now on.
  size_t thin(uint64_t* keys, size_t size, size_t* capacity) const {
    size_t to = 0, counted = 0, from = 0;
    while (from < size) {
      if (from + window_ >= size || !dense(keys, from)) {
        keys[to++] = keys[from++];
        continue;
      }
      size_t last = from;
      while (last + 1 + window_ < size && dense(keys, last + 1)) ++last;
      const size_t members = last + window_ + 1 - from, kept = std::min(members, most_);
      for (size_t i = 0; i < kept; ++i) keys[to++] = keys[from + i];
      counted += kept;
      from += members;
    }
    *capacity = std::max(*capacity, ef_ + std::min(ef_, counted + kRoom));
    return to;
  }

 private:
  static constexpr size_t kLeast = 8;
  static constexpr size_t kRoom = 32;  // places for the neighbours of the next node: a crowd arrives in such batches
  static constexpr float kShare = 1.5e-3f;
  static constexpr float kFar = 0.5f;  // of a range that is not the candidates' own

  bool dense(const uint64_t* keys, size_t at) const {
    return distance_of(keys[at + window_]) - distance_of(keys[at]) < kShare * widest_;
  }

  size_t ef_ = 0, most_ = 0, window_ = kLeast;
  float widest_ = 0.0f;
};

}  // namespace fingerpost
