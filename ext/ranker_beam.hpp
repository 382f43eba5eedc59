// Beam search down the tree of labels, one query alone or a block of them sorted by chunk.
//
// A node's score is the parent's plus a transform of its value that is never above 0 (logarithms of products), so a chunk
// whose parent is already below the worst that is kept cannot add anything and is left out: the result is the same.
//
// A chain node, the only child of its parent, has no chunk: it is kept with the parent's score. A query may want labels of
// some ranges only: then a node is kept only if it has such a label below, so that every leaf of the beam has answers.
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

// The labels that a query wants: those of its ranges [low, high), both ends ascending.
struct Wanted {
  const uint32_t *low = nullptr, *high = nullptr;
  size_t count = 0;
  bool any() const {
    for (size_t i = 0; i < count; ++i) {
      if (low[i] < high[i]) return true;
    }
    return false;
  }
  // The first range that ends behind a label; `count` if none does.
  size_t after(uint32_t label) const { return static_cast<size_t>(std::upper_bound(high, high + count, label) - high); }
  bool has(uint32_t label) const {
    const size_t i = after(label);
    return i < count && low[i] <= label;
  }
};

// The labels below each node of a level: [start[node], start[node + 1]) of `labels`, or of all labels in order if null.
struct LabelsBelow {
  const uint32_t *start = nullptr, *labels = nullptr;
  bool any(uint32_t node, const Wanted& wanted) const {
    const uint32_t begin = start[node], end = start[node + 1];
    if (begin == end) return false;
    if (labels == nullptr) {
      for (size_t i = wanted.after(begin); i < wanted.count && wanted.low[i] < end; ++i) {
        if (wanted.low[i] < wanted.high[i]) return true;
      }
      return false;
    }
    const uint32_t *at = labels + begin, *last = labels + end;
    while (at != last) {
      const size_t i = wanted.after(*at);
      if (i == wanted.count) return false;
      if (wanted.low[i] <= *at) return true;
      at = std::lower_bound(at, last, wanted.low[i]);
    }
    return false;
  }
};

class BeamSearch {
 public:
  static constexpr uint32_t kChain = uint32_t(1) << 31;

  BeamSearch(size_t features, const std::vector<size_t>& chunks_a_level) : features_(features) {
    for (size_t chunks : chunks_a_level) levels_.push_back(Level{std::vector<ChunkView>(chunks), {}, {}, {}, {}, 0, 0});
  }

  // For a level with chain nodes, before its chunks: of each parent the place of its chunk, or its chain node + kChain.
  void set_places(size_t level, const uint32_t* places, size_t parents) {
    levels_.at(level).places.assign(places, places + parents);
  }

  void set_labels(size_t level, const uint32_t* start, const uint32_t* labels) {
    levels_.at(level).below = LabelsBelow{start, labels};
  }

  void set_chunk(size_t level, size_t parent, const ChunkView& view) {
    Level& mine = levels_.at(level);
    mine.chunks.at(mine.places.empty() ? parent : mine.places.at(parent)) = view;
  }

  void build(Lookup wanted) {
    for (Level& level : levels_) {
      level.finders.assign(level.chunks.size(), Finder());
      level.nodes = level.widest = 0;
      for (uint32_t place : level.places) level.nodes += place >= kChain;
      size_t bits = 0, buckets = 0;
      for (size_t i = 0; i < level.chunks.size(); ++i) {
        level.finders[i].plan(level.chunks[i], features_, wanted);
        bits += level.finders[i].bits(features_);
        buckets += level.finders[i].buckets(features_);
        level.nodes += level.chunks[i].width;
        level.widest = std::max<size_t>(level.widest, level.chunks[i].width);
      }
      level.tables.bits.resize(bits);
      level.tables.buckets.resize(buckets);
      bits = buckets = 0;
      for (size_t i = 0; i < level.chunks.size(); ++i) {
        Finder& finder = level.finders[i];
        finder.build(level.chunks[i], features_, level.tables.bits.data() + bits, level.tables.buckets.data() + buckets);
        bits += finder.bits(features_);
        buckets += finder.buckets(features_);
      }
    }
  }

