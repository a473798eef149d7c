#include <actinium/wheel.hpp>
#include <algorithm>
#include <map>
#include <utility>
#include <vector>

#include "check.hpp"

using actinium::TimerWheel;

namespace {

constexpr std::size_t kAll = ~std::size_t{0};

void* payload(std::uint64_t n) { return reinterpret_cast<void*>(static_cast<std::uintptr_t>(n)); }
std::uint64_t number(void* p) { return reinterpret_cast<std::uintptr_t>(p); }

std::vector<std::uint64_t> fire(TimerWheel& wheel, std::uint64_t now, std::size_t budget = kAll) {
  std::vector<std::uint64_t> fired;
  wheel.advance(now, budget, [&](void* p) { fired.push_back(number(p)); });
  return fired;
}

using Numbers = std::vector<std::uint64_t>;

// A delay whose magnitude is even over the bits, so that all levels and the overflow are used.
std::uint64_t any_delay(check::Random& random) { return random.next() >> (29 + random.below(35)); }

}  // namespace

TEST(tm_1_fires_exactly_at_its_deadline_on_every_level) {
  for (const std::uint64_t delay :
       {1ull, 2ull, 255ull, 256ull, 257ull, 65'535ull, 65'536ull, 16'777'216ull, 4'294'967'295ull,
        4'294'967'296ull, 50'000'000'000ull, 1ull << 50}) {
    for (const std::uint64_t start : {0ull, 1ull, 255ull, 1'700'000'000'123ull}) {
      TimerWheel wheel(start);
      wheel.schedule(start + delay, payload(7));
      CHECK(fire(wheel, start + delay - 1).empty());
      CHECK(*wheel.next_due() <= start + delay);
      CHECK(fire(wheel, start + delay) == Numbers{7});
      CHECK(wheel.empty() && !wheel.next_due());
    }
  }
}

TEST(tm_1_same_tick_is_schedule_order_across_levels) {
  constexpr std::uint64_t kDue = 5'000'000'000;  // overflow, then each level in turn
  TimerWheel wheel;
  Numbers expected;
  std::uint64_t n = 1;
  for (const std::uint64_t now : {0ull, 4'294'967'296ull, 4'983'230'000ull, 4'999'930'000ull,
                                  4'999'999'900ull, 4'999'999'999ull}) {
    CHECK(fire(wheel, now).empty());
    for (int i = 0; i < 3; ++i) {
      wheel.schedule(kDue, payload(n));
      expected.push_back(n++);
    }
  }
  CHECK(fire(wheel, kDue) == expected);
}

TEST(tm_1_due_now_or_before_waits_for_the_next_advance) {
  TimerWheel wheel(100);
  int fired = 0;
  wheel.schedule(100, payload(1));
  CHECK(*wheel.next_due() == 100);
  const auto rearm = [&](void* p) {
    ++fired;
    wheel.schedule(50, p);
  };
  CHECK(wheel.advance(100, kAll, rearm) == 1);
  CHECK(wheel.advance(100, kAll, rearm) == 1);
  CHECK(fired == 2 && wheel.size() == 1);
}

TEST(tm_1_budget_leaves_the_rest_first_in_line) {
  TimerWheel wheel;
  for (std::uint64_t n = 1; n <= 5; ++n) {
    wheel.schedule(10, payload(n));
  }
  wheel.schedule(11, payload(6));
  CHECK(fire(wheel, 10, 2) == (Numbers{1, 2}));
  CHECK(*wheel.next_due() <= 10);
  wheel.schedule(3, payload(7));
  CHECK(fire(wheel, 20, 4) == (Numbers{3, 4, 5, 7}));
  CHECK(fire(wheel, 20, 0).empty());
  CHECK(fire(wheel, 20) == Numbers{6});
}

TEST(tm_2_a_stale_handle_is_a_no_op) {
  TimerWheel wheel;
  void* out = nullptr;
  const auto first = wheel.schedule(10, payload(1));
  CHECK(wheel.cancel(first, &out) && number(out) == 1);
  CHECK(!wheel.cancel(first, &out));
  const auto second = wheel.schedule(10, payload(2));  // takes the same node
  CHECK(!wheel.cancel(first));
  CHECK(fire(wheel, 10) == Numbers{2});
  CHECK(!wheel.cancel(second));
  CHECK(!wheel.cancel(0) && !wheel.cancel(~std::uint64_t{0}) && !wheel.cancel(5));
}

