// Balanced 2-means of sparse rows, recursively: every node halves its members along the line between two centres.
//
// Source: Yu et al., PECOS, JMLR 23(98), 2022, section 3.1. A node's random numbers come from the seed and its place in the
// tree, so a subtree computed alone equals the same subtree of the whole. Sums are kept in float64 and changed by the rows
// that moved; scores are float32 in four partial sums, ties by the smaller row.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <stdexcept>
#include <utility>
#include <vector>

namespace fingerpost {
namespace rankers {

class Splitter {
 public:
  Splitter(const int64_t* indptr, const int32_t* indices, const float* data, size_t features, int max_iter,
           bool spherical, uint64_t seed)
      : indptr_(indptr), indices_(indices), data_(data), places_(features, 0), max_iter_(max_iter),
        spherical_(spherical), seed_(seed) {}

  // Splits members[begin, end) `depth` times; the leaves become ranges of halves, in order. (level, place) is the node.
  void split(uint32_t* members, size_t count, int depth, uint64_t level, uint64_t place, int64_t* leaf_sizes) {
    if (depth == 0) {
      *leaf_sizes = static_cast<int64_t>(count);
      return;
    }
    const size_t left = halve(members, count, level, place);
    split(members, left, depth - 1, level + 1, 2 * place, leaf_sizes);
    split(members + left, count - left, depth - 1, level + 1, 2 * place + 1, leaf_sizes + (size_t(1) << (depth - 1)));
  }

  uint64_t iterations() const { return iterations_; }

 private:
  static uint64_t mix(uint64_t z) {
    z += 0x9e3779b97f4a7c15ull;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
    return z ^ (z >> 31);
  }

  // Features of these members renumbered in the order in which they are met.
  void renumber(const uint32_t* members, size_t count) {
    columns_.clear();
    start_.assign(1, 0);
    found_.clear();
    for (size_t i = 0; i < count; ++i) {
      for (int64_t at = indptr_[members[i]]; at < indptr_[members[i] + 1]; ++at) {
        uint32_t& place = places_[indices_[at]];
        if (place == 0) {
          found_.push_back(static_cast<uint32_t>(indices_[at]));
          place = static_cast<uint32_t>(found_.size());
        }
        columns_.push_back(place - 1);
      }
      start_.push_back(columns_.size());
    }
    for (uint32_t feature : found_) places_[feature] = 0;
  }

  void add(const uint32_t* members, size_t i, double factor, std::vector<double>& sum) const {
    const float* value = data_ + indptr_[members[i]];
    for (size_t at = start_[i]; at < start_[i + 1]; ++at) sum[columns_[at]] += factor * value[at - start_[i]];
  }

  float score(const uint32_t* members, size_t i) const {
    const float* value = data_ + indptr_[members[i]];
    const uint32_t* column = columns_.data() + start_[i];
    const size_t count = start_[i + 1] - start_[i];
    float a = 0, b = 0, c = 0, d = 0;
    size_t at = 0;
    for (; at + 4 <= count; at += 4) {
      a += value[at] * direction_[column[at]];
      b += value[at + 1] * direction_[column[at + 1]];
      c += value[at + 2] * direction_[column[at + 2]];
      d += value[at + 3] * direction_[column[at + 3]];
    }
    for (; at < count; ++at) a += value[at] * direction_[column[at]];
    return (a + b) + (c + d);
  }

  static double scale(const std::vector<double>& sum, size_t size, bool spherical) {
    if (!spherical) return size > 0 ? 1.0 / static_cast<double>(size) : 0.0;
    double squares[4] = {};
    for (size_t f = 0; f < sum.size(); ++f) squares[f % 4] += sum[f] * sum[f];
    const double norm = std::sqrt((squares[0] + squares[1]) + (squares[2] + squares[3]));
    return norm > 0 ? 1.0 / norm : 0.0;
  }

  // Reorders the members, each half by row; returns the size of the left half, the smaller of unequal ones.
  size_t halve(uint32_t* members, size_t count, uint64_t level, uint64_t place) {
    const size_t left_size = count / 2;
    if (count < 2) return left_size;
    std::sort(members, members + count);
    renumber(members, count);
    const uint64_t key = mix(mix(seed_ ^ mix(level)) ^ place);
    const size_t one = static_cast<size_t>(mix(key) % count);
    size_t other = static_cast<size_t>(mix(key + 1) % (count - 1));
    other += other >= one;
    left_.assign(found_.size(), 0.0);
    right_.assign(found_.size(), 0.0);
    add(members, one, 1.0, left_);
    add(members, other, 1.0, right_);
    double left_scale = 1, right_scale = 1;
    side_.assign(count, 2);
    direction_.resize(found_.size());
    scores_.resize(count);
    for (int pass = 0; pass < max_iter_; ++pass) {
      ++iterations_;
      for (size_t f = 0; f < found_.size(); ++f) {
        direction_[f] = static_cast<float>(right_[f] * right_scale - left_[f] * left_scale);
      }
      for (size_t i = 0; i < count; ++i) scores_[i] = {score(members, i), static_cast<uint32_t>(i)};
      std::nth_element(scores_.begin(), scores_.begin() + left_size, scores_.end());
      if (!assign(members, count, left_size, pass == 0)) break;
      left_scale = scale(left_, left_size, spherical_);
      right_scale = scale(right_, count - left_size, spherical_);
    }
    order_.assign(members, members + count);
    size_t left = 0, right = left_size;
    for (size_t i = 0; i < count; ++i) members[side_[i] == 0 ? left++ : right++] = order_[i];
    return left_size;
  }

  // Takes over the sides and moves the sums along; false where nothing changed.
  bool assign(const uint32_t* members, size_t count, size_t left_size, bool first) {
    next_.resize(count);
    for (size_t rank = 0; rank < count; ++rank) next_[scores_[rank].second] = rank >= left_size;
    if (first) {
      std::fill(left_.begin(), left_.end(), 0.0);
      std::fill(right_.begin(), right_.end(), 0.0);
    }
    bool changed = false;
    for (size_t i = 0; i < count; ++i) {
      if (side_[i] == next_[i]) continue;
      changed = true;
      add(members, i, 1.0, next_[i] ? right_ : left_);
      if (!first) add(members, i, -1.0, next_[i] ? left_ : right_);
    }
    side_.swap(next_);
    return changed;
  }

  const int64_t* indptr_;
  const int32_t* indices_;
  const float* data_;
  std::vector<uint32_t> places_;  // all zero between nodes
  int max_iter_;
  bool spherical_;
  uint64_t seed_;
  uint64_t iterations_ = 0;
  std::vector<uint32_t> columns_, found_, order_;
  std::vector<size_t> start_;
  std::vector<double> left_, right_;
  std::vector<float> direction_;
  std::vector<std::pair<float, uint32_t>> scores_;
  std::vector<uint8_t> side_, next_;
};

}  // namespace rankers
}  // namespace fingerpost
