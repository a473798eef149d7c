// Many shards on real threads; the interleavings of few are searched in explore_crew.cpp.
#include <actinium/crew.hpp>
#include <algorithm>
#include <atomic>
#include <deque>
#include <thread>
#include <vector>

#include "check.hpp"
#include "toys.hpp"

using actinium::StdAtomics;
using Toy = toys::Toy<StdAtomics>;
using Letter = toys::Letter<StdAtomics>;

namespace {

struct Log {
  std::vector<std::size_t>* rung;
  void operator()(std::size_t shard) const { rung->push_back(shard); }
};

struct World {
  static constexpr std::size_t kShards = 6;
  std::deque<std::atomic<std::uint32_t>> bells = std::deque<std::atomic<std::uint32_t>>(kShards);
  toys::ToyCrew<StdAtomics, 16> crew{{0, 0, 0, 1, 1, 1}, 5, toys::Bells<StdAtomics>{&bells}};
  std::atomic<bool> over{false};
  std::deque<Toy> all;

  template <class Handle>
  void shard(std::size_t me, Handle&& handle) {
    while (!over.load()) {
      if (Toy* const toy = crew.take(me)) {
        toys::run_toy<StdAtomics>(
            crew, me, *toy, 8, [](bool ok) { CHECK(ok); }, handle, std::this_thread::yield);
        continue;
      }
      if (crew.hunt(me)) {
        continue;
      }
      const std::uint32_t rung = bells[me].load();
      if (over.load()) {
        break;
      }
      if (crew.lie_down(me)) {
        bells[me].wait(rung);
        crew.get_up(me);
      } else {
        std::this_thread::yield();
      }
    }
  }

  void end() {
    over.store(true);
    for (std::size_t i = 0; i < kShards; i++) {
      toys::Bells<StdAtomics>{&bells}(i);
    }
  }
};

}  // namespace

// SC-1, SC-2, SC-5, MB-2, MS-2: everything comes in at shard 0, the others have what they steal;
// each letter from outside makes its toy write one to the next toy, from wherever it runs.
TEST(sc_5_forced_stealing_loses_doubles_and_reorders_nothing) {
  constexpr std::size_t kSenders = 3;
  constexpr std::size_t kToys = 48;
  const std::uint32_t each = check::kSanitized ? 200 : 2'000;  // letters of a sender to a toy
  World world;
  std::vector<std::vector<Letter>> outside(kSenders);
  std::vector<std::vector<Letter>> written(kToys);
  for (std::size_t i = 0; i < kToys; i++) {
    world.all.emplace_back(i, kSenders + kToys);
    written[i] = std::vector<Letter>(each * kSenders);
  }
  std::atomic<std::uint64_t> handled{0};
  std::atomic<std::uint32_t> handed_in{0};
  std::atomic<bool> elsewhere{false};  // a shard that was given nothing has handled a letter
  std::vector<std::thread> threads;
  for (std::size_t me = 0; me < World::kShards; me++) {
    threads.emplace_back([&, me] {
      while (me == 0 && handed_in.load() < 8) {
        std::this_thread::yield();
      }
      world.shard(me, [&, me](Toy& toy, Letter& letter) {
        if (me != 0) {
          elsewhere.store(true);
        }
        while (!elsewhere.load() && world.crew.load(0) > 1) {  // hangs if nobody comes to steal
          std::this_thread::yield();
        }
        if (letter.sender < kSenders) {
          Letter& next = written[toy.index][toy.written];
          next.sender = kSenders + toy.index;
          next.number = ++toy.written;
          Toy& neighbour = world.all[(toy.index + 1) % kToys];
          neighbour.box.push(&next);
          if (neighbour.state.wake()) {
            world.crew.put(me, &neighbour);
          }
        }
        handled.fetch_add(1, std::memory_order_relaxed);
      });
    });
  }
  std::vector<std::thread> senders;
  for (std::size_t s = 0; s < kSenders; s++) {
    outside[s] = std::vector<Letter>(each * kToys);
    senders.emplace_back([&, s] {
      check::Random random(s);
      std::vector<std::uint32_t> number(kToys, 0);
      for (std::uint32_t i = 0; i < each * kToys; i++) {
        std::size_t to = random.below(kToys);
        while (number[to] == each) {
          to = (to + 1) % kToys;
        }
        Letter& letter = outside[s][i];
        letter.sender = s;
        letter.number = ++number[to];
        world.all[to].box.push(&letter);
        if (world.all[to].state.wake()) {
          world.crew.hand_in(0, &world.all[to]);
          handed_in.fetch_add(1);
        }
      }
    });
  }
  for (auto& t : senders) {
    t.join();
  }
  while (handled.load() < 2ull * kSenders * each * kToys) {  // hangs if a wake-up is lost
    std::this_thread::yield();
  }
  world.end();
  for (auto& t : threads) {
    t.join();
  }
  std::uint64_t stolen = 0;
  for (std::size_t i = 0; i < World::kShards; i++) {
    stolen += world.crew.counts(i).stolen;
  }
  std::uint64_t executed = 0;
  for (const Toy& toy : world.all) {
    CHECK(toy.handled == 2 * kSenders * each);
    executed += toy.handled;
  }
  CHECK(executed == handled.load());
  CHECK(stolen > 0);
}

