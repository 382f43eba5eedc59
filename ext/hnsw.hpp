// Building an HNSW graph in batches, so that the result does not depend on the number of threads.
//
// Malkov and Yashunin, HNSW (arXiv 1603.09320): algorithm 1 (insertion), algorithm 4 (neighbour selection, without
// keeping pruned candidates). Deviation: the nodes of one batch search the graph as it was before the batch, and see
// their batch mates of smaller number by exact distance; then lists are updated target by target, in a fixed order.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <vector>

#include "build_rows.hpp"
#include "build_search.hpp"
#include "graph.hpp"
#include "parallel.hpp"

namespace fingerpost {

// Searches `count` queries; rows of k ids and distances, padded with kNone and infinity. Returns the first query that
// has no direction under cosine, or `count`.
inline size_t search_many(const GraphStore& store, const float* queries, size_t count, size_t k, size_t ef, int threads,
                          uint32_t* ids, float* distances, Counters* total) {
  const GraphView view = store.view();
  const Distance distance(view);
  const size_t workers = threads < 1 ? 1 : static_cast<size_t>(threads);
  std::vector<Scratch> scratch(workers);
  std::vector<Counters> counters(workers);
  std::vector<Query> query;
  for (size_t t = 0; t < workers; ++t) query.emplace_back(store.dim());
  std::vector<size_t> bad(workers, count);
  parallel_for(0, count, threads, [&](size_t i, int thread) {
    Scratch& mine = scratch[thread];
    if (!query[thread].set(queries + i * store.dim(), store.metric())) {
      bad[thread] = std::min(bad[thread], i);
      return;
    }
    const float* values = query[thread].data();
    const Entry entry = greedy_upper(view, distance, values, mine, counters[thread]);
    search_level0(view, distance, values, entry, std::max(ef, k), k, mine, counters[thread]);
    for (size_t j = 0; j < k; ++j) {
      const bool found = j < mine.pool.size();
      ids[i * k + j] = found ? mine.pool.id(j) : kNone;
      distances[i * k + j] = found ? mine.pool.distance(j) : std::numeric_limits<float>::infinity();
    }
  }, 8);
  for (const Counters& each : counters) *total += each;
  return *std::min_element(bad.begin(), bad.end());
}

// The level of a node: floor(-ln U / ln M), U from a hash of seed and row alone (splitmix64), at most 31.
inline int draw_level(uint64_t seed, uint64_t row, int max_neighbors) {
  uint64_t z = seed * 0x9E3779B97F4A7C15ull + (row + 1) * 0xD1B54A32D192ED03ull;
  for (int round = 0; round < 2; ++round) {
    z += 0x9E3779B97F4A7C15ull;
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9ull;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBull;
    z ^= z >> 31;
  }
  const double uniform = (static_cast<double>(z >> 11) + 1.0) * (1.0 / 9007199254740992.0);  // (0, 1]
  return std::min(31, static_cast<int>(std::floor(-std::log(uniform) / std::log(static_cast<double>(max_neighbors)))));
}

class HnswBuilder {
 public:
  // Rows of a batch. Small enough that searching the older graph loses nothing measurable, large enough to share out.
  static constexpr size_t kBatch = 128;

  // vectors: must outlive the builder. levels: of the nodes, or null where they are drawn.
  HnswBuilder(const float* vectors, size_t n, size_t dim, Metric metric, int max_neighbors, int ef_construction,
              uint64_t seed, int threads = 1, const uint8_t* levels = nullptr)
      : n_(n), m_(static_cast<size_t>(max_neighbors)), ef_(static_cast<size_t>(ef_construction)),
        rows_(vectors, n, dim, metric), level_(n), slot_(n), level0_(n * (1 + 2 * m_)), near0_(n * 2 * m_),
        crowd_(n, kNoCrowd) {
    rows_.make(threads);
    uint32_t records = 0;
    for (size_t i = 0; i < n; ++i) {
      level_[i] = levels ? levels[i] : static_cast<uint8_t>(draw_level(seed, i, max_neighbors));
      slot_[i] = level_[i] ? records : kNone;
      records += level_[i];
    }
    upper_ = Buffer<uint32_t>(records * (1 + m_));
    near_upper_ = Buffer<float>(records * m_);
    view_.n = n;
    view_.stride0 = 1 + 2 * m_;
    view_.level0 = level0_.data();
    view_.stride1 = 1 + m_;
    view_.upper = upper_.data();
    view_.upper_slot = slot_.data();
    view_.entries = &entry_;
  }

