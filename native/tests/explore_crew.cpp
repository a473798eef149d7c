// Every interleaving of a few threads in the stealing code, over the code as shipped.
#include <actinium/crew.hpp>
#include <array>
#include <deque>
#include <vector>

#include "check.hpp"
#include "explorer.hpp"
#include "toys.hpp"

#ifndef __SANITIZE_THREAD__

namespace {

using A = explore::Atomics;

struct Entry {
  int number = 0;
  int taken = 0;
};

// What one thread took out of the queue, in order.
struct Taken {
  std::vector<int> numbers;

  void add(Entry* entry) {
    explore::touch(&entry->taken);  // whoever has it has it alone
    entry->taken++;
    numbers.push_back(entry->number);
  }
};

void require_each_once(const std::vector<Entry>& entries, const std::vector<Taken>& all) {
  for (const Entry& entry : entries) {
    EXPLORE(entry.taken == 1);
  }
  for (const Taken& taken : all) {
    for (std::size_t i = 1; i < taken.numbers.size(); i++) {
      EXPLORE(taken.numbers[i - 1] < taken.numbers[i]);
    }
  }
}

// The queue with its memory orders taken away: what the search must be able to notice.
struct Weakened : A {
  template <class T>
  struct Atomic : explore::Atomic<T> {
    using Base = explore::Atomic<T>;
    using Base::Base;
    static constexpr auto kNone = std::memory_order_relaxed;
    T load(std::memory_order = kNone) const noexcept { return Base::load(kNone); }
    void store(T value, std::memory_order = kNone) noexcept { Base::store(value, kNone); }
    bool compare_exchange_strong(T& expected, T value, std::memory_order = kNone,
                                 std::memory_order = kNone) noexcept {
      return Base::compare_exchange_strong(expected, value, kNone, kNone);
    }
    bool compare_exchange_weak(T& expected, T value, std::memory_order = kNone,
                               std::memory_order = kNone) noexcept {
      return compare_exchange_strong(expected, value);
    }
  };
};

// The owner appends `count` entries to a ring of two places and takes some in between, while
// `thieves` try once each; the ring wraps, so that a place is used again under a thief's eyes.
template <class Policy = A>
explore::Result steal_from_a_small_ring(unsigned thieves, int count) {
  return explore::all(
      [=](explore::Run& run) {
        actinium::StealQueue<Entry, Policy, 2> queue;
        std::vector<Entry> entries(static_cast<std::size_t>(count));
        std::vector<Taken> all(thieves + 1);
        run.thread([&] {
          int number = 0;
          for (Entry& entry : entries) {
            explore::touch(&entry.taken);
            entry.number = number++;
            while (!queue.push(&entry)) {
              if (Entry* const own = queue.pop()) all[0].add(own);
            }
          }
          while (Entry* const own = queue.pop()) {
            all[0].add(own);
          }
        });
        for (unsigned i = 0; i < thieves; i++) {
          run.thread([&, i] {
            Entry* out[actinium::kMostStolen];
            const std::size_t n = queue.steal(out);
            for (std::size_t k = 0; k < n; k++) {
              all[i + 1].add(out[k]);
            }
          });
        }
        if (!run.go()) return;
        require_each_once(entries, all);
      },
      {.store_buffers = true});
}

// One toy, letters from outside, and runners that hand it over through one place. Whoever sends
// and whoever runs keep to RunState alone.
constexpr std::uint32_t kWaits = 1;
constexpr std::uint32_t kOver = 2;

explore::Result one_toy_several_runners(unsigned senders, unsigned runners, std::uint32_t letters) {
  return explore::all(
      [=](explore::Run& run) {
        toys::Toy<A> toy(0, senders);
        explore::Atomic<std::uint32_t> ready{0};  // kWaits once at most: SC-2
        const std::uint32_t total = senders * letters;
        std::deque<toys::Letter<A>> all(senders * letters);
        struct Place {
          explore::Atomic<std::uint32_t>* ready;
          void put(std::size_t, toys::Toy<A>*) { EXPLORE((ready->fetch_or(kWaits) & kWaits) == 0); }
        };
        Place place{&ready};
        for (unsigned s = 0; s < senders; s++) {
          run.thread([&, s] {
            for (std::uint32_t i = 0; i < letters; i++) {
              toys::Letter<A>& letter = all[s * letters + i];
              letter.sender = s;
              letter.number = i + 1;
              toy.box.push(&letter);
              if (toy.state.wake()) place.put(0, &toy);
            }
          });
        }
        for (unsigned r = 0; r < runners; r++) {
          run.thread([&, r] {
            while (true) {
              ready.wait(0);  // for ever, if a wake-up was lost: MB-2
              if ((ready.fetch_and(kOver) & kWaits) == 0) break;
              bool last = false;
              toys::run_toy<A>(
                  place, r, toy, 4, [](bool ok) { EXPLORE(ok); },
                  [&](toys::Toy<A>& t, toys::Letter<A>&) { last = t.handled == total; },
                  explore::yield);
              if (last) {
                ready.fetch_or(kOver);
                break;
              }
            }
          });
        }
        if (!run.go()) return;
        EXPLORE(toy.handled == senders * letters);
      },
      {.store_buffers = true});
}

}  // namespace

