// Many messages at once: sent with one call, handled with one call.
#pragma once

#include "runtime.hpp"

namespace binding {

// The envelope of an item whose message is a list of messages, else null.
inline const Envelope* batch_of(const Item& it) {
  if (it.extra == nullptr || Py_TYPE(it.extra) != EnvelopeType) return nullptr;
  const auto* e = reinterpret_cast<const Envelope*>(it.extra);
  return e->kind == kBatch ? e : nullptr;
}

// Turns the item into a batch: its message becomes a list that begins with it and goes on with
// what waits behind it, as long as that belongs to the same handler and is a plain tell.
// False with an exception set when memory ran out; the item is then as it was.
bool gather_batch(Cell* cell, Handler* h, Item& it);

// How many messages of a handler that did not end well count as handled: all if it ended as
// declared; of a batch those it had taken out of its list. The rest become dead letters.
std::uint64_t handled_before_end(const Item& it, bool declared);

}  // namespace binding
