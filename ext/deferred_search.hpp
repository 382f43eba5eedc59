// The search of deferred.hpp: its frontier and its loop.
#pragma once

#include "deferred.hpp"
#include "packed_query.hpp"

namespace fingerpost {
namespace deferred {

struct Work {
  uint64_t distances = 0, expansions = 0, estimates = 0;

  void operator+=(const Work& other) {
    distances += other.distances;
    expansions += other.expansions;
    estimates += other.estimates;
  }
};

// Node numbers share a key with a distance and two flags.
constexpr size_t kMostNodes = 0x3FFFFFFFu;

// The `capacity` nearest nodes seen so far, by estimate or by distance, in ascending order.
class Frontier {
 public:
  static constexpr uint64_t expanded = 1, exact = 2;

  static uint64_t key(float distance, uint32_t id, uint64_t flags) {
    return (pack(distance, 0) & ~uint64_t{0xFFFFFFFF}) | static_cast<uint64_t>(id) << 2 | flags;
  }
  static uint32_t id_of(uint64_t key) { return static_cast<uint32_t>(key) >> 2; }

  // most: the nodes of one crowd that are wanted at least.
  void reset(size_t capacity, size_t most = 0) {
    capacity_ = capacity;
    if (keys_.size() < Crowds::largest(capacity) + 1) keys_.resize(Crowds::largest(capacity) + 1);
    crowds_.reset(capacity, most, 0.0f);
    size_ = cursor_ = 0;
  }
  size_t size() const { return size_; }
  size_t cursor() const { return cursor_; }
  uint64_t operator[](size_t i) const { return keys_[i]; }
  float bound() const {
    return size_ >= capacity_ ? distance_of(keys_[size_ - 1]) : std::numeric_limits<float>::infinity();
  }
  // Where the key went; the capacity where it is not among the nearest.
  size_t insert(uint64_t key) {
    if (size_ >= capacity_) {
      if (key > keys_[size_ - 1]) return capacity_;
      --size_;
    }
    const size_t at = place(key);
    std::memmove(keys_.data() + at + 1, keys_.data() + at, (size_ - at) * sizeof(uint64_t));
    keys_[at] = key;
    ++size_;
    cursor_ = std::min(cursor_, at);
    return at;
  }
  // Moves the cursor to the nearest node that was not expanded; false where there is none.
  bool advance() {
    while (cursor_ < size_ && (keys_[cursor_] & expanded)) ++cursor_;
    return cursor_ < size_;
  }
  // The first nodes, from the cursor on, that have but an estimate: their keys, at most `most`.
  size_t waiting(size_t most, uint64_t* keys) const {
    size_t count = 0;
    for (size_t i = cursor_; i < size_ && count < most; ++i) {
      if (!(keys_[i] & (expanded | exact))) keys[count++] = keys_[i];
    }
    return count;
  }
  // Gives the node of a key its distance.
  void correct(uint64_t key_now, float distance) {
    const uint64_t corrected = key(distance, id_of(key_now), exact);
    const size_t from = place(key_now);
    size_t at = place(corrected);
    if (at > from) {
      --at;
      std::memmove(keys_.data() + from, keys_.data() + from + 1, (at - from) * sizeof(uint64_t));
    } else {
      std::memmove(keys_.data() + at + 1, keys_.data() + at, (from - at) * sizeof(uint64_t));
    }
    keys_[at] = corrected;
    cursor_ = std::min(cursor_, at);
  }
  // See Crowds.
  void widen(float range) { crowds_.widen(range); }
  // Makes room where the node at the cursor is in a crowd; true where the cursor may then be at another.
  bool make_room() {
    if (!Crowds::close(size_, capacity_) || !crowds_.at(keys_.data(), size_, cursor_)) return false;
    size_ = crowds_.thin(keys_.data(), size_, &capacity_);
    cursor_ = 0;
    return true;
  }
  void expand() { keys_[cursor_] |= expanded; }
  // The node that comes up after the one at the cursor; kNone where there is none.
  uint32_t following() const {
    size_t at = cursor_ + 1;
    while (at < size_ && (keys_[at] & expanded)) ++at;
    return at < size_ ? id_of(keys_[at]) : kNone;
  }

