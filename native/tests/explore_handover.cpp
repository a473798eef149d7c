// Every interleaving of an actor that moves and those who send to it, over the code as shipped.
#include <actinium/handover.hpp>
#include <actinium/mpsc.hpp>
#include <memory>
#include <vector>

#include "check.hpp"
#include "explorer.hpp"

#ifndef __SANITIZE_THREAD__

namespace {

using A = explore::Atomics;

struct Actor;

struct Letter : actinium::BasicMpscNode<A> {
  Actor* to = nullptr;
  int sender = 0;
  int number = 0;  // 0: the notice of a move
};

struct Home {
  A::Mutex gate;
  actinium::BasicMpscQueue<A> box;
  actinium::BasicMpscQueue<A>* inbox = &box;
};

struct Actor {
  explicit Actor(Home* home) : owner(home) {}
  A::Atomic<Home*> owner;
  int state = 0;  // plain: a race if two threads touch it
  std::vector<int> last = std::vector<int>(explore::kMaxThreads, 0);
  int handled = 0;
  bool arrived = false;

  Home* home() { return owner.load(std::memory_order_acquire); }

  void put(int sender, int number) {
    explore::touch(&state);
    EXPLORE(number == last[static_cast<std::size_t>(sender)] + 1);  // MS-2
    last[static_cast<std::size_t>(sender)] = number;
    handled++;
  }
};

struct Faults {
  bool looks_once = false;    // a sender trusts what it read before it had the gate
  bool moves_anyway = false;  // with entries left in the inbox
  bool notice_first = false;  // before the new owner is named
};

struct World {
  Home old_home;
  Home new_home;
  Actor actor{&old_home};
  std::vector<std::unique_ptr<Letter>> letters;
  Faults faults;

  Letter* make(Actor* to, int sender, int number) {
    letters.push_back(std::make_unique<Letter>());
    Letter* const letter = letters.back().get();
    letter->to = to;
    letter->sender = sender;
    letter->number = number;
    return letter;
  }

  // By a thread that is no shard.
  void send(Letter* letter) {
    if (faults.looks_once) {
      Home* const home = letter->to->home();
      const std::lock_guard hold(home->gate);
      home->box.push(letter);
      return;
    }
    actinium::send_to_owner([letter] { return letter->to->home(); },
                            [letter](Home* home) { home->box.push(letter); });
  }

  // By the thread of `here`: with its own hand, if the actor is there.
  void send_from(Home* here, Letter* letter) {
    Home* const went = letter->to->home() == here
                           ? nullptr
                           : actinium::send_to_owner(
                                 [letter, here] {
                                   Home* const home = letter->to->home();
                                   return home == here ? nullptr : home;
                                 },
                                 [letter](Home* home) { home->box.push(letter); });
    if (went == nullptr) letter->to->put(letter->sender, letter->number);
  }

  void drain(Home* here) {
    actinium::BasicMpscNode<A>* node = nullptr;
    while (here->box.pop(node) == actinium::Pop::node) {
      auto* const letter = static_cast<Letter*>(node);
      EXPLORE(letter->to->home() == here);  // SC-1: nothing comes to a shard it has left
      if (letter->number == 0) {
        letter->to->arrived = true;
      } else {
        letter->to->put(letter->sender, letter->number);
      }
    }
  }

  bool move(Letter* notice) {
    const auto go = [this, notice](Home* to) {
      explore::touch(&actor.state);
      if (faults.notice_first) to->box.push(notice);
      actor.owner.store(to, std::memory_order_release);
      if (!faults.notice_first) to->box.push(notice);
    };
    if (faults.moves_anyway) {
      const std::lock_guard first(old_home.gate);
      const std::lock_guard second(new_home.gate);
      go(&new_home);
      return true;
    }
    return actinium::hand_over(&old_home, &new_home, [](Home*) { return true; }, go);
  }
};

// A stranger sends, the old shard reads its inbox and tries to let the actor go, and the new shard
// sends too and reads its own.
explore::Result moving(int from_outside, int from_new, int attempts, Faults faults = {},
                       explore::Options options = {}) {
  return explore::all(
      [=](explore::Run& run) {
        World w;
        w.faults = faults;
        std::vector<Letter*> outside;
        std::vector<Letter*> inside;
        for (int i = 1; i <= from_outside; i++) {
          outside.push_back(w.make(&w.actor, 0, i));
        }
        for (int i = 1; i <= from_new; i++) {
          inside.push_back(w.make(&w.actor, 1, i));
        }
        Letter* const notice = w.make(&w.actor, 2, 0);
        bool moved = false;
        run.thread([&w, outside] {
          for (Letter* const letter : outside)
            w.send(letter);
        });
        run.thread([&w, &moved, notice, attempts] {
          for (int i = 0; i < attempts && !moved; i++) {
            w.drain(&w.old_home);
            moved = w.move(notice);
          }
        });
        run.thread([&w, inside] {
          for (Letter* const letter : inside) {
            w.drain(&w.new_home);
            w.send_from(&w.new_home, letter);
          }
        });
        if (!run.go()) return;
        w.drain(&w.old_home);
        w.drain(&w.new_home);
        EXPLORE(w.actor.handled == from_outside + from_new);
        EXPLORE(w.actor.arrived == moved);
      },
      options);
}

// What the actor itself sends to a neighbour of the new shard: the last before it goes, by way of
// the inbox, and the first once it is there, by its own hand.
explore::Result speaking() {
  return explore::all([](explore::Run& run) {
    World w;
    Actor neighbour{&w.new_home};
    Letter* const before = w.make(&neighbour, 0, 1);
    Letter* const after = w.make(&neighbour, 0, 2);
    Letter* const notice = w.make(&w.actor, 2, 0);
    bool spoke = false;
    const auto turn = [&] {  // of the new shard
      w.drain(&w.new_home);
      if (w.actor.home() == &w.new_home && w.actor.arrived && !spoke) {
        spoke = true;
        w.send_from(&w.new_home, after);
      }
    };
    run.thread([&] {
      w.send_from(&w.old_home, before);
      EXPLORE(w.move(notice));
    });
    run.thread([&] {
      turn();
      turn();
    });
    if (!run.go()) return;
    turn();
    EXPLORE(neighbour.handled == 2);
  });
}

}  // namespace

TEST(explore_sc_5_a_move_keeps_the_order_of_each_sender_and_one_owner) {
  CHECK_EXPLORED(moving(1, 1, 1));
  CHECK_EXPLORED(moving(2, 1, 1));
  CHECK_EXPLORED(moving(1, 2, 1));
  CHECK_EXPLORED(moving(1, 1, 2));
}

TEST(explore_handover_holds_with_store_buffers) {
  CHECK_EXPLORED(moving(1, 1, 1, {}, {.store_buffers = true}));
}

TEST(explore_handover_keeps_the_order_of_what_the_actor_sends) { CHECK_EXPLORED(speaking()); }

TEST(explore_handover_needs_the_second_look) { CHECK(!moving(1, 0, 1, {.looks_once = true}).ok()); }

TEST(explore_handover_needs_the_word_before_the_notice) {
  CHECK(!moving(0, 1, 1, {.notice_first = true}).ok());
}

TEST(explore_handover_needs_an_empty_inbox) {
  CHECK(!moving(2, 0, 1, {.moves_anyway = true}).ok());
}

#endif
