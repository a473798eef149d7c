#include <actinium/mpsc.hpp>
#include <thread>
#include <vector>

#include "check.hpp"

using actinium::MpscNode;
using actinium::MpscQueue;
using actinium::Pop;

namespace {

struct Item : MpscNode {
  int producer = 0;
  int number = 0;
};

Item* take(MpscQueue& queue) {
  MpscNode* node = nullptr;
  return queue.pop(node) == Pop::node ? static_cast<Item*>(node) : nullptr;
}

}  // namespace

TEST(mpsc_is_fifo_and_tells_empty) {
  MpscQueue queue;
  MpscNode* node = nullptr;
  CHECK(queue.empty());
  CHECK(queue.pop(node) == Pop::empty);
  Item items[3];
  for (int round = 0; round < 3; ++round) {
    for (Item& item : items) {
      queue.push(&item);
      CHECK(!queue.empty());
    }
    for (Item& item : items) {
      CHECK(take(queue) == &item);
    }
    CHECK(queue.pop(node) == Pop::empty);
    CHECK(queue.empty());
  }
}

TEST(mpsc_reuses_a_node_as_soon_as_it_was_popped) {
  MpscQueue queue;
  Item item;
  for (int i = 0; i < 1000; ++i) {
    queue.push(&item);
    CHECK(take(queue) == &item);
  }
}

TEST(mpsc_chain_keeps_its_order_between_other_nodes) {
  MpscQueue queue;
  Item items[5];
  items[1].next = &items[2];
  items[2].next = &items[3];
  queue.push(&items[0]);
  queue.push_chain(&items[1], &items[3]);
  queue.push(&items[4]);
  for (Item& item : items) {
    CHECK(take(queue) == &item);
  }
  CHECK(queue.empty());
}

TEST(mpsc_keeps_the_order_of_8_producers_and_loses_none) {
  constexpr int kProducers = 8;
  const int each = check::kSanitized ? 20'000 : 200'000;
  MpscQueue queue;
  std::vector<std::vector<Item>> items(kProducers);
  std::vector<std::thread> threads;
  for (int p = 0; p < kProducers; ++p) {
    items[static_cast<std::size_t>(p)] = std::vector<Item>(static_cast<std::size_t>(each));
    threads.emplace_back([&queue, &own = items[static_cast<std::size_t>(p)], p] {
      int number = 0;
      for (Item& item : own) {
        item.producer = p;
        item.number = number++;
        queue.push(&item);
      }
    });
  }
  std::vector<int> seen(kProducers, 0);
  for (int got = 0; got < kProducers * each;) {
    MpscNode* node = nullptr;
    if (queue.pop(node) != Pop::node) {
      std::this_thread::yield();
      continue;
    }
    const auto* const item = static_cast<const Item*>(node);
    CHECK(item->number == seen[static_cast<std::size_t>(item->producer)]++);
    ++got;
  }
  for (auto& thread : threads) {
    thread.join();
  }
  CHECK(queue.empty());
}

// MB-2: with the state word that an actor cell has, no push is ever left without a wakeup.
TEST(mb_2_no_wakeup_is_lost_between_empty_and_idle) {
  constexpr int kProducers = 2;
  const int each = check::kSanitized ? 20'000 : 200'000;
  MpscQueue queue;
  std::atomic<bool> ready{false};
  std::atomic<int> wakeups{0};
  std::vector<Item> items(static_cast<std::size_t>(kProducers * each));
  std::vector<std::thread> threads;
  for (int p = 0; p < kProducers; ++p) {
    threads.emplace_back([&, p] {
      for (int i = 0; i < each; ++i) {
        queue.push(&items[static_cast<std::size_t>(p * each + i)]);
        if (!ready.exchange(true)) {
          wakeups.fetch_add(1);
          wakeups.notify_one();
        }
      }
    });
  }
  int handled = 0;
  int slept = 0;
  while (handled < kProducers * each) {
    wakeups.wait(slept);  // hangs here for ever if a wakeup is lost
    ++slept;
    for (;;) {
      MpscNode* node = nullptr;
      const Pop result = queue.pop(node);
      if (result == Pop::node) {
        ++handled;
      } else if (result == Pop::empty) {
        ready.store(false);
        if (queue.empty() || ready.exchange(true)) {
          break;  // nothing came, or somebody who came has sent a wakeup
        }
      } else {
        std::this_thread::yield();
      }
    }
  }
  for (auto& thread : threads) {
    thread.join();
  }
  CHECK(queue.empty());
}