TEST(explore_sc_5_a_ring_and_one_thief) { CHECK_EXPLORED(steal_from_a_small_ring(1, 3)); }
TEST(explore_sc_5_a_ring_and_two_thieves) { CHECK_EXPLORED(steal_from_a_small_ring(2, 2)); }

TEST(explore_sc_5_notices_missing_memory_orders) {
  CHECK(!steal_from_a_small_ring<Weakened>(1, 2).ok());
}

TEST(explore_sc_1_sc_2_mb_2_one_actor_between_runners) {
  CHECK_EXPLORED(one_toy_several_runners(1, 1, 1));
  CHECK_EXPLORED(one_toy_several_runners(1, 1, 2));
  CHECK_EXPLORED(one_toy_several_runners(2, 1, 1));
  CHECK_EXPLORED(one_toy_several_runners(1, 2, 1));
}

namespace {

struct Shards {
  struct Actor : actinium::BasicMpscNode<A> {
    int runs = 0;
  };
  std::deque<explore::Atomic<std::uint32_t>> bells;
  actinium::Crew<Actor, toys::Bells<A>, A, 2> crew;
  std::deque<Actor> actors;
  explore::Atomic<std::uint32_t> left;

  Shards(std::size_t shards, std::size_t n)
      : bells(shards),
        crew(std::vector<std::uint16_t>(shards, 0), 1, toys::Bells<A>{&bells}),
        actors(n),
        left(static_cast<std::uint32_t>(n)) {}

  void run(Actor* actor) {
    explore::touch(&actor->runs);
    actor->runs++;
    if (left.fetch_sub(1) == 1) {
      for (std::size_t i = 0; i < bells.size(); i++) {
        toys::Bells<A>{&bells}(i);  // all is done: the end for everybody
      }
    }
  }

  // What a shard does without end. One that sleeps while there is work is a deadlock.
  void shard(std::size_t me) {
    while (left.load() != 0) {
      if (Actor* const actor = crew.take(me)) {
        run(actor);
      } else if (!crew.hunt(me)) {
        const std::uint32_t rung = bells[me].load();
        if (left.load() == 0) break;
        if (crew.lie_down(me)) {
          bells[me].wait(rung);
          crew.get_up(me);
        } else {
          explore::yield();
        }
      }
    }
  }

  void require_each_once() const {
    for (const Actor& actor : actors) {
      EXPLORE(actor.runs == 1);
    }
  }
};

}  // namespace

// An actor handed in while the shard lies down is found or signalled.
TEST(explore_mb_2_handed_in_while_lying_down) {
  const auto result = explore::all(
      [](explore::Run& run) {
        Shards s(1, 1);
        run.thread([&s] { s.crew.hand_in(0, &s.actors[0]); });
        run.thread([&s] { s.shard(0); });
        if (run.go()) s.require_each_once();
      },
      {.store_buffers = true});
  CHECK_EXPLORED(result);
}

// One shard has two actors and shares them; the other hunts, lies down, is woken up.
TEST(explore_sc_5_two_shards_share) {
  if (check::kSanitized) return;  // minutes there; seconds without
  const auto result = explore::all([](explore::Run& run) {
    Shards s(2, 2);
    run.thread([&s] {
      s.crew.put(0, &s.actors[0]);
      s.crew.put(0, &s.actors[1]);
      while (Shards::Actor* const actor = s.crew.take(0)) {
        s.run(actor);
      }
    });
    run.thread([&s] { s.shard(1); });
    if (run.go()) s.require_each_once();
  });
  CHECK_EXPLORED(result);
}

#endif
