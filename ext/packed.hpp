// Best-first search over a packed index: the graph, codes and vectors lie in arrays that the search reads as they are.
//
// The candidates of a search are ranked by estimates from codes, and the nearest of them once more by exact distances.
// Without codes every distance is exact, and a search is that of graph.hpp. Order is total everywhere: nearer first,
// equal distances by the smaller node number.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <vector>

#include "filtered.hpp"
#include "graph.hpp"
#include "packed_codes.hpp"
#include "packed_pool.hpp"
#include "packed_query.hpp"
#include "packed_store.hpp"
#include "parallel.hpp"

namespace fingerpost {

// Everything a search reads; nothing is owned.
struct PackedView {
  size_t n = 0;
  size_t dim = 0;                    // of queries
  Metric metric = Metric::l2;
  // Level 0: n rows of `stride` ids, a multiple of 8; a row that is shorter ends in the node's own number.
  size_t stride = 0;
  const uint32_t* links = nullptr;
  // Levels 1 and up, over the upper nodes in ascending order. The record of the upper node at position p on level l is
  // row upper_start[p] + l - 1: the number of neighbours, then their positions.
  size_t upper_count = 0;
  const uint32_t* upper_nodes = nullptr;
  const uint32_t* upper_start = nullptr;
  size_t upper_stride = 0;
  const uint32_t* upper_links = nullptr;
  int top_level = 0;
  // Where a search starts: positions of upper nodes, or nodes where there are no upper levels.
  const uint32_t* entries = nullptr;
  size_t entry_count = 0;
  StoreView store;
  bool coded = false;
  CodeView code;
  CodeMap map;
  const uint32_t* rows = nullptr;    // row number of each node; null where they are the same

  uint32_t row_number(uint32_t id) const { return rows == nullptr ? id : rows[id]; }
};

// Sets of row numbers that searches may return, as bits.
struct Kept {
  const uint64_t* bits = nullptr;  // sets of `words` words each; null where every row may be returned
  size_t words = 0;
  const int64_t* passing = nullptr;  // rows of each set
  const uint8_t* methods = nullptr;  // how each set is searched: a KeptMethod
  const int64_t* owners = nullptr;  // the set of each query; null where the first counts for all

};

// Rows of a set up to which a scan is exact at once: there are no more estimates to save than exact distances to add.
constexpr size_t kExactRows = 512;

// One of these sets.
struct KeptSet {
  const uint64_t* words = nullptr;
  size_t passing = 0;
  KeptMethod method = KeptMethod::compare;

  // Whether all its rows are compared exactly at once.
  bool exact() const { return words != nullptr && method == KeptMethod::scan && passing <= kExactRows; }
};

// The set of a query; without words where every row may be returned.
inline KeptSet set_of(const Kept& kept, size_t query) {
  if (kept.bits == nullptr) return {};
  const size_t at = kept.owners == nullptr ? 0 : static_cast<size_t>(kept.owners[query]);
  return {kept.bits + at * kept.words, static_cast<size_t>(kept.passing[at]),
          static_cast<KeptMethod>(kept.methods[at])};
}

// Level 0 as a search with a set reads it.
struct PackedGraph {
  const PackedView& view;
  size_t size() const { return view.n; }
  Neighbours neighbours(uint32_t id) const {
    const uint32_t* links = view.links + static_cast<size_t>(id) * view.stride;
    size_t count = 0;
    // A number that is no node, as in a damaged file, ends a list too.
    while (count < view.stride && links[count] != id && links[count] < view.n) ++count;
    return {links, count};
  }
  void prefetch(uint32_t id) const {
    prefetch_bytes(view.links + static_cast<size_t>(id) * view.stride, view.stride * 4);
  }
};

// The nodes whose row numbers are in a set.
class PackedPasses {
 public:
  PackedPasses(const PackedView& view, const uint64_t* words) : view_(view), rows_(words, view.n) {}

  bool operator()(uint32_t id) const { return rows_(view_.row_number(id)); }
  template <class F>
  void each(F f) const {
    if (view_.rows == nullptr) return rows_.each(f);
    for (size_t id = 0; id < view_.n; ++id) {
      if ((*this)(static_cast<uint32_t>(id))) f(static_cast<uint32_t>(id));
    }
  }
  template <class F>
  void seeds(size_t count, F f) const {
    if (view_.rows == nullptr) return rows_.seeds(count, f);
    for (size_t i = 0; i < count; ++i) {
      size_t id = i * view_.n / count;
      const size_t end = (i + 1) * view_.n / count;
      while (id < end && !(*this)(static_cast<uint32_t>(id))) ++id;
      if (id < end) f(static_cast<uint32_t>(id));
    }
  }

