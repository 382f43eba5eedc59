// One pass of dual coordinate descent for 16 labels at once. Included by ranker_solve.hpp once for each instruction set and
// number type, with FINGERPOST_LANES (a namespace), REAL and INT (an integer of REAL's size) defined: no include guard.
//
// A label is a lane: nothing is summed across lanes, so all instruction sets give the same bits, and a label's result does
// not depend on its companions. The weights of a feature for the 16 labels are one line of memory, so a row is read once for
// 16 labels, and each of its features costs one load instead of sixteen.

namespace FINGERPOST_LANES {

typedef REAL Reals __attribute__((vector_size(16 * sizeof(REAL)), may_alias));
typedef INT Ints __attribute__((vector_size(16 * sizeof(INT)), may_alias));
typedef int8_t Bytes __attribute__((vector_size(16), may_alias));

static inline __attribute__((always_inline)) bool any(const Ints& mask) {
  uint64_t words[16 * sizeof(INT) / 8], all = 0;
  std::memcpy(words, &mask, sizeof(mask));
  for (size_t i = 0; i < sizeof(words) / sizeof(*words); ++i) all |= words[i];
  return all != 0;
}

// <w, x_row> for every lane: four partial sums by the place of the feature in the row.
static inline __attribute__((always_inline)) void product(const Rows<REAL>& rows, size_t row, const REAL* weights,
                                                          Reals& out) {
  Reals a = {}, b = {}, c = {}, d = {};
  const Reals* w = reinterpret_cast<const Reals*>(weights);
  const size_t end = rows.start[row + 1];
  size_t i = rows.start[row];
  for (; i + 4 <= end; i += 4) {
    a += w[rows.column[i]] * static_cast<REAL>(rows.value[i]);
    b += w[rows.column[i + 1]] * static_cast<REAL>(rows.value[i + 1]);
    c += w[rows.column[i + 2]] * static_cast<REAL>(rows.value[i + 2]);
    d += w[rows.column[i + 3]] * static_cast<REAL>(rows.value[i + 3]);
  }
  for (; i < end; ++i) a += w[rows.column[i]] * static_cast<REAL>(rows.value[i]);
  out = (a + b) + (c + d);
}

static inline __attribute__((always_inline)) void add_row(const Rows<REAL>& rows, size_t row, const Reals& step,
                                                          Lanes<REAL>& lanes) {
  Reals* w = reinterpret_cast<Reals*>(lanes.weights);
  for (size_t i = rows.start[row]; i < rows.start[row + 1]; ++i) {
    w[rows.column[i]] += step * static_cast<REAL>(rows.value[i]);
  }
  *reinterpret_cast<Reals*>(lanes.bias) += step * static_cast<REAL>(rows.bias);
}

// The decision values of a row: its shared features, the bias, and the features that only this row has.
static inline __attribute__((always_inline)) void decide(const Rows<REAL>& rows, size_t row, const Lanes<REAL>& lanes,
                                                         const Reals& signed_alpha, Reals& out) {
  product(rows, row, lanes.weights, out);
  out += *reinterpret_cast<const Reals*>(lanes.bias) * static_cast<REAL>(rows.bias);
  out += signed_alpha * rows.own2[row];
}

static void decision_values(const Rows<REAL>& rows, size_t row, const Lanes<REAL>& lanes, REAL* out) {
  product(rows, row, lanes.weights, *reinterpret_cast<Reals*>(out));
}

static void add_scaled(const Rows<REAL>& rows, size_t row, const REAL* step, Lanes<REAL>& lanes) {
  add_row(rows, row, *reinterpret_cast<const Reals*>(step), lanes);
}

// Hinge and squared hinge with shrinking: Hsieh et al. 2008, algorithm 3.
static void sweep_hinge(const Rows<REAL>& rows, const uint32_t* order, Lanes<REAL>& lanes) {
  const Reals zero = {}, one = zero + REAL(1);
  const Reals old_high = *reinterpret_cast<Reals*>(lanes.old_high), old_low = *reinterpret_cast<Reals*>(lanes.old_low);
  Reals high = zero - HUGE_VAL_OF(REAL), low = zero + HUGE_VAL_OF(REAL);
  const REAL diagonal_positive = lanes.squared ? REAL(0.5) / lanes.cost_positive : REAL(0);
  const REAL diagonal_negative = lanes.squared ? REAL(0.5) / lanes.cost_negative : REAL(0);
  const REAL upper_positive = lanes.squared ? HUGE_VAL_OF(REAL) : lanes.cost_positive;
  const REAL upper_negative = lanes.squared ? HUGE_VAL_OF(REAL) : lanes.cost_negative;
  for (size_t at = 0; at < rows.count; ++at) {
    const size_t row = order[at];
    uint64_t flags[2];
    std::memcpy(flags, lanes.state + 16 * row, 16);
    if (!((flags[0] | flags[1]) & kActiveFlags)) continue;
    Bytes bytes;
    std::memcpy(&bytes, flags, 16);
    const Ints state = __builtin_convertvector(bytes, Ints);
    const Ints active = (state & kActive) != 0, positive = (state & kPositive) != 0;
    Reals& alpha = reinterpret_cast<Reals*>(lanes.alpha)[row];
    const Reals sign = positive ? one : -one;
    Reals diagonal = positive ? zero + diagonal_positive : zero + diagonal_negative;
    Reals upper = positive ? zero + upper_positive : zero + upper_negative;
    if (lanes.costs != nullptr) {
      const Reals cost = reinterpret_cast<const Reals*>(lanes.costs)[row];
      if (lanes.squared) diagonal = REAL(0.5) / cost;
      else upper = cost;
    }
    Reals value;
    decide(rows, row, lanes, alpha * sign, value);
    const Reals gradient = sign * value - one + alpha * diagonal;
    const Ints at_low = alpha <= zero, at_high = alpha >= upper;
    const Ints shrink = active & ((at_low & (gradient > old_high)) | (at_high & (gradient < old_low)));
    const Ints live = active & ~shrink;
    Reals projected = at_low & (gradient > zero) ? zero : gradient;
    projected = at_high & (gradient < zero) ? zero : projected;
    high = live & (projected > high) ? projected : high;
    low = live & (projected < low) ? projected : low;
    if (any(shrink)) {
      for (int lane = 0; lane < 16; ++lane) {
        if (shrink[lane]) {
          lanes.state[16 * row + lane] &= static_cast<int8_t>(~kActive);
          ++lanes.shrunk[lane];
        }
      }
    }
    const Ints moves = live & ((projected > REAL(1e-12)) | (projected < REAL(-1e-12)));
    if (!any(moves)) continue;
    Reals next = alpha - gradient / (diagonal + rows.norm2[row]);
    next = next < zero ? zero : next;
    next = next > upper ? upper : next;
    const Reals step = moves ? (next - alpha) * sign : zero;
    alpha = moves ? next : alpha;
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
    Reals signed_alpha, value, step = {};
    for (int lane = 0; lane < 16; ++lane) signed_alpha[lane] = state[lane] & kPositive ? alpha[lane] : -alpha[lane];
    decide(rows, row, lanes, signed_alpha, value);
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
    if (moved) add_row(rows, row, step, lanes);
  }
}

}  // namespace FINGERPOST_LANES