 private:
  // The number of keys below this one. Without branches, which would be guessed wrong half the time.
  size_t place(uint64_t key) const {
    if (size_ == 0) return 0;
    const uint64_t* base = keys_.data();
    size_t length = size_;
    while (length > 1) {
      const size_t half = length / 2;
      base += half & (size_t{0} - static_cast<size_t>(base[half - 1] < key));
      length -= half;
    }
    return static_cast<size_t>(base - keys_.data()) + (*base < key);
  }
  std::vector<uint64_t> keys_;
  size_t capacity_ = 0, size_ = 0, cursor_ = 0;
  Crowds crowds_;
};

// Vectors as they are compared, rows of padded(dim) floats on cache lines.
struct Rows {
  const float* data;
  size_t stride, n;
  Metric metric;

  const float* row(uint32_t id) const { return data + static_cast<size_t>(id) * stride; }
};

// Blocks of all nodes and of the entries; nothing is owned.
struct Tables {
  Layout layout;
  CodeMap map;               // the directions as columns, with columns of zeros up to a multiple of 64
  const uint8_t* lines;
  size_t stride;             // lines of every block; 0 where they differ
  const uint32_t* first;     // n + 1: the line at which a node's block begins, where they differ
  const uint8_t* entries;

  const uint8_t* block(uint32_t id) const {
    return lines + kLine * (stride ? stride * id : static_cast<size_t>(first[id]));
  }
  size_t bytes(uint32_t id) const { return kLine * (stride ? stride : first[id + 1] - first[id]); }
};

class Searcher {
 public:
  // block: queries that are projected at once, at most Mapper::kBlock.
  Searcher(const Rows& rows, const Tables& tables, size_t block)
      : rows_(rows), tables_(tables), l2_(rows.metric == Metric::l2), distance_(l2_ ? l2_squared() : dot()),
        distance4_(l2_ ? l2_squared_x4() : dot_x4()),
        together_(std::max<size_t>(1, std::min<size_t>(kTogether, 2048 / rows.stride))),
        estimate_(l2_ ? estimate_of<true>(tables.layout.bits) : estimate_of<false>(tables.layout.bits)),
        mapper_(tables.map, block), words_(tables.layout.words() + 1) {}

  // Projects up to `block` queries, rows.stride floats apart, of length one under cosine: directions that are
  // read once for several queries, and not at all where a query is zero, cost a search of few nodes much less.
  void project(const float* queries, size_t count) { mapper_.apply(queries, rows_.stride, count); }

  // Searches for the k nearest of query q of those projected.
  void search(size_t q, const float* query, size_t ef, size_t k, Work& work) {
    set_query(q, query);
    visited_.reset(rows_.n);
    frontier_.reset(ef, k);
    enter(work);
    while (frontier_.advance()) {
      uint64_t head = frontier_[frontier_.cursor()];
      if ((head & Frontier::exact) && frontier_.make_room()) {
        if (!frontier_.advance()) break;
        head = frontier_[frontier_.cursor()];
      }
      if (!(head & Frontier::exact)) {
        measure(query, work);
        continue;
      }
      const uint32_t next = frontier_.following();
      if (next != kNone) fetch_block(next);
      frontier_.expand();
      expand(Frontier::id_of(head), distance_of(head), work);
    }
  }
  const Frontier& found() const { return frontier_; }

  float distance(const float* query, uint32_t id) const {
    const float value = distance_(query, rows_.row(id), rows_.stride);
    return l2_ ? value : 1.0f - value;
  }

  void set_query(size_t q, const float* query) {
    const Layout& layout = tables_.layout;
    const float* projection = mapper_.mapped(q);
    float widest = 0;
    for (size_t k = 0; k < layout.rank; ++k) widest = std::max(widest, std::fabs(projection[k]));
    centre_.norm2 = dot()(query, query, rows_.stride);
    centre_.unit = std::isfinite(widest) ? widest / 127.0f : 0.0f;
    int8_t* values = reinterpret_cast<int8_t*>(words_.data());
    int sum = 0;
    for (size_t k = 0; k < layout.rank; ++k) {
      const int value = centre_.unit > 0.0f ? static_cast<int>(std::lrint(projection[k] / centre_.unit)) : 0;
      values[k] = static_cast<int8_t>(std::max(-127, std::min(127, value)));
      sum += values[k];
    }
    centre_.words = words_.data();
    centre_.rows = layout.rows();
    centre_.middle = static_cast<float>(sum) * layout.half();
  }

