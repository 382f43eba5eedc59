// A builder that goes on from a finished graph: nodes are taken out, and others inserted.
//
// A node that loses neighbours finds others through them: the neighbours of a removed node, and where too few are left,
// those of removed nodes among these, and so on (after Singh et al., FreshDiskANN, arXiv 2105.09613, algorithm 4; that
// looks one node far, and selects by another rule). What is left of a list stays, others are added by the rule of a build,
// and new edges are added in both directions: selected anew from so few candidates, lists would be shorter than those of a
// build, and recall lower by up to a point.
#pragma once

#include <algorithm>
#include <cstdint>
#include <numeric>
#include <vector>

#include "hnsw.hpp"

namespace fingerpost {

class GrowingBuilder : public HnswBuilder {
 public:
  using HnswBuilder::HnswBuilder;

  // Orders the nodes that are still to be inserted by where in the graph they belong, so that a batch finds what it reads
  // in the caches: by the nodes that the descent meets on each level, from the top on. To be called before the first of
  // them is inserted, after a removal.
  void arrange(int threads) {
    if (inserted_ == 0 || n_ - inserted_ <= kBatch || view_.top_level == 0) return;
    const size_t workers = threads < 1 ? 1 : static_cast<size_t>(threads);
    if (work_.size() < workers) work_.resize(workers);
    const size_t levels = static_cast<size_t>(view_.top_level), added = n_ - inserted_;
    std::vector<uint32_t> path(added * levels);
    starts_.resize(n_);
    parallel_for(inserted_, n_, threads, [&](size_t v, int thread) {
      Work& work = work_[static_cast<size_t>(thread)];
      const uint32_t node = static_cast<uint32_t>(v);
      Entry entry{view_.entries[0], rows_.one(node, view_.entries[0])};
      ++work.counters.distances;
      for (size_t level = levels; level > 0; --level) {
        entry = step_down(view_, rows_, node, entry, static_cast<int>(level), work.scratch, work.counters);
        path[(v - inserted_) * levels + levels - level] = entry.id;
      }
      starts_[v] = entry;
    }, 64);
    order_.resize(n_);
    place_.resize(n_);
    std::iota(order_.begin(), order_.end(), 0u);
    std::sort(order_.begin() + static_cast<std::ptrdiff_t>(inserted_), order_.end(), [&](uint32_t a, uint32_t b) {
      const uint32_t *x = path.data() + (a - inserted_) * levels, *y = path.data() + (b - inserted_) * levels;
      const auto differ = std::mismatch(x, x + levels, y);
      return differ.first == x + levels ? a < b : *differ.first < *differ.second;
    });
    for (size_t at = 0; at < n_; ++at) place_[order_[at]] = static_cast<uint32_t>(at);
  }

  // Takes nodes out, one byte each, nonzero for those that go: of the graph they leave nothing but empty lists. To be
  // called once, before nodes are inserted; at least one node must stay. Returns the number of lists that were repaired.
  uint64_t remove(const uint8_t* removed, int threads) {
    const size_t workers = threads < 1 ? 1 : static_cast<size_t>(threads);
    if (work_.size() < workers) work_.resize(workers);
    gone_.assign(removed, removed + inserted_);
    gone_.resize(n_, false);
    repairs_.assign(workers, Repair());
    // Lists of nodes that stay are written, and read as they were: no order matters.
    std::vector<uint32_t>(level0_.data(), level0_.data() + inserted_ * view_.stride0).swap(before_);
    parallel_for(0, inserted_, threads, [&](size_t v, int thread) {
      if (gone(static_cast<uint32_t>(v))) return;
      for (int level = 0; level <= level_[v]; ++level) {
        repair(static_cast<uint32_t>(v), level, work_[static_cast<size_t>(thread)],
               repairs_[static_cast<size_t>(thread)]);
      }
    }, 64);
    std::vector<uint32_t>().swap(before_);
    uint64_t lists = 0;
    edges_.clear();
    for (Repair& each : repairs_) {
      lists += each.lists;
      again_.insert(again_.end(), each.again.begin(), each.again.end());
      for (const Edge& edge : each.edges) {
        // A list of the target may name the source already.
        if (!named(view_.links(edge.target, edge.level), edge.source)) edges_.push_back(edge);
      }
      each = Repair();
    }
    view_.entry_count = 0;
    view_.top_level = 0;
    for (uint32_t v = 0; v < inserted_; ++v) {
      if (gone(v)) {
        for (int level = 0; level <= level_[v]; ++level) mutable_links(v, level)[0] = 0;
      } else {
        raise(v);
      }
    }
    note_crowds();
    add_reverse(threads);
    search_again(threads);
    for (Work& work : work_) {
      counters_ += work.counters;
      work.counters = {};
    }
    return lists;
  }

