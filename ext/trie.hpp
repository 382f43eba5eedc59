// A path-compressed trie (Morrison, J. ACM 15(4), 1968) over sorted byte strings, in flat arrays, breadth first.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <stdexcept>
#include <string>
#include <vector>

namespace fingerpost::tries {

// Node 0 is the root. Siblings are neighbours, in the order of their first bytes, so the children of node i are
// [first_child[i], first_child[i + 1]); its edge is first_byte[i], then tails[tail_start[i]] to tails[tail_start[i + 1]].
struct Arrays {
  std::vector<uint32_t> low, first_child, tail_start;
  std::vector<uint8_t> first_byte, tails;
};

class Builder {
 public:
  Builder(const uint8_t* data, const int64_t* offsets, size_t rows) : data_(data), offsets_(offsets), rows_(rows) {}

  Arrays build() {
    link();
    return arrange();
  }

 private:
  struct Node {
    uint32_t low, depth, parent;
  };

  size_t length(size_t row) const { return static_cast<size_t>(offsets_[row + 1] - offsets_[row]); }
  const uint8_t* key(size_t row) const { return data_ + offsets_[row]; }

  // Bytes that a key shares with the one before it; throws where it is not the greater of the two.
  size_t shared(size_t row) const {
    const uint8_t *before = key(row - 1), *after = key(row);
    const size_t least = std::min(length(row - 1), length(row));
    size_t same = 0;
    while (same < least && before[same] == after[same]) ++same;
    if (same < least ? before[same] > after[same] : length(row) <= least)
      throw std::invalid_argument("keys: expected distinct ones in the order of their bytes, got row " +
                                  std::to_string(row) + " not after the row before it; sort them");
    return same;
  }

  // One node for each key, and one for each place where two keys part. The stack is the path to the last key.
  void link() {
    nodes_.push_back({0, 0, 0});
    node_of_.resize(rows_);
    std::vector<uint32_t> path{0};
    for (size_t row = 0; row < rows_; ++row) {
      const size_t same = row ? shared(row) : 0;
      uint32_t last = 0;
      while (nodes_[path.back()].depth > same) {
        last = path.back();
        path.pop_back();
      }
      if (nodes_[path.back()].depth < same) {
        nodes_.push_back({nodes_[last].low, static_cast<uint32_t>(same), path.back()});
        nodes_[last].parent = static_cast<uint32_t>(nodes_.size() - 1);
        path.push_back(nodes_[last].parent);
      }
      if (length(row) > nodes_[path.back()].depth) {
        nodes_.push_back({static_cast<uint32_t>(row), static_cast<uint32_t>(length(row)), path.back()});
        path.push_back(static_cast<uint32_t>(nodes_.size() - 1));
      }
      node_of_[row] = path.back();
    }
  }

  // Preorder: for each row, the nodes that begin with it, from the top down.
  std::vector<uint32_t> preorder() const {
    std::vector<uint32_t> order{0};
    order.reserve(nodes_.size());
    std::vector<uint32_t> chain;
    for (size_t row = 0; row < rows_; ++row) {
      chain.clear();
      for (uint32_t node = node_of_[row]; node != 0 && nodes_[node].low == row; node = nodes_[node].parent)
        chain.push_back(node);
      order.insert(order.end(), chain.rbegin(), chain.rend());
    }
    return order;
  }

  Arrays arrange() const {
    const size_t count = nodes_.size();
    const std::vector<uint32_t> order = preorder();
    std::vector<uint32_t> level(count, 0), start(1, 0), position(count), children(count, 0);
    for (const uint32_t node : order) {
      if (node) level[node] = level[nodes_[node].parent] + 1;
      if (level[node] + 1 == start.size()) start.push_back(0);
      ++start[level[node] + 1];
      if (node) ++children[nodes_[node].parent];
    }
    for (size_t i = 1; i < start.size(); ++i) start[i] += start[i - 1];
    std::vector<uint32_t> placed(count);
    for (const uint32_t node : order) {
      position[node] = start[level[node]]++;
      placed[position[node]] = node;
    }
    Arrays out;
    out.low.resize(count), out.first_byte.resize(count);
    out.first_child.resize(count + 1), out.tail_start.resize(count + 1);
    size_t next_child = 1, tails = 0;
    for (size_t i = 0; i < count; ++i) {
      const Node& node = nodes_[placed[i]];
      out.low[i] = node.low;
      out.first_child[i] = static_cast<uint32_t>(next_child);
      out.tail_start[i] = static_cast<uint32_t>(tails);
      next_child += children[placed[i]];
      if (placed[i]) {
        const uint32_t above = nodes_[node.parent].depth;
        out.first_byte[i] = key(node.low)[above];
        tails += node.depth - above - 1;
      }
    }
    if (tails > UINT32_MAX) throw std::invalid_argument("keys: expected fewer than 2**32 bytes; use fewer keys");
    out.first_child[count] = static_cast<uint32_t>(next_child);
    out.tail_start[count] = static_cast<uint32_t>(tails);
    out.tails.resize(tails);
    for (size_t i = 0; i < count; ++i) {
      const Node& node = nodes_[placed[i]];
      const size_t size = out.tail_start[i + 1] - out.tail_start[i];
      if (size) std::memcpy(&out.tails[out.tail_start[i]], key(node.low) + node.depth - size, size);
    }
    return out;
  }

