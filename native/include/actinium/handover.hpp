// Actors that go from one shard to another, while others send to them.
//
// Each actor has a word that names its owner. The owner's thread alone touches the actor, and it
// alone may name another owner: so who finds himself there may go on without a lock, and who finds
// somebody else puts his entry into that one's inbox. An entry must not arrive at a shard that the
// actor has left, nor overtake an earlier one of the same sender on its way to the new one (SC-1,
// MS-2). Both follow from one rule: the owner changes in one step in which the old owner's inbox is
// empty and the notice of the move goes into the new one's. The gates of the two inboxes make it
// one step, since who puts an entry in holds the gate and looks at the word again:
//
//   - a sender that read the old owner and comes late finds the word changed, and goes on to the
//     new one; nothing has to be forwarded;
//   - what a sender put in before the move was taken out by then, so it is in the mailbox, in front
//     of all that comes by the new way, be that an inbox or the new owner's own hand;
//   - the actor's first turn there comes with the notice, and so after all that the actor itself
//     put into that inbox before. The new owner may fill its mailbox already, but not run it.
//
// The word changes before the notice is in, or the new owner could read that and not yet be it.
//
// A Home has `gate`, a mutex, and `inbox`; the owner's thread is its inbox's only consumer.
#pragma once

#include <mutex>
#include <utility>

namespace actinium {

// Any thread but the owner's. `owner()` reads the word (acquire) and null ends the attempt; `push`
// is called with the owner's gate held. Returns whose inbox it was.
template <class Owner, class Push>
auto send_to_owner(Owner&& owner, Push&& push) -> decltype(owner()) {
  while (true) {
    const auto home = owner();
    if (home == nullptr) return home;
    const std::lock_guard hold(home->gate);
    if (owner() == home) {
      push(home);
      return home;
    }
  }
}

// The owner's thread. True: `move(to)` was called, which names the new owner in the word (release),
// touches nothing of the actor from then on, and puts the notice into that one's inbox. False:
// `may(to)` was false, or something is in the inbox; that may be otherwise on the next attempt.
template <class Home, class May, class Move>
bool hand_over(Home* from, Home* to, May&& may, Move&& move) {
  const bool in_order = from < to;
  const std::lock_guard first((in_order ? from : to)->gate);
  const std::lock_guard second((in_order ? to : from)->gate);
  if (!from->inbox->empty() || !may(to)) return false;
  move(to);
  return true;
}

}  // namespace actinium
