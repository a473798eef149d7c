// Actors that are handed round between shards with real threads, while strangers send to them.
#include <actinium/handover.hpp>
#include <actinium/mpsc.hpp>
#include <array>
#include <memory>
#include <thread>
#include <vector>

#include "check.hpp"

namespace {

constexpr int kShards = 3;
constexpr int kActors = 4;
constexpr int kSenders = 2;
constexpr int kEach = 4000;

struct Shard;

struct Actor {
  std::atomic<Shard*> owner{nullptr};
  std::array<int, kSenders> last{};  // plain memory, as all of an actor is
  int handled = 0;
  int moves = 0;
};

struct Letter : actinium::MpscNode {
  Actor* to = nullptr;
  int sender = -1;  // -1: the notice of a move
  int number = 0;
};

struct Shard {
  std::mutex gate;
  actinium::MpscQueue box;
  actinium::MpscQueue* inbox = &box;
  std::vector<Actor*> own;
};

Shard* home_of(const Actor* actor) { return actor->owner.load(std::memory_order_acquire); }

void send(Letter* letter) {
  actinium::send_to_owner([letter] { return home_of(letter->to); },
                          [letter](Shard* home) { home->box.push(letter); });
}

void drain(Shard* here, std::atomic<int>* handled) {
  actinium::MpscNode* node = nullptr;
  while (here->box.pop(node) == actinium::Pop::node) {
    auto* const letter = static_cast<Letter*>(node);
    Actor* const actor = letter->to;
    CHECK(home_of(actor) == here);
    if (letter->sender < 0) {
      here->own.push_back(actor);
      delete letter;
      continue;
    }
    int& last = actor->last[static_cast<std::size_t>(letter->sender)];
    CHECK(letter->number == last + 1);  // MS-2
    last = letter->number;
    actor->handled++;
    handled->fetch_add(1);
  }
}

}  // namespace

// SC-1, MS-2: whoever owns it, one thread touches an actor, and no message is lost or overtaken.
TEST(sc_1_ms_2_actors_are_handed_round_under_fire) {
  std::array<Shard, kShards> shards;
  std::array<Actor, kActors> actors;
  for (int i = 0; i < kActors; i++) {
    Shard& home = shards[static_cast<std::size_t>(i % kShards)];
    actors[static_cast<std::size_t>(i)].owner.store(&home);
    home.own.push_back(&actors[static_cast<std::size_t>(i)]);
  }
  std::vector<std::unique_ptr<Letter>> letters(kSenders * kActors * kEach);
  std::atomic<int> handled{0};
  std::vector<std::thread> threads;
  for (int s = 0; s < kSenders; s++) {
    threads.emplace_back([&, s] {
      for (int n = 1; n <= kEach; n++) {
        for (int a = 0; a < kActors; a++) {
          auto& letter = letters[static_cast<std::size_t>(((s * kEach) + n - 1) * kActors + a)];
          letter = std::make_unique<Letter>();
          letter->to = &actors[static_cast<std::size_t>(a)];
          letter->sender = s;
          letter->number = n;
          send(letter.get());
        }
      }
    });
  }
  for (int me = 0; me < kShards; me++) {
    threads.emplace_back([&, me] {
      Shard* const here = &shards[static_cast<std::size_t>(me)];
      Shard* const next = &shards[static_cast<std::size_t>((me + 1) % kShards)];
      while (handled.load() < kSenders * kActors * kEach) {
        drain(here, &handled);
        if (here->own.empty()) {
          std::this_thread::yield();
          continue;
        }
        Actor* const actor = here->own.back();
        auto* const notice = new Letter;
        notice->to = actor;
        const bool moved = actinium::hand_over(
            here, next, [](Shard*) { return true; },
            [&](Shard* to) {
              actor->moves++;
              actor->owner.store(to, std::memory_order_release);
              to->box.push(notice);
            });
        if (moved) {
          here->own.pop_back();
        } else {
          delete notice;
        }
      }
    });
  }
  for (std::thread& thread : threads) {
    thread.join();
  }
  int moves = 0;
  for (const Actor& actor : actors) {
    CHECK(actor.handled == kSenders * kEach);
    moves += actor.moves;
  }
  CHECK(moves > 0);
  for (Shard& shard : shards) {
    drain(&shard, &handled);  // notices that came last
  }
}
