// Merging graphs of disjoint rows into one, pair by pair, so that the result does not depend on the number of threads.
//
// In a round, neighbouring graphs become one: every node searches the other graph of its pair, level by level, as an
// insertion would, and chooses among what it finds and its own neighbours (HNSW, algorithm 4). All nodes see the graphs
// as they were before the round. Then the chosen edges are also added the other way, target by target, in a fixed order.
#pragma once

#include "hnsw.hpp"

namespace fingerpost {

class HnswMerge {
 public:
  // builder: with the lists of all graphs, whose rows are [bounds[i], bounds[i + 1]).
  HnswMerge(HnswBuilder& builder, const uint64_t* bounds, size_t graphs, size_t ef)
      : builder_(builder), bounds_(bounds, bounds + graphs + 1), ef_(ef) {}

  const std::vector<uint64_t>& bounds() const { return bounds_; }

  void round(int threads) {
    if (bounds_.size() < 3) return;
    find_entries();
    const size_t workers = threads < 1 ? 1 : static_cast<size_t>(threads);
    if (builder_.work_.size() < workers) builder_.work_.resize(workers);
    lists0_ = Buffer<uint32_t>(builder_.level0_.size());
    near0_ = Buffer<float>(builder_.near0_.size());
    lists_upper_ = Buffer<uint32_t>(builder_.upper_.size());
    near_upper_ = Buffer<float>(builder_.near_upper_.size());
    parallel_for(0, builder_.n_, threads, [&](size_t v, int thread) {
      choose(static_cast<uint32_t>(v), builder_.work_[static_cast<size_t>(thread)]);
    }, 64);
    std::swap(builder_.level0_, lists0_);
    std::swap(builder_.near0_, near0_);
    std::swap(builder_.upper_, lists_upper_);
    std::swap(builder_.near_upper_, near_upper_);
    lists0_ = Buffer<uint32_t>();
    near0_ = Buffer<float>();
    builder_.view_.level0 = builder_.level0_.data();
    builder_.view_.upper = builder_.upper_.data();
    builder_.note_crowds();
    for (size_t from = 0; from < builder_.n_; from += kEdgeRows) add_reverse(from, threads);
    std::vector<uint64_t> wider;
    for (size_t g = 0; g < bounds_.size(); g += 2) wider.push_back(bounds_[g]);
    if (wider.back() != bounds_.back()) wider.push_back(bounds_.back());
    bounds_ = wider;
    builder_.collect_counters();
  }

 private:
  // Sources whose edges are added together: bounds the memory of the edges.
  static constexpr size_t kEdgeRows = 65536;

  size_t graph_of(uint32_t v) const {
    return static_cast<size_t>(std::upper_bound(bounds_.begin(), bounds_.end(), v) - bounds_.begin()) - 1;
  }
  // The graph that this one is merged with; itself where it has no partner.
  size_t partner(size_t graph) const {
    const size_t other = graph ^ 1;
    return other + 1 < bounds_.size() ? other : graph;
  }

  void find_entries() {
    entries_.assign(bounds_.size() - 1, 0);
    for (size_t g = 0; g + 1 < bounds_.size(); ++g) {
      entries_[g] = static_cast<uint32_t>(bounds_[g]);
      for (uint64_t v = bounds_[g]; v < bounds_[g + 1]; ++v) {
        if (builder_.level_[v] > builder_.level_[entries_[g]]) entries_[g] = static_cast<uint32_t>(v);
      }
    }
  }

  uint32_t* next_links(uint32_t v, int level) {
    const uint32_t* now = builder_.view_.links(v, level);
    return level == 0 ? lists0_.data() + (now - builder_.level0_.data())
                      : lists_upper_.data() + (now - builder_.upper_.data());
  }
  float* next_near(uint32_t v, int level) {
    const float* now = builder_.mutable_near(v, level);
    return level == 0 ? near0_.data() + (now - builder_.near0_.data())
                      : near_upper_.data() + (now - builder_.near_upper_.data());
  }

  void choose(uint32_t v, HnswBuilder::Work& work) {
    const size_t own = graph_of(v), other = partner(own);
    const int height = builder_.level_[v];
    GraphView view = builder_.view_;
    int top = -1;
    Entry entry;
    if (other != own) {
      view.entries = &entries_[other];
      view.top_level = builder_.level_[entries_[other]];
      top = std::min(view.top_level, height);
      entry = descend(view, builder_.rows_, v, work.scratch, work.counters, top);
    }
    for (int level = height; level >= 0; --level) {
      const uint32_t* record = view.links(v, level);
      const float* near = builder_.mutable_near(v, level);
      work.keys.clear();
      for (size_t i = 0; i < record[0]; ++i) work.keys.push_back(pack(near[i], record[1 + i]));
      if (level <= top) {
        search_level(view, builder_.rows_, v, entry, level, ef_, work.scratch, work.counters);
        const Pool& pool = work.scratch.pool;
        entry.move(pool.id(0), pool.distance(0));
        for (size_t i = 0; i < pool.size(); ++i) work.keys.push_back(pack(pool.distance(i), pool.id(i)));
        std::sort(work.keys.begin(), work.keys.end());
        builder_.select(v, work.keys, builder_.cap(level), level, builder_.n_, work);
        work.keys = work.kept;
      }
      uint32_t* to = next_links(v, level);
      float* distances = next_near(v, level);
      to[0] = static_cast<uint32_t>(work.keys.size());
      for (size_t i = 0; i < work.keys.size(); ++i) {
        to[1 + i] = id_of(work.keys[i]);
        distances[i] = distance_of(work.keys[i]);
      }
    }
  }

  // Adds the edges between the graphs of a pair, of the sources [from, from + kEdgeRows), the other way.
  void add_reverse(size_t from, int threads) {
    builder_.edges_.clear();
    for (size_t v = from; v < std::min(builder_.n_, from + kEdgeRows); ++v) {
      const uint32_t source = static_cast<uint32_t>(v);
      const size_t own = graph_of(source);
      for (int level = 0; level <= builder_.level_[v]; ++level) {
        const uint32_t* record = builder_.view_.links(source, level);
        const float* near = builder_.mutable_near(source, level);
        for (size_t i = 0; i < record[0]; ++i) {
          const uint32_t target = record[1 + i];
          if (target >= bounds_[own] && target < bounds_[own + 1]) continue;
          const uint32_t* back = builder_.view_.links(target, level);
          if (std::find(back + 1, back + 1 + back[0], source) == back + 1 + back[0]) {
            builder_.edges_.push_back({target, source, near[i], level});
          }
        }
      }
    }
    builder_.add_reverse(threads);
  }

  HnswBuilder& builder_;
  std::vector<uint64_t> bounds_;
  size_t ef_;
  std::vector<uint32_t> entries_;
  Buffer<uint32_t> lists0_, lists_upper_;
  Buffer<float> near0_, near_upper_;
};

}  // namespace fingerpost
