// Best-first search over any neighbour graph: the view of a graph, what a search needs, and the search itself.
//
// Order is total everywhere: nearer first, equal distances by the smaller node number, so that a search is a function
// of its input alone. Method: Malkov and Yashunin, HNSW, algorithms 2 and 5 (arXiv 1603.09320).
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <limits>
#include <new>
#include <vector>

#if defined(__linux__)
#include <sys/mman.h>
#endif

#include "crowds.hpp"
#include "keys.hpp"
#include "simd.hpp"

namespace fingerpost {

constexpr uint32_t kNone = 0xFFFFFFFFu;
// Node numbers share a 64-bit key with a distance and one flag.
constexpr size_t kMaxNodes = 0x7FFFFFFFu;

// cosine is inner product on vectors of length one: the caller normalises vectors and queries (normalise below).
enum class Metric : int { l2 = 0, ip = 1, cosine = 2 };

struct Counters {
  uint64_t distances = 0;   // full distances, upper levels included
  uint64_t expansions = 0;  // nodes whose neighbours were looked at, upper levels included

  void operator+=(const Counters& other) {
    distances += other.distances;
    expansions += other.expansions;
  }
};

inline void prefetch(const void* address) {
#if defined(__GNUC__) || defined(__clang__)
  __builtin_prefetch(address, 0, 3);
#else
  (void)address;
#endif
}

inline void prefetch_bytes(const void* address, size_t bytes) {
  const char* from = static_cast<const char*>(address);
  for (size_t i = 0; i < bytes; i += 64) prefetch(from + i);
}

// Zeroed memory on cache-line (large: huge-page) boundaries. Move-only.
template <class T>
class Buffer {
 public:
  Buffer() = default;
  explicit Buffer(size_t count) : count_(count) {
    const size_t align = count * sizeof(T) >= (size_t{4} << 20) ? size_t{2} << 20 : 64;
    const size_t bytes = (count * sizeof(T) + align - 1) / align * align;
    if (bytes == 0) return;
    data_ = static_cast<T*>(std::aligned_alloc(align, bytes));
    if (data_ == nullptr) throw std::bad_alloc();
#if defined(__linux__) && defined(MADV_HUGEPAGE)
    if (align > 64) madvise(data_, bytes, MADV_HUGEPAGE);
#endif
    std::memset(static_cast<void*>(data_), 0, bytes);
  }
  Buffer(const Buffer&) = delete;
  Buffer& operator=(const Buffer&) = delete;
  Buffer(Buffer&& other) noexcept : data_(other.data_), count_(other.count_) {
    other.data_ = nullptr;
    other.count_ = 0;
  }
  Buffer& operator=(Buffer&& other) noexcept {
    std::swap(data_, other.data_);
    std::swap(count_, other.count_);
    return *this;
  }
  ~Buffer() { std::free(data_); }

  T* data() { return data_; }
  const T* data() const { return data_; }
  size_t size() const { return count_; }
  T& operator[](size_t i) { return data_[i]; }
  const T& operator[](size_t i) const { return data_[i]; }

 private:
  T* data_ = nullptr;
  size_t count_ = 0;
};

// Floats between rows of stored vectors: whole cache lines, the rest zeros (kernels then have no tail, and the zeros
// change no bit of a result).
inline size_t padded(size_t dim) { return (dim + 15) / 16 * 16; }

// Copies rows of `dim` floats to rows of padded(dim) floats.
inline Buffer<float> copy_rows(const float* rows, size_t n, size_t dim) {
  Buffer<float> copy(n * padded(dim));
  for (size_t i = 0; i < n; ++i) std::memcpy(copy.data() + i * padded(dim), rows + i * dim, dim * sizeof(float));
  return copy;
}

// Scales a vector to length one; false (and unchanged) where its length is zero, subnormal or not finite.
inline bool normalise(float* vector, size_t dim) {
  // In float64 and in index order: no overflow for large values, and the same bits everywhere.
  double squares = 0.0;
  for (size_t i = 0; i < dim; ++i) squares += static_cast<double>(vector[i]) * static_cast<double>(vector[i]);
  if (!(squares > 1e-300) || !std::isfinite(squares)) return false;
  const double length = std::sqrt(squares);
  for (size_t i = 0; i < dim; ++i) vector[i] = static_cast<float>(static_cast<double>(vector[i]) / length);
  return true;
}

// What every search reads. Nothing is owned. The level-0 graph may come from anywhere.
struct GraphView {
  size_t n = 0;
  size_t dim = 0;                     // floats of a row and of a query that count; a multiple of 16 where rows are padded
  size_t vector_stride = 0;           // floats between rows
  const float* vectors = nullptr;     // row i at vectors + i * vector_stride
  Metric metric = Metric::l2;
  size_t stride0 = 0;                 // uint32 between records of level 0
  const uint32_t* level0 = nullptr;   // record: degree, then ids, padded to stride0 - 1
  // Levels 1 and up; upper_slot is null where there are none. Record of node v at level l >= 1:
  // upper + (upper_slot[v] + l - 1) * stride1, the same layout as level 0.
  size_t stride1 = 0;
  const uint32_t* upper = nullptr;
  const uint32_t* upper_slot = nullptr;
  int top_level = 0;
  const uint32_t* entries = nullptr;  // the search starts from the nearest of these
  size_t entry_count = 0;

