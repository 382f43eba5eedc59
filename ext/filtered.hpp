// Search of a neighbour graph for the nearest nodes that pass a filter, or for those of them within a radius.
//
// Where many nodes pass, the search compares all nodes that it meets and keeps those that pass. Where fewer do, it
// compares, after a short plain search that finds the region, only nodes that pass: neighbours that fail are crossed,
// through their own lists and those of what fails there in turn, until enough that pass are found (after the two-hop
// expansion of Patel et al., ACORN, arXiv 2403.04871, section 5.2, without its bound of two hops). Where few pass, all of
// them are compared. Order is total as in graph.hpp.
//
// Templates: a Graph has n and links0(id), a record of degree and ids; a Score has many(ids, count, out), the distances
// of its query to nodes, and prefetch_node(id).
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <vector>

#include "graph.hpp"

namespace fingerpost {

// The nodes that may be returned: bit id % 64 of word id / 64; all where there are no words.
struct KeptNodes {
  const uint64_t* words = nullptr;
  bool operator()(uint32_t id) const { return words == nullptr || (words[id >> 6] >> (id & 63) & 1u); }
};

enum class KeptMethod : int { compare = 0, cross = 1, scan = 2 };

struct KeptWidths {
  size_t ef = 1;        // the search ends where the nearest node left is beyond the ef-th that passes
  size_t capacity = 1;  // nodes that are kept; at least ef
  float radius = -std::numeric_limits<float>::infinity();  // nor does it end before it is beyond this
};

// Widths of the crossing, chosen on three data sets with filters that pass 1 to 25 %, drawn at random and as clusters:
// the search has then at least the recall of a search without filter of the same ef.
constexpr size_t kPlainWidth = 20;   // of the plain search before it
constexpr size_t kCrossEnough = 96;  // neighbours that pass at which a node's expansion ends
constexpr size_t kCrossLists = 96;   // lists that it reads at most
constexpr size_t kSeeds = 16;

// Distances of one query to the nodes of a GraphView.
struct FloatScore {
  const GraphView& view;
  const Distance& distance;
  const float* query;
  void many(const uint32_t* ids, size_t count, float* out) const { distance.many(query, ids, count, out); }
  void prefetch_node(uint32_t id) const { prefetch_bytes(view.row(id), view.dim < 64 ? view.dim * 4 : 256); }
};

// What one thread needs; reused from query to query. The result of a search is `kept`, nearest first.
struct KeptScratch {
  Visited compared, crossed;
  Pool all, kept;
  std::vector<uint32_t> ids, queue;
  std::vector<float> distances;
  std::vector<uint64_t> frontier;
};

template <class Graph, class Score>
class KeptSearch {
 public:
  KeptSearch(const Graph& graph, const Score& score, KeptNodes passes, const KeptWidths& widths, KeptScratch& scratch,
             Counters& counters)
      : graph_(graph), score_(score), passes_(passes), widths_(widths), s_(scratch), counters_(counters) {}

  // Compares all nodes that the search meets.
  void compare_all(Entry entry) {
    start(entry);
    s_.frontier.assign(1, pack(entry.distance, entry.id));
    const auto later = [](uint64_t a, uint64_t b) { return a > b; };
    while (!s_.frontier.empty()) {
      std::pop_heap(s_.frontier.begin(), s_.frontier.end(), later);
      const uint64_t key = s_.frontier.back();
      s_.frontier.pop_back();
      if (key > limit()) break;
      take_neighbours(id_of(key));
      compare();
      for (size_t i = 0; i < s_.ids.size(); ++i) {
        const uint64_t met = pack(s_.distances[i], s_.ids[i]);
        if (met > limit()) continue;
        s_.frontier.push_back(met);
        std::push_heap(s_.frontier.begin(), s_.frontier.end(), later);
        keep(i);
      }
    }
  }

  // Compares only nodes that pass, but for a short plain search at the start.
  void cross_failing(Entry entry) {
    start(entry);
    s_.crossed.reset(graph_.n);
    s_.all.reset(kPlainWidth);
    s_.all.insert(entry.distance, entry.id);
    uint32_t id;
    float at;
    while (s_.all.next(&id, &at)) {
      take_neighbours(id);
      compare();
      for (size_t i = 0; i < s_.ids.size(); ++i) {
        s_.all.insert(s_.distances[i], s_.ids[i]);
        keep(i);
      }
    }
    take_seeds();
    compare();
    for (size_t i = 0; i < s_.ids.size(); ++i) keep(i);
    while (s_.kept.next(&id, &at) && pack(at, id) <= limit()) {
      take_passing(id);
      compare();
      for (size_t i = 0; i < s_.ids.size(); ++i) keep(i);
    }
  }

