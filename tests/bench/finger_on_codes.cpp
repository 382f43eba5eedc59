// Searches over codes that a benchmark compares: the packed index's own, the same with its coded distances played back
// from memory, and two that estimate each neighbour from its edge before they look at its code. AVX-512 with VNNI alone.
//
// An edge from c to d has one bit a position of the map M, the sign of M(d - c), and two numbers: with x = sign - 1/2,
//   |q-d|^2 = |q-c|^2 + |d-c|^2 - 2 <q-c, d-c>   and   <q-c, d-c> ~ scale * <M(q-c), x>
// (RaBitQ's estimate, Gao and Long, SIGMOD 2024, with the expanded node in the place of a centroid, as in FINGER, Chen et
// al., WWW 2023). It is lowered by a margin in proportion to |q-c|. 16 edges are a group of lines of 64 bytes:
//   [ids: u32][|d-c|^2 + 2 scale <Mc, x>: 16 upper bits of f32][2 scale: likewise], then rows of signs.
#include <ctime>

#include "deferred_search.hpp"
#include "packed.hpp"

namespace fp = fingerpost;
#define WIDE __attribute__((target("avx512f,avx512dq,avx512bw,avx512vl,avx512vnni,avx2,popcnt,bmi,bmi2")))

extern "C" {

struct Map {
  uint64_t positions, bits;
  const float *matrix, *shift, *low, *step;
};
// A packed index by its arrays, and the groups of edges of its nodes.
struct Parts {
  uint64_t nodes, dim, metric, stride, upper_count, upper_stride, top_level, entry_count, keeping, store_stride;
  const uint32_t *links, *upper_nodes, *upper_start, *upper_links, *entries;
  const uint8_t *store, *codes;
  const float *store_low, *store_step;
  Map code, edge;
  uint8_t* groups;
  uint64_t own_edge_map;  // whether the map of edges is another than that of codes
  float margin;
};
struct Work {
  uint64_t coded, edges, expansions;
};

}  // extern "C"

namespace {

enum Way { packed = 0, recorded = 1, played = 2, unranked = 3, screened = 4, deferred = 5 };

fp::CodeMap map_of(const Parts& p, const Map& map) { return {p.dim, map.positions, map.matrix, map.shift, map.low, map.step}; }

fp::PackedView view_of(const Parts& p) {
  fp::PackedView view;
  view.n = p.nodes, view.dim = p.dim, view.metric = static_cast<fp::Metric>(p.metric);
  view.stride = p.stride, view.links = p.links;
  view.upper_count = p.upper_count, view.upper_nodes = p.upper_nodes, view.upper_start = p.upper_start;
  view.upper_stride = p.upper_stride, view.upper_links = p.upper_links;
  view.top_level = static_cast<int>(p.top_level), view.entries = p.entries, view.entry_count = p.entry_count;
  view.store = {static_cast<fp::Keeping>(p.keeping), fp::padded(p.dim), p.store_stride, p.store, p.store_low, p.store_step};
  view.coded = true, view.map = map_of(p, p.code);
  view.code = {p.codes, p.code.positions * p.code.bits / 512, static_cast<int>(p.code.bits)};
  return view;
}

size_t group_bytes(const Parts& p) { return fp::kLine * (2 + p.edge.positions / 32); }
size_t group_count(const Parts& p) { return (p.stride + 15) / 16; }

// Coded distances; recorded, or played back in the order of asking without a look at a code.
struct Scorer {
  const fp::CodeView& view;
  fp::CodeKernel kernel;
  fp::CodeQuery query;
  std::vector<float>* told = nullptr;
  mutable const float* next = nullptr;

  void prefetch(uint32_t id) const {
    if (next == nullptr) fp::prefetch_bytes(view.row(id), view.bytes());
  }
  void many(const uint32_t* ids, size_t count, float* out) const {
    if (next != nullptr) {
      std::memcpy(out, next, count * sizeof(float));
      next += count;
      return;
    }
    kernel(view, query, ids, count, out);
    if (told != nullptr) told->insert(told->end(), out, out + count);
  }
};

uint16_t upper_bits(float value) {
  uint32_t bits;
  std::memcpy(&bits, &value, sizeof bits);
  return static_cast<uint16_t>((bits + 0x8000u) >> 16);
}

// What a query and an expanded node fix for all its edges.
struct Asked {
  const int32_t* words;
  size_t rows;
  float unit, middle, at, slack;
};

WIDE inline __m512 numbers(const uint8_t* upper) {
  const __m256i bits = _mm256_load_si256(reinterpret_cast<const __m256i*>(upper));
  return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(bits), 16));
}

