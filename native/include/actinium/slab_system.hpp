// Where the slab's memory comes from: anonymous maps, aligned, with the hint for huge pages.
#pragma once

#include <sys/mman.h>

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <ctime>
#include <new>

#include "actinium/slab_debug.hpp"

namespace actinium::slab_detail {

inline constexpr std::size_t kHugePage = std::size_t{2} << 20;

// Zeroed memory of the kernel's. From a huge page upwards it is aligned to one and advised as
// such, which takes one page fault where small pages take 512; where the kernel has none, the
// advice is refused and the map works with small ones. Null when the system has no memory left.
inline void* map_memory(std::size_t size) noexcept {
  const bool huge = size >= kHugePage;
  const std::size_t wanted = huge ? size + kHugePage : size;
  void* const raw = ::mmap(nullptr, wanted, PROT_READ | PROT_WRITE,
                           MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (raw == MAP_FAILED) {
    return nullptr;
  }
  if (!huge) {
    return raw;
  }
  // More than asked for was mapped, so that both ends can be cut to the alignment.
  char* const start = static_cast<char*>(raw);
  const auto past = reinterpret_cast<std::uintptr_t>(start) & (kHugePage - 1);
  const std::size_t before = past == 0 ? 0 : kHugePage - past;
  if (before != 0) ::munmap(start, before);
  ::munmap(start + before + size, wanted - before - size);
#ifdef MADV_HUGEPAGE
  static_cast<void>(::madvise(start + before, size, MADV_HUGEPAGE));
#endif
  return start + before;
}

inline std::size_t whole_pages(std::size_t size) noexcept {
  constexpr std::size_t kSmallPage = 4096;
  return (size + kSmallPage - 1) & ~(kSmallPage - 1);
}

inline std::uint64_t coarse_ms() noexcept {
  timespec t;
  ::clock_gettime(CLOCK_MONOTONIC_COARSE, &t);
  return static_cast<std::uint64_t>(t.tv_sec) * 1000 +
         static_cast<std::uint64_t>(t.tv_nsec / 1'000'000);
}

// The platform of the shipped heaps.
struct System {
  static constexpr std::size_t kSegmentSize = kHugePage;
  static constexpr std::size_t kPageSize = std::size_t{64} << 10;

  static void* map(std::size_t size) noexcept { return map_memory(size); }
  static void unmap(void* memory, std::size_t size) noexcept { ::munmap(memory, size); }
  static std::uint64_t now_ms() noexcept { return coarse_ms(); }
  // A page that blocks are about to be cut from. The checks must not read an old block's marks.
  static void fresh(void* memory, std::size_t size) noexcept {
    if (debug_mode()) std::memset(memory, 0, size);
  }
  template <class T>
  static T* make() noexcept {
    return new (std::nothrow) T;
  }
};

}  // namespace actinium::slab_detail
