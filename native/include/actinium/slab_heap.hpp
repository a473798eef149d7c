// One thread's heap: segments cut into pages, pages into blocks of one size class.
//
// A page hands out freed blocks first, then bumps a pointer through what was never used. It counts
// its blocks; an empty one goes back to its segment, and a segment whose pages are all free waits
// to be unmapped (`trim`). A bin has one page it allocates from and a list of others with room;
// full pages are on no list and come back with their first free block.
//
// A thread frees its own blocks with plain stores. A block of another heap goes onto that heap's
// lock-free stack, and its owner takes the stack when a bin runs dry. Until then the block counts
// as used in its page, so a segment can only vanish after every block in it has come home.
//
// Templates over the atomics policy (atomics.hpp) and over the platform, which says how large
// segments are and where they come from: the tests run this code in every order of its steps.
#pragma once

#include <array>
#include <atomic>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <new>

#include "actinium/atomics.hpp"
#include "actinium/slab_classes.hpp"

#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/asan_interface.h>
#endif

namespace actinium::slab_detail {

// What a free block holds; the smallest block has just room for it.
struct FreeBlock {
  FreeBlock* next;
};

// Under AddressSanitizer a free block is out of bounds but for its link.
inline void hide(void* block, std::size_t size) noexcept {
#ifdef __SANITIZE_ADDRESS__
  ASAN_POISON_MEMORY_REGION(static_cast<char*>(block) + kGrain, size - kGrain);
#else
  static_cast<void>(block), static_cast<void>(size);
#endif
}
inline void show(void* block, std::size_t size) noexcept {
#ifdef __SANITIZE_ADDRESS__
  ASAN_UNPOISON_MEMORY_REGION(block, size);
#else
  static_cast<void>(block), static_cast<void>(size);
#endif
}

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

template <class A, class Platform>
class SlabHeap {
  static constexpr std::size_t kSegmentSize = Platform::kSegmentSize;
  static constexpr std::size_t kPageSize = Platform::kPageSize;
  static constexpr std::size_t kPages = kSegmentSize / kPageSize;
  static_assert(kPages <= 32 && std::has_single_bit(kSegmentSize));
  static constexpr std::uint32_t kAllPages =
      static_cast<std::uint32_t>((std::uint64_t{1} << kPages) - 1);

  struct Page {
    FreeBlock* free = nullptr;
    char* bump = nullptr;
    char* end = nullptr;
    Page* next = nullptr;  // of those of the bin with room
    Page* prev = nullptr;
    std::uint32_t used = 0;
    std::uint8_t bin = 0;  // 0: the first page of a span
    std::uint8_t region = 0;
    std::uint8_t span = 1;  // pages
    bool full = false;
  };

  struct Segment {
    SlabHeap* heap;
    Segment* next = nullptr;  // of those with free pages
    Segment* prev = nullptr;
    std::uint64_t empty_since = 0;  // ms
    std::uint32_t free_pages = kAllPages;
    std::array<Page, kPages> pages{};

    explicit Segment(SlabHeap* owner) : heap(owner) {}
  };
  // The first page begins behind this.
  static constexpr std::size_t kHeaderSize = (sizeof(Segment) + 63) / 64 * 64;
  static_assert(kHeaderSize < kPageSize);

  static Segment* segment_of(const void* block) noexcept {
    return reinterpret_cast<Segment*>(reinterpret_cast<std::uintptr_t>(block) &
                                      ~(kSegmentSize - 1));
  }
  static Page& page_of(Segment* segment, const void* block) noexcept {
    const auto offset = reinterpret_cast<std::uintptr_t>(block) & (kSegmentSize - 1);
    return segment->pages[offset / kPageSize];
  }

  struct Bin {
    Page* page;  // never null
    Page* partial = nullptr;
    Counter live;  // of one heap alone it may be negative: blocks are counted where they are freed
  };

 public:
  SlabHeap() noexcept {
    for (auto& region : bins_) {
      for (Bin& bin : region) {
        bin.page = &nothing_;
      }
    }
  }
  SlabHeap(const SlabHeap&) = delete;
  SlabHeap& operator=(const SlabHeap&) = delete;