// Estimates of 16 neighbours; a mask of those below `bound`.
WIDE inline uint32_t estimate(const Asked& asked, const uint8_t* group, float bound, float* out) {
  const __m512i one = _mm512_set1_epi8(1);
  __m512i sums[2] = {_mm512_setzero_si512(), _mm512_setzero_si512()};
  for (size_t w = 0; w < asked.rows; ++w) {
    const __m512i signs = _mm512_load_si512(group + 128 + 64 * w);
    for (int i = 0; i < 8; ++i) {
      const __m512i part = _mm512_and_si512(_mm512_srli_epi16(signs, i), one);
      sums[i & 1] = _mm512_dpbusd_epi32(sums[i & 1], part, _mm512_set1_epi32(asked.words[8 * w + i]));
    }
  }
  const __m512 product = _mm512_sub_ps(_mm512_cvtepi32_ps(_mm512_add_epi32(sums[0], sums[1])), _mm512_set1_ps(asked.middle));
  const __m512 along = _mm512_fmadd_ps(product, _mm512_set1_ps(asked.unit), _mm512_set1_ps(asked.slack));
  const __m512 plain = _mm512_add_ps(_mm512_set1_ps(asked.at), numbers(group + 64));
  const __m512 found = _mm512_fnmadd_ps(numbers(group + 96), along, plain);
  _mm512_storeu_ps(out, found);
  return _mm512_cmp_ps_mask(found, _mm512_set1_ps(bound), _CMP_LT_OQ);
}

class Searcher {
 public:
  explicit Searcher(const Parts& p)
      : p_(p), view_(view_of(p)), exact_(view_.store, view_.metric), wide_(fp::padded(p.dim)),
        queries_(wide_ * fp::Mapper::kBlock), codes_(view_.map, true), edges_(map_of(p, p.edge), true),
        scorer_{view_.code, fp::code_kernel(view_.code.bits), {}} {
    double steps = 0;
    size_t used = 0;
    for (size_t i = 0; i < p.edge.positions; ++i) steps += p.edge.step[i], used += p.edge.step[i] > 0;
    // 0.3 is the deviation of a product with signs for one of length one: sqrt(1 - 2 / pi) / 2.
    slack_ = used ? p.margin * 0.3f * static_cast<float>(steps / static_cast<double>(used)) : 0.0f;
  }

  void prepare(const float* from, size_t count, bool edged) {
    for (size_t q = 0; q < count; ++q) {
      std::memcpy(queries_.data() + q * wide_, from + q * p_.dim, p_.dim * sizeof(float));
      if (view_.metric == fp::Metric::cosine) fp::normalise(queries_.data() + q * wide_, p_.dim);
    }
    codes_.prepare(queries_.data(), wide_, count);
    if (edged && p_.own_edge_map) edges_.prepare(queries_.data(), wide_, count);
  }

  void search(size_t q, size_t k, size_t ef, size_t rerank, int way, std::vector<float>& told, size_t& start,
              uint32_t* rows, float* distances, Work& work) {
    exact_.set(queries_.data() + q * wide_);
    scorer_.query = codes_.query(q);
    scorer_.told = way == recorded ? &told : nullptr;
    const float* const first = way == played ? told.data() + start : nullptr;
    scorer_.next = first;
    const fp::Entry entry = fp::descend(view_, scorer_, scratch_, work.coded, work.expansions);
    if (way < screened) {
      fp::traverse<true>(view_, scorer_, entry, ef, scratch_, work.coded, work.expansions);
    } else {
      ask(p_.own_edge_map ? edges_.query(q) : scorer_.query, entry);
      way == screened ? search_screened(entry, ef, work) : search_deferred(entry, ef, work);
    }
    if (first != nullptr) start += static_cast<size_t>(scorer_.next - first);
    const size_t found = way == deferred ? frontier_.size() : scratch_.pool.size();
    finish(way == unranked ? 0 : std::min(found, std::max(rerank, k)), k, way, rows, distances);
  }

 private:
  void ask(const fp::CodeQuery& query, fp::Entry entry) {
    words_.assign(p_.edge.positions / 4, 0);
    std::memcpy(words_.data(), query.weights, p_.edge.positions);
    int sum = 0;
    for (size_t i = 0; i < p_.edge.positions; ++i) sum += query.weights[i];
    asked_ = {words_.data(), p_.edge.positions / 32, -0.5f * query.scale, 0.5f * static_cast<float>(sum), 0, 0};
    // Coded distances lack a number that depends on the query alone.
    float distance;
    exact_.many(&entry.id, 1, &distance);
    lacking_ = (view_.metric == fp::Metric::cosine ? 2 * distance : distance) - entry.distance;
  }
  void expand(float at) {
    asked_.at = at;
    asked_.slack = slack_ * std::sqrt(std::max(0.0f, at + lacking_));
  }
  size_t block_bytes() const { return group_count(p_) * group_bytes(p_); }
  const uint8_t* block(uint32_t id) const { return p_.groups + id * block_bytes(); }
  void fetch_block(uint32_t id) const { fp::prefetch_bytes(block(id), block_bytes()); }

