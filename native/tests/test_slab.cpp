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
  if (random.below(64) != 0) return random.below(513);
  return random.below(64) != 0 ? 513 + random.below(4000) : random.below(800'000);
}

}  // namespace

TEST(sl_1_every_size_class_and_beyond) {
  const auto before = slab_stats();
  std::vector<Block> blocks;
  for (std::size_t size = 0; size <= 1100; ++size) {
    blocks.push_back(make(size));
  }
  for (std::size_t size = 1100; size < (std::size_t{5} << 20); size += size / 7) {
    blocks.push_back(make(size));
  }
  const auto made = static_cast<std::int64_t>(blocks.size());
  CHECK(slab_stats().live_blocks == before.live_blocks + made);
  for (const Block& block : blocks) {
    drop(block);
  }
  CHECK(slab_stats().live_blocks == before.live_blocks);
  CHECK(slab_stats().live_bytes == before.live_bytes);
  CHECK(slab_stats().region_bytes == before.region_bytes);
  slab_free(nullptr, 16);
}

TEST(sl_1_rounding_up_wastes_at_most_a_fifth_of_a_block_above_64_bytes) {
  using namespace actinium::slab_detail;
  for (std::size_t size = 1; size <= kSmallMax; ++size) {
    const std::size_t rounded = bin_size(bin_for(size));
    CHECK(rounded >= size && (size == 1 || bin_for(size) >= bin_for(size - 1)));
    CHECK(size <= 64 || (rounded - size) * 5 <= rounded);
  }
}

TEST(sl_1_blocks_of_a_multiple_of_64_bytes_are_aligned_to_64) {
  std::vector<Block> blocks;
  for (std::size_t size = 64; size < (std::size_t{3} << 20);
       size = (size + size / 5) / 64 * 64 + 64) {
    blocks.push_back(make(size));
    CHECK(reinterpret_cast<std::uintptr_t>(blocks.back().bytes) % 64 == 0);
  }
  for (const Block& block : blocks) {
    drop(block);
  }
}

TEST(sl_1_regions_are_counted_apart) {
  const auto before = slab_stats();
  constexpr auto kPayload = static_cast<std::size_t>(actinium::Region::payload);
  for (const std::size_t size : {100ul, 5'000ul, 100'000ul, 1'000'000ul}) {
    void* const block = slab_alloc(size, actinium::Region::payload);
    const auto now = slab_stats();
    CHECK(now.region_blocks[kPayload] == before.region_blocks[kPayload] + 1);
    CHECK(now.region_bytes[kPayload] - before.region_bytes[kPayload] >=
          static_cast<std::int64_t>(size));
    CHECK(now.region_bytes[0] == before.region_bytes[0]);
    std::thread([&] { slab_free(block, size, actinium::Region::payload); }).join();
    CHECK(slab_stats().region_bytes == before.region_bytes);
    CHECK(slab_stats().region_blocks == before.region_blocks);
  }
}

TEST(sl_1_less_than_a_quarter_is_lost_to_fragmentation) {
  std::thread([] {
    check::Random random(3);
    std::vector<Block> blocks;
    std::size_t wanted = 0;
    const auto before = slab_stats();
    const std::size_t goal = check::kSanitized ? std::size_t{8} << 20 : std::size_t{96} << 20;
    const auto any = [&] {  // even over the magnitudes from 16 bytes to 16 KiB
      const std::size_t top = std::size_t{32} << random.below(10);
      return top / 2 + random.below(top / 2);
    };
    while (wanted < goal) {
      blocks.push_back(make(any()));
      wanted += blocks.back().size;
    }
    for (std::size_t i = 0; i < 2 * blocks.size(); ++i) {  // a long life of coming and going
      Block& block = blocks[random.below(blocks.size())];
      wanted -= block.size;
      drop(block);
      block = make(any());
      wanted += block.size;
    }
    const std::size_t mapped = slab_stats().mapped_bytes - before.mapped_bytes;
    if (!check::kSanitized && !actinium::slab_detail::debug_mode()) CHECK(wanted * 4 > mapped * 3);
    for (const Block& block : blocks) {
      drop(block);
    }
  }).join();
}

TEST(sl_1_empty_segments_go_back_to_the_system) {
  if (actinium::slab_detail::debug_mode()) return;
  drop(make(64));
  actinium::slab_trim(0);
  const auto before = slab_stats();
  std::vector<Block> blocks;
  for (int i = 0; i < 120'000; ++i) {
    blocks.push_back(make(200));
  }
  CHECK(slab_stats().segments >= before.segments + 5);
  for (std::size_t i = 0; i + 1 < blocks.size(); i += 2) {  // half of them: every page is in use
    drop(blocks[i]);
  }
  actinium::slab_trim(0);
  CHECK(slab_stats().segments >= before.segments + 4);
  for (std::size_t i = 1; i < blocks.size(); i += 2) {
    drop(blocks[i]);
  }
  CHECK(actinium::slab_wants_trim());
  CHECK(actinium::slab_trim(3'600'000) > 0);  // not yet
  CHECK(slab_stats().segments >= before.segments + 4);
  CHECK(actinium::slab_trim(0) == 0);
  CHECK(slab_stats().segments <= before.segments + 1);
  CHECK(!actinium::slab_wants_trim());
}

