// Best-first search whose frontier is ordered by FINGER's estimates: a distance is computed only when a node comes up.
//
// With c the expanded node, t_v = <v,c>/<c,c> and v_res = v - t_v c,
//   <q,d> = t_q t_d |c|^2 + <q_res, d_res>        |q-d|^2 = |q|^2 + |d|^2 - 2 <q,d>
// where all but <q_res, d_res> is stored or follows from the known distance of q to c. That product is estimated from
// `rank` orthonormal directions P by codes x of P d_res of 1, 2 or 4 bits: <q_res, d_res> ~ <P q, x> - t_q <P c, x>, and
// <P c, x> is stored with the edge, so that a query is projected and quantised once for all nodes. What the codes leave
// out has a mean and a spread, for which a margin in proportion to |q_res| makes the estimate a cautious one.
// Method: Chen et al., FINGER, WWW 2023 (decomposition, screening); Gao and Long, RaBitQ, SIGMOD 2024 (codes after a
// random rotation, unbiased scale).
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <vector>

#include "graph.hpp"
#include "parallel.hpp"
#include "simd.hpp"

namespace fingerpost {
namespace deferred {

typedef float Lanes __attribute__((vector_size(64), aligned(64), may_alias));
typedef int32_t Ints __attribute__((vector_size(64), aligned(64), may_alias));

// What an expansion fixes for all neighbours of its node.
struct Centre {
  const int32_t* words = nullptr;  // the query's projection as int8, four directions a word
  size_t rows = 0;                 // rows of 64 bytes of codes
  float unit = 0, middle = 0;      // <P q, x> = scale * unit * (products - middle)
  float product = 0;               // <q,c>
  float residual = 0;              // |q_res|
  float norm2 = 0;                 // |q|^2
};

using Estimate = uint32_t (*)(const Centre& c, const uint8_t* group, float bound, float* estimates);

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wpragmas"
#pragma GCC diagnostic ignored "-Wunknown-warning-option"
#pragma GCC diagnostic ignored "-Wpsabi"
#pragma GCC diagnostic ignored "-Wuninitialized"
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"

namespace portable {
#define FINGERPOST_TARGET
#define FINGERPOST_LANES 128
#include "deferred_estimate.hpp"
#undef FINGERPOST_LANES
#undef FINGERPOST_TARGET
}  // namespace portable

#if FINGERPOST_X86
namespace avx2 {
#define FINGERPOST_TARGET __attribute__((target("avx2")))
#define FINGERPOST_LANES 256
#include "deferred_estimate.hpp"
#undef FINGERPOST_LANES
#undef FINGERPOST_TARGET
}  // namespace avx2

namespace avx512 {
#define FINGERPOST_TARGET __attribute__((target("avx512f,avx512dq,avx512bw,avx512vnni,avx2")))
#define FINGERPOST_LANES 512
#include "deferred_estimate.hpp"
#undef FINGERPOST_LANES
#undef FINGERPOST_TARGET
}  // namespace avx512
#endif

#pragma GCC diagnostic pop

#define FINGERPOST_ESTIMATE(path) \
  (bits == 1 ? path::estimate<l2, 1> : bits == 2 ? path::estimate<l2, 2> : path::estimate<l2, 4>)

template <bool l2>
inline Estimate estimate_of(int bits) {
#if FINGERPOST_X86
  static const bool vnni = __builtin_cpu_supports("avx512vnni") && __builtin_cpu_supports("avx512bw");
  if (active_path() == Path::avx512 && vnni) return FINGERPOST_ESTIMATE(avx512);
  if (active_path() != Path::portable) return FINGERPOST_ESTIMATE(avx2);
#endif
  return FINGERPOST_ESTIMATE(portable);
}

#undef FINGERPOST_ESTIMATE

// Squared norms of rows (n, dim).
inline void norms2(const float* rows, size_t n, size_t dim, float* out, int threads) {
  const Kernel product = dot();
  parallel_for(0, n, threads, [&](size_t i, int) { out[i] = product(rows + i * dim, rows + i * dim, dim); }, 64);
}

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
      const float* const rows4[4] = {directions + k * dim, directions + (k + 1) * dim, directions + (k + 2) * dim,
                                     directions + (k + 3) * dim};
      four(row, rows4, dim, to + k);
    }
    for (; k < rank; ++k) to[k] = one(row, directions + k * dim, dim);
  }, 64);
}

