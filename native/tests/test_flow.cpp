#include <actinium/flow.hpp>
#include <actinium/mailbox.hpp>
#include <deque>
#include <vector>

#include "check.hpp"

using actinium::DrainRate;
using actinium::Gauge;
using actinium::Pressure;
using actinium::TokenBucket;

TEST(mb_4_the_gauge_follows_its_table_from_every_state) {
  struct Row {
    Pressure from;
    double fill;
    Pressure to;
  };
  const Row rows[] = {
      {Pressure::normal, 0.79, Pressure::normal},
      {Pressure::normal, 0.80, Pressure::soft},
      {Pressure::normal, 1.00, Pressure::hard},
      {Pressure::soft, 0.51, Pressure::soft},
      {Pressure::soft, 0.50, Pressure::normal},
      {Pressure::soft, 1.20, Pressure::hard},
      {Pressure::hard, 1.00, Pressure::hard},
      {Pressure::hard, 0.99, Pressure::recovering},
      {Pressure::hard, 0.50, Pressure::normal},
      {Pressure::recovering, 0.99, Pressure::recovering},
      {Pressure::recovering, 0.51, Pressure::recovering},
      {Pressure::recovering, 0.50, Pressure::normal},
      {Pressure::recovering, 1.00, Pressure::hard},
  };
  for (const Row& row : rows) {
    Gauge gauge(row.from);
    CHECK(gauge.update(row.fill, 0.8, 0.5) == (row.from != row.to));
    CHECK(gauge.state() == row.to);
  }
}

TEST(a_bucket_never_grants_more_than_rate_times_t_plus_burst_in_any_window) {
  check::Random random(11);
  for (int round = 0; round < 50; ++round) {
    const std::int64_t interval = 1 + static_cast<std::int64_t>(random.below(1000));
    const std::int64_t burst = 1 + static_cast<std::int64_t>(random.below(20));
    TokenBucket bucket;
    std::vector<std::int64_t> granted;
    std::int64_t now = 0;
    for (int i = 0; i < 2000; ++i) {
      now += static_cast<std::int64_t>(random.below(static_cast<std::uint64_t>(2 * interval)));
      const std::int64_t wait = bucket.wait(now, interval, burst);
      if (wait > 0) {
        CHECK(bucket.wait(now + wait, interval, burst) == 0);      // what it says is enough
        CHECK(bucket.wait(now + wait - 1, interval, burst) == 1);  // and no more than needed
        continue;
      }
      bucket.take(now, interval);
      granted.push_back(now);
    }
    for (std::size_t from = 0; from < granted.size(); from += 7) {
      for (std::size_t to = from; to < granted.size(); ++to) {
        const std::int64_t window = granted[to] - granted[from];
        CHECK(static_cast<std::int64_t>(to - from + 1) <= window / interval + burst);
      }
    }
  }
}

TEST(the_drain_rate_is_learned_and_its_advice_held_within_bounds) {
  DrainRate rate;
  CHECK(rate.retry_after(5) == 10'000'000);  // nothing known
  rate.begin(0);
  CHECK(!rate.observe(2, 999'999));  // too soon to say anything
  for (std::int64_t ms = 1; ms <= 5000; ++ms) {
    CHECK(rate.observe(2, ms * 1'000'000));
  }
  CHECK(rate.per_second() > 1990 && rate.per_second() < 2010);
  CHECK(rate.retry_after(100) > 49'000'000 && rate.retry_after(100) < 51'000'000);
  CHECK(rate.retry_after(0.1) == 1'000'000);
  CHECK(rate.retry_after(1e9) == 5'000'000'000);
}

TEST(mb_5_a_fifo_gives_up_its_newest_as_its_oldest) {
  struct Number {
    std::uint64_t n = 0;
    std::uint64_t more[2] = {};
    explicit operator bool() const { return n != 0; }
  };
  check::Random random(5);
  const auto before = actinium::slab_stats().live_blocks;
  actinium::Fifo<Number> fifo;
  std::deque<std::uint64_t> model;
  std::uint64_t next = 1;
  for (int i = 0; i < 100'000; ++i) {
    const auto what = random.below(100);
    if (what < 40) {
      CHECK(fifo.push(Number{next, {}}));
      model.push_back(next++);
    } else if (what < 50) {
      CHECK(fifo.push_front(Number{next, {}}));
      model.push_front(next++);
    } else if (model.empty()) {
      CHECK(fifo.empty() && fifo.newest() == nullptr);
    } else if (what < 75) {
      Number got;
      CHECK(fifo.pop(got) && got.n == model.front());
      model.pop_front();
    } else {
      CHECK(fifo.newest()->n == model.back());
      fifo.drop_newest();
      model.pop_back();
    }
  }
  Number got;
  while (fifo.pop(got)) {
    CHECK(got.n == model.front());
    model.pop_front();
  }
  CHECK(model.empty());
  CHECK(actinium::slab_stats().live_blocks == before);
}