  const uint8_t* data_;
  const int64_t* offsets_;
  size_t rows_;
  std::vector<Node> nodes_;
  std::vector<uint32_t> node_of_;
};

struct Range {
  uint32_t low, high;
};

struct View {
  const uint32_t *low, *first_child, *tail_start;
  const uint8_t *first_byte, *tails;
  uint32_t nodes, rows;
};

// A place in the trie: inside the edge of a node, after its first byte and ``used`` bytes of its tail. ``high`` is the
// end of the node's rows, which a node stores only by way of the sibling after it.
struct Place {
  uint32_t node, used, high;
};

class Walker {
 public:
  explicit Walker(const View& view) : view_(view) {}

  Place root() const { return {0, 0, view_.rows}; }
  Range range(const Place& at) const { return {view_.low[at.node], at.high}; }

  // Moves on by a text; false where no key goes on like this.
  bool advance(Place& at, const uint8_t* text, size_t size) const {
    while (size) {
      const uint32_t tail = view_.tail_start[at.node] + at.used;
      const size_t left = view_.tail_start[at.node + 1] - tail;
      if (left) {
        const size_t part = std::min(left, size);
        if (std::memcmp(view_.tails + tail, text, part) != 0) return false;
        at.used += static_cast<uint32_t>(part), text += part, size -= part;
      } else {
        const uint32_t first = view_.first_child[at.node], count = view_.first_child[at.node + 1] - first;
        if (count == 0) return false;
        const void* found = std::memchr(view_.first_byte + first, *text, count);
        if (found == nullptr) return false;
        enter(at, static_cast<uint32_t>(static_cast<const uint8_t*>(found) - view_.first_byte));
        ++text, --size;
      }
    }
    return true;
  }

  // Calls visit(place) after each byte that may follow, with that byte.
  template <class F>
  void each_byte(const Place& at, F visit) const {
    const uint32_t tail = view_.tail_start[at.node] + at.used;
    if (tail < view_.tail_start[at.node + 1]) {
      visit(Place{at.node, at.used + 1, at.high}, view_.tails[tail]);
      return;
    }
    for (uint32_t child = view_.first_child[at.node]; child < view_.first_child[at.node + 1]; ++child) {
      Place next = at;
      enter(next, child);
      visit(next, view_.first_byte[child]);
    }
  }

  // Calls visit(place) after each character that may follow.
  template <class F>
  void each_character(const Place& at, F visit) const {
    each_byte(at, [&](const Place& next, uint8_t byte) { finish_character(next, character_size(byte) - 1, visit); });
  }

  // Bytes of the UTF-8 character that begins with this one; 1 for a byte that begins none.
  static size_t character_size(uint8_t first) {
    return first < 0xC0 ? 1 : first < 0xE0 ? 2 : first < 0xF0 ? 3 : first < 0xF8 ? 4 : 1;
  }

 private:
  void enter(Place& at, uint32_t child) const {
    if (child + 1 < view_.first_child[at.node + 1]) at.high = view_.low[child + 1];
    at.node = child, at.used = 0;
  }

  template <class F>
  void finish_character(const Place& at, size_t left, F& visit) const {
    if (left == 0) return visit(at);
    each_byte(at, [&](const Place& next, uint8_t) { finish_character(next, left - 1, visit); });
  }

