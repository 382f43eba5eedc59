// FINGER's estimate for 16 neighbours at a time. Has no include guard: finger.hpp includes it once for each SIMD path,
// inside a namespace of that path and with FINGERPOST_TARGET set. Each lane belongs to one neighbour and adds in one
// order (even and odd directions apart, then together), so that every path gives the same bits.
//
// A group is 16 neighbours: [16 ids][16 coefficients t_d][16 residual norms][codes]; codes are `rank` rows of 16 floats,
// `rank` rows of 16 int8, or `words` rows of 16 uint64.

FINGERPOST_TARGET inline void widen(const float* codes, size_t k, Lanes& out) {
  out = reinterpret_cast<const Lanes*>(codes)[k];
}

FINGERPOST_TARGET inline void widen(const int8_t* codes, size_t k, Lanes& out) {
  const int8_t* row = codes + 16 * k;
#if FINGERPOST_LANES == 512
  // The masked forms with every lane set: the plain ones make GCC 12 warn of uninitialised values.
  const __m512i wide = _mm512_maskz_cvtepi8_epi32(0xFFFF, _mm_loadu_si128(reinterpret_cast<const __m128i*>(row)));
  out = (Lanes)_mm512_maskz_cvtepi32_ps(0xFFFF, wide);
#elif FINGERPOST_LANES == 256
  const __m128i bytes = _mm_loadu_si128(reinterpret_cast<const __m128i*>(row));
  float* to = reinterpret_cast<float*>(&out);
  _mm256_storeu_ps(to, _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(bytes)));
  _mm256_storeu_ps(to + 8, _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(_mm_srli_si128(bytes, 8))));
#else
  for (int j = 0; j < 16; ++j) out[j] = static_cast<float>(row[j]);
#endif
}

// Bit j is set where lane j is NOT at least `bound`: NaN counts as near, so that it is computed exactly.
FINGERPOST_TARGET inline uint32_t below(const Lanes& value, float bound) {
#if FINGERPOST_LANES == 512
  return _mm512_cmp_ps_mask((__m512)value, _mm512_set1_ps(bound), _CMP_NGE_UQ);
#elif FINGERPOST_LANES == 256
  const float* at = reinterpret_cast<const float*>(&value);
  const __m256 limit = _mm256_set1_ps(bound);
  const int low = _mm256_movemask_ps(_mm256_cmp_ps(_mm256_loadu_ps(at), limit, _CMP_NGE_UQ));
  const int high = _mm256_movemask_ps(_mm256_cmp_ps(_mm256_loadu_ps(at + 8), limit, _CMP_NGE_UQ));
  return static_cast<uint32_t>(low) | (static_cast<uint32_t>(high) << 8);
#else
  uint32_t mask = 0;
  for (int j = 0; j < 16; ++j) mask |= static_cast<uint32_t>(!(value[j] >= bound)) << j;
  return mask;
#endif
}

// The query's side of one expansion: projected residual P q - t_q P c (padded with zeros to 16), its norm or signs.
FINGERPOST_TARGET inline void prepare(Expansion& e, const float* pq, const float* pc, size_t rank) {
  const size_t blocks = (rank + 15) / 16;
  Lanes square = {};
  for (size_t b = 0; b < blocks; ++b) {
    const Lanes u = reinterpret_cast<const Lanes*>(pq)[b] - reinterpret_cast<const Lanes*>(pc)[b] * e.tq;
    reinterpret_cast<Lanes*>(e.u)[b] = u;
    square += u * u;
  }
  if (e.bits) {
    for (size_t w = 0; w < e.words; ++w) e.bits[w] = 0;
    for (size_t b = 0; b < blocks; ++b) {
      // -u < 0 where u > 0: the query's bit; the padding is zero and so are its bits.
      const uint64_t positive = below(-reinterpret_cast<const Lanes*>(e.u)[b], 0.0f);
      e.bits[b / 4] |= positive << (16 * (b % 4));
    }
    return;
  }
  const float norm = std::sqrt(fold16(reinterpret_cast<const float*>(&square)));
  e.slope = norm > 0.0f ? e.scale * e.unit / norm : 0.0f;
}

template <bool L2>
FINGERPOST_TARGET inline void distances(const Expansion& e, const float* group, const Lanes& cosine, Lanes& out) {
  const Lanes t = *reinterpret_cast<const Lanes*>(group + 16);
  const Lanes residual = *reinterpret_cast<const Lanes*>(group + 32);
  if (L2) {
    const Lanes along = e.tq - t;
    out = (along * along * e.cn2 + (residual * residual + e.qres2)) - residual * cosine * (2.0f * e.qres);
  } else {
    out = 1.0f - (t * (e.tq * e.cn2) + residual * cosine * e.qres);
  }
}

template <bool L2, class Code>
FINGERPOST_TARGET inline uint32_t low_rank(const Expansion& e, const float* group, float* estimates) {
  const Code* codes = reinterpret_cast<const Code*>(group + 48);
  Lanes even = {}, odd = {}, row;
  size_t k = 0;
  for (; k + 2 <= e.rank; k += 2) {
    widen(codes, k, row);
    even += row * e.u[k];
    widen(codes, k + 1, row);
    odd += row * e.u[k + 1];
  }
  if (k < e.rank) {
    widen(codes, k, row);
    even += row * e.u[k];
  }
  Lanes cosine = (even + odd) * e.slope + e.bias;
  const Lanes one = Lanes{} + 1.0f;
  // No cosine is above 1: capped, the estimate of such a neighbour is a true lower bound.
  cosine = cosine < one ? cosine : one;
  Lanes out;
  distances<L2>(e, group, cosine, out);
  if (estimates) std::memcpy(estimates, &out, sizeof(out));
  return below(out, e.bound);
}

template <bool L2>
FINGERPOST_TARGET inline uint32_t signs(const Expansion& e, const float* group, float* estimates) {
  const uint64_t* codes = reinterpret_cast<const uint64_t*>(group + 48);
  Lanes cosine;
  for (int j = 0; j < 16; ++j) {
    uint64_t differing = 0;
    for (size_t w = 0; w < e.words; ++w) {
      differing += static_cast<uint64_t>(__builtin_popcountll(codes[16 * w + j] ^ e.bits[w]));
    }
    cosine[j] = e.cosines[differing];
  }
  Lanes out;
  distances<L2>(e, group, cosine, out);
  if (estimates) std::memcpy(estimates, &out, sizeof(out));
  return below(out, e.bound);
}
