// Several shards that share their runnable actors, and when each of them may sleep.
//
// A shard puts what becomes runnable into its own queue and takes from there, oldest first. One
// that runs dry hunts: it visits the shards that VictimChooser names and takes half of what such
// a one has (steal.hpp), whole actors, never single messages. Threads that are no shard, and
// shards that must not take an actor over, hand it in through the inbox of the shard meant.
//
// Each shard shows its load on a cache line of its own, rewritten when it doubles or halves: a
// hunt reads these lines, and what a busy shard writes on each turn stays in its own cache. The
// table is a hint; the queues decide.
//
// Sleep: a shard says that it sleeps and looks around once more after that; whoever puts something
// in says so and looks for sleepers after that. Both are sequentially consistent, so one of the
// two sees the other (MB-2). A sleeper is signalled once. Of the shards that were woken up to look
// for work there is one at a time; when it finds some and holds more than one, it wakes the next.
//
// T is derived from BasicMpscNode<A> and is in one queue at most (SC-2: RunState sees to that).
// Signal is called with the number of a shard that sleeps; a signal must keep until it is slept on.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

#include "actinium/atomics.hpp"
#include "actinium/mpsc.hpp"
#include "actinium/steal.hpp"
#include "actinium/victim.hpp"

namespace actinium {

struct CrewCounts {
  std::uint64_t stolen = 0;  // actors taken from others
  std::uint64_t rounds = 0;  // of looking around
  std::uint64_t visits = 0;  // to another's queue
  std::uint64_t sleeps = 0;
};

template <class T, class Signal, class A = StdAtomics, std::size_t Window = 256>
class Crew {
  using Node = BasicMpscNode<A>;
  enum Rest : std::uint8_t {
    kAwake,
    kAsleep,
    kCalled,     // asleep, and signalled for what is in its inbox
    kSearching,  // asleep, and signalled to look for work
  };

  // What is waiting when the ring is full, in order, linked through the entries themselves.
  class Overflow {
   public:
    bool empty() const { return first_ == nullptr; }
    void push(T* entry) {
      entry->next.store(nullptr, std::memory_order_relaxed);
      if (first_ == nullptr) {
        first_ = entry;
      } else {
        last_->next.store(entry, std::memory_order_relaxed);
      }
      last_ = entry;
    }
    T* pop() {
      T* const entry = first_;
      first_ = static_cast<T*>(entry->next.load(std::memory_order_relaxed));
      return entry;
    }

   private:
    T* first_ = nullptr;
    T* last_ = nullptr;
  };

  struct Member {
    Member(std::size_t self, const std::vector<std::uint16_t>& groups, std::uint64_t seed)
        : chooser(self, groups, seed + self) {}

    StealQueue<T, A, Window> queue;
    BasicMpscQueue<A> inbox;
    alignas(64) typename A::template Atomic<std::uint32_t> load{0};
    typename A::template Atomic<std::uint8_t> rest{kAwake};
    alignas(64) Overflow overflow;  // from here on the shard's own
    VictimChooser chooser;
    StealPause pause;
    CrewCounts counts;
    bool searching = false;
  };

 public:
  // `groups`: the locality group of each shard. The seed makes the choice of victims repeatable.
  Crew(const std::vector<std::uint16_t>& groups, std::uint64_t seed, Signal signal)
      : signal_(std::move(signal)) {
    for (std::size_t i = 0; i < groups.size(); i++) {
      members_.push_back(std::make_unique<Member>(i, groups, seed));
    }
  }

  // ---- by the shard itself

  // Queues an actor that has become runnable.
  void put(std::size_t shard, T* entry) {
    Member& me = *members_[shard];
    if (!me.overflow.empty() || !me.queue.push(entry)) {
      me.overflow.push(entry);
    }
    show(me);
    if (size_of(me) > 1) {
      wake_one();
    }
  }

  // The next actor to run, or null.
  T* take(std::size_t shard) {
    Member& me = *members_[shard];
    collect(shard, me);
    if (me.queue.size() == 0 && me.overflow.empty()) {
      return nullptr;
    }
    T* entry = me.queue.pop();
    while (!me.overflow.empty() && me.queue.size() < Window) {
      me.queue.push(me.overflow.pop());
    }
    if (entry == nullptr) {  // thieves were quicker with what the ring held
      entry = me.queue.pop();
    }
    show(me);
    return entry;
  }

