// FINGER: estimated distances to the neighbours of an expanded node, and best-first search that uses them as a screen.
//
// With c the expanded node, t_v = <v,c>/<c,c> and v_res = v - t_v c,
//   |q-d|^2 = (t_q-t_d)^2 |c|^2 + |q_res|^2 + |d_res|^2 - 2 |q_res| |d_res| cos(q_res, d_res)
//   <q,d>   = t_q t_d |c|^2 + |q_res| |d_res| cos(q_res, d_res)
// where all but the cosine is stored or follows from the known distance of q to c. The cosine is estimated from the
// residuals' projections on `rank` directions P: as floats (low rank), or by the share of differing signs.
// Method: Chen et al., FINGER, WWW 2023.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <string>
#include <vector>

#include "graph.hpp"
#include "parallel.hpp"
#include "simd.hpp"

namespace fingerpost {
namespace finger {

typedef float Lanes __attribute__((vector_size(64), aligned(64), may_alias));
typedef uint32_t Word __attribute__((may_alias));

// What is stored of an edge's projected residual: its direction as floats or as int8 (of 1/127), or its signs.
enum class Code : int { floats = 0, bytes = 1, signs = 2 };

// What one expansion fixes for all neighbours of its node.
struct Expansion {
  size_t rank = 0, words = 0;
  float scale = 1, bias = 0;         // corrected cosine = scale * estimate + bias
  const float* cosines = nullptr;    // signs: corrected cosine for 0..rank differing bits
  float* u = nullptr;                // P q_res, padded to 16
  uint64_t* bits = nullptr;          // signs of u; null for low rank
  float unit = 1;                    // what a code of 1 stands for
  float slope = 0;                   // scale * unit / |P q_res|
  float tq = 0, cn2 = 0, qres = 0, qres2 = 0;
  float bound = 0;                   // estimates of at least this much are screened out
};

using Prepare = void (*)(Expansion& e, const float* pq, const float* pc, size_t rank);
using Screen = uint32_t (*)(const Expansion& e, const float* group, float* estimates);

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wpragmas"
#pragma GCC diagnostic ignored "-Wunknown-warning-option"
#pragma GCC diagnostic ignored "-Wpsabi"

namespace portable {
#define FINGERPOST_TARGET
#define FINGERPOST_LANES 128
#include "finger_estimate.hpp"
#undef FINGERPOST_LANES
#undef FINGERPOST_TARGET
}  // namespace portable

#if FINGERPOST_X86
namespace avx2 {
#define FINGERPOST_TARGET __attribute__((target("avx2,popcnt")))
#define FINGERPOST_LANES 256
#include "finger_estimate.hpp"
#undef FINGERPOST_LANES
#undef FINGERPOST_TARGET
}  // namespace avx2

namespace avx512 {
#define FINGERPOST_TARGET __attribute__((target("avx512f,avx512dq,avx2,popcnt")))
#define FINGERPOST_LANES 512
#include "finger_estimate.hpp"
#undef FINGERPOST_LANES
#undef FINGERPOST_TARGET
}  // namespace avx512
#endif

#pragma GCC diagnostic pop

struct Estimator {
  Prepare prepare;
  Screen screen;
};

#define FINGERPOST_ESTIMATOR(path)                                                             \
  {path::prepare, code == Code::signs   ? static_cast<Screen>(path::signs<L2>)                 \
                  : code == Code::bytes ? static_cast<Screen>(path::low_rank<L2, int8_t>)      \
                                        : static_cast<Screen>(path::low_rank<L2, float>)}

template <bool L2>
inline Estimator estimator_of(Code code) {
#if FINGERPOST_X86
  switch (active_path()) {
    case Path::avx512:
      return FINGERPOST_ESTIMATOR(avx512);
    case Path::avx2:
      return FINGERPOST_ESTIMATOR(avx2);
    default:
      break;
  }
#endif
  return FINGERPOST_ESTIMATOR(portable);
}

#undef FINGERPOST_ESTIMATOR

// ------------------------------------------------------------------------------------------------------ tables

// out (n, rank) = rows (n, dim) times directions (rank, dim) transposed; a row's result does not depend on the others.
inline void project(const float* rows, size_t n, size_t dim, const float* directions, size_t rank, float* out,
                    int threads) {
  const Kernel one = dot();
  const Kernel4 four = dot_x4();
  parallel_for(0, n, threads, [&](size_t i, int) {
    const float* row = rows + i * dim;
    float* to = out + i * rank;
    size_t k = 0;
    for (; k + 4 <= rank; k += 4) {
      const float* const four_rows[4] = {directions + k * dim, directions + (k + 1) * dim, directions + (k + 2) * dim,
                                         directions + (k + 3) * dim};
      four(row, four_rows, dim, to + k);
    }
    for (; k < rank; ++k) to[k] = one(row, directions + k * dim, dim);
  }, 64);
}

// Tables of nodes [begin, begin + rows) and of their edges; `indptr` has rows + 1 entries and counts from 0.
struct TableInput {
  const float* vectors;
  size_t dim;
  const float* projections;  // (n, rank) of all nodes
  size_t rank;
  const int64_t* indptr;
  const uint32_t* indices;
  size_t begin, rows;
  Code code;
  float tiny_norm2;
};

inline void edge_tables(const TableInput& in, float* norm2, float* coefficient, float* residual, void* codes,
                        int threads) {
  const Kernel product = dot();
  const size_t words = (in.rank + 63) / 64;
  parallel_for(0, in.rows, threads, [&](size_t i, int) {
    const float* c = in.vectors + (in.begin + i) * in.dim;
    const float* pc = in.projections + (in.begin + i) * in.rank;
    const float c2 = product(c, c, in.dim);
    // Zero says: no direction to speak of, compare this node's neighbours exactly.
    norm2[i] = c2 >= in.tiny_norm2 && c2 > 0.0f ? c2 : 0.0f;
    std::vector<float> rest(in.dim), code(in.rank);
    for (int64_t e = in.indptr[i]; e < in.indptr[i + 1]; ++e) {
      const float* d = in.vectors + static_cast<size_t>(in.indices[e]) * in.dim;
      const float* pd = in.projections + static_cast<size_t>(in.indices[e]) * in.rank;
      const float t = norm2[i] > 0.0f ? product(d, c, in.dim) / c2 : 0.0f;
      for (size_t k = 0; k < in.dim; ++k) rest[k] = d[k] - t * c[k];
      coefficient[e] = t;
      residual[e] = std::sqrt(product(rest.data(), rest.data(), in.dim));
      float square = 0.0f;
      for (size_t k = 0; k < in.rank; ++k) {
        code[k] = pd[k] - t * pc[k];
        square += code[k] * code[k];
      }
      if (in.code == Code::signs) {
        uint64_t* to = static_cast<uint64_t*>(codes) + static_cast<size_t>(e) * words;
        for (size_t w = 0; w < words; ++w) to[w] = 0;
        for (size_t k = 0; k < in.rank; ++k) to[k / 64] |= static_cast<uint64_t>(code[k] >= 0.0f) << (k % 64);
        continue;
      }
      const float norm = std::sqrt(square);
      for (size_t k = 0; k < in.rank; ++k) {
        const float value = norm > 0.0f ? code[k] / norm : 0.0f;
        const size_t to = static_cast<size_t>(e) * in.rank + k;
        if (in.code == Code::floats) {
          static_cast<float*>(codes)[to] = value;
        } else {
          static_cast<int8_t*>(codes)[to] = static_cast<int8_t>(std::lrint(std::isfinite(value) ? 127.0f * value : 0.0f));
        }
      }
    }
  }, 16);
}

// Tables as the search reads them: one block a node, whole cache lines:
//   [degree, |c|^2, 14 unused][P c padded to 16] then for each 16 neighbours
//   [16 ids][16 t_d][16 |d_res|][rank x 16 floats or int8, or words x 16 uint64, padded]
class Blocks {
 public:
  // width: codes of one edge; each takes `code_bytes`.
  Blocks(size_t rank, Code code)
      : rank_(rank), width_(code == Code::signs ? (rank + 63) / 64 : rank),
        code_bytes_(code == Code::signs ? 8 : code == Code::bytes ? 1 : 4) {}

