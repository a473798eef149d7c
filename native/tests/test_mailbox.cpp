#include <actinium/fifo.hpp>
#include <actinium/mailbox.hpp>
#include <actinium/ring.hpp>
#include <array>
#include <deque>

#include "check.hpp"

using actinium::Fifo;
using actinium::Mailbox;
using actinium::Ring;

namespace {

struct Letter {
  std::uint64_t number = 0;  // 0: none
  std::uint64_t payload[2] = {};
  explicit operator bool() const { return number != 0; }
};

Letter letter(std::uint64_t number) { return Letter{number, {number * 3, ~number}}; }

bool whole(const Letter& l) { return l.payload[0] == l.number * 3 && l.payload[1] == ~l.number; }

}  // namespace

TEST(ms_2_what_is_put_back_comes_first_in_its_order) {
  check::Random random(5);
  const auto before = actinium::slab_stats().live_blocks;
  Fifo<Letter> fifo;
  std::deque<std::uint64_t> model;
  std::uint64_t next = 1;
  for (int i = 0; i < 200'000; ++i) {
    const auto chance = random.below(100);
    if (chance < 26) {
      CHECK(fifo.push(letter(next)));
      model.push_back(next++);
    } else if (chance < 52) {
      CHECK(fifo.push_front(letter(next)));
      model.push_front(next++);
    } else {
      Letter got;
      CHECK(fifo.pop(got) == !model.empty());
      if (!model.empty()) {
        CHECK(got.number == model.front() && whole(got));
        model.pop_front();
      }
    }
    CHECK(fifo.empty() == model.empty());
  }
  for (Letter got; fifo.pop(got);) {
  }
  CHECK(actinium::slab_stats().live_blocks == before);
}

TEST(ms_2_a_mailbox_gives_back_first_what_was_put_back) {
  for (const bool lanes : {false, true}) {
    Mailbox<Letter> box;
    if (lanes) CHECK(box.use_lanes());
    CHECK(box.push(letter(4)) && box.push(letter(5)));
    for (const std::uint64_t n : {3, 2, 1}) {
      CHECK(box.push_front(letter(n)));
    }
    Letter got;
    for (std::uint64_t n = 1; n <= 5; n++) {
      CHECK(box.pop(got) && got.number == n);
    }
    CHECK(box.empty());
    box.destroy();
  }
}

TEST(ms_2_fifo_keeps_order_over_segments_and_gives_its_memory_back) {
  check::Random random(3);
  const auto before = actinium::slab_stats().live_blocks;
  Fifo<Letter> fifo;
  std::deque<std::uint64_t> model;
  std::uint64_t next = 1;
  for (int i = 0; i < 200'000; ++i) {
    if (random.below(100) < 52) {
      CHECK(fifo.push(letter(next)));
      model.push_back(next++);
    } else {
      Letter got;
      const bool some = fifo.pop(got);
      CHECK(some == !model.empty());
      if (some) {
        CHECK(got.number == model.front() && whole(got));
        model.pop_front();
      }
    }
    CHECK(fifo.empty() == model.empty());
  }
  for (Letter got; fifo.pop(got);) {
  }
  CHECK(actinium::slab_stats().live_blocks == before);  // an empty queue owns nothing
}

TEST(ms_2_mailbox_is_first_in_first_out_through_slot_and_queue) {
  check::Random random(5);
  Mailbox<Letter> box;
  std::deque<std::uint64_t> model;
  std::uint64_t next = 1;
  for (int i = 0; i < 200'000; ++i) {
    if (random.below(2) == 0) {
      CHECK(box.push(letter(next)));
      model.push_back(next++);
    } else {
      Letter got;
      CHECK(box.pop(got) == !model.empty());
      if (!model.empty()) {
        CHECK(got.number == model.front());
        model.pop_front();
      }
    }
    CHECK(box.empty() == model.empty());
  }
  for (Letter got; box.pop(got);) {
  }
}

TEST(one_waiting_message_needs_no_memory) {
  const auto before = actinium::slab_stats().live_blocks;
  Mailbox<Letter> box;
  CHECK(box.push(letter(1)));
  CHECK(actinium::slab_stats().live_blocks == before);
  CHECK(box.push(letter(2)));
  CHECK(actinium::slab_stats().live_blocks == before + 1);
  Letter got;
  CHECK(box.pop(got) && box.pop(got) && got.number == 2);
  CHECK(actinium::slab_stats().live_blocks == before);
}

TEST(sc_3_lanes_share_by_weight_and_keep_their_order) {
  Mailbox<Letter> box;
  CHECK(box.use_lanes());
  for (std::uint64_t i = 1; i <= 4000; ++i) {
    CHECK(box.push(letter(i), static_cast<unsigned>(i % 4)));
  }
  std::array<std::uint64_t, 4> last{};
  std::array<int, 4> picks{};
  Letter got;
  for (int i = 0; i < 1500; ++i) {  // all four lanes stay full meanwhile
    CHECK(box.pop(got));
    const auto lane = static_cast<std::size_t>(got.number % 4);
    CHECK(got.number > last[lane]);
    last[lane] = got.number;
    picks[lane]++;
  }
  CHECK(picks[0] == 800 && picks[1] == 400 && picks[2] == 200 && picks[3] == 100);
  int rest = 0;
  while (box.pop(got))
    rest++;
  CHECK(rest == 2500 && box.empty());
  box.destroy();
}

TEST(mb_5_the_least_important_lane_loses_its_oldest_first) {
  Mailbox<Letter> box;
  CHECK(box.use_lanes());
  CHECK(box.push(letter(1), actinium::kCritical));
  CHECK(box.push(letter(2), actinium::kLow));
  CHECK(box.push(letter(3), actinium::kLow));
  Letter got;
  CHECK(box.pop_least(got) && got.number == 2);
  CHECK(box.pop_least(got) && got.number == 3);
  CHECK(box.pop_least(got) && got.number == 1);
  CHECK(!box.pop_least(got));
  box.destroy();
}

TEST(ring_is_a_queue_that_grows) {
  check::Random random(9);
  Ring ring;
  std::deque<std::uintptr_t> model;
  for (std::uintptr_t i = 1; i <= 300'000; ++i) {
    if (random.below(100) < 55) {
      CHECK(ring.push(i));
      model.push_back(i);
    } else if (!model.empty()) {
      CHECK(ring.peek(0) == model.front());
      CHECK(ring.pop() == model.front());
      model.pop_front();
    }
    CHECK(ring.size() == model.size());
  }
}

TEST(ring_brings_any_entry_to_the_head_and_loses_none) {
  Ring ring;
  std::uint64_t sum = 0;
  for (std::uintptr_t i = 1; i <= 100; ++i) {
    CHECK(ring.push(i));
    sum += i;
  }
  check::Random random(1);
  while (!ring.empty()) {
    const auto index = random.below(ring.size());
    const auto wanted = ring.peek(index);
    const auto first = ring.peek(0);
    ring.bring_to_head(index);
    CHECK(ring.peek(0) == wanted);
    CHECK(index == 0 || ring.peek(1) == first);
    sum -= ring.pop();
  }
  CHECK(sum == 0);
}
