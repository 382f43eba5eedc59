// Beam search down the tree of labels, one query at a time or a block of them sorted by chunk.
//
// A node's score is the parent's plus a transform of its value that is never above 0 (logarithms of products), so a chunk
// whose parent is already below the worst that is kept cannot add anything and is left out: the result is the same.
#pragma once

#include <cmath>
#include <limits>
#include <memory>
#include <mutex>
#include <stdexcept>

#include "parallel.hpp"
#include "ranker_chunk.hpp"

namespace fingerpost {
namespace rankers {

// hinge: -max(0, 1 - v)^power, and less than a millionth below, so that values above 1 do not tie; sigmoid: -log(1 + exp(-v)); noop: v, whatever the parent's score.
enum class Transform : int { hinge = 0, sigmoid = 1, noop = 2 };

struct BeamSettings {
  Transform transform = Transform::hinge;
  int power = 3;
  bool exponential = true;  // scores as products instead of their logarithms
  size_t beam = 10, k = 10;
  bool normalise = false;  // queries to length one
};

struct BeamCounters {
  uint64_t ways[kLookups] = {};
  uint64_t left_out = 0, hits = 0;
  void add(const BeamCounters& other) {
    for (size_t i = 0; i < kLookups; ++i) ways[i] += other.ways[i];
    left_out += other.left_out;
    hits += other.hits;
  }
};

struct Node {
  float score;
  uint32_t id;
};

inline bool better(const Node& a, const Node& b) { return a.score != b.score ? a.score > b.score : a.id < b.id; }

// The best nodes so far, a heap with the worst on top.
struct Best {
  Node* nodes = nullptr;
  size_t size = 0, capacity = 0;
  float worst() const { return size == capacity ? nodes[0].score : -std::numeric_limits<float>::infinity(); }
  void offer(Node node) {
    if (size < capacity) {
      nodes[size++] = node;
      std::push_heap(nodes, nodes + size, better);
    } else if (better(node, nodes[0])) {
      std::pop_heap(nodes, nodes + size, better);
      nodes[size - 1] = node;
      std::push_heap(nodes, nodes + size, better);
    }
  }
  void sort() { std::sort_heap(nodes, nodes + size, better); }
};

struct Task {
  uint32_t chunk, query;
  float score;
};

class BeamSearch {
 public:
  BeamSearch(size_t features, const std::vector<size_t>& chunks_a_level) : features_(features) {
    for (size_t chunks : chunks_a_level) levels_.push_back(Level{std::vector<ChunkView>(chunks), {}, 0, 0});
  }

  void set_chunk(size_t level, size_t parent, const ChunkView& view) { levels_.at(level).chunks.at(parent) = view; }

  void build(Lookup wanted) {
    for (Level& level : levels_) {
      level.finders.assign(level.chunks.size(), Finder());
      for (size_t i = 0; i < level.chunks.size(); ++i) {
        level.finders[i].build(level.chunks[i], features_, wanted);
        level.nodes += level.chunks[i].width;
        level.widest = std::max<size_t>(level.widest, level.chunks[i].width);
      }
    }
  }

  size_t lookup_bytes() const {
    size_t bytes = 0;
    for (const Level& level : levels_) {
      for (const Finder& finder : level.finders) bytes += finder.bytes();
    }
    return bytes;
  }

  // ids and scores (queries, k), padded with 0xFFFFFFFF and -infinity (0 for products).
  void search(const int64_t* indptr, const int32_t* indices, const float* data, size_t queries,
              const BeamSettings& settings, int threads, uint32_t* ids, float* scores, BeamCounters* counters) const {
    const size_t blocks = (queries + kBlock - 1) / kBlock;
    std::vector<BeamCounters> parts(blocks);
    parallel_for(0, blocks, threads, [&](size_t block, int) {
      std::unique_ptr<Scratch> scratch = borrow();
      const size_t begin = block * kBlock, count = std::min(kBlock, queries - begin);
      scratch->queries.resize(count);
      for (size_t i = 0; i < count; ++i) {
        const int64_t from = indptr[begin + i];
        scratch->queries[i] = {indices + from, data + from, static_cast<size_t>(indptr[begin + i + 1] - from), 1.0f};
        check(scratch->queries[i]);
        if (settings.normalise) scratch->queries[i].scale = scale(scratch->queries[i]);
      }
      descend(*scratch, settings, parts[block]);
      for (size_t i = 0; i < count; ++i) {
        write(scratch->best[i], settings, ids + (begin + i) * settings.k, scores + (begin + i) * settings.k);
      }
      give_back(std::move(scratch));
    });
    for (const BeamCounters& part : parts) counters->add(part);
  }

