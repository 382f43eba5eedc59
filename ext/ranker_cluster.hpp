// All rankers of one cluster: its rows renumbered, its labels solved 16 at a time, the kept weights as one chunk.
#pragma once

#include "ranker_solve.hpp"

namespace fingerpost {
namespace rankers {

// Zeroed memory on a cache line's boundary that only grows.
template <class T>
class Aligned {
 public:
  T* zeroed(size_t count) {
    if (count > capacity_) {
      data_.reset(static_cast<T*>(std::aligned_alloc(128, (count * sizeof(T) + 127) / 128 * 128)));
      if (!data_) throw std::bad_alloc();
      capacity_ = count;
    }
    if (count) std::memset(static_cast<void*>(data_.get()), 0, count * sizeof(T));
    return data_.get();
  }

 private:
  struct Free {
    void operator()(T* p) const { std::free(p); }
  };
  std::unique_ptr<T, Free> data_;
  size_t capacity_ = 0;
};

struct Matrix {
  const int64_t* indptr = nullptr;
  const int32_t* indices = nullptr;
  const float* data = nullptr;
  size_t features = 0;
};

struct Settings {
  Loss loss = Loss::squared_hinge;
  double cost_positive = 1, cost_negative = 1, bias = 1, eps = 0.1, threshold = 0.1;
  int max_iter = 100;
  size_t max_nonzeros = 0;  // 0: all
  uint64_t seed = 0;
};

// The labels of a cluster: for each its positive rows as places in the cluster's rows, optional costs of these, an optional
// shift of what it is worth, and optional weights to start from (features, values and a shifted bias a label).
struct Labels {
  size_t count = 0;
  const int64_t* start = nullptr;
  const uint32_t* rows = nullptr;
  const float* costs = nullptr;
  const float* shifts = nullptr;
  const int64_t* warm_start = nullptr;
  const uint32_t* warm_features = nullptr;
  const float* warm_values = nullptr;
  const float* warm_bias = nullptr;
};

struct Chunk {
  std::vector<uint32_t> features, start{0};
  std::vector<uint16_t> columns;
  std::vector<float> values, bias;
  std::vector<int32_t> passes;
  std::vector<double> objective;
};

struct Entry {
  uint32_t feature;
  float value;
};

inline uint64_t next_random(uint64_t& state) {  // splitmix64
  uint64_t z = (state += 0x9e3779b97f4a7c15ull);
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
  return z ^ (z >> 31);
}

// Fisher-Yates; the product of a 32-bit random number and a range picks a place.
inline void shuffle(uint32_t* order, size_t count, uint64_t& state) {
  for (size_t i = count; i > 1; --i) {
    const size_t j = static_cast<size_t>(((next_random(state) >> 32) * static_cast<uint64_t>(i)) >> 32);
    std::swap(order[i - 1], order[j]);
  }
}

constexpr uint32_t kOwn = 0x80000000u;

// The rows of a cluster, their shared features numbered by falling frequency, and apart what only one row has.
template <class Real>
class ClusterRows {
 public:
  // `places` holds a zero for every feature of the matrix, before and after.
  ClusterRows(const Matrix& x, const uint32_t* rows, size_t count, double bias, std::vector<uint32_t>& places) {
    std::vector<uint32_t> found;
    size_t entries = 0;
    for (size_t i = 0; i < count; ++i) {
      for (int64_t at = x.indptr[rows[i]]; at < x.indptr[rows[i] + 1]; ++at) {
        if (places[x.indices[at]]++ == 0) found.push_back(static_cast<uint32_t>(x.indices[at]));
        ++entries;
      }
    }
    for (uint32_t feature : found) {
      if (places[feature] > 1) features.push_back(feature);
    }
    std::sort(features.begin(), features.end(), [&](uint32_t a, uint32_t b) {
      return places[a] != places[b] ? places[a] > places[b] : a < b;
    });
    const size_t own_count = found.size() - features.size();
    start_.reserve(count + 1);
    column_.reserve(entries - own_count);
    value_.reserve(entries - own_count);
    own_features.reserve(own_count);
    own_values.reserve(own_count);
    own_rows.reserve(own_count);
    for (uint32_t feature : found) {
      if (places[feature] == 1) places[feature] = kOwn;
    }
    for (size_t i = 0; i < features.size(); ++i) places[features[i]] = static_cast<uint32_t>(i);
    for (size_t i = 0; i < count; ++i) {
      start_.push_back(column_.size());
      double norm2 = bias * bias, own2 = 0;
      for (int64_t at = x.indptr[rows[i]]; at < x.indptr[rows[i] + 1]; ++at) {
        const uint32_t feature = static_cast<uint32_t>(x.indices[at]), place = places[feature];
        const float value = x.data[at];
        norm2 += static_cast<double>(value) * value;
        if (place & kOwn) {
          own2 += static_cast<double>(value) * value;
          places[feature] = kOwn | static_cast<uint32_t>(own_features.size());
          own_features.push_back(feature);
          own_values.push_back(value);
          own_rows.push_back(static_cast<uint32_t>(i));
        } else {
          column_.push_back(place);
          value_.push_back(value);
        }
      }
      norm2_.push_back(static_cast<Real>(norm2));
      own2_.push_back(static_cast<Real>(own2));
    }
    start_.push_back(column_.size());
    found_.swap(found);
    view.count = count;
    view.start = start_.data();
    view.column = column_.data();
    view.value = value_.data();
    view.norm2 = norm2_.data();
    view.own2 = own2_.data();
    view.bias = bias;
  }

