// The slab and malloc under the same load: SUBJECT SCENARIO N -> nanoseconds of processor time
// for one allocation with its free. The subject `floor` allocates nothing: what the load costs.
#include <time.h>

#include <actinium/slab.hpp>
#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <thread>
#include <vector>

namespace {

enum class Subject { kFloor, kMalloc, kSlab };
Subject subject = Subject::kFloor;

alignas(64) char memory_of_floor[4096][64];
std::size_t taken = 0;

void* take(std::size_t size) {
  switch (subject) {
    case Subject::kSlab:
      return actinium::slab_alloc(size);
    case Subject::kMalloc:
      return std::malloc(size);
    default:
      return memory_of_floor[taken++ % 4096];
  }
}
void give(void* block, std::size_t size) {
  if (subject == Subject::kSlab) {
    actinium::slab_free(block, size);
  } else if (subject == Subject::kMalloc) {
    std::free(block);
  }
}

struct Block {
  void* memory;
  std::size_t size;
};

class Random {
 public:
  std::uint64_t below(std::uint64_t n) {
    state_ ^= state_ << 13;
    state_ ^= state_ >> 7;
    state_ ^= state_ << 17;
    return state_ % n;
  }

 private:
  std::uint64_t state_ = 0x9E3779B97F4A7C15u;
};

Block make(std::size_t size) {
  Block block{take(size), size};
  std::memset(block.memory, 1, 16);
  return block;
}

// One block at a time: the shortest way through either.
void pairs(std::size_t n) {
  for (std::size_t i = 0; i < n; ++i) {
    const Block block = make(208);
    give(block.memory, block.size);
  }
}

// 100,000 blocks of 16 to 512 bytes alive, replaced at random.
void churn(std::size_t n) {
  Random random;
  std::vector<Block> alive;
  for (int i = 0; i < 100'000; ++i) alive.push_back(make(16 + random.below(497)));
  for (std::size_t i = 0; i < n; ++i) {
    Block& block = alive[random.below(alive.size())];
    give(block.memory, block.size);
    block = make(16 + random.below(497));
  }
  for (const Block& block : alive) give(block.memory, block.size);
}

// One thread allocates, another frees, through a ring of 4096: messages from a foreign thread.
void across(std::size_t n) {
  constexpr std::size_t kRing = 4096;
  std::vector<void*> ring(kRing);
  std::atomic<std::size_t> head{0};
  std::atomic<std::size_t> tail{0};
  std::thread consumer([&] {
    if (subject != Subject::kFloor) give(take(64), 64);  // a shard's thread allocates as well
    for (std::size_t i = 0; i < n; ++i) {
      while (tail.load(std::memory_order_acquire) == i) std::this_thread::yield();
      give(ring[i % kRing], 64);
      head.store(i + 1, std::memory_order_release);
    }
  });
  for (std::size_t i = 0; i < n; ++i) {
    while (i - head.load(std::memory_order_acquire) == kRing) std::this_thread::yield();
    ring[i % kRing] = make(64).memory;
    tail.store(i + 1, std::memory_order_release);
  }
  consumer.join();
}

// A million blocks made and then all freed: the deep flood.
void flood(std::size_t n) {
  std::vector<Block> alive;
  alive.reserve(1'000'000);
  for (std::size_t done = 0; done < n; done += 1'000'000) {
    for (int i = 0; i < 1'000'000; ++i) alive.push_back(make(208));
    for (const Block& block : alive) give(block.memory, block.size);
    alive.clear();
  }
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 4) return 2;
  if (std::strcmp(argv[1], "slab") == 0) subject = Subject::kSlab;
  if (std::strcmp(argv[1], "malloc") == 0) subject = Subject::kMalloc;
  const auto n = static_cast<std::size_t>(std::atoll(argv[3]));
  void (*const scenario)(std::size_t) = std::strcmp(argv[2], "pairs") == 0    ? pairs
                                        : std::strcmp(argv[2], "churn") == 0  ? churn
                                        : std::strcmp(argv[2], "across") == 0 ? across
                                                                              : flood;
  timespec before;
  timespec after;
  ::clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &before);
  scenario(n);
  ::clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &after);
  const double ns = static_cast<double>(after.tv_sec - before.tv_sec) * 1e9 +
                    static_cast<double>(after.tv_nsec - before.tv_nsec);
  std::printf("%.2f\n", ns / static_cast<double>(n));
}
