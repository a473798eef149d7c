// Hierarchical timing wheel: schedule, cancel and expire in O(1).
//
// Four levels of 256 slots with a tick of 1 ms reach 256 ms, 65.5 s, 4.66 h and 49.7 d; later
// deadlines wait in an overflow list that is looked through when its earliest epoch (2^32 ms)
// begins. A timer's level is the highest byte in which its deadline differs from now:
//
//   - each deadline has exactly one slot at any time, and that slot is moved down (cascaded) at
//     the very tick at which new timers of the same deadline begin to go to the lower one. Lists
//     are appended to and walked in order, so timers of one tick fire in the order in which they
//     were scheduled, whatever levels they passed. No sequence number is needed.
//   - on each level only slots after the current one are occupied, so the lowest set bit of the
//     lowest non-empty level is the next thing to do: no scan, and no work for empty ticks.
//
// After G. Varghese, T. Lauck, "Hashed and Hierarchical Timing Wheels" (1987).
//
// Invariants TM-1: never early, order as above; TM-2: a cancelled timer never fires.
// Not thread safe: a wheel belongs to one shard. Running out of memory ends the process.
#pragma once

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

namespace actinium {

// SlotBits: 8 as shipped. The tests run the same code with 2 slots a level, so that a few steps
// pass every level and the overflow (native/tests/explore_wheel.cpp).
template <unsigned SlotBits>
class BasicTimerWheel {
 public:
  // Index of a node in the low half, its generation in the high half; 0 is never a timer.
  using Handle = std::uint64_t;

  explicit BasicTimerWheel(std::uint64_t now_ms = 0) : now_(now_ms) {
    grow();
    for (std::uint32_t i = 0; i < kSentinels; ++i) {
      Node& list = at(i);
      list.prev = list.next = i;
    }
    next_unused_ = kSentinels;
  }
  BasicTimerWheel(const BasicTimerWheel&) = delete;
  BasicTimerWheel& operator=(const BasicTimerWheel&) = delete;

  std::uint64_t now() const noexcept { return now_; }
  std::size_t size() const noexcept { return size_; }
  bool empty() const noexcept { return size_ == 0; }

  // A deadline that is not in the future fires at the next `advance`, after what was due before.
  Handle schedule(std::uint64_t due_ms, void* payload) {
    const std::uint32_t index = take_node();
    Node& node = at(index);
    node.due = due_ms;
    node.payload = payload;
    if (due_ms <= now_) {
      append(kLate, index);
    } else {
      place(index);
    }
    ++size_;
    return Handle{node.generation} << 32 | index;
  }

  // False, and nothing else, for a timer that has fired or was cancelled before.
  bool cancel(Handle handle, void** payload_out = nullptr) noexcept {
    const auto index = static_cast<std::uint32_t>(handle);
    if (index < kSentinels || index >= next_unused_) {
      return false;
    }
    Node& node = at(index);
    if (node.generation != static_cast<std::uint32_t>(handle >> 32) || node.prev == kFree) {
      return false;
    }
    if (payload_out != nullptr) {
      *payload_out = node.payload;
    }
    unlink(index);
    release(index);
    return true;
  }

  // When to call `advance` next: a lower bound, never later than the earliest deadline. It is
  // that deadline exactly within the current 256 ms, and the start of its slot beyond; advancing
  // to the bound cascades and brings it nearer, at most five times for any timer (once more per
  // cancelled timer of a far epoch). A value not after now() means: something is due already.
  std::optional<std::uint64_t> next_due() const noexcept {
    if (size_ == 0) {
      return std::nullopt;
    }
    if (!list_empty(kFiring) || !list_empty(kLate)) {
      return now_;
    }
    return next_position();
  }

