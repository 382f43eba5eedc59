// One-versus-rest linear rankers by dual coordinate descent: all labels of a cluster on the rows that are active in it.
//
// Sources: Hsieh et al. 2008 (hinge and squared hinge, shrinking), Yu, Huang and Lin 2011 (logistic), and LIBLINEAR's
// stopping rules. What differs: features are renumbered inside the cluster, the frequent ones first; 16 labels are solved
// side by side over the same permutations; and a feature that only one row has never enters the loop, because its weight
// is that row's dual variable times its value, which adds alpha_i * |x_own|^2 to the row's decision value.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <limits>
#include <memory>
#include <new>
#include <stdexcept>
#include <vector>

#include "parallel.hpp"
#include "simd.hpp"

namespace fingerpost {
namespace rankers {

constexpr size_t kLanes = 16;
constexpr int kActive = 1, kPositive = 2;
constexpr uint64_t kActiveFlags = 0x0101010101010101ull;

enum class Loss : int { squared_hinge = 0, hinge = 1, logistic = 2 };

// The rows of a cluster over features that at least two of them share.
template <class Real>
struct Rows {
  size_t count = 0;
  const size_t* start = nullptr;
  const uint32_t* column = nullptr;
  const float* value = nullptr;
  const Real* norm2 = nullptr;  // of the whole row, bias included
  const Real* own2 = nullptr;   // of the features that only this row has
  double bias = 0;
};

// What changes while 16 labels are solved; arrays of rows or features times 16 lanes.
template <class Real>
struct Lanes {
  Real* weights = nullptr;
  Real* bias = nullptr;
  Real* alpha = nullptr;
  Real* costs = nullptr;  // null where each side has one cost
  int8_t* state = nullptr;
  Real cost_positive = 1, cost_negative = 1;
  bool squared = true;
  alignas(128) Real old_high[kLanes], old_low[kLanes], high[kLanes], low[kLanes];
  Real inner_eps[kLanes];
  int64_t newton_steps[kLanes];
  size_t shrunk[kLanes];
};

#define HUGE_VAL_OF(T) std::numeric_limits<T>::infinity()

// One coordinate of the logistic dual: returns the change of alpha; raises `largest` to the gradient that it met.
template <class Real>
inline Real logistic_step(Real margin, Real norm2, Real cost, Real alpha, Real inner_eps, Real& largest, int64_t& steps) {
  Real mine = alpha, other = cost - alpha, sign = 1;
  if (Real(0.5) * norm2 * (other - mine) + margin < 0) {
    std::swap(mine, other);
    sign = -1;
  }
  Real z = mine;
  if (cost - z < Real(0.5) * cost) z *= Real(0.1);
  Real gradient = norm2 * (z - mine) + sign * margin + std::log(z / (cost - z));
  largest = std::max(largest, std::abs(gradient));
  int inner = 0;
  for (; inner <= 100 && std::abs(gradient) >= inner_eps; ++inner) {
    const Real curvature = norm2 + cost / (cost - z) / z;
    const Real next = z - gradient / curvature;
    z = next <= 0 ? z * Real(0.1) : next;
    gradient = norm2 * (z - mine) + sign * margin + std::log(z / (cost - z));
    ++steps;
  }
  return inner > 0 ? sign * (z - mine) : Real(0);
}

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wpragmas"
#pragma GCC diagnostic ignored "-Wunknown-warning-option"
#pragma GCC diagnostic ignored "-Wpsabi"
#pragma GCC diagnostic ignored "-Wunused-function"

#define FINGERPOST_BYTES 16
#define REAL float
#define INT int32_t
#define FINGERPOST_LANES portable_float
#include "ranker_lanes.hpp"
#undef FINGERPOST_LANES
#undef REAL
#undef INT
#define REAL double
#define INT int64_t
#define FINGERPOST_LANES portable_double
#include "ranker_lanes.hpp"
#undef FINGERPOST_LANES
#undef REAL
#undef INT
#undef FINGERPOST_BYTES

// clang has no such pragma: there the portable code is what runs.
#if FINGERPOST_X86 && !defined(__clang__)
#define FINGERPOST_MANY_LANES 1
#pragma GCC push_options
#pragma GCC target("avx2")
#define FINGERPOST_BYTES 32
#define REAL float
#define INT int32_t
#define FINGERPOST_LANES avx2_float
#include "ranker_lanes.hpp"
#undef FINGERPOST_LANES
#undef REAL
#undef INT
#define REAL double
#define INT int64_t
#define FINGERPOST_LANES avx2_double
#include "ranker_lanes.hpp"
#undef FINGERPOST_LANES
#undef REAL
#undef INT
#undef FINGERPOST_BYTES
#pragma GCC pop_options
#pragma GCC push_options
#pragma GCC target("avx512f,avx512dq,avx2,prefer-vector-width=512")
#define FINGERPOST_BYTES 64
#define REAL float
#define INT int32_t
#define FINGERPOST_LANES avx512_float
#include "ranker_lanes.hpp"
#undef FINGERPOST_LANES
#undef REAL
#undef INT
#define REAL double
#define INT int64_t
#define FINGERPOST_LANES avx512_double
#include "ranker_lanes.hpp"
#undef FINGERPOST_LANES
#undef REAL
#undef INT
#undef FINGERPOST_BYTES
#pragma GCC pop_options
#else
#define FINGERPOST_MANY_LANES 0
#endif
#pragma GCC diagnostic pop

template <class Real>
struct Sweeps {
  void (*hinge)(const Rows<Real>&, const uint32_t*, Lanes<Real>&);
  void (*logistic)(const Rows<Real>&, const uint32_t*, Lanes<Real>&);
  void (*values)(const Rows<Real>&, size_t, const Lanes<Real>&, Real*);
  void (*add)(const Rows<Real>&, size_t, const Real*, Lanes<Real>&);
};

#define FINGERPOST_SWEEPS(space) \
  { space::sweep_hinge, space::sweep_logistic, space::decision_values, space::add_scaled }

inline Sweeps<float> sweeps(float) {
#if FINGERPOST_MANY_LANES
  if (active_path() == Path::avx512) return FINGERPOST_SWEEPS(avx512_float);
  if (active_path() == Path::avx2) return FINGERPOST_SWEEPS(avx2_float);
#endif
  return FINGERPOST_SWEEPS(portable_float);
}

inline Sweeps<double> sweeps(double) {
#if FINGERPOST_MANY_LANES
  if (active_path() == Path::avx512) return FINGERPOST_SWEEPS(avx512_double);
  if (active_path() == Path::avx2) return FINGERPOST_SWEEPS(avx2_double);
#endif
  return FINGERPOST_SWEEPS(portable_double);
}

#undef FINGERPOST_SWEEPS

}  // namespace rankers
}  // namespace fingerpost