  size_t n() const { return n_; }
  size_t inserted() const { return inserted_; }
  uint32_t bad_row() const { return rows_.bad_row(); }
  uint32_t entry() const { return entry_; }
  int level(size_t node) const { return level_[node]; }
  const Counters& counters() const { return counters_; }
  uint64_t repaired() const { return repaired_; }
  RowForm form() const { return rows_.form(); }
  // Degree, then ids; nodes that are not inserted have degree 0.
  const uint32_t* links(uint32_t node, int level) const { return view_.links(node, level); }
  size_t cap(int level) const { return level == 0 ? 2 * m_ : m_; }

  // Inserts whole batches until at least `target` rows (or all) are in.
  void insert_until(size_t target, int threads) {
    target = std::min(target, n_);
    const size_t workers = threads < 1 ? 1 : static_cast<size_t>(threads);
    if (work_.size() < workers) work_.resize(workers);
    while (inserted_ < target) insert_batch(inserted_, std::min(n_, inserted_ + kBatch), threads);
  }

  // Sets the lists of `count` nodes on a level, for a builder restored from its state: those of node nodes[i] are
  // ids[indptr[i]] to ids[indptr[i + 1] - 1], at most as many as cap(level). Distances are computed again, to the same bits.
  void restore_level(int level, const uint32_t* nodes, size_t count, const int64_t* indptr, const uint32_t* ids,
                     int threads) {
    constexpr size_t kBlock = 256;
    const auto fetch = [&](size_t i) {
      for (int64_t j = indptr[i]; j < indptr[i + 1]; ++j) rows_.prefetch_row(ids[j]);
    };
    parallel_for(0, (count + kBlock - 1) / kBlock, threads, [&](size_t block, int) {
      const size_t to = std::min(count, (block + 1) * kBlock);
      fetch(block * kBlock);
      for (size_t i = block * kBlock; i < to; ++i) {
        if (i + 1 < to) fetch(i + 1);
        const size_t degree = static_cast<size_t>(indptr[i + 1] - indptr[i]);
        uint32_t* record = mutable_links(nodes[i], level);
        record[0] = static_cast<uint32_t>(degree);
        std::copy(ids + indptr[i], ids + indptr[i + 1], record + 1);
        rows_.many(nodes[i], record + 1, degree, mutable_near(nodes[i], level));
      }
    });
  }
  void restore_end(size_t inserted, uint64_t distances, uint64_t expansions) {
    counters_.distances = distances;
    counters_.expansions = expansions;
    for (size_t v = 0; v < inserted; ++v) raise(static_cast<uint32_t>(v));
    inserted_ = inserted;
    note_crowds();
  }

  // Gives every node that no path from the entry point reaches on level 0 an edge from a near node that has one: with
  // room to spare if there is one, and not twice the same, so that hubs keep their lists and stay cheap to expand.
  void connect() {
    if (inserted_ == 0) return;
    std::vector<uint32_t> parent(n_, kNone), queue;
    std::vector<bool> host(n_, false);
    parent[entry_] = entry_;
    spread(entry_, parent, queue);
    BuildScratch scratch;
    uint32_t last = kNone;
    size_t scan = 0;
    for (uint32_t u = 0; u < inserted_; ++u) {
      if (parent[u] != kNone || gone(u)) continue;
      // A crowd of equal vectors becomes a chain without a search for each.
      bool done = last != kNone && rows_.twins(last, u) && room(last) && attach(last, u, parent);
      if (!done) {
        // From the entry point on level 0 only: every node found is then reachable.
        search_level(view_, rows_, u, {entry_, rows_.one(u, entry_)}, 0, ef_, scratch, counters_);
        for (int pass = 0; pass < 3 && !done; ++pass) {
          for (size_t i = 0; i < scratch.pool.size() && !done; ++i) {
            const uint32_t near = scratch.pool.id(i);
            if ((pass < 1 && host[near]) || (pass < 2 && !room(near))) continue;
            done = attach(near, u, parent);
            host[near] = done;
          }
        }
      }
      for (size_t tried = 0; tried < inserted_ && !done; ++tried, scan = (scan + 1) % inserted_) {
        done = parent[scan] != kNone && attach(static_cast<uint32_t>(scan), u, parent);
      }
      ++repaired_;
      last = u;
      spread(u, parent, queue);
    }
  }