  size_t lookup_bytes() const {
    size_t bytes = 0;
    for (const Level& level : levels_) {
      bytes += level.tables.bits.size() * sizeof(Bits) + level.tables.buckets.size() * sizeof(uint32_t);
    }
    return bytes;
  }

  // ids and scores (queries, k), padded with 0xFFFFFFFF and -infinity (0 for products). wanted: of each query, or null.
  void search(const int64_t* indptr, const int32_t* indices, const float* data, size_t queries, const Wanted* wanted,
              const BeamSettings& settings, int threads, uint32_t* ids, float* scores, BeamCounters* counters) const {
    const size_t shares = threads > 1 ? static_cast<size_t>(threads) : 1;
    const size_t most = std::min(kBlock, kNodes / std::max<size_t>(1, std::max(settings.beam, settings.k)));
    const size_t rows = std::max(kLeastBlock, std::min(most, (queries + shares - 1) / shares));
    const size_t blocks = (queries + rows - 1) / rows;
    std::vector<BeamCounters> parts(blocks);
    parallel_for(0, blocks, threads, [&](size_t block, int) {
      std::unique_ptr<Scratch> scratch = borrow();
      const size_t begin = block * rows, count = std::min(rows, queries - begin);
      scratch->queries.resize(count);
      for (size_t i = 0; i < count; ++i) {
        const int64_t from = indptr[begin + i];
        scratch->queries[i] = {indices + from, data + from, static_cast<size_t>(indptr[begin + i + 1] - from), 1.0f};
        check(scratch->queries[i]);
        if (settings.normalise) scratch->queries[i].scale = scale(scratch->queries[i]);
      }
      scratch->wanted = wanted == nullptr ? nullptr : wanted + begin;
      descend(*scratch, settings, queries == 1, parts[block]);
      for (size_t i = 0; i < count; ++i) {
        write(scratch->best[i], settings, ids + (begin + i) * settings.k, scores + (begin + i) * settings.k);
      }
      give_back(std::move(scratch));
    });
    for (const BeamCounters& part : parts) counters->add(part);
  }

 private:
  // Queries that go down together: with more of them a chunk that came from memory serves more of them.
  static constexpr size_t kBlock = 8192, kLeastBlock = 64;
  // Nodes that these queries may keep together, which bounds the memory of a search.
  static constexpr size_t kNodes = size_t(1) << 20;
  // The hinge says the same of all values above 1; this much, too little to show in a score, sets the larger one first.
  static constexpr float kTie = 1e-6f;
  // Best parents of each query go first: what they find lets many of the others be left out.
  static constexpr size_t kFirst = 2;
  static constexpr size_t kJobs = 4;

  struct Level {
    std::vector<ChunkView> chunks;
    std::vector<uint32_t> places;  // empty without chain nodes: a chunk's place is its parent
    LabelsBelow below;
    std::vector<Finder> finders;
    Tables tables;
    size_t nodes, widest;
  };

  // A task on its way: what was found is kept until its weights have come.
  struct Job {
    Lookup way;
    bool wanted;
    size_t found;
    std::vector<Hit> hits;
  };

  struct Scratch {
    std::vector<Query> queries;
    std::vector<Node> nodes, next;
    std::vector<Best> best;
    std::vector<Task> tasks, sorted, chained;  // chained: chain nodes instead of chunks
    std::vector<uint32_t> places;
    const Wanted* wanted;
    Job jobs[kJobs];
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

  void descend(Scratch& scratch, const BeamSettings& settings, bool alone, BeamCounters& counters) const {
    const size_t count = scratch.queries.size();
    size_t longest = 0;
    for (const Query& query : scratch.queries) longest = std::max(longest, query.count);
    for (Job& job : scratch.jobs) {
      if (job.hits.size() < longest + 1) job.hits.resize(longest + 1);
    }
    scratch.nodes.assign(count, Node{0.0f, 0});
    scratch.best.assign(count, Best());
    for (size_t i = 0; i < count; ++i) {
      const bool any = scratch.wanted == nullptr || scratch.wanted[i].any();
      scratch.best[i] = {scratch.nodes.data() + i, any ? size_t(1) : size_t(0), 1};
    }
    for (size_t depth = 0; depth < levels_.size(); ++depth) {
      const Level& level = levels_[depth];
      const size_t room = std::min(depth + 1 == levels_.size() ? settings.k : settings.beam, level.nodes);
      if (scratch.values.size() < level.widest) scratch.values.resize(level.widest);
      scratch.next.resize(count * room);
      if (alone) one(scratch, level, settings, room, counters);
      else many(scratch, level, settings, room, counters);
      scratch.nodes.swap(scratch.next);
    }
  }

