// Intrusive unbounded queue: many producers, one consumer, no lock.
//
// A push is one exchange of the tail and one store that links the node behind its predecessor.
// Between the two the queue is cut: the node is in, but cannot be reached yet. The consumer sees
// that as `linking` and must come back later; it never spins on a producer that was preempted
// there. Nodes behind the cut wait, other queues do not.
//
// After D. Vyukov, "Intrusive MPSC node-based queue".
//
// The exchange and `empty` are sequentially consistent so that they compose with a state word:
// a consumer that stores "idle" and then finds the queue `empty`, and a producer that pushes and
// then reads the state, cannot both miss each other (given seq_cst on the state word, MB-2).
#pragma once

#include <cstdint>

#include "actinium/atomics.hpp"

namespace actinium {

template <class A>
struct BasicMpscNode {
  typename A::template Atomic<BasicMpscNode*> next{nullptr};
};

enum class Pop : std::uint8_t {
  node,     // a node was taken
  empty,    // nothing is queued
  linking,  // a producer is between its two steps; try again later
};

template <class A>
class BasicMpscQueue {
 public:
  using Node = BasicMpscNode<A>;

  BasicMpscQueue() noexcept : tail_(&stub_), head_(&stub_) {}
  BasicMpscQueue(const BasicMpscQueue&) = delete;
  BasicMpscQueue& operator=(const BasicMpscQueue&) = delete;

  // Any thread. The node belongs to the queue until `pop` hands it out.
  void push(Node* node) noexcept { push_chain(node, node); }

  // Any thread. Appends nodes already linked first -> ... -> last in one exchange; nobody else's
  // node comes between them.
  void push_chain(Node* first, Node* last) noexcept {
    last->next.store(nullptr, std::memory_order_relaxed);
    Node* const before = tail_.exchange(last, std::memory_order_seq_cst);
    before->next.store(first, std::memory_order_release);
  }

  // Consumer only. Sets `out` when the result is `Pop::node`, else leaves it alone.
  Pop pop(Node*& out) noexcept {
    Node* head = head_;
    Node* next = head->next.load(std::memory_order_acquire);
    if (head == &stub_) {
      if (next == nullptr) {
        return empty() ? Pop::empty : Pop::linking;
      }
      head_ = next;
      head = next;
      next = next->next.load(std::memory_order_acquire);
    }
    if (next == nullptr) {
      if (tail_.load(std::memory_order_acquire) != head) {
        return Pop::linking;
      }
      // `head` is the last node: put the stub behind it, so that the list is never without one.
      push(&stub_);
      next = head->next.load(std::memory_order_acquire);
      if (next == nullptr) {
        return Pop::linking;  // a producer came before the stub and has not linked yet
      }
    }
    head_ = next;
    out = head;
    return Pop::node;
  }

  // Consumer only. True when every push that has done its exchange was also popped.
  bool empty() const noexcept {
    return head_ == &stub_ && tail_.load(std::memory_order_seq_cst) == &stub_;
  }

 private:
  // Producers write the tail, the consumer the head: separate cache lines.
  alignas(64) typename A::template Atomic<Node*> tail_;
  alignas(64) Node* head_;
  Node stub_;
};

using MpscNode = BasicMpscNode<StdAtomics>;
using MpscQueue = BasicMpscQueue<StdAtomics>;

}  // namespace actinium
