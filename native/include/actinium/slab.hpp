// Two-level slab allocator for the small objects that pass between threads.
//
// Level 1: segments of 2 MiB, aligned to their size, so that masking a block's address finds its
// segment and through it the heap that owns it. Level 2: each thread has a heap with one bin per
// size class (steps of 16 bytes up to 512); a bin hands out freed blocks first, then bumps a
// pointer through a 64 KiB page. Larger blocks come from malloc.
//
// A thread frees its own blocks with two plain stores. Blocks of another heap go onto that
// heap's lock-free stack, and it takes them back when one of its bins runs dry. No allocation
// or free takes a lock, except a new segment, a thread's first allocation and its end. A thread
// that ends leaves its heap, with all that is still alive in it, to the next one that starts.
//
// Segments are kept for reuse and never unmapped; a page keeps its size class.
//
// With ACTINIUM_SLAB_DEBUG defined (the same in every translation unit), freed blocks are filled
// with 0xDD and checked at reuse, and a double free, a write after free and a wrong size abort
// with the address. Invariant SL-1: every block is freed once, live counts return to zero.
#pragma once

#include <sys/mman.h>

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <mutex>
#include <new>

#if defined(ACTINIUM_SLAB_DEBUG) && defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
#endif

namespace actinium {

struct SlabStats {
  std::size_t segments = 0;       // of 2 MiB, mapped
  std::size_t segment_bytes = 0;  // mapped by them
  std::size_t heaps = 0;          // one for each thread that was ever alive at once
  std::int64_t live_blocks = 0;   // allocated and not freed, larger ones included
  std::int64_t live_bytes = 0;    // in them, as rounded up to their size class
};

namespace slab_detail {

inline constexpr std::size_t kSegmentSize = std::size_t{2} << 20;
inline constexpr std::size_t kPageSize = std::size_t{64} << 10;
inline constexpr std::size_t kPages = kSegmentSize / kPageSize;
inline constexpr std::size_t kGrain = 16;
inline constexpr std::size_t kMaxSize = 512;
inline constexpr std::size_t kBins = kMaxSize / kGrain + 1;  // bin 0 counts the larger blocks

// What a free block holds; the smallest block has just room for it.
struct FreeBlock {
  FreeBlock* next;
  std::uint64_t tag;  // debug only
};

struct Heap;

// First bytes of every segment. Written by the owner before any block of the page is given out.
struct Segment {
  Heap* heap;
  std::array<std::uint8_t, kPages> page_bin;

  static Segment* of(const void* block) noexcept {
    return reinterpret_cast<Segment*>(reinterpret_cast<std::uintptr_t>(block) &
                                      ~(kSegmentSize - 1));
  }
  std::size_t bin_of(const void* block) const noexcept {
    const auto offset = reinterpret_cast<std::uintptr_t>(block) & (kSegmentSize - 1);
    return page_bin[offset / kPageSize];
  }
};
inline constexpr std::size_t kHeaderSize = 128;
static_assert(sizeof(Segment) <= kHeaderSize);

// A counter with one writer: a plain addition that other threads may read at any time.
class Counter {
 public:
  void add(std::int64_t n) noexcept {
    value_.store(value_.load(std::memory_order_relaxed) + n, std::memory_order_relaxed);
  }
  std::int64_t read() const noexcept { return value_.load(std::memory_order_relaxed); }

