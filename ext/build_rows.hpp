// The rows of a graph in the making, in the form in which distances between them cost least.
//
// Integers: where all values are whole numbers within a range of 255, rows are bytes and squared L2 is exact.
// Codes: rows (cosine, inner product: scaled to length one) less their mean, rotated at random (three rounds of random
// signs and Hadamard transforms, as in Ailon and Chazelle, doi 10.1137/060673096), in 8 bits of one step. Where a
// distance is so small that the codes' error would tell (kRefine), the floats decide, so that rows that differ by less
// than a step are told apart. Floats: everything else (few columns, or rows too near to each other for one step).
// Every form gives the same bits on every SIMD path, and d(a, b) = d(b, a).
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>
#include <vector>

#include "byte_kernels.hpp"
#include "graph.hpp"
#include "parallel.hpp"
#include "row_passes.hpp"

namespace fingerpost {

enum class RowForm : int { floats = 0, integers = 1, codes = 2 };

class BuildRows {
 public:
  // vectors: n rows of dim finite floats, which must outlive this.
  BuildRows(const float* vectors, size_t n, size_t dim, Metric metric)
      : vectors_(vectors), n_(n), dim_(dim), metric_(metric) {}

  // Chooses the form and makes the rows. The result does not depend on the number of threads.
  void make(int threads) {
    passes_ = row_passes();
    check_lengths(threads);
    if (bad_row_ != kNone) return;
    float low = 0, high = 0;
    if (metric_ == Metric::l2 && dim_ >= 16 && dim_ <= kMaxBytes && whole_numbers(threads, &low, &high)) {
      form_ = RowForm::integers;
      make_integers(low, threads);
    } else if (dim_ >= kMinCoded && dim_ <= kMaxBytes && fit_codes(threads)) {
      form_ = RowForm::codes;
      make_codes(threads);
    }
    if (form_ == RowForm::floats) {
      bytes_ = Buffer<uint8_t>();
      make_floats(threads);
    }
    kernel_ = bytes_squared_l2();
    kernel4_ = bytes_squared_l2_x4();
    float_kernel_ = metric_ == Metric::l2 ? l2_squared() : dot();
    float_kernel4_ = metric_ == Metric::l2 ? l2_squared_x4() : dot_x4();
  }

  RowForm form() const { return form_; }
  Metric metric() const { return metric_; }
  uint32_t bad_row() const { return bad_row_; }

  void prefetch_row(uint32_t id) const {
    if (form_ == RowForm::floats) {
      prefetch_bytes(float_row(id), std::min<size_t>(float_stride_ * 4, 256));
    } else {
      prefetch_bytes(byte_row(id), std::min<size_t>(byte_stride_, 512));
    }
  }

  // Distances of row `from` to `count` rows.
  void many(uint32_t from, const uint32_t* ids, size_t count, float* out) const {
    if (form_ == RowForm::floats) return many_floats(from, ids, count, out);
    const uint8_t* query = byte_row(from);
    int32_t sums[4];
    size_t i = 0;
    for (; i + 4 <= count; i += 4) {
      const uint8_t* const rows[4] = {byte_row(ids[i]), byte_row(ids[i + 1]), byte_row(ids[i + 2]),
                                      byte_row(ids[i + 3])};
      if (byte_stride_ > 512) {
        for (size_t j = i + 4; j < count && j < i + 8; ++j) prefetch_bytes(byte_row(ids[j]), byte_stride_);
      }
      kernel4_(query, rows, byte_stride_, sums);
      for (int r = 0; r < 4; ++r) out[i + r] = static_cast<float>(sums[r]);
    }
    for (; i < count; ++i) out[i] = static_cast<float>(kernel_(query, byte_row(ids[i]), byte_stride_));
    if (form_ == RowForm::codes) {
      for (i = 0; i < count; ++i) out[i] = decoded(from, ids[i], out[i]);
    }
  }
  float one(uint32_t from, uint32_t id) const {
    float out;
    many(from, &id, 1, &out);
    return out;
  }

