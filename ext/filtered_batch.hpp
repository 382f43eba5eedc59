// Batches of filtered searches over a stored graph: a set of nodes and a method for each query.
#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

#include "filtered.hpp"
#include "parallel.hpp"

namespace fingerpost {

// The sets of nodes of a batch.
struct KeptSets {
  const uint64_t* bits = nullptr;  // set s at bits + s * words; null where all nodes pass
  size_t words = 0;
  const int64_t* passing = nullptr;  // of each set
};

// Searches `count` queries; rows of `wanted` ids and distances, padded with kNone and infinity, those beyond a radius
// left out. Returns the first query that has no direction under cosine, or `count`.
inline size_t search_kept_many(const GraphStore& store, const float* queries, size_t count, const KeptSets& sets,
                               const int64_t* set_of, const uint8_t* methods, const KeptWidths& widths, int threads,
                               uint32_t* ids, float* distances, Counters* total, uint64_t* scans) {
  const GraphView view = store.view();
  const Distance distance(view);
  const size_t workers = threads < 1 ? 1 : static_cast<size_t>(threads);
  const bool within = widths.radius > -std::numeric_limits<float>::infinity();
  std::vector<KeptScratch> scratch(workers);
  std::vector<Scratch> descent(workers);
  std::vector<Counters> counters(workers);
  std::vector<uint64_t> scanned(workers, 0);
  std::vector<Query> query;
  for (size_t t = 0; t < workers; ++t) query.emplace_back(store.dim());
  std::vector<size_t> bad(workers, count);
  parallel_for(0, count, threads, [&](size_t i, int thread) {
    if (!query[thread].set(queries + i * store.dim(), store.metric())) {
      bad[thread] = std::min(bad[thread], i);
      return;
    }
    const FloatScore score{view, distance, query[thread].data()};
    const size_t set = static_cast<size_t>(set_of[i]);
    const KeptNodes passes(sets.bits == nullptr ? nullptr : sets.bits + set * sets.words, view.n);
    const KeptMethod method = static_cast<KeptMethod>(methods[i]);
    Entry entry;
    if (method != KeptMethod::scan) {
      entry = greedy_upper(view, distance, query[thread].data(), descent[thread], counters[thread]);
    }
    scanned[thread] += search_kept(FloatGraph{view}, score, passes, static_cast<size_t>(sets.passing[set]), method, entry,
                                   widths, scratch[thread], counters[thread]);
    const Pool& kept = scratch[thread].kept;
    for (size_t j = 0; j < widths.wanted; ++j) {
      const bool found = j < kept.size() && (!within || !(kept.distance(j) > widths.radius));
      ids[i * widths.wanted + j] = found ? kept.id(j) : kNone;
      distances[i * widths.wanted + j] = found ? kept.distance(j) : std::numeric_limits<float>::infinity();
    }
  }, 4);
  for (const Counters& each : counters) *total += each;
  for (const uint64_t each : scanned) *scans += each;
  return *std::min_element(bad.begin(), bad.end());
}

// What a matrix product of queries and the rows of a set says of their distances.
struct Products {
  const float* values = nullptr;  // of query i and row j at values[i * count + j]
  const float* norms = nullptr;   // squared lengths of the rows
  size_t count = 0;               // rows
  Metric metric = Metric::l2;
};

// Rows of a set that may be among the nearest of one query; reused from query to query.
class Screen {
 public:
  // Every row whose distance by its product is within `slack` of the k-th smallest, and few others; all where fewer than k
  // are numbers. What is no number may be near. Distances here lack a summand of the query.
  const std::vector<uint32_t>& nearest(const Products& products, size_t query, size_t k, float slack) {
    fill(products, query);
    const float limit = (k <= kLanes / 2 ? bound_of_lanes(k) : bound_of_all(products.count, k)) + slack;
    near_.clear();
    for (size_t from = 0; from < products.count; from += kBlock) {
      const float* block = values_.data() + from;
      int any = 0;
      for (size_t j = 0; j < kBlock; ++j) any |= !(block[j] > limit);
      if (!any) continue;
      for (size_t j = 0; j < std::min(kBlock, products.count - from); ++j) {
        if (!(block[j] > limit)) near_.push_back(static_cast<uint32_t>(from + j));
      }
    }
    return near_;
  }

 private:
  static constexpr size_t kLanes = 64, kBlock = 16;
  static constexpr float kInfinity = std::numeric_limits<float>::infinity();