  size_t head() const { return 16 + padded(rank_); }
  size_t group() const { return 48 + padded(16 * width_ * code_bytes_ / 4); }
  size_t bytes() const { return data_.size() * sizeof(float); }

  void fill(size_t n, const int64_t* indptr, const uint32_t* indices, const float* norm2, const float* projections,
            const float* coefficient, const float* residual, const void* codes) {
    size_t total = 0, widest = 0;
    for (size_t i = 0; i < n; ++i) {
      const size_t block = size(static_cast<size_t>(indptr[i + 1] - indptr[i]));
      total += block;
      widest = std::max(widest, block);
    }
    // Blocks of one size are found without a look at their offsets, which costs a cache miss at each expansion. A graph
    // with a few long lists would pay too much memory for that.
    stride_ = widest * n <= total + total / 2 ? widest : 0;
    if (stride_ == 0) {
      offset_.assign(n, 0);
      for (size_t i = 1; i < n; ++i) {
        offset_[i] = offset_[i - 1] + size(static_cast<size_t>(indptr[i] - indptr[i - 1]));
      }
    }
    data_ = Buffer<float>(stride_ ? stride_ * n : total);
    const char* from = static_cast<const char*>(codes);
    for (size_t i = 0; i < n; ++i) {
      float* block = data_.data() + start(i);
      const uint32_t degree = static_cast<uint32_t>(indptr[i + 1] - indptr[i]);
      std::memcpy(block, &degree, sizeof degree);
      block[1] = norm2[i];
      std::memcpy(block + 16, projections + i * rank_, rank_ * sizeof(float));
      for (size_t j = 0; j < degree; ++j) {
        const size_t edge = static_cast<size_t>(indptr[i]) + j, lane = j % 16;
        float* to = block + head() + j / 16 * group();
        std::memcpy(to + lane, indices + edge, sizeof(uint32_t));
        to[16 + lane] = coefficient[edge];
        to[32 + lane] = residual[edge];
        char* rows = reinterpret_cast<char*>(to + 48);
        for (size_t w = 0; w < width_; ++w) {
          std::memcpy(rows + (16 * w + lane) * code_bytes_, from + (edge * width_ + w) * code_bytes_, code_bytes_);
        }
      }
    }
  }