  // Whether two rows are equal (cosine: once they are scaled to length one); zeros of both signs are.
  bool twins(uint32_t a, uint32_t b) const {
    if (form_ == RowForm::floats) return std::equal(float_row(a), float_row(a) + dim_, float_row(b));
    if (std::memcmp(byte_row(a), byte_row(b), byte_stride_) != 0) return false;
    if (form_ == RowForm::integers) return true;
    const float *x = vectors_ + a * dim_, *y = vectors_ + b * dim_;
    if (metric_ != Metric::cosine) return std::equal(x, x + dim_, y);
    for (size_t i = 0; i < dim_; ++i) {
      if (static_cast<float>(x[i] / length_[a]) != static_cast<float>(y[i] / length_[b])) return false;
    }
    return true;
  }

 private:
  static constexpr size_t kMinCoded = 48, kMaxBytes = 32768, kBlock = 1024;
  static constexpr float kRefine = 1600.0f;

  const float* raw(size_t i) const { return vectors_ + i * dim_; }
  const float* float_row(uint32_t id) const { return floats_ + static_cast<size_t>(id) * float_stride_; }
  const uint8_t* byte_row(uint32_t id) const { return bytes_.data() + static_cast<size_t>(id) * byte_stride_; }

  void many_floats(uint32_t from, const uint32_t* ids, size_t count, float* out) const {
    const float* query = float_row(from);
    size_t i = 0;
    for (; i + 4 <= count; i += 4) {
      const float* const rows[4] = {float_row(ids[i]), float_row(ids[i + 1]), float_row(ids[i + 2]),
                                    float_row(ids[i + 3])};
      for (size_t j = i + 4; j < count && j < i + 8; ++j) {
        prefetch_bytes(float_row(ids[j]), std::min<size_t>(float_stride_ * 4, 1024));
      }
      float_kernel4_(query, rows, float_stride_, out + i);
    }
    for (; i < count; ++i) out[i] = float_kernel_(query, float_row(ids[i]), float_stride_);
    if (metric_ != Metric::l2) {
      for (i = 0; i < count; ++i) out[i] = 1.0f - out[i];
    }
  }

  float decoded(uint32_t a, uint32_t b, float sum) const {
    if (sum < refine_) return exact(a, b);
    if (metric_ == Metric::l2) return sum * unit_;
    const float cosine_distance = sum * unit_;
    if (metric_ == Metric::cosine) return cosine_distance;
    return 1.0f - static_cast<float>(length_[a]) * static_cast<float>(length_[b]) * (1.0f - cosine_distance);
  }
  float exact(uint32_t a, uint32_t b) const {
    const float value = float_kernel_(raw(a), raw(b), dim_);
    if (metric_ == Metric::l2) return value;
    if (metric_ == Metric::ip) return 1.0f - value;
    return static_cast<float>(1.0 - static_cast<double>(value) / (length_[a] * length_[b]));
  }

  template <class F>
  void blocks(int threads, F f) const {
    parallel_for(0, (n_ + kBlock - 1) / kBlock, threads, [&](size_t block, int) {
      f(block, block * kBlock, std::min(n_, (block + 1) * kBlock));
    });
  }

  void check_lengths(int threads) {
    if (metric_ == Metric::l2) return;
    length_.resize(n_);
    std::vector<uint32_t> bad((n_ + kBlock - 1) / kBlock, kNone);
    blocks(threads, [&](size_t block, size_t from, size_t to) {
      // Each in the order of its columns, some rows at once: one sum alone would wait for every addition.
      constexpr size_t kRows = 8;
      for (size_t i = from; i < to; i += kRows) {
        const size_t rows = std::min(kRows, to - i);
        const float* values[kRows];
        double squares[kRows] = {};
        for (size_t r = 0; r < kRows; ++r) values[r] = raw(i + std::min(r, rows - 1));
        for (size_t j = 0; j < dim_; ++j) {
          for (size_t r = 0; r < kRows; ++r) {
            squares[r] += static_cast<double>(values[r][j]) * static_cast<double>(values[r][j]);
          }
        }
        for (size_t r = 0; r < rows; ++r) {
          length_[i + r] = std::sqrt(squares[r]);
          const bool fine = squares[r] > 1e-300 && std::isfinite(squares[r]);
          if (metric_ == Metric::cosine && !fine && bad[block] == kNone) bad[block] = static_cast<uint32_t>(i + r);
        }
      }
    });
    for (const uint32_t row : bad) bad_row_ = std::min(bad_row_, row);
  }