  // Fixes the expansion of a node at its known distance.
  void set_centre(float c2, float distance) {
    const float product = l2_ ? 0.5f * (c2 + centre_.norm2 - distance) : 1.0f - distance;
    const bool direction = c2 > 0.0f && std::isfinite(product);
    const float square = direction ? centre_.norm2 - product / c2 * product : centre_.norm2;
    centre_.product = direction ? product : 0.0f;
    centre_.residual = square > 0.0f ? std::sqrt(square) : 0.0f;
  }

  uint32_t estimate(const uint8_t* group, float bound, float* out) const {
    return estimate_(centre_, group, bound, out);
  }

 private:
  static constexpr size_t kStarts = 4;    // entries that a search begins from
  static constexpr size_t kSoon = 4;      // nodes of the frontier whose rows are fetched ahead
  static constexpr size_t kTogether = 4;  // distances computed together

  void fetch_row(uint32_t id) const {
    prefetch_bytes(rows_.row(id), std::min<size_t>(rows_.stride * sizeof(float), 4096));
  }
  void fetch_block(uint32_t id) const { prefetch_bytes(tables_.block(id), std::min<size_t>(tables_.bytes(id), 4096)); }

  // Computes the distance of the node at the cursor, and with it those of the next few that will need theirs: memory
  // answers several rows in little more than the time of one.
  void measure(const float* query, Work& work) {
    uint64_t keys[kTogether];
    float distances[kTogether];
    const size_t count = frontier_.waiting(together_, keys);
    fetch_block(Frontier::id_of(keys[0]));
    for (size_t i = 0; i < count; ++i) fetch_row(Frontier::id_of(keys[i]));
    if (count == 4) {
      const float* const rows[4] = {rows_.row(Frontier::id_of(keys[0])), rows_.row(Frontier::id_of(keys[1])),
                                    rows_.row(Frontier::id_of(keys[2])), rows_.row(Frontier::id_of(keys[3]))};
      distance4_(query, rows, rows_.stride, distances);
    } else {
      for (size_t i = 0; i < count; ++i) distances[i] = distance_(query, rows_.row(Frontier::id_of(keys[i])), rows_.stride);
    }
    for (size_t i = 0; i < count; ++i) frontier_.correct(keys[i], l2_ ? distances[i] : 1.0f - distances[i]);
    work.distances += count;
  }

  // The entries nearest by estimate.
  void enter(Work& work) {
    uint32_t count;
    std::memcpy(&count, tables_.entries, sizeof count);
    set_centre(0.0f, 0.0f);
    starts_.reset(kStarts);
    work.estimates += count;
    alignas(64) float estimates[16];
    float farthest = -std::numeric_limits<float>::infinity();
    const uint8_t* group = tables_.entries + kLine;
    for (uint32_t first = 0; first < count; first += 16, group += kLine * tables_.layout.group_lines()) {
      uint32_t mask = estimate(group, starts_.bound(), estimates);
      for (uint32_t i = 0; i < 16 && first + i < count; ++i) farthest = std::max(farthest, estimates[i]);
      if (count - first < 16) mask &= (1u << (count - first)) - 1u;
      for (; mask; mask &= mask - 1) {
        const int lane = __builtin_ctz(mask);
        starts_.insert(Frontier::key(estimates[lane], id_at(group, lane), 0));
      }
    }
    if (starts_.size() > 0) frontier_.widen(farthest - distance_of(starts_[0]));
    for (size_t i = 0; i < starts_.size(); ++i) {
      const uint32_t id = Frontier::id_of(starts_[i]);
      if (!visited_.insert(id)) continue;
      fetch_row(id);
      frontier_.insert(starts_[i]);
    }
  }

