#include <actinium/hlc.hpp>
#include <algorithm>
#include <thread>
#include <vector>

#include "check.hpp"

using actinium::HybridClock;

TEST(hc_1_stamp_is_milliseconds_above_a_counter) {
  HybridClock clock;
  const std::uint64_t stamp = clock.tick(1'700'000'000'123u);
  CHECK(HybridClock::millis(stamp) == 1'700'000'000'123u);
  CHECK(HybridClock::counter(stamp) == 0);
  CHECK(HybridClock::counter(clock.tick(1'700'000'000'123u)) == 1);
}

TEST(hc_1_counter_overflow_carries_into_milliseconds) {
  HybridClock clock;
  clock.tick(1000);
  std::uint64_t stamp = 0;
  for (int i = 0; i < 0x10000; ++i) {
    stamp = clock.tick(1000);
  }
  CHECK(HybridClock::millis(stamp) == 1001);
  CHECK(HybridClock::counter(stamp) == 0);
}

TEST(hc_1_wall_clock_back_by_an_hour_never_moves_the_clock_back) {
  HybridClock clock;
  const std::uint64_t before = clock.tick(10'000'000);
  const std::uint64_t after = clock.tick(10'000'000 - 3'600'000);
  CHECK(after == before + 1);
  HybridClock restarted(after);
  CHECK(restarted.tick(0) > after);
}

TEST(hc_1_merge_exceeds_both_inputs) {
  check::Random random(1);
  HybridClock clock;
  std::uint64_t last = clock.tick(5'000);
  for (int i = 0; i < 100'000; ++i) {
    const std::uint64_t remote = HybridClock::pack(random.below(20'000), random.below(0x10000));
    const std::uint64_t merged = clock.merge(remote, random.below(20'000));
    CHECK(merged > remote);
    CHECK(merged > last);
    CHECK(clock.last() == merged);
    last = merged;
  }
}

TEST(hc_1_reserved_stamps_are_not_given_out_again) {
  HybridClock clock;
  const std::uint64_t first = clock.tick_n(7, 64);
  CHECK(clock.tick(7) == first + 64);
  CHECK(HybridClock::ahead_ms(HybridClock::pack(900), 400) == 500);
  CHECK(HybridClock::ahead_ms(HybridClock::pack(400), 900) == -500);
}

TEST(hc_1_stamps_of_8_threads_are_unique_and_increase_in_each) {
  constexpr int kThreads = 8;
  const std::size_t ticks = check::kSanitized ? 20'000 : 200'000;
  HybridClock clock;
  std::vector<std::vector<std::uint64_t>> stamps(kThreads);
  std::vector<std::thread> threads;
  for (auto& own : stamps) {
    threads.emplace_back([&own, &clock, ticks] {
      for (std::size_t i = 0; i < ticks; ++i) {
        own.push_back(i % 8 == 7 ? clock.merge(own.back(), i / 100) : clock.tick(i / 100));
      }
    });
  }
  for (auto& thread : threads) {
    thread.join();
  }
  std::vector<std::uint64_t> all;
  for (const auto& own : stamps) {
    CHECK(std::adjacent_find(own.begin(), own.end(), [](auto a, auto b) { return a >= b; }) ==
          own.end());
    all.insert(all.end(), own.begin(), own.end());
  }
  std::sort(all.begin(), all.end());
  CHECK(std::adjacent_find(all.begin(), all.end()) == all.end());
  CHECK(all.size() == kThreads * ticks);
}

// The clock of devices: the same code with finer ticks.
TEST(hc_1_2_stamps_of_a_device_clock_are_unique_under_threads_and_exceed_what_is_merged) {
  using actinium::DeviceClock;
  DeviceClock clock;
  constexpr int kThreads = 4;
  const int n = check::kSanitized ? 2'000 : 50'000;
  std::vector<std::vector<std::uint64_t>> stamps(kThreads);
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; t++) {
    threads.emplace_back([&, t] {
      std::uint64_t last = 0;
      for (int i = 0; i < n; i++) {
        const std::uint64_t now = 1'700'000'000'000'000u + static_cast<std::uint64_t>(i / 100);
        const std::uint64_t remote = DeviceClock::pack(now + static_cast<std::uint64_t>(i % 7));
        const std::uint64_t stamp = i % 3 == 0 ? clock.merge(remote, now) : clock.tick(now);
        CHECK(stamp > last && stamp >= DeviceClock::pack(now));
        if (i % 3 == 0) CHECK(stamp > remote);
        last = stamp;
        stamps[static_cast<std::size_t>(t)].push_back(stamp);
      }
    });
  }
  std::vector<std::uint64_t> all;
  for (std::size_t t = 0; t < threads.size(); t++) {
    threads[t].join();
    all.insert(all.end(), stamps[t].begin(), stamps[t].end());
  }
  std::sort(all.begin(), all.end());
  CHECK(std::adjacent_find(all.begin(), all.end()) == all.end());
  CHECK(DeviceClock::millis(DeviceClock::pack(5, 4096)) == 6);  // the counter carries
}