  const float* block(uint32_t id) const { return data_.data() + start(id); }
  // Floats of a node with so many neighbours.
  size_t size(size_t degree) const { return head() + (degree + 15) / 16 * group(); }

 private:
  size_t start(size_t id) const { return stride_ ? id * stride_ : offset_[id]; }

  size_t stride_ = 0;  // floats between blocks; 0: see offset_
  size_t rank_, width_, code_bytes_;
  std::vector<size_t> offset_;
  Buffer<float> data_;
};

struct ScreenCounters {
  uint64_t distances = 0;   // full distances, upper levels included
  uint64_t expansions = 0;  // nodes whose neighbours were looked at, upper levels included
  uint64_t estimates = 0;   // neighbours whose distance was estimated

  void operator+=(const ScreenCounters& other) {
    distances += other.distances;
    expansions += other.expansions;
    estimates += other.estimates;
  }
};

// The directions, the correction and the blocks of one graph.
class Tables {
 public:
  // directions: (rank, dim); a corrected cosine is scale * estimate + bias, at most 1.
  Tables(const float* directions, size_t rank, size_t dim, Code code, float scale, float bias)
      : rank_(rank), code_(code), scale_(scale), bias_(bias),
        directions_(copy_rows(directions, rank, dim)), blocks_(rank, code) {
    const double pi = 3.14159265358979323846;
    for (size_t h = 0; h <= rank && code == Code::signs; ++h) {
      const float cosine = static_cast<float>(std::cos(pi * static_cast<double>(h) / static_cast<double>(rank)));
      const float corrected = cosine * scale + bias;
      cosines_.push_back(corrected < 1.0f ? corrected : 1.0f);
    }
  }
  Blocks& blocks() { return blocks_; }
  const Blocks& blocks() const { return blocks_; }
  size_t rank() const { return rank_; }
  const float* directions() const { return directions_.data(); }

