// A parallel loop on std::thread. What f does with one index must not depend on the thread or on the order.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <exception>
#include <mutex>
#include <thread>
#include <vector>

namespace fingerpost {

// Calls f(index, thread) for every index of [begin, end), thread in [0, threads). Threads take chunks from a counter;
// the calling thread is thread 0. The first exception stops the handing out of chunks and is thrown again here.
template <class F>
void parallel_for(size_t begin, size_t end, int threads, F f, size_t chunk = 1) {
  if (begin >= end) return;
  if (chunk == 0) chunk = 1;
  const size_t chunks = (end - begin + chunk - 1) / chunk;
  const size_t workers = std::min<size_t>(threads < 1 ? 1 : static_cast<size_t>(threads), chunks);
  if (workers <= 1) {
    for (size_t i = begin; i < end; ++i) f(i, 0);
    return;
  }
  std::atomic<size_t> next{begin};
  std::exception_ptr error;
  std::mutex guard;
  auto work = [&](int thread) {
    try {
      for (;;) {
        const size_t from = next.fetch_add(chunk);
        if (from >= end) return;
        const size_t to = std::min(end, from + chunk);
        for (size_t i = from; i < to; ++i) f(i, thread);
      }
    } catch (...) {
      std::lock_guard<std::mutex> lock(guard);
      if (!error) error = std::current_exception();
      next.store(end);
    }
  };
  std::vector<std::thread> pool;
  pool.reserve(workers - 1);
  try {
    for (size_t t = 1; t < workers; ++t) pool.emplace_back(work, static_cast<int>(t));
  } catch (...) {
    // The system has no thread left to give: those that started and this one do the work.
  }
  work(0);
  for (std::thread& thread : pool) thread.join();
  if (error) std::rethrow_exception(error);
}

}  // namespace fingerpost