TEST(sl_1_memory_of_ended_threads_goes_back_too) {
  if (actinium::slab_detail::debug_mode()) return;
  actinium::slab_trim(0);
  const auto before = slab_stats();
  std::vector<Block> blocks;
  std::thread([&] {
    for (int i = 0; i < 120'000; ++i) {
      blocks.push_back(make(208));
    }
  }).join();
  for (const Block& block : blocks) {
    drop(block);
  }
  actinium::slab_trim(0);
  CHECK(slab_stats().segments <= before.segments);
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
  const int steps = (check::kSanitized ? 20'000 : 300'000) * check::scale();
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

namespace {

// What a child process that runs `body` with the checks on says before it is ended.
template <class F>
std::string last_words(F&& body) {
  int ends[2];
  CHECK(::pipe(ends) == 0);
  const pid_t child = ::fork();
  CHECK(child >= 0);
  if (child == 0) {
    ::dup2(ends[1], STDERR_FILENO);
    body();
    ::_exit(0);
  }
  ::close(ends[1]);
  std::string said;
  char buffer[512];
  for (ssize_t n; (n = ::read(ends[0], buffer, sizeof buffer)) > 0;) {
    said.append(buffer, static_cast<std::size_t>(n));
  }
  ::close(ends[0]);
  int status = 0;
  CHECK(::waitpid(child, &status, 0) == child);
  CHECK(WIFSIGNALED(status) || WEXITSTATUS(status) != 0);
  return said;
}

bool says(const std::string& text, const char* part) {
  // AddressSanitizer may be first, with words of its own.
  return check::kSanitized || text.find(part) != std::string::npos;
}

void* freed(std::size_t size) {
  void* const block = slab_alloc(size);
  slab_free(block, size);
  return block;
}

}  // namespace

TEST(sl_1_debug_aborts_on_a_double_free_and_names_the_block) {
  if (!actinium::slab_detail::debug_mode()) return;
  for (const std::size_t size : {40ul, 3'000ul, 100'000ul, 2'000'000ul}) {
    const std::string said = last_words([size] { slab_free(freed(size), size); });
    CHECK(says(said, "double free"));
    CHECK(says(said, ("of " + std::to_string(size) + " bytes in mailboxes").c_str()));
    CHECK(says(said, "owner "));
  }
}

TEST(sl_1_debug_aborts_on_a_wrong_size_or_region) {
  if (!actinium::slab_detail::debug_mode()) return;
  CHECK(says(last_words([] { slab_free(slab_alloc(40), 100); }), "wrong size"));
  CHECK(says(last_words([] { slab_free(slab_alloc(40), 40, actinium::Region::cells); }),
             "wrong region"));
}

TEST(sl_1_debug_aborts_on_writes_outside_a_block) {
  if (!actinium::slab_detail::debug_mode()) return;
  CHECK(says(last_words([] {
               auto* const block = static_cast<char*>(slab_alloc(40));
               block[40] = 1;
               slab_free(block, 40);
             }),
             "past its end"));
  CHECK(says(last_words([] {
               auto* const block = static_cast<char*>(slab_alloc(40));
               block[-1] = 1;
               slab_free(block, 40);
             }),
             "before its start"));
}

TEST(sl_1_debug_aborts_on_a_write_after_free) {
  if (!actinium::slab_detail::debug_mode()) return;
  CHECK(says(last_words([] {
               static_cast<char*>(freed(40))[30] = 1;
               slab_alloc(40);
             }),
             "written to after free"));
}

TEST(sl_1_debug_aborts_on_a_stale_generation) {
  if (!actinium::slab_detail::debug_mode()) return;
  CHECK(says(last_words([] {
               void* const block = slab_alloc(40);
               const auto generation = actinium::slab_generation(block);
               actinium::slab_expect(block, 40, generation);
               slab_free(block, 40);
               CHECK(slab_alloc(40) == block);  // the same memory, another life
               actinium::slab_expect(block, 40, generation);
             }),
             "stale generation"));
}

#ifndef __SANITIZE_ADDRESS__
TEST(sl_1_debug_poisons_freed_blocks) {
  if (!actinium::slab_detail::debug_mode()) return;
  const auto* const block = static_cast<const unsigned char*>(freed(40));
  for (int i = 0; i < 40; ++i)
    CHECK(block[i] == 0xDD);
}
#endif
