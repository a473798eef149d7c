#include <sys/wait.h>
#include <unistd.h>
#include <actinium/slab.hpp>

#include <cstring>
#include <mutex>
#include <thread>
#include <vector>

#include "check.hpp"

using actinium::slab_alloc;
using actinium::slab_free;
using actinium::slab_stats;

namespace {

struct Block {
  unsigned char* bytes;
  std::size_t size;
};

// A block filled with a pattern of its own address: two owners of one block would clash.
Block make(std::size_t size) {
  Block block{static_cast<unsigned char*>(slab_alloc(size)), size};
  CHECK(block.bytes != nullptr);
  CHECK(reinterpret_cast<std::uintptr_t>(block.bytes) % 16 == 0);
  std::memset(block.bytes,
              static_cast<int>(reinterpret_cast<std::uintptr_t>(block.bytes) >> 4 & 0xFF), size);
  return block;
}

void drop(Block block) {
  const auto expected =
      static_cast<unsigned char>(reinterpret_cast<std::uintptr_t>(block.bytes) >> 4 & 0xFF);
  for (std::size_t i = 0; i < block.size; ++i) {
    CHECK(block.bytes[i] == expected);
  }
  slab_free(block.bytes, block.size);
}

std::size_t any_size(check::Random& random) {
  return random.below(64) == 0 ? 513 + random.below(4000) : random.below(513);
}

}  // namespace

TEST(sl_1_every_size_class_and_beyond) {
  const auto before = slab_stats();
  std::vector<Block> blocks;
  for (std::size_t size = 0; size <= 1100; ++size) {
    blocks.push_back(make(size));
  }
  CHECK(slab_stats().live_blocks == before.live_blocks + 1101);
  for (const Block& block : blocks) {
    drop(block);
  }
  CHECK(slab_stats().live_blocks == before.live_blocks);
  CHECK(slab_stats().live_bytes == before.live_bytes);
  slab_free(nullptr, 16);
}

TEST(sl_1_freed_blocks_are_reused_before_a_new_segment) {
  std::vector<Block> blocks;
  for (int i = 0; i < 20'000; ++i) {
    blocks.push_back(make(256));
  }
  const auto full = slab_stats();
  for (int round = 0; round < 3; ++round) {
    for (Block& block : blocks) {
      drop(block);
      block = make(256);
    }
  }
  CHECK(slab_stats().segments == full.segments);
  for (const Block& block : blocks) {
    drop(block);
  }
}

TEST(sl_1_blocks_freed_by_another_thread_come_back) {
  drop(make(64));  // this thread has its heap
  const auto before = slab_stats();
  std::size_t segments = 0;
  for (int round = 0; round < 20; ++round) {
    std::vector<Block> blocks;
    for (int i = 0; i < 20'000; ++i) {
      blocks.push_back(make(64));
    }
    std::thread([&blocks] {  // a thread that only frees needs no heap
      for (const Block& block : blocks) {
        drop(block);
      }
    })
        .join();
    CHECK(slab_stats().live_blocks == before.live_blocks);
    CHECK(slab_stats().heaps == before.heaps);
    if (round == 1) {
      segments = slab_stats().segments;
    }
  }
  CHECK(slab_stats().segments == segments);
}

TEST(sl_1_a_new_thread_adopts_the_heap_of_one_that_ended) {
  std::vector<Block> survivors;
  std::mutex lock;
  std::size_t heaps = 0;
  std::size_t segments = 0;
  for (int round = 0; round < 50; ++round) {
    std::thread([&] {
      std::vector<Block> own;
      for (int i = 0; i < 2'000; ++i) {
        own.push_back(make(128));
      }
      const std::lock_guard<std::mutex> guard(lock);
      survivors.insert(survivors.end(), own.begin(), own.end());
    }).join();
    if (round == 1) {
      heaps = slab_stats().heaps;
      segments = slab_stats().segments;
    }
    for (const Block& block : survivors) {
      drop(block);
    }
    survivors.clear();
  }
  CHECK(slab_stats().heaps == heaps);
  CHECK(slab_stats().segments == segments);
}

