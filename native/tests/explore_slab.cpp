// Every interleaving of a few threads on the slab's heaps, over the code as shipped but with tiny
// segments: blocks freed by others, heaps handed on, segments given back.
#include <actinium/slab_heap.hpp>
#include <cstring>
#include <memory>
#include <vector>

#include "check.hpp"
#include "explorer.hpp"

#ifndef __SANITIZE_THREAD__

namespace {

using actinium::Region;

// Segments of 4 pages out of a pool of the test's own; none may be left mapped at its end.
struct Tiny {
  static constexpr std::size_t kSegmentSize = 8192;
  static constexpr std::size_t kPageSize = 2048;
  static constexpr std::size_t kPool = 8;

  struct alignas(kSegmentSize) Memory {
    unsigned char bytes[kSegmentSize];
  };
  static inline Memory pool[kPool];
  static inline bool taken[kPool] = {};
  static inline std::vector<std::shared_ptr<void>> made;

  static void* map(std::size_t) noexcept {
    for (std::size_t i = 0; i < kPool; ++i) {
      if (!taken[i]) {
        taken[i] = true;
        std::memset(pool[i].bytes, 0, kSegmentSize);
        return pool[i].bytes;
      }
    }
    return nullptr;
  }
  // Everybody's use of the segment must have happened before.
  static void unmap(void* memory, std::size_t size) noexcept {
    explore::touch_all(memory, size);
    taken[static_cast<std::size_t>(static_cast<Memory*>(memory) - pool)] = false;
  }
  static std::uint64_t now_ms() noexcept { return 0; }
  static void fresh(void*, std::size_t) noexcept {}
  template <class T>
  static T* make() noexcept {
    auto heap = std::make_shared<T>();
    made.push_back(heap);
    return heap.get();
  }
  static void reset() {
    std::memset(taken, 0, sizeof taken);
    made.clear();
  }
  static int mapped() {
    int n = 0;
    for (const bool t : taken)
      n += t ? 1 : 0;
    return n;
  }
};

using Heap = actinium::slab_detail::SlabHeap<explore::Atomics, Tiny>;
using Registry = actinium::slab_detail::SlabRegistry<explore::Atomics, Tiny>;

constexpr std::size_t kSize = 512;

// A block that says whose it is: giving one out twice is a race or a wrong byte.
struct Owned {
  unsigned char* bytes = nullptr;
  void take(Heap& heap) {
    bytes = static_cast<unsigned char*>(heap.allocate(kSize, Region::cells));
    EXPLORE(bytes != nullptr);
    use();
  }
  void use() const {
    explore::touch(bytes + 64);
    bytes[64] = static_cast<unsigned char>(reinterpret_cast<std::uintptr_t>(this) >> 4);
  }
  void verify() const {
    explore::touch(bytes + 64);
    EXPLORE(bytes[64] == static_cast<unsigned char>(reinterpret_cast<std::uintptr_t>(this) >> 4));
  }
};

std::int64_t live(const Heap& heap) {
  std::int64_t n = 0;
  for (std::size_t bin = 0; bin < actinium::slab_detail::kBins; ++bin) {
    n += heap.live_blocks(static_cast<std::size_t>(Region::cells), bin);
  }
  return n;
}

void give_back(Heap& own, Owned& block) {
  block.verify();
  Heap* const owner = Heap::owner_of(block.bytes);
  if (owner == &own) {
    own.free(block.bytes, kSize, Region::cells);
  } else {
    own.count_freed(kSize, Region::cells);
    owner->free_remote(block.bytes);
  }
}

// At the end: what is counted is what lives, nothing, and every segment can go.
void all_is_back(std::vector<Heap*> heaps) {
  std::int64_t n = 0;
  for (Heap* heap : heaps) {
    heap->trim(~std::uint64_t{0}, 0);
    n += live(*heap);
    EXPLORE(heap->segments() == 0);
  }
  EXPLORE(n == 0);
  EXPLORE(Tiny::mapped() == 0);
}

}  // namespace