  // As fp::traverse, with coded distances of those neighbours alone whose estimates are below the bound.
  WIDE void search_screened(fp::Entry entry, size_t ef, Work& work) {
    fp::Marks& marks = scratch_.marks;
    fp::Candidates& pool = scratch_.pool;
    marks.reset(view_.n);
    pool.reset(ef);
    scratch_.fit(16 * group_count(p_));
    float* distances = scratch_.distances.data();
    const auto take_in = [&](const float* found, const uint32_t* ids, size_t count) {
      scratch_.take_in(pool, {found, ids, count, reinterpret_cast<const uint32_t*>(p_.groups), block_bytes() / 4});
    };
    marks.fit(1);
    marks.meet(entry.id);
    take_in(&entry.distance, &entry.id, 1);
    alignas(64) float values[16];
    std::vector<uint32_t> near(16 * group_count(p_) + 16);
    for (size_t waiting = marks.count();;) {
      const uint32_t id = pool.next();
      const size_t listed = marks.count();
      if (id != fp::kNone) {
        expand(pool.distance(pool.cursor() - 1));
        const uint32_t following = pool.peek();
        if (following != fp::kNone) fetch_block(following);
        size_t count = 0;
        for (size_t g = 0; g < group_count(p_); ++g) {
          const uint8_t* group = block(id) + g * group_bytes(p_);
          const uint32_t mask = estimate(asked_, group, pool.bound(), values);
          const __m512i ids = _mm512_maskz_compress_epi32(static_cast<__mmask16>(mask), _mm512_load_si512(group));
          _mm512_storeu_si512(near.data() + count, ids);
          count += static_cast<size_t>(__builtin_popcount(mask));
        }
        ++work.expansions, work.edges += 16 * group_count(p_);
        const size_t whole = (count + 7) / 8 * 8;
        std::fill(near.begin() + count, near.begin() + whole, id);
        marks.fit(whole);
        marks.meet(near.data(), whole, id, static_cast<uint32_t>(view_.n));
        const uint32_t* fresh = marks.list(listed);
        for (size_t i = 0; i < marks.count() - listed; ++i) scorer_.prefetch(fresh[i]);
      }
      const size_t count = listed - waiting;
      if (count > 0) {
        const uint32_t* ids = marks.list(waiting);
        scorer_.many(ids, count, distances);
        work.coded += count;
        take_in(distances, ids, count);
      } else if (id == fp::kNone) {
        return;
      }
      waiting = listed;
    }
  }

  // As fp::deferred::Searcher: the frontier in the order of estimates, a coded distance when a node comes up.
  WIDE void search_deferred(fp::Entry entry, size_t ef, Work& work) {
    using fp::deferred::Frontier;
    visited_.reset(view_.n);
    frontier_.reset(ef);
    visited_.insert(entry.id);
    frontier_.insert(Frontier::key(entry.distance, entry.id, Frontier::exact));
    alignas(64) float values[16];
    while (frontier_.advance()) {
      const uint64_t head = frontier_[frontier_.cursor()];
      if (!(head & Frontier::exact)) {
        uint64_t keys[4];
        uint32_t ids[4];
        const size_t count = frontier_.waiting(4, keys);
        for (size_t i = 0; i < 4; ++i) ids[i] = Frontier::id_of(keys[i < count ? i : 0]);
        for (size_t i = 0; i < count; ++i) scorer_.prefetch(ids[i]);
        fetch_block(ids[0]);
        scorer_.many(ids, count, values);
        work.coded += count;
        for (size_t i = 0; i < count; ++i) frontier_.correct(keys[i], values[i]);
        continue;
      }
      const uint32_t following = frontier_.following();
      if (following != fp::kNone) fetch_block(following);
      frontier_.expand();
      expand(fp::distance_of(head));
      ++work.expansions, work.edges += 16 * group_count(p_);
      for (size_t g = 0; g < group_count(p_); ++g) {
        const uint8_t* group = block(Frontier::id_of(head)) + g * group_bytes(p_);
        for (uint32_t mask = estimate(asked_, group, frontier_.bound(), values); mask; mask &= mask - 1) {
          const int lane = __builtin_ctz(mask);
          uint32_t id;
          std::memcpy(&id, group + 4 * lane, sizeof id);
          if (values[lane] >= frontier_.bound() || !visited_.insert(id)) continue;
          if (frontier_.insert(Frontier::key(values[lane], id, 0)) < frontier_.cursor() + 8) scorer_.prefetch(id);
        }
      }
    }
  }

