// The sender's side, shared by refs, contexts and timers.
#pragma once

#include "runtime.hpp"

namespace binding {

PyObject* cell_admit(PyObject* o, PyObject* args);
PyObject* cell_tell(PyObject* o, PyObject* const* args, Py_ssize_t nargs, PyObject* names);
PyObject* cell_ask(PyObject* o, PyObject* const* args, Py_ssize_t nargs, PyObject* names);
PyObject* cell_tell_many(PyObject* o, PyObject* messages);
PyObject* cell_sleep(PyObject* o, PyObject* seconds);
PyObject* cell_open_stream(PyObject* o, PyObject* const* args, Py_ssize_t nargs);
PyObject* cell_refusal(PyObject* o, PyObject* const* args, Py_ssize_t nargs);
PyObject* cell_deliver(PyObject* o, PyObject* msg);

PyObject* offer(Core* c, Cell* cell, Item& it, unsigned lane);
Envelope* envelope_new(EnvelopeKind kind, PyObject* stream, std::int64_t deadline);
PyObject* offer_untapped(Core* c, Cell* cell, Item& it, unsigned lane);
PyObject* refuse(Core* c, Cell* cell, Item& it, long code);
bool send_across(Core* c, Cell* cell, Item& it, unsigned lane);
bool check_message_slow(Core* c, PyTypeObject* type);
// Whatever the bound; uses up the item. False when memory ran out.
bool deliver_here(Core* c, Cell* cell, Item& it);
void signal_cell(Cell* cell, std::uint16_t flags);
PyObject* spawn_cell(Core* c, Cell* parent, PyObject* cls, PyObject* args, PyObject* kwargs);
PyObject* spawn_from_call(Core* c, Cell* parent, PyObject* const* args, Py_ssize_t nargs,
                          PyObject* names);

inline std::size_t type_slot(const PyTypeObject* type) {
  const auto a = reinterpret_cast<std::uintptr_t>(type);
  return (a >> 4 ^ a >> 10) & 63;
}

// ---- inbox.cpp: sending from other threads. Without a GIL it is all that they may do.
void set_hook(Core* c, PyObject* Core::* slot, PyObject* hook);  // steals hook
PyObject* hook_for_any_thread(Core* c, PyObject* Core::* slot);  // a new reference
#ifdef Py_GIL_DISABLED
inline constexpr bool kOneThreadAtATime = false;
PyObject* offer_across(Core* c, Cell* cell, Item& it, unsigned lane);
enum class Sent : std::uint8_t { kYes, kHere, kClosed, kNoMemory };
// Puts an entry into a core's inbox; uses up the item only if it was sent. With a cell that is the
// core of its actor, wherever it has moved to; kHere: this thread's own.
Sent send_in(Core* c, Cell* cell, Item& it, unsigned lane, Inward what);
// True with UsageError raised when this is not the thread of the system.
bool not_from_here(const Core* c, const char* what);
#else
inline constexpr bool kOneThreadAtATime = true;
inline bool not_from_here(const Core*, const char*) { return false; }
#endif

// ---- shards.cpp
#ifdef Py_GIL_DISABLED
// The core of the calling thread in the system of `c`; null on a thread that is no shard of it.
Core* core_here(Core* c);
#else
inline Core* core_here(Core* c) { return this_thread() == c->thread ? c : nullptr; }
#endif

// The core that owns a cell which may be on another shard than the caller.
inline Core* core_of(Core* c, const Cell* cell) { return kOneThreadAtATime ? c : owner(cell); }

// False with NotAMessage raised when values of this type may not be sent.
inline bool check_message(Core* c, PyTypeObject* type) {
  if (!kOneThreadAtATime && this_thread() != c->thread) return check_message_slow(c, type);
  if (c->known_types[type_slot(type)] == type) [[likely]]
    return true;
  return check_message_slow(c, type);
}

// The actor whose handler runs on this thread, as a new reference, or null.
inline Cell* current_sender(Core* c) {
  if (!kOneThreadAtATime && this_thread() != c->thread) {
    c = core_here(c);
    if (c == nullptr) return nullptr;
  }
  Cell* cell = c->current;
  if (cell == nullptr || this_thread() != c->thread) return nullptr;
  Py_INCREF(cell);
  return cell;
}

// Whether an ordinary message goes straight into the mailbox.
inline bool has_room(const Core* c, const Cell* cell) {
  return (cell->state & (kClosed | kHeld)) == 0 && cell->depth < cell->straight && !c->closing;
}

}  // namespace binding
