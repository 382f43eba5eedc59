// Memory on large pages, for tables that are read here and there: each small page would have to be found first.
#pragma once

#include <cstddef>
#include <cstdlib>
#include <new>

#ifdef __linux__
#include <sys/mman.h>
#endif

namespace fingerpost {

// An allocator. Large pages are asked for, not promised: where the system has none to give, small ones serve as well.
template <class T>
struct LargePages {
  using value_type = T;
  LargePages() = default;
  template <class U>
  LargePages(const LargePages<U>&) {}

  T* allocate(size_t count) {
    if (count > (static_cast<size_t>(-1) - kPage) / sizeof(T)) throw std::bad_alloc();
    const size_t bytes = (count * sizeof(T) + kPage - 1) / kPage * kPage;
    void* memory = count * sizeof(T) < kPage ? std::malloc(count * sizeof(T)) : std::aligned_alloc(kPage, bytes);
    if (memory == nullptr) throw std::bad_alloc();
#ifdef MADV_HUGEPAGE
    if (count * sizeof(T) >= kPage) madvise(memory, bytes, MADV_HUGEPAGE);
#endif
    return static_cast<T*>(memory);
  }
  void deallocate(T* memory, size_t) { std::free(memory); }
  // New elements are what the memory holds: whoever makes the table fills all of it.
  template <class U>
  void construct(U*) {}

 private:
  static constexpr size_t kPage = size_t(1) << 21;
};

template <class T, class U>
bool operator==(const LargePages<T>&, const LargePages<U>&) { return true; }
template <class T, class U>
bool operator!=(const LargePages<T>&, const LargePages<U>&) { return false; }

}  // namespace fingerpost