  void forget(std::vector<uint32_t>& places) const {
    for (uint32_t feature : found_) places[feature] = 0;
  }

  Rows<Real> view;
  std::vector<uint32_t> features;  // of the shared places
  std::vector<uint32_t> own_features, own_rows;
  std::vector<float> own_values;

 private:
  std::vector<size_t> start_;
  std::vector<uint32_t> column_, found_;
  std::vector<float> value_;
  std::vector<Real> norm2_, own2_;
};

// Up to 16 labels of a cluster.
template <class Real>
class Group {
 public:
  void solve(const ClusterRows<Real>& cluster, const std::vector<uint32_t>& places, const Labels& labels, size_t first,
             const Settings& settings, Chunk& out, std::vector<Entry>* kept) {
    rows_ = &cluster.view;
    settings_ = &settings;
    width_ = std::min(kLanes, labels.count - first);
    begin(cluster, labels, first);
    if (labels.warm_start != nullptr) warm(cluster, places, labels, first);
    else if (settings.loss == Loss::logistic) start_logistic();
    int32_t passes[kLanes] = {};
    iterate(passes);
    for (size_t lane = 0; lane < width_; ++lane) {
      out.passes[first + lane] = passes[lane];
      out.objective[first + lane] = dual_objective(cluster, lane);
      const Real shift = labels.shifts != nullptr ? static_cast<Real>(labels.shifts[first + lane]) : Real(0);
      const float bias = static_cast<float>(bias_[lane] * static_cast<Real>(settings.bias) + shift);
      out.bias[first + lane] = std::abs(bias) >= settings.threshold ? bias : 0.0f;
    }
    collect(cluster, kept);
  }

 private:
  void begin(const ClusterRows<Real>& cluster, const Labels& labels, size_t first) {
    const size_t n = rows_->count;
    lanes_.weights = weights_.zeroed(cluster.features.size() * kLanes);
    lanes_.alpha = alpha_.zeroed(n * kLanes);
    lanes_.state = state_.zeroed(n * kLanes);
    lanes_.bias = bias_;
    std::fill_n(bias_, kLanes, Real(0));
    lanes_.cost_positive = static_cast<Real>(settings_->cost_positive);
    lanes_.cost_negative = static_cast<Real>(settings_->cost_negative);
    lanes_.squared = settings_->loss == Loss::squared_hinge;
    lanes_.costs = nullptr;
    if (labels.costs != nullptr) {
      lanes_.costs = costs_.zeroed(n * kLanes);
      std::fill_n(lanes_.costs, n * kLanes, lanes_.cost_negative);
    }
    for (size_t lane = 0; lane < width_; ++lane) set_active(lane);
    for (size_t lane = 0; lane < width_; ++lane) {
      for (int64_t at = labels.start[first + lane]; at < labels.start[first + lane + 1]; ++at) {
        const size_t place = labels.rows[at] * kLanes + lane;
        lanes_.state[place] |= kPositive;
        if (labels.costs != nullptr) lanes_.costs[place] = lanes_.cost_positive * static_cast<Real>(labels.costs[at]);
      }
    }
    order_.resize(n);
    for (size_t i = 0; i < n; ++i) order_[i] = static_cast<uint32_t>(i);
    sweeps_ = sweeps(Real());
  }