 private:
  const PackedView& view_;
  KeptNodes rows_;
};

struct PackedCounters {
  uint64_t distances = 0, estimates = 0, expansions = 0;

  void operator+=(const PackedCounters& other) {
    distances += other.distances;
    estimates += other.estimates;
    expansions += other.expansions;
  }
};

// The marks of visited nodes and the list of them, which grows as candidates are met.
class Marks {
 public:
  void reset(size_t n) {
    const size_t words = (n + 63) / 64;
    if (words != bits_.size() || count_ > words / 8) {
      bits_.assign(words, 0);
    } else {
      for (size_t i = 0; i < count_; ++i) bits_[list_[i] >> 6] = 0;
    }
    count_ = 0;
  }
  // Room for so many more in the list, and for reading four beyond them.
  void fit(size_t more) {
    if (list_.size() < count_ + more + 8) list_.resize(2 * (count_ + more) + 64, 0);
  }
  // Marks the nodes of a row of links, which ends early in `own`, and lists those that were not marked. Without branches:
  // which neighbours are new cannot be foreseen. A number that is no node, as in a damaged file, counts as `own`.
  void meet(const uint32_t* links, size_t stride, uint32_t own, uint32_t n) {
    uint64_t* const bits = bits_.data();
    uint32_t* const list = list_.data();
    size_t count = count_;
    for (size_t i = 0; i < stride && links[i] != own; i += 8) {
      for (size_t j = i; j < i + 8; ++j) {
        const uint32_t id = links[j] < n ? links[j] : own;
        const uint64_t word = bits[id >> 6], bit = uint64_t{1} << (id & 63);
        list[count] = id;
        count += (word & bit) == 0;
        bits[id >> 6] = word | bit;
      }
    }
    count_ = count;
  }
  void meet(uint32_t id) {
    bits_[id >> 6] |= uint64_t{1} << (id & 63);
    list_[count_++] = id;
  }
  size_t count() const { return count_; }
  // The list from `from` on; up to four places beyond its end may be read and hold nodes.
  uint32_t* list(size_t from) {
    for (size_t i = 0; i < 4; ++i) list_[count_ + i] = list_[count_ > 0 ? count_ - 1 : 0];
    return list_.data() + from;
  }

 private:
  std::vector<uint64_t> bits_;
  std::vector<uint32_t> list_;
  size_t count_ = 0;
};

struct PackedScratch {
  Marks marks;
  Candidates pool;
  KeptScratch kept;
  TakeIn take_in = take_in_kernel();
  std::vector<float> distances;
  std::vector<uint32_t> ids;
  std::vector<uint64_t> keys;

  void fit(size_t count) {
    if (distances.size() < count + 8) {
      distances.resize(count + 8);
      ids.resize(count + 8);
    }
  }
};

// Estimates from codes as a scorer of nodes.
class CodeScorer {
 public:
  explicit CodeScorer(const PackedView& view)
      : code_(view.code), kernel_(code_kernel(view.code.bits)), query_(view.map, view.metric != Metric::ip) {}

  // Prepares up to Mapper::kBlock queries, `stride` floats apart; choose() then says which of them is searched.
  void prepare(const float* queries, size_t stride, size_t count) { query_.prepare(queries, stride, count); }
  void choose(size_t query) { asked_ = query_.query(query); }
  void prefetch(uint32_t id) const {
    const uint8_t* row = code_.row(id);
    for (size_t l = 0; l < code_.lines; ++l) fingerpost::prefetch(row + l * kLine);
  }
  // Writes, and reads of ids, up to count rounded up to four.
  void many(const uint32_t* ids, size_t count, float* out) const { kernel_(code_, asked_, ids, count, out); }