  // The distances, whole lanes of them, and the least of each lane.
  void fill(const Products& products, size_t query) {
    const size_t count = products.count, whole = (count + kLanes - 1) / kLanes * kLanes;
    const float* from = products.values + query * count;
    values_.resize(whole);
    float* to = values_.data();
    if (products.metric == Metric::l2) {
      for (size_t j = 0; j < count; ++j) to[j] = products.norms[j] - 2.0f * from[j];
    } else {
      for (size_t j = 0; j < count; ++j) to[j] = -from[j];
    }
    std::fill(values_.begin() + static_cast<std::ptrdiff_t>(count), values_.end(), kInfinity);
    std::fill(least_, least_ + kLanes, kInfinity);
    for (size_t at = 0; at < whole; at += kLanes) {
      for (size_t j = 0; j < kLanes; ++j) least_[j] = to[at + j] < least_[j] ? to[at + j] : least_[j];
    }
  }

  // A value that at least k lanes have something below, and few more: halved again and again between the least and the
  // greatest, as to count is cheaper than to sort.
  float bound_of_lanes(size_t k) const {
    constexpr int kHalvings = 20;
    float low = kInfinity, high = -kInfinity;
    for (size_t j = 0; j < kLanes; ++j) {
      low = least_[j] < low ? least_[j] : low;
      high = least_[j] < kInfinity && least_[j] > high ? least_[j] : high;
    }
    if (below(high) < k) return kInfinity;
    for (int i = 0; i < kHalvings; ++i) {
      const float middle = 0.5f * low + 0.5f * high;
      const size_t found = below(middle);
      if (found < k) {
        low = middle;
        continue;
      }
      high = middle;
      if (found <= k + k / 8) break;
    }
    return high;
  }
  size_t below(float value) const {
    int found = 0;
    for (size_t j = 0; j < kLanes; ++j) found += least_[j] <= value;
    return static_cast<size_t>(found);
  }

  float bound_of_all(size_t count, size_t k) {
    sorted_.clear();
    for (size_t j = 0; j < count; ++j) {
      if (values_[j] == values_[j]) sorted_.push_back(values_[j]);
    }
    if (sorted_.size() < k) return kInfinity;
    const auto at = sorted_.begin() + static_cast<std::ptrdiff_t>(k - 1);
    std::nth_element(sorted_.begin(), at, sorted_.end());
    return *at;
  }

  std::vector<float> values_, sorted_;
  std::vector<uint32_t> near_;
  float least_[kLanes];
};

// The k nearest of a set's rows (`numbers`, ascending, their vectors in `rows`) for each of `asked` queries by distances
// that a matrix product screens: what may be nearest is compared again. Ids and distances are written `stride` apart and
// padded with kNone and infinity.
inline void nearest_screened(Products products, const float* queries, const float* rows, const int64_t* numbers,
                             size_t asked, size_t dim, size_t k, size_t stride, uint32_t* ids, float* distances,
                             Counters* total) {
  const bool l2 = products.metric == Metric::l2;
  const Kernel own = dot(), kernel = l2 ? l2_squared() : own;
  const Kernel4 kernel4 = l2 ? l2_squared_x4() : dot_x4();
  // Twice the bound on the rounding of a float32 product of dim terms, in any order, against that of the kernel.
  const double unit = std::numeric_limits<float>::epsilon() * (static_cast<double>(dim) / 4 + 16);
  std::vector<float> norms(products.count);
  for (size_t j = 0; j < products.count; ++j) norms[j] = own(rows + j * dim, rows + j * dim, dim);
  products.norms = norms.data();
  double longest = 0.0;
  for (const float norm : norms) longest = std::max<double>(longest, norm);
  Screen screen;
  std::vector<float> near;
  std::vector<uint64_t> keys;
  for (size_t i = 0; i < asked; ++i) {
    const float* query = queries + i * dim;
    const double slack = unit * (static_cast<double>(own(query, query, dim)) + longest + 1.0);
    const std::vector<uint32_t>& places = screen.nearest(products, i, k, static_cast<float>(slack));
    const size_t found = places.size();
    near.resize(found);
    size_t j = 0;
    for (; j + 4 <= found; j += 4) {
      const float* const four[4] = {rows + places[j] * dim, rows + places[j + 1] * dim, rows + places[j + 2] * dim,
                                    rows + places[j + 3] * dim};
      kernel4(query, four, dim, near.data() + j);
    }
    for (; j < found; ++j) near[j] = kernel(query, rows + places[j] * dim, dim);
    keys.resize(found);
    for (j = 0; j < found; ++j) keys[j] = pack(l2 ? near[j] : 1.0f - near[j], places[j]);
    total->distances += found;
    const size_t some = std::min(k, found);
    if (found > 2 * some) {
      std::nth_element(keys.begin(), keys.begin() + static_cast<std::ptrdiff_t>(some), keys.end());
      keys.resize(some);
    }
    std::sort(keys.begin(), keys.end());
    for (j = 0; j < stride; ++j) {
      ids[i * stride + j] = j < some ? static_cast<uint32_t>(numbers[id_of(keys[j])]) : kNone;
      distances[i * stride + j] = j < some ? distance_of(keys[j]) : std::numeric_limits<float>::infinity();
    }
  }
}

}  // namespace fingerpost