TEST(crew_keeps_the_order_of_what_does_not_fit_its_ring) {
  std::vector<std::size_t> rung;
  actinium::Crew<Toy, Log, StdAtomics, 4> crew({0}, 1, Log{&rung});
  std::deque<Toy> all;
  for (std::size_t i = 0; i < 50; i++) {
    all.emplace_back(i, 0);
    crew.put(0, &all[i]);
  }
  CHECK(crew.load(0) > 1);
  for (std::size_t i = 0; i < 50; i++) {
    Toy* const toy = crew.take(0);
    CHECK(toy == &all[i]);
    crew.put(0, toy);
  }
  for (std::size_t i = 0; i < 50; i++) {
    CHECK(crew.take(0) == &all[i]);
  }
  CHECK(crew.take(0) == nullptr && crew.load(0) == 0);
  CHECK(!crew.hunt(0));
  CHECK(crew.counts(0).visits == 0);  // alone: nobody to visit, oneself least of all
}

TEST(steal_takes_half_and_at_most_32_of_the_oldest) {
  for (const std::size_t held : {1u, 2u, 3u, 10u, 64u, 65u, 200u}) {
    actinium::StealQueue<Toy> queue;
    std::deque<Toy> all;
    for (std::size_t i = 0; i < held; i++) {
      all.emplace_back(i, 0);
      CHECK(queue.push(&all[i]));
    }
    Toy* taken[actinium::kMostStolen];
    const std::size_t n = queue.steal(taken);
    CHECK(n == std::min<std::size_t>((held + 1) / 2, 32));
    for (std::size_t i = 0; i < n; i++) {
      CHECK(taken[i] == &all[i]);
    }
    for (std::size_t i = n; i < held; i++) {
      CHECK(queue.pop() == &all[i]);
    }
    CHECK(queue.pop() == nullptr && queue.steal(taken) == 0);
  }
}

TEST(crew_signals_a_sleeping_shard_once) {
  std::vector<std::size_t> rung;
  actinium::Crew<Toy, Log> crew({0, 0, 0}, 1, Log{&rung});
  std::deque<Toy> all;
  for (std::size_t i = 0; i < 8; i++) {
    all.emplace_back(i, 0);
  }
  crew.hand_in(1, &all[0]);
  CHECK(rung.empty());  // it is awake and looks at its inbox before it sleeps
  CHECK(!crew.lie_down(1));
  CHECK(crew.take(1) == &all[0]);
  CHECK(crew.lie_down(1));
  crew.hand_in(1, &all[0]);
  crew.hand_in(1, &all[1]);
  CHECK((rung == std::vector<std::size_t>{1}));
  crew.get_up(1);
  CHECK(crew.take(1) == &all[0] && crew.take(1) == &all[1]);
}

TEST(crew_wakes_one_searcher_at_a_time) {
  std::vector<std::size_t> rung;
  actinium::Crew<Toy, Log> crew({0, 0, 0}, 1, Log{&rung});
  std::deque<Toy> all;
  for (std::size_t i = 0; i < 9; i++) {
    all.emplace_back(i, 0);
  }
  CHECK(crew.lie_down(1) && crew.lie_down(2));
  crew.put(0, &all[0]);
  CHECK(rung.empty());  // one is about to be run; more than one is to be shared
  for (std::size_t i = 1; i < 9; i++) {
    crew.put(0, &all[i]);
  }
  CHECK((rung == std::vector<std::size_t>{1}));
  crew.get_up(1);
  CHECK(crew.take(1) == nullptr);
  CHECK(crew.hunt(1));  // it takes five and, holding more than one, wakes the next
  CHECK(crew.counts(1).stolen == 5);
  CHECK((rung == std::vector<std::size_t>{1, 2}));
  crew.get_up(2);
  CHECK(crew.hunt(2));
  CHECK((rung == std::vector<std::size_t>{1, 2}));  // nobody is asleep
  int left = 0;
  for (std::size_t i = 0; i < 3; i++) {
    while (crew.take(i) != nullptr) {
      left++;
    }
  }
  CHECK(left == 9);
  CHECK(crew.lie_down(0) && crew.lie_down(1) && crew.lie_down(2));  // all may sleep again
}
