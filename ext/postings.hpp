// Exact best documents of weighted query terms over an inverted index, scores of given documents, and sorted texts.
//
// Documents are visited in windows of ascending numbers. In a window the lists of the terms that alone could still reach the
// k-th best score are added into accumulators; the other lists are asked only for documents that could get there with them
// (MaxScore: Turtle and Flood, Information Processing & Management 31(6), 1995; windows as in Strohman, Turtle and Croft,
// SIGIR 2005).
//
// Scores are sums of integers: a term's part is its weight in the query times that in the document, rounded to a unit of at
// most 2^-29 of the largest score possible. So the order of summation, which skipping changes, does not change a bit.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <functional>
#include <limits>
#include <utility>
#include <vector>

#if defined(__SSE2__)
#include <emmintrin.h>
#endif

#include "parallel.hpp"

namespace fingerpost {
namespace postings {

// Windows double up to 16 KiB of accumulators.
constexpr uint32_t kFirstWindow = 512;
constexpr uint32_t kWindow = 4096;
// Accumulators looked at together.
constexpr uint32_t kStep = 16;
// A window with fewer postings than one in so many documents is gone through by them.
constexpr size_t kSparse = 32;
// Finding one document in a list takes about as long as adding so many postings.
constexpr size_t kLookup = 16;
// Where a first bound is looked for: up to so many answers, among so many postings of a list.
constexpr size_t kSeedAnswers = 64;
constexpr int64_t kSeedPostings = 32;
// Documents whose rows are fetched before they are scored.
constexpr size_t kAhead = 6;

struct View {
  const int64_t* indptr;
  const uint32_t* documents;
  const float* weights;
  const float* maxima;
  size_t terms;
  size_t rows;
};

// The same by document.
struct Forward {
  const int64_t* indptr;
  const int32_t* terms;
  const float* weights;
};

template <class T>
inline void prefetch(const T* address) {
#if defined(__GNUC__)
  __builtin_prefetch(address);
#endif
}

// The beginning of a document's row, as much as most have.
inline void prefetch_row(const Forward& forward, int64_t row) {
  const int64_t at = forward.indptr[row];
  prefetch(forward.terms + at);
  prefetch(forward.terms + at + 16);
  prefetch(forward.weights + at);
  prefetch(forward.weights + at + 16);
}

inline int32_t part(float weight, float factor) { return static_cast<int32_t>(weight * factor + 0.5f); }

// A term's weight in the query in units of the scale. Where all its weights in documents are next to nothing it could pass
// the range of floats.
inline float factor_of(float weight, double scale) {
  return static_cast<float>(std::min(weight * scale, static_cast<double>(std::numeric_limits<float>::max())));
}

struct Term {
  int64_t begin;
  int64_t at;
  int64_t end;
  int64_t column;
  float factor;
  int32_t most;
};

// The power of two that makes scores integers below 2^30; 0 where no term weighs anything.
inline double scale_of(const float* maxima, const int64_t* columns, const float* weights, size_t count) {
  double total = 0;
  for (size_t i = 0; i < count; ++i) {
    if (columns[i] >= 0) total += static_cast<double>(weights[i]) * maxima[columns[i]];
  }
  if (!(total > 0)) return 0;
  int exponent;
  std::frexp(total, &exponent);
  return std::ldexp(1.0, 30 - exponent);
}

// Which of kStep sums are above a floor, as bits.
inline uint32_t above(const int32_t* sums, int32_t floor) {
#if defined(__SSE2__)
  const __m128i least = _mm_set1_epi32(floor);
  __m128i over[4];
  for (int i = 0; i < 4; ++i) {
    over[i] = _mm_cmpgt_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(sums) + i), least);
  }
  const __m128i low = _mm_packs_epi32(over[0], over[1]), high = _mm_packs_epi32(over[2], over[3]);
  return static_cast<uint32_t>(_mm_movemask_epi8(_mm_packs_epi16(low, high)));
#else
  uint32_t bits = 0;
  for (uint32_t i = 0; i < kStep; ++i) bits |= static_cast<uint32_t>(sums[i] > floor) << i;
  return bits;
#endif
}

// The place of the lowest bit of a number above 0.
inline uint32_t lowest_bit(uint64_t bits) {
#if defined(__GNUC__)
  return static_cast<uint32_t>(__builtin_ctzll(bits));
#else
  uint32_t place = 0;
  for (; !(bits & 1); bits >>= 1) ++place;
  return place;
#endif
}

class Searcher {
 public:
  Searcher(const View& view, const Forward& forward) : view_(view), forward_(forward), sums_(kWindow), marks_(kWindow / 64), found_(kWindow) {}