 private:
  static constexpr size_t kBlock = 2048;
  // The hinge says the same of all values above 1; this much, too little to show in a score, sets the larger one first.
  static constexpr float kTie = 1e-6f;
  // Best parents of each query go first: what they find lets many of the others be left out.
  static constexpr size_t kFirst = 2;

  struct Level {
    std::vector<ChunkView> chunks;
    std::vector<Finder> finders;
    size_t nodes, widest;
  };

  struct Scratch {
    std::vector<Query> queries;
    std::vector<Node> nodes, next;
    std::vector<Best> best;
    std::vector<Task> tasks, sorted;
    std::vector<uint32_t> places;
    std::vector<Hit> hits;
    std::vector<float> values;
  };

  void check(const Query& query) const {
    for (size_t i = 0; i < query.count; ++i) {
      const int64_t least = i == 0 ? 0 : static_cast<int64_t>(query.features[i - 1]) + 1;
      if (query.features[i] < least || static_cast<size_t>(query.features[i]) >= features_ ||
          !std::isfinite(query.values[i])) {
        throw std::invalid_argument("queries: expected ascending features of the model's vocabulary and finite values, got others");
      }
    }
  }

  static float scale(const Query& query) {
    double squares = 0;
    for (size_t i = 0; i < query.count; ++i) squares += static_cast<double>(query.values[i]) * query.values[i];
    return squares > 0 ? static_cast<float>(1.0 / std::sqrt(squares)) : 1.0f;
  }

  void descend(Scratch& scratch, const BeamSettings& settings, BeamCounters& counters) const {
    const size_t count = scratch.queries.size();
    size_t longest = 0;
    for (const Query& query : scratch.queries) longest = std::max(longest, query.count);
    if (scratch.hits.size() < longest + 1) scratch.hits.resize(longest + 1);
    scratch.nodes.assign(count, Node{0.0f, 0});
    scratch.best.assign(count, Best());
    for (size_t i = 0; i < count; ++i) scratch.best[i] = {scratch.nodes.data() + i, 1, 1};
    for (size_t depth = 0; depth < levels_.size(); ++depth) {
      const Level& level = levels_[depth];
      const size_t room = std::min(depth + 1 == levels_.size() ? settings.k : settings.beam, level.nodes);
      if (scratch.values.size() < level.widest) scratch.values.resize(level.widest);
      scratch.next.resize(count * room);
      if (count == 1) one(scratch, level, settings, room, counters);
      else many(scratch, level, settings, room, counters);
      scratch.nodes.swap(scratch.next);
    }
  }

  void one(Scratch& scratch, const Level& level, const BeamSettings& settings, size_t room,
           BeamCounters& counters) const {
    const Best parents = scratch.best[0];
    Best& best = scratch.best[0];
    best = {scratch.next.data(), 0, room};
    for (size_t i = 0; i < parents.size; ++i) {
      run(scratch, level, {parents.nodes[i].id, 0, parents.nodes[i].score}, settings, counters);
    }
    best.sort();
  }

  void many(Scratch& scratch, const Level& level, const BeamSettings& settings, size_t room,
            BeamCounters& counters) const {
    const size_t count = scratch.queries.size();
    scratch.tasks.clear();
    size_t first = 0;
    for (int round = 0; round < 2; ++round) {
      for (size_t q = 0; q < count; ++q) {
        const Best& parents = scratch.best[q];
        const size_t begin = round == 0 ? 0 : kFirst, end = round == 0 ? kFirst : parents.size;
        for (size_t i = begin; i < std::min(end, parents.size); ++i) {
          scratch.tasks.push_back({parents.nodes[i].id, static_cast<uint32_t>(q), parents.nodes[i].score});
        }
      }
      if (round == 0) first = scratch.tasks.size();
    }
    for (size_t q = 0; q < count; ++q) scratch.best[q] = {scratch.next.data() + q * room, 0, room};
    run_sorted(scratch, level, 0, first, settings, counters);
    run_sorted(scratch, level, first, scratch.tasks.size(), settings, counters);
    for (size_t q = 0; q < count; ++q) scratch.best[q].sort();
  }

