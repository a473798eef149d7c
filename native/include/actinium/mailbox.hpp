// The mailbox of one actor: one inline slot, a queue behind it, and three more lanes if asked.
//
// Most actors of a large system hold no message or one; the slot keeps those free of any
// allocation: an idle mailbox owns no segment. Within a lane order is FIFO
// (MS-2). Lanes share by weight 8:4:2:1, so that a flood on `critical` leaves `low` at least
// 1/15 of the picks (SC-3).
//
// Owned by the shard's thread; other threads go through the shard's lock-free inbox (mpsc.hpp).
#pragma once

#include <cstdint>
#include <new>

#include "actinium/fifo.hpp"
#include "actinium/slab.hpp"

namespace actinium {

enum Lane : std::uint8_t { kCritical = 0, kHigh = 1, kNormal = 2, kLow = 3, kLanes = 4 };

// T is trivially copyable and converts to false when it is empty.
template <class T>
class Mailbox {
  struct Lanes {
    Fifo<T> queue[kLanes];
    std::uint8_t credit[kLanes];
    std::uint8_t last = kNormal;
  };
  static constexpr std::uint8_t kWeight[kLanes] = {8, 4, 2, 1};

 public:
  bool empty() const {
    if (static_cast<bool>(slot_) || !rest_.empty()) {
      return false;
    }
    if (lanes_ == nullptr) {
      return true;
    }
    for (const auto& q : lanes_->queue) {
      if (!q.empty()) {
        return false;
      }
    }
    return true;
  }

  bool has_lanes() const { return lanes_ != nullptr; }

  // Turns the one queue into four lanes; only on an empty mailbox. False: out of memory.
  bool use_lanes() {
    void* p = slab_alloc(sizeof(Lanes));
    if (p == nullptr) {
      return false;
    }
    lanes_ = ::new (p) Lanes{};
    for (int i = 0; i < kLanes; i++) {
      lanes_->credit[i] = kWeight[i];
    }
    return true;
  }

  // Called once, on an empty mailbox.
  void destroy() {
    if (lanes_ != nullptr) {
      slab_free(lanes_, sizeof(Lanes));
    }
    lanes_ = nullptr;
  }

  [[gnu::always_inline]] inline bool push(const T& item, unsigned lane = kNormal) {
    if (lanes_ != nullptr) [[unlikely]] {
      return lanes_->queue[lane & 3].push(item);
    }
    if (!static_cast<bool>(slot_) && rest_.empty()) {
      slot_ = item;
      return true;
    }
    return rest_.push(item);
  }

  // Puts an item before all others; with lanes, at the head of its own.
  bool push_front(const T& item, unsigned lane = kNormal) {
    if (lanes_ != nullptr) {
      return lanes_->queue[lane & 3].push_front(item);
    }
    if (static_cast<bool>(slot_) && !rest_.push_front(slot_)) {
      return false;
    }
    slot_ = item;
    return true;
  }

  bool pop(T& out) {
    if (lanes_ != nullptr) [[unlikely]] {
      return pop_weighted(out);
    }
    if (static_cast<bool>(slot_)) {
      out = slot_;
      slot_ = T{};
      return true;
    }
    return rest_.pop(out);
  }

  // The most important lane that holds anything; `normal` without lanes or messages.
  unsigned best_lane() const {
    for (unsigned i = 0; lanes_ != nullptr && i < kLanes; i++) {
      if (!lanes_->queue[i].empty()) {
        return i;
      }
    }
    return kNormal;
  }

  // The lane of the item that pop() took last, or that it was said to be; `normal` without lanes.
  unsigned last_lane() const { return lanes_ != nullptr ? lanes_->last : unsigned(kNormal); }
  void set_last_lane(unsigned lane) {
    if (lanes_ != nullptr) {
      lanes_->last = static_cast<std::uint8_t>(lane);
    }
  }

  // The item pop() would take, or null.
  const T* front() const {
    if (lanes_ != nullptr) {
      const T* any = nullptr;
      for (int i = 0; i < kLanes; i++) {
        const T* item = lanes_->queue[i].front();
        if (item != nullptr && lanes_->credit[i] > 0) {
          return item;
        }
        if (any == nullptr) {
          any = item;
        }
      }
      return any;
    }
    return static_cast<bool>(slot_) ? &slot_ : rest_.front();
  }

  // Takes the oldest of the least important lane that holds anything: what drop_old evicts.
  bool pop_least(T& out) {
    if (lanes_ == nullptr) {
      return pop(out);
    }
    for (int i = kLanes - 1; i >= 0; i--) {
      if (lanes_->queue[i].pop(out)) {
        return true;
      }
    }
    return false;
  }

  // The newest item of the least important lane below `lane`, or null: what drop_low gives up.
  const T* newest_below(unsigned lane) const {
    for (unsigned i = kLanes - 1; lanes_ != nullptr && i > lane; i--) {
      if (!lanes_->queue[i].empty()) {
        return lanes_->queue[i].newest();
      }
    }
    return nullptr;
  }

  // Takes that one out; only when there is one.
  void drop_newest_below(unsigned lane) {
    for (unsigned i = kLanes - 1; i > lane; i--) {
      if (!lanes_->queue[i].empty()) {
        return lanes_->queue[i].drop_newest();
      }
    }
  }

  const void* prefetch_address() const { return &slot_; }

 private:
  bool pop_weighted(T& out) {
    for (int round = 0; round < 2; round++) {
      for (int i = 0; i < kLanes; i++) {
        if (lanes_->credit[i] > 0 && lanes_->queue[i].pop(out)) {
          lanes_->credit[i]--;
          lanes_->last = static_cast<std::uint8_t>(i);
          return true;
        }
      }
      for (int i = 0; i < kLanes; i++) {
        lanes_->credit[i] = kWeight[i];
      }
    }
    return false;
  }

  T slot_{};
  Fifo<T> rest_;
  Lanes* lanes_ = nullptr;
};

}  // namespace actinium