 private:
  CodeView code_;
  CodeKernel kernel_;
  QueryCode query_;
  CodeQuery asked_;
};

// The node of level 0 at which a search starts: the nearest entry point, then the nearest on each level down to 1.
template <class Scorer>
Entry descend(const PackedView& view, const Scorer& score, PackedScratch& scratch, uint64_t& scored,
              uint64_t& expansions) {
  const bool upper = view.upper_count > 0;
  const auto node = [&](uint32_t place) { return upper ? view.upper_nodes[place] : place; };
  Entry best;
  uint32_t at = 0;
  const auto look = [&](const uint32_t* places, size_t count) {
    scratch.fit(count);
    for (size_t i = 0; i < count; ++i) {
      scratch.ids[i] = node(places[i]);
      score.prefetch(scratch.ids[i]);
    }
    for (size_t i = count; i < count + 4; ++i) scratch.ids[i] = scratch.ids[0];
    score.many(scratch.ids.data(), count, scratch.distances.data());
    scored += count;
    bool moved = false;
    for (size_t i = 0; i < count; ++i) {
      const uint32_t id = scratch.ids[i];
      best.pass(scratch.distances[i]);
      if (best.id != kNone && !(pack(scratch.distances[i], id) < pack(best.distance, best.id))) continue;
      best.move(id, scratch.distances[i]);
      at = places[i];
      moved = true;
    }
    return moved;
  };
  look(view.entries, view.entry_count);
  for (int level = view.top_level; level > 0; --level) {
    for (bool moved = true; moved;) {
      const size_t record = static_cast<size_t>(view.upper_start[at]) + static_cast<size_t>(level) - 1;
      const uint32_t* links = view.upper_links + record * view.upper_stride;
      ++expansions;
      moved = links[0] > 0 && look(links + 1, links[0]);
    }
  }
  return best;
}

// Best-first search of level 0 of width ef. scratch.pool then holds the nearest nodes, of one crowd `most` at least.
//
// Delayed: the neighbours of a node are scored only after those of the next one have been listed, so that memory has time
// to bring them, which pays where scoring takes no longer than fetching. The search ends when all nodes of the pool are
// expanded, as it does where neighbours are scored at once.
template <bool Delayed, class Scorer>
void traverse(const PackedView& view, const Scorer& score, Entry entry, size_t ef, size_t most, PackedScratch& scratch,
              uint64_t& scored, uint64_t& expansions) {
  Marks& marks = scratch.marks;
  Candidates& pool = scratch.pool;
  marks.reset(view.n);
  pool.reset(ef, most, entry.range());
  scratch.fit(view.stride);
  float* distances = scratch.distances.data();
  const auto take_in = [&](const float* found, const uint32_t* ids, size_t count) {
    scratch.take_in(pool, {found, ids, count, view.links, view.stride});
  };
  marks.fit(1);
  marks.meet(entry.id);
  take_in(&entry.distance, &entry.id, 1);
  size_t waiting = marks.count();  // from here on, listed nodes are not scored yet
  for (;;) {
    const uint32_t id = pool.next();
    const size_t listed = marks.count();
    if (id != kNone) {
      ++expansions;
      const uint32_t following = pool.peek();
      if (following != kNone) prefetch_bytes(view.links + static_cast<size_t>(following) * view.stride, view.stride * 4);
      const uint32_t* links = view.links + static_cast<size_t>(id) * view.stride;
      marks.fit(view.stride);
      marks.meet(links, view.stride, id, static_cast<uint32_t>(view.n));
      const uint32_t* fresh = marks.list(listed);
      for (size_t i = 0; i < marks.count() - listed; ++i) score.prefetch(fresh[i]);
    }
    const size_t end = Delayed ? listed : marks.count(), count = end - waiting;
    if (count > 0) {
      const uint32_t* ids = marks.list(waiting);
      score.many(ids, count, distances);
      scored += count;
      take_in(distances, ids, count);
    } else if (id == kNone) {
      break;
    }
    waiting = end;
  }
}

// One thread's searches.
class PackedSearcher {
 public:
  explicit PackedSearcher(const PackedView& view)
      : view_(view), stride_(padded(view.dim)), queries_(stride_ * Mapper::kBlock), exact_(view.store, view.metric) {
    if (view.coded) codes_.emplace_back(view);
  }

  // Takes up to Mapper::kBlock queries; returns the first that has no direction under cosine, or count. estimated:
  // whether any of them is searched by codes.
  size_t prepare(const float* queries, size_t count, bool estimated) {
    for (size_t q = 0; q < count; ++q) {
      float* values = queries_.data() + q * stride_;
      std::memcpy(values, queries + q * view_.dim, view_.dim * sizeof(float));
      if (view_.metric == Metric::cosine && !normalise(values, view_.dim)) return q;
    }
    if (view_.coded && estimated) codes_[0].prepare(queries_.data(), stride_, count);
    return count;
  }