  // Moves time to `now_ms` (an earlier value leaves it) and calls `fire(void* payload)` for
  // timers that are due, at most `budget` of them; the rest is first in the next call. Returns
  // how many fired. `fire` may schedule and cancel; what it schedules for now or before waits
  // for the next call, so a timer that re-arms itself with no delay cannot hold the caller.
  template <class F>
  std::size_t advance(std::uint64_t now_ms, std::size_t budget, F&& fire) {
    splice(kLate, kFiring);
    expire(now_ms);
    std::size_t fired = 0;
    while (fired < budget && !list_empty(kFiring)) {
      const std::uint32_t index = at(kFiring).next;
      void* const payload = at(index).payload;
      unlink(index);
      release(index);  // before the call: from here on its handle is stale
      ++fired;
      fire(payload);
    }
    return fired;
  }

  // Takes out every timer, in no particular order, and hands its payload over: for shutdown.
  template <class F>
  void drain(F&& each) {
    for (std::uint32_t list = 0; list < kSentinels; ++list) {
      while (!list_empty(list)) {
        const std::uint32_t index = at(list).next;
        void* const payload = at(index).payload;
        unlink(index);
        release(index);
        each(payload);
      }
    }
  }

 private:
  static constexpr unsigned kLevels = 4;
  static constexpr unsigned kSlotBits = SlotBits;
  static constexpr std::uint32_t kSlots = 1u << kSlotBits;
  static constexpr unsigned kEpochBits = kLevels * kSlotBits;

  // Every list is circular around a node of its own at a fixed index, so unlinking needs no
  // knowledge of the list: when both neighbours are one and the same, that is the list's head.
  static constexpr std::uint32_t kOverflow = kLevels * kSlots;
  static constexpr std::uint32_t kLate = kOverflow + 1;    // scheduled when already due
  static constexpr std::uint32_t kFiring = kOverflow + 2;  // expired, in order, not yet fired
  static constexpr std::uint32_t kSentinels = kOverflow + 3;
  static constexpr std::uint32_t kFree = std::numeric_limits<std::uint32_t>::max();

  static constexpr std::uint32_t kChunkBits = SlotBits + 4;
  static constexpr std::uint32_t kChunk = 1u << kChunkBits;

  struct Node {
    std::uint32_t prev = kFree;
    std::uint32_t next = 0;
    std::uint64_t due = 0;
    void* payload = nullptr;
    std::uint32_t generation = 1;
  };

  static constexpr std::uint32_t kWords = (kSlots + 63) / 64;
  using Bitmap = std::array<std::uint64_t, kWords>;

  // Nodes live in chunks that never move: growing costs one chunk, not a copy of all timers.
  Node& at(std::uint32_t i) noexcept { return chunks_[i >> kChunkBits][i & (kChunk - 1)]; }
  const Node& at(std::uint32_t i) const noexcept {
    return chunks_[i >> kChunkBits][i & (kChunk - 1)];
  }

  void grow() { chunks_.push_back(std::make_unique<Node[]>(kChunk)); }

  std::uint32_t take_node() {
    if (free_ != 0) {
      const std::uint32_t index = free_;
      free_ = at(index).next;
      return index;
    }
    if (next_unused_ >> kChunkBits == chunks_.size()) {
      grow();
    }
    return next_unused_++;
  }

  void release(std::uint32_t index) noexcept {
    Node& node = at(index);
    ++node.generation;
    node.prev = kFree;
    node.next = free_;
    free_ = index;
    --size_;
  }

  bool list_empty(std::uint32_t list) const noexcept { return at(list).next == list; }

  void append(std::uint32_t list, std::uint32_t index) noexcept {
    Node& head = at(list);
    Node& node = at(index);
    node.prev = head.prev;
    node.next = list;
    at(head.prev).next = index;
    head.prev = index;
  }

  void unlink(std::uint32_t index) noexcept {
    const Node& node = at(index);
    at(node.prev).next = node.next;
    at(node.next).prev = node.prev;
    if (node.prev == node.next && node.prev < kOverflow) {
      occupied(node.prev) &= ~bit(node.prev);
    }
  }

  // Appends all of `from` to `to`.
  void splice(std::uint32_t from, std::uint32_t to) noexcept {
    if (list_empty(from)) {
      return;
    }
    Node& source = at(from);
    Node& target = at(to);
    at(target.prev).next = source.next;
    at(source.next).prev = target.prev;
    at(source.prev).next = to;
    target.prev = source.prev;
    source.prev = source.next = from;
    if (from < kOverflow) {
      occupied(from) &= ~bit(from);
    }
  }