  // Tasks of one chunk side by side, so that its weights are in the cache.
  void run_sorted(Scratch& scratch, const Level& level, size_t begin, size_t end, const BeamSettings& settings,
                  BeamCounters& counters) const {
    scratch.places.assign(level.chunks.size() + 1, 0);
    for (size_t i = begin; i < end; ++i) ++scratch.places[scratch.tasks[i].chunk + 1];
    for (size_t i = 1; i < scratch.places.size(); ++i) scratch.places[i] += scratch.places[i - 1];
    scratch.sorted.resize(end - begin);
    for (size_t i = begin; i < end; ++i) scratch.sorted[scratch.places[scratch.tasks[i].chunk]++] = scratch.tasks[i];
    for (const Task& task : scratch.sorted) run(scratch, level, task, settings, counters);
  }

  void run(Scratch& scratch, const Level& level, const Task& task, const BeamSettings& settings,
           BeamCounters& counters) const {
    Best& best = scratch.best[task.query];
    if (settings.transform != Transform::noop && task.score < best.worst()) {
      ++counters.left_out;
      return;
    }
    const ChunkView& chunk = level.chunks[task.chunk];
    const Finder& finder = level.finders[task.chunk];
    const Query& query = scratch.queries[task.query];
    const Lookup way = finder.way(chunk, query);
    ++counters.ways[static_cast<size_t>(way)];
    const size_t found = finder.find(chunk, query, way, scratch.hits.data());
    counters.hits += found;
    float* values = scratch.values.data();
    multiply(chunk, scratch.hits.data(), found, values);
    offer_all(chunk, values, task.score, settings, best);
  }

  static void offer_all(const ChunkView& chunk, const float* values, float parent, const BeamSettings& settings,
                        Best& best) {
    float worst = best.worst();
    for (uint32_t i = 0; i < chunk.width; ++i) {
      const float v = values[i];
      float score = v;
      if (settings.transform == Transform::hinge) {
        const float short_by = v < 1.0f ? 1.0f - v : 0.0f;
        float power = short_by;
        for (int p = 1; p < settings.power; ++p) power *= short_by;
        score = parent - (power + (v > 1.0f ? kTie / v : kTie));
      } else if (settings.transform == Transform::sigmoid) {
        if (parent + std::min(v, 0.0f) < worst) continue;
        score = parent - (v < 0 ? std::log1p(std::exp(v)) - v : std::log1p(std::exp(-v)));
      }
      if (score < worst) continue;
      best.offer({score, chunk.ids[i]});
      worst = best.worst();
    }
  }

  static void write(const Best& best, const BeamSettings& settings, uint32_t* ids, float* scores) {
    for (size_t i = 0; i < settings.k; ++i) {
      const bool real = i < best.size;
      ids[i] = real ? best.nodes[i].id : 0xFFFFFFFFu;
      const float score = real ? best.nodes[i].score : -std::numeric_limits<float>::infinity();
      scores[i] = settings.exponential ? std::exp(score) : score;
    }
  }

  std::unique_ptr<Scratch> borrow() const {
    std::lock_guard<std::mutex> lock(guard_);
    if (spare_.empty()) return std::unique_ptr<Scratch>(new Scratch());
    std::unique_ptr<Scratch> scratch = std::move(spare_.back());
    spare_.pop_back();
    return scratch;
  }

  void give_back(std::unique_ptr<Scratch> scratch) const {
    std::lock_guard<std::mutex> lock(guard_);
    spare_.push_back(std::move(scratch));
  }

  size_t features_;
  std::vector<Level> levels_;
  mutable std::mutex guard_;
  mutable std::vector<std::unique_ptr<Scratch>> spare_;
};

}  // namespace rankers
}  // namespace fingerpost