  void finish(size_t count, size_t k, int way, uint32_t* rows, float* distances) {
    scratch_.fit(count);
    keys_.resize(count);
    for (size_t i = 0; i < count; ++i) {
      scratch_.ids[i] = way == deferred ? fp::deferred::Frontier::id_of(frontier_[i]) : scratch_.pool.id(i);
      exact_.prefetch(scratch_.ids[i]);
    }
    exact_.many(scratch_.ids.data(), count, scratch_.distances.data());
    for (size_t i = 0; i < count; ++i) keys_[i] = fp::pack(scratch_.distances[i], scratch_.ids[i]);
    const size_t best = std::min(k, count);
    std::partial_sort(keys_.begin(), keys_.begin() + static_cast<std::ptrdiff_t>(best), keys_.end());
    for (size_t j = 0; j < k; ++j) {
      rows[j] = j < best ? fp::id_of(keys_[j]) : fp::kNone;
      distances[j] = j < best ? fp::distance_of(keys_[j]) : std::numeric_limits<float>::infinity();
    }
  }

  const Parts& p_;
  fp::PackedView view_;
  fp::StoreScorer exact_;
  size_t wide_;
  fp::Buffer<float> queries_;
  fp::QueryCode codes_, edges_;
  Scorer scorer_;
  fp::PackedScratch scratch_;
  fp::Visited visited_;
  fp::deferred::Frontier frontier_;
  std::vector<int32_t> words_;
  std::vector<uint64_t> keys_;
  Asked asked_{};
  float slack_ = 0, lacking_ = 0;
};

std::vector<float> told;

}  // namespace

// Fills the groups of edges from rows (nodes, padded(dim)) as compared and mapped (nodes, positions) by the edges' map.
extern "C" void fill_edges(const Parts* p, const float* rows, const float* mapped) {
  const size_t positions = p->edge.positions, wide = fp::padded(p->dim);
  const fp::Kernel l2 = fp::l2_squared();
  fp::deferred::Layout layout;
  layout.rank = positions, layout.bits = 1;
  fp::deferred::Coded coded;
  std::vector<float> across(positions);
  for (size_t c = 0; c < p->nodes; ++c) {
    const float* from = mapped + c * positions;
    for (size_t j = 0; j < 16 * group_count(*p); ++j) {
      uint8_t* group = p->groups + (c * group_count(*p) + j / 16) * group_bytes(*p);
      const uint32_t d = j < p->stride ? p->links[c * p->stride + j] : static_cast<uint32_t>(c);
      std::memcpy(group + 4 * (j % 16), &d, sizeof d);
      if (d == c) continue;
      // Weights of a query hold the steps of the map, so edges leave them out.
      for (size_t i = 0; i < positions; ++i) {
        across[i] = p->edge.step[i] > 0 ? (mapped[d * positions + i] - from[i]) / p->edge.step[i] : 0.0f;
      }
      coded.set(across.data(), layout);
      double shift = 0;
      for (size_t i = 0; i < positions; ++i) shift += static_cast<double>(coded.value[i]) * from[i] * p->edge.step[i];
      const float length = l2(rows + d * wide, rows + c * wide, wide) + static_cast<float>(2 * coded.scale * shift);
      const uint16_t numbers[2] = {upper_bits(length), upper_bits(2 * coded.scale)};
      std::memcpy(group + 64 + 2 * (j % 16), numbers, 2);
      std::memcpy(group + 96 + 2 * (j % 16), numbers + 1, 2);
      fp::deferred::put_codes(group + 128, j % 16, coded.code, 1);
    }
  }
}

extern "C" void search(const Parts* p, const float* queries, uint64_t count, uint64_t k, uint64_t ef, uint64_t rerank,
                       int way, uint32_t* rows, float* distances, Work* work) {
  Searcher searcher(*p);
  if (way == recorded) told.clear();
  size_t start = 0;
  for (size_t begin = 0; begin < count; begin += fp::Mapper::kBlock) {
    const size_t size = std::min<size_t>(fp::Mapper::kBlock, count - begin);
    searcher.prepare(queries + begin * p->dim, size, way >= screened);
    for (size_t q = 0; q < size; ++q) {
      const size_t i = begin + q;
      searcher.search(q, k, std::max(ef, k), rerank, way, told, start, rows + i * k, distances + i * k, *work);
    }
  }
}
