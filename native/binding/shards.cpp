// Several cores in one system, each on a thread of its own: shards, where there is no GIL.
//
// An actor belongs to one core at a time, which any thread may read as `owner(cell)`, and whatever
// is done to an actor is done by that core's thread (SC-1). The other shards reach it through the
// inbox of its core and through nothing else. An inbox is first in, first out, and whatever one
// thread wants of one actor goes the same way (messages, notices, spawns, stops), so that the order
// per sender is that of the inbox (MS-2). How an actor gets to another core is in moving.cpp.
//
// An ask that goes to another shard keeps its reply at home: deadline, waiter and callbacks are
// the asker's thread's. The other side only looks at it, and sends the outcome back through the
// asker's inbox; the first to do so sets `answered`, later ones are late (MS-3).
//
// What a thread may read of another shard's actor without asking: its class, uid, incarnation,
// parent and flags, which are words; and what lies behind a lock of the cell: instance, extra,
// behaviour, children.
#include "shards.hpp"

#include <new>

#include "send.hpp"

#ifdef Py_GIL_DISABLED

namespace binding {

Cell* reserve_cell(Core* c, Cell* parent, PyObject* cls);
PyObject* settle_cell(Cell* cell, PyObject* args, PyObject* kwargs);

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

void forget_table(ShardTable* table) {
  if (table->users.fetch_sub(1) == 1) delete table;
}

void forget_shards(Core* c) {
  delete c->sharing;
  if (c->shards != nullptr) forget_table(c->shards);
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
  if (this_thread() == owner(r->target)->thread) return;
  Item it{nullptr, nullptr, Py_NewRef(reinterpret_cast<PyObject*>(r))};
  if (send_in(nullptr, r->target, it, 0, Inward::kWithdraw) != Sent::kYes) item_release(it);
}

// (another core of the system or None, place, count, worth_ns): once `user` is there, before it has
// actors.
PyObject* core_join_shards(PyObject* o, PyObject* args) {
  auto* c = reinterpret_cast<Core*>(o);
  PyObject* other;
  Py_ssize_t place, count;
  long long worth_ns;
  if (!PyArg_ParseTuple(args, "OnnL", &other, &place, &count, &worth_ns)) return nullptr;
  const bool fits = count > 0 && static_cast<std::size_t>(count) <= ShardTable::kMost &&
                    place >= 0 && place < count;
  if (!fits || c->shards != nullptr || this_thread() != c->thread || c->user == nullptr ||
      (other != Py_None && Py_TYPE(other) != CoreType)) {
    PyErr_SetString(PyExc_ValueError, "join_shards(core or None, place, count, ns), once, at home");
    return nullptr;
  }
  c->sharing =
      new (std::nothrow) Sharing(static_cast<std::size_t>(place), static_cast<std::size_t>(count));
  auto* table =
      other != Py_None ? reinterpret_cast<Core*>(other)->shards : new (std::nothrow) ShardTable();
  if (c->sharing == nullptr || table == nullptr) return PyErr_NoMemory();
  c->sharing->worth_ns = worth_ns;
  table->users.fetch_add(1);
  table->count = static_cast<std::size_t>(count);
  ShardTable::Place& mine = table->places[place];
  mine.core = c;
  mine.user = c->user;
  c->shards = table;
  c->uid_step = static_cast<std::uint64_t>(count);
  c->next_uid = (c->next_uid / c->uid_step + 1) * c->uid_step + static_cast<std::uint64_t>(place);
  mine.thread.store(c->thread, std::memory_order_release);
  ask_for_work(c);
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

// Calls something on the thread of an actor's shard, in line with its messages; at once if this is
// it. False if that core is closed.
PyObject* cell_post(PyObject* o, PyObject* fn) {
  Item it{Py_NewRef(fn), nullptr, nullptr};
  const Sent sent = send_in(nullptr, reinterpret_cast<Cell*>(o), it, 0, Inward::kCall);
  if (sent != Sent::kYes) item_release(it);
  if (sent == Sent::kNoMemory) return PyErr_NoMemory();
  if (sent == Sent::kHere) {
    PyObject* r = PyObject_CallNoArgs(fn);
    if (r == nullptr) return nullptr;
    Py_DECREF(r);
    Py_RETURN_TRUE;
  }
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

// -> (actors here and on their way, messages of other shards that no mailbox took, actors that
// moved here, moves in the whole system): any thread.
PyObject* core_load(PyObject* o, PyObject*) {
  auto* c = reinterpret_cast<Core*>(o);
  return Py_BuildValue(
      "(LKKK)", static_cast<long long>(c->n_cells + c->n_coming.load(std::memory_order_relaxed)),
      static_cast<unsigned long long>(c->n_refused),
      static_cast<unsigned long long>(c->sharing != nullptr ? c->sharing->taken : 0),
      static_cast<unsigned long long>(
          c->shards != nullptr ? c->shards->moves.load(std::memory_order_relaxed) : 0));
}

}  // namespace binding

#endif