  // The best k documents, best first, ties by number: fills rows and scores and returns how many there are.
  size_t search(const int64_t* columns, const float* weights, size_t count, size_t k, const uint8_t* keep, int64_t* rows,
                float* scores) {
    const double scale = scale_of(view_.maxima, columns, weights, count);
    if (scale == 0 || k == 0) return 0;
    begin(columns, weights, count, scale, k, keep);
    if (k <= kSeedAnswers) seed();
    run();
    std::sort(best_.begin(), best_.end(), std::greater<uint64_t>());
    if (best_.size() > k) best_.resize(k);
    for (size_t i = 0; i < best_.size(); ++i) {
      rows[i] = static_cast<uint32_t>(~best_[i]);
      scores[i] = static_cast<float>(static_cast<double>(best_[i] >> 32) / scale);
    }
    return best_.size();
  }

 private:
  // Terms by the most that they can add, ascending: bounds_[i] is what the first i can add together.
  void begin(const int64_t* columns, const float* weights, size_t count, double scale, size_t k, const uint8_t* keep) {
    terms_.clear();
    for (size_t i = 0; i < count; ++i) {
      const int64_t column = columns[i];
      if (column < 0) continue;
      const int64_t from = view_.indptr[column];
      const float factor = factor_of(weights[i], scale);
      const int32_t most = part(view_.maxima[column], factor);
      if (most > 0) terms_.push_back({from, from, view_.indptr[column + 1], column, factor, most});
    }
    std::sort(terms_.begin(), terms_.end(), [](const Term& a, const Term& b) {
      return a.most != b.most ? a.most < b.most : a.column < b.column;
    });
    bounds_.assign(1, 0);
    for (const Term& term : terms_) bounds_.push_back(bounds_.back() + term.most);
    best_.clear();
    k_ = k;
    capacity_ = k + std::max<size_t>(k, 8);
    keep_ = keep;
    worst_ = 0;
    floor_ = 0;
    first_ = 0;
  }

  // A score that k documents reach: those in which the terms that can add most weigh most.
  void seed() {
    seeds_.clear();
    for (size_t i = terms_.size(); i > 0 && seeds_.size() < k_; --i) {
      heaviest(terms_[i - 1], k_);
      std::sort(seeds_.begin(), seeds_.end());
      seeds_.erase(std::unique(seeds_.begin(), seeds_.end()), seeds_.end());
    }
    best_.clear();
    if (seeds_.size() < k_) return;
    order_.clear();
    for (const Term& term : terms_) order_.emplace_back(term.column, term.factor);
    std::sort(order_.begin(), order_.end());
    for (const uint32_t document : seeds_) prefetch(forward_.indptr + document);
    for (const uint32_t document : seeds_) prefetch_row(forward_, document);
    for (const uint32_t document : seeds_) best_.push_back(score(document));
    std::nth_element(best_.begin(), nth(k_ - 1), best_.end(), std::greater<uint64_t>());
    // Documents of just this score stay in: they will come again, in their order.
    worst_ = best_[k_ - 1] == 0 ? 0 : (best_[k_ - 1] << 32) - 1;
    best_.clear();
  }

  void heaviest(const Term& term, size_t wanted) {
    best_.clear();
    for (int64_t at = term.begin; at < std::min(term.end, term.begin + kSeedPostings); ++at) {
      const uint32_t document = view_.documents[at];
      if (keep_ != nullptr && !keep_[document]) continue;
      best_.push_back(static_cast<uint64_t>(part(view_.weights[at], term.factor)) << 32 | document);
    }
    if (best_.size() > wanted) {
      std::nth_element(best_.begin(), nth(wanted), best_.end(), std::greater<uint64_t>());
      best_.resize(wanted);
    }
    for (const uint64_t key : best_) seeds_.push_back(static_cast<uint32_t>(key));
  }

  uint64_t score(uint32_t document) const {
    int64_t at = forward_.indptr[document];
    const int64_t end = forward_.indptr[document + 1];
    uint64_t sum = 0;
    for (const auto& [column, factor] : order_) {
      at = std::lower_bound(forward_.terms + at, forward_.terms + end, column) - forward_.terms;
      if (at == end) break;
      if (forward_.terms[at] == column) sum += static_cast<uint64_t>(part(forward_.weights[at], factor));
    }
    return sum;
  }