 protected:
  friend class HnswMerge;
  // A distance is small beside another where it is less than this part of it: squares and cosine distances, so about a
  // thirtieth of the way.
  static constexpr float kTight = 1e-3f;
  static constexpr float kNoCrowd = std::numeric_limits<float>::infinity();

  struct Edge {
    uint32_t target, source;
    float distance;
    int level;
  };
  struct Work {
    BuildScratch scratch;
    Counters counters;
    std::vector<uint64_t> mates, keys, kept;
    std::vector<uint8_t> out;
    Places places;
    std::vector<uint32_t> ids;
    std::vector<float> distances, reach;
  };

  uint32_t* mutable_links(uint32_t node, int level) { return const_cast<uint32_t*>(view_.links(node, level)); }
  float* mutable_near(uint32_t node, int level) {
    if (level == 0) return near0_.data() + static_cast<size_t>(node) * 2 * m_;
    return near_upper_.data() + (static_cast<size_t>(slot_[node]) + static_cast<size_t>(level) - 1) * m_;
  }
  void write(uint32_t node, int level, const std::vector<uint64_t>& keys) {
    uint32_t* record = mutable_links(node, level);
    float* near = mutable_near(node, level);
    record[0] = static_cast<uint32_t>(keys.size());
    for (size_t i = 0; i < keys.size(); ++i) {
      record[1 + i] = id_of(keys[i]);
      near[i] = distance_of(keys[i]);
    }
  }

  // Algorithm 4: of candidates in ascending order keeps one only if it is nearer to the node than to all kept.
  // Deviations: equal vectors take at most half of a list, or a crowd of them would know nothing but itself, and no
  // search that meets it would come out again. And one of a crowd that the node is not in stands in for its crowd alone:
  // all of the crowd know no more neighbours than one node, so that where it lies between many others, as at the mean of
  // them, these would be reached through it or not at all.
  // The lists of the first `settled` nodes to be inserted tell some distances; no other thread may be writing them.
  void select(uint32_t node, const std::vector<uint64_t>& keys, size_t cap, int level, size_t settled, Work& work) {
    size_t twins_left = cap / 2;
    std::vector<uint64_t>& kept = work.kept;
    kept.clear();
    work.ids.clear();
    work.reach.clear();
    work.out.assign(keys.size(), 0);
    if (settled > 0) work.places.fill(keys);
    float near[4];
    for (size_t c = 0; c < keys.size() && kept.size() < cap; ++c) {
      if (work.out[c]) continue;
      const uint64_t key = keys[c];
      const uint32_t id = id_of(key);
      const float limit = distance_of(key);
      bool good = true;
      for (size_t i = 0; i < work.ids.size() && good; i += 4) {
        const size_t count = std::min<size_t>(4, work.ids.size() - i);
        rows_.many(id, work.ids.data() + i, count, near);
        work.counters.distances += count;
        for (size_t j = 0; j < count; ++j) good = good && !(near[j] < work.reach[i + j] * limit);
      }
      if (good && rows_.twins(id, node)) {
        good = twins_left > 0;
        if (good) --twins_left;
      }
      if (!good) continue;
      const bool alone = crowd_[id] < kTight * limit;
      kept.push_back(key);
      work.ids.push_back(id);
      work.reach.push_back(alone ? kTight : 1.0f);
      if (place(id) < settled && !alone) strike(id, level, keys, c, work);
    }
  }

  // Turns every run of equal vectors, by the node's number: of a crowd of them a node keeps the first, and if that were the
  // same for all, it alone would know a few of the others, and the rest of the crowd none.
  void turn_equal(uint32_t node, std::vector<uint64_t>& keys) const {
    const size_t crowd = std::max<size_t>(2, m_ / 4);
    for (size_t from = 0, to; from < keys.size(); from = to) {
      to = from + 1;
      while (to < keys.size() && keys[to] >> 32 == keys[from] >> 32) ++to;
      if (to - from < crowd || !rows_.twins(id_of(keys[from]), id_of(keys[to - 1]))) continue;
      const auto begin = keys.begin() + static_cast<std::ptrdiff_t>(from);
      std::rotate(begin, begin + static_cast<std::ptrdiff_t>(node % (to - from)), begin + static_cast<std::ptrdiff_t>(to - from));
    }
  }