  Real cost(size_t place) const {
    if (lanes_.costs != nullptr) return lanes_.costs[place];
    return lanes_.state[place] & kPositive ? lanes_.cost_positive : lanes_.cost_negative;
  }

  Real sign(size_t place) const { return lanes_.state[place] & kPositive ? Real(1) : Real(-1); }

  void set_active(size_t lane) {
    for (size_t i = 0; i < rows_->count; ++i) lanes_.state[i * kLanes + lane] |= kActive;
  }

  void clear_active(size_t lane) {
    for (size_t i = 0; i < rows_->count; ++i) lanes_.state[i * kLanes + lane] &= static_cast<int8_t>(~kActive);
  }

  // The weights that belong to the dual variables as they are.
  void weights_from_alpha() {
    alignas(128) Real step[kLanes];
    for (size_t i = 0; i < rows_->count; ++i) {
      bool moved = false;
      for (size_t lane = 0; lane < kLanes; ++lane) {
        step[lane] = lanes_.alpha[i * kLanes + lane] * sign(i * kLanes + lane);
        moved |= step[lane] != 0;
      }
      if (moved) sweeps_.add(*rows_, i, step, lanes_);
    }
  }

  void start_logistic() {
    for (size_t i = 0; i < rows_->count; ++i) {
      for (size_t lane = 0; lane < width_; ++lane) {
        const size_t place = i * kLanes + lane;
        lanes_.alpha[place] = std::min(Real(0.001) * cost(place), Real(1e-8));
      }
    }
    weights_from_alpha();
  }

  // Dual variables from weights: at the optimum they follow from a row's margin.
  void warm(const ClusterRows<Real>& cluster, const std::vector<uint32_t>& places, const Labels& labels, size_t first) {
    for (size_t lane = 0; lane < width_; ++lane) {
      for (int64_t at = labels.warm_start[first + lane]; at < labels.warm_start[first + lane + 1]; ++at) {
        const uint32_t feature = labels.warm_features[at], place = places[feature];
        const Real value = static_cast<Real>(labels.warm_values[at]);
        if (place & kOwn) {
          const uint32_t own = place & ~kOwn;
          lanes_.alpha[cluster.own_rows[own] * kLanes + lane] += value * static_cast<Real>(cluster.own_values[own]);
        } else if (place < cluster.features.size() && cluster.features[place] == feature) {
          lanes_.weights[place * kLanes + lane] = value;
        }
      }
    }
    alignas(128) Real value[kLanes];
    for (size_t i = 0; i < rows_->count; ++i) {
      sweeps_.values(*rows_, i, lanes_, value);
      for (size_t lane = 0; lane < width_; ++lane) {
        const size_t place = i * kLanes + lane;
        const Real shift = labels.shifts != nullptr ? static_cast<Real>(labels.shifts[first + lane]) : Real(0);
        const Real bias = static_cast<Real>(labels.warm_bias[first + lane]) - shift;
        const Real decision = value[lane] + lanes_.alpha[place] + bias;
        const Real margin = sign(place) * decision, c = cost(place);
        if (settings_->loss == Loss::squared_hinge) lanes_.alpha[place] = 2 * c * std::max(Real(0), 1 - margin);
        else if (settings_->loss == Loss::hinge) lanes_.alpha[place] = margin < 1 ? c : Real(0);
        else lanes_.alpha[place] = std::min(std::max(c / (1 + std::exp(margin)), c * Real(1e-8)), c * Real(1 - 1e-8));
      }
    }
    std::fill_n(lanes_.weights, cluster.features.size() * kLanes, Real(0));
    weights_from_alpha();
  }