 private:
  struct Repair {
    uint64_t lists = 0;
    std::vector<Edge> edges;
    std::vector<uint32_t> queue, before, met, again;
    std::vector<float> distances;
    Visited seen;
  };

  static bool named(const uint32_t* record, uint32_t id) {
    return std::find(record + 1, record + 1 + record[0], id) != record + 1 + record[0];
  }

  void repair(uint32_t v, int level, Work& work, Repair& mine) {
    const uint32_t* record = view_.links(v, level);
    mine.before.assign(record + 1, record + 1 + record[0]);
    if (std::none_of(mine.before.begin(), mine.before.end(), [&](uint32_t id) { return gone(id); })) return;
    ++mine.lists;
    mine.seen.reset(n_);
    mine.seen.set(v);
    mine.queue.clear();
    work.ids.clear();
    meet(record, work.ids, mine);
    const size_t lost = mine.queue.size();
    const bool hole = level == 0 && 4 * lost >= mine.before.size() && deep(mine.queue);
    for (size_t at = 0; at < mine.queue.size() && at < 8 * cap(level); ++at) {
      if (at >= lost && work.ids.size() >= cap(level)) break;
      meet(view_.links(mine.queue[at], level), work.ids, mine);
    }
    const size_t staying = static_cast<size_t>(
        std::count_if(mine.before.begin(), mine.before.end(), [&](uint32_t id) { return !gone(id); }));
    mine.met.assign(work.ids.begin(), work.ids.end());
    mine.distances.clear();
    fill(v, level, staying, work, mine);
    if (level == 0 && work.kept.size() < mine.before.size()) {
      // Too few came through the removed nodes: those that stay know others.
      for (size_t at = 0; at < mine.met.size() && mine.met.size() < 4 * cap(level); ++at) {
        work.ids.clear();
        meet(before_.data() + static_cast<size_t>(mine.met[at]) * view_.stride0, work.ids, mine);
        mine.met.insert(mine.met.end(), work.ids.begin(), work.ids.end());
      }
      fill(v, level, staying, work, mine);
    }
    if (hole || (level == 0 && 2 * lost >= mine.before.size())) mine.again.push_back(v);
    rewrite(v, level, work, mine);
  }

  // Whether of what some removed nodes lead to on level 0, half or more was removed too.
  bool deep(const std::vector<uint32_t>& removed) const {
    size_t all = 0, left = 0;
    for (const uint32_t id : removed) {
      const uint32_t* record = before_.data() + static_cast<size_t>(id) * view_.stride0;
      for (size_t i = 0; i < record[0]; ++i) left += !gone(record[1 + i]);
      all += record[0];
    }
    return 2 * left <= all;
  }

  // Writes work.kept and notes what is new in it.
  void rewrite(uint32_t v, int level, Work& work, Repair& mine) {
    write(v, level, work.kept);
    for (const uint64_t key : work.kept) {
      const uint32_t id = id_of(key);
      if (std::find(mine.before.begin(), mine.before.end(), id) == mine.before.end()) {
        mine.edges.push_back({id, v, distance_of(key), level});
      }
    }
  }