  std::uint64_t& occupied(std::uint32_t slot) noexcept {
    return bitmaps_[slot >> kSlotBits][(slot & (kSlots - 1)) >> 6];
  }
  static constexpr std::uint64_t bit(std::uint32_t slot) noexcept {
    return std::uint64_t{1} << (slot & (kSlots - 1) & 63);
  }

  // Puts a node with due >= now into its slot, or into the overflow.
  void place(std::uint32_t index) noexcept {
    const std::uint64_t due = at(index).due;
    const std::uint64_t differ = due ^ now_;
    if (differ >> kEpochBits != 0) {
      append(kOverflow, index);
      overflow_from_ = due < overflow_from_ ? due : overflow_from_;
      return;
    }
    const auto level = static_cast<unsigned>(std::bit_width(differ | 1) - 1) / kSlotBits;
    const auto byte = static_cast<std::uint32_t>(due >> (level * kSlotBits)) & (kSlots - 1);
    const std::uint32_t slot = level << kSlotBits | byte;
    append(slot, index);
    occupied(slot) |= bit(slot);
  }

  // Takes a list's nodes in order and places each anew, relative to the present time.
  void replace_all(std::uint32_t list) noexcept {
    Node& head = at(list);
    std::uint32_t index = head.next;
    head.prev = head.next = list;
    if (list < kOverflow) occupied(list) &= ~bit(list);
    while (index != list) {
      const std::uint32_t next = at(index).next;
      __builtin_prefetch(&at(next));  // a long list is spread over memory: miss while working
      place(index);
      index = next;
    }
  }

  // Start of the first occupied slot, or of the first epoch in the overflow.
  std::optional<std::uint64_t> next_position() const noexcept {
    for (unsigned level = 0; level < kLevels; ++level) {
      for (std::uint32_t word = 0; word < kWords; ++word) {
        const std::uint64_t bits = bitmaps_[level][word];
        if (bits != 0) {
          const std::uint64_t byte = word * 64u + static_cast<unsigned>(std::countr_zero(bits));
          const unsigned shift = level * kSlotBits;
          const std::uint64_t above = ~((std::uint64_t{1} << (shift + kSlotBits)) - 1);
          return (now_ & above) | byte << shift;
        }
      }
    }
    if (!list_empty(kOverflow)) {
      return overflow_from_ >> kEpochBits << kEpochBits;
    }
    return std::nullopt;
  }

  // Steps from one occupied position to the next up to `target`; appends what is due to kFiring.
  void expire(std::uint64_t target) noexcept {
    while (now_ < target) {
      const std::optional<std::uint64_t> position = next_position();
      now_ = position && *position < target ? *position : target;
      if ((now_ & ((std::uint64_t{1} << kEpochBits) - 1)) == 0) {
        overflow_from_ = std::numeric_limits<std::uint64_t>::max();
        replace_all(kOverflow);
      }
      for (unsigned level = kLevels - 1; level > 0; --level) {
        const unsigned shift = level * kSlotBits;
        if ((now_ & ((std::uint64_t{1} << shift) - 1)) == 0) {
          const auto byte = static_cast<std::uint32_t>(now_ >> shift) & (kSlots - 1);
          replace_all(level << kSlotBits | byte);
        }
      }
      splice(static_cast<std::uint32_t>(now_) & (kSlots - 1), kFiring);
    }
  }

  std::uint64_t now_;
  std::uint64_t overflow_from_ = std::numeric_limits<std::uint64_t>::max();
  std::size_t size_ = 0;
  std::uint32_t free_ = 0;
  std::uint32_t next_unused_ = 0;
  std::array<Bitmap, kLevels> bitmaps_{};
  std::vector<std::unique_ptr<Node[]>> chunks_;
};

using TimerWheel = BasicTimerWheel<8>;

}  // namespace actinium
