// Several cores in one system, each on a thread of its own: shards, where there is no GIL.
//
// An actor belongs to the core it was placed on for good: `cell->core` never changes, so any
// thread may read it, and whatever is done to an actor is done by that core's thread (SC-1). The
// other shards reach it through the inbox of its core and through nothing else. An inbox is first
// in, first out, and whatever one thread wants of one actor goes the same way (messages, notices,
// spawns, stops), so that the order per sender is that of the inbox (MS-2).
//
// An ask that goes to another shard keeps its reply at home: deadline, waiter and callbacks are
// the asker's thread's. The other side only looks at it, and sends the outcome back through the
// asker's inbox; the first to do so sets `answered`, later ones are late (MS-3).
//
// What a thread may read of another shard's actor without asking: its class, uid, incarnation,
// parent and flags, which are words; and what lies behind a lock of the cell: instance, extra,
// behaviour, children.
#include "runtime.hpp"
#include "send.hpp"

#ifdef Py_GIL_DISABLED

namespace binding {

Cell* reserve_cell(Core* c, Cell* parent, PyObject* cls);
PyObject* settle_cell(Cell* cell, PyObject* args, PyObject* kwargs);

// Which thread runs which core. A place is taken and left by its own thread; a thread that finds
// itself here may use the core, as nobody else ends it.
struct ShardTable {
  struct Place {
    std::atomic<std::uintptr_t> thread{0};
    Core* core = nullptr;
  };
  static constexpr std::size_t kMost = 64;
  std::atomic<std::uint32_t> users{0};
  std::size_t count = 0;
  Place places[kMost];
};

Core* core_here(Core* c) {
  const std::uintptr_t me = this_thread();
  if (me == c->thread) return c;
  ShardTable* table = c->shards;
  if (table == nullptr) return nullptr;
  for (std::size_t i = 0; i < table->count; i++) {
    if (table->places[i].thread.load(std::memory_order_acquire) == me) return table->places[i].core;
  }
  return nullptr;
}

void leave_shards(Core* c) {
  if (c->shards == nullptr) return;
  for (std::size_t i = 0; i < c->shards->count; i++) {
    if (c->shards->places[i].core == c) c->shards->places[i].thread.store(0);
  }
}

void forget_shards(Core* c) {
  if (c->shards != nullptr && c->shards->users.fetch_sub(1) == 1) delete c->shards;
}

bool reply_across(Reply* r, PyObject* outcome, bool failed) {
  if (is_done(r) || r->answered.exchange(1, std::memory_order_relaxed) != 0) return false;
  Item it{Py_NewRef(outcome), nullptr, Py_NewRef(reinterpret_cast<PyObject*>(r))};
  const Sent sent = send_in(r->core, nullptr, it, 0, failed ? Inward::kError : Inward::kValue);
  if (sent == Sent::kYes) return true;
  item_release(it);  // a closed core waits for nothing
  if (sent == Sent::kNoMemory) {
    PyErr_NoMemory();
    report_unraisable(reinterpret_cast<PyObject*>(r));
  }
  return false;
}

// Once the reply is done, so that the handler's shard finds it so.
void withdraw_across(Reply* r) {
  if (this_thread() == r->target->core->thread) return;
  Item it{nullptr, nullptr, Py_NewRef(reinterpret_cast<PyObject*>(r))};
  if (send_in(r->target->core, nullptr, it, 0, Inward::kWithdraw) != Sent::kYes) item_release(it);
}

// (another core of the system or None, place, count): before the first actor is spawned.
PyObject* core_join_shards(PyObject* o, PyObject* args) {
  auto* c = reinterpret_cast<Core*>(o);
  PyObject* other;
  Py_ssize_t place, count;
  if (!PyArg_ParseTuple(args, "Onn", &other, &place, &count)) return nullptr;
  const bool fits = count > 0 && static_cast<std::size_t>(count) <= ShardTable::kMost &&
                    place >= 0 && place < count;
  if (!fits || c->shards != nullptr || this_thread() != c->thread ||
      (other != Py_None && Py_TYPE(other) != CoreType)) {
    PyErr_SetString(PyExc_ValueError, "join_shards(core or None, place, count), once, at home");
    return nullptr;
  }
  auto* table = other != Py_None ? reinterpret_cast<Core*>(other)->shards : new ShardTable();
  table->users.fetch_add(1);
  table->count = static_cast<std::size_t>(count);
  ShardTable::Place& mine = table->places[place];
  mine.core = c;
  c->shards = table;
  c->uid_step = static_cast<std::uint64_t>(count);
  c->next_uid = (c->next_uid / c->uid_step + 1) * c->uid_step + static_cast<std::uint64_t>(place);
  mine.thread.store(c->thread, std::memory_order_release);
  Py_RETURN_NONE;
}

// (callable): calls it on the core's thread, in its turn; False if the core is closed.
PyObject* core_post(PyObject* o, PyObject* fn) {
  Item it{Py_NewRef(fn), nullptr, nullptr};
  const Sent sent = send_in(reinterpret_cast<Core*>(o), nullptr, it, 0, Inward::kCall);
  if (sent != Sent::kYes) item_release(it);
  if (sent == Sent::kNoMemory) return PyErr_NoMemory();
  return PyBool_FromLong(sent == Sent::kYes);
}

// (parent, class) -> a ref at once; the caller posts the settle() that makes the actor.
PyObject* core_reserve(PyObject* o, PyObject* args) {
  auto* c = reinterpret_cast<Core*>(o);
  PyObject *parent, *cls;
  if (!PyArg_ParseTuple(args, "O!O", CellType, &parent, &cls)) return nullptr;
  Cell* cell = reserve_cell(c, reinterpret_cast<Cell*>(parent), cls);
  if (cell != nullptr) c->n_coming.fetch_add(1, std::memory_order_relaxed);
  return reinterpret_cast<PyObject*>(cell);
}

// (reserved cell, args, kwargs or None): makes the actor; on its own thread.
PyObject* core_settle(PyObject* o, PyObject* args) {
  auto* c = reinterpret_cast<Core*>(o);
  PyObject *cell, *cargs, *ckwargs;
  if (!PyArg_ParseTuple(args, "O!O!O", CellType, &cell, &PyTuple_Type, &cargs, &ckwargs)) {
    return nullptr;
  }
  c->n_coming.fetch_sub(1, std::memory_order_relaxed);
  if (settle_cell(reinterpret_cast<Cell*>(cell), cargs, ckwargs == Py_None ? nullptr : ckwargs) ==
      nullptr) {
    return nullptr;
  }
  Py_RETURN_NONE;
}

// -> (actors here and on their way, entries taken out of the inbox or in it, messages of other
// shards that no mailbox took): any thread.
PyObject* core_load(PyObject* o, PyObject*) {
  auto* c = reinterpret_cast<Core*>(o);
  return Py_BuildValue(
      "(LK)", static_cast<long long>(c->n_cells + c->n_coming.load(std::memory_order_relaxed)),
      static_cast<unsigned long long>(c->n_refused));
}

}  // namespace binding

#endif
