// Two-level slab allocator for what the core keeps outside Python's heap.
//
// Level 1: segments of 2 MiB, aligned to their size, so that masking a block's address finds its
// segment and through it the heap that owns it; no block has a header. Level 2: each thread has a
// heap with one bin per region and size class (slab_heap.hpp). Blocks above 32 KiB are runs of
// pages, those above 512 KiB maps of their own.
//
// No allocation or free takes a lock, except a thread's first allocation and its end. A thread
// that ends leaves its heap, with all that is still alive in it, to the next one that starts.
// Empty segments are kept warm and unmapped by `slab_trim` after a while.
//
// Invariant SL-1: every block is freed once, live counts return to zero.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>

#include "actinium/slab_classes.hpp"
#include "actinium/slab_debug.hpp"
#include "actinium/slab_heap.hpp"
#include "actinium/slab_system.hpp"

namespace actinium {

struct SlabStats {
  std::size_t segments = 0;      // of 2 MiB, mapped now
  std::size_t mapped_bytes = 0;  // by segments, and by blocks with a map of their own
  std::size_t segments_made = 0;
  std::size_t heaps = 0;         // one for each thread that was ever alive at once
  std::int64_t live_blocks = 0;  // allocated and not freed
  std::int64_t live_bytes = 0;   // in them, as rounded up to their size class
  std::array<std::int64_t, kRegions> region_blocks{};
  std::array<std::int64_t, kRegions> region_bytes{};
};

namespace slab_detail {

using Heap = SlabHeap<StdAtomics, System>;

struct Globals {
  SlabRegistry<StdAtomics, System> heaps;
  std::atomic<unsigned> owners{0};
  std::atomic<std::int64_t> own_map_bytes{0};
  // Frees by threads that have no heap of their own.
  std::array<std::array<std::atomic<std::int64_t>, kBins>, kRegions> foreign_live{};
  std::array<std::atomic<std::int64_t>, kRegions> foreign_large_bytes{};
};

inline Globals& globals() noexcept {
  static Globals* const instance = new Globals;
  return *instance;
}

// Initial-exec: one load relative to the thread pointer, also inside a shared module.
[[gnu::tls_model("initial-exec")]] inline constinit thread_local Heap* tls_heap = nullptr;
inline constinit thread_local Heap* tls_checked_heap = nullptr;  // in debug mode, in its place
inline constinit thread_local unsigned tls_owner = 0;
inline constinit thread_local bool tls_ended = false;

// Runs at the end of a thread that has a heap.
struct AtThreadEnd {
  void arm() const noexcept {}
  ~AtThreadEnd() {
    Heap* const heap = tls_heap != nullptr ? tls_heap : tls_checked_heap;
    tls_heap = tls_checked_heap = nullptr;
    tls_ended = true;
    if (heap != nullptr) globals().heaps.abandon(heap);
  }
};

inline std::size_t span_bytes(std::size_t size) noexcept {
  return size <= kSpanMax ? (size + System::kPageSize - 1) / System::kPageSize * System::kPageSize
                          : whole_pages(size);
}

inline void* allocate_large(Heap& heap, std::size_t size, Region region) noexcept {
  const std::size_t bytes = span_bytes(size);
  void* block;
  if (size <= kSpanMax) {
    block = heap.allocate_span(size, region);
  } else if ((block = map_memory(bytes)) != nullptr) {
    globals().own_map_bytes.fetch_add(static_cast<std::int64_t>(bytes), std::memory_order_relaxed);
  }
  if (block != nullptr) heap.count_large(1, static_cast<std::int64_t>(bytes), region);
  return block;
}

inline void* allocate_raw(Heap& heap, std::size_t size, Region region) noexcept {
  return size <= kSmallMax ? heap.allocate(size, region) : allocate_large(heap, size, region);
}

inline void* allocate_in(Heap& heap, std::size_t size, Region region) noexcept {
  if (!debug_mode()) return allocate_raw(heap, size, region);
  const std::size_t bytes = framed(size);
  void* const raw = allocate_raw(heap, bytes, region);
  if (raw == nullptr) return nullptr;
  if (bytes > kSmallMax) static_cast<Frame*>(raw)->mark = 0;  // no page was cut
  return put_frame(raw, size, region, tls_owner);
}

inline Heap* own_heap() noexcept { return tls_heap != nullptr ? tls_heap : tls_checked_heap; }

// The thread has no heap yet, the checks are on, or a destructor runs after the thread's heap was
// handed over: that one borrows a heap for this one block.
[[gnu::noinline, gnu::cold]] inline void* allocate_slow(std::size_t size, Region region) noexcept {
  if (Heap* const heap = own_heap()) return allocate_in(*heap, size, region);
  Globals& all = globals();
  Heap* const heap = all.heaps.acquire();
  if (heap == nullptr) return nullptr;
  if (tls_ended) {
    void* const block = allocate_in(*heap, size, region);
    all.heaps.abandon(heap);
    return block;
  }
  static thread_local AtThreadEnd at_thread_end;
  at_thread_end.arm();
  tls_owner = all.owners.fetch_add(1, std::memory_order_relaxed) + 1;
  (debug_mode() ? tls_checked_heap : tls_heap) = heap;
  return allocate_in(*heap, size, region);
}

inline void count_foreign(std::size_t bin, std::size_t bytes, Region region) noexcept {
  const auto r = static_cast<std::size_t>(region);
  Globals& all = globals();
  all.foreign_live[r][bin].fetch_sub(1, std::memory_order_relaxed);
  if (bin == 0) {
    all.foreign_large_bytes[r].fetch_sub(static_cast<std::int64_t>(bytes),
                                         std::memory_order_relaxed);
  }
}

// Everything but a small block of the calling thread's own heap.
[[gnu::noinline]] inline void free_slow(void* block, std::size_t size, Region region) noexcept {
  if (debug_mode()) {
    block = take_frame(block, size, region);
    size = framed(size);
  }
  Heap* const own = own_heap();
  const bool large = size > kSmallMax;
  const std::size_t bytes = large ? span_bytes(size) : 0;
  if (own == nullptr) {
    count_foreign(large ? 0 : bin_for(size), bytes, region);
  } else if (large) {
    own->count_large(-1, -static_cast<std::int64_t>(bytes), region);
  }
  if (size > kSpanMax) {
    // With checks on the frame stays, so that a second free finds it.
    const std::size_t kept = debug_mode() ? whole_pages(sizeof(Frame)) : 0;
    System::unmap(static_cast<char*>(block) + kept, bytes - kept);
    globals().own_map_bytes.fetch_sub(static_cast<std::int64_t>(bytes), std::memory_order_relaxed);
    return;
  }
  Heap* const owner = Heap::owner_of(block);
  if (owner != own) {
    if (own != nullptr && !large) own->count_freed(size, region);
    owner->free_remote(block);
  } else if (large) {
    owner->free_span(block);
  } else {
    owner->free(block, size, region);
  }
}

// A small block of another thread's heap, unless the checks are on.
[[gnu::noinline]] inline void free_across(Heap* owner, void* block, std::size_t size,
                                          Region region) noexcept {
  Heap* const own = tls_heap;  // null with the checks on
  if (own == nullptr) {
    free_slow(block, size, region);
    return;
  }
  own->count_freed(size, region);
  owner->free_remote(block);
}

}  // namespace slab_detail

// A block of at least `size` bytes, aligned to 16, or to 64 when the size is a multiple of 64;
// nullptr when the system has no memory left. The content is undefined. Any thread.
inline void* slab_alloc(std::size_t size, Region region = Region::mailboxes) noexcept {
  using namespace slab_detail;
  Heap* const heap = tls_heap;
  if (heap != nullptr && size <= kSmallMax) [[likely]] {
    return heap->allocate(size, region);
  }
  return allocate_slow(size, region);
}

// Gives a block back; size and region must be those it was allocated with. nullptr is ignored.
// Any thread, also one that never allocated and one whose thread-local objects are being
// destroyed.
inline void slab_free(void* block, std::size_t size, Region region = Region::mailboxes) noexcept {
  using namespace slab_detail;
  if (block == nullptr) {
    return;
  }
  if (size > kSmallMax) [[unlikely]] {
    free_slow(block, size, region);
    return;
  }
  Heap* const owner = Heap::owner_of(block);
  if (owner != tls_heap) [[unlikely]] {
    free_across(owner, block, size, region);
    return;
  }
  owner->free(block, size, region);
}

// How often the block's memory was freed before, to be given to `slab_expect`; 0 without checks.
inline std::uint32_t slab_generation(const void* block) noexcept {
  return slab_detail::debug_mode() ? slab_detail::frame_of(block)->generation : 0;
}

// With checks on, ends the process when the block is no longer that of the given generation.
inline void slab_expect(const void* block, std::size_t size, std::uint32_t generation) noexcept {
  using namespace slab_detail;
  if (!debug_mode()) {
    return;
  }
  const Frame& frame = *frame_of(block);
  if (frame.generation != generation) die("stale generation", frame, size);
  check_used(frame, size);
}

// Unmaps segments of this thread, and of threads that have ended, that have been empty for
// `idle_ms`; one stays with a living thread. Returns how many empty ones still have to wait.
inline std::size_t slab_trim(std::uint64_t idle_ms) noexcept {
  using namespace slab_detail;
  if (debug_mode()) {
    return 0;  // freed blocks stay readable for the checks
  }
  const std::uint64_t now = coarse_ms();
  // Without a wait those count too that collecting empties only now.
  std::uint64_t before = ~std::uint64_t{0};
  if (idle_ms > 0) before = now > idle_ms ? now - idle_ms : 0;
  std::size_t waiting = globals().heaps.trim_orphans(before);
  if (Heap* const heap = own_heap()) waiting += heap->trim(before, 1);
  return waiting;
}

// Whether this thread has more empty segments than it keeps.
inline bool slab_wants_trim() noexcept {
  const slab_detail::Heap* const heap = slab_detail::tls_heap;
  return heap != nullptr && heap->empty_segments() > 1;
}

// Sums over all threads: exact when none of them allocates or frees, else a moment's blur.
inline SlabStats slab_stats() noexcept {
  using namespace slab_detail;
  Globals& all = globals();
  SlabStats stats;
  std::array<std::array<std::int64_t, kBins>, kRegions> live{};
  for (std::size_t r = 0; r < kRegions; ++r) {
    stats.region_bytes[r] = all.foreign_large_bytes[r].load(std::memory_order_relaxed);
    for (std::size_t b = 0; b < kBins; ++b) {
      live[r][b] = all.foreign_live[r][b].load(std::memory_order_relaxed);
    }
  }
  all.heaps.each([&](const Heap& heap) {
    ++stats.heaps;
    stats.segments += static_cast<std::size_t>(heap.segments());
    stats.segments_made += static_cast<std::size_t>(heap.segments_made());
    for (std::size_t r = 0; r < kRegions; ++r) {
      stats.region_bytes[r] += heap.large_bytes(r);
      for (std::size_t b = 0; b < kBins; ++b) {
        live[r][b] += heap.live_blocks(r, b);
      }
    }
  });
  for (std::size_t r = 0; r < kRegions; ++r) {
    for (std::size_t b = 0; b < kBins; ++b) {
      stats.region_blocks[r] += live[r][b];
      stats.region_bytes[r] += b == 0 ? 0 : live[r][b] * static_cast<std::int64_t>(bin_size(b));
    }
    stats.live_blocks += stats.region_blocks[r];
    stats.live_bytes += stats.region_bytes[r];
  }
  stats.mapped_bytes = stats.segments * System::kSegmentSize +
                       static_cast<std::size_t>(all.own_map_bytes.load(std::memory_order_relaxed));
  return stats;
}

}  // namespace actinium
