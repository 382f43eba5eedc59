// Rows times a matrix plus a shift, float32, such that the bits of a row depend on that row alone.
//
// Each output is a sum over the columns of its row in ascending order, from 0, with two roundings a step (no FMA), in a lane
// of its own; the shift comes last. So neither the other rows, nor the instruction set, change a bit. A matrix product of
// BLAS cannot say that: some of its kernels add up a row in another way at another position of a batch.
#pragma once

#include <algorithm>
#include <cstddef>
#include <vector>

#include "simd.hpp"

namespace fingerpost {
namespace products {

// Columns that are computed at a time, and rows.
constexpr size_t kColumns = 32, kRows = 8;

// A part of a product: rows (at most kRows, dim) by one panel (dim, kColumns), of which `columns` are written.
struct Part {
  const float* rows;
  const float* panel;
  const float* shift;
  size_t dim, columns;
  float* out;
  size_t stride;
};

// Adds the shift to sums (rows, width) and writes them.
inline void write(const Part& part, size_t first, size_t rows, size_t column, size_t width, const float* sums) {
  if (column >= part.columns) return;
  const size_t count = std::min(width, part.columns - column);
  for (size_t r = 0; r < rows; ++r) {
    float* out = part.out + (first + r) * part.stride + column;
    for (size_t j = 0; j < count; ++j) out[j] = sums[r * width + j] + part.shift[column + j];
  }
}

// ---------------------------------------------------------------------------------------------------- portable
namespace portable {
// Row by row: sums of more than one do not stay in the registers that every CPU has.
template <size_t Rows>
void tile(const Part& part) {
  constexpr size_t width = 8;
  for (size_t column = 0; column < part.columns; column += width) {
    for (size_t r = 0; r < Rows; ++r) {
      float sums[width] = {};
      const float* right = part.panel + column;
      for (size_t k = 0; k < part.dim; ++k, right += kColumns) {
        const float x = part.rows[r * part.dim + k];
        for (size_t j = 0; j < width; ++j) sums[j] += x * right[j];
      }
      write(part, r, 1, column, width, sums);
    }
  }
}
}  // namespace portable

#if FINGERPOST_X86
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#pragma GCC diagnostic ignored "-Wuninitialized"
#endif
// ---------------------------------------------------------------------------------------------------- AVX2
namespace avx2 {
#define FINGERPOST_AVX2 __attribute__((target("avx2")))

// Rows by 8 or 16 columns from one on: four rows by sixteen are what sixteen registers hold, with the products.
template <size_t Rows, size_t Vectors>
FINGERPOST_AVX2 inline void block(const Part& part, size_t first, size_t column) {
  __m256 sums[Rows][Vectors];
#pragma GCC unroll 8
  for (size_t r = 0; r < Rows; ++r) {
#pragma GCC unroll 2
    for (size_t v = 0; v < Vectors; ++v) sums[r][v] = _mm256_setzero_ps();
  }
  const float* right = part.panel + column;
  const float* left = part.rows + first * part.dim;
  for (size_t k = 0; k < part.dim; ++k, right += kColumns) {
    __m256 own[Vectors];
#pragma GCC unroll 2
    for (size_t v = 0; v < Vectors; ++v) own[v] = _mm256_loadu_ps(right + 8 * v);
#pragma GCC unroll 8
    for (size_t r = 0; r < Rows; ++r) {
      const __m256 x = _mm256_broadcast_ss(left + r * part.dim + k);
#pragma GCC unroll 2
      for (size_t v = 0; v < Vectors; ++v) sums[r][v] = _mm256_add_ps(sums[r][v], _mm256_mul_ps(x, own[v]));
    }
  }
  float out[Rows * 8 * Vectors];
#pragma GCC unroll 8
  for (size_t r = 0; r < Rows; ++r) {
#pragma GCC unroll 2
    for (size_t v = 0; v < Vectors; ++v) _mm256_storeu_ps(out + (r * Vectors + v) * 8, sums[r][v]);
  }
  write(part, first, Rows, column, 8 * Vectors, out);
}

template <size_t Rows>
FINGERPOST_AVX2 void tile(const Part& part) {
  constexpr size_t half = Rows > 4 ? Rows / 2 : Rows;
  for (size_t column = 0; column < part.columns; column += 16) {
    for (size_t first = 0; first < Rows; first += half) {
      if (part.columns - column > 8) {
        block<half, 2>(part, first, column);
      } else {
        block<half, 1>(part, first, column);
      }
    }
  }
}
#undef FINGERPOST_AVX2
}  // namespace avx2

// ---------------------------------------------------------------------------------------------------- AVX-512
namespace avx512 {
#define FINGERPOST_AVX512 __attribute__((target("avx512f,avx512dq,avx2")))

template <size_t Rows, size_t Vectors>
FINGERPOST_AVX512 inline void block(const Part& part, size_t column) {
  __m512 sums[Rows][Vectors];
#pragma GCC unroll 8
  for (size_t r = 0; r < Rows; ++r) {
#pragma GCC unroll 2
    for (size_t v = 0; v < Vectors; ++v) sums[r][v] = _mm512_setzero_ps();
  }
  const float* right = part.panel + column;
  for (size_t k = 0; k < part.dim; ++k, right += kColumns) {
    __m512 own[Vectors];
#pragma GCC unroll 2
    for (size_t v = 0; v < Vectors; ++v) own[v] = _mm512_loadu_ps(right + 16 * v);
#pragma GCC unroll 8
    for (size_t r = 0; r < Rows; ++r) {
      const __m512 x = _mm512_set1_ps(part.rows[r * part.dim + k]);
#pragma GCC unroll 2
      for (size_t v = 0; v < Vectors; ++v) sums[r][v] = _mm512_add_ps(sums[r][v], _mm512_mul_ps(x, own[v]));
    }
  }
#pragma GCC unroll 8
  for (size_t r = 0; r < Rows; ++r) {
#pragma GCC unroll 2
    for (size_t v = 0; v < Vectors; ++v) {
      const size_t at = column + 16 * v;
      if (at >= part.columns) continue;
      const size_t left = std::min<size_t>(16, part.columns - at);
      const __mmask16 mask = static_cast<__mmask16>((1u << left) - 1u);
      const __m512 shift = _mm512_maskz_loadu_ps(mask, part.shift + at);
      _mm512_mask_storeu_ps(part.out + r * part.stride + at, mask, _mm512_add_ps(sums[r][v], shift));
    }
  }
}

template <size_t Rows>
FINGERPOST_AVX512 void tile(const Part& part) {
  if (part.columns > 16) {
    block<Rows, 2>(part, 0);
  } else {
    block<Rows, 1>(part, 0);
  }
}
#undef FINGERPOST_AVX512
}  // namespace avx512
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic pop
#endif
#endif  // FINGERPOST_X86

// ---------------------------------------------------------------------------------------------------- dispatch
using Tile = void (*)(const Part&);

template <size_t Rows>
inline Tile tile_of() {
#if FINGERPOST_X86
  if (active_path() == Path::avx512) return avx512::tile<Rows>;
  if (active_path() == Path::avx2) return avx2::tile<Rows>;
#endif
  return portable::tile<Rows>;
}

// Writes rows (count, dim) times matrix (dim, columns) plus shift (columns) to out (count, columns).
inline void row_products(const float* rows, size_t count, size_t dim, const float* matrix, const float* shift,
                         size_t columns, float* out) {
  const Tile eight = tile_of<kRows>(), one = tile_of<1>();
  // A panel's columns lie together, with zeros behind those of the matrix.
  std::vector<float> panel(dim * kColumns);
  for (size_t column = 0; column < columns; column += kColumns) {
    const size_t width = std::min(kColumns, columns - column);
    if (width < kColumns) std::fill(panel.begin(), panel.end(), 0.0f);
    for (size_t k = 0; k < dim; ++k) std::copy_n(matrix + k * columns + column, width, panel.data() + k * kColumns);
    Part part{rows, panel.data(), shift + column, dim, width, out + column, columns};
    size_t row = 0;
    for (; row + kRows <= count; row += kRows) {
      eight(part);
      part.rows += kRows * dim;
      part.out += kRows * columns;
    }
    for (; row < count; ++row) {
      one(part);
      part.rows += dim;
      part.out += columns;
    }
  }
}

}  // namespace products
}  // namespace fingerpost
