// Search of a neighbour graph for the nearest nodes that pass a filter, or for those of them within a radius.
//
// Where many nodes pass, the search compares all nodes that it meets and keeps those that pass. Where fewer do, it
// compares, after a short plain search that finds the region, only nodes that pass: neighbours that fail are crossed,
// through their own lists and those of what fails there in turn, until enough that pass are found (after the two-hop
// expansion of Patel et al., ACORN, arXiv 2403.04871, section 5.2, without its bound of two hops). Where few pass, all of
// them are compared. Order is total as in graph.hpp.
//
// Templates: a Graph has size() and neighbours(id); a Score has many(ids, count, out), the distances of its query to
// nodes, which may read and write up to four places beyond count, and prefetch(id). Passes says which nodes may be
// returned: (id), each(f) and seeds(count, f).
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <vector>

#include "graph.hpp"

namespace fingerpost {

// The neighbours of a node.
struct Neighbours {
  const uint32_t* ids;
  size_t count;
};

inline unsigned lowest_bit(uint64_t bits) {
#if defined(__GNUC__) || defined(__clang__)
  return static_cast<unsigned>(__builtin_ctzll(bits));
#else
  unsigned at = 0;
  while (!(bits >> at & 1u)) ++at;
  return at;
#endif
}

// The nodes that may be returned: bit id % 64 of word id / 64; all where there are no words.
class KeptNodes {
 public:
  KeptNodes(const uint64_t* words, size_t size) : words_(words), size_(size) {}

  bool operator()(uint32_t id) const { return words_ == nullptr || (words_[id >> 6] >> (id & 63) & 1u); }
  // Calls f with every node that passes, ascending.
  template <class F>
  void each(F f) const {
    for (size_t word = 0; word < (size_ + 63) / 64; ++word) {
      for (uint64_t bits = at(word); bits; bits &= bits - 1) f(static_cast<uint32_t>(word * 64 + lowest_bit(bits)));
    }
  }
  // Calls f with up to `count` nodes that pass, from all over the numbering.
  template <class F>
  void seeds(size_t count, F f) const {
    const size_t words = (size_ + 63) / 64;
    size_t from = 0;
    for (size_t i = 0; i < count; ++i) {
      size_t word = std::max(from, i * words / count);
      while (word < words && at(word) == 0) ++word;
      if (word >= words) return;
      f(static_cast<uint32_t>(word * 64 + lowest_bit(at(word))));
      from = word + 1;
    }
  }

 private:
  uint64_t at(size_t word) const {
    if (words_ != nullptr) return words_[word];
    return (word + 1) * 64 <= size_ ? ~uint64_t{0} : (uint64_t{1} << (size_ % 64)) - 1;
  }
  const uint64_t* words_;
  size_t size_;
};

enum class KeptMethod : int { compare = 0, cross = 1, scan = 2 };

struct KeptWidths {
  size_t ef = 1;        // the search ends where the nearest node left is beyond the ef-th that passes
  size_t capacity = 1;  // nodes that are kept; at least ef
  size_t wanted = 1;    // nodes that are kept where all that pass are compared
  float radius = -std::numeric_limits<float>::infinity();  // nor does it end before it is beyond this
};

// Widths of the crossing, chosen on three data sets with filters that pass 1 to 25 %, drawn at random and as clusters:
// the search has then at least the recall of a search without filter of the same ef.
constexpr size_t kPlainWidth = 20;   // of the plain search before it
constexpr size_t kCrossEnough = 96;  // neighbours that pass at which a node's expansion ends
constexpr size_t kCrossLists = 96;   // lists that it reads at most
constexpr size_t kSeeds = 16;
constexpr size_t kScanned = 32;      // nodes that a scan compares at a time, while memory brings the next ones

// A GraphView as the search reads it.
struct FloatGraph {
  const GraphView& view;
  size_t size() const { return view.n; }
  Neighbours neighbours(uint32_t id) const { return {view.links0(id) + 1, view.links0(id)[0]}; }
  void prefetch(uint32_t id) const { prefetch_bytes(view.links0(id), 128); }
};

// Distances of one query to the nodes of a GraphView.
struct FloatScore {
  const GraphView& view;
  const Distance& distance;
  const float* query;
  void many(const uint32_t* ids, size_t count, float* out) const { distance.many(query, ids, count, out); }
  void prefetch(uint32_t id) const { prefetch_bytes(view.row(id), view.dim < 64 ? view.dim * 4 : 256); }
};

// What one thread needs; reused from query to query. The result of a search is `kept`, nearest first.
struct KeptScratch {
  Visited compared, crossed;
  Pool all, kept;
  std::vector<uint32_t> ids, queue;
  std::vector<float> distances;
  std::vector<uint64_t> frontier;
};

template <class Graph, class Score, class Passes>
class KeptSearch {
 public:
  KeptSearch(const Graph& graph, const Score& score, const Passes& passes, const KeptWidths& widths,
             KeptScratch& scratch, Counters& counters)
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
    s_.crossed.reset(graph_.size());
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
    // And from nodes all over the numbering: what passes may lie far from the query.
    s_.ids.clear();
    passes_.seeds(kSeeds, [&](uint32_t seed) { take(seed); });
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
    s_.kept.reset(widths_.wanted);
    s_.ids.clear();
    passes_.each([&](uint32_t id) {
      score_.prefetch(id);
      s_.ids.push_back(id);
      if (s_.ids.size() == kScanned) keep_nearer();
    });
    keep_nearer();
  }

