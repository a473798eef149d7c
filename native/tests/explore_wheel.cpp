// The timer wheel in every order of a few steps, and many wheels with real threads between them.
//
// A wheel belongs to one shard, so what there is to interleave are its own operations. With two
// slots a level, 16 ticks are an epoch: the steps below cross each level and the overflow, and all
// sequences of them up to a length are run against a sorted list.
#include <actinium/mpsc.hpp>
#include <actinium/wheel.hpp>
#include <algorithm>
#include <atomic>
#include <cstdio>
#include <thread>
#include <vector>

#include "check.hpp"

namespace {

using SmallWheel = actinium::BasicTimerWheel<1>;

void* payload(std::uint64_t n) { return reinterpret_cast<void*>(static_cast<std::uintptr_t>(n)); }
std::uint64_t number(void* p) { return reinterpret_cast<std::uintptr_t>(p); }

enum class Do : std::uint8_t { schedule, cancel_oldest, cancel_newest, advance };

struct Step {
  Do what;
  std::uint64_t ticks;
};

constexpr Step kSteps[] = {
    {Do::schedule, 0},      {Do::schedule, 1},      {Do::schedule, 2},  {Do::schedule, 3},
    {Do::schedule, 7},      {Do::schedule, 15},     {Do::schedule, 16}, {Do::schedule, 40},
    {Do::cancel_oldest, 0}, {Do::cancel_newest, 0}, {Do::advance, 0},   {Do::advance, 1},
    {Do::advance, 2},       {Do::advance, 5},       {Do::advance, 16},  {Do::advance, 33},
};
constexpr std::size_t kKinds = sizeof kSteps / sizeof kSteps[0];

// The wheel beside the list it has to equal.
class Pair {
 public:
  explicit Pair(std::uint64_t start) : wheel_(start), now_(start) {}

  void apply(const Step& step) {
    switch (step.what) {
      case Do::schedule: {
        const std::uint64_t due = now_ + step.ticks;
        const std::uint64_t id = ++last_;
        model_.push_back({std::max(due, now_), id, wheel_.schedule(due, payload(id))});
        break;
      }
      case Do::cancel_oldest:
        cancel(0);
        break;
      case Do::cancel_newest:
        cancel(model_.size() - 1);
        break;
      case Do::advance:
        advance(now_ + step.ticks);
        break;
    }
    CHECK(wheel_.size() == model_.size());
    const auto next = wheel_.next_due();
    CHECK(next.has_value() == !model_.empty());
    for (const Timer& timer : model_) {
      CHECK(*next <= timer.due);
    }
  }

  void finish() { advance(now_ + 200); }

 private:
  struct Timer {
    std::uint64_t due;
    std::uint64_t id;
    SmallWheel::Handle handle;
  };

  void cancel(std::size_t at) {
    if (model_.empty()) {
      CHECK(!wheel_.cancel(stale_));
      return;
    }
    void* out = nullptr;
    CHECK(wheel_.cancel(model_[at].handle, &out) && number(out) == model_[at].id);
    CHECK(!wheel_.cancel(model_[at].handle));
    stale_ = model_[at].handle;
    model_.erase(model_.begin() + static_cast<std::ptrdiff_t>(at));
  }

  // TM-1: exactly those that are due, by deadline and then in the order they were scheduled.
  void advance(std::uint64_t to) {
    now_ = to;
    std::vector<Timer> due;
    for (const Timer& timer : model_) {
      if (timer.due <= to) due.push_back(timer);
    }
    std::stable_sort(due.begin(), due.end(),
                     [](const Timer& a, const Timer& b) { return a.due < b.due; });
    std::erase_if(model_, [to](const Timer& timer) { return timer.due <= to; });
    std::size_t at = 0;
    wheel_.advance(to, ~std::size_t{0}, [&](void* p) {
      CHECK(at < due.size() && number(p) == due[at].id);
      ++at;
    });
    CHECK(at == due.size());
    for (const Timer& timer : due) {
      CHECK(!wheel_.cancel(timer.handle));  // TM-2: its handle is stale
    }
  }

  SmallWheel wheel_;
  std::uint64_t now_;
  std::uint64_t last_ = 0;
  SmallWheel::Handle stale_ = 0;
  std::vector<Timer> model_;
};

}  // namespace

TEST(tm_1_explore_every_sequence_of_steps_equals_a_sorted_list) {
  const std::size_t length = check::kSanitized ? 4 : 5;
  std::uint64_t runs = 0;
  for (const std::uint64_t start : {0ull, 13ull}) {
    std::vector<std::size_t> sequence(length, 0);
    for (bool more = true; more;) {
      Pair pair(start);
      for (const std::size_t kind : sequence)
        pair.apply(kSteps[kind]);
      pair.finish();
      ++runs;
      std::size_t at = 0;
      while (at < length && ++sequence[at] == kKinds)
        sequence[at++] = 0;
      more = at < length;
    }
  }
  std::printf("    %llu sequences\n", static_cast<unsigned long long>(runs));
}

namespace {

// A timer asked for by one thread on the wheel of another.
struct Request : actinium::MpscNode {
  std::uint64_t delay = 0;
  std::uint64_t due = 0;
  bool fired = false;
};

}  // namespace

// Each thread turns its own wheel and takes requests from the others through its inbox.
TEST(tm_1_wheels_of_4_threads_fire_what_the_others_asked_for_once) {
  constexpr std::size_t kShards = 4;
  const std::size_t each = check::kSanitized ? 2'000 : 20'000;
  struct Shard {
    actinium::MpscQueue inbox;
    std::vector<Request> asked;
    std::size_t fired = 0;
  };
  std::vector<Shard> shards(kShards);
  std::atomic<std::size_t> open{kShards * each};
  std::vector<std::thread> threads;
  for (std::size_t s = 0; s < kShards; ++s) {
    shards[s].asked = std::vector<Request>(each);
    threads.emplace_back([&, s] {
      actinium::TimerWheel wheel;
      check::Random random(s + 1);
      Shard& own = shards[s];
      std::size_t sent = 0;
      for (std::uint64_t now = 0; open.load() > 0; now += 1 + random.below(500)) {
        for (int burst = 0; burst < 16 && sent < each; ++burst) {
          own.asked[sent].delay = random.below(100'000);
          shards[random.below(kShards)].inbox.push(&own.asked[sent]);
          ++sent;
        }
        actinium::MpscNode* node = nullptr;
        while (own.inbox.pop(node) == actinium::Pop::node) {
          auto* const request = static_cast<Request*>(node);
          request->due = now + request->delay;
          wheel.schedule(request->due, request);
        }
        wheel.advance(now, ~std::size_t{0}, [&](void* p) {
          auto* const request = static_cast<Request*>(p);
          CHECK(!request->fired && request->due <= now);
          request->fired = true;
          ++own.fired;
          open.fetch_sub(1);
        });
      }
      CHECK(wheel.empty());
    });
  }
  for (auto& thread : threads)
    thread.join();
  std::size_t fired = 0;
  for (const Shard& shard : shards) {
    fired += shard.fired;
    for (const Request& request : shard.asked)
      CHECK(request.fired);
  }
  CHECK(fired == kShards * each);
}