  const float* row(uint32_t id) const { return vectors + static_cast<size_t>(id) * vector_stride; }
  const uint32_t* links0(uint32_t id) const { return level0 + static_cast<size_t>(id) * stride0; }
  const uint32_t* links(uint32_t id, int level) const {
    if (level == 0) return links0(id);
    return upper + (static_cast<size_t>(upper_slot[id]) + static_cast<size_t>(level) - 1) * stride1;
  }
};

// Distances of one query: squared L2, or 1 - <q, x>.
struct Distance {
  Kernel kernel;
  Kernel4 kernel4;
  bool l2;
  size_t dim;
  size_t stride;
  const float* vectors;

  explicit Distance(const GraphView& view)
      : kernel(view.metric == Metric::l2 ? l2_squared() : dot()),
        kernel4(view.metric == Metric::l2 ? l2_squared_x4() : dot_x4()),
        l2(view.metric == Metric::l2),
        dim(view.dim),
        stride(view.vector_stride),
        vectors(view.vectors) {}

  const float* row(uint32_t id) const { return vectors + static_cast<size_t>(id) * stride; }
  float operator()(const float* query, const float* other) const {
    const float value = kernel(query, other, dim);
    return l2 ? value : 1.0f - value;
  }
  float operator()(const float* query, uint32_t id) const { return (*this)(query, row(id)); }
  // Distances of the query to `count` nodes.
  void many(const float* query, const uint32_t* ids, size_t count, float* out) const {
    size_t i = 0;
    for (; i + 4 <= count; i += 4) {
      const float* const rows[4] = {row(ids[i]), row(ids[i + 1]), row(ids[i + 2]), row(ids[i + 3])};
      for (size_t j = i + 4; j < count && j < i + 8; ++j) prefetch_bytes(row(ids[j]), dim < 256 ? dim * 4 : 1024);
      kernel4(query, rows, dim, out + i);
    }
    for (; i < count; ++i) out[i] = kernel(query, row(ids[i]), dim);
    if (!l2) {
      for (i = 0; i < count; ++i) out[i] = 1.0f - out[i];
    }
  }
};

// The `capacity` nearest nodes seen so far in ascending order, each expanded or not, and more where there are crowds. It is
// the result queue and the frontier at once: a node that has left the results could never be expanded, as the search ends
// before it.
class Pool {
 public:
  // most: the nodes of one crowd that are wanted at least. range: see Crowds.
  void reset(size_t capacity, size_t most = 0, float range = 0.0f) {
    capacity_ = width_ = capacity;
    if (keys_.size() < Crowds::largest(capacity) + 1) keys_.resize(Crowds::largest(capacity) + 1);
    crowds_.reset(capacity, most, range);
    size_ = 0;
    cursor_ = 0;
  }
  size_t size() const { return size_; }
  bool full() const { return size_ >= capacity_; }
  // The worst distance in a full pool; infinite while it is not full.
  float bound() const {
    return full() ? distance_of(keys_[size_ - 1]) : std::numeric_limits<float>::infinity();
  }
  // Inserts a node that is not in the pool; false where it is not among the nearest.
  bool insert(float distance, uint32_t id) {
    const uint64_t key = pack(distance, id);
    if (size_ >= capacity_) {
      if (key > keys_[size_ - 1]) return false;
      --size_;
    }
    const uint64_t* base = keys_.data();
    size_t length = size_;
    while (length > 0) {
      const size_t half = length / 2;
      const bool right = base[half] < key;
      base = right ? base + half + 1 : base;
      length = right ? length - half - 1 : half;
    }
    const size_t at = static_cast<size_t>(base - keys_.data());
    std::memmove(keys_.data() + at + 1, keys_.data() + at, (size_ - at) * sizeof(uint64_t));
    keys_[at] = key;
    ++size_;
    if (at < cursor_) cursor_ = at;
    return true;
  }
  // Takes the nearest node that was not expanded and marks it; false where there is none.
  bool next(uint32_t* id, float* distance) {
    if (!advance()) return false;
    if (Crowds::close(size_, capacity_) && crowds_.at(keys_.data(), size_, cursor_)) {
      size_ = crowds_.thin(keys_.data(), size_, &capacity_);
      cursor_ = 0;
      if (!advance()) return false;
    }
    *id = id_of(keys_[cursor_]);
    *distance = distance_of(keys_[cursor_]);
    keys_[cursor_++] |= 1u;
    return true;
  }
  // The node that next() would give, without taking it; kNone where there is none.
  uint32_t peek() const {
    size_t at = cursor_;
    while (at < size_ && (keys_[at] & 1u)) ++at;
    return at < size_ ? id_of(keys_[at]) : kNone;
  }
  uint32_t id(size_t i) const { return id_of(keys_[i]); }
  float distance(size_t i) const { return distance_of(keys_[i]); }
  // Places beyond the width, which crowds have made.
  size_t extra() const { return capacity_ - width_; }