  void one(Scratch& scratch, const Level& level, const BeamSettings& settings, size_t room,
           BeamCounters& counters) const {
    const Best parents = scratch.best[0];
    Best& best = scratch.best[0];
    best = {scratch.next.data(), 0, room};
    scratch.sorted.clear();
    scratch.chained.clear();
    for (size_t i = 0; i < parents.size; ++i) {
      if (!level.places.empty()) add(scratch, level, parents.nodes[i], 0, scratch.sorted);
      else scratch.sorted.push_back({parents.nodes[i].id, 0, parents.nodes[i].score});
    }
    pass(scratch);
    run(scratch, level, settings, counters);
    best.sort();
  }

  void many(Scratch& scratch, const Level& level, const BeamSettings& settings, size_t room,
            BeamCounters& counters) const {
    const size_t count = scratch.queries.size();
    const bool chains = !level.places.empty();
    scratch.tasks.clear();
    scratch.chained.clear();
    size_t first = 0;
    for (int round = 0; round < 2; ++round) {
      for (size_t q = 0; q < count; ++q) {
        const Best& parents = scratch.best[q];
        const size_t begin = round == 0 ? 0 : kFirst, end = round == 0 ? kFirst : parents.size;
        for (size_t i = begin; i < std::min(end, parents.size); ++i) {
          if (chains) add(scratch, level, parents.nodes[i], static_cast<uint32_t>(q), scratch.tasks);
          else scratch.tasks.push_back({parents.nodes[i].id, static_cast<uint32_t>(q), parents.nodes[i].score});
        }
      }
      if (round == 0) first = scratch.tasks.size();
    }
    for (size_t q = 0; q < count; ++q) scratch.best[q] = {scratch.next.data() + q * room, 0, room};
    pass(scratch);
    run_sorted(scratch, level, 0, first, settings, counters);
    run_sorted(scratch, level, first, scratch.tasks.size(), settings, counters);
    for (size_t q = 0; q < count; ++q) scratch.best[q].sort();
  }

  static void add(Scratch& scratch, const Level& level, const Node& parent, uint32_t query, std::vector<Task>& tasks) {
    const uint32_t place = level.places[parent.id];
    if (place >= kChain) scratch.chained.push_back({place - kChain, query, parent.score});
    else tasks.push_back({place, query, parent.score});
  }

  // A chain node has all the labels that its parent has, so it is wanted as well.
  static void pass(Scratch& scratch) {
    for (const Task& task : scratch.chained) scratch.best[task.query].offer({task.score, task.chunk});
  }

  // Tasks of one chunk side by side, so that its weights are in the cache.
  void run_sorted(Scratch& scratch, const Level& level, size_t begin, size_t end, const BeamSettings& settings,
                  BeamCounters& counters) const {
    scratch.places.assign(level.chunks.size() + 1, 0);
    for (size_t i = begin; i < end; ++i) ++scratch.places[scratch.tasks[i].chunk + 1];
    for (size_t i = 1; i < scratch.places.size(); ++i) scratch.places[i] += scratch.places[i - 1];
    scratch.sorted.resize(end - begin);
    for (size_t i = begin; i < end; ++i) scratch.sorted[scratch.places[scratch.tasks[i].chunk]++] = scratch.tasks[i];
    run(scratch, level, settings, counters);
  }