  void iterate(int32_t* passes) {
    const bool logistic = settings_->loss == Loss::logistic;
    const Real infinity = std::numeric_limits<Real>::infinity(), eps = static_cast<Real>(settings_->eps);
    bool running[kLanes] = {};
    for (size_t lane = 0; lane < kLanes; ++lane) {
      running[lane] = lane < width_;
      lanes_.old_high[lane] = infinity;
      lanes_.old_low[lane] = -infinity;
      lanes_.shrunk[lane] = 0;
      lanes_.inner_eps[lane] = Real(1e-2);
    }
    uint64_t random = settings_->seed;
    size_t left = width_;
    for (int pass = 0; pass < settings_->max_iter && left > 0; ++pass) {
      shuffle(order_.data(), rows_->count, random);
      std::fill_n(lanes_.newton_steps, kLanes, int64_t(0));
      (logistic ? sweeps_.logistic : sweeps_.hinge)(*rows_, order_.data(), lanes_);
      for (size_t lane = 0; lane < width_; ++lane) {
        if (!running[lane]) continue;
        ++passes[lane];
        const bool met = logistic ? lanes_.high[lane] < eps : !(lanes_.high[lane] - lanes_.low[lane] > eps);
        if (met && lanes_.shrunk[lane] == 0) {
          running[lane] = false;
          clear_active(lane);
          --left;
        } else if (logistic) {
          if (lanes_.newton_steps[lane] <= static_cast<int64_t>(rows_->count / 10)) {
            lanes_.inner_eps[lane] = std::max(std::min(Real(1e-8), eps), Real(0.1) * lanes_.inner_eps[lane]);
          }
        } else if (met) {
          lanes_.shrunk[lane] = 0;
          set_active(lane);
          lanes_.old_high[lane] = infinity;
          lanes_.old_low[lane] = -infinity;
        } else {
          lanes_.old_high[lane] = lanes_.high[lane] > 0 ? lanes_.high[lane] : infinity;
          lanes_.old_low[lane] = lanes_.low[lane] < 0 ? lanes_.low[lane] : -infinity;
        }
      }
    }
  }

  double dual_objective(const ClusterRows<Real>& cluster, size_t lane) const {
    double sum = static_cast<double>(bias_[lane]) * bias_[lane] / 2;
    for (size_t f = 0; f < cluster.features.size(); ++f) {
      const double w = lanes_.weights[f * kLanes + lane];
      sum += w * w / 2;
    }
    for (size_t i = 0; i < rows_->count; ++i) {
      const size_t place = i * kLanes + lane;
      const double a = lanes_.alpha[place], c = cost(place);
      sum += a * a * static_cast<double>(rows_->own2[i]) / 2;
      if (settings_->loss == Loss::logistic) {
        sum += (a > 0 ? a * std::log(a) : 0) + (c > a ? (c - a) * std::log(c - a) : 0) - c * std::log(c);
      } else {
        sum += (lanes_.squared ? a * a * 0.25 / c : 0) - a;
      }
    }
    return sum;
  }

