// A first-in first-out queue of small trivially copyable items in linked segments.
//
// Why not one node per item: a flooded mailbox is read in the order it was written, so items
// that lie side by side cost one cache line for two or three of them, and the allocator is
// asked once per segment. An empty queue owns no memory.
#pragma once

#include <cstddef>
#include <cstdint>
#include <type_traits>

#include "actinium/slab.hpp"

namespace actinium {

template <class T, std::size_t Bytes = 512>
class Fifo {
  static_assert(std::is_trivially_copyable_v<T>, "items are moved as plain bytes");

  struct Segment {
    Segment* next;
    Segment* before;
    std::uint32_t head;
    std::uint32_t tail;
    T items[(Bytes - 2 * sizeof(void*) - 8) / sizeof(T)];
  };
  static constexpr std::uint32_t kItems = (Bytes - 2 * sizeof(void*) - 8) / sizeof(T);
  static_assert(sizeof(Segment) <= Bytes);

 public:
  bool empty() const { return first_ == nullptr; }

  // False when memory ran out; the item then still belongs to the caller.
  [[gnu::always_inline]] inline bool push(const T& item) {
    if ((last_ == nullptr || last_->tail == kItems) && !grow()) [[unlikely]] {
      return false;
    }
    last_->items[last_->tail++] = item;
    return true;
  }

  // The item pop() would take, or null.
  const T* front() const { return first_ != nullptr ? &first_->items[first_->head] : nullptr; }

  // Puts an item before all others; what was taken out can so be put back.
  bool push_front(const T& item) {
    Segment* s = first_;
    if (s == nullptr || s->head == 0) {
      s = static_cast<Segment*>(slab_alloc(sizeof(Segment)));
      if (s == nullptr) {
        return false;
      }
      s->next = first_;
      s->before = nullptr;
      s->head = s->tail = kItems;
      if (first_ != nullptr) {
        first_->before = s;
      } else {
        last_ = s;
      }
      first_ = s;
    }
    s->items[--s->head] = item;
    return true;
  }

  bool pop(T& out) {
    Segment* s = first_;
    if (s == nullptr) {
      return false;
    }
    out = s->items[s->head++];
    if (s->head == s->tail) {
      drop_first(s);
    }
    return true;
  }

  // The newest item, or null.
  const T* newest() const { return last_ != nullptr ? &last_->items[last_->tail - 1] : nullptr; }

  // Takes the newest item back; only when there is one.
  void drop_newest() {
    Segment* s = last_;
    if (--s->tail > s->head) {
      return;
    }
    last_ = s->before;
    if (last_ == nullptr) {
      first_ = nullptr;
    } else {
      last_->next = nullptr;
    }
    slab_free(s, sizeof(Segment));
  }

 private:
  // A new last segment; false when memory ran out.
  [[gnu::noinline]] bool grow() {
    auto* s = static_cast<Segment*>(slab_alloc(sizeof(Segment)));
    if (s == nullptr) {
      return false;
    }
    s->next = nullptr;
    s->before = last_;
    s->head = s->tail = 0;
    if (last_ != nullptr) {
      last_->next = s;
    } else {
      first_ = s;
    }
    last_ = s;
    return true;
  }

  void drop_first(Segment* s) {
    first_ = s->next;
    if (first_ == nullptr) {
      last_ = nullptr;
    } else {
      first_->before = nullptr;
    }
    slab_free(s, sizeof(Segment));
  }

  Segment* first_ = nullptr;
  Segment* last_ = nullptr;
};

}  // namespace actinium