  View view_;
};

inline Range find(const Walker& walker, const uint8_t* text, size_t size) {
  Place at = walker.root();
  return walker.advance(at, text, size) ? walker.range(at) : Range{0, 0};
}

// Sorts ranges, joins those that overlap or touch, and leaves empty ones out.
inline void join(std::vector<Range>& ranges) {
  ranges.erase(std::remove_if(ranges.begin(), ranges.end(), [](const Range& one) { return one.low >= one.high; }),
               ranges.end());
  std::sort(ranges.begin(), ranges.end(),
            [](const Range& a, const Range& b) { return a.low < b.low || (a.low == b.low && a.high > b.high); });
  size_t kept = 0;
  for (const Range& range : ranges) {
    if (kept && range.low <= ranges[kept - 1].high)
      ranges[kept - 1].high = std::max(ranges[kept - 1].high, range.high);
    else
      ranges[kept++] = range;
  }
  ranges.resize(kept);
}

// Takes the range of an exact match, which lies inside one of these, out of them.
inline void leave_out(std::vector<Range>& ranges, const Range& exact) {
  for (size_t i = 0; i < ranges.size(); ++i) {
    if (ranges[i].low > exact.low || ranges[i].high < exact.high) continue;
    const Range after{exact.high, ranges[i].high};
    ranges[i].high = exact.low;
    if (after.low < after.high) ranges.insert(ranges.begin() + static_cast<std::ptrdiff_t>(i) + 1, after);
    if (ranges[i].low == ranges[i].high) ranges.erase(ranges.begin() + static_cast<std::ptrdiff_t>(i));
    return;
  }
}

// Ranges of the keys that do not begin with the text, but with one that is one edit from it: a character deleted, inserted
// or replaced, or two neighbours exchanged (Damerau, CACM 7(3), 1964). Edits are tried along the path of the text.
inline void within_one_edit(const Walker& walker, const uint8_t* text, size_t size, std::vector<Range>& out) {
  out.clear();
  Place at = walker.root();
  for (size_t i = 0; i < size;) {
    const size_t here = std::min(Walker::character_size(text[i]), size - i);
    const uint8_t* rest = text + i + here;
    const size_t left = size - i - here;
    auto keep = [&](Place from, const uint8_t* more, size_t count) {
      if (walker.advance(from, more, count)) out.push_back(walker.range(from));
    };
    keep(at, rest, left);
    if (left == 0) break;  // Without its last character the text begins all that other edits here and later would find.
    walker.each_character(at, [&](const Place& next) {
      keep(next, rest, left);
      keep(next, text + i, size - i);
    });
    const size_t second = std::min(Walker::character_size(*rest), left);
    Place exchanged = at;
    if (walker.advance(exchanged, rest, second) && walker.advance(exchanged, text + i, here))
      keep(exchanged, rest + second, left - second);
    if (!walker.advance(at, text + i, here)) break;
    i += here;
  }
  join(out);
  const Range exact = find(walker, text, size);
  if (exact.low < exact.high) leave_out(out, exact);
}

// The row with the largest weight of any range, from a table of maxima over 2**level blocks of rows from each block on
// (Bender and Farach-Colton, LATIN 2000, the sparse table). Ties go to the smaller row.
constexpr size_t kBlock = 32;

inline size_t table_levels(size_t blocks) {
  size_t levels = 0;
  while ((size_t{1} << levels) <= blocks) ++levels;
  return levels;
}

struct Maxima {
  const float* weights;
  const uint32_t* table;  // (levels, blocks); the last entries of a level repeat what fits
  size_t blocks;

  uint32_t better(uint32_t a, uint32_t b) const {
    return weights[a] > weights[b] || (weights[a] == weights[b] && a < b) ? a : b;
  }

  uint32_t scan(uint32_t best, size_t low, size_t high) const {
    for (size_t row = low; row < high; ++row)
      if (weights[row] > weights[best]) best = static_cast<uint32_t>(row);
    return best;
  }

  // Of a range that is not empty.
  uint32_t best(uint32_t low, uint32_t high) const {
    const size_t first = (low + kBlock - 1) / kBlock, last = high / kBlock;
    if (first >= last) return scan(low, low, high);
    const uint32_t before = scan(low, low, first * kBlock);
    size_t level = 0;
    while ((size_t{2} << level) <= last - first) ++level;
    const uint32_t* row = table + level * blocks;
    const uint32_t inside = better(row[first], row[last - (size_t{1} << level)]);
    return scan(better(before, inside), last * kBlock, high);
  }
};

inline void fill_maxima(const float* weights, size_t rows, uint32_t* table) {
  const size_t blocks = rows / kBlock, levels = table_levels(blocks);
  const Maxima maxima{weights, table, blocks};
  for (size_t block = 0; block < blocks; ++block) {
    const size_t low = block * kBlock;
    table[block] = maxima.scan(static_cast<uint32_t>(low), low, low + kBlock);
  }
  for (size_t level = 1; level < levels; ++level) {
    const uint32_t* below = table + (level - 1) * blocks;
    uint32_t* here = table + level * blocks;
    for (size_t block = 0; block < blocks; ++block) {
      const size_t other = block + (size_t{1} << (level - 1));
      here[block] = other < blocks ? maxima.better(below[block], below[other]) : below[block];
    }
  }
}

// Writes the k rows with the largest weights in ranges that do not overlap, the largest first; returns their number.
inline size_t best_rows(const Maxima& maxima, const uint32_t* low, const uint32_t* high, size_t ranges, size_t k,
                        uint32_t* rows) {
  struct Part {
    uint32_t row, low, high;
  };
  auto worse = [&](const Part& a, const Part& b) { return maxima.better(a.row, b.row) != a.row; };
  std::vector<Part> heap;
  heap.reserve(ranges + k + 1);
  auto add = [&](uint32_t from, uint32_t to) {
    if (from >= to) return;
    heap.push_back({maxima.best(from, to), from, to});
    std::push_heap(heap.begin(), heap.end(), worse);
  };
  for (size_t i = 0; i < ranges; ++i) add(low[i], high[i]);
  size_t found = 0;
  while (found < k && !heap.empty()) {
    std::pop_heap(heap.begin(), heap.end(), worse);
    const Part part = heap.back();
    heap.pop_back();
    rows[found++] = part.row;
    add(part.low, part.row);
    add(part.row + 1, part.high);
  }
  return found;
}

}  // namespace fingerpost::tries