// ------------------------------------------------------------------------------------------------------ blocks

constexpr size_t kLine = 64;

// A node's block, in lines of 64 bytes: a head [degree: u32][|c|^2: f32] and, for each 16 neighbours, a group of
//   [ids: u32][t_d - <P c, x> / |c|^2][scale of x][margin][|d|^2, l2 alone] and rows of codes.
struct Layout {
  size_t rank = 0;
  int bits = 1;
  bool l2 = true;

  size_t rows() const { return (rank * static_cast<size_t>(bits) + 31) / 32; }
  size_t fields() const { return l2 ? 5 : 4; }
  size_t group_lines() const { return fields() + rows(); }
  size_t block_lines(size_t degree) const { return 1 + (degree + 15) / 16 * group_lines(); }
  float half() const { return 0.5f * static_cast<float>((1 << bits) - 1); }
  size_t words() const { return rows() * static_cast<size_t>(8 / bits); }
};

// In float64, in 4 sums of fixed order.
inline double sum_of_products(const float* a, const float* b, size_t count) {
  double sums[4] = {};
  size_t k = 0;
  for (; k + 4 <= count; k += 4) {
    for (int j = 0; j < 4; ++j) sums[j] += static_cast<double>(a[k + j]) * b[k + j];
  }
  for (; k < count; ++k) sums[0] += static_cast<double>(a[k]) * b[k];
  return (sums[0] + sums[2]) + (sums[1] + sums[3]);
}

// A residual's projection as codes: value i is about scale * (code[i] - half).
struct Coded {
  std::vector<uint8_t> code;
  std::vector<float> value;  // code - half
  float scale = 0;
  float noise = 0;  // |what the codes leave out of the projection|

  // Codes x at the step that loses least of normal values of the projection's mean square (Max, 1960; they are nearly
  // that after a random turn); the scale makes <y, x> unbiased for y along the projection.
  void set(const float* projection, const Layout& layout) {
    const size_t rank = layout.rank;
    const float half = layout.half();
    code.assign(rank, static_cast<uint8_t>(half + 0.5f));
    value.assign(rank, 0.0f);
    scale = noise = 0;
    const double norm2 = sum_of_products(projection, projection, rank);
    const float deviation = static_cast<float>(std::sqrt(norm2 / static_cast<double>(rank)));
    if (!(deviation > 0.0f) || !std::isfinite(deviation)) return;
    const float step = deviation * (layout.bits == 1 ? 1.5958f : layout.bits == 2 ? 0.9957f : 0.3352f);
    const float inverse = 1.0f / step, widest = 2 * half;
    for (size_t k = 0; k < rank; ++k) {
      const float at = projection[k] * inverse + (half + 0.5f);
      const float kept = at < 0.0f ? 0.0f : at < widest ? at : widest;
      const int whole = static_cast<int>(kept);
      code[k] = static_cast<uint8_t>(whole);
      value[k] = static_cast<float>(whole) - half;
    }
    const double along = sum_of_products(value.data(), projection, rank);
    if (!(along > 0)) return;
    scale = static_cast<float>(norm2 / along);
    const double own = sum_of_products(value.data(), value.data(), rank);
    noise = static_cast<float>(std::sqrt(std::max(0.0, static_cast<double>(scale) * scale * own - norm2)));
  }
};

inline void put_codes(uint8_t* rows, size_t lane, const std::vector<uint8_t>& code, int bits) {
  const size_t wide = 32 / static_cast<size_t>(bits);
  for (size_t k = 0; k < code.size(); ++k) {
    const size_t in = k % wide;
    rows[kLine * (k / wide) + 4 * lane + in % 4] |= static_cast<uint8_t>(code[k] << (static_cast<size_t>(bits) * (in / 4)));
  }
}

struct BlockInput {
  const float* vectors;  // (n, dim) as compared
  size_t dim;
  const float* projections;  // (n, rank)
  const float* norms2;       // (n)
  const int64_t* indptr;     // rows + 1, counts from 0
  const uint32_t* indices;
  size_t begin, rows;
  Layout layout;
  float tiny_norm2;
  size_t stride;  // lines from block to block; 0 where each takes what it needs
  float left_margin, noise_margin;  // margin = left_margin * |left out by P| + noise_margin * |noise| / sqrt(rank)
};