  // Searches for query q of those taken: writes k row numbers and exact distances. rerank: how many candidates of an
  // estimated search are compared exactly, at least k. set: the rows that may be found; without words all.
  void search(size_t q, size_t k, size_t ef, size_t rerank, const KeptSet& set, uint32_t* rows, float* distances) {
    exact_.set(queries_.data() + q * stride_);
    const size_t width = std::max(ef, k);
    rerank = std::max(rerank, k);
    if (view_.coded && !set.exact()) codes_[0].choose(q);
    if (set.words != nullptr) {
      const bool coded = view_.coded && !set.exact();
      const KeptWidths widths{width, std::max(width, rerank), rerank};
      if (coded) {
        search_set(codes_[0], set, widths, counters.estimates);
      } else {
        search_set(exact_, set, widths, counters.distances);
      }
      finish(scratch_.kept.kept, k, rerank, rows, distances);
      return;
    }
    if (view_.coded) {
      const Entry entry = descend(view_, codes_[0], scratch_, counters.estimates, counters.expansions);
      traverse<true>(view_, codes_[0], entry, width, std::min(width, rerank), scratch_, counters.estimates, counters.expansions);
    } else {
      const Entry entry = descend(view_, exact_, scratch_, counters.distances, counters.expansions);
      traverse<false>(view_, exact_, entry, width, k, scratch_, counters.distances, counters.expansions);
    }
    // What lies in crowds is in addition: estimates cannot tell it apart.
    finish(scratch_.pool, k, rerank + scratch_.pool.extra(), rows, distances);
  }

  PackedCounters counters;

 private:
  template <class Scorer>
  void search_set(const Scorer& score, const KeptSet& set, const KeptWidths& widths, uint64_t& scored) {
    Entry entry;
    if (set.method != KeptMethod::scan) entry = descend(view_, score, scratch_, scored, counters.expansions);
    Counters work;
    search_kept(PackedGraph{view_}, score, PackedPasses(view_, set.words), set.passing, set.method, entry, widths,
                scratch_.kept, work);
    scored += work.distances;
    counters.expansions += work.expansions;
  }

  template <class Found>
  void finish(const Found& found, size_t k, size_t rerank, uint32_t* rows, float* distances) {
    const size_t count = std::min(found.size(), view_.coded ? rerank : k);
    std::vector<uint64_t>& keys = scratch_.keys;
    keys.resize(count);
    scratch_.fit(count);
    for (size_t i = 0; i < count; ++i) {
      scratch_.ids[i] = found.id(i);
      if (!view_.coded) scratch_.distances[i] = found.distance(i);
      if (view_.coded) exact_.prefetch(scratch_.ids[i]);
    }
    if (view_.coded) {
      exact_.many(scratch_.ids.data(), count, scratch_.distances.data());
      counters.distances += count;
    }
    for (size_t i = 0; i < count; ++i) keys[i] = pack(scratch_.distances[i], view_.row_number(scratch_.ids[i]));
    const size_t best = std::min(k, count);
    std::partial_sort(keys.begin(), keys.begin() + static_cast<std::ptrdiff_t>(best), keys.end());
    for (size_t j = 0; j < k; ++j) {
      rows[j] = j < best ? id_of(keys[j]) : kNone;
      distances[j] = j < best ? distance_of(keys[j]) : std::numeric_limits<float>::infinity();
    }
  }

  const PackedView& view_;
  size_t stride_;
  Buffer<float> queries_;
  StoreScorer exact_;
  std::vector<CodeScorer> codes_;
  PackedScratch scratch_;
};

// Searches `count` queries; rows of k row numbers and distances, padded with kNone and infinity. Returns the first
// query that has no direction under cosine, or `count`.
inline size_t search_packed(const PackedView& view, const float* queries, size_t count, size_t k, size_t ef,
                            size_t rerank, const Kept& kept, int threads, uint32_t* rows, float* distances,
                            PackedCounters* total) {
  const size_t workers = threads < 1 ? 1 : static_cast<size_t>(threads);
  std::vector<PackedSearcher> searchers;
  searchers.reserve(workers);
  for (size_t t = 0; t < workers; ++t) searchers.emplace_back(view);
  std::vector<size_t> bad(workers, count);
  parallel_for(0, (count + Mapper::kBlock - 1) / Mapper::kBlock, threads, [&](size_t block, int thread) {
    const size_t t = static_cast<size_t>(thread), begin = block * Mapper::kBlock;
    const size_t size = std::min(Mapper::kBlock, count - begin);
    bool estimated = false;
    for (size_t q = 0; q < size; ++q) estimated = estimated || !set_of(kept, begin + q).exact();
    const size_t good = searchers[t].prepare(queries + begin * view.dim, size, estimated);
    if (good < size) bad[t] = std::min(bad[t], begin + good);
    for (size_t q = 0; q < size && good == size; ++q) {
      const size_t i = begin + q;
      searchers[t].search(q, k, ef, rerank, set_of(kept, i), rows + i * k, distances + i * k);
    }
  });
  for (const PackedSearcher& each : searchers) *total += each.counters;
  return *std::min_element(bad.begin(), bad.end());
}

}  // namespace fingerpost