 private:
  void start(Entry entry) {
    s_.compared.reset(graph_.size());
    // All that is kept is wanted, also of a crowd.
    s_.kept.reset(widths_.capacity, widths_.capacity);
    s_.compared.set(entry.id);
    if (passes_(entry.id)) s_.kept.insert(entry.distance, entry.id);
  }

  // The key of a distance and a node beyond which nothing needs to be looked at. Not a distance alone: a crowd of nodes
  // at one distance would all be looked at.
  uint64_t limit() const {
    const size_t width = widths_.ef + s_.kept.extra();
    if (s_.kept.size() < width) return ~uint64_t{0};
    const uint64_t nearest = std::max(key(width - 1), pack(widths_.radius, kMaxNodes));
    return s_.kept.full() ? std::min(key(s_.kept.size() - 1), nearest) : nearest;
  }
  uint64_t key(size_t i) const { return pack(s_.kept.distance(i), s_.kept.id(i)); }

  // Compares what was taken and keeps what is near enough; nothing is left taken.
  void keep_nearer() {
    compare();
    float worst = s_.kept.bound();
    for (size_t i = 0; i < s_.ids.size(); ++i) {
      if (s_.distances[i] > worst) continue;
      s_.kept.insert(s_.distances[i], s_.ids[i]);
      worst = s_.kept.bound();
    }
    s_.ids.clear();
  }

  void take(uint32_t id) {
    if (!s_.compared.insert(id)) return;
    score_.prefetch(id);
    s_.ids.push_back(id);
  }

  void take_neighbours(uint32_t node) {
    s_.ids.clear();
    const Neighbours near = graph_.neighbours(node);
    for (size_t i = 0; i < near.count; ++i) take(near.ids[i]);
    ++counters_.expansions;
  }

  void take_passing(uint32_t node) {
    s_.ids.clear();
    s_.queue.clear();
    size_t passing = cross(graph_.neighbours(node));
    ++counters_.expansions;
    for (size_t at = 0; at < s_.queue.size() && at < kCrossLists && passing < kCrossEnough; ++at) {
      if (at + 4 < s_.queue.size()) graph_.prefetch(s_.queue[at + 4]);
      passing += cross(graph_.neighbours(s_.queue[at]));
    }
  }

  // Takes the neighbours of a list that pass and queues the others, each once a query; the number that pass.
  size_t cross(Neighbours near) {
    size_t passing = 0;
    for (size_t i = 0; i < near.count; ++i) {
      const uint32_t id = near.ids[i];
      if (passes_(id)) {
        ++passing;
        take(id);
      } else if (s_.queue.size() < kCrossLists && s_.crossed.insert(id)) {
        if (s_.queue.size() < 4) graph_.prefetch(id);
        s_.queue.push_back(id);
      }
    }
    return passing;
  }

  void compare() {
    const size_t count = s_.ids.size();
    if (count == 0) return;
    if (s_.distances.size() < count + 4) s_.distances.resize(count + 4);
    s_.ids.resize(count + 4, s_.ids.back());
    score_.many(s_.ids.data(), count, s_.distances.data());
    s_.ids.resize(count);
    counters_.distances += count;
  }

  void keep(size_t i) {
    if (passes_(s_.ids[i])) s_.kept.insert(s_.distances[i], s_.ids[i]);
  }

  const Graph& graph_;
  const Score& score_;
  const Passes& passes_;
  const KeptWidths widths_;
  KeptScratch& s_;
  Counters& counters_;
};

// Searches by a method; where the graph leads to fewer than ef nodes that pass, though there are more, all are compared.
// True where they were. passing: number of nodes that pass.
template <class Graph, class Score, class Passes>
bool search_kept(const Graph& graph, const Score& score, const Passes& passes, size_t passing, KeptMethod method,
                 Entry entry, const KeptWidths& widths, KeptScratch& scratch, Counters& counters) {
  KeptSearch<Graph, Score, Passes> search(graph, score, passes, widths, scratch, counters);
  if (method == KeptMethod::compare) search.compare_all(entry);
  if (method == KeptMethod::cross) search.cross_failing(entry);
  if (method != KeptMethod::scan && scratch.kept.size() >= std::min(widths.ef, passing)) return false;
  search.scan();
  return true;
}

}  // namespace fingerpost
