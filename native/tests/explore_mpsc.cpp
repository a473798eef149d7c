// Every interleaving of a few producers and the consumer of MpscQueue, over the code as shipped.
#include <actinium/mpsc.hpp>
#include <memory>
#include <vector>

#include "check.hpp"
#include "explorer.hpp"

#ifndef __SANITIZE_THREAD__

namespace {

// The queue with its memory orders taken away: what the explorer must be able to notice.
struct Weakened : explore::Atomics {
  template <class T>
  struct Atomic : explore::Atomic<T> {
    using Base = explore::Atomic<T>;
    using Base::Base;
    static constexpr auto kNone = std::memory_order_relaxed;
    T load(std::memory_order = kNone) const noexcept { return Base::load(kNone); }
    void store(T value, std::memory_order = kNone) noexcept { Base::store(value, kNone); }
    T exchange(T value, std::memory_order = kNone) noexcept { return Base::exchange(value, kNone); }
  };
};

template <class A>
struct Scenario {
  using Queue = actinium::BasicMpscQueue<A>;
  using Node = actinium::BasicMpscNode<A>;

  struct Item : Node {
    int producer = 0;
    int number = 0;
  };

  Queue queue;
  std::vector<std::unique_ptr<Item>> items;
  std::vector<int> taken = std::vector<int>(explore::kMaxThreads, 0);
  int left = 0;

  Item* make(int producer, int number) {
    items.push_back(std::make_unique<Item>());
    Item* const item = items.back().get();
    item->producer = producer;
    item->number = number;
    ++left;
    return item;
  }

  // Producers hand over what they wrote into the item.
  void push(Item* item) {
    explore::touch(&item->number);
    queue.push(item);
  }

  actinium::Pop take() {
    Node* node = nullptr;
    const actinium::Pop result = queue.pop(node);
    if (result == actinium::Pop::node) {
      auto* const item = static_cast<Item*>(node);
      explore::touch(&item->number);  // a race if the push did not happen before
      EXPLORE(item->number == taken[static_cast<std::size_t>(item->producer)]++);
      --left;
    }
    return result;
  }

  // Everything is linked now: no `linking`, nothing lost, nothing twice.
  void finish() {
    while (left > 0 && take() == actinium::Pop::node) {
    }
    Node* node = nullptr;
    EXPLORE(left == 0);
    EXPLORE(queue.empty() && queue.pop(node) == actinium::Pop::empty);
  }
};

template <class A>
explore::Result producers(int threads, int each, int polls, explore::Options options = {}) {
  return explore::all(
      [=](explore::Run& run) {
        Scenario<A> s;
        for (int p = 0; p < threads; ++p) {
          std::vector<typename Scenario<A>::Item*> own;
          for (int i = 0; i < each; ++i) {
            own.push_back(s.make(p, i));
          }
          run.thread([&s, own] {
            for (auto* const item : own)
              s.push(item);
          });
        }
        run.thread([&s, polls] {
          for (int i = 0; i < polls; ++i)
            s.take();
        });
        if (!run.go()) return;
        s.finish();
      },
      options);
}

}  // namespace

TEST(explore_mpsc_loses_doubles_and_reorders_nothing) {
  CHECK_EXPLORED(producers<explore::Atomics>(2, 1, 3));
  CHECK_EXPLORED(producers<explore::Atomics>(1, 3, 4));
  CHECK_EXPLORED(producers<explore::Atomics>(2, 2, 2));
  CHECK_EXPLORED(producers<explore::Atomics>(3, 1, 2));
}

TEST(explore_mpsc_holds_with_store_buffers) {
  CHECK_EXPLORED(producers<explore::Atomics>(2, 1, 3, {.store_buffers = true}));
  CHECK_EXPLORED(producers<explore::Atomics>(1, 2, 3, {.store_buffers = true}));
}

TEST(explore_mpsc_needs_its_memory_orders) {
  const auto result = producers<Weakened>(1, 1, 2);
  CHECK(result.failure.find("data race") != std::string::npos);
}

TEST(explore_mpsc_a_chain_keeps_its_order) {
  CHECK_EXPLORED(explore::all([](explore::Run& run) {
    Scenario<explore::Atomics> s;
    auto* const first = s.make(0, 0);
    auto* const second = s.make(0, 1);
    auto* const other = s.make(1, 0);
    run.thread([&] {
      explore::touch(&first->number);
      explore::touch(&second->number);
      first->next.store(second, std::memory_order_relaxed);
      s.queue.push_chain(first, second);
    });
    run.thread([&] { s.push(other); });
    run.thread([&] {
      for (int i = 0; i < 3; ++i)
        s.take();
    });
    if (!run.go()) return;
    s.finish();
  }));
}

// MB-2: the protocol by which a shard sleeps and a foreign thread wakes it. A thread that pushes
// exchanges the armed word and wakes the shard when it was clear; the shard clears it before it
// drains, and sets it again itself when it met a node that is not linked yet.
namespace {

explore::Result wakeups(std::memory_order clear, int producers, int each) {
  return explore::all(
      [=](explore::Run& run) {
        Scenario<explore::Atomics> s;
        explore::Atomic<int> armed;
        explore::Atomic<int> woken;
        for (int p = 0; p < producers; ++p) {
          std::vector<Scenario<explore::Atomics>::Item*> own;
          for (int i = 0; i < each; ++i) {
            own.push_back(s.make(p, i));
          }
          run.thread([&, own] {
            for (auto* const item : own) {
              s.push(item);
              if (armed.exchange(1) == 0) woken.fetch_add(1);
            }
          });
        }
        run.thread([&] {
          int slept = 0;
          while (s.left > 0) {
            woken.wait(slept);  // a deadlock here is a lost wakeup
            ++slept;
            for (bool again = true; again && s.left > 0;) {
              again = false;
              armed.store(0, clear);
              actinium::Pop result = s.take();
              while (result == actinium::Pop::node) {
                result = s.take();
              }
              if (result == actinium::Pop::linking) {
                armed.store(1);
                again = true;
                explore::yield();
              }
            }
          }
        });
        if (!run.go()) return;
        s.finish();
      },
      {.store_buffers = true});
}

}  // namespace

TEST(mb_2_explore_no_wakeup_is_lost_in_any_order) {
  CHECK_EXPLORED(wakeups(std::memory_order_seq_cst, 1, 3));
  CHECK_EXPLORED(wakeups(std::memory_order_seq_cst, 2, 1));
}

TEST(mb_2_explore_a_weaker_store_would_lose_one) {
  const auto result = wakeups(std::memory_order_release, 1, 3);
  CHECK(result.failure.find("deadlock") != std::string::npos);
}

#endif
