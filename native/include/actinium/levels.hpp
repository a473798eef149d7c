// The ready queue of a shard whose actors differ in rank: four levels that share by weight.
//
// Deficit round robin: a level spends credit for each message its actors handle, and once no
// level that waits has any left all get 8:4:2:1 anew, so that `low` gets at least 1/15 of the
// messages under a flood of `critical` (SC-3). Within a level order is FIFO. Ageing bounds the
// wait as well: each 20 ms that the head of a level has waited lift it one level for the pick.
//
// Source: M. Shreedhar and G. Varghese, Efficient Fair Queuing using Deficit Round-Robin, 1995.
#pragma once

#include <cstddef>
#include <cstdint>

#include "actinium/mailbox.hpp"
#include "actinium/ring.hpp"

namespace actinium {

class Levels {
 public:
  static constexpr std::int32_t kWeight[kLanes] = {8, 4, 2, 1};
  static constexpr std::int32_t kQuantum = 16;  // messages for a weight of one
  static constexpr std::int64_t kLiftNs = 20'000'000;

  struct Pick {
    std::uintptr_t entry;
    unsigned payer;  // the level whose credit its messages are charged to
  };

  bool empty() const { return size_ == 0; }
  std::size_t size() const { return size_; }

  // False when memory ran out.
  bool push(std::uintptr_t entry, unsigned level, std::int64_t now) {
    if (!levels_[level].push(Waiting{entry, now})) {
      return false;
    }
    size_++;
    return true;
  }

  // The entry whose turn it is; not on an empty queue.
  Pick pick(std::int64_t now) {
    while (true) {
      unsigned found = kLanes;
      unsigned payer = 0;
      unsigned best = kLanes;
      std::int64_t since = 0;
      for (unsigned i = 0; i < kLanes; i++) {
        if (levels_[i].empty()) {
          continue;
        }
        const std::int64_t waits_since = levels_[i].peek(0).since;
        const unsigned lifted = lift(i, now - waits_since);
        const unsigned pays = paying(lifted, i);
        if (pays == kLanes || lifted > best || (lifted == best && waits_since >= since)) {
          continue;
        }
        found = i;
        payer = pays;
        best = lifted;
        since = waits_since;
      }
      if (found < kLanes) {
        size_--;
        return {levels_[found].pop().entry, payer};
      }
      for (unsigned i = 0; i < kLanes; i++) {
        const std::int32_t share = kWeight[i] * kQuantum;
        credit_[i] = credit_[i] < 0 ? credit_[i] + share : share;
      }
    }
  }

  // The entries counted through from the first level on: for tests that choose.
  std::uintptr_t at(std::size_t index) const {
    const unsigned level = level_with(index);
    return levels_[level].peek(index).entry;
  }

  std::uintptr_t pick_at(std::size_t index) {
    const unsigned level = level_with(index);
    levels_[level].bring_to_head(index);
    size_--;
    return levels_[level].pop().entry;
  }

  void charge(unsigned payer, std::int64_t messages) {
    credit_[payer] -= static_cast<std::int32_t>(messages);
  }

 private:
  struct Waiting {
    std::uintptr_t entry;
    std::int64_t since;
  };

  // The level of a place; the place becomes the one within it.
  unsigned level_with(std::size_t& index) const {
    unsigned i = 0;
    while (index >= levels_[i].size()) {
      index -= levels_[i++].size();
    }
    return i;
  }

  static unsigned lift(unsigned level, std::int64_t waited) {
    const std::int64_t steps = waited / kLiftNs;
    return steps >= level ? 0 : level - static_cast<unsigned>(steps);
  }

  // The best level from `lifted` down to the entry's own that still has credit, else kLanes.
  unsigned paying(unsigned lifted, unsigned own) const {
    for (unsigned i = lifted; i <= own; i++) {
      if (credit_[i] > 0) {
        return i;
      }
    }
    return kLanes;
  }

  RingOf<Waiting> levels_[kLanes];
  std::int32_t credit_[kLanes] = {};
  std::size_t size_ = 0;
};

}  // namespace actinium
