// Actors as small as they get, to drive a Crew with: a mailbox, a state word and their checks.
#pragma once

#include <actinium/crew.hpp>
#include <deque>
#include <vector>

#include "check.hpp"

namespace toys {

template <class A>
struct Letter : actinium::BasicMpscNode<A> {
  std::size_t sender = 0;
  std::uint32_t number = 0;
};

template <class A>
struct Toy : actinium::BasicMpscNode<A> {
  actinium::RunState<A> state;
  actinium::BasicMpscQueue<A> box;
  typename A::template Atomic<std::uint32_t> inside{0};
  std::vector<std::uint32_t> seen;  // by sender: the number of its last letter
  std::size_t index;
  std::uint32_t handled = 0;
  std::uint32_t written = 0;

  Toy(std::size_t i, std::size_t senders) : seen(senders, 0), index(i) {}
};

// Rings until it is waited for.
template <class A>
struct Bells {
  std::deque<typename A::template Atomic<std::uint32_t>>* all;
  void operator()(std::size_t shard) const {
    (*all)[shard].fetch_add(1);
    (*all)[shard].notify_one();
  }
};

template <class A, std::size_t Window = 256>
using ToyCrew = actinium::Crew<Toy<A>, Bells<A>, A, Window>;

// One run of one toy, as a shard does it: SC-1 (nobody else is in it) and MS-2 (letters of one
// sender in order). `handle(toy, letter)` after each check; `pause` lets a sender finish a letter
// that is half in the mailbox.
template <class A, class Crew, class Require, class Handle, class Pause>
void run_toy(Crew& crew, std::size_t shard, Toy<A>& toy, int budget, Require&& require,
             Handle&& handle, Pause&& pause) {
  toy.state.begin();
  require(toy.inside.exchange(1) == 0);
  bool more = false;
  while (true) {
    if (budget-- == 0) {
      more = true;
      break;
    }
    actinium::BasicMpscNode<A>* node = nullptr;
    const actinium::Pop got = toy.box.pop(node);
    if (got != actinium::Pop::node) {
      more = got == actinium::Pop::linking;
      if (more) {
        pause();
      }
      break;
    }
    auto* const letter = static_cast<Letter<A>*>(node);
    require(letter->number == ++toy.seen[letter->sender]);
    toy.handled++;
    handle(toy, *letter);
  }
  toy.inside.store(0);
  if (toy.state.end(more)) {
    crew.put(shard, &toy);
  }
}

}  // namespace toys