  bool whole_numbers(int threads, float* low, float* high) const {
    const size_t count = (n_ + kBlock - 1) / kBlock;
    std::vector<float> lows(count), highs(count);
    std::atomic<bool> whole{true};
    blocks(threads, [&](size_t block, size_t from, size_t to) {
      if (!whole.load(std::memory_order_relaxed)) return;
      float least = raw(from)[0], most = least;
      bool fine = true;
      for (size_t i = from; i < to && fine; ++i) fine = passes_.whole(raw(i), dim_, &least, &most);
      lows[block] = least;
      highs[block] = most;
      if (!fine) whole.store(false, std::memory_order_relaxed);
    });
    if (!whole.load()) return false;
    *low = *std::min_element(lows.begin(), lows.end());
    *high = *std::max_element(highs.begin(), highs.end());
    return *high - *low <= 255.0f;
  }

  void make_integers(float low, int threads) {
    byte_stride_ = (dim_ + 63) / 64 * 64;
    bytes_ = Buffer<uint8_t>(n_ * byte_stride_);
    blocks(threads, [&](size_t, size_t from, size_t to) {
      for (size_t i = from; i < to; ++i) passes_.whole_bytes(raw(i), dim_, low, bytes_.data() + i * byte_stride_);
    });
  }

  void make_floats(int threads) {
    float_stride_ = padded(dim_);
    if (metric_ != Metric::cosine && float_stride_ == dim_) {
      floats_ = vectors_;
      return;
    }
    copy_ = Buffer<float>(n_ * float_stride_);
    floats_ = copy_.data();
    blocks(threads, [&](size_t, size_t from, size_t to) {
      for (size_t i = from; i < to; ++i) {
        float* row = copy_.data() + i * float_stride_;
        std::memcpy(row, raw(i), dim_ * sizeof(float));
        if (metric_ == Metric::cosine) normalise(row, dim_);
      }
    });
  }

  // A row less the mean, rotated: `out` holds dim_ floats.
  void rotated(size_t i, float* out) const {
    const float scale = metric_ == Metric::l2 || !(length_[i] > 0) ? 1.0f : static_cast<float>(1.0 / length_[i]);
    for (size_t j = 0; j < dim_; ++j) out[j] = raw(i)[j] * scale - mean_[j];
    size_t power = 1;
    while (power * 2 <= dim_) power *= 2;
    const float factor = 1.0f / std::sqrt(static_cast<float>(power));
    for (int round = 0; round < 3; ++round) {
      const float* signs = signs_.data() + static_cast<size_t>(round) * dim_;
      for (size_t j = 0; j < dim_; ++j) out[j] *= signs[j];
      passes_.hadamard(out, power, factor);
      if (power < dim_) passes_.hadamard(out + dim_ - power, power, factor);
    }
  }

