#include <actinium/windows.hpp>
#include <map>
#include <vector>

#include "check.hpp"

using actinium::Bound;
using actinium::Rest;
using actinium::Sum;
using actinium::Windows;

TEST(lm_1_a_node_counts_what_a_plain_map_would) {
  check::Random random(3);
  for (int round = 0; round < 200; ++round) {
    Windows windows;
    std::map<std::int64_t, std::int64_t> plain;
    std::int64_t first = 0;
    for (int step = 0; step < 200; ++step) {
      const auto window = static_cast<std::int64_t>(random.below(40));
      const auto amount = static_cast<std::int64_t>(random.below(100));
      switch (random.below(3)) {
        case 0:
          windows.charge(window, amount);
          if (window >= first) plain[window] += amount;
          break;
        case 1:
          windows.refund(window, amount);
          if (plain.count(window) != 0) plain[window] -= amount;
          break;
        default:
          first = first < window / 2 ? window / 2 : first;
          windows.advance(first);
          plain.erase(plain.begin(), plain.lower_bound(first));
      }
      Sum sum = 0;
      for (const auto& [at, total] : plain)
        sum += total;
      CHECK(windows.own() == sum && windows.first() == first);
      CHECK(windows.latest() == (plain.empty() ? -1 : plain.rbegin()->first));
    }
  }
}

TEST(lm_1_what_other_nodes_told_holds_in_any_order_and_is_forgotten_with_its_window) {
  Windows windows;
  windows.merge_other("b", 7, 10, 2);
  windows.merge_other("b", 7, 8, 3);  // the larger of each number
  windows.merge_other("c", 7, 1, 0);
  windows.merge_other("b", 9, 5, 0);
  windows.merge_own(8, 4, 1);
  CHECK(windows.others() == 7 + 1 + 5 && windows.own() == 3);
  windows.advance(8);
  CHECK(windows.others() == 5 && windows.own() == 3 && windows.theirs().size() == 1);
  windows.merge_other("b", 7, 100, 0);
  CHECK(windows.others() == 5);
  windows.advance(10);
  CHECK(windows.others() == 0 && windows.own() == 0 && windows.latest() == -1);
}

TEST(lm_2_what_is_held_never_exceeds_a_limit_and_all_of_it_comes_back) {
  check::Random random(5);
  for (int round = 0; round < 50; ++round) {
    Windows requests, tokens;
    Bound bound;
    bound.span = 61;
    bound.most = 4;
    bound.rows[0] = {&requests, 0, 0, 50};
    bound.rows[1] = {&tokens, 1, 0, 500};
    bound.count = 2;
    std::vector<Bound::Charged> held;
    std::int64_t second = 1000;
    for (int step = 0; step < 2000; ++step) {
      second += random.below(8) == 0;
      const Bound::Amounts amounts = {1, static_cast<std::int64_t>(random.below(60)), 0, 0};
      if (bound.fits(second, amounts)) {
        held.push_back(bound.take(second, amounts));
      } else if (!held.empty()) {
        const std::size_t at = random.below(held.size());
        const Bound::Amounts used = {
            1, static_cast<std::int64_t>(random.below(held[at].amounts[1] + 1u)), 0, 0};
        bound.settle(second, held[at], used);
        held.erase(held.begin() + static_cast<std::ptrdiff_t>(at));
      }
      CHECK(bound.running == static_cast<std::int64_t>(held.size()) && bound.running <= 4);
      CHECK(requests.own() <= 50 && tokens.own() <= 500);
    }
    for (const Bound::Charged& charged : held)
      bound.settle(second, charged, Bound::Amounts{});
    CHECK(bound.running == 0 && bound.held[0] == 0 && bound.held[1] == 0);
  }
}

TEST(lm_2_what_was_underestimated_is_paid_now_where_its_second_is_over) {
  Windows tokens;
  Bound bound;
  bound.span = 61;
  bound.rows[0] = {&tokens, 1, 0, 100};
  bound.count = 1;
  const Bound::Charged charged = bound.take(1000, {1, 10, 0, 0});
  CHECK(!bound.fits(1100, {1, 101, 0, 0}));  // goes on: 1000 counts no more
  CHECK(tokens.own() == 0);
  bound.settle(1100, charged, {1, 30, 0, 0});
  CHECK(tokens.own() == 20 && tokens.latest() == 1040);
  Rest rests[Bound::kAmounts];
  bound.rest(1100, rests);
  CHECK(rests[0].limit < 0 && rests[1].limit == 100 && rests[1].left == 80);
  CHECK(rests[1].seconds == 1);
}
