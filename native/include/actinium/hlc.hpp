// Hybrid logical clock: stamps that respect causality and stay near wall time.
//
// A stamp is one 64-bit word, 48 bits of milliseconds since 1970 above a 16-bit counter, so
// stamps compare as plain integers. The counter overflows into the milliseconds: after 65536
// stamps within one millisecond the clock runs ahead of the wall by one, which keeps it strictly
// increasing without waiting. The clocks of devices count 52 bits of microseconds above 12 of the
// counter; what is called a millisecond below is a microsecond there. One compare-and-swap changes
// time and counter together; two words would hand out duplicates between their updates.
//
// After Kulkarni et al., "Logical Physical Clocks" (2014).
//
// Invariant HC-1: stamps of one clock are unique, increase strictly in each thread, and a merge
// exceeds both its inputs.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstdint>

namespace actinium {

template <unsigned bits>
class BasicHybridClock {
 public:
  static constexpr unsigned kCounterBits = bits;

  // `last` continues after a stored stamp, so that a restart with a wall clock that stepped back
  // never repeats one.
  explicit BasicHybridClock(std::uint64_t last = 0) noexcept : word_(last) {}
  BasicHybridClock(const BasicHybridClock&) = delete;
  BasicHybridClock& operator=(const BasicHybridClock&) = delete;

  static constexpr std::uint64_t pack(std::uint64_t ms, std::uint64_t counter = 0) noexcept {
    return (ms << kCounterBits) + counter;
  }
  static constexpr std::uint64_t millis(std::uint64_t stamp) noexcept {
    return stamp >> kCounterBits;
  }
  static constexpr std::uint64_t counter(std::uint64_t stamp) noexcept {
    return stamp & ((std::uint64_t{1} << kCounterBits) - 1);
  }

  // How far `stamp` lies ahead of `now_ms`, in milliseconds; negative when behind.
  // Check a remote stamp with it before `merge`: the clock follows any stamp it is given.
  static constexpr std::int64_t ahead_ms(std::uint64_t stamp, std::uint64_t now_ms) noexcept {
    return static_cast<std::int64_t>(millis(stamp)) - static_cast<std::int64_t>(now_ms);
  }

  // A new stamp, greater than every one before it. Safe from any thread.
  std::uint64_t tick(std::uint64_t now_ms) noexcept { return tick_n(now_ms, 1); }

  // Reserves `n` >= 1 consecutive stamps with one exchange; returns the first of them.
  std::uint64_t tick_n(std::uint64_t now_ms, std::uint64_t n) noexcept {
    return advance(pack(now_ms), n);
  }

  // A new stamp greater than every own one and than `remote` (receive event).
  std::uint64_t merge(std::uint64_t remote, std::uint64_t now_ms) noexcept {
    return advance(std::max(pack(now_ms), remote + 1), 1);
  }

  // The last stamp given out, to be stored for the next start.
  std::uint64_t last() const noexcept { return word_.load(std::memory_order_acquire); }

 private:
  std::uint64_t advance(std::uint64_t at_least, std::uint64_t n) noexcept {
    std::uint64_t last = word_.load(std::memory_order_relaxed);
    for (;;) {
      const std::uint64_t first = std::max(at_least, last + 1);
      if (word_.compare_exchange_weak(last, first + n - 1, std::memory_order_acq_rel,
                                      std::memory_order_relaxed)) {
        return first;
      }
    }
  }

  std::atomic<std::uint64_t> word_;
};

using HybridClock = BasicHybridClock<16>;
using DeviceClock = BasicHybridClock<12>;

}  // namespace actinium