 private:
  bool advance() {
    while (cursor_ < size_ && (keys_[cursor_] & 1u)) ++cursor_;
    return cursor_ < size_;
  }

  std::vector<uint64_t> keys_;
  size_t capacity_ = 0, width_ = 0, size_ = 0, cursor_ = 0;
  Crowds crowds_;
};

// The set of visited nodes: one bit a node, cleared by what was touched.
class Visited {
 public:
  void reset(size_t n) {
    const size_t words = (n + 63) / 64;
    if (words > bits_.size() || touched_.size() > words / 4) {
      bits_.assign(words > bits_.size() ? words : bits_.size(), 0);
    } else {
      for (uint32_t id : touched_) bits_[id >> 6] = 0;
    }
    touched_.clear();
  }
  bool test(uint32_t id) const { return bits_[id >> 6] >> (id & 63) & 1u; }
  void set(uint32_t id) {
    bits_[id >> 6] |= uint64_t{1} << (id & 63);
    touched_.push_back(id);
  }
  // Marks a node; true where it was not marked before.
  bool insert(uint32_t id) {
    if (test(id)) return false;
    set(id);
    return true;
  }

 private:
  std::vector<uint64_t> bits_;
  std::vector<uint32_t> touched_;
};

// What one thread needs to search; reused from query to query.
struct Scratch {
  Visited visited;
  Pool pool;
  std::vector<uint32_t> ids;
  std::vector<float> distances;

  void fit(size_t degree) {
    if (ids.size() < degree) {
      ids.resize(degree);
      distances.resize(degree);
    }
  }
};

// The node at which a search starts, and how far the nodes lie from the query that were passed on the way to it.
struct Entry {
  uint32_t id = kNone;
  float distance = std::numeric_limits<float>::infinity();
  float farthest = -std::numeric_limits<float>::infinity();

