#include <actinium/victim.hpp>
#include <vector>

#include "check.hpp"

using actinium::StealPause;
using actinium::VictimChooser;

namespace {

using Groups = std::vector<std::uint16_t>;

struct Round {
  bool found = false;
  std::vector<std::size_t> visits;
};

Round look(VictimChooser& chooser, const std::vector<std::uint32_t>& loads) {
  Round r;
  r.found = chooser.round([&](std::size_t i) { return loads[i]; },
                          [&](std::size_t i) {
                            r.visits.push_back(i);
                            return loads[i] > 0;
                          });
  return r;
}

Groups groups_of(std::size_t shards, std::size_t each) {
  Groups groups;
  for (std::size_t i = 0; i < shards; i++) {
    groups.push_back(static_cast<std::uint16_t>(i / each));
  }
  return groups;
}

}  // namespace

// SC-5: with a tenth of the others busy, one round finds work that exists, and never at oneself.
TEST(sc_5_a_round_finds_the_work_there_is) {
  check::Random random(7);
  for (const std::size_t shards : {std::size_t{2}, std::size_t{8}, std::size_t{16}}) {
    std::vector<VictimChooser> choosers;
    for (std::size_t i = 0; i < shards; i++) {
      choosers.emplace_back(i, groups_of(shards, 4), 11 + i);
    }
    int cases = 0;
    int found = 0;
    while (cases < 20'000) {
      std::vector<std::uint32_t> loads(shards, 0);
      const std::size_t thief = random.below(shards);
      bool any = false;
      for (std::size_t i = 0; i < shards; i++) {
        if (random.below(10) == 0) {
          loads[i] = static_cast<std::uint32_t>(1 + random.below(100));
          any = any || i != thief;
        }
      }
      const Round r = look(choosers[thief], loads);
      for (const std::size_t visited : r.visits) {
        CHECK(visited != thief);
        CHECK(loads[visited] > 0);  // a shard that shows nothing is left in peace
      }
      CHECK(any || r.visits.empty());
      cases += any ? 1 : 0;
      found += any && r.found ? 1 : 0;
    }
    CHECK(found == cases);
  }
}

TEST(victims_of_the_own_group_come_first_and_of_two_the_fuller_one) {
  VictimChooser chooser(0, {0, 0, 0, 1, 1}, 3);
  for (int i = 0; i < 200; i++) {
    CHECK(look(chooser, {9, 1, 2, 99, 99}).visits == std::vector<std::size_t>{2});
    CHECK(look(chooser, {9, 0, 0, 5, 4}).visits == std::vector<std::size_t>{3});
  }
}

TEST(victims_that_disappoint_are_visited_less) {
  VictimChooser chooser(0, {0, 0, 0}, 3);
  const auto load = [](std::size_t) { return 10u; };
  int first_at_1 = 0;
  for (int i = 0; i < 100; i++) {
    bool first = true;
    CHECK(chooser.round(load, [&](std::size_t other) {
      first_at_1 += first && other == 1 ? 1 : 0;
      first = false;
      return other == 2;  // what 1 shows can never be had
    }));
  }
  CHECK(first_at_1 <= 2);
  CHECK(chooser.success(1) < 1.0 && chooser.success(2) == 1.0);
}

TEST(victims_that_can_only_be_asked_are_chosen_the_same_way) {
  VictimChooser chooser(0, {0, 0, 0, 1, 1}, 3);
  const auto choose = [&chooser](std::vector<std::uint32_t> loads) {
    return chooser.choose([&loads](std::size_t i) { return loads[i]; });
  };
  for (int i = 0; i < 200; i++) {
    CHECK(choose({9, 1, 2, 99, 99}) == 2);  // of the own group the fuller one
    CHECK(choose({9, 0, 0, 5, 4}) == 3);
    CHECK(choose({9, 0, 0, 0, 0}) == 0);  // nobody, which is itself
  }
  CHECK(chooser.success(2) == 1.0);  // nothing is learned before an answer
  for (int i = 0; i < 20; i++)
    chooser.learn(2, false);
  CHECK(choose({9, 1, 2, 99, 99}) == 1);
  for (int i = 0; i < 20; i++)
    chooser.learn(2, true);
  CHECK(choose({9, 1, 2, 99, 99}) == 2);
}

TEST(victims_are_the_same_for_the_same_seed) {
  VictimChooser a(1, groups_of(16, 4), 42);
  VictimChooser b(1, groups_of(16, 4), 42);
  VictimChooser c(1, groups_of(16, 4), 43);
  const std::vector<std::uint32_t> loads(16, 5);
  int different = 0;
  for (int i = 0; i < 100; i++) {
    const auto visits = look(a, loads).visits;
    CHECK(visits == look(b, loads).visits);
    different += visits != look(c, loads).visits ? 1 : 0;
  }
  CHECK(different > 10);
}

TEST(victims_are_looked_for_ever_more_rarely_until_something_comes) {
  StealPause pause;
  const auto turns = [&pause] {
    int n = 0;
    while (!pause.due()) {
      n++;
    }
    pause.missed();
    return n;
  };
  CHECK(pause.due());
  pause.missed();
  for (const int expected : {1, 2, 4, 8, 16, 32, 64, 64, 64}) {
    CHECK(turns() == expected);
  }
  pause.reset();
  CHECK(turns() == 0 && turns() == 1 && turns() == 2);
  pause.found();
  while (!pause.due()) {
  }
  pause.missed();
  CHECK(turns() == 1);
}