 private:
  std::atomic<std::int64_t> value_{0};
};

// The counts of one heap alone may be negative: blocks are counted where they are freed.
struct Bin {
  FreeBlock* free = nullptr;
  char* bump = nullptr;
  char* end = nullptr;
  Counter live;
};

struct Heap {
  std::array<Bin, kBins> bins;
  Counter large_bytes;
  Segment* segment = nullptr;  // the one being carved
  std::size_t pages_used = kPages;
  Heap* next_heap = nullptr;    // of all heaps; written once
  Heap* next_orphan = nullptr;  // under the registry's lock
  alignas(64) std::atomic<FreeBlock*> remote{nullptr};
};

// All heaps. They are never destroyed, so a block may be freed after its thread has ended.
struct Registry {
  std::mutex lock;
  Heap* heaps = nullptr;
  Heap* orphans = nullptr;
  std::size_t heap_count = 0;
  std::atomic<std::size_t> segments{0};
  // Frees by threads that have no heap of their own.
  std::array<std::atomic<std::int64_t>, kBins> foreign_live{};
  std::atomic<std::int64_t> foreign_large_bytes{0};
};

inline Registry& registry() noexcept {
  static Registry* const instance = new Registry;
  return *instance;
}

// Initial-exec: one load relative to the thread pointer, also inside a shared module.
[[gnu::tls_model("initial-exec")]] inline constinit thread_local Heap* tls_heap = nullptr;
inline constinit thread_local bool tls_ended = false;

[[noreturn]] inline void die(const char* what, const void* block, std::size_t size) noexcept {
  std::fprintf(stderr, "actinium slab: %s: block %p of %zu bytes\n", what, block, size);
  std::abort();
}

#ifdef ACTINIUM_SLAB_DEBUG
inline constexpr bool kDebug = true;
#else
inline constexpr bool kDebug = false;
#endif
inline constexpr unsigned char kPoison = 0xDD;

inline std::uint64_t free_tag(const void* block) noexcept {
  return 0xF4EEDB10C5F4EED5u ^ static_cast<std::uint64_t>(reinterpret_cast<std::uintptr_t>(block));
}

// Debug: marks a block as free, or aborts when it was free already or has another size.
inline void mark_free(void* p, std::size_t bin) noexcept {
  auto* const block = static_cast<FreeBlock*>(p);
  const std::size_t real = Segment::of(p)->bin_of(p);
  if (real != bin) {
    die("freed with the wrong size", p, bin * kGrain);
  }
  if (block->tag == free_tag(p)) {
    die("double free", p, bin * kGrain);
  }
  std::memset(p, kPoison, bin * kGrain);
  block->tag = free_tag(p);
#if defined(ACTINIUM_SLAB_DEBUG) && defined(__SANITIZE_ADDRESS__)
  ASAN_POISON_MEMORY_REGION(block + 1, bin * kGrain - sizeof(FreeBlock));
#endif
}

// Debug: checks that nobody wrote to a block while it was free.
inline void mark_used(FreeBlock* block, std::size_t bin) noexcept {
#if defined(ACTINIUM_SLAB_DEBUG) && defined(__SANITIZE_ADDRESS__)
  ASAN_UNPOISON_MEMORY_REGION(block + 1, bin * kGrain - sizeof(FreeBlock));
#endif
  const auto* const bytes = reinterpret_cast<const unsigned char*>(block);
  bool intact = block->tag == free_tag(block);
  for (std::size_t i = sizeof(FreeBlock); i < bin * kGrain; ++i) {
    intact = intact && bytes[i] == kPoison;
  }
  if (!intact) {
    die("written to after free", block, bin * kGrain);
  }
  block->tag = 0;
}

inline std::size_t bin_for(std::size_t size) noexcept {
  return size == 0 ? 1 : (size + kGrain - 1) / kGrain;
}

inline void push_remote(Heap& owner, FreeBlock* block) noexcept {
  FreeBlock* head = owner.remote.load(std::memory_order_relaxed);
  do {
    block->next = head;
  } while (!owner.remote.compare_exchange_weak(head, block, std::memory_order_release,
                                               std::memory_order_relaxed));
}

// Takes the blocks that other threads gave back into their bins.
inline void collect_remote(Heap& heap) noexcept {
  if (heap.remote.load(std::memory_order_relaxed) == nullptr) {
    return;
  }
  FreeBlock* block = heap.remote.exchange(nullptr, std::memory_order_acquire);
  while (block != nullptr) {
    FreeBlock* const next = block->next;
    Bin& bin = heap.bins[Segment::of(block)->bin_of(block)];
    block->next = bin.free;
    bin.free = block;
    block = next;
  }
}

// Maps one segment, aligned to its size: twice as much is asked for and both ends are cut off.
inline Segment* map_segment(Heap& heap) noexcept {
  void* const raw = ::mmap(nullptr, 2 * kSegmentSize, PROT_READ | PROT_WRITE,
                           MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (raw == MAP_FAILED) {
    return nullptr;
  }
  char* const start = static_cast<char*>(raw);
  const auto past = reinterpret_cast<std::uintptr_t>(start) & (kSegmentSize - 1);
  const std::size_t before = past == 0 ? 0 : kSegmentSize - past;
  if (before != 0) {
    ::munmap(start, before);
  }
  ::munmap(start + before + kSegmentSize, kSegmentSize - before);
#ifdef MADV_HUGEPAGE
  // Advice: a kernel without huge pages refuses it, and the segment works with small ones.
  static_cast<void>(::madvise(start + before, kSegmentSize, MADV_HUGEPAGE));
#endif
  registry().segments.fetch_add(1, std::memory_order_relaxed);
  return new (start + before) Segment{&heap, {}};
}

inline bool new_page(Heap& heap, std::size_t bin_index) noexcept {
  if (heap.pages_used == kPages) {
    Segment* const segment = map_segment(heap);
    if (segment == nullptr) {
      return false;
    }
    heap.segment = segment;
    heap.pages_used = 0;
  }
  const std::size_t page = heap.pages_used++;
  heap.segment->page_bin[page] = static_cast<std::uint8_t>(bin_index);
  const std::size_t skip = page == 0 ? kHeaderSize : 0;
  const std::size_t size = bin_index * kGrain;
  Bin& bin = heap.bins[bin_index];
  bin.bump = reinterpret_cast<char*>(heap.segment) + page * kPageSize + skip;
  bin.end = bin.bump + (kPageSize - skip) / size * size;
  return true;
}

// A heap left by a thread that ended, or a new one.
inline Heap* acquire_heap() noexcept {
  Registry& all = registry();
  const std::lock_guard<std::mutex> guard(all.lock);
  if (Heap* const orphan = all.orphans) {
    all.orphans = orphan->next_orphan;
    return orphan;
  }
  Heap* const heap = new (std::nothrow) Heap;
  if (heap != nullptr) {
    heap->next_heap = all.heaps;
    all.heaps = heap;
    ++all.heap_count;
  }
  return heap;
}

inline void abandon_heap(Heap* heap) noexcept {
  Registry& all = registry();
  const std::lock_guard<std::mutex> guard(all.lock);
  heap->next_orphan = all.orphans;
  all.orphans = heap;
}

// Runs at the end of a thread that has a heap.
struct AtThreadEnd {
  void arm() const noexcept {}
  ~AtThreadEnd() {
    if (tls_heap != nullptr) {
      abandon_heap(tls_heap);
      tls_heap = nullptr;
    }
    tls_ended = true;
  }
};

inline void* allocate_from(Heap& heap, std::size_t size) noexcept;

// The thread has no heap: its first allocation, or one in a destructor that runs after its heap
// was handed over. The latter borrows a heap for this one block.
[[gnu::noinline, gnu::cold]] inline void* allocate_without_heap(std::size_t size) noexcept {
  Heap* const heap = acquire_heap();
  if (heap == nullptr) {
    return nullptr;
  }
  if (tls_ended) {
    void* const block = allocate_from(*heap, size);
    abandon_heap(heap);
    return block;
  }
  static thread_local AtThreadEnd at_thread_end;
  at_thread_end.arm();
  tls_heap = heap;
  return allocate_from(*heap, size);
}

[[gnu::noinline]] inline void* allocate_large(Heap& heap, std::size_t size) noexcept {
  void* const block = std::malloc(size);
  if (block != nullptr) {
    heap.bins[0].live.add(1);
    heap.large_bytes.add(static_cast<std::int64_t>(size));
  }
  return block;
}

[[gnu::noinline]] inline void* refill(Heap& heap, std::size_t bin_index) noexcept {
  Bin& bin = heap.bins[bin_index];
  collect_remote(heap);
  if (bin.free == nullptr && !new_page(heap, bin_index)) {
    return nullptr;
  }
  return allocate_from(heap, bin_index * kGrain);
}

inline void* allocate_from(Heap& heap, std::size_t size) noexcept {
  if (size > kMaxSize) [[unlikely]] {
    return allocate_large(heap, size);
  }
  const std::size_t index = bin_for(size);
  Bin& bin = heap.bins[index];
  if (FreeBlock* const block = bin.free) [[likely]] {
    if constexpr (kDebug) {
      mark_used(block, index);
    }
    bin.free = block->next;
    bin.live.add(1);
    return block;
  }
  if (bin.bump != bin.end) [[likely]] {
    char* const block = bin.bump;
    bin.bump = block + index * kGrain;
    bin.live.add(1);
    return block;
  }
  return refill(heap, index);
}

[[gnu::noinline]] inline void free_large(void* block, std::size_t size) noexcept {
  if (Heap* const heap = tls_heap) {
    heap->bins[0].live.add(-1);
    heap->large_bytes.add(-static_cast<std::int64_t>(size));
  } else {
    Registry& all = registry();
    all.foreign_live[0].fetch_sub(1, std::memory_order_relaxed);
    all.foreign_large_bytes.fetch_sub(static_cast<std::int64_t>(size), std::memory_order_relaxed);
  }
  std::free(block);
}

[[gnu::noinline]] inline void free_remote(Heap& owner, void* block, std::size_t index) noexcept {
  if (Heap* const own = tls_heap) {
    own->bins[index].live.add(-1);
  } else {
    registry().foreign_live[index].fetch_sub(1, std::memory_order_relaxed);
  }
  push_remote(owner, static_cast<FreeBlock*>(block));
}

}  // namespace slab_detail

// A block of at least `size` bytes, aligned to 16; nullptr when the system has no memory left.
// The content is undefined. Any thread.
inline void* slab_alloc(std::size_t size) noexcept {
  if (slab_detail::Heap* const heap = slab_detail::tls_heap) [[likely]] {
    return slab_detail::allocate_from(*heap, size);
  }
  return slab_detail::allocate_without_heap(size);
}

// Gives a block back; `size` must be the one it was allocated with. nullptr is ignored. Any
// thread, also one that never allocated and one whose thread-local objects are being destroyed.
inline void slab_free(void* block, std::size_t size) noexcept {
  using namespace slab_detail;
  if (block == nullptr) {
    return;
  }
  if (size > kMaxSize) [[unlikely]] {
    free_large(block, size);
    return;
  }
  const std::size_t index = bin_for(size);
  if constexpr (kDebug) {
    mark_free(block, index);
  }
  Heap* const owner = Segment::of(block)->heap;
  if (owner != tls_heap) [[unlikely]] {
    free_remote(*owner, block, index);
    return;
  }
  Bin& bin = owner->bins[index];
  auto* const freed = static_cast<FreeBlock*>(block);
  freed->next = bin.free;
  bin.free = freed;
  bin.live.add(-1);
}

// Sums over all threads: exact when none of them allocates or frees, else a moment's blur.
inline SlabStats slab_stats() noexcept {
  using namespace slab_detail;
  Registry& all = registry();
  SlabStats stats;
  stats.segments = all.segments.load(std::memory_order_relaxed);
  stats.segment_bytes = stats.segments * kSegmentSize;
  const std::lock_guard<std::mutex> guard(all.lock);
  stats.heaps = all.heap_count;
  std::array<std::int64_t, kBins> live{};
  stats.live_bytes = all.foreign_large_bytes.load(std::memory_order_relaxed);
  for (std::size_t i = 0; i < kBins; ++i) {
    live[i] = all.foreign_live[i].load(std::memory_order_relaxed);
  }
  for (const Heap* heap = all.heaps; heap != nullptr; heap = heap->next_heap) {
    stats.live_bytes += heap->large_bytes.read();
    for (std::size_t i = 0; i < kBins; ++i) {
      live[i] += heap->bins[i].live.read();
    }
  }
  for (std::size_t i = 0; i < kBins; ++i) {
    stats.live_blocks += live[i];
    stats.live_bytes += live[i] * static_cast<std::int64_t>(i * kGrain);
  }
  return stats;
}

}  // namespace actinium
