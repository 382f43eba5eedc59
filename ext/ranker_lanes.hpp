// One pass of dual coordinate descent for 16 labels at once. Included by ranker_solve.hpp once for each instruction set and
// number type, with FINGERPOST_LANES (a namespace), FINGERPOST_BYTES (of a register), REAL and INT (an integer of REAL's size)
// defined: no include guard.
//
// A label is a lane: nothing is summed across lanes, so all instruction sets give the same bits, and a label's result does
// not depend on its companions. The weights of a feature for the 16 labels are one line of memory, so a row is read once for
// 16 labels, and each of its features costs one load instead of sixteen.

namespace FINGERPOST_LANES {

#define FINGERPOST_INLINE static inline __attribute__((always_inline))

// The lanes of one register.
constexpr int kWidth = FINGERPOST_BYTES / sizeof(REAL);
typedef REAL RealRegister __attribute__((vector_size(FINGERPOST_BYTES), may_alias));
typedef INT IntRegister __attribute__((vector_size(FINGERPOST_BYTES), may_alias));
typedef int8_t ByteRegister __attribute__((vector_size(kWidth), may_alias));

// N lanes as halves of halves down to registers: the compiler compares and blends vectors that are wider than a register one
// number at a time.
#define FINGERPOST_PACK(type, Register)              \
  template <int N>                                   \
  struct __attribute__((may_alias)) type {           \
    type<N / 2> low, high;                           \
  };                                                 \
  template <>                                        \
  struct __attribute__((may_alias)) type<kWidth> {   \
    Register all;                                    \
  };
FINGERPOST_PACK(RealPack, RealRegister)
FINGERPOST_PACK(IntPack, IntRegister)
#undef FINGERPOST_PACK
typedef RealPack<16> Reals;
typedef IntPack<16> Ints;

#define FINGERPOST_EACH(type, result, op)                                                            \
  template <int N>                                                                                   \
  FINGERPOST_INLINE result<N> operator op(const type<N>& x, const type<N>& y) {                      \
    if constexpr (N == kWidth) return {x.all op y.all};                                              \
    else return {x.low op y.low, x.high op y.high};                                                  \
  }
FINGERPOST_EACH(RealPack, RealPack, +)
FINGERPOST_EACH(RealPack, RealPack, -)
FINGERPOST_EACH(RealPack, RealPack, *)
FINGERPOST_EACH(RealPack, RealPack, /)
FINGERPOST_EACH(RealPack, IntPack, <)
FINGERPOST_EACH(RealPack, IntPack, <=)
FINGERPOST_EACH(RealPack, IntPack, >)
FINGERPOST_EACH(RealPack, IntPack, >=)
FINGERPOST_EACH(IntPack, IntPack, &)
FINGERPOST_EACH(IntPack, IntPack, |)
#undef FINGERPOST_EACH

template <int N = 16>
FINGERPOST_INLINE RealPack<N> splat(REAL x) {
  if constexpr (N == kWidth) return {x - RealRegister{}};
  else return {splat<N / 2>(x), splat<N / 2>(x)};
}

template <int N>
FINGERPOST_INLINE IntPack<N> operator~(const IntPack<N>& x) {
  if constexpr (N == kWidth) return {~x.all};
  else return {~x.low, ~x.high};
}

// x where the mask is set, y elsewhere.
template <int N>
FINGERPOST_INLINE RealPack<N> choose(const IntPack<N>& mask, const RealPack<N>& x, const RealPack<N>& y) {
  if constexpr (N == kWidth) return {mask.all ? x.all : y.all};
  else return {choose(mask.low, x.low, y.low), choose(mask.high, x.high, y.high)};
}

// Which lanes have a flag of 16 bytes.
template <int N = 16>
FINGERPOST_INLINE IntPack<N> having(const int8_t* bytes, int flag) {
  if constexpr (N == kWidth) {
    ByteRegister narrow;
    std::memcpy(&narrow, bytes, sizeof(narrow));
    return {(__builtin_convertvector(narrow, IntRegister) & flag) != 0};
  } else {
    return {having<N / 2>(bytes, flag), having<N / 2>(bytes + N / 2, flag)};
  }
}

template <int N>
FINGERPOST_INLINE IntRegister joined(const IntPack<N>& mask) {
  if constexpr (N == kWidth) return mask.all;
  else return joined(mask.low) | joined(mask.high);
}

FINGERPOST_INLINE bool any(const Ints& mask) {
  const IntRegister all = joined(mask);
  uint64_t words[sizeof(all) / 8], found = 0;
  std::memcpy(words, &all, sizeof(all));
  for (const uint64_t word : words) found |= word;
  return found != 0;
}

// <w, x_row> for every lane: four partial sums by the place of the feature in the row.
FINGERPOST_INLINE void product(const Rows<REAL>& rows, size_t row, const REAL* weights,
                               Reals& out) {
  Reals a = splat(0), b = a, c = a, d = a;
  const Reals* w = reinterpret_cast<const Reals*>(weights);
  const size_t end = rows.start[row + 1];
  size_t i = rows.start[row];
  for (; i + 4 <= end; i += 4) {
    a = a + w[rows.column[i]] * splat(rows.value[i]);
    b = b + w[rows.column[i + 1]] * splat(rows.value[i + 1]);
    c = c + w[rows.column[i + 2]] * splat(rows.value[i + 2]);
    d = d + w[rows.column[i + 3]] * splat(rows.value[i + 3]);
  }
  for (; i < end; ++i) a = a + w[rows.column[i]] * splat(rows.value[i]);
  out = (a + b) + (c + d);
}

FINGERPOST_INLINE void add_row(const Rows<REAL>& rows, size_t row, const Reals& step,
                               Lanes<REAL>& lanes) {
  Reals* w = reinterpret_cast<Reals*>(lanes.weights);
  for (size_t i = rows.start[row]; i < rows.start[row + 1]; ++i) {
    Reals& mine = w[rows.column[i]];
    mine = mine + step * splat(rows.value[i]);
  }
  Reals& bias = *reinterpret_cast<Reals*>(lanes.bias);
  bias = bias + step * splat(static_cast<REAL>(rows.bias));
}

// The decision values of a row: its shared features, the bias, and the features that only this row has.
FINGERPOST_INLINE void decide(const Rows<REAL>& rows, size_t row, const Lanes<REAL>& lanes,
                              const Reals& signed_alpha, Reals& out) {
  product(rows, row, lanes.weights, out);
  out = out + *reinterpret_cast<const Reals*>(lanes.bias) * splat(static_cast<REAL>(rows.bias));
  out = out + signed_alpha * splat(rows.own2[row]);
}

static void decision_values(const Rows<REAL>& rows, size_t row, const Lanes<REAL>& lanes, REAL* out) {
  product(rows, row, lanes.weights, *reinterpret_cast<Reals*>(out));
}

static void add_scaled(const Rows<REAL>& rows, size_t row, const REAL* step, Lanes<REAL>& lanes) {
  add_row(rows, row, *reinterpret_cast<const Reals*>(step), lanes);
}

// Hinge and squared hinge with shrinking: Hsieh et al. 2008, algorithm 3.
static void sweep_hinge(const Rows<REAL>& rows, const uint32_t* order, Lanes<REAL>& lanes) {
  const Reals zero = splat(0), one = splat(1), minus_one = splat(-1);
  const Reals old_high = *reinterpret_cast<Reals*>(lanes.old_high), old_low = *reinterpret_cast<Reals*>(lanes.old_low);
  Reals high = splat(-HUGE_VAL_OF(REAL)), low = splat(HUGE_VAL_OF(REAL));
  const Reals diagonal_positive = splat(lanes.squared ? REAL(0.5) / lanes.cost_positive : REAL(0));
  const Reals diagonal_negative = splat(lanes.squared ? REAL(0.5) / lanes.cost_negative : REAL(0));
  const Reals upper_positive = splat(lanes.squared ? HUGE_VAL_OF(REAL) : lanes.cost_positive);
  const Reals upper_negative = splat(lanes.squared ? HUGE_VAL_OF(REAL) : lanes.cost_negative);
  for (size_t at = 0; at < rows.count; ++at) {
    const size_t row = order[at];
    const int8_t* state = lanes.state + 16 * row;
    uint64_t flags[2];
    std::memcpy(flags, state, 16);
    if (!((flags[0] | flags[1]) & kActiveFlags)) continue;
    const Ints active = having(state, kActive), positive = having(state, kPositive);
    Reals& alpha = reinterpret_cast<Reals*>(lanes.alpha)[row];
    const Reals sign = choose(positive, one, minus_one);
    Reals diagonal = choose(positive, diagonal_positive, diagonal_negative);
    Reals upper = choose(positive, upper_positive, upper_negative);
    if (lanes.costs != nullptr) {
      const Reals cost = reinterpret_cast<const Reals*>(lanes.costs)[row];
      if (lanes.squared) diagonal = splat(REAL(0.5)) / cost;
      else upper = cost;
    }
    Reals value;
    decide(rows, row, lanes, alpha * sign, value);
    const Reals gradient = sign * value - one + alpha * diagonal;
    const Ints at_low = alpha <= zero, at_high = alpha >= upper;
    const Ints shrink = active & ((at_low & (gradient > old_high)) | (at_high & (gradient < old_low)));
    const Ints live = active & ~shrink;
    Reals projected = choose(at_low & (gradient > zero), zero, gradient);
    projected = choose(at_high & (gradient < zero), zero, projected);
    high = choose(live & (projected > high), projected, high);
    low = choose(live & (projected < low), projected, low);
    if (any(shrink)) {
      INT shrunk[16];
      std::memcpy(shrunk, &shrink, sizeof(shrunk));
      for (int lane = 0; lane < 16; ++lane) {
        if (shrunk[lane]) {
          lanes.state[16 * row + lane] &= static_cast<int8_t>(~kActive);
          ++lanes.shrunk[lane];
        }
      }
    }
    const Ints moves = live & ((projected > splat(REAL(1e-12))) | (projected < splat(REAL(-1e-12))));
    if (!any(moves)) continue;
    Reals next = alpha - gradient / (diagonal + splat(rows.norm2[row]));
    next = choose(next < zero, zero, next);
    next = choose(next > upper, upper, next);
    const Reals step = choose(moves, (next - alpha) * sign, zero);
    alpha = choose(moves, next, alpha);
    add_row(rows, row, step, lanes);
  }
  *reinterpret_cast<Reals*>(lanes.high) = high;
  *reinterpret_cast<Reals*>(lanes.low) = low;
}

// Logistic loss: Yu, Huang and Lin 2011, algorithm 5, as LIBLINEAR has it. ``high`` becomes the largest gradient.
static void sweep_logistic(const Rows<REAL>& rows, const uint32_t* order, Lanes<REAL>& lanes) {
  for (int lane = 0; lane < 16; ++lane) lanes.high[lane] = 0;
  for (size_t at = 0; at < rows.count; ++at) {
    const size_t row = order[at];
    int8_t* state = lanes.state + 16 * row;
    uint64_t flags[2];
    std::memcpy(flags, state, 16);
    if (!((flags[0] | flags[1]) & kActiveFlags)) continue;
    REAL* alpha = lanes.alpha + 16 * row;
    alignas(64) REAL signed_alpha[16], value[16], step[16] = {};
    for (int lane = 0; lane < 16; ++lane) signed_alpha[lane] = state[lane] & kPositive ? alpha[lane] : -alpha[lane];
    decide(rows, row, lanes, *reinterpret_cast<const Reals*>(signed_alpha), *reinterpret_cast<Reals*>(value));
    bool moved = false;
    for (int lane = 0; lane < 16; ++lane) {
      if (!(state[lane] & kActive)) continue;
      const bool positive = state[lane] & kPositive;
      const REAL cost = lanes.costs ? lanes.costs[16 * row + lane] : positive ? lanes.cost_positive : lanes.cost_negative;
      const REAL sign = positive ? REAL(1) : REAL(-1);
      const REAL change = logistic_step(sign * value[lane], rows.norm2[row], cost, alpha[lane], lanes.inner_eps[lane],
                                        lanes.high[lane], lanes.newton_steps[lane]);
      if (change != 0) {
        alpha[lane] += change;
        step[lane] = sign * change;
        moved = true;
      }
    }
    if (moved) add_row(rows, row, *reinterpret_cast<const Reals*>(step), lanes);
  }
}

#undef FINGERPOST_INLINE

}  // namespace FINGERPOST_LANES
