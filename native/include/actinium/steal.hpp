// What a shard shares with others when there are several: its runnable actors and their state.
//
// StealQueue is a ring of whole actors. The owner appends and takes one at a time; any thread may
// take half of what is there, at most kMostStolen. Both ends of a take are one compare-and-swap of
// the head: the entries are read first and belong to the taker once the swap succeeds, and the
// owner never writes a place before the head has passed it. Positions only grow, so a swap cannot
// succeed by mistake. After the run queue of Go's scheduler (D. Vyukov).
//
// RunState is the word that keeps an actor in one queue and on one shard (SC-1, SC-2): idle ->
// ready -> running -> ready or idle. Who sends looks at it after the message is queued; who runs
// gives it up after the mailbox was found empty. A message that comes in between turns running
// into `again`, so that the run is followed by another (MB-2) and the mailbox is never looked at
// by a thread that has let the actor go.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <new>

#include "actinium/atomics.hpp"

namespace actinium {

inline constexpr std::size_t kMostStolen = 32;

template <class T, class A = StdAtomics, std::size_t Window = 256>
class StealQueue {
  static_assert((Window & (Window - 1)) == 0, "positions are masked");
  using Position = std::uint64_t;

 public:
  // Owner. False when the ring is full; the entry then still belongs to the caller.
  bool push(T* entry) noexcept {
    const Position tail = tail_.load(std::memory_order_relaxed);
    if (tail - head_.load(std::memory_order_acquire) >= Window) {
      return false;
    }
    slots_[tail % Window].store(entry, std::memory_order_relaxed);
    tail_.store(tail + 1, std::memory_order_release);
    return true;
  }

  // Owner. The oldest entry, or null.
  T* pop() noexcept {
    Position head = head_.load(std::memory_order_relaxed);
    while (head != tail_.load(std::memory_order_relaxed)) {
      T* const entry = slots_[head % Window].load(std::memory_order_relaxed);
      if (head_.compare_exchange_weak(head, head + 1, std::memory_order_acq_rel,
                                      std::memory_order_relaxed)) {
        return entry;
      }
    }
    return nullptr;
  }

  // Any thread. Half of the entries, rounded up, oldest first, at most kMostStolen: returns how
  // many there are in `out`. 0 also when somebody else was quicker.
  std::size_t steal(T** out) noexcept {
    Position head = head_.load(std::memory_order_acquire);
    const Position tail = tail_.load(std::memory_order_acquire);
    if (head >= tail) {
      return 0;
    }
    std::size_t n = static_cast<std::size_t>(tail - head + 1) / 2;
    n = n < kMostStolen ? n : kMostStolen;
    for (std::size_t i = 0; i < n; i++) {
      out[i] = slots_[(head + i) % Window].load(std::memory_order_relaxed);
    }
    if (!head_.compare_exchange_strong(head, head + n, std::memory_order_acq_rel,
                                       std::memory_order_relaxed)) {
      return 0;
    }
    return n;
  }

  // Exact for the owner while nobody steals; for others a recent value.
  std::size_t size() const noexcept {
    const Position head = head_.load(std::memory_order_acquire);
    const Position tail = tail_.load(std::memory_order_acquire);
    return tail > head ? static_cast<std::size_t>(tail - head) : 0;
  }

 private:
  // Takers swap the head, the owner alone moves the tail: separate cache lines.
  alignas(64) typename A::template Atomic<Position> head_{0};
  alignas(64) typename A::template Atomic<Position> tail_{0};
  alignas(64) typename A::template Atomic<T*> slots_[Window] = {};
};

template <class A = StdAtomics>
class RunState {
  enum Value : std::uint8_t { kIdle, kReady, kRunning, kAgain };

 public:
  // After a message was queued. True: the caller puts the actor into a ready queue.
  bool wake() noexcept {
    std::uint8_t seen = state_.load(std::memory_order_seq_cst);
    while (seen == kIdle || seen == kRunning) {
      const std::uint8_t next = seen == kIdle ? kReady : kAgain;
      if (state_.compare_exchange_weak(seen, next, std::memory_order_seq_cst)) {
        return next == kReady;
      }
    }
    return false;
  }

  // By the shard that took the actor out of a ready queue, before it looks at the mailbox.
  void begin() noexcept { state_.exchange(kRunning, std::memory_order_seq_cst); }

  // After a run that found the mailbox empty, or left something in it (`more`). True: the caller
  // puts the actor into a ready queue; false: it may not touch the actor any more.
  bool end(bool more) noexcept {
    std::uint8_t seen = kRunning;
    if (!more && state_.compare_exchange_strong(seen, kIdle, std::memory_order_seq_cst)) {
      return false;
    }
    state_.store(kReady, std::memory_order_seq_cst);
    return true;
  }

 private:
  typename A::template Atomic<std::uint8_t> state_{std::uint8_t{kIdle}};
};

}  // namespace actinium