  // Strikes out the candidates after place `c` that are nearer to the kept `id` than to the node, as far as the edges
  // of `id` tell: their distances are known.
  void strike(uint32_t id, int level, const std::vector<uint64_t>& keys, size_t c, Work& work) {
    const uint32_t* record = view_.links(id, level);
    const float* near = mutable_near(id, level);
    for (size_t i = 0; i < record[0]; ++i) {
      const uint32_t place = work.places.find(record[1 + i]);
      if (place != kNone && place > c && near[i] < distance_of(keys[place])) work.out[place] = 1;
    }
  }

  // The node that is inserted at a place, and its inverse.
  uint32_t node_at(size_t place) const { return order_.empty() ? static_cast<uint32_t>(place) : order_[place]; }
  uint32_t place(uint32_t node) const { return order_.empty() ? node : place_[node]; }

  // Finds the neighbours of the node at place `at` of the batch that begins at place `begin`.
  void find_neighbours(size_t at, size_t begin, Work& work) {
    BuildScratch& scratch = work.scratch;
    const uint32_t v = node_at(at);
    const size_t mates = at - begin;
    work.ids.resize(mates);
    work.distances.resize(mates);
    for (size_t i = 0; i < mates; ++i) work.ids[i] = node_at(begin + i);
    rows_.many(v, work.ids.data(), mates, work.distances.data());
    work.counters.distances += mates;
    work.mates.clear();
    for (size_t i = 0; i < mates; ++i) work.mates.push_back(pack(work.distances[i], work.ids[i]));
    std::sort(work.mates.begin(), work.mates.end());

    Entry entry;
    const int top = begin > 0 ? view_.top_level : -1;
    if (top >= 0) {
      const bool known = !starts_.empty() && level_[v] == 0;
      entry = known ? starts_[v] : descend(view_, rows_, v, scratch, work.counters, std::min<int>(top, level_[v]));
    }
    for (int level = level_[v]; level >= 0; --level) {
      work.keys.clear();
      size_t width = ef_;
      if (level <= top) {
        search_level(view_, rows_, v, entry, level, ef_, scratch, work.counters);
        entry.move(scratch.pool.id(0), scratch.pool.distance(0));
        width += scratch.pool.extra();
        for (size_t i = 0; i < scratch.pool.size(); ++i) {
          work.keys.push_back(pack(scratch.pool.distance(i), scratch.pool.id(i)));
        }
      }
      const size_t middle = work.keys.size();
      for (const uint64_t key : work.mates) {
        if (level_[id_of(key)] >= level) work.keys.push_back(key);
      }
      std::inplace_merge(work.keys.begin(), work.keys.begin() + static_cast<std::ptrdiff_t>(middle), work.keys.end());
      if (work.keys.size() > width) work.keys.resize(width);
      turn_equal(v, work.keys);
      select(v, work.keys, m_, level, level <= top ? begin : 0, work);
      write(v, level, work.kept);
    }
  }

  // Adds the reverse edges [from, to), all of one target and level, one after the other in ascending order of their
  // source, as single insertions would: pruning only once for all would leave a hub with few neighbours.
  void update(const Edge* from, const Edge* to, Work& work) {
    const uint32_t target = from->target;
    const int level = from->level;
    uint32_t* record = mutable_links(target, level);
    float* near = mutable_near(target, level);
    for (const Edge* edge = from; edge < to; ++edge) {
      const size_t degree = record[0];
      if (degree < cap(level)) {
        record[1 + degree] = edge->source;
        near[degree] = edge->distance;
        ++record[0];
        continue;
      }
      work.keys.clear();
      for (size_t i = 0; i < degree; ++i) work.keys.push_back(pack(near[i], record[1 + i]));
      work.keys.push_back(pack(edge->distance, edge->source));
      std::sort(work.keys.begin(), work.keys.end());
      select(target, work.keys, cap(level), level, 0, work);
      write(target, level, work.kept);
    }
  }

  void raise(uint32_t v) {
    if (view_.entry_count == 0 || level_[v] > view_.top_level) {
      entry_ = v;
      view_.entry_count = 1;
      view_.top_level = level_[v];
    }
  }

  // Notes within which distance an eighth of a full list lies, by its first: the nearest, but for what was added since the
  // list was last chosen. To be done whenever lists have changed, by one thread. Inner products are no distances, and tell
  // nothing of the kind.
  void note_crowd(uint32_t node) {
    const size_t mates = std::max<size_t>(2, cap(0) / 8);
    if (view_.links0(node)[0] < mates || rows_.metric() == Metric::ip) {
      crowd_[node] = kNoCrowd;
    } else {
      const float* near = mutable_near(node, 0);
      crowd_[node] = *std::max_element(near, near + mates);
    }
  }
  void note_crowds() {
    for (uint32_t v = 0; v < inserted_; ++v) note_crowd(v);
  }

