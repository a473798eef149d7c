// The run loop of a shard: bounded slices inside the event loop.
//
// A slice ends after its time or when nothing is ready; then the loop gets its turn for I/O and
// other tasks. Time is read once per 16 messages while those are quick, and after each message
// once they are slow, so that the bound holds without a clock read per message (SC-4).
#include <algorithm>
#include <bit>

#include "batch.hpp"
#include "guard.hpp"
#include "order.hpp"
#include "shards.hpp"

namespace binding {
namespace {

constexpr int kCheckEvery = 16;

// How long a message takes, for who wants to know whether an actor is worth moving: the median of
// the last three looks, as a thread that was kept waiting for its core sees one long message.
inline void note_pace([[maybe_unused]] Core* c, [[maybe_unused]] std::int64_t ns) {
#ifdef Py_GIL_DISABLED
  Sharing* s = c->sharing;
  if (s == nullptr) return;
  const std::int64_t now = ns / s->paced;
  const auto [low, high] = std::minmax(s->looks[0], s->looks[1]);
  s->pace_ns = std::clamp(now, low, high);
  s->looks[0] = s->looks[1];
  s->looks[1] = now;
  s->paced = ns > c->slice_ns / 16 ? 1 : kCheckEvery;
#endif
}

// Called after each message; sets slice_over once the slice's time is used up.
inline void check_time(Core* c) {
  if (--c->until_check > 0) [[likely]]
    return;
  const std::int64_t now = monotonic_ns();
  note_pace(c, now - c->last_check);
  c->until_check = now - c->last_check > c->slice_ns / 16 ? 1 : kCheckEvery;
  c->last_check = now;
  c->slice_over = now >= c->slice_end;
}

}  // namespace

static PyObject* or_none(void* p) { return p != nullptr ? static_cast<PyObject*>(p) : Py_None; }

// hook(cell, msg, sender, extra): for messages that do not enter a handler.
void give_to_hook(PyObject* hook, Cell* cell, Item& it) {
  timer_arrived(it.extra);
  PyObject* args[5] = {nullptr, reinterpret_cast<PyObject*>(cell), it.msg, or_none(it.sender),
                       or_none(it.extra)};
  PyObject* r = PyObject_Vectorcall(hook, args + 1, 4 | PY_VECTORCALL_ARGUMENTS_OFFSET, nullptr);
  if (r == nullptr) report_unraisable(hook);
  Py_XDECREF(r);
  item_release(it);
}

namespace {

// Asks the Python side whether a notice is still wanted; uses up the item if not (WD-1).
bool still_wanted(Core* c, Cell* cell, Item& it) {
  PyObject* args[3] = {nullptr, reinterpret_cast<PyObject*>(cell), it.msg};
  PyObject* r =
      PyObject_Vectorcall(c->hook_noticed, args + 1, 2 | PY_VECTORCALL_ARGUMENTS_OFFSET, nullptr);
  if (r == nullptr) report_unraisable(c->hook_noticed);
  const bool wanted = r == Py_True;
  Py_XDECREF(r);
  if (!wanted) {
    c->n_withdrawn++;
    item_release(it);
  }
  return wanted;
}

// A timer that was cancelled or belongs to an earlier incarnation fires into nothing (TM-2).
// An ask that was cancelled is withdrawn, one that timed out is expired (MS-4).
// True: the item is used up.
bool settle_extra(Core* c, Cell* cell, Item& it) {
  PyTypeObject* type = Py_TYPE(it.extra);
  if (type == ReplyType) {
    auto* r = reinterpret_cast<Reply*>(it.extra);
    bool expired = r->expired;
    if (!is_done(r)) {
      if (r->deadline == 0 || !core_passed(c, r->deadline)) return false;
      expired = true;
      if (is_home(r)) r->expired = 1;
      PyObject* exc = PyObject_CallOneArg(c->hook_timeout, it.extra);
      if (exc != nullptr) {
        reply_fail(r, exc);
        Py_DECREF(exc);
      } else {
        report_unraisable(c->hook_timeout);
      }
    }
    if (expired) {
      give_to_hook(c->hook_expired, cell, it);
    } else {
      c->n_withdrawn++;
      item_release(it);
    }
    return true;
  }
  if (type == TimerType) {
    auto* t = reinterpret_cast<Timer*>(it.extra);
    t->waiting = 0;
    if (!t->cancelled && t->incarnation == cell->incarnation) return false;
    c->n_withdrawn++;
    item_release(it);
    return true;
  }
  auto* e = reinterpret_cast<Envelope*>(it.extra);
  if (e->kind == kNotice) return !still_wanted(c, cell, it);
  if (e->deadline != 0 && core_passed(c, e->deadline)) {
    give_to_hook(c->hook_expired, cell, it);
    return true;
  }
  return false;
}

// Answers the ask of an item, if it is one and the handler did not defer its answer.
void answer(Core* c, const Item& it, PyObject* value) {
  if (it.extra == nullptr || Py_TYPE(it.extra) != ReplyType) return;
  auto* r = reinterpret_cast<Reply*>(it.extra);
  if (r->deferred) return;
  if (is_done(r)) {
    c->n_late++;
  } else {
    reply_set(r, value);
  }
}

}  // namespace

// hook(cell, msg, sender, extra, handler, exc) -> true when it was a declared answer
void handler_failed(Core* c, Cell* cell, Item& it, Handler* h) {
  PyObject* exc = take_exception();
  PyObject* args[7] = {nullptr,
                       reinterpret_cast<PyObject*>(cell),
                       or_none(it.msg),
                       or_none(it.sender),
                       or_none(it.extra),
                       or_none(h),
                       exc};
  PyObject* r =
      PyObject_Vectorcall(c->hook_failed, args + 1, 6 | PY_VECTORCALL_ARGUMENTS_OFFSET, nullptr);
  if (r == nullptr) {
    report_unraisable(c->hook_failed);
  } else {
    if (it.msg != nullptr) c->n_handled += handled_before_end(it, r == Py_True);
    Py_DECREF(r);
  }
  Py_DECREF(exc);
  item_release(it);
}

void handler_done(Core* c, Item& it, PyObject* value) {
  if (it.msg == nullptr) {  // taken away by its handler, or its actor was stopped by force
    item_release(it);
    return;
  }
  const Envelope* batch = batch_of(it);
  c->n_handled += batch != nullptr ? batch->count : 1;
  answer(c, it, value);
  item_release(it);
}

namespace {

// Wraps what a generator handler returned into a coroutine that feeds its stream.
PyObject* drive_stream(Core* c, Cell* cell, const Item& it, PyObject* generator) {
  auto* e = reinterpret_cast<Envelope*>(it.extra);
  PyObject* args[4] = {nullptr, reinterpret_cast<PyObject*>(cell), generator, e->stream};
  return PyObject_Vectorcall(c->hook_stream, args + 1, 3 | PY_VECTORCALL_ARGUMENTS_OFFSET, nullptr);
}

inline bool is_stream(const Item& it) {
  return it.extra != nullptr && Py_TYPE(it.extra) == EnvelopeType &&
         reinterpret_cast<Envelope*>(it.extra)->kind == kStream;
}

// What the handler is called with: the message, or a list. Takes what else goes into the batch.
PyObject* argument_of(Core* c, Cell* cell, Handler* h, Item& it) {
  if (h->batch == 0) return Py_NewRef(it.msg);
  if (it.extra == nullptr && (cell->state & kHeld) == 0) {  // in quarantine: one alone
    if (!gather_batch(cell, h, it)) return nullptr;
    for (Py_ssize_t i = 1; i < PyList_GET_SIZE(it.msg) && (cell->state & kWatched) != 0; i++)
      message_taken(c, cell, PyList_GET_ITEM(it.msg, i));
    return Py_NewRef(it.msg);
  }
  PyObject* alone = PyList_New(1);
  if (alone != nullptr) PyList_SET_ITEM(alone, 0, Py_NewRef(it.msg));
  return alone;
}

// One message into its handler, with a batch handler more of its kind. Uses up the item.
[[gnu::always_inline]] inline void dispatch(Core* c, Cell* cell, Item& it) {
  if (it.extra != nullptr) [[unlikely]] {
    if (Py_TYPE(it.extra) != ReplyType || reinterpret_cast<Reply*>(it.extra)->done ||
        reinterpret_cast<Reply*>(it.extra)->timed) {
      if (settle_extra(c, cell, it)) return;
    }
  }
  Behaviour* b = cell->behaviour;
  Handler* h = behaviour_find(b, Py_TYPE(it.msg));
  PyObject* argument = it.msg;
  if (h == nullptr || h->special || is_stream(it)) [[unlikely]] {
    if (h == nullptr || (h->kind == kGenerator) != is_stream(it)) {
      if (PyErr_Occurred()) report_unraisable(reinterpret_cast<PyObject*>(b));
      give_to_hook(c->hook_unhandled, cell, it);
      return;
    }
    argument = argument_of(c, cell, h, it);
    if (argument == nullptr) {
      handler_failed(c, cell, it, h);
      return;
    }
  }
  c->current = cell;
  c->item = &it;
  c->deadline = deadline_of(it);
  PyObject* args[3] = {nullptr, cell->obj, argument};
  PyObject* r = PyObject_Vectorcall(h->fn, args + 1, 2 | PY_VECTORCALL_ARGUMENTS_OFFSET, nullptr);
  if (h->special) [[unlikely]]
    Py_DECREF(argument);
  c->current = nullptr;
  c->item = nullptr;
  if (r == nullptr) [[unlikely]] {
    handler_failed(c, cell, it, h);
    return;
  }
  if (r == Py_None && it.extra == nullptr) [[likely]] {
    Py_DECREF(r);
    c->n_handled++;
    Py_DECREF(it.msg);
    Py_XDECREF(reinterpret_cast<PyObject*>(it.sender));
    return;
  }
  if (h->kind == kGenerator) {
    PyObject* coro = drive_stream(c, cell, it, r);
    Py_DECREF(r);
    if (coro == nullptr) {
      handler_failed(c, cell, it, h);
      return;
    }
    r = coro;
  }
  if (PyCoro_CheckExact(r)) {
    start_coroutine(c, cell, h, r, it, false);
    return;
  }
  handler_done(c, it, r);
  Py_DECREF(r);
}

}  // namespace

// One message of an actor that is paused: True if it entered a handler, however that ended.
// For the runtime's own work on the cell, so no handler of it is under way.
PyObject* cell_handle_one(PyObject* o, PyObject*) {
  auto* cell = reinterpret_cast<Cell*>(o);
  Core* c = owner(cell);
  Item it;
  if (c->current != nullptr || cell->obj == nullptr || cell->running != 0 || !cell->box.pop(it)) {
    Py_RETURN_FALSE;
  }
  cell->depth--;
  cell->taken++;
  if ((cell->state & kWatched) != 0) message_taken(c, cell, it.msg);
  PyTypeObject* type = Py_TYPE(it.msg);
  if (it.extra != nullptr && settle_extra(c, cell, it)) Py_RETURN_FALSE;
  const bool takes = behaviour_find(cell->behaviour, type) != nullptr;
  if (PyErr_Occurred()) report_unraisable(reinterpret_cast<PyObject*>(cell->behaviour));
  dispatch(c, cell, it);
  return PyBool_FromLong(takes);
}

namespace {

void run_system(Core* c, Cell* cell) {
  const std::uint16_t flags = cell->sys;
  cell->sys = 0;
  c->deadline = 0;
  // A leaf without hooks, watchers or children needs no Python to stop.
  if ((flags & ~(kSysStop | kSysDrain)) == 0 && cell->extra == nullptr && cell->child == nullptr &&
      !cell->behaviour->has_stopping) {
    cell_finish(c, cell);
    return;
  }
  PyObject* number = PyLong_FromLong(flags);
  PyObject* args[3] = {nullptr, reinterpret_cast<PyObject*>(cell), number};
  PyObject* r =
      PyObject_Vectorcall(c->hook_system, args + 1, 2 | PY_VECTORCALL_ARGUMENTS_OFFSET, nullptr);
  Py_XDECREF(number);
  if (r == nullptr) {
    Item none;
    handler_failed(c, cell, none, nullptr);
    return;
  }
  if (PyCoro_CheckExact(r)) {
    Item none;
    start_coroutine(c, cell, nullptr, r, none, true);
    return;
  }
  Py_DECREF(r);
}

// True when the runtime's own work comes before the next user message.
inline bool system_due(Cell* cell) {
  if ((cell->sys & ~kSysDrain) != 0) return true;
  return cell->box.empty();
}

enum class Turn : bool { kOwn, kEarly };

// Handles up to `limit` messages of one cell; returns how many. An early turn leaves the cell's
// place in the ready queue as it is, and the runtime's own work to that.
[[gnu::always_inline]] inline std::int64_t run_messages(Core* c, Cell* cell, std::int64_t limit,
                                                        Turn turn) {
  std::int64_t done = 0;
  std::int64_t budget = limit < c->batch ? limit : c->batch;
  while (true) {
    if (cell->sys != 0) [[unlikely]] {
      if (turn == Turn::kOwn && cell->running == 0 && system_due(cell)) {
        if (budget-- <= 0) break;
        done++;
        run_system(c, cell);
        continue;
      }
      if ((cell->sys & ~kSysDrain) != 0) break;  // once the handlers under way have ended
    }
    if ((cell->state & (kBusy | kPaused | kStopped)) != 0 || budget-- <= 0) break;
    Item it;
    if (!cell->box.pop(it)) break;
    cell->depth--;
    cell->taken++;
    if ((cell->state & kWatched) != 0) [[unlikely]]
      message_taken(c, cell, it.msg);
    dispatch(c, cell, it);
    done++;
    check_time(c);
    if (c->slice_over) break;
  }
  return done;
}

// One turn of a cell that was taken out of the ready queue; back into it if work remains.
[[gnu::always_inline]] inline std::int64_t run_own(Core* c, Cell* cell, std::int64_t limit) {
  const std::int64_t done = run_messages(c, cell, limit, Turn::kOwn);
  cell->state &= static_cast<std::uint16_t>(~kQueued);
  const bool system =
      cell->sys != 0 && cell->running == 0 && ((cell->sys & ~kSysDrain) != 0 || cell->box.empty());
  const bool waits = (cell->sys & ~kSysDrain) != 0;  // the runtime, for handlers to end
  const bool user =
      (cell->state & (kBusy | kPaused | kStopped)) == 0 && !waits && !cell->box.empty();
  if ((system || user) && !c->closed) {
    cell->state |= kQueued;
    enqueue(c, reinterpret_cast<std::uintptr_t>(cell));  // keeps its reference
  } else {
    Py_DECREF(cell);
  }
  return done;
}

// What a `def` handler did to contextvars ends with its actor's turn: the scratch context is
// replaced once it differs from the clean one.
inline void renew_scratch(Core* c) {
  if (same_context(c->scratch, c->context)) [[likely]]
    return;
  if (PyContext_Exit(c->scratch) < 0) report_unraisable(c->scratch);
  PyObject* fresh = PyContext_Copy(c->context);
  if (fresh == nullptr) {
    report_unraisable(nullptr);
  } else {
    Py_SETREF(c->scratch, fresh);
  }
  if (PyContext_Enter(c->scratch) < 0) report_unraisable(c->scratch);
}

inline std::uintptr_t next_ready(Core* c) {
  if (c->choose != nullptr) [[unlikely]]
    c->ready.bring_to_head(chosen_place(c, c->ready.size()).value_or(0));
  const std::uintptr_t entry = c->ready.pop();
  if (c->ready.size() > 8) {
    __builtin_prefetch(reinterpret_cast<void*>(c->ready.peek(7) & ~std::uintptr_t(1)));
    const std::uintptr_t near = c->ready.peek(3);
    if ((near & 1) == 0) {
      auto* cell = reinterpret_cast<Cell*>(near);
      __builtin_prefetch(cell->box.prefetch_address());
      __builtin_prefetch(cell->obj);
    }
  }
  return entry;
}

// True when what was taken out of the ready queue has gone to a shard that asked for work.
inline bool gone([[maybe_unused]] Core* c, [[maybe_unused]] std::uintptr_t entry) {
#ifdef Py_GIL_DISABLED
  const Sharing* s = c->sharing;
  if (s == nullptr || (entry & 1) != 0) return false;
  const bool wanted = s->left != 0 || c->shards->hungry.load(std::memory_order_relaxed) != 0 ||
                      c->shards->places[s->place].asked.load(std::memory_order_relaxed) != 0;
  return wanted && give_away(c, reinterpret_cast<Cell*>(entry));
#else
  return false;
#endif
}

[[gnu::always_inline]] inline std::int64_t run(Core* c, std::uintptr_t entry, std::int64_t limit) {
  if (gone(c, entry)) return 0;
  if ((entry & 1) == 0) {
    const std::int64_t n = run_own(c, reinterpret_cast<Cell*>(entry), limit);
    renew_scratch(c);
    return n;
  }
  auto* a = reinterpret_cast<Activation*>(entry & ~std::uintptr_t(1));
  a->scheduled = 0;
  resume_activation(c, a);
  Py_DECREF(a);
  check_time(c);
  return 1;
}

}  // namespace

[[gnu::cold]] std::int64_t run_early(Core* c, Cell* cell, std::int64_t limit) {
  const std::int64_t n = run_messages(c, cell, limit, Turn::kEarly);
  renew_scratch(c);
  return n;
}

[[gnu::cold]] std::int64_t run_entry(Core* c, std::uintptr_t entry, std::int64_t limit) {
  return run(c, entry, limit);
}

namespace {

void fire_timers(Core* c) {
  if (c->wheel->size() == 0 && c->first_due == nullptr) return;
  const auto tick = static_cast<std::uint64_t>(core_now(c) / 1'000'000);
  fire_replies(c, tick, 512);
  c->wheel->advance(tick, 512, [c](void* payload) {
    const auto tagged = reinterpret_cast<std::uintptr_t>(payload);
    if ((tagged & 1) != 0) {
      reply_on_timer(c, reinterpret_cast<Reply*>(tagged & ~std::uintptr_t(1)));
    } else {
      timer_fire(c, static_cast<Timer*>(payload));
    }
  });
}

}  // namespace

#ifdef Py_GIL_DISABLED
namespace {

inline void show_ready(Core* c) {
  if (c->sharing == nullptr) return;
  const auto now = static_cast<std::uint32_t>(ready_count(c));
  if (std::bit_width(now) != std::bit_width(c->sharing->shown)) show_load(c, now);
}

void begin_sharing(Core* c) {
  if (c->sharing != nullptr && c->sharing->asking) stop_asking(c);
}

void end_sharing(Core* c) {
  if (c->sharing == nullptr) return;
  show_ready(c);
  pass_on_asks(c);
  if (ready_count(c) == 0) ask_for_work(c);
}

}  // namespace
#else
static inline void show_ready(Core*) {}
static inline void begin_sharing(Core*) {}
static inline void end_sharing(Core*) {}
#endif

void schedule_activation(Activation* a) {
  if (a->scheduled) return;
  a->scheduled = 1;
  Py_INCREF(a);
  enqueue(a->core, reinterpret_cast<std::uintptr_t>(a) | 1);
  if (!a->core->armed && core_arm(a->core) < 0) report_unraisable(nullptr);
}

void run_slice(Core* c, std::int64_t budget_ns, std::int64_t max_messages) {
  c->pumping = 1;
  c->n_slices++;
  c->slice_over = 0;  // and until_check stays: slow messages are slow in the next slice too
  c->last_check = monotonic_ns();
  c->slice_end = budget_ns > 0 ? c->last_check + budget_ns : INT64_MAX;
  if (PyContext_Enter(c->scratch) < 0) report_unraisable(c->scratch);
  begin_sharing(c);
  fire_timers(c);
  std::int64_t left = max_messages;
  while (left > 0 && !c->slice_over) {
    if (c->inbox_armed.load(std::memory_order_relaxed) != 0) drain_inbox(c);
    show_ready(c);
    if (c->order != nullptr) [[unlikely]] {
      if (ready_count(c) == 0) break;
      left -= run_ordered(c, left);
    } else {
      if (c->ready.empty()) break;
      left -= run(c, next_ready(c), left);
    }
  }
  if (c->order != nullptr && ready_count(c) == 0) clear_stale_hints(c);
  leave_entered(c);
  if (PyContext_Exit(c->scratch) < 0) report_unraisable(c->scratch);
  c->pumping = 0;
  c->deadline = 0;
  if (c->closed) {
    drop_spare(c);
    return;
  }
  end_sharing(c);
  core_arm_timer(c);
  if (actinium::slab_wants_trim()) [[unlikely]]
    core_trim_later(c);
  if (c->want_idle && ready_count(c) == 0 && c->n_running == 0 &&
      c->inbox_size.load(std::memory_order_relaxed) == 0) {
    PyObject* r = PyObject_CallNoArgs(c->hook_idle);
    if (r == nullptr) report_unraisable(c->hook_idle);
    Py_XDECREF(r);
  }
}

int core_arm(Core* c) {
  c->armed = 1;
  if (c->manual || c->closed) return 0;
  PyObject* args[3] = {nullptr, c->pump, c->context};
  static PyObject* names = Py_BuildValue("(s)", "context");
  PyObject* how = this_thread() == c->thread ? c->call_soon : c->call_soon_threadsafe;
  PyObject* r = PyObject_Vectorcall(how, args + 1, 1 | PY_VECTORCALL_ARGUMENTS_OFFSET, names);
  if (r == nullptr) return -1;
  Py_DECREF(r);
  return 0;
}

// Sees to it that the loop wakes for the next timer, once.
void core_arm_timer(Core* c) {
  if (c->manual || c->closed) return;
  const auto next = next_due(c);
  if (!next || (c->timer_handle != nullptr && c->timer_due <= *next)) return;
  if (c->timer_handle != nullptr) {
    PyObject* r = PyObject_CallMethod(c->timer_handle, "cancel", nullptr);
    if (r == nullptr) report_unraisable(c->timer_handle);
    Py_XDECREF(r);
    Py_CLEAR(c->timer_handle);
  }
  const std::int64_t now = core_now(c);
  const std::int64_t wait = static_cast<std::int64_t>(*next) * 1'000'000 - now;
  PyObject* seconds = PyFloat_FromDouble(wait > 0 ? double(wait) / 1e9 : 0.0);
  if (seconds == nullptr) return report_unraisable(nullptr);
  PyObject* args[4] = {nullptr, seconds, c->on_timer, c->context};
  static PyObject* names = Py_BuildValue("(s)", "context");
  c->timer_handle =
      PyObject_Vectorcall(c->call_later, args + 1, 2 | PY_VECTORCALL_ARGUMENTS_OFFSET, names);
  Py_DECREF(seconds);
  if (c->timer_handle == nullptr) return report_unraisable(c->call_later);
  c->timer_due = *next;
}

}  // namespace binding
