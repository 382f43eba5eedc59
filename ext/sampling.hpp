// Neighbours of nodes drawn without replacement, an edge with a weight of one over the neighbours of its run.
//
// Source: the sample is that of Efraimidis and Spirakis, Weighted random sampling with a reservoir, Information Processing
// Letters 97, 2006 (the k largest u^(1/w)): each neighbour is drawn with a probability proportional to its weight among
// those that are left. Here a neighbour that was drawn before is simply drawn over. All runs weigh the same, so a draw is
// a run and a neighbour of it, each uniform, and a run of which all were drawn takes no part any more; what a node costs
// hardly depends on its degree.
//
// The random numbers of a node come from (seed, node): its sample depends on no other node, and a smaller k gives a part
// of a larger one's.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "parallel.hpp"

namespace fingerpost {
namespace sampling {

// Counter-based: splitmix64 (Steele, Lea and Flood, Fast splittable pseudorandom number generators, OOPSLA 2014).
inline uint64_t mix(uint64_t z) {
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
  return z ^ (z >> 31);
}

constexpr uint64_t kStep = 0x9e3779b97f4a7c15ull;

struct Graph {
  const int64_t* run_ranges;
  const uint32_t* relations;
  const int64_t* starts;
  const uint32_t* neighbors;
};

class Sampler {
 public:
  Sampler(const Graph& graph, size_t cap, uint64_t seed, bool weighted)
      : graph_(graph), cap_(cap), seed_(mix(seed + kStep)), weighted_(weighted) {}

  // Writes the sampled neighbours and their relations, ascending by place in the graph.
  void sample(uint32_t node, uint32_t* neighbors, uint32_t* relations) {
    const int64_t first = graph_.run_ranges[node], last = graph_.run_ranges[node + 1];
    if (first == last) return;
    const int64_t begin = graph_.starts[first], end = graph_.starts[last];
    if (static_cast<uint64_t>(end - begin) <= cap_) {
      for (int64_t run = first, at = begin; run < last; ++run) {
        for (; at < graph_.starts[run + 1]; ++at) {
          neighbors[at - begin] = graph_.neighbors[at];
          relations[at - begin] = graph_.relations[run];
        }
      }
      return;
    }
    open_.clear();
    if (weighted_) {
      for (int64_t run = first; run < last; ++run) open(graph_.starts[run] - begin, graph_.starts[run + 1] - begin);
    } else {
      open(0, end - begin);
    }
    draw(mix(seed_ + node + kStep), static_cast<uint64_t>(end - begin));
    int64_t run = first;
    for (size_t i = 0; i < cap_; ++i) {
      const int64_t at = begin + places_[i];
      if (graph_.starts[run + 1] <= at) {
        run = std::upper_bound(graph_.starts + run + 1, graph_.starts + last, at) - graph_.starts - 1;
      }
      neighbors[i] = graph_.neighbors[at];
      relations[i] = graph_.relations[run];
    }
  }

 private:
  // A run with the number of its neighbours that were not drawn.
  struct Open {
    uint32_t begin, size, left;
  };

  void open(int64_t begin, int64_t end) {
    const uint32_t size = static_cast<uint32_t>(end - begin);
    open_.push_back({static_cast<uint32_t>(begin), size, size});
  }

  // Draws cap_ distinct places below ``degree`` into places_, ascending.
  void draw(uint64_t state, uint64_t degree) {
    const bool marked = degree <= kBits * cap_;
    places_.clear();
    if (marked) marks_.assign((degree + 63) / 64, 0);
    for (size_t found = 0; found < cap_;) {
      // The run by the upper half of a product, the neighbour by what is left of it.
      const unsigned __int128 product = static_cast<unsigned __int128>(mix(state += kStep)) * open_.size();
      Open& run = open_[static_cast<size_t>(product >> 64)];
      const uint64_t rest = static_cast<uint64_t>(product);
      const uint32_t place =
          run.begin + static_cast<uint32_t>((static_cast<unsigned __int128>(rest) * run.size) >> 64);
      if (!(marked ? mark(place) : insert(place))) continue;
      ++found;
      if (--run.left == 0) {
        run = open_.back();
        open_.pop_back();
      }
    }
    if (!marked) return;
    for (size_t word = 0; word < marks_.size(); ++word) {
      for (uint64_t rest = marks_[word]; rest; rest &= rest - 1) {
        places_.push_back(static_cast<uint32_t>(word * 64 + static_cast<size_t>(__builtin_ctzll(rest))));
      }
    }
  }

  // Whether a place was not there before.
  bool mark(uint32_t place) {
    uint64_t& word = marks_[place / 64];
    const uint64_t bit = 1ull << (place % 64), before = word;
    word |= bit;
    return before != word;
  }

  bool insert(uint32_t place) {
    const auto at = std::lower_bound(places_.begin(), places_.end(), place);
    if (at != places_.end() && *at == place) return false;
    places_.insert(at, place);
    return true;
  }

  // Up to this many times the cap, places are marked in bits, beyond kept in order.
  static constexpr uint64_t kBits = 128;

  Graph graph_;
  size_t cap_;
  uint64_t seed_;
  bool weighted_;
  std::vector<Open> open_;
  std::vector<uint32_t> places_;
  std::vector<uint64_t> marks_;
};

// indptr (count + 1): where the sample of each node is written.
inline void sample(const Graph& graph, const uint32_t* nodes, size_t count, size_t cap, uint64_t seed, bool weighted,
                   const int64_t* indptr, uint32_t* neighbors, uint32_t* relations, int threads) {
  constexpr size_t kChunk = 1024;
  parallel_for(0, (count + kChunk - 1) / kChunk, threads, [&](size_t chunk, int) {
    Sampler sampler(graph, cap, seed, weighted);
    for (size_t i = chunk * kChunk; i < std::min(count, (chunk + 1) * kChunk); ++i) {
      sampler.sample(nodes[i], neighbors + indptr[i], relations + indptr[i]);
    }
  });
}

}  // namespace sampling
}  // namespace fingerpost
