// What the types do to one another: sending, readiness, replies, stepping.
#pragma once

#include <optional>

#include "context.hpp"
#include "types.hpp"

namespace binding {

// ---- pump.cpp
int core_arm(Core* c);  // asks the loop for a slice; -1 with an exception set
void core_arm_timer(Core* c);
void run_slice(Core* c, std::int64_t budget_ns, std::int64_t max_messages);
void schedule_activation(Activation* a);

void give_to_hook(PyObject* hook, Cell* cell, Item& it);
PyObject* cell_handle_one(PyObject* cell, PyObject*);

// ---- order.cpp
void enqueue_ordered(Core* c, std::uintptr_t entry);
void raise_rank(Core* c, Cell* cell);
std::size_t ready_count(const Core* c);
std::uintptr_t ready_at(const Core* c, std::size_t index);

// ---- activation.cpp
enum class Step : std::uint8_t { kFinished, kParked };
// Steps a coroutine for a message of the cell; steals coro and the item's references.
Step start_coroutine(Core* c, Cell* cell, Handler* h, PyObject* coro, Item& item, bool system);
void resume_activation(Core* c, Activation* a);
bool cancel_activation(Activation* a, PyObject* message);
Item abandon_activation(Core* c, Activation* a);  // gives its message back
void leave_entered(Core* c);
void drop_spare(Core* c);  // it refers to its core: a closed core lets it go

// ---- reply.cpp
Reply* reply_new(Cell* target);
void reply_set(Reply* r, PyObject* value);
void reply_fail(Reply* r, PyObject* exc);
void reply_on_timer(Core* c, Reply* r);
void reply_time(Core* c, Reply* r, bool by_default);
void reply_forget_time(Reply* r);  // its core closes
void fire_replies(Core* c, std::uint64_t tick, int budget);
std::optional<std::uint64_t> next_due(const Core* c);  // the tick of the next timer

// The tick an instant is due at: one late at most, never early.
inline std::uint64_t tick_after(std::int64_t instant) {
  return static_cast<std::uint64_t>(instant / 1'000'000 + 1);
}

// ---- cell.cpp
// `type` is the ref type of the core unless told otherwise.
Cell* cell_new(Core* c, Behaviour* b, Cell* parent, PyTypeObject* type = nullptr);
void cell_finish(Core* c, Cell* cell);

// ---- behaviour.cpp
Handler* behaviour_find_slow(Behaviour* b, PyTypeObject* type);  // null without error: none

// ---- instrument.cpp
std::optional<std::size_t> chosen_place(Core* c, std::size_t count);
PyObject* instrumented_behaviour(Core* c, PyObject* cls);
bool tapped(Core* c, Cell* cell, Item& it, unsigned lane, PyObject** put);

// ---- memory.cpp
void core_trim_later(Core* c);
void core_cancel_trim(Core* c);
PyObject* core_on_trim(PyObject* o, PyObject*);

// ---- timer.cpp
void timer_fire(Core* c, Timer* t);

// ---- shards.cpp
#ifdef Py_GIL_DISABLED
void leave_shards(Core* c);   // by its own thread: it is a shard no more
void forget_shards(Core* c);  // it is no more
inline bool is_home(const Reply* r) { return r->core->thread == this_thread(); }
inline bool is_done(const Reply* r) {
  return __atomic_load_n(&r->done, __ATOMIC_ACQUIRE) != 0 ||
         r->answered.load(std::memory_order_relaxed) != 0;
}
inline Core* home_of(const Reply* r) { return r->core; }
inline bool same_shard(const Core* c, const Cell* cell) { return owner(cell) == c; }
inline std::uint64_t new_uid(Core* c) {  // other shards make cells too
  return __atomic_fetch_add(&c->next_uid, c->uid_step, __ATOMIC_RELAXED);
}
// Sends the outcome of a reply to the shard it belongs to; false: there is one already.
bool reply_across(Reply* r, PyObject* outcome, bool failed);
void reply_arrived(Core* c, Item& it, bool failed);
void reply_withdrawn(Reply* r);
void set_home(Reply* r, Core* asker);
void withdraw_across(Reply* r);
// The actor whose handler runs has something that belongs to this shard from now on.
inline void stays_here(Core* c) {
  if (c->current != nullptr) c->current->mobile = 0;
}

// ---- moving.cpp
bool give_away(Core* c, Cell* cell);
void actor_arrived(Core* c, Cell* cell, std::size_t from);
void ask_for_work(Core* c);
void stop_asking(Core* c);
void show_load(Core* c, std::uint32_t now);
void pass_on_asks(Core* c);
void take_no_more(Core* c);
void let_go_visited(Cell* cell);
PyObject* cell_set_mobile(PyObject* o, PyObject*);
PyObject* cell_post(PyObject* o, PyObject* fn);
#else
inline void stays_here(Core*) {}
inline void take_no_more(Core*) {}
inline void leave_shards(Core*) {}
inline bool is_home(const Reply*) { return true; }
inline void set_home(Reply*, Core*) {}
inline bool is_done(const Reply* r) { return r->done != 0; }
inline Core* home_of(const Reply* r) { return r->target->core; }
inline bool same_shard(const Core*, const Cell*) { return true; }
inline std::uint64_t new_uid(Core* c) { return c->next_uid++; }
#endif

// ---- inbox.cpp
void drain_inbox(Core* c);
void close_inbox(Core* c);  // the core is closed from here on

// ---- circle.cpp
void init_circle();
// Fails an ask whose answer would have to wait for itself; true if it did.
bool refuse_circle(Core* c, const Cell* asker, Reply* r);
PyObject* cell_blocked_on(PyObject* o, PyObject*);
void refuse_circles(Core* c, const Cell* asker, PyObject* join);

// ---- aside.cpp
PyObject* context_take_current(PyObject* o, PyObject*);
PyObject* cell_put_back(PyObject* o, PyObject* list);
PyObject* cell_forward(PyObject* o, PyObject* const* args, Py_ssize_t nargs);

inline Handler* behaviour_find(Behaviour* b, PyTypeObject* type) {
#ifndef Py_GIL_DISABLED  // without it, shards on several threads share the behaviour
  if (type == b->seen_type) [[likely]]
    return b->seen;
#endif
  return behaviour_find_slow(b, type);
}

// A timer's message has left the mailbox, one way or another.
inline void timer_arrived(PyObject* extra) {
  if (extra != nullptr && Py_TYPE(extra) == TimerType) {
    reinterpret_cast<Timer*>(extra)->waiting = 0;
  }
}

inline std::int64_t deadline_of(const Item& it) {
  if (it.extra == nullptr) return 0;
  if (Py_TYPE(it.extra) == ReplyType) return reinterpret_cast<Reply*>(it.extra)->deadline;
  if (Py_TYPE(it.extra) == EnvelopeType) return reinterpret_cast<Envelope*>(it.extra)->deadline;
  return 0;
}

inline void item_release(Item& it) {
  Py_XDECREF(it.msg);
  Py_XDECREF(reinterpret_cast<PyObject*>(it.sender));
  Py_XDECREF(it.extra);
  it = Item{};
}

// Puts a cell, or an activation with the lowest bit set, into the ready queue.
inline void enqueue(Core* c, std::uintptr_t entry) {
  if (c->order == nullptr) [[likely]] {
    c->ready.push(entry);
  } else {
    enqueue_ordered(c, entry);
  }
}

inline void enqueue(Core* c, Cell* cell) {
  cell->state |= kQueued;
  Py_INCREF(cell);
  enqueue(c, reinterpret_cast<std::uintptr_t>(cell));
  if (!c->armed) [[unlikely]] {
    if (core_arm(c) < 0) report_unraisable(nullptr);
  }
}

// Puts a runnable cell into the ready queue (SC-2: at most once). MB-2: called after every
// change that can make a cell runnable.
[[gnu::always_inline]] inline void make_ready(Core* c, Cell* cell) {
  if ((cell->state & (kQueued | kBusy | kPaused)) != 0) {
    if ((cell->state & kLaned) != 0) [[unlikely]]
      raise_rank(c, cell);
    return;
  }
  enqueue(c, cell);
}

// Readies a cell for the runtime's own work, paused or not.
inline void make_ready_system(Core* c, Cell* cell) {
  if ((cell->state & kStopped) != 0 || cell->running != 0) return;
  if ((cell->state & kQueued) != 0) {
    raise_rank(c, cell);
    return;
  }
  enqueue(c, cell);
}

inline void settle_idle(Core* c, Cell* cell) {  // after a handler ended outside run_cell
  if ((cell->state & kQueued) != 0) return;
  if (cell->sys != 0) make_ready_system(c, cell);
  if (!cell->box.empty()) make_ready(c, cell);
}

// How many handlers may be under way while this one waits.
inline std::uint16_t limit_of(const Behaviour* b, const Handler* h) {
  return b->mixed && h != nullptr && h->concurrent != 0 ? h->concurrent : b->concurrent;
}

// Whether no message is taken while this one is under way.
inline bool is_alone(const Activation* a) {
  return a->system || limit_of(a->cell->behaviour, a->handler) == 1;
}

// The message of the cell's handler that runs now, or of its only one that waits.
inline const Item* current_item(const Core* c, const Cell* cell) {
  if (c->current == cell) return c->activation != nullptr ? &c->activation->item : c->item;
  return cell->activations != nullptr ? &cell->activations->item : nullptr;
}

}  // namespace binding
