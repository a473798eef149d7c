// The search itself: it must find what is there to be found, or its silence means nothing.
#include <set>
#include <utility>

#include "check.hpp"
#include "explorer.hpp"

namespace {

using Order = std::memory_order;

// Store to the own flag, then read the other's. Both may read 0 unless the stores are seq_cst.
std::set<std::pair<int, int>> outcomes_of_dekker(Order store) {
  std::set<std::pair<int, int>> seen;
  const explorer::Result result = explorer::explore([&] {
    struct State {
      explorer::Atomic<int> a, b;
      int got_a = -1, got_b = -1;
    };
    auto s = std::make_shared<State>();
    return explorer::Scenario{{[s, store] {
                                 s->a.store(1, store);
                                 s->got_b = s->b.load();
                               },
                               [s, store] {
                                 s->b.store(1, store);
                                 s->got_a = s->a.load();
                               }},
                              [s, &seen] { seen.insert({s->got_a, s->got_b}); }};
  });
  CHECK(result.complete);
  return seen;
}

}  // namespace

TEST(explorer_finds_every_outcome_of_two_threads) {
  if (check::kSanitized) {
    return;
  }
  const std::set<std::pair<int, int>> strong{{0, 1}, {1, 0}, {1, 1}};
  CHECK(outcomes_of_dekker(Order::seq_cst) == strong);
  std::set<std::pair<int, int>> weak = strong;
  weak.insert({0, 0});
  CHECK(outcomes_of_dekker(Order::release) == weak);
}

TEST(explorer_finds_the_lost_update) {
  if (check::kSanitized) {
    return;
  }
  std::set<int> sums;
  const explorer::Result result = explorer::explore([&] {
    auto n = std::make_shared<explorer::Atomic<int>>(0);
    const auto add = [n] { n->store(n->load() + 1, Order::seq_cst); };
    return explorer::Scenario{{add, add, add}, [n, &sums] { sums.insert(n->load()); }};
  });
  CHECK(result.complete);
  CHECK((sums == std::set<int>{1, 2, 3}));
}

TEST(explorer_skips_interleavings_of_unrelated_steps) {
  if (check::kSanitized) {
    return;
  }
  const explorer::Result result = explorer::explore([] {
    auto n = std::make_shared<std::array<explorer::Atomic<int>, 3>>();
    std::vector<std::function<void()>> threads;
    for (int i = 0; i < 3; ++i) {
      threads.push_back([n, i] {
        for (int k = 0; k < 4; ++k) {
          (*n)[std::size_t(i)].fetch_add(1);
        }
      });
    }
    return explorer::Scenario{threads, [n] { CHECK((*n)[2].load() == 4); }};
  });
  CHECK(result.complete);
  CHECK(result.interleavings == 1);  // of 34,650
}