  // Memory answers later than it is asked, so each task takes four steps and the tasks behind it take theirs in between:
  // ask for the lookup, find the shared features and ask where their weights are, ask for the weights, multiply.
  void run(Scratch& scratch, const Level& level, const BeamSettings& settings, BeamCounters& counters) const {
    const std::vector<Task>& tasks = scratch.sorted;
    const size_t count = tasks.size();
    for (size_t step = 0; step < count + 3; ++step) {
      if (step + 4 < count) touch(scratch, level, tasks[step + 4]);
      if (step + 2 < count) touch(scratch.queries[tasks[step + 2].query]);
      if (step < count) begin(scratch, level, settings, tasks[step], scratch.jobs[step % kJobs]);
      if (step >= 1 && step - 1 < count) find(scratch, level, tasks[step - 1], scratch.jobs[(step - 1) % kJobs]);
      if (step >= 2 && step - 2 < count) {
        const Job& job = scratch.jobs[(step - 2) % kJobs];
        if (job.wanted) touch_entries(level.chunks[tasks[step - 2].chunk], job.hits.data(), job.found);
      }
      if (step >= 3) finish(scratch, level, settings, tasks[step - 3], scratch.jobs[(step - 3) % kJobs], counters);
    }
  }

  static void touch(const Scratch& scratch, const Level& level, const Task& task) {
    prefetch(&level.chunks[task.chunk]);
    prefetch(&level.finders[task.chunk]);
    prefetch(&scratch.queries[task.query]);
    prefetch(&scratch.best[task.query]);
  }

  static void touch(const Query& query) {
    for (size_t i = 0; i < query.count; i += 64 / sizeof(*query.features)) prefetch(query.features + i);
  }

  static bool left_out(const Scratch& scratch, const BeamSettings& settings, const Task& task) {
    return settings.transform != Transform::noop && task.score < scratch.best[task.query].worst();
  }

  static void begin(const Scratch& scratch, const Level& level, const BeamSettings& settings, const Task& task, Job& job) {
    job.wanted = !left_out(scratch, settings, task);
    if (!job.wanted) return;
    const ChunkView& chunk = level.chunks[task.chunk];
    const Query& query = scratch.queries[task.query];
    job.way = level.finders[task.chunk].way(chunk, query);
    level.finders[task.chunk].touch(chunk, query, job.way);
  }

  static void find(const Scratch& scratch, const Level& level, const Task& task, Job& job) {
    if (!job.wanted) return;
    const ChunkView& chunk = level.chunks[task.chunk];
    job.found = level.finders[task.chunk].find(chunk, scratch.queries[task.query], job.way, job.hits.data());
    for (size_t i = 0; i < job.found; ++i) prefetch(chunk.start + job.hits[i].row);
  }

  // What was found for a task that tasks before it have made useless counts for nothing.
  void finish(Scratch& scratch, const Level& level, const BeamSettings& settings, const Task& task, const Job& job,
              BeamCounters& counters) const {
    if (!job.wanted || left_out(scratch, settings, task)) {
      ++counters.left_out;
      return;
    }
    ++counters.ways[static_cast<size_t>(job.way)];
    counters.hits += job.found;
    const ChunkView& chunk = level.chunks[task.chunk];
    multiply(chunk, job.hits.data(), job.found, scratch.values.data());
    if (scratch.wanted != nullptr) {
      offer_wanted(scratch, level, settings, task);
      return;
    }
    offer_all(chunk, scratch.values.data(), task.score, settings, scratch.best[task.query], [](uint32_t) { return true; });
  }

  // Apart from the search for all labels, which it would make larger and so slower.
  __attribute__((noinline)) void offer_wanted(Scratch& scratch, const Level& level, const BeamSettings& settings,
                                              const Task& task) const {
    const ChunkView& chunk = level.chunks[task.chunk];
    const float* values = scratch.values.data();
    Best& best = scratch.best[task.query];
    const Wanted& wanted = scratch.wanted[task.query];
    if (&level == &levels_.back()) {
      offer_all(chunk, values, task.score, settings, best, [&](uint32_t label) { return wanted.has(label); });
    } else {
      offer_all(chunk, values, task.score, settings, best, [&](uint32_t node) { return level.below.any(node, wanted); });
    }
  }

  template <class Wants>
  static void offer_all(const ChunkView& chunk, const float* values, float parent, const BeamSettings& settings,
                        Best& best, const Wants& wants) {
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
      if (score < worst || !wants(chunk.ids[i])) continue;
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