  void run() {
    uint32_t size = kFirstWindow;
    for (;;) {
      if (best_.size() > k_ + k_ / 4) shrink();
      floor_ = static_cast<int64_t>(worst_ >> 32);
      while (first_ < terms_.size() && bounds_[first_ + 1] <= floor_) ++first_;
      uint64_t base = view_.rows;
      for (size_t i = first_; i < terms_.size(); ++i) {
        const Term& term = terms_[i];
        if (term.at < term.end) base = std::min<uint64_t>(base, view_.documents[term.at]);
      }
      if (base == view_.rows) return;
      window(static_cast<uint32_t>(base), static_cast<uint32_t>(std::min<uint64_t>(base + size, view_.rows)));
      size = std::min(2 * size, kWindow);
    }
  }

  void window(uint32_t base, uint32_t limit) {
    ranges_.clear();
    size_t added = 0;
    for (size_t i = first_; i < terms_.size(); ++i) added += add(terms_[i], base, limit);
    const bool sparse = added * kSparse < limit - base;
    if (sparse) {
      gather_added(base);
    } else {
      gather_all(base, limit - base);
    }
    for (size_t i = first_; i > 0 && count_ > 0; --i) complete(terms_[i - 1], bounds_[i - 1], base, limit);
    for (size_t i = 0; i < count_; ++i) push(found_[i], sums_[found_[i] - base]);
    if (!sparse) {
      std::memset(sums_.data(), 0, (limit - base) * sizeof(int32_t));
      return;
    }
    for (const auto& [from, to] : ranges_) {
      for (int64_t at = from; at < to; ++at) sums_[view_.documents[at] - base] = 0;
    }
  }

  // Adds the postings of a list up to a document to the window, and returns how many there are.
  size_t add(Term& term, uint32_t base, uint32_t limit) {
    const uint32_t* documents = view_.documents;
    const float* weights = view_.weights;
    int32_t* sums = sums_.data();
    const float factor = term.factor;
    const int64_t from = term.at, end = term.end;
    int64_t at = from;
    for (; at + 4 <= end && documents[at + 3] < limit; at += 4) {
      int32_t parts[4];
      for (int i = 0; i < 4; ++i) parts[i] = part(weights[at + i], factor);
      for (int i = 0; i < 4; ++i) sums[documents[at + i] - base] += parts[i];
    }
    for (; at < end && documents[at] < limit; ++at) sums[documents[at] - base] += part(weights[at], factor);
    ranges_.emplace_back(from, at);
    term.at = at;
    return static_cast<size_t>(at - from);
  }

  // What a document must have by now, or it cannot get among the best.
  int32_t least() const {
    return static_cast<int32_t>(std::min<int64_t>(std::max<int64_t>(floor_ - bounds_[first_], 0), INT32_MAX));
  }

  // Finds the documents of a window that can get among the best, ascending: by their postings.
  void gather_added(uint32_t base) {
    const int32_t floor = least();
    for (const auto& [from, to] : ranges_) {
      for (int64_t at = from; at < to; ++at) {
        const uint32_t place = view_.documents[at] - base;
        marks_[place / 64] |= static_cast<uint64_t>(sums_[place] > floor) << place % 64;
      }
    }
    count_ = 0;
    for (uint32_t word = 0; word < kWindow / 64; ++word) {
      for (uint64_t bits = marks_[word]; bits != 0; bits &= bits - 1) {
        found_[count_++] = base + word * 64 + lowest_bit(bits);
      }
      marks_[word] = 0;
    }
  }

  // The same by the accumulators. Those past the window's end are 0.
  void gather_all(uint32_t base, uint32_t size) {
    const int32_t floor = least();
    count_ = 0;
    for (uint32_t from = 0; from < size; from += kStep) {
      for (uint32_t bits = above(sums_.data() + from, floor); bits != 0; bits &= bits - 1) {
        found_[count_++] = base + from + lowest_bit(bits);
      }
    }
  }

  // Adds a list for the documents found, and leaves out those that the lists still to come, at most `rest`, cannot raise.
  void complete(Term& term, int64_t rest, uint32_t base, uint32_t limit) {
    const double share = static_cast<double>(limit - base) / static_cast<double>(view_.rows);
    if (static_cast<double>(term.end - term.begin) * share < static_cast<double>(count_ * kLookup)) {
      seek(term, base);
      add(term, base, limit);
    } else {
      for (size_t i = 0; i < count_; ++i) {
        seek(term, found_[i]);
        if (term.at == term.end) break;
        if (view_.documents[term.at] == found_[i]) sums_[found_[i] - base] += part(view_.weights[term.at], term.factor);
      }
    }
    const int64_t floor = floor_ - rest;
    size_t left = 0;
    for (size_t i = 0; i < count_; ++i) {
      const uint32_t document = found_[i];
      found_[left] = document;
      left += sums_[document - base] > floor;
    }
    count_ = left;
  }