  // Adds edges_, reversed, to the lists of their targets.
  void add_reverse(int threads) {
    std::sort(edges_.begin(), edges_.end(), [](const Edge& a, const Edge& b) {
      if (a.level != b.level) return a.level < b.level;
      return a.target != b.target ? a.target < b.target : a.source < b.source;
    });
    groups_.clear();
    for (size_t i = 0; i < edges_.size(); ++i) {
      if (i == 0 || edges_[i].target != edges_[i - 1].target || edges_[i].level != edges_[i - 1].level) {
        groups_.push_back(i);
      }
    }
    groups_.push_back(edges_.size());
    parallel_for(0, groups_.size() - 1, threads, [&](size_t g, int thread) {
      update(edges_.data() + groups_[g], edges_.data() + groups_[g + 1], work_[static_cast<size_t>(thread)]);
    }, 16);
    for (size_t g = 0; g + 1 < groups_.size(); ++g) {
      if (edges_[groups_[g]].level == 0) note_crowd(edges_[groups_[g]].target);
    }
  }

  void insert_batch(size_t begin, size_t end, int threads) {
    parallel_for(begin, end, threads, [&](size_t at, int thread) {
      find_neighbours(at, begin, work_[static_cast<size_t>(thread)]);
    });
    edges_.clear();
    for (size_t at = begin; at < end; ++at) {
      const uint32_t source = node_at(at);
      for (int level = 0; level <= level_[source]; ++level) {
        const uint32_t* record = view_.links(source, level);
        const float* near = mutable_near(source, level);
        for (size_t i = 0; i < record[0]; ++i) edges_.push_back({record[1 + i], source, near[i], level});
      }
    }
    add_reverse(threads);
    for (size_t at = begin; at < end; ++at) {
      raise(node_at(at));
      note_crowd(node_at(at));
    }
    collect_counters();
    inserted_ = end;
  }

  void collect_counters() {
    for (Work& work : work_) {
      counters_ += work.counters;
      work.counters = {};
    }
  }

  // Marks what is reachable from `start` over level 0; parent[v] is the tree edge that reached v.
  void spread(uint32_t start, std::vector<uint32_t>& parent, std::vector<uint32_t>& queue) {
    queue.assign(1, start);
    while (!queue.empty()) {
      const uint32_t v = queue.back();
      queue.pop_back();
      const uint32_t* record = view_.links0(v);
      for (size_t i = 0; i < record[0]; ++i) {
        if (parent[record[1 + i]] != kNone) continue;
        parent[record[1 + i]] = v;
        queue.push_back(record[1 + i]);
      }
    }
  }

  // Whether a node was taken out of the graph again.
  bool gone(uint32_t node) const { return !gone_.empty() && gone_[node]; }

  bool room(uint32_t node) const { return view_.links0(node)[0] < cap(0); }

  // Adds the edge from -> to where there is room, or in place of the last edge that no path depends on.
  bool attach(uint32_t from, uint32_t to, std::vector<uint32_t>& parent) {
    uint32_t* record = mutable_links(from, 0);
    float* near = mutable_near(from, 0);
    size_t at = record[0];
    if (at == cap(0)) {
      while (at > 0 && parent[record[at]] == from) --at;
      if (at == 0) return false;
      --at;
    } else {
      ++record[0];
    }
    record[1 + at] = to;
    near[at] = rows_.one(from, to);
    parent[to] = from;
    return true;
  }

  size_t n_, m_, ef_;
  BuildRows rows_;
  std::vector<uint8_t> level_;
  std::vector<uint32_t> slot_;
  Buffer<uint32_t> level0_, upper_;
  Buffer<float> near0_, near_upper_;  // distances of the edges: pruning needs them again and again
  uint32_t entry_ = kNone;
  GraphView view_;
  size_t inserted_ = 0;
  uint64_t repaired_ = 0;
  Counters counters_;
  std::vector<Work> work_;
  std::vector<Edge> edges_;
  std::vector<size_t> groups_;
  std::vector<bool> gone_;
  // Where nodes are not inserted in the order of their numbers: the node of each place, the place of each node, and from
  // where nodes without upper levels are searched.
  std::vector<uint32_t> order_, place_;
  std::vector<Entry> starts_;
  std::vector<float> crowd_;  // the distance within which a node has a crowd around it
};

}  // namespace fingerpost