  void move(uint32_t to, float its) {
    id = to;
    distance = its;
  }
  void pass(float its) { farthest = std::max(farthest, its); }
  float range() const { return farthest > distance ? farthest - distance : 0.0f; }
};

// Walks from `entry` to the nearest neighbour until none is nearer, on one upper level.
inline Entry greedy_level(const GraphView& view, const Distance& distance, const float* query, Entry entry, int level,
                          Scratch& scratch, Counters& counters) {
  for (bool moved = true; moved;) {
    moved = false;
    const uint32_t* record = view.links(entry.id, level);
    const size_t degree = record[0];
    scratch.fit(degree);
    ++counters.expansions;
    counters.distances += degree;
    for (size_t i = 0; i < degree; ++i) prefetch(view.row(record[1 + i]));
    distance.many(query, record + 1, degree, scratch.distances.data());
    for (size_t i = 0; i < degree; ++i) {
      entry.pass(scratch.distances[i]);
      if (pack(scratch.distances[i], record[1 + i]) < pack(entry.distance, entry.id)) {
        entry.move(record[1 + i], scratch.distances[i]);
        moved = true;
      }
    }
  }
  return entry;
}

// The nearest entry point, then greedy descent through the levels above `down_to`. The graph must have an entry point.
inline Entry greedy_upper(const GraphView& view, const Distance& distance, const float* query, Scratch& scratch,
                          Counters& counters, int down_to = 0) {
  Entry best;
  scratch.fit(view.entry_count);
  distance.many(query, view.entries, view.entry_count, scratch.distances.data());
  counters.distances += view.entry_count;
  for (size_t i = 0; i < view.entry_count; ++i) {
    best.pass(scratch.distances[i]);
    if (best.id == kNone || pack(scratch.distances[i], view.entries[i]) < pack(best.distance, best.id)) {
      best.move(view.entries[i], scratch.distances[i]);
    }
  }
  for (int level = view.top_level; level > down_to; --level) {
    best = greedy_level(view, distance, query, best, level, scratch, counters);
  }
  return best;
}

// Best-first search on one level from the nodes that are already in scratch.pool and scratch.visited.
inline void search_pool(const GraphView& view, const Distance& distance, const float* query, int level,
                        Scratch& scratch, Counters& counters) {
  uint32_t id;
  float at;
  const size_t head = view.dim < 64 ? view.dim * 4 : 256;
  while (scratch.pool.next(&id, &at)) {
    const uint32_t* record = view.links(id, level);
    const size_t degree = record[0];
    scratch.fit(degree);
    uint32_t* fresh = scratch.ids.data();
    size_t count = 0;
    for (size_t i = 0; i < degree; ++i) {
      const uint32_t neighbour = record[1 + i];
      if (scratch.visited.insert(neighbour)) {
        prefetch_bytes(view.row(neighbour), head);
        fresh[count++] = neighbour;
      }
    }
    ++counters.expansions;
    counters.distances += count;
    const uint32_t following = scratch.pool.peek();
    if (following != kNone) prefetch_bytes(view.links(following, level), 192);
    distance.many(query, fresh, count, scratch.distances.data());
    for (size_t i = 0; i < count; ++i) scratch.pool.insert(scratch.distances[i], fresh[i]);
  }
}

// Plain best-first search of level 0 from one entry for the k nearest; the result is scratch.pool, nearest first.
inline void search_level0(const GraphView& view, const Distance& distance, const float* query, Entry entry, size_t ef,
                          size_t k, Scratch& scratch, Counters& counters) {
  scratch.visited.reset(view.n);
  scratch.pool.reset(ef, k, entry.range());
  scratch.visited.set(entry.id);
  scratch.pool.insert(entry.distance, entry.id);
  search_pool(view, distance, query, 0, scratch, counters);
}

// A graph and its vectors in the layout that the search reads, copied from index pointers and ids.
class GraphStore {
 public:
  // vectors: n rows of dim finite floats (cosine: rows are normalised here; bad_row() names one that cannot be). lasting:
  // they outlive the store and do not change, so that rows which need no padding or scaling are used where they lie.
  GraphStore(const float* vectors, size_t n, size_t dim, Metric metric, const int64_t* indptr, const uint32_t* indices,
             const uint32_t* entries, size_t entry_count, bool lasting = false)
      : n_(n), dim_(dim), metric_(metric), entries_(entries, entries + entry_count) {
    const bool in_place = lasting && metric != Metric::cosine && padded(dim) == dim &&
                          reinterpret_cast<uintptr_t>(vectors) % 64 == 0;
    if (!in_place) vectors_ = copy_rows(vectors, n, dim);
    rows_ = in_place ? vectors : vectors_.data();
    for (size_t i = 0; i < n; ++i) {
      const size_t degree = static_cast<size_t>(indptr[i + 1] - indptr[i]);
      if (degree > widest_) widest_ = degree;
      if (metric == Metric::cosine && !normalise(vectors_.data() + i * padded(dim), dim) && bad_row_ == kNone) {
        bad_row_ = static_cast<uint32_t>(i);
      }
    }
    stride0_ = 1 + widest_;
    level0_ = Buffer<uint32_t>(n * stride0_);
    for (size_t i = 0; i < n; ++i) {
      fill(level0_.data() + i * stride0_, stride0_, indptr[i], indptr[i + 1], indices);
    }
  }

