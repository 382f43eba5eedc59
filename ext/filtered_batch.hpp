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

// The k nearest of `count` rows for each of `asked` queries by distances that a matrix product screens: what lies within
// limits[i] in row i of screen is compared again. At least k rows do.
inline void nearest_screened(const float* screen, const float* limits, const float* queries, const float* rows,
                             size_t asked, size_t count, size_t dim, Metric metric, size_t k, uint32_t* places,
                             float* distances, Counters* total) {
  const Kernel kernel = metric == Metric::l2 ? l2_squared() : dot();
  std::vector<uint32_t> near(count);
  std::vector<uint64_t> keys;
  for (size_t i = 0; i < asked; ++i) {
    const float* values = screen + i * count;
    size_t found = 0;
    // Without a branch: which rows are near cannot be foreseen.
    for (size_t j = 0; j < count; ++j) {
      near[found] = static_cast<uint32_t>(j);
      found += values[j] <= limits[i];
    }
    keys.resize(found);
    for (size_t j = 0; j < found; ++j) {
      const float value = kernel(queries + i * dim, rows + near[j] * dim, dim);
      keys[j] = pack(metric == Metric::l2 ? value : 1.0f - value, near[j]);
    }
    total->distances += found;
    std::partial_sort(keys.begin(), keys.begin() + static_cast<std::ptrdiff_t>(std::min(k, found)), keys.end());
    for (size_t j = 0; j < k; ++j) {
      places[i * k + j] = j < found ? id_of(keys[j]) : 0;
      distances[i * k + j] = j < found ? distance_of(keys[j]) : std::numeric_limits<float>::infinity();
    }
  }
}

}  // namespace fingerpost
