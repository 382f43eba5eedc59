// Inner products of one quantised query with the codes of 16 neighbours, and the estimates of their distances. Has no
// include guard: deferred.hpp includes it once for each SIMD path, inside a namespace of that path and with
// FINGERPOST_TARGET set. Sums of products of integers are exact, and each lane adds floats in one order, so that every
// path gives the same bits.
//
// Codes are rows of 64 bytes, 4 bytes a neighbour, 8 / bits codes a byte: code i of byte b in row w belongs to
// direction w * 32 / bits + 4 * i + b.

template <int bits>
FINGERPOST_TARGET inline void code_products(const uint8_t* codes, size_t rows, const int32_t* words, Ints& out) {
  constexpr int steps = 8 / bits;
#if FINGERPOST_LANES == 512
  const __m512i mask = _mm512_set1_epi8((1 << bits) - 1);
  // Two sums, so that one product need not wait for the one before.
  __m512i sums[2] = {_mm512_setzero_si512(), _mm512_setzero_si512()};
  for (size_t w = 0; w < rows; ++w) {
    const __m512i row = _mm512_loadu_si512(codes + 64 * w);
    for (int i = 0; i < steps; ++i) {
      const __m512i part = _mm512_and_si512(_mm512_srli_epi16(row, bits * i), mask);
      sums[i & 1] = _mm512_dpbusd_epi32(sums[i & 1], part, _mm512_set1_epi32(words[steps * w + i]));
    }
  }
  _mm512_storeu_si512(&out, _mm512_add_epi32(sums[0], sums[1]));
#elif FINGERPOST_LANES == 256
  const __m256i mask = _mm256_set1_epi8((1 << bits) - 1), ones = _mm256_set1_epi16(1);
  __m256i sums[2] = {_mm256_setzero_si256(), _mm256_setzero_si256()};
  for (size_t w = 0; w < rows; ++w) {
    for (int half = 0; half < 2; ++half) {
      const __m256i row = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(codes + 64 * w + 32 * half));
      for (int i = 0; i < steps; ++i) {
        const __m256i part = _mm256_and_si256(_mm256_srli_epi16(row, bits * i), mask);
        // Codes of at most 4 bits: a pair of products is at most 2 * 15 * 127, which 16 bits hold.
        const __m256i pairs = _mm256_maddubs_epi16(part, _mm256_set1_epi32(words[steps * w + i]));
        sums[half] = _mm256_add_epi32(sums[half], _mm256_madd_epi16(pairs, ones));
      }
    }
  }
  int32_t* to = reinterpret_cast<int32_t*>(&out);
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(to), sums[0]);
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(to + 8), sums[1]);
#else
  int32_t sums[16] = {};
  for (size_t w = 0; w < rows; ++w) {
    for (int i = 0; i < steps; ++i) {
      int8_t query[4];
      std::memcpy(query, words + steps * w + i, 4);
      for (int j = 0; j < 16; ++j) {
        const uint8_t* bytes = codes + 64 * w + 4 * j;
        for (int b = 0; b < 4; ++b) sums[j] += ((bytes[b] >> (bits * i)) & ((1 << bits) - 1)) * query[b];
      }
    }
  }
  std::memcpy(&out, sums, sizeof sums);
#endif
}

// Writes 16 estimates; returns a mask of those NOT at least `bound` (NaN counts as near: it is computed exactly).
template <bool l2, int bits>
FINGERPOST_TARGET inline uint32_t estimate(const Centre& c, const uint8_t* group, float bound, float* estimates) {
  constexpr size_t fields = l2 ? 5 : 4;
  Ints products;
  code_products<bits>(group + 64 * fields, c.rows, c.words, products);
  const Lanes* field = reinterpret_cast<const Lanes*>(group);
  const Lanes along = (__builtin_convertvector(products, Lanes) - c.middle) * c.unit;
  const Lanes product = (field[1] * c.product + field[2] * along) + field[3] * c.residual;
  const Lanes value = l2 ? (field[l2 ? 4 : 3] + c.norm2) - (product + product) : 1.0f - product;
  std::memcpy(estimates, &value, sizeof value);
#if FINGERPOST_LANES == 512
  return _mm512_cmp_ps_mask((__m512)value, _mm512_set1_ps(bound), _CMP_NGE_UQ);
#elif FINGERPOST_LANES == 256
  const __m256 limit = _mm256_set1_ps(bound);
  const int low = _mm256_movemask_ps(_mm256_cmp_ps(_mm256_loadu_ps(estimates), limit, _CMP_NGE_UQ));
  const int high = _mm256_movemask_ps(_mm256_cmp_ps(_mm256_loadu_ps(estimates + 8), limit, _CMP_NGE_UQ));
  return static_cast<uint32_t>(low) | (static_cast<uint32_t>(high) << 8);
#else
  uint32_t mask = 0;
  for (int j = 0; j < 16; ++j) mask |= static_cast<uint32_t>(!(estimates[j] >= bound)) << j;
  return mask;
#endif
}