namespace {

// Made before the thread's heap, so destroyed after it was handed over.
struct LateUser {
  Block kept{nullptr, 0};
  ~LateUser() {
    drop(kept);
    const Block block = make(48);
    drop(block);
  }
};

}  // namespace

TEST(sl_1_thread_local_destructors_may_allocate_and_free_at_the_end) {
  const auto before = slab_stats();
  std::thread([] {
    static thread_local LateUser late;
    late.kept = make(48);
  }).join();
  CHECK(slab_stats().live_blocks == before.live_blocks);
  CHECK(slab_stats().live_bytes == before.live_bytes);
}

TEST(sl_1_live_is_zero_after_8_threads_of_random_and_crossing_frees) {
  constexpr std::size_t kThreads = 8;
  const int steps = check::kSanitized ? 20'000 : 300'000;
  const auto before = slab_stats();
  struct Exchange {
    std::mutex lock;
    std::vector<Block> blocks;
  };
  std::vector<Exchange> exchanges(kThreads);
  std::vector<std::thread> threads;
  for (std::size_t t = 0; t < kThreads; ++t) {
    threads.emplace_back([&, t] {
      check::Random random(t + 1);
      std::vector<Block> own;
      for (int i = 0; i < steps; ++i) {
        if (own.empty() || random.below(2) == 0) {
          own.push_back(make(any_size(random)));
          continue;
        }
        const std::size_t at = random.below(own.size());
        std::swap(own[at], own.back());
        if (random.below(4) != 0) {
          drop(own.back());
        } else {  // give it away, and free what others gave
          Exchange& box = exchanges[random.below(kThreads)];
          std::vector<Block> given;
          {
            const std::lock_guard<std::mutex> guard(box.lock);
            given.swap(box.blocks);
            box.blocks.push_back(own.back());
          }
          for (const Block& block : given) {
            drop(block);
          }
        }
        own.pop_back();
      }
      for (const Block& block : own) {
        drop(block);
      }
    });
  }
  for (auto& thread : threads) {
    thread.join();
  }
  for (Exchange& box : exchanges) {
    for (const Block& block : box.blocks) {
      drop(block);
    }
  }
  CHECK(slab_stats().live_blocks == before.live_blocks);
  CHECK(slab_stats().live_bytes == before.live_bytes);
}

#ifdef ACTINIUM_SLAB_DEBUG

namespace {

template <class F>
void expect_abort(F&& body) {
  const pid_t child = ::fork();
  CHECK(child >= 0);
  if (child == 0) {
    std::fclose(stderr);
    body();
    ::_exit(0);
  }
  int status = 0;
  CHECK(::waitpid(child, &status, 0) == child);
  CHECK(WIFSIGNALED(status) || WEXITSTATUS(status) != 0);
}

}  // namespace

TEST(sl_1_debug_aborts_on_double_free) {
  expect_abort([] {
    void* const block = slab_alloc(40);
    slab_free(block, 40);
    slab_free(block, 40);
  });
}

TEST(sl_1_debug_aborts_on_a_wrong_size) {
  expect_abort([] { slab_free(slab_alloc(40), 100); });
}

#ifndef __SANITIZE_ADDRESS__  // which reports the write itself
TEST(sl_1_debug_aborts_on_a_write_after_free) {
  expect_abort([] {
    auto* const block = static_cast<unsigned char*>(slab_alloc(40));
    slab_free(block, 40);
    block[30] = 1;
    slab_alloc(40);
  });
}

TEST(sl_1_debug_poisons_freed_blocks) {
  auto* const block = static_cast<unsigned char*>(slab_alloc(40));
  slab_free(block, 40);
  CHECK(block[20] == 0xDD && block[47] == 0xDD);
}
#endif

#endif