  // The heap that owns a block of at most kSpanMax bytes.
  static SlabHeap* owner_of(const void* block) noexcept { return segment_of(block)->heap; }

  // Owner only, size at most kSmallMax. Null when memory ran out.
  void* allocate(std::size_t size, Region region) noexcept {
    const std::size_t index = bin_for(size);
    Bin& bin = bins_[static_cast<std::size_t>(region)][index];
    Page& page = *bin.page;
    if (FreeBlock* const block = A::read(page.free)) [[likely]] {
      show(block, bin_size(index));
      A::write(page.free, A::read(block->next));
      ++page.used;
      bin.live.add(1);
      return block;
    }
    if (page.bump != page.end) [[likely]] {
      char* const block = page.bump;
      page.bump = block + bin_size(index);
      ++page.used;
      bin.live.add(1);
      return block;
    }
    return refill(bin, index, region) ? allocate(size, region) : nullptr;
  }

  // Owner only: a block of this heap, with the size and region it was allocated with.
  void free(void* block, std::size_t size, Region region) noexcept {
    bins_[static_cast<std::size_t>(region)][bin_for(size)].live.add(-1);
    take_back(block);
  }

  // Any other thread; it counts the block itself (`count_freed`).
  void free_remote(void* block) noexcept {
    auto* const freed = static_cast<FreeBlock*>(block);
    FreeBlock* head = remote_.load(std::memory_order_relaxed);
    do {
      A::write(freed->next, head);
    } while (!remote_.compare_exchange_weak(head, freed, std::memory_order_release,
                                            std::memory_order_relaxed));
  }
  void count_freed(std::size_t size, Region region) noexcept {
    bins_[static_cast<std::size_t>(region)][bin_for(size)].live.add(-1);
  }

  // Owner only: whole pages, size above kSmallMax and at most kSpanMax.
  void* allocate_span(std::size_t size, Region region) noexcept {
    collect();
    const auto pages = static_cast<unsigned>((size + kPageSize - 1) / kPageSize);
    unsigned at = 0;
    Segment* const segment = find_pages(pages, true, &at);
    if (segment == nullptr) {
      return nullptr;
    }
    Page& page = segment->pages[at];
    page = Page{};
    page.region = static_cast<std::uint8_t>(region);
    page.span = static_cast<std::uint8_t>(pages);
    page.used = 1;
    return reinterpret_cast<char*>(segment) + at * kPageSize;
  }
  void free_span(void* block) noexcept { take_back(block); }

  // Counts blocks that are not of a bin, from the thread of this heap.
  void count_large(std::int64_t blocks, std::int64_t bytes, Region region) noexcept {
    bins_[static_cast<std::size_t>(region)][0].live.add(blocks);
    large_bytes_[static_cast<std::size_t>(region)].add(bytes);
  }

  // Owner only: takes back the blocks that other threads have freed.
  void collect() noexcept {
    if (remote_.load(std::memory_order_relaxed) == nullptr) {
      return;
    }
    FreeBlock* block = remote_.exchange(nullptr, std::memory_order_acquire);
    while (block != nullptr) {
      FreeBlock* const next = A::read(block->next);
      take_back(block);
      block = next;
    }
  }

  // Owner only: unmaps segments that have been empty since `before` (ms) or longer, all but
  // `keep` of the latest. Returns how many empty ones are left beyond those to keep.
  std::size_t trim(std::uint64_t before, std::size_t keep) noexcept {
    collect();
    retire_current_pages();
    std::size_t kept = 0;
    std::size_t waiting = 0;
    Segment* segment = empty_;
    while (segment != nullptr) {
      Segment* const next = segment->next;
      if (kept < keep) {
        ++kept;
      } else if (segment->empty_since > before) {
        ++waiting;
      } else {
        unlink(empty_, segment);
        --empty_count_;
        Platform::unmap(segment, kSegmentSize);
        segments_.add(-1);
      }
      segment = next;
    }
    return waiting;
  }