  // Compares all nodes that pass.
  void scan() {
    s_.kept.reset(widths_.capacity);
    const size_t words = (graph_.n + 63) / 64;
    s_.ids.clear();
    for (size_t word = 0; word < words; ++word) {
      uint64_t bits = ~uint64_t{0};
      if (passes_.words != nullptr) {
        bits = passes_.words[word];
      } else if (word + 1 == words && graph_.n % 64) {
        bits = (uint64_t{1} << (graph_.n % 64)) - 1;
      }
      for (; bits; bits &= bits - 1) {
        s_.ids.push_back(static_cast<uint32_t>(word * 64 + lowest(bits)));
        score_.prefetch_node(s_.ids.back());
      }
      if (s_.ids.size() < 32 && word + 1 < words) continue;
      compare();
      float worst = s_.kept.bound();
      for (size_t i = 0; i < s_.ids.size(); ++i) {
        if (s_.distances[i] > worst) continue;
        s_.kept.insert(s_.distances[i], s_.ids[i]);
        worst = s_.kept.bound();
      }
      s_.ids.clear();
    }
  }

 private:
  void start(Entry entry) {
    s_.compared.reset(graph_.n);
    s_.kept.reset(widths_.capacity);
    s_.compared.set(entry.id);
    if (passes_(entry.id)) s_.kept.insert(entry.distance, entry.id);
  }

  // The key of a distance and a node beyond which nothing needs to be looked at. Not a distance alone: a crowd of nodes
  // at one distance would all be looked at.
  uint64_t limit() const {
    if (s_.kept.size() < widths_.ef) return ~uint64_t{0};
    const uint64_t nearest = std::max(key(widths_.ef - 1), pack(widths_.radius, kMaxNodes));
    return s_.kept.full() ? std::min(key(s_.kept.size() - 1), nearest) : nearest;
  }
  uint64_t key(size_t i) const { return pack(s_.kept.distance(i), s_.kept.id(i)); }

  static unsigned lowest(uint64_t bits) {
#if defined(__GNUC__) || defined(__clang__)
    return static_cast<unsigned>(__builtin_ctzll(bits));
#else
    unsigned at = 0;
    while (!(bits >> at & 1u)) ++at;
    return at;
#endif
  }

  void take(uint32_t id) {
    if (!s_.compared.insert(id)) return;
    score_.prefetch_node(id);
    s_.ids.push_back(id);
  }

  // Nodes that pass from all over the numbering: a crossing search starts from them too, for what passes may lie far from
  // the query.
  void take_seeds() {
    s_.ids.clear();
    const size_t words = (graph_.n + 63) / 64;
    size_t from = 0;
    for (size_t i = 0; i < kSeeds; ++i) {
      size_t word = std::max(from, i * words / kSeeds);
      while (word < words && passes_.words[word] == 0) ++word;
      if (word >= words) return;
      take(static_cast<uint32_t>(word * 64 + lowest(passes_.words[word])));
      from = word + 1;
    }
  }

  void take_neighbours(uint32_t node) {
    s_.ids.clear();
    const uint32_t* record = graph_.links0(node);
    for (size_t i = 0; i < record[0]; ++i) take(record[1 + i]);
    ++counters_.expansions;
  }

  void take_passing(uint32_t node) {
    s_.ids.clear();
    s_.queue.clear();
    size_t passing = cross(graph_.links0(node));
    ++counters_.expansions;
    for (size_t at = 0; at < s_.queue.size() && at < kCrossLists && passing < kCrossEnough; ++at) {
      if (at + 4 < s_.queue.size()) prefetch_bytes(graph_.links0(s_.queue[at + 4]), 128);
      passing += cross(graph_.links0(s_.queue[at]));
    }
  }

  // Takes the neighbours of a list that pass and queues the others, each once a query; the number that pass.
  size_t cross(const uint32_t* record) {
    size_t passing = 0;
    for (size_t i = 0; i < record[0]; ++i) {
      const uint32_t id = record[1 + i];
      if (passes_(id)) {
        ++passing;
        take(id);
      } else if (s_.queue.size() < kCrossLists && s_.crossed.insert(id)) {
        if (s_.queue.size() < 4) prefetch_bytes(graph_.links0(id), 128);
        s_.queue.push_back(id);
      }
    }
    return passing;
  }

  void compare() {
    if (s_.distances.size() < s_.ids.size()) s_.distances.resize(s_.ids.size());
    score_.many(s_.ids.data(), s_.ids.size(), s_.distances.data());
    counters_.distances += s_.ids.size();
  }

  void keep(size_t i) {
    if (passes_(s_.ids[i])) s_.kept.insert(s_.distances[i], s_.ids[i]);
  }

  const Graph& graph_;
  const Score& score_;
  const KeptNodes passes_;
  const KeptWidths widths_;
  KeptScratch& s_;
  Counters& counters_;
};

// Searches by a method; where the graph leads to fewer than ef nodes that pass, though there are more, all are compared.
// True where they were. passing: number of nodes that pass.
template <class Graph, class Score>
bool search_kept(const Graph& graph, const Score& score, KeptNodes passes, size_t passing, KeptMethod method, Entry entry,
                 const KeptWidths& widths, KeptScratch& scratch, Counters& counters) {
  KeptSearch<Graph, Score> search(graph, score, passes, widths, scratch, counters);
  if (method == KeptMethod::compare) search.compare_all(entry);
  if (method == KeptMethod::cross) search.cross_failing(entry);
  if (method != KeptMethod::scan && scratch.kept.size() >= std::min(widths.ef, passing)) return false;
  search.scan();
  return true;
}

}  // namespace fingerpost