// What the coding of an edge works on.
struct EdgeScratch {
  std::vector<float> projection;
  Coded coded;
};

// One group's lanes of one neighbour d of c; a null c is the origin.
inline void put_edge(const BlockInput& in, const float* c, float c2, const float* pc, uint32_t id, size_t lane,
                     uint8_t* group, EdgeScratch& own) {
  const size_t rank = in.layout.rank;
  const float* pd = in.projections + static_cast<size_t>(id) * rank;
  const float d2 = in.norms2[id];
  float t = 0.0f;
  if (c2 > 0.0f) t = dot()(in.vectors + static_cast<size_t>(id) * in.dim, c, in.dim) / c2;
  own.projection.assign(pd, pd + rank);
  if (c2 > 0.0f) {
    for (size_t k = 0; k < rank; ++k) own.projection[k] -= t * pc[k];
  }
  own.coded.set(own.projection.data(), in.layout);
  const double shift = c2 > 0.0f ? sum_of_products(pc, own.coded.value.data(), rank) * own.coded.scale / c2 : 0.0;
  const double kept = sum_of_products(own.projection.data(), own.projection.data(), rank);
  const double residual = static_cast<double>(d2) - static_cast<double>(t) * t * c2;
  const double left = std::sqrt(std::max(0.0, residual - kept));
  const float fields[4] = {
      static_cast<float>(t - shift), own.coded.scale,
      static_cast<float>(in.left_margin * left + in.noise_margin * own.coded.noise / std::sqrt(double(rank))), d2};
  std::memcpy(group + 4 * lane, &id, sizeof id);
  for (size_t f = 1; f < in.layout.fields(); ++f) std::memcpy(group + kLine * f + 4 * lane, fields + f - 1, 4);
  put_codes(group + kLine * in.layout.fields(), lane, own.coded.code, in.layout.bits);
}

// The blocks of nodes [begin, begin + rows), one after the other from `out`, which is zero.
inline void fill_blocks(const BlockInput& in, uint8_t* out, int threads) {
  std::vector<size_t> start(in.rows + 1, 0);
  for (size_t i = 0; i < in.rows; ++i) {
    const size_t needed = in.layout.block_lines(static_cast<size_t>(in.indptr[i + 1] - in.indptr[i]));
    start[i + 1] = start[i] + (in.stride ? in.stride : needed);
  }
  parallel_for(0, in.rows, threads, [&](size_t i, int) {
    uint8_t* block = out + kLine * start[i];
    const float* c = in.vectors + (in.begin + i) * in.dim;
    const float* pc = in.projections + (in.begin + i) * in.layout.rank;
    const float square = in.norms2[in.begin + i];
    // Zero says: no direction to speak of; the node's neighbours are seen from the origin.
    const float c2 = square >= in.tiny_norm2 && square > 0.0f ? square : 0.0f;
    const uint32_t degree = static_cast<uint32_t>(in.indptr[i + 1] - in.indptr[i]);
    std::memcpy(block, &degree, sizeof degree);
    std::memcpy(block + 4, &c2, sizeof c2);
    EdgeScratch own;
    for (uint32_t j = 0; j < degree; ++j) {
      uint8_t* group = block + kLine * (1 + j / 16 * in.layout.group_lines());
      put_edge(in, c, c2, pc, in.indices[in.indptr[i] + j], j % 16, group, own);
    }
  }, 16);
}

// One block whose node is the origin, for the nodes that a search may start from.
inline void fill_entries(const BlockInput& in, const uint32_t* ids, size_t count, uint8_t* out) {
  const uint32_t degree = static_cast<uint32_t>(count);
  std::memcpy(out, &degree, sizeof degree);
  EdgeScratch own;
  for (size_t j = 0; j < count; ++j) {
    uint8_t* group = out + kLine * (1 + j / 16 * in.layout.group_lines());
    put_edge(in, nullptr, 0.0f, nullptr, ids[j], j % 16, group, own);
  }
}

}  // namespace deferred
}  // namespace fingerpost
