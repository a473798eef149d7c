#include <actinium/levels.hpp>
#include <actinium/urgent.hpp>
#include <algorithm>
#include <array>
#include <vector>

#include "check.hpp"

using actinium::Levels;
using actinium::UrgentHeap;

namespace {

constexpr std::int64_t kMs = 1'000'000;

std::uintptr_t entry(unsigned level, std::uintptr_t number) { return number * 4 + level; }

}  // namespace

TEST(sc_3_saturated_levels_share_messages_by_8_4_2_1) {
  Levels levels;
  std::array<std::int64_t, 4> handled{};
  check::Random random(11);
  for (unsigned i = 0; i < 4; i++) {
    levels.push(entry(i, 0), i, 0);
  }
  for (int turn = 0; turn < 40'000; turn++) {  // no time passes: no ageing
    const Levels::Pick pick = levels.pick(0);
    const auto level = static_cast<unsigned>(pick.entry % 4);
    const auto messages = static_cast<std::int64_t>(1 + random.below(64));
    handled[level] += messages;
    levels.charge(pick.payer, messages);
    levels.push(pick.entry, level, 0);
  }
  const std::int64_t all = handled[0] + handled[1] + handled[2] + handled[3];
  for (unsigned i = 0; i < 4; i++) {
    const double share = double(handled[i]) / double(all);
    const double due = double(Levels::kWeight[i]) / 15.0;
    CHECK(share > due * 0.9 && share < due * 1.1);
  }
}

TEST(ms_2_within_a_level_first_come_is_first_served) {
  Levels levels;
  check::Random random(5);
  std::array<std::uintptr_t, 4> pushed{};
  std::array<std::uintptr_t, 4> popped{};
  std::int64_t now = 0;
  for (int i = 0; i < 50'000; i++) {
    now += static_cast<std::int64_t>(random.below(3)) * kMs;
    if (levels.empty() || random.below(100) < 51) {
      const auto level = static_cast<unsigned>(random.below(4));
      levels.push(entry(level, pushed[level]++), level, now);
    } else {
      const Levels::Pick pick = levels.pick(now);
      const auto level = static_cast<unsigned>(pick.entry % 4);
      CHECK(pick.entry / 4 == popped[level]++);
      CHECK(pick.payer <= level);
      levels.charge(pick.payer, 1);
    }
  }
  std::size_t left = 0;
  for (unsigned i = 0; i < 4; i++) {
    left += pushed[i] - popped[i];
  }
  CHECK(levels.size() == left);
}

TEST(sc_3_whoever_waited_60_ms_competes_with_the_most_important_by_age) {
  Levels levels;
  levels.push(entry(3, 0), 3, 0);
  for (std::uintptr_t i = 1; i <= 100; i++) {
    levels.push(entry(0, i), 0, 30 * kMs);
  }
  CHECK(levels.pick(59 * kMs).entry == entry(0, 1));
  CHECK(levels.pick(60 * kMs).entry == entry(3, 0));  // older than all of the first level
}

TEST(urgent_hints_come_by_deadline_and_then_by_age) {
  struct Hint {
    std::int64_t deadline;
    std::uint32_t number;
  };
  UrgentHeap heap;
  std::vector<Hint> model;
  check::Random random(7);
  for (std::uint32_t i = 0; i < 20'000; i++) {
    if (model.empty() || random.below(100) < 55) {
      const auto deadline = static_cast<std::int64_t>(random.below(50));
      heap.push(deadline, nullptr, i);
      model.push_back({deadline, i});
    } else {
      const auto first = std::min_element(model.begin(), model.end(), [](auto& a, auto& b) {
        return a.deadline != b.deadline ? a.deadline < b.deadline : a.number < b.number;
      });
      const actinium::Urgent hint = heap.pop();
      CHECK(hint.deadline == first->deadline && hint.until == first->number);
      if (random.below(4) == 0) {
        heap.put_back(hint);
      } else {
        model.erase(first);
      }
    }
    CHECK(heap.size() == model.size());
  }
}