  // Nodes that lost half of their neighbours or more on level 0, or a quarter to a hole in the graph, are searched for, as if
  // they were inserted: what is near to each other around a hole may lie on its other side.
  void search_again(int threads) {
    std::sort(again_.begin(), again_.end());
    for (size_t begin = 0; begin < again_.size(); begin += kBatch) {
      const size_t end = std::min(again_.size(), begin + kBatch);
      found_.resize(kBatch);
      parallel_for(begin, end, threads, [&](size_t at, int thread) {
        Work& work = work_[static_cast<size_t>(thread)];
        const uint32_t v = again_[at];
        const Entry entry = descend(view_, rows_, v, work.scratch, work.counters, 0);
        search_level(view_, rows_, v, entry, 0, ef_, work.scratch, work.counters);
        std::vector<uint32_t>& found = found_[at - begin];
        found.clear();
        for (size_t i = 0; i < work.scratch.pool.size(); ++i) {
          if (work.scratch.pool.id(i) != v) found.push_back(work.scratch.pool.id(i));
        }
      });
      // Lists of a batch are read before any is written.
      for (size_t at = begin; at < end; ++at) {
        Repair& mine = repairs_[0];
        const uint32_t v = again_[at];
        const uint32_t* record = view_.links0(v);
        mine.before.assign(record + 1, record + 1 + record[0]);
        mine.met = mine.before;
        for (const uint32_t id : found_[at - begin]) {
          if (!named(record, id)) mine.met.push_back(id);
        }
        mine.distances.clear();
        fill(v, 0, 0, work_[0], mine);
        rewrite(v, 0, work_[0], mine);
      }
      edges_.clear();
      for (const Edge& edge : repairs_[0].edges) {
        if (!named(view_.links(edge.target, edge.level), edge.source)) edges_.push_back(edge);
      }
      repairs_[0].edges.clear();
      add_reverse(threads);
    }
    again_.clear();
  }

  // The first `staying` of the nodes that were met, and others by the rule of select, up to the cap, in work.kept. As there,
  // a node is compared with those that are nearer: behind one that stays because it was there, a nearer one is not left out.
  void fill(uint32_t v, int level, size_t staying, Work& work, Repair& mine) {
    const size_t known = mine.distances.size(), count = mine.met.size() - known;
    mine.distances.resize(mine.met.size());
    rows_.many(v, mine.met.data() + known, count, mine.distances.data() + known);
    work.counters.distances += count;
    work.keys.clear();
    size_t equal = 0;
    for (size_t i = 0; i < mine.met.size(); ++i) {
      // The lowest bit says that a node stays.
      work.keys.push_back(pack(mine.distances[i], mine.met[i]) | (i < staying));
      if (i < staying) equal += rows_.twins(mine.met[i], v);
    }
    std::sort(work.keys.begin(), work.keys.end());
    work.kept.clear();
    work.ids.clear();
    size_t room = cap(level) - staying;
    for (const uint64_t key : work.keys) {
      const uint32_t id = id_of(key);
      if (!(key & 1u)) {
        if (room == 0 || !apart(id, distance_of(key), work)) continue;
        if (rows_.twins(id, v)) {
          if (equal >= cap(level) / 2) continue;
          ++equal;
        }
        --room;
      }
      work.kept.push_back(key & ~uint64_t{1});
      work.ids.push_back(id);
    }
  }

  // Whether no node of work.ids is nearer to `id` than `limit`.
  bool apart(uint32_t id, float limit, Work& work) {
    float near[4];
    for (size_t i = 0; i < work.ids.size(); i += 4) {
      const size_t some = std::min<size_t>(4, work.ids.size() - i);
      rows_.many(id, work.ids.data() + i, some, near);
      work.counters.distances += some;
      for (size_t j = 0; j < some; ++j) {
        if (near[j] < limit) return false;
      }
    }
    return true;
  }

  // Sorts the nodes of a list that were not seen into those that stay and those that go.
  void meet(const uint32_t* record, std::vector<uint32_t>& staying, Repair& mine) {
    for (size_t i = 0; i < record[0]; ++i) {
      const uint32_t id = record[1 + i];
      if (!mine.seen.insert(id)) continue;
      (gone(id) ? mine.queue : staying).push_back(id);
    }
  }

  std::vector<Repair> repairs_;
  std::vector<uint32_t> again_;
  std::vector<std::vector<uint32_t>> found_;
  std::vector<uint32_t> before_;  // level 0 as it was before a removal
};

}  // namespace fingerpost
