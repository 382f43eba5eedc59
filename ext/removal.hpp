// Lists of neighbours without some nodes: a list that named a removed node is chosen again, as a build chooses it, among
// those that remain in it and the neighbours of the removed node.
//
// A list that only gained neighbours would lead to the place of a removed node more surely than that of a build which never
// knew the node. The result of a node depends on the graph as it was before alone, and so on neither threads nor order.
// Source of the choice: Malkov and Yashunin, HNSW, algorithm 4 (arXiv 1603.09320).
#pragma once

#include <algorithm>
#include <cstring>
#include <vector>

#include "graph.hpp"
#include "parallel.hpp"

namespace fingerpost {

// One level of a graph: the node at i has the neighbours ids[indptr[i]] to ids[indptr[i + 1] - 1]. `nodes` are ascending;
// null: all.
struct LevelLists {
  const uint32_t* nodes = nullptr;
  size_t count = 0;
  const int64_t* indptr = nullptr;
  const uint32_t* ids = nullptr;

  size_t place(uint32_t node) const {
    return nodes == nullptr ? node : static_cast<size_t>(std::lower_bound(nodes, nodes + count, node) - nodes);
  }
};

class Remover {
 public:
  Remover(const float* vectors, size_t dim, Metric metric, const LevelLists& lists, const uint8_t* removed, size_t cap)
      : vectors_(vectors), dim_(dim), lists_(lists), removed_(removed), cap_(cap), is_l2_(metric == Metric::l2),
        kernel_(metric == Metric::l2 ? l2_squared() : dot()) {}

  // The lists of all nodes of the level, in their order; those of removed nodes are empty.
  std::vector<std::vector<uint32_t>> chosen(int threads) const {
    std::vector<std::vector<uint32_t>> out(lists_.count);
    std::vector<Work> works(static_cast<size_t>(threads < 1 ? 1 : threads));
    parallel_for(
        0, lists_.count, threads,
        [&](size_t place, int thread) { choose_list(place, works[static_cast<size_t>(thread)], out[place]); }, 64);
    return out;
  }

 private:
  // Removed nodes whose neighbours one list may be chosen from.
  static constexpr size_t kMostExpanded = 64;

  struct Candidate {
    float distance;
    uint32_t id;
    bool operator<(const Candidate& other) const {
      return distance != other.distance ? distance < other.distance : id < other.id;
    }
  };
  struct Work {
    std::vector<uint32_t> gone, found;
    std::vector<Candidate> all;
  };

  const float* row(uint32_t node) const { return vectors_ + static_cast<size_t>(node) * dim_; }
  float distance(uint32_t a, uint32_t b) const {
    const float value = kernel_(row(a), row(b), dim_);
    return is_l2_ ? value : 1.0f - value;
  }
  bool twins(uint32_t a, uint32_t b) const { return std::memcmp(row(a), row(b), dim_ * sizeof(float)) == 0; }

  void choose_list(size_t place, Work& work, std::vector<uint32_t>& out) const {
    const uint32_t node = lists_.nodes == nullptr ? static_cast<uint32_t>(place) : lists_.nodes[place];
    if (removed_[node]) return;
    work.gone.clear();
    for (int64_t j = lists_.indptr[place]; j < lists_.indptr[place + 1]; ++j) {
      const uint32_t id = lists_.ids[j];
      (removed_[id] ? work.gone : out).push_back(id);
    }
    if (work.gone.empty()) return;
    work.found = out;
    for (size_t at = 0; at < work.gone.size() && at < kMostExpanded; ++at) add_neighbours(node, work.gone[at], work);
    std::sort(work.found.begin(), work.found.end());
    work.found.erase(std::unique(work.found.begin(), work.found.end()), work.found.end());
    work.all.clear();
    for (const uint32_t id : work.found) work.all.push_back({distance(node, id), id});
    std::sort(work.all.begin(), work.all.end());
    choose(node, work, out);
  }

  // The neighbours of a removed node; further removed ones among them are noted, to be gone through too.
  void add_neighbours(uint32_t node, uint32_t removed, Work& work) const {
    const size_t place = lists_.place(removed);
    for (int64_t j = lists_.indptr[place]; j < lists_.indptr[place + 1]; ++j) {
      const uint32_t id = lists_.ids[j];
      if (!removed_[id]) {
        if (id != node) work.found.push_back(id);
      } else if (std::find(work.gone.begin(), work.gone.end(), id) == work.gone.end()) {
        work.gone.push_back(id);
      }
    }
  }

  // Of candidates in ascending order those that are nearer to the node than to all that are kept; equal vectors take at most
  // half of a list, as in a build.
  void choose(uint32_t node, const Work& work, std::vector<uint32_t>& out) const {
    size_t twins_left = cap_ / 2;
    out.clear();
    for (const Candidate& one : work.all) {
      if (out.size() >= cap_) break;
      const bool twin = twins(one.id, node);
      bool good = !twin || twins_left > 0;
      for (size_t i = 0; i < out.size() && good; ++i) good = !(distance(one.id, out[i]) < one.distance);
      if (!good) continue;
      if (twin) --twins_left;
      out.push_back(one.id);
    }
  }

  const float* vectors_;
  size_t dim_;
  LevelLists lists_;
  const uint8_t* removed_;
  size_t cap_;
  bool is_l2_;
  Kernel kernel_;
};

}  // namespace fingerpost