TEST(tm_2_a_handler_may_cancel_what_is_due_with_it) {
  TimerWheel wheel;
  wheel.schedule(10, payload(1));
  const auto other = wheel.schedule(10, payload(2));
  std::size_t fired = 0;
  wheel.advance(10, kAll, [&](void*) {
    ++fired;
    CHECK(wheel.cancel(other));
  });
  CHECK(fired == 1 && wheel.empty());
}

TEST(tm_2_drain_hands_every_payload_over) {
  TimerWheel wheel;
  check::Random random(3);
  std::uint64_t sum = 0;
  for (std::uint64_t n = 1; n <= 10'000; ++n) {
    wheel.schedule(any_delay(random), payload(n));
    sum += n;
  }
  wheel.drain([&](void* p) { sum -= number(p); });
  CHECK(sum == 0 && wheel.empty() && !wheel.next_due());
}

namespace {

// The oracle: timers sorted by (deadline or the time of scheduling, order of scheduling).
class Model {
 public:
  explicit Model(std::uint64_t seed, std::uint64_t start) : random_(seed), wheel_(start) {}

  void step() {
    const std::uint64_t what = random_.below(100);
    if (what < 55) {
      schedule();
    } else if (what < 80) {
      cancel();
    } else {
      advance();
    }
    CHECK(wheel_.size() == timers_.size());
    if (!timers_.empty()) {
      CHECK(*wheel_.next_due() <= std::max(wheel_.now(), timers_.begin()->first.first));
    }
  }

 private:
  using Key = std::pair<std::uint64_t, std::uint64_t>;

  void schedule() {
    const std::uint64_t now = wheel_.now();
    const std::uint64_t due = random_.below(20) == 0 ? now - std::min(now, random_.below(1000))
                                                     : now + any_delay(random_);
    const std::uint64_t n = next_++;
    const Key key{std::max(due, now), n};
    timers_[key] = wheel_.schedule(due, payload(n));
    issued_.push_back({key, timers_[key]});
  }

  void cancel() {
    if (issued_.empty()) {
      return;
    }
    const std::size_t i = random_.below(issued_.size());
    const auto [key, handle] = issued_[i];
    void* out = nullptr;
    const bool alive = timers_.erase(key) == 1;
    CHECK(wheel_.cancel(handle, &out) == alive);
    CHECK(!alive || number(out) == key.second);
    if (!alive) {
      issued_[i] = issued_.back();
      issued_.pop_back();
    }
  }

  void advance() {
    std::uint64_t now = wheel_.now() + any_delay(random_);
    if (random_.below(4) == 0 && wheel_.next_due()) {
      now = *wheel_.next_due();
    }
    const std::size_t budget = random_.below(3) == 0 ? 1 + random_.below(8) : kAll;
    std::size_t fired = 0;
    wheel_.advance(now, budget, [&](void* p) {
      CHECK(!timers_.empty());
      const auto first = timers_.begin();
      CHECK(first->first.second == number(p));  // the very next one
      CHECK(first->first.first <= now);         // never early
      timers_.erase(first);
      ++fired;
    });
    const bool more = !timers_.empty() && timers_.begin()->first.first <= now;
    CHECK(!more || fired == budget);  // never late, unless the budget is spent
  }

  check::Random random_;
  TimerWheel wheel_;
  std::uint64_t next_ = 1;
  std::map<Key, TimerWheel::Handle> timers_;
  std::vector<std::pair<Key, TimerWheel::Handle>> issued_;
};

}  // namespace

TEST(tm_1_tm_2_a_million_random_steps_equal_the_sorted_oracle) {
  const int steps = check::kSanitized ? 50'000 : 250'000;
  for (std::uint64_t seed = 1; seed <= 4; ++seed) {
    Model model(seed, seed % 2 == 0 ? 0 : 1'700'000'000'000u);
    for (int i = 0; i < steps; ++i) {
      model.step();
    }
  }
}
