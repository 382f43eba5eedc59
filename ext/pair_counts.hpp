// Histograms of the scores of all pairs of rows, by class, in one pass over tiles.
//
// A class's counts of all its pairs grow for both ends of a pair; what lies inside a class is counted apart and so has
// been counted twice in the first. Counts are integers: no order changes them.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <vector>

#include "pair_scores.hpp"
#include "parallel.hpp"

namespace fingerpost {
namespace pairs {

// A tile of bins: eight micro-tiles by eight. Its lines lie an odd number of cache lines apart.
constexpr size_t kStrip = 8 * kLeft, kTile = 8 * kRight, kStride = kTile + 32;

// Rows (count, dim) sorted by class, and for each the number of its class among those of this side.
struct Side {
  const float* rows;
  size_t count;
  const uint32_t* classes;
};

struct Job {
  Side left, right;
  size_t dim;
  bool distance;
  Binning binning;
  size_t bins;
  // For a class of the left side, the rows of the right side that are of it: begin (inclusive) and end.
  const uint32_t* same_begin;
  const uint32_t* same_end;
  // Both sides are the same rows: a pair counts once, and none with itself.
  bool triangle;
};

// Counts (classes, bins): all pairs with an end in a class, for either side, and pairs inside a class of the left.
struct Counts {
  uint32_t* left;
  uint32_t* right;
  uint32_t* inside;
};

// One tile of bins and where it lies.
struct Tile {
  const uint16_t* bins;
  size_t row, rows, column, columns;
};

// Both ends of every pair of a full part of a tile, four columns at a time: one load serves eight counts.
inline void count_four(const Tile& tile, size_t at, uint32_t* const* lefts, uint32_t* const* rights) {
  uint32_t *r0 = rights[0], *r1 = rights[1], *r2 = rights[2], *r3 = rights[3];
  for (size_t i = 0; i < tile.rows; ++i) {
    uint16_t b[4];
    std::memcpy(b, tile.bins + i * kStride + at, sizeof(b));
    uint32_t* left = lefts[i];
    ++left[b[0]];
    ++r0[b[0]];
    ++left[b[1]];
    ++r1[b[1]];
    ++left[b[2]];
    ++r2[b[2]];
    ++left[b[3]];
    ++r3[b[3]];
  }
}

// One column from a row on.
inline void count_one(const Tile& tile, size_t at, size_t rows, uint32_t* const* lefts, uint32_t* right) {
  for (size_t i = 0; i < rows; ++i) {
    const uint16_t b = tile.bins[i * kStride + at];
    ++lefts[i][b];
    ++right[b];
  }
}

inline void count_tile(const Job& job, const Tile& tile, const Counts& counts) {
  uint32_t* lefts[kStrip];
  uint32_t* rights[kTile];
  for (size_t i = 0; i < tile.rows; ++i) lefts[i] = counts.left + job.left.classes[tile.row + i] * job.bins;
  for (size_t j = 0; j < tile.columns; ++j) rights[j] = counts.right + job.right.classes[tile.column + j] * job.bins;
  if (job.triangle && tile.column < tile.row + tile.rows) {
    for (size_t j = 0; j < tile.columns; ++j) {
      const size_t column = tile.column + j;
      const size_t rows = column > tile.row ? std::min(tile.rows, column - tile.row) : 0;
      count_one(tile, j, rows, lefts, rights[j]);
    }
  } else {
    size_t j = 0;
    for (; j + 4 <= tile.columns; j += 4) count_four(tile, j, lefts, rights + j);
    for (; j < tile.columns; ++j) count_one(tile, j, tile.rows, lefts, rights[j]);
  }
  for (size_t i = 0; i < tile.rows; ++i) {
    const size_t own = job.left.classes[tile.row + i];
    uint32_t* inside = counts.inside + own * job.bins;
    const size_t after = job.triangle ? std::max(tile.column, tile.row + i + 1) : tile.column;
    const size_t begin = std::max<size_t>(job.same_begin[own], after);
    const size_t end = std::min<size_t>(job.same_end[own], tile.column + tile.columns);
    for (size_t j = begin; j < end; ++j) ++inside[tile.bins[i * kStride + j - tile.column]];
  }
}

// Left rows [row, row + kStrip) against all right rows.
inline void count_strip(const Job& job, size_t row, const std::vector<float>& rights, const Kernels& use,
                        const Counts& counts, std::vector<float>& lefts, std::vector<uint16_t>& tile) {
  const size_t rows = std::min(kStrip, job.left.count - row), dim = job.dim;
  for (size_t i = 0; i < rows; i += kLeft) pack(job.left.rows, row + i, job.left.count, dim, kLeft, &lefts[i * dim]);
  float sums[kLeft * kRight];
  const size_t first = job.triangle ? row / kTile * kTile : 0;
  for (size_t column = first; column < job.right.count; column += kTile) {
    const size_t columns = std::min(kTile, job.right.count - column);
    for (size_t j = 0; j < columns; j += kRight) {
      for (size_t i = 0; i < rows; i += kLeft) {
        use.sums(&lefts[i * dim], &rights[(column + j) * dim], dim, sums);
        for (size_t r = 0; r < kLeft; ++r) use.bins(sums + r * kRight, job.binning, &tile[(i + r) * kStride + j]);
      }
    }
    count_tile(job, Tile{tile.data(), row, rows, column, columns}, counts);
  }
}

// Adds to counts; the sizes are those of counts.left, counts.right and counts.inside.
inline void count(const Job& job, const Counts& counts, size_t left_size, size_t right_size, int threads) {
  const std::vector<float> rights = packed(job.right.rows, job.right.count, job.dim, kRight);
  const Kernels use = kernels(job.distance);
  const size_t strips = (job.left.count + kStrip - 1) / kStrip;
  const size_t workers = std::min<size_t>(threads < 1 ? 1 : static_cast<size_t>(threads), strips);
  // The calling thread counts into the result; every other has counts of its own, added at the end.
  std::vector<std::vector<uint32_t>> own(workers < 2 ? 0 : workers - 1);
  for (auto& part : own) part.assign(2 * left_size + right_size, 0);
  std::vector<std::vector<float>> lefts(workers, std::vector<float>(kStrip * job.dim));
  std::vector<std::vector<uint16_t>> tiles(workers, std::vector<uint16_t>(kStrip * kStride));
  auto work = [&](size_t strip, int thread) {
    Counts mine = counts;
    if (thread > 0) {
      uint32_t* part = own[static_cast<size_t>(thread) - 1].data();
      mine = Counts{part, part + left_size, part + left_size + right_size};
    }
    const size_t t = static_cast<size_t>(thread);
    count_strip(job, strip * kStrip, rights, use, mine, lefts[t], tiles[t]);
  };
  parallel_for(0, strips, static_cast<int>(workers), work);
  for (const auto& part : own) {
    for (size_t i = 0; i < left_size; ++i) counts.left[i] += part[i];
    for (size_t i = 0; i < right_size; ++i) counts.right[i] += part[left_size + i];
    for (size_t i = 0; i < left_size; ++i) counts.inside[i] += part[left_size + right_size + i];
  }
}

}  // namespace pairs
}  // namespace fingerpost
