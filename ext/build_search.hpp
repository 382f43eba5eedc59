// Best-first search of the graph in the making for a row of its own vectors.
#pragma once

#include "build_rows.hpp"
#include "graph.hpp"

namespace fingerpost {

// The visited nodes, one bit each; cleared by what was touched. Nodes are told apart without a branch, as whether a
// neighbour was seen before is a coin toss.
class Seen {
 public:
  void reset(size_t n) {
    if (bits_.size() < (n + 63) / 64) bits_.assign((n + 63) / 64, 0);
    for (size_t i = 0; i < count_; ++i) bits_[touched_[i] >> 6] = 0;
    count_ = 0;
  }
  void set(uint32_t id) { insert(&id, 1); }
  // Marks `count` nodes and returns those that were not marked before, in order.
  const uint32_t* insert(const uint32_t* ids, size_t count, size_t* fresh) {
    if (touched_.size() < count_ + count) touched_.resize(2 * (count_ + count));
    uint32_t* to = touched_.data() + count_;
    size_t kept = 0;
    for (size_t i = 0; i < count; ++i) {
      const uint32_t id = ids[i];
      uint64_t& word = bits_[id >> 6];
      to[kept] = id;
      kept += !(word >> (id & 63) & 1u);
      word |= uint64_t{1} << (id & 63);
    }
    count_ += kept;
    *fresh = kept;
    return to;
  }
  void insert(const uint32_t* ids, size_t count) {
    size_t fresh;
    insert(ids, count, &fresh);
  }

 private:
  std::vector<uint64_t> bits_;
  std::vector<uint32_t> touched_;
  size_t count_ = 0;
};

// The place of every node in a list of candidates: an open hash table.
class Places {
 public:
  void fill(const std::vector<uint64_t>& keys) {
    size_t size = 64;
    while (size < 4 * keys.size()) size *= 2;
    mask_ = static_cast<uint32_t>(size - 1);
    cells_.assign(size, {kNone, 0});
    for (size_t i = 0; i < keys.size(); ++i) {
      uint32_t at = hash(id_of(keys[i]));
      while (cells_[at].id != kNone) at = (at + 1) & mask_;
      cells_[at] = {id_of(keys[i]), static_cast<uint32_t>(i)};
    }
  }
  uint32_t find(uint32_t id) const {
    uint32_t at = hash(id);
    while (cells_[at].id != kNone && cells_[at].id != id) at = (at + 1) & mask_;
    return cells_[at].id == id ? cells_[at].place : kNone;
  }

 private:
  struct Cell {
    uint32_t id, place;
  };
  uint32_t hash(uint32_t id) const { return (id * 0x9E3779B1u >> 12) & mask_; }
  std::vector<Cell> cells_;
  uint32_t mask_ = 0;
};

struct BuildScratch {
  Seen seen;
  Pool pool;
  std::vector<float> distances;
  float* room(size_t count) {
    if (distances.size() < count) distances.resize(count);
    return distances.data();
  }
};

// Best-first search on one level from one entry; the result is scratch.pool, nearest first.
inline void search_level(const GraphView& view, const BuildRows& rows, uint32_t of, Entry entry, int level, size_t ef,
                         BuildScratch& scratch, Counters& counters) {
  scratch.seen.reset(view.n);
  scratch.pool.reset(ef, 0, entry.range());
  scratch.seen.set(entry.id);
  scratch.pool.insert(entry.distance, entry.id);
  uint32_t id;
  float at;
  while (scratch.pool.next(&id, &at)) {
    const uint32_t* record = view.links(id, level);
    const size_t degree = record[0];
    size_t count;
    const uint32_t* fresh = scratch.seen.insert(record + 1, degree, &count);
    for (size_t i = 0; i < count; ++i) rows.prefetch_row(fresh[i]);
    ++counters.expansions;
    counters.distances += count;
    const uint32_t following = scratch.pool.peek();
    if (following != kNone) prefetch_bytes(view.links(following, level), 192);
    float* distances = scratch.room(count);
    rows.many(of, fresh, count, distances);
    float bound = scratch.pool.bound();
    for (size_t i = 0; i < count; ++i) {
      if (distances[i] <= bound && scratch.pool.insert(distances[i], fresh[i])) bound = scratch.pool.bound();
    }
  }
}

// Walks from `best` to the nearest neighbour until none is nearer, on one upper level.
inline Entry step_down(const GraphView& view, const BuildRows& rows, uint32_t of, Entry best, int level,
                       BuildScratch& scratch, Counters& counters) {
  for (bool moved = true; moved;) {
    moved = false;
    const uint32_t* record = view.links(best.id, level);
    const size_t degree = record[0];
    float* distances = scratch.room(degree);
    ++counters.expansions;
    counters.distances += degree;
    for (size_t i = 0; i < degree; ++i) rows.prefetch_row(record[1 + i]);
    rows.many(of, record + 1, degree, distances);
    for (size_t i = 0; i < degree; ++i) {
      best.pass(distances[i]);
      if (pack(distances[i], record[1 + i]) < pack(best.distance, best.id)) {
        best.move(record[1 + i], distances[i]);
        moved = true;
      }
    }
  }
  return best;
}

// The entry point, then greedy descent through the levels above `down_to`.
inline Entry descend(const GraphView& view, const BuildRows& rows, uint32_t of, BuildScratch& scratch,
                     Counters& counters, int down_to) {
  Entry best{view.entries[0], rows.one(of, view.entries[0])};
  ++counters.distances;
  for (int level = view.top_level; level > down_to; --level) {
    best = step_down(view, rows, of, best, level, scratch, counters);
  }
  return best;
}

}  // namespace fingerpost