  // Levels 1, 2, ... in order; nodes sorted, each level's nodes part of the level below.
  void set_upper(const std::vector<const uint32_t*>& nodes, const std::vector<size_t>& counts,
                 const std::vector<const int64_t*>& indptrs, const std::vector<const uint32_t*>& indices) {
    top_level_ = static_cast<int>(nodes.size());
    if (nodes.empty()) return;
    size_t widest = 0, records = 0;
    std::vector<uint32_t> height(n_, 0);
    for (size_t l = 0; l < nodes.size(); ++l) {
      records += counts[l];
      for (size_t i = 0; i < counts[l]; ++i) {
        ++height[nodes[l][i]];
        const size_t degree = static_cast<size_t>(indptrs[l][i + 1] - indptrs[l][i]);
        if (degree > widest) widest = degree;
      }
    }
    stride1_ = 1 + widest;
    slot_ = Buffer<uint32_t>(n_);
    uint32_t next = 0;
    for (size_t i = 0; i < n_; ++i) {
      slot_[i] = height[i] ? next : kNone;
      next += height[i];
    }
    upper_ = Buffer<uint32_t>(records * stride1_);
    for (size_t l = 0; l < nodes.size(); ++l) {
      for (size_t i = 0; i < counts[l]; ++i) {
        uint32_t* record = upper_.data() + (static_cast<size_t>(slot_[nodes[l][i]]) + l) * stride1_;
        fill(record, stride1_, indptrs[l][i], indptrs[l][i + 1], indices[l]);
      }
    }
  }

  GraphView view() const {
    GraphView view;
    view.n = n_;
    view.dim = padded(dim_);
    view.vector_stride = padded(dim_);
    view.vectors = rows_;
    view.metric = metric_;
    view.stride0 = stride0_;
    view.level0 = level0_.data();
    view.stride1 = stride1_;
    view.upper = top_level_ ? upper_.data() : nullptr;
    view.upper_slot = top_level_ ? slot_.data() : nullptr;
    view.top_level = top_level_;
    view.entries = entries_.data();
    view.entry_count = entries_.size();
    return view;
  }
  size_t n() const { return n_; }
  size_t dim() const { return dim_; }
  Metric metric() const { return metric_; }
  size_t widest() const { return widest_; }   // largest degree of level 0
  uint32_t bad_row() const { return bad_row_; }  // first row without a direction under cosine, or kNone

 private:
  static void fill(uint32_t* record, size_t stride, int64_t from, int64_t to, const uint32_t* ids) {
    record[0] = static_cast<uint32_t>(to - from);
    for (int64_t j = from; j < to; ++j) record[1 + j - from] = ids[j];
    for (size_t j = 1 + static_cast<size_t>(to - from); j < stride; ++j) record[j] = kNone;
  }

  size_t n_, dim_;
  Metric metric_;
  Buffer<float> vectors_;
  const float* rows_ = nullptr;
  std::vector<uint32_t> entries_;
  size_t widest_ = 0, stride0_ = 1, stride1_ = 0;
  uint32_t bad_row_ = kNone;
  Buffer<uint32_t> level0_, upper_, slot_;
  int top_level_ = 0;
};

// A query copied to padded(dim) floats on a cache line, normalised for cosine; false where that is impossible.
class Query {
 public:
  explicit Query(size_t dim) : dim_(dim), values_(padded(dim)) {}
  bool set(const float* values, Metric metric) {
    std::memcpy(values_.data(), values, dim_ * sizeof(float));
    return metric != Metric::cosine || normalise(values_.data(), dim_);
  }
  const float* data() const { return values_.data(); }

 private:
  size_t dim_;
  Buffer<float> values_;
};

}  // namespace fingerpost