  // Owner only. Segments that hold no block at all.
  std::size_t empty_segments() const noexcept { return empty_count_; }
  std::int64_t segments() const noexcept { return segments_.read(); }
  std::int64_t segments_made() const noexcept { return segments_made_.read(); }
  std::int64_t live_blocks(std::size_t region, std::size_t bin) const noexcept {
    return bins_[region][bin].live.read();
  }
  std::int64_t large_bytes(std::size_t region) const noexcept {
    return large_bytes_[region].read();
  }

  SlabHeap* next_heap = nullptr;    // of all heaps; written once
  SlabHeap* next_orphan = nullptr;  // under the registry's lock

 private:
  void take_back(void* block) noexcept {
    Segment* const segment = segment_of(block);
    Page& page = page_of(segment, block);
    if (page.bin == 0) [[unlikely]] {
      release_pages(segment, page);
      return;
    }
    auto* const freed = static_cast<FreeBlock*>(block);
    A::write(freed->next, A::read(page.free));
    A::write(page.free, freed);
    hide(block, bin_size(page.bin));
    if (--page.used == 0 || page.full) [[unlikely]] {
      room_in(segment, page);
    }
  }

  // A page got its first free block, or is empty now.
  [[gnu::noinline]] void room_in(Segment* segment, Page& page) noexcept {
    Bin& bin = bins_[page.region][page.bin];
    if (&page == bin.page) {
      return;
    }
    if (page.full) {
      page.full = false;
      link(bin.partial, &page);
    }
    if (page.used == 0) {
      unlink(bin.partial, &page);
      release_pages(segment, page);
    }
  }

  // Gives the bin a page with room.
  [[gnu::noinline]] bool refill(Bin& bin, std::size_t index, Region region) noexcept {
    collect();
    Page& dry = *bin.page;
    if (A::read(dry.free) != nullptr) {
      return true;
    }
    Page* page = bin.partial;
    if (page != nullptr) {
      unlink(bin.partial, page);
    } else {
      page = new_page(index, region);
      if (page == nullptr) {
        return false;
      }
    }
    if (&dry != &nothing_) dry.full = true;
    bin.page = page;
    return true;
  }

  Page* new_page(std::size_t index, Region region) noexcept {
    unsigned at = 0;
    Segment* const segment = find_pages(1, false, &at);
    if (segment == nullptr) {
      return nullptr;
    }
    const std::size_t skip = at == 0 ? kHeaderSize : 0;
    const std::size_t size = bin_size(index);
    Page& page = segment->pages[at];
    page = Page{};
    page.bin = static_cast<std::uint8_t>(index);
    page.region = static_cast<std::uint8_t>(region);
    page.bump = reinterpret_cast<char*>(segment) + at * kPageSize + skip;
    page.end = page.bump + (kPageSize - skip) / size * size;
    Platform::fresh(page.bump, kPageSize - skip);
    return &page;
  }

  // `count` pages side by side: in a segment in use, then in an empty one, then in a new one.
  // `whole`: not the first page of a segment, which the header shortens.
  Segment* find_pages(unsigned count, bool whole, unsigned* at) noexcept {
    for (Segment* s = open_; s != nullptr; s = s->next) {
      if (take_pages(s, count, whole, at)) {
        if (s->free_pages == 0) unlink(open_, s);
        return s;
      }
    }
    Segment* segment = empty_;
    if (segment != nullptr) {
      unlink(empty_, segment);
      --empty_count_;
    } else {
      void* const raw = Platform::map(kSegmentSize);
      if (raw == nullptr) {
        return nullptr;
      }
      segment = ::new (raw) Segment(this);
      segments_.add(1);
      segments_made_.add(1);
    }
    take_pages(segment, count, whole, at);
    if (segment->free_pages != 0) link(open_, segment);
    return segment;
  }