  void collect(const ClusterRows<Real>& cluster, std::vector<Entry>* kept) {
    const Real threshold = static_cast<Real>(settings_->threshold);
    auto keep = [&](size_t lane, uint32_t feature, Real weight) {
      if (weight != 0 && std::abs(weight) >= threshold) kept[lane].push_back({feature, static_cast<float>(weight)});
    };
    for (size_t f = 0; f < cluster.features.size(); ++f) {
      const Real* w = lanes_.weights + f * kLanes;
      Real largest = 0;
      for (size_t lane = 0; lane < kLanes; ++lane) largest = std::max(largest, std::abs(w[lane]));
      if (largest == 0 || largest < threshold) continue;
      for (size_t lane = 0; lane < width_; ++lane) keep(lane, cluster.features[f], w[lane]);
    }
    for (size_t own = 0; own < cluster.own_features.size(); ++own) {
      const size_t row = cluster.own_rows[own] * kLanes;
      for (size_t lane = 0; lane < width_; ++lane) {
        const Real weight = lanes_.alpha[row + lane] * sign(row + lane) * static_cast<Real>(cluster.own_values[own]);
        keep(lane, cluster.own_features[own], weight);
      }
    }
    if (settings_->max_nonzeros == 0) return;
    for (size_t lane = 0; lane < width_; ++lane) {
      std::vector<Entry>& entries = kept[lane];
      if (entries.size() <= settings_->max_nonzeros) continue;
      std::nth_element(entries.begin(), entries.begin() + settings_->max_nonzeros, entries.end(),
                       [](const Entry& a, const Entry& b) {
                         const float x = std::abs(a.value), y = std::abs(b.value);
                         return x != y ? x > y : a.feature < b.feature;
                       });
      entries.resize(settings_->max_nonzeros);
    }
  }

  const Rows<Real>* rows_ = nullptr;
  const Settings* settings_ = nullptr;
  size_t width_ = 0;
  Lanes<Real> lanes_;
  Sweeps<Real> sweeps_;
  alignas(128) Real bias_[kLanes];
  Aligned<Real> weights_, alpha_, costs_;
  Aligned<int8_t> state_;
  std::vector<uint32_t> order_;
};

// Entries of the labels in label order as rows by feature.
inline void assemble(const std::vector<std::vector<Entry>>& kept, std::vector<uint32_t>& places, Chunk& out) {
  std::vector<uint32_t>& features = out.features;
  for (const auto& entries : kept) {
    for (const Entry& entry : entries) {
      if (places[entry.feature]++ == 0) features.push_back(entry.feature);
    }
  }
  std::sort(features.begin(), features.end());
  uint64_t total = 0;
  for (uint32_t feature : features) {
    const uint32_t count = places[feature];
    places[feature] = static_cast<uint32_t>(total);
    total += count;
    if (total > 0xFFFFFFFFull) throw std::length_error("a chunk: expected fewer than 2**32 weights; use smaller clusters");
    out.start.push_back(static_cast<uint32_t>(total));
  }
  out.columns.resize(total);
  out.values.resize(total);
  for (size_t label = 0; label < kept.size(); ++label) {
    for (const Entry& entry : kept[label]) {
      const uint32_t at = places[entry.feature]++;
      out.columns[at] = static_cast<uint16_t>(label);
      out.values[at] = entry.value;
    }
  }
  for (uint32_t feature : features) places[feature] = 0;
}

// Solves cluster after cluster of one matrix; keeps its memory from one to the next.
template <class Real>
class Solver {
 public:
  Chunk solve(const Matrix& x, const uint32_t* rows, size_t count, const Labels& labels, const Settings& settings,
              int threads) {
    Chunk out;
    const size_t groups = (labels.count + kLanes - 1) / kLanes;
    out.passes.assign(labels.count, 0);
    out.objective.assign(labels.count, 0.0);
    out.bias.assign(labels.count, 0.0f);
    std::vector<std::vector<Entry>> kept(groups * kLanes);
    places_.resize(x.features, 0);
    if (workers_.size() < static_cast<size_t>(threads)) workers_.resize(static_cast<size_t>(threads));
    {
      const ClusterRows<Real> cluster(x, rows, count, settings.bias, places_);
      parallel_for(0, groups, threads, [&](size_t group, int thread) {
        auto& worker = workers_[static_cast<size_t>(thread)];
        if (!worker) worker.reset(new Group<Real>());
        worker->solve(cluster, places_, labels, group * kLanes, settings, out, kept.data() + group * kLanes);
      });
      cluster.forget(places_);
    }
    kept.resize(labels.count);
    assemble(kept, places_, out);
    return out;
  }

 private:
  std::vector<uint32_t> places_;  // all zero between calls
  std::vector<std::unique_ptr<Group<Real>>> workers_;
};

}  // namespace rankers
}  // namespace fingerpost
