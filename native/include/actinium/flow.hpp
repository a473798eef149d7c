// Flow control as pure state machines: how full is it, how fast does it drain, may one more pass.
//
// They take the time as an argument and know neither mailbox nor message, so that tests drive
// them through years in milliseconds.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>

namespace actinium {

enum class Pressure : std::uint8_t { normal, soft, hard, recovering };

// The pressure of one bounded thing, from its fill (1.0: full), with hysteresis (MB-4):
//
//   normal --high--> soft --full--> hard --below full--> recovering
//   soft, recovering --low--> normal; recovering --full--> hard
class Gauge {
 public:
  explicit Gauge(Pressure state = Pressure::normal) : state_(state) {}

  Pressure state() const { return state_; }

  // True when the state has changed.
  bool update(double fill, double high, double low) {
    const Pressure before = state_;
    if (fill >= 1.0) {
      state_ = Pressure::hard;
    } else if (state_ == Pressure::hard) {
      state_ = fill <= low ? Pressure::normal : Pressure::recovering;
    } else if (state_ == Pressure::normal) {
      if (fill >= high) state_ = Pressure::soft;
    } else if (fill <= low) {
      state_ = Pressure::normal;
    }
    return state_ != before;
  }

 private:
  Pressure state_;
};

// How fast something drains: an exponentially weighted mean over about a second of the work
// observed. Only time under pressure is observed: an empty mailbox says nothing about its reader.
class DrainRate {
  static constexpr std::int64_t kLeast = 1'000'000;     // ns between two observations
  static constexpr double kSpan = 1e9;                  // ns of memory
  static constexpr std::int64_t kShortest = 1'000'000;  // what retry_after() is held within
  static constexpr std::int64_t kLongest = 5'000'000'000;
  static constexpr std::int64_t kUnknown = 10'000'000;

 public:
  // Starts a time of pressure; what was learned in earlier ones stays.
  void begin(std::int64_t now) { at_ = now; }

  // `gone` things have left since the last observation. False: too soon, ask again later.
  bool observe(std::uint64_t gone, std::int64_t now) {
    const std::int64_t passed = now - at_;
    if (passed < kLeast) return false;
    const double rate = static_cast<double>(gone) / static_cast<double>(passed);
    const double weight = 1.0 - std::exp(-static_cast<double>(passed) / kSpan);
    per_ns_ = per_ns_ < 0 ? rate : per_ns_ + weight * (rate - per_ns_);
    at_ = now;
    return true;
  }

  double per_second() const { return per_ns_ < 0 ? 0.0 : per_ns_ * 1e9; }

  // Nanoseconds until `excess` things have left: 1 ms to 5 s, and 10 ms while nothing is known.
  std::int64_t retry_after(double excess) const {
    if (per_ns_ < 0) return kUnknown;
    if (per_ns_ * static_cast<double>(kLongest) <= excess) return kLongest;
    return std::max(kShortest, static_cast<std::int64_t>(std::ceil(excess / per_ns_)));
  }

 private:
  std::int64_t at_ = 0;
  double per_ns_ = -1.0;  // < 0: unknown
};

// A token bucket in the form of the generic cell rate algorithm (ITU-T I.371): one instant of
// state, whole nanoseconds, no drift. Any window of t ns grants at most t / interval + burst.
class TokenBucket {
 public:
  // Nanoseconds until one more may pass; 0: now.
  std::int64_t wait(std::int64_t now, std::int64_t interval, std::int64_t burst) const {
    return std::max<std::int64_t>(0, full_at_ - now - (burst - 1) * interval);
  }

  // Takes a token; only when wait() is 0.
  void take(std::int64_t now, std::int64_t interval) {
    full_at_ = std::max(full_at_, now) + interval;
  }

  // Whether it is as good as a new one.
  bool full(std::int64_t now) const { return full_at_ <= now; }

 private:
  std::int64_t full_at_ = INT64_MIN / 2;
};

}  // namespace actinium