  // Fits mean, signs and step; false where one step would be too coarse for most neighbours.
  bool fit_codes(int threads) {
    const size_t count = (n_ + kBlock - 1) / kBlock;
    std::vector<std::vector<double>> sums(count);
    blocks(threads, [&](size_t block, size_t from, size_t to) {
      sums[block].assign(dim_, 0.0);
      double* sum = sums[block].data();
      for (size_t i = from; i < to; ++i) {
        const double scale = metric_ == Metric::l2 || !(length_[i] > 0) ? 1.0 : 1.0 / length_[i];
        const float* row = raw(i);
        for (size_t j = 0; j < dim_; ++j) sum[j] += static_cast<double>(row[j]) * scale;
      }
    });
    std::vector<double> total(dim_, 0.0);
    for (const auto& sum : sums) {
      for (size_t j = 0; j < dim_; ++j) total[j] += sum[j];
    }
    mean_.resize(dim_);
    for (size_t j = 0; j < dim_; ++j) mean_[j] = static_cast<float>(total[j] / static_cast<double>(n_));
    signs_.resize(3 * dim_);
    uint64_t state = 0;
    for (float& sign : signs_) {
      uint64_t z = state += 0x9E3779B97F4A7C15ull;
      z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9ull;
      z = (z ^ (z >> 27)) * 0x94D049BB133111EBull;
      sign = (z >> 63) ? 1.0f : -1.0f;
    }
    std::vector<float> widest(count, 0.0f);
    blocks(threads, [&](size_t block, size_t from, size_t to) {
      std::vector<float> row(dim_);
      for (size_t i = from; i < to; ++i) {
        rotated(i, row.data());
        widest[block] = std::max(widest[block], passes_.widest(row.data(), dim_));
      }
    });
    const float width = *std::max_element(widest.begin(), widest.end());
    step_ = width / 127.0f;
    if (!(step_ > 1e-15f) || !(step_ < 1e15f)) return false;
    const float square = step_ * step_;
    unit_ = metric_ == Metric::l2 ? square : 0.5f * square;
    refine_ = std::max(kRefine, 4.0f * static_cast<float>(dim_));
    return !coarse();
  }

  // Whether most rows of a sample have a neighbour in it, one in a thousand, so near that floats would have to decide:
  // one far row may stretch the step beyond use.
  bool coarse() const {
    const size_t sample = std::min<size_t>(n_, 1024), anchors = std::min<size_t>(n_, 64);
    const Kernel kernel = l2_squared();
    std::vector<float> rows(sample * dim_);
    for (size_t s = 0; s < sample; ++s) rotated(s * n_ / sample, rows.data() + s * dim_);
    size_t near = 0;
    for (size_t a = 0; a < anchors; ++a) {
      const float* anchor = rows.data() + a * sample / anchors * dim_;
      float least = std::numeric_limits<float>::infinity();
      for (size_t s = 0; s < sample; ++s) {
        const float* other = rows.data() + s * dim_;
        if (other != anchor) least = std::min(least, kernel(anchor, other, dim_));
      }
      near += least < refine_ * step_ * step_;
    }
    return 2 * near > anchors;
  }

  void make_codes(int threads) {
    byte_stride_ = (dim_ + 63) / 64 * 64;
    bytes_ = Buffer<uint8_t>(n_ * byte_stride_);
    const float inverse = 1.0f / step_;
    blocks(threads, [&](size_t, size_t from, size_t to) {
      std::vector<float> values(dim_);
      for (size_t i = from; i < to; ++i) {
        rotated(i, values.data());
        passes_.codes(values.data(), dim_, inverse, bytes_.data() + i * byte_stride_);
      }
    });
  }

  const float* vectors_;
  size_t n_, dim_;
  Metric metric_;
  RowForm form_ = RowForm::floats;
  RowPasses passes_{};
  uint32_t bad_row_ = kNone;
  std::vector<double> length_;  // of the rows; empty under L2
  Buffer<uint8_t> bytes_;
  size_t byte_stride_ = 0;
  Buffer<float> copy_;
  const float* floats_ = nullptr;
  size_t float_stride_ = 0;
  std::vector<float> mean_, signs_;
  float step_ = 0, unit_ = 0, refine_ = 0;
  BytesKernel kernel_ = nullptr;
  BytesKernel4 kernel4_ = nullptr;
  Kernel float_kernel_ = nullptr;
  Kernel4 float_kernel4_ = nullptr;
};

}  // namespace fingerpost