  void expand(uint32_t id, float at, Work& work) {
    const uint8_t* block = tables_.block(id);
    uint32_t degree;
    float c2;
    std::memcpy(&degree, block, sizeof degree);
    std::memcpy(&c2, block + 4, sizeof c2);
    set_centre(c2, at);
    ++work.expansions;
    work.estimates += degree;
    alignas(64) float estimates[16];
    const uint8_t* group = block + kLine;
    for (uint32_t first = 0; first < degree; first += 16, group += kLine * tables_.layout.group_lines()) {
      uint32_t mask = estimate(group, frontier_.bound(), estimates);
      if (degree - first < 16) mask &= (1u << (degree - first)) - 1u;
      for (; mask; mask &= mask - 1) {
        const int lane = __builtin_ctz(mask);
        // The bound falls while the group is read.
        if (estimates[lane] >= frontier_.bound()) continue;
        const uint32_t neighbour = id_at(group, lane);
        // One that is screened out is not marked: another node may lead to it, and estimate it nearer.
        if (!visited_.insert(neighbour)) continue;
        // Where blocks differ in size, finding one is a wait of its own.
        if (tables_.stride == 0) prefetch(tables_.first + neighbour);
        const size_t place = frontier_.insert(Frontier::key(estimates[lane], neighbour, 0));
        if (place < frontier_.cursor() + kSoon) fetch_row(neighbour);
      }
    }
  }

  static uint32_t id_at(const uint8_t* group, int lane) {
    uint32_t id;
    std::memcpy(&id, group + 4 * lane, sizeof id);
    return id;
  }

  const Rows& rows_;
  const Tables& tables_;
  bool l2_;
  Kernel distance_;
  Kernel4 distance4_;
  size_t together_;
  Estimate estimate_;
  Mapper mapper_;
  std::vector<int32_t> words_;
  Centre centre_;
  Visited visited_;
  Frontier frontier_, starts_;
};

// Searches for `count` queries; rows of k ids and distances, nearest first, filled up with kNone and infinity. Returns
// the first query without a direction (cosine), or -1.
inline int64_t search(const Rows& rows, const Tables& tables, const float* queries, size_t count, size_t dim, size_t k,
                      size_t ef, int threads, uint32_t* ids, float* distances, Work* total) {
  const size_t workers = threads < 1 ? 1 : static_cast<size_t>(threads), at_once = std::min(count, Mapper::kBlock);
  std::vector<Buffer<float>> own;
  std::vector<Searcher> searchers;
  searchers.reserve(workers);
  std::vector<Work> work(workers);
  std::vector<int64_t> bad(workers, -1);
  for (size_t t = 0; t < workers; ++t) {
    own.emplace_back(rows.stride * at_once);
    searchers.emplace_back(rows, tables, at_once);
  }
  parallel_for(0, (count + Mapper::kBlock - 1) / Mapper::kBlock, threads, [&](size_t block, int thread) {
    const size_t begin = block * Mapper::kBlock, size = std::min(Mapper::kBlock, count - begin);
    float* values = own[thread].data();
    for (size_t q = 0; q < size; ++q) {
      std::memcpy(values + q * rows.stride, queries + (begin + q) * dim, dim * sizeof(float));
      if (rows.metric != Metric::cosine || normalise(values + q * rows.stride, dim)) continue;
      if (bad[thread] < 0) bad[thread] = static_cast<int64_t>(begin + q);
      return;
    }
    Searcher& searcher = searchers[thread];
    searcher.project(values, size);
    for (size_t q = 0; q < size; ++q) {
      const size_t i = begin + q;
      searcher.search(q, values + q * rows.stride, std::max(ef, k), k, work[thread]);
      const Frontier& found = searcher.found();
      for (size_t j = 0; j < k; ++j) {
        const bool there = j < found.size();
        ids[i * k + j] = there ? Frontier::id_of(found[j]) : kNone;
        distances[i * k + j] = there ? distance_of(found[j]) : std::numeric_limits<float>::infinity();
      }
    }
  });
  int64_t first = -1;
  for (size_t t = 0; t < workers; ++t) {
    *total += work[t];
    if (bad[t] >= 0 && (first < 0 || bad[t] < first)) first = bad[t];
  }
  return first;
}

}  // namespace deferred
}  // namespace fingerpost
