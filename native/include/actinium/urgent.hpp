// Messages with a deadline, the earliest first: what lets a shard run their actors out of turn.
//
// A binary heap of (deadline, actor, how far the actor must read). It holds hints and not the
// messages: those stay in their mailboxes, in order, and the actor stays in the ready queue. A
// hint whose message was handled meanwhile is dropped when it comes up. Ties go by age.
//
// Source: C. L. Liu and J. W. Layland, Scheduling Algorithms for Multiprogramming in a
// Hard-Real-Time Environment, 1973 (earliest deadline first).
#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

namespace actinium {

struct Urgent {
  std::int64_t deadline;
  std::uint64_t number;  // order of arrival
  void* actor;
  std::uint32_t until;  // messages taken out of the mailbox, modulo 2^32, once it was handled
};

class UrgentHeap {
 public:
  bool empty() const { return heap_.empty(); }
  std::size_t size() const { return heap_.size(); }
  const Urgent& first() const { return heap_.front(); }

  void push(std::int64_t deadline, void* actor, std::uint32_t until) {
    heap_.push_back({deadline, next_++, actor, until});
    std::push_heap(heap_.begin(), heap_.end(), later);
  }

  // Puts back what was taken out: it keeps its place among equals.
  void put_back(const Urgent& entry) {
    heap_.push_back(entry);
    std::push_heap(heap_.begin(), heap_.end(), later);
  }

  Urgent pop() {
    std::pop_heap(heap_.begin(), heap_.end(), later);
    const Urgent entry = heap_.back();
    heap_.pop_back();
    return entry;
  }

 private:
  static bool later(const Urgent& a, const Urgent& b) {
    return a.deadline != b.deadline ? a.deadline > b.deadline : a.number > b.number;
  }

  std::vector<Urgent> heap_;
  std::uint64_t next_ = 0;
};

}  // namespace actinium