// SL-1: two threads free blocks of a third, which allocates, collects and trims meanwhile.
TEST(sl_1_explore_blocks_freed_by_others_come_home_once) {
  CHECK_EXPLORED(explore::all([](explore::Run& run) {
    Tiny::reset();
    Heap owner;
    Heap first;
    Heap second;
    Owned given[3];
    Owned kept[4];
    for (Owned& block : given)
      block.take(owner);
    run.thread([&] {
      give_back(first, given[0]);
      give_back(first, given[1]);
    });
    run.thread([&] { give_back(second, given[2]); });
    run.thread([&] {
      for (Owned& block : kept)
        block.take(owner);
      owner.collect();
      for (Owned& block : kept)
        give_back(owner, block);
    });
    if (!run.go()) return;
    all_is_back({&owner, &first, &second});
  }));
}

TEST(sl_1_explore_a_segment_is_unmapped_only_after_its_last_block_came_home) {
  CHECK_EXPLORED(explore::all([](explore::Run& run) {
    Tiny::reset();
    Heap owner;
    Heap other;
    Owned given[2];
    for (Owned& block : given)
      block.take(owner);
    run.thread([&] {
      for (Owned& block : given)
        give_back(other, block);
    });
    run.thread([&] {
      for (int i = 0; i < 3; ++i)
        owner.trim(~std::uint64_t{0}, 0);
    });
    if (!run.go()) return;
    all_is_back({&owner, &other});
  }));
}

TEST(sl_1_explore_spans_freed_by_others_come_home) {
  CHECK_EXPLORED(explore::all([](explore::Run& run) {
    Tiny::reset();
    Heap owner;
    Heap other;
    void* const span = owner.allocate_span(2 * Tiny::kPageSize, Region::payload);
    void* again = nullptr;
    EXPLORE(span != nullptr);
    run.thread([&] { owner.free_remote(span); });
    run.thread([&] {
      again = owner.allocate_span(2 * Tiny::kPageSize, Region::payload);
      EXPLORE(again != nullptr);
      owner.free_span(again);
    });
    if (!run.go()) return;
    all_is_back({&owner, &other});
  }));
}

// A thread ends and leaves its heap, the next takes it over, a third frees what came from it.
TEST(sl_1_explore_a_heap_is_handed_on_with_what_is_alive_in_it) {
  CHECK_EXPLORED(explore::all([](explore::Run& run) {
    Tiny::reset();
    Registry registry;
    Heap other;
    Owned left;
    Owned own[2];
    Heap* const first = registry.acquire();
    left.take(*first);
    run.thread([&] {
      own[0].take(*first);
      give_back(*first, own[0]);
      registry.abandon(first);
    });
    run.thread([&] {
      Heap* const heap = registry.acquire();  // the one that was left, or a new one
      own[1].take(*heap);
      give_back(*heap, own[1]);
      registry.abandon(heap);
    });
    run.thread([&] {
      give_back(other, left);
      registry.trim_orphans(~std::uint64_t{0});
    });
    if (!run.go()) return;
    registry.trim_orphans(~std::uint64_t{0});
    std::vector<Heap*> heaps{&other};
    registry.each([&](Heap& heap) { heaps.push_back(&heap); });
    EXPLORE(heaps.size() <= 3);
    all_is_back(heaps);
  }));
}

namespace {

// The heap without its release: another thread's last write to a block is not ordered any more.
struct Unreleased : explore::Atomics {
  template <class T>
  struct Atomic : explore::Atomic<T> {
    using Base = explore::Atomic<T>;
    using Base::Base;
    bool compare_exchange_weak(T& expected, T desired, std::memory_order,
                               std::memory_order) noexcept {
      return Base::compare_exchange_strong(expected, desired, std::memory_order_relaxed,
                                           std::memory_order_relaxed);
    }
  };
};

}  // namespace

TEST(sl_1_explore_the_release_of_a_remote_free_is_needed) {
  using Weak = actinium::slab_detail::SlabHeap<Unreleased, Tiny>;
  const auto result = explore::all([](explore::Run& run) {
    Tiny::reset();
    Weak owner;
    void* const block = owner.allocate(kSize, Region::cells);
    run.thread([&] { owner.free_remote(block); });
    run.thread([&] { owner.collect(); });
    run.go();
  });
  CHECK(result.failure.find("data race") != std::string::npos);
}

#endif