  static bool take_pages(Segment* segment, unsigned count, bool whole, unsigned* at) noexcept {
    std::uint32_t runs = segment->free_pages;
    if (whole) runs &= ~1u;
    for (unsigned i = 1; i < count && runs != 0; ++i) {
      runs &= segment->free_pages >> i;
    }
    if (runs == 0) {
      return false;
    }
    *at = static_cast<unsigned>(std::countr_zero(runs));
    segment->free_pages &= ~(mask_of(count) << *at);
    return true;
  }

  static std::uint32_t mask_of(unsigned count) noexcept {
    return static_cast<std::uint32_t>((std::uint64_t{1} << count) - 1);
  }

  void release_pages(Segment* segment, Page& page) noexcept {
    const auto at = static_cast<unsigned>(&page - segment->pages.data());
    if (segment->free_pages == 0) link(open_, segment);
    segment->free_pages |= mask_of(page.span) << at;
    show(reinterpret_cast<char*>(segment) + at * kPageSize + (at == 0 ? kHeaderSize : 0),
         page.span * kPageSize - (at == 0 ? kHeaderSize : 0));
    if (segment->free_pages == kAllPages) {
      unlink(open_, segment);
      segment->empty_since = Platform::now_ms();
      link(empty_, segment);
      ++empty_count_;
    }
  }

  // Bins hold on to their page even when it is empty; this lets go of those.
  void retire_current_pages() noexcept {
    for (auto& region : bins_) {
      for (Bin& bin : region) {
        Page* const page = bin.page;
        if (page != &nothing_ && page->used == 0) {
          bin.page = &nothing_;
          release_pages(segment_of(page), *page);
        }
      }
    }
  }

  template <class T>
  static void link(T*& first, T* item) noexcept {
    item->prev = nullptr;
    item->next = first;
    if (first != nullptr) first->prev = item;
    first = item;
  }
  template <class T>
  static void unlink(T*& first, T* item) noexcept {
    (item->prev != nullptr ? item->prev->next : first) = item->next;
    if (item->next != nullptr) item->next->prev = item->prev;
    item->next = item->prev = nullptr;
  }

  static inline Page nothing_{};  // what a bin without a page points to: no block, no room

  std::array<std::array<Bin, kBins>, kRegions> bins_;
  std::array<Counter, kRegions> large_bytes_;
  Segment* open_ = nullptr;
  Segment* empty_ = nullptr;
  std::size_t empty_count_ = 0;
  Counter segments_;
  Counter segments_made_;
  alignas(64) typename A::template Atomic<FreeBlock*> remote_{nullptr};
};

// All heaps. A heap left by a thread that ended, with all that is alive in it, goes to the next
// thread that needs one. Heaps are never destroyed: a block may be freed long after its thread.
template <class A, class Platform>
class SlabRegistry {
 public:
  using Heap = SlabHeap<A, Platform>;

  // Null when memory ran out.
  Heap* acquire() noexcept {
    lock_.lock();
    Heap* heap = orphans_;
    if (heap != nullptr) {
      orphans_ = heap->next_orphan;
    } else if ((heap = Platform::template make<Heap>()) != nullptr) {
      heap->next_heap = heaps_;
      heaps_ = heap;
    }
    lock_.unlock();
    return heap;
  }

  void abandon(Heap* heap) noexcept {
    lock_.lock();
    heap->next_orphan = orphans_;
    orphans_ = heap;
    lock_.unlock();
  }

  // Trims the heaps of threads that have ended. Returns how many empty segments must wait.
  std::size_t trim_orphans(std::uint64_t before) noexcept {
    std::size_t waiting = 0;
    lock_.lock();
    for (Heap* heap = orphans_; heap != nullptr; heap = heap->next_orphan) {
      waiting += heap->trim(before, 0);
    }
    lock_.unlock();
    return waiting;
  }

  template <class F>
  void each(F&& visit) noexcept {
    lock_.lock();
    for (Heap* heap = heaps_; heap != nullptr; heap = heap->next_heap) {
      visit(*heap);
    }
    lock_.unlock();
  }

 private:
  typename A::Mutex lock_;
  Heap* heaps_ = nullptr;
  Heap* orphans_ = nullptr;
};

}  // namespace actinium::slab_detail