  // One turn without own work: looks around for some, unless it is too early to try again.
  // True: the shard's own queue has entries now.
  bool hunt(std::size_t shard) {
    Member& me = *members_[shard];
    if (!me.pause.due()) {
      return false;
    }
    T* taken[kMostStolen];
    std::size_t n = 0;
    me.counts.rounds++;
    const bool found = me.chooser.round([this](std::size_t other) { return load(other); },
                                        [&](std::size_t other) {
                                          me.counts.visits++;
                                          n = rob(*members_[other], taken);
                                          return n != 0;
                                        });
    if (!found) {
      me.pause.missed();
      return false;
    }
    me.pause.found();
    me.counts.stolen += n;
    stop_searching(me);
    for (std::size_t i = 0; i < n; i++) {
      put(shard, taken[i]);
    }
    return true;
  }

  // Before the shard sleeps, when it found nothing to take. True: it may block until it is
  // signalled or something else of its own is due, and calls get_up then. False: look again.
  bool lie_down(std::size_t shard) {
    Member& me = *members_[shard];
    stop_searching(me);
    me.rest.store(kAsleep, std::memory_order_seq_cst);
    sleepers_.fetch_add(1, std::memory_order_seq_cst);
    bool work = !me.inbox.empty();
    for (std::size_t i = 0; i < members_.size() && !work; i++) {
      work = members_[i]->load.load(std::memory_order_seq_cst) > 1;
    }
    if (work) {
      get_up(shard);
      return false;
    }
    me.counts.sleeps++;
    return true;
  }

  void get_up(std::size_t shard) {
    Member& me = *members_[shard];
    sleepers_.fetch_sub(1, std::memory_order_seq_cst);
    me.searching = me.rest.exchange(kAwake, std::memory_order_seq_cst) == kSearching;
    me.pause.reset();
  }

  // ---- by any thread

  // Hands an actor that has become runnable to a shard.
  void hand_in(std::size_t shard, T* entry) {
    Member& other = *members_[shard];
    other.inbox.push(entry);
    rouse(shard, kCalled);
  }

  // What the shard shows: 0, 1, or at least half of what it has.
  std::size_t load(std::size_t shard) const {
    return members_[shard]->load.load(std::memory_order_relaxed);
  }
  std::size_t size() const { return members_.size(); }

  // The shard's own, or once its thread has ended.
  const CrewCounts& counts(std::size_t shard) const { return members_[shard]->counts; }

 private:
  static std::uint32_t size_of(const Member& m) {
    return static_cast<std::uint32_t>(m.queue.size() + (m.overflow.empty() ? 0 : Window));
  }

  static void show(Member& me) {
    const std::uint32_t now = size_of(me);
    if (std::bit_width(now) != std::bit_width(me.load.load(std::memory_order_relaxed))) {
      me.load.store(now, std::memory_order_seq_cst);
    }
  }

  void collect(std::size_t shard, Member& me) {
    Node* node = nullptr;
    while (me.inbox.pop(node) == Pop::node) {
      me.pause.reset();
      put(shard, static_cast<T*>(node));
    }
  }

  // The victim may be in a long handler: what it shows is lowered for it, so that nobody stays
  // awake for entries that are gone. If it put some in meanwhile, its next turn shows them again.
  static std::size_t rob(Member& victim, T** taken) {
    std::uint32_t shown = victim.load.load(std::memory_order_relaxed);
    const std::size_t n = victim.queue.steal(taken);
    const auto left = static_cast<std::uint32_t>(victim.queue.size());
    if (left < shown) {
      victim.load.compare_exchange_strong(shown, left, std::memory_order_seq_cst);
    }
    return n;
  }

  void wake_one() {
    if (sleepers_.load(std::memory_order_seq_cst) == 0 ||
        searching_.load(std::memory_order_relaxed) != 0 ||
        searching_.exchange(1, std::memory_order_seq_cst) != 0) {
      return;
    }
    for (std::size_t i = 0; i < members_.size(); i++) {
      if (rouse(i, kSearching)) {
        return;
      }
    }
    searching_.store(0, std::memory_order_seq_cst);
  }

  bool rouse(std::size_t shard, Rest why) {
    Member& other = *members_[shard];
    std::uint8_t asleep = other.rest.load(std::memory_order_seq_cst);
    if (asleep != kAsleep ||
        !other.rest.compare_exchange_strong(asleep, why, std::memory_order_seq_cst)) {
      return false;
    }
    signal_(shard);
    return true;
  }

  void stop_searching(Member& me) {
    if (me.searching) {
      me.searching = false;
      searching_.store(0, std::memory_order_seq_cst);
    }
  }

  Signal signal_;
  std::vector<std::unique_ptr<Member>> members_;
  alignas(64) typename A::template Atomic<std::uint32_t> sleepers_{0};
  alignas(64) typename A::template Atomic<std::uint32_t> searching_{0};
};

}  // namespace actinium