  // A query's own part: its projection, its squared norm and room for one expansion.
  struct QuerySide {
    Buffer<float> projection, u;
    std::vector<uint64_t> bits;
    float norm2 = 0;
    Expansion expansion;
    Estimator estimator;
  };
  QuerySide make_side() const {
    QuerySide side;
    side.projection = Buffer<float>(padded(rank_));
    side.u = Buffer<float>(padded(rank_));
    side.bits.assign((rank_ + 63) / 64, 0);
    return side;
  }
  void set_query(QuerySide& side, const GraphView& view, const float* query) const {
    project(query, 1, view.dim, directions_.data(), rank_, side.projection.data(), 1);
    side.norm2 = dot()(query, query, view.dim);
    side.estimator = view.metric == Metric::l2 ? estimator_of<true>(code_) : estimator_of<false>(code_);
    Expansion& e = side.expansion;
    e.rank = rank_;
    e.words = side.bits.size();
    e.scale = scale_;
    e.bias = bias_;
    e.cosines = cosines_.data();
    e.u = side.u.data();
    e.bits = code_ == Code::signs ? side.bits.data() : nullptr;
    e.unit = code_ == Code::bytes ? 1.0f / 127.0f : 1.0f;
  }
  // Fixes the expansion of the node of `block` at its known distance; false where its norm is too small for estimates.
  bool set_centre(QuerySide& side, const GraphView& view, const float* block, float distance, float bound) const {
    Expansion& e = side.expansion;
    e.cn2 = block[1];
    // Beyond this ratio <q,c> drowns in the rounding of |q|^2.
    if (!(e.cn2 > 0.0f) || !(e.cn2 >= tiny_share * side.norm2)) return false;
    const bool l2 = view.metric == Metric::l2;
    const float product = l2 ? 0.5f * (e.cn2 + side.norm2 - distance) : 1.0f - distance;
    e.tq = product / e.cn2;
    const float square = side.norm2 - e.tq * product;
    e.qres2 = square > 0.0f ? square : 0.0f;
    e.qres = std::sqrt(e.qres2);
    // Rounding alone must not screen a neighbour out: an exact estimate is to give the search without a screen.
    e.bound = bound + rounding * (l2 ? e.cn2 + side.norm2 : 1.0f + std::sqrt(e.cn2 * side.norm2));
    side.estimator.prepare(e, side.projection.data(), block + 16, rank_);
    return true;
  }