  // Moves to the first posting of a document or a later one, in doubling steps: documents come ascending.
  void seek(Term& term, uint32_t document) {
    const uint32_t* documents = view_.documents;
    if (term.at == term.end || documents[term.at] >= document) return;
    int64_t low = term.at, step = 1;
    while (low + step < term.end && documents[low + step] < document) {
      low += step;
      step *= 2;
    }
    const int64_t high = std::min(low + step, term.end);
    term.at = std::lower_bound(documents + low + 1, documents + high, document) - documents;
  }

  void push(uint32_t document, int32_t sum) {
    if (keep_ != nullptr && !keep_[document]) return;
    const uint64_t key = static_cast<uint64_t>(sum) << 32 | static_cast<uint32_t>(~document);
    if (key <= worst_) return;
    best_.push_back(key);
    if (best_.size() == capacity_) shrink();
  }

  // Keeps the best k; from now on documents that cannot beat the last of them are left out.
  void shrink() {
    std::nth_element(best_.begin(), nth(k_ - 1), best_.end(), std::greater<uint64_t>());
    best_.resize(k_);
    worst_ = best_[k_ - 1];
  }

  std::vector<uint64_t>::iterator nth(size_t place) { return best_.begin() + static_cast<std::ptrdiff_t>(place); }

  View view_;
  Forward forward_;
  std::vector<int32_t> sums_;
  std::vector<uint64_t> marks_;
  std::vector<Term> terms_;
  std::vector<int64_t> bounds_;
  // Documents of the window that can get among the best.
  std::vector<uint32_t> found_;
  size_t count_ = 0;
  std::vector<uint32_t> seeds_;
  std::vector<uint64_t> best_;
  // Ranges of postings added to the window.
  std::vector<std::pair<int64_t, int64_t>> ranges_;
  std::vector<std::pair<int64_t, float>> order_;
  size_t k_ = 0, capacity_ = 0, first_ = 0;
  const uint8_t* keep_ = nullptr;
  uint64_t worst_ = 0;
  int64_t floor_ = 0;
};

// Queries (indptr, columns, weights): rows and scores (queries, k), padded by -1 and 0.
inline void search_many(const View& view, const Forward& forward, const int64_t* indptr, const int64_t* columns, const float* weights,
                        size_t queries, size_t k, const uint8_t* keep, int threads, int64_t* rows, float* scores) {
  std::vector<Searcher> searchers(static_cast<size_t>(std::max(threads, 1)), Searcher(view, forward));
  parallel_for(0, queries, threads, [&](size_t query, int thread) {
    const int64_t from = indptr[query];
    int64_t* row = rows + query * k;
    float* score = scores + query * k;
    const size_t count = searchers[static_cast<size_t>(thread)].search(
        columns + from, weights + from, static_cast<size_t>(indptr[query + 1] - from), k, keep, row, score);
    std::fill(row + count, row + k, -1);
    std::fill(score + count, score + k, 0.0f);
  });
}

// The terms of a query by column, and a bit for each column: most terms of a document are none of the query's.
class Asked {
 public:
  Asked(const View& view, const int64_t* columns, const float* weights, size_t count)
      : scale_(scale_of(view.maxima, columns, weights, count)), bits_((view.terms + 63) / 64) {
    for (size_t i = 0; i < count; ++i) {
      if (columns[i] < 0) continue;
      terms_.push_back({static_cast<int32_t>(columns[i]), factor_of(weights[i], scale_), i});
      bits_[static_cast<size_t>(columns[i]) / 64] |= uint64_t{1} << columns[i] % 64;
    }
    std::sort(terms_.begin(), terms_.end(), [](const Entry& a, const Entry& b) {
      return a.column != b.column ? a.column < b.column : a.place < b.place;
    });
  }

  // Calls f(place, part) for the terms of the query that a document has, and returns its score.
  template <class F>
  float score(const Forward& forward, int64_t row, F f) const {
    if (scale_ == 0) return 0;
    int64_t sum = 0;
    for (int64_t at = forward.indptr[row]; at < forward.indptr[row + 1]; ++at) {
      const int32_t column = forward.terms[at];
      if (!(bits_[static_cast<size_t>(column) / 64] >> column % 64 & 1)) continue;
      auto term = std::lower_bound(terms_.begin(), terms_.end(), column,
                                   [](const Entry& entry, int32_t wanted) { return entry.column < wanted; });
      for (; term != terms_.end() && term->column == column; ++term) {
        const int32_t found = part(forward.weights[at], term->factor);
        sum += found;
        f(term->place, static_cast<float>(found / scale_));
      }
    }
    return static_cast<float>(static_cast<double>(sum) / scale_);
  }

 private:
  struct Entry {
    int32_t column;
    float factor;
    size_t place;
  };

  double scale_;
  std::vector<uint64_t> bits_;
  std::vector<Entry> terms_;
};

// The scores of given documents, with the bits of the search, and where asked what each term adds: float (rows, count).
inline void score_rows(const View& view, const Forward& forward, const int64_t* columns, const float* weights, size_t count,
                       const int64_t* rows, size_t given, float* parts, float* scores) {
  const Asked asked(view, columns, weights, count);
  for (size_t r = 0; r < given; ++r) {
    // Rows lie anywhere: the next ones are fetched meanwhile.
    if (r + kAhead < given) prefetch_row(forward, rows[r + kAhead]);
    if (parts == nullptr) {
      scores[r] = asked.score(forward, rows[r], [](size_t, float) {});
    } else {
      scores[r] = asked.score(forward, rows[r], [&](size_t place, float part) { parts[r * count + place] = part; });
    }
  }
}

// The lists of a matrix of documents and terms, whose indptr (terms + 1,) is given.
inline void invert(const Forward& forward, size_t rows, size_t terms, int64_t* indptr, uint32_t* documents, float* weights,
                   float* maxima) {
  std::vector<int64_t> next(indptr, indptr + terms);
  for (size_t row = 0; row < rows; ++row) {
    for (int64_t at = forward.indptr[row]; at < forward.indptr[row + 1]; ++at) {
      const int32_t term = forward.terms[at];
      const float weight = forward.weights[at];
      const int64_t to = next[static_cast<size_t>(term)]++;
      documents[to] = static_cast<uint32_t>(row);
      weights[to] = weight;
      maxima[term] = std::max(maxima[term], weight);
    }
  }
}

// Whether numbers ascend within every range and lie below a limit.
template <class T>
inline bool ascending(const int64_t* indptr, size_t ranges, const T* numbers, uint64_t limit) {
  for (size_t range = 0; range < ranges; ++range) {
    for (int64_t at = indptr[range]; at < indptr[range + 1]; ++at) {
      if (static_cast<uint64_t>(numbers[at]) >= limit) return false;
      if (at > indptr[range] && numbers[at] <= numbers[at - 1]) return false;
    }
  }
  return true;
}

inline int compare(const uint8_t* a, size_t a_size, const uint8_t* b, size_t b_size) {
  const int order = std::memcmp(a, b, std::min(a_size, b_size));
  return order != 0 ? order : a_size < b_size ? -1 : a_size > b_size;
}

// Sorted texts, flat; `find` is fast for texts that ascend, and right for all.
class Texts {
 public:
  Texts(const int64_t* offsets, const uint8_t* letters, size_t count)
      : offsets_(offsets), letters_(letters), count_(static_cast<int64_t>(count)) {}

  // The place of a text, or -1.
  int64_t find(const uint8_t* text, size_t size) {
    int64_t low = last_ < count_ && order(last_, text, size) <= 0 ? last_ : 0;
    int64_t step = 1, high = low;
    while (high < count_ && order(high, text, size) < 0) {
      low = high + 1;
      high += step;
      step *= 2;
    }
    high = std::min(high, count_);
    while (low < high) {
      const int64_t middle = low + (high - low) / 2;
      if (order(middle, text, size) < 0) {
        low = middle + 1;
      } else {
        high = middle;
      }
    }
    last_ = low;
    return low < count_ && order(low, text, size) == 0 ? low : -1;
  }

 private:
  int order(int64_t place, const uint8_t* text, size_t size) const {
    return compare(letters_ + offsets_[place], static_cast<size_t>(offsets_[place + 1] - offsets_[place]), text, size);
  }

  const int64_t* offsets_;
  const uint8_t* letters_;
  int64_t count_;
  int64_t last_ = 0;
};

// Texts as a query: the places of those that are there, ascending, and how often each is asked for. Returns their number.
inline size_t count_places(int64_t* places, size_t count, float* counts) {
  std::sort(places, places + count);
  size_t distinct = 0;
  for (size_t i = 0; i < count; ++i) {
    if (places[i] < 0) continue;
    if (distinct > 0 && places[distinct - 1] == places[i]) {
      counts[distinct - 1] += 1;
    } else {
      places[distinct] = places[i];
      counts[distinct++] = 1;
    }
  }
  return distinct;
}

}  // namespace postings
}  // namespace fingerpost