 private:
  static constexpr float tiny_share = 1e-6f;
  static constexpr float rounding = 4e-6f;
  size_t rank_;
  Code code_;
  float scale_, bias_;
  Buffer<float> directions_;
  std::vector<float> cosines_;
  Blocks blocks_;
};

// ------------------------------------------------------------------------------------------------------ search

struct FingerScratch {
  Scratch scratch;
  Tables::QuerySide side;
};

// Best-first search of level 0. Until the results are full, every neighbour is compared exactly; from then on only
// those whose estimate is below the worst result. One that is screened out is not marked as visited: another node may
// lead to it. The pool holds exact distances only.
inline void screened_level0(const GraphView& view, const Distance& distance, const Tables& tables, const float* query,
                            Entry entry, size_t ef, size_t k, FingerScratch& own, ScreenCounters& counters) {
  Visited& visited = own.scratch.visited;
  Pool& pool = own.scratch.pool;
  visited.reset(view.n);
  pool.reset(ef, k, entry.range());
  visited.set(entry.id);
  pool.insert(entry.distance, entry.id);
  const Blocks& blocks = tables.blocks();
  const Expansion& expansion = own.side.expansion;
  const size_t head = view.dim < 256 ? view.dim * 4 : 1024;
  uint32_t id;
  float at;
  while (pool.next(&id, &at)) {
    const float* block = blocks.block(id);
    uint32_t degree;
    std::memcpy(&degree, block, sizeof degree);
    own.scratch.fit(degree);
    ++counters.expansions;
    const bool screened = pool.full() && tables.set_centre(own.side, view, block, at, pool.bound());
    if (screened) counters.estimates += degree;
    uint32_t* near = own.scratch.ids.data();
    size_t count = 0;
    const float* group = block + blocks.head();
    for (uint32_t first = 0; first < degree; first += 16, group += blocks.group()) {
      const Word* ids = reinterpret_cast<const Word*>(group);
      uint32_t mask = degree - first < 16 ? (1u << (degree - first)) - 1u : 0xFFFFu;
      if (screened) mask &= own.side.estimator.screen(expansion, group, nullptr);
      for (; mask; mask &= mask - 1) {
        const uint32_t neighbour = ids[__builtin_ctz(mask)];
        if (visited.insert(neighbour)) {
          prefetch_bytes(view.row(neighbour), head);
          near[count++] = neighbour;
        }
      }
    }
    counters.distances += count;
    const uint32_t following = pool.peek();
    if (following != kNone) prefetch_bytes(blocks.block(following), 512);
    distance.many(query, near, count, own.scratch.distances.data());
    for (size_t i = 0; i < count; ++i) pool.insert(own.scratch.distances[i], near[i]);
    const uint32_t nearest = pool.peek();
    if (nearest != kNone && nearest != following) prefetch_bytes(blocks.block(nearest), 512);
  }
}

// Searches for `count` queries; rows of k ids and distances, nearest first, filled up with kNone and infinity.
// Returns the first query without a direction (cosine), or -1.
inline int64_t search(const GraphStore& store, const Tables& tables, const float* queries, size_t count, size_t k,
                      size_t ef, int threads, uint32_t* ids, float* distances, ScreenCounters* counters) {
  const GraphView view = store.view();
  const Distance distance(view);
  const size_t workers = threads < 1 ? 1 : static_cast<size_t>(threads);
  std::vector<FingerScratch> scratch(workers);
  std::vector<Query> query;
  std::vector<ScreenCounters> totals(workers);
  std::vector<int64_t> bad(workers, -1);
  for (size_t t = 0; t < workers; ++t) {
    query.emplace_back(store.dim());
    scratch[t].side = tables.make_side();
  }
  parallel_for(0, count, threads, [&](size_t i, int thread) {
    FingerScratch& own = scratch[thread];
    uint32_t* to_ids = ids + i * k;
    float* to_distances = distances + i * k;
    if (!query[thread].set(queries + i * store.dim(), store.metric())) {
      if (bad[thread] < 0 || static_cast<int64_t>(i) < bad[thread]) bad[thread] = static_cast<int64_t>(i);
      return;
    }
    size_t found = 0;
    if (view.n && view.entry_count) {
      const float* values = query[thread].data();
      tables.set_query(own.side, view, values);
      Counters upper;
      const Entry entry = greedy_upper(view, distance, values, own.scratch, upper);
      totals[thread].distances += upper.distances;
      totals[thread].expansions += upper.expansions;
      screened_level0(view, distance, tables, values, entry, std::max(ef, k), k, own, totals[thread]);
      found = std::min(k, own.scratch.pool.size());
    }
    for (size_t j = 0; j < k; ++j) {
      to_ids[j] = j < found ? own.scratch.pool.id(j) : kNone;
      to_distances[j] = j < found ? own.scratch.pool.distance(j) : std::numeric_limits<float>::infinity();
    }
  });
  int64_t first = -1;
  for (size_t t = 0; t < workers; ++t) {
    *counters += totals[t];
    if (bad[t] >= 0 && (first < 0 || bad[t] < first)) first = bad[t];
  }
  return first;
}

// Estimated distances of one query to all neighbours of one node, as the search computes them; false where the node is
// compared exactly. `out` has room for the degree rounded up to 16.
inline bool estimate_node(const GraphStore& store, const Tables& tables, const float* values, uint32_t id, float* out) {
  const GraphView view = store.view();
  const Distance distance(view);
  Query query(store.dim());
  if (!query.set(values, store.metric())) return false;
  Tables::QuerySide side = tables.make_side();
  tables.set_query(side, view, query.data());
  const float* block = tables.blocks().block(id);
  if (!tables.set_centre(side, view, block, distance(query.data(), id), 0.0f)) return false;
  uint32_t degree;
  std::memcpy(&degree, block, sizeof degree);
  const float* group = block + tables.blocks().head();
  for (uint32_t first = 0; first < degree; first += 16, group += tables.blocks().group()) {
    side.estimator.screen(side.expansion, group, out + first);
  }
  return true;
}

}  // namespace finger
}  // namespace fingerpost
