// The cell: one actor, and every local ref to it: its tree, life and attributes.
#include "batch.hpp"
#include "guard.hpp"
#include "order.hpp"
#include "runtime.hpp"
#include "send.hpp"

namespace binding {

PyTypeObject* CellType;

namespace {

// Without a GIL a container may look at an entry that another thread has just dropped, and the
// memory of objects has to stay readable as such for a while: CPython's allocator sees to that.
#ifdef Py_GIL_DISABLED
void* cell_alloc() { return PyObject_Malloc(sizeof(Cell)); }
void cell_free(Cell* cell) { PyObject_Free(cell); }
#else
void* cell_alloc() { return actinium::slab_alloc(sizeof(Cell), actinium::Region::cells); }
void cell_free(Cell* cell) { actinium::slab_free(cell, sizeof(Cell), actinium::Region::cells); }
#endif

PyObject* s_behaviour;

Cell* self_of(PyObject* o) { return reinterpret_cast<Cell*>(o); }

PyObject* cell_signal(PyObject* o, PyObject* flags) {
  Cell* cell = self_of(o);
  const long bits = PyLong_AsLong(flags);
  if (bits == -1 && PyErr_Occurred()) return nullptr;
  if (not_from_here(owner(cell), "stop()")) return nullptr;
  if ((cell->state & kStopped) != 0) Py_RETURN_FALSE;
  signal_cell(cell, static_cast<std::uint16_t>(bits));
  Py_RETURN_TRUE;
}

PyObject* cell_pause(PyObject* o, PyObject*) {
  self_of(o)->state |= kPaused;
  Py_RETURN_NONE;
}

PyObject* cell_unpause(PyObject* o, PyObject*) {
  Cell* cell = self_of(o);
  cell->state &= static_cast<std::uint16_t>(~kPaused);
  settle_idle(owner(cell), cell);
  Py_RETURN_NONE;
}

PyObject* cell_set_waiters(PyObject* o, PyObject* on) {
  watch_takes(self_of(o), on == Py_True);
  Py_RETURN_NONE;
}

// Tells when the last child has stopped; True if there is none now.
PyObject* cell_await_orphans(PyObject* o, PyObject*) {
  Cell* cell = self_of(o);
  if (cell->child == nullptr) Py_RETURN_TRUE;
  cell->state |= kOrphans;
  Py_RETURN_FALSE;
}

PyObject* cell_cancel_running(PyObject* o, PyObject*) {
  Cell* cell = self_of(o);
  long n = 0;
  for (Activation* a = cell->activations; a != nullptr; a = a->next) {
    if (!a->system) n += cancel_activation(a, nullptr);
  }
  return PyLong_FromLong(n);
}

// Lets go of handlers that ignore their cancellation; returns how many.
PyObject* cell_abandon(PyObject* o, PyObject*) {
  Cell* cell = self_of(o);
  long n = 0;
  for (Activation* a = cell->activations; a != nullptr;) {
    if (a->system) {
      a = a->next;
      continue;
    }
    Item item = abandon_activation(owner(cell), a);
    n++;
    if (item.msg != nullptr) give_to_hook(owner(cell)->hook_closed, cell, item);
    a = cell->activations;  // the hook ran Python
  }
  settle_idle(owner(cell), cell);
  return PyLong_FromLong(n);
}

// Handlers that wait: a list of (type of the message, since when in seconds, coroutine).
PyObject* cell_activities(PyObject* o, PyObject*) {
  PyObject* list = PyList_New(0);
  for (Activation* a = self_of(o)->activations; a != nullptr && list != nullptr; a = a->next) {
    if (a->coro == nullptr) continue;
    const char* type = a->item.msg != nullptr ? Py_TYPE(a->item.msg)->tp_name : "";
    PyObject* one = Py_BuildValue("(sdO)", type, double(a->since) / 1e9, a->coro);
    if (one == nullptr || PyList_Append(list, one) < 0) Py_CLEAR(list);
    Py_XDECREF(one);
  }
  return list;
}

// Whether new user messages are refused for a while.
PyObject* cell_hold(PyObject* o, PyObject* on) {
  Cell* cell = self_of(o);
  if (on == Py_True) {
    cell->state |= kHeld;
  } else {
    cell->state &= static_cast<std::uint16_t>(~kHeld);
  }
  Py_RETURN_NONE;
}

PyObject* cell_cancel_stream(PyObject* o, PyObject* stream) {
  Cell* cell = self_of(o);
  for (Activation* a = cell->activations; a != nullptr; a = a->next) {
    PyObject* e = a->item.extra;
    if (e != nullptr && Py_TYPE(e) == EnvelopeType &&
        reinterpret_cast<Envelope*>(e)->stream == stream) {
      return PyBool_FromLong(cancel_activation(a, nullptr));
    }
  }
  Py_RETURN_FALSE;
}

PyObject* cell_children(PyObject* o, PyObject*) {
  PyObject* list = PyList_New(0);
  if (list == nullptr) return nullptr;
  bool good = true;
  Py_BEGIN_CRITICAL_SECTION(o);  // another shard may look
  for (Cell* k = self_of(o)->child; k != nullptr && good; k = k->older) {
    good = PyList_Append(list, reinterpret_cast<PyObject*>(k)) == 0;
  }
  Py_END_CRITICAL_SECTION();
  if (!good || PyList_Reverse(list) < 0) Py_CLEAR(list);  // oldest first
  return list;
}

// (flags): for all children, of which there will be no more before `rebuild`.
PyObject* cell_signal_children(PyObject* o, PyObject* flags) {
  const long bits = PyLong_AsLong(flags);
  if (bits == -1 && PyErr_Occurred()) return nullptr;
  long n = 0;
  self_of(o)->state |= kChildless;
  for (Cell* k = self_of(o)->child; k != nullptr; k = k->older, n++) {
    signal_cell(k, static_cast<std::uint16_t>(bits));
  }
  return PyLong_FromLong(n);
}

PyObject* make_instance(Cell* cell) {
  PyTypeObject* cls = cell->behaviour->cls;
  PyObject* obj = cls->tp_new(cls, cell->args, cell->kwargs);
  if (obj == nullptr) return nullptr;
  if (!PyObject_TypeCheck(obj, cls) || reinterpret_cast<ActorBase*>(obj)->cell != nullptr) {
    PyErr_Format(PyExc_TypeError, "%s.__new__ must return a new instance of the class, got %R",
                 cls->tp_name, obj);
    Py_DECREF(obj);
    return nullptr;
  }
  reinterpret_cast<ActorBase*>(obj)->cell = cell;
  if (cls->tp_init(obj, cell->args, cell->kwargs) < 0) {
    reinterpret_cast<ActorBase*>(obj)->cell = nullptr;
    Py_DECREF(obj);
    return nullptr;
  }
  return obj;
}

void drop_instance(Cell* cell) {
  PyObject* obj = cell->obj;
  if (obj == nullptr) return;
  Py_BEGIN_CRITICAL_SECTION(cell);
  cell->obj = nullptr;
  Py_END_CRITICAL_SECTION();
  reinterpret_cast<ActorBase*>(obj)->cell = nullptr;
  Py_DECREF(obj);
}

// Same ref, same mailbox, new instance (SV-1). On failure the cell has no instance.
PyObject* cell_rebuild(PyObject* o, PyObject*) {
  Cell* cell = self_of(o);
  if ((cell->state & kStopped) != 0) {
    PyErr_SetString(UsageError, "an actor that has stopped cannot be rebuilt");
    return nullptr;
  }
  drop_instance(cell);
  cell->state &= static_cast<std::uint16_t>(~kChildless);
  cell->incarnation++;
  PyObject* obj = make_instance(cell);
  if (obj == nullptr) return nullptr;
  cell->obj = obj;
  Py_RETURN_NONE;
}

// The same class with another dispatch table: which handlers take messages from now on.
PyObject* cell_set_behaviour(PyObject* o, PyObject* value) {
  Cell* cell = self_of(o);
  auto* b = reinterpret_cast<Behaviour*>(value);
  if (Py_TYPE(value) != BehaviourType || b->cls != cell->behaviour->cls) {
    PyErr_Format(PyExc_TypeError, "%R is no behaviour of this actor's class", value);
    return nullptr;
  }
  Behaviour* before = cell->behaviour;
  Py_BEGIN_CRITICAL_SECTION(o);
  cell->behaviour = reinterpret_cast<Behaviour*>(Py_NewRef(value));
  Py_END_CRITICAL_SECTION();
  Py_DECREF(before);
  Py_RETURN_NONE;
}

PyObject* cell_finish_method(PyObject* o, PyObject*) {
  Cell* cell = self_of(o);
  if ((cell->state & kStopped) == 0) cell_finish(owner(cell), cell);
  Py_RETURN_NONE;
}

void unlink_from_parent(Core* c, Cell* cell) {
  Cell* parent = cell->parent;
  if (parent == nullptr) return;
  Py_BEGIN_CRITICAL_SECTION(parent);
  if (cell->newer != nullptr) {
    cell->newer->older = cell->older;
  } else {
    parent->child = cell->older;
  }
  if (cell->older != nullptr) cell->older->newer = cell->newer;
  cell->older = cell->newer = nullptr;
  Py_END_CRITICAL_SECTION();
  if (parent->child == nullptr && (parent->state & kOrphans) != 0) {
    parent->state &= static_cast<std::uint16_t>(~kOrphans);
    PyObject* r = PyObject_CallOneArg(c->hook_orphans, reinterpret_cast<PyObject*>(parent));
    if (r == nullptr) report_unraisable(c->hook_orphans);
    Py_XDECREF(r);
  }
  Py_DECREF(cell);  // the parent's hold
}

void link_to_parent(Cell* cell, Cell* parent) {
  Py_BEGIN_CRITICAL_SECTION(parent);
  cell->older = parent->child;
  if (parent->child != nullptr) parent->child->newer = cell;
  parent->child = reinterpret_cast<Cell*>(Py_NewRef(reinterpret_cast<PyObject*>(cell)));
  Py_END_CRITICAL_SECTION();
}

PyObject* get_cell_type(PyObject* cls) {
  PyObject* b = PyObject_GetAttr(cls, s_behaviour);
  if (b == nullptr) return nullptr;
  if (Py_TYPE(b) != BehaviourType ||
      reinterpret_cast<PyObject*>(reinterpret_cast<Behaviour*>(b)->cls) != cls) {
    Py_DECREF(b);
    PyErr_Format(PyExc_TypeError, "%R is not an actor class", cls);
    return nullptr;
  }
  return b;
}

// hook(cell): somebody listens to what comes and goes.
void tell_observer(PyObject* hook, Cell* cell) {
  PyObject* r = PyObject_CallOneArg(hook, reinterpret_cast<PyObject*>(cell));
  if (r == nullptr) report_unraisable(hook);
  Py_XDECREF(r);
}

}  // namespace

void signal_cell(Cell* cell, std::uint16_t flags) {
  if ((cell->state & kStopped) != 0) return;
  if ((flags & (kSysStop | kSysDrain)) != 0) cell->state |= kClosed;
  cell->sys |= flags;
  make_ready_system(owner(cell), cell);
}

void cell_finish(Core* c, Cell* cell) {
  cell->state |= kStopped | kClosed;
  cell->sys = 0;
  c->n_cells--;
  const bool lived = cell->obj != nullptr || cell->incarnation > 0;  // else its making failed
  drop_instance(cell);
  // Handlers that would not end are left behind; their messages are accounted for here.
  for (Activation* a = cell->activations; a != nullptr; a = a->next) {
    if (a->item.msg == nullptr) continue;
    Item taken = a->item;
    a->item = Item{};
    c->n_handled += handled_before_end(taken, false);
    give_to_hook(c->hook_closed, cell, taken);
  }
  if ((cell->state & kGuarded) != 0) guard_finish(c, cell);
  Item it;
  while (cell->box.pop(it)) {
    cell->depth--;
    give_to_hook(c->hook_closed, cell, it);
  }
  if ((cell->state & kUrgent) != 0) forget_parked(c, cell);
  Py_CLEAR(cell->args);
  Py_CLEAR(cell->kwargs);
  if (c->observed && lived) [[unlikely]]
    tell_observer(c->hook_ended, cell);
#ifdef Py_GIL_DISABLED
  if ((cell->state & kGuarded) != 0) {  // the last reference may be dropped by another thread
    guard_forget(cell);
    cell->state &= static_cast<std::uint16_t>(~(kGuarded | kWatched));
  }
#endif
  unlink_from_parent(c, cell);
}

namespace {

// A cell that nobody has readied for messages yet; any thread.
[[gnu::always_inline]] inline Cell* bare_cell(Core* c, Behaviour* b, Cell* parent,
                                              PyTypeObject* type) {
  auto* cell = static_cast<Cell*>(cell_alloc());
  if (cell == nullptr) {
    PyErr_NoMemory();
    return nullptr;
  }
  __builtin_memset(static_cast<void*>(cell), 0, sizeof(Cell));
  PyObject_Init(reinterpret_cast<PyObject*>(cell), type);
  cell->core = reinterpret_cast<Core*>(Py_NewRef(reinterpret_cast<PyObject*>(c)));
  cell->behaviour = reinterpret_cast<Behaviour*>(Py_NewRef(reinterpret_cast<PyObject*>(b)));
  cell->parent = reinterpret_cast<Cell*>(Py_XNewRef(reinterpret_cast<PyObject*>(parent)));
  cell->uid = new_uid(c);
  return cell;
}

inline bool prepare(Core* c, Cell* cell) {
  const Behaviour* b = cell->behaviour;
  cell->straight = c->flow->limit == 0 ? b->limits->straight : 0;
  return set_lanes(c, cell, b->limits->lanes) && set_rank(c, cell, b->rank);
}

}  // namespace

Cell* cell_new(Core* c, Behaviour* b, Cell* parent, PyTypeObject* type) {
  Cell* cell = bare_cell(c, b, parent, type != nullptr ? type : c->ref_type);
  if (cell != nullptr && !prepare(c, cell)) Py_CLEAR(cell);
  return cell;
}

namespace {

// Makes the instance of a new cell and starts it; uses up the cell if that fails.
[[gnu::always_inline]] inline PyObject* begin_cell(Core* c, Cell* cell, Cell* parent,
                                                   PyObject* args, PyObject* kwargs) {
  cell->args = Py_NewRef(args);
  cell->kwargs = Py_XNewRef(kwargs);
  link_to_parent(cell, parent);
  c->n_cells++;
  PyObject* obj = make_instance(cell);
  if (obj == nullptr) {
    PyObject* exc = take_exception();
    for (Cell* k = cell->child; k != nullptr; k = k->older)
      signal_cell(k, kSysStop);
    cell_finish(c, cell);
    Py_DECREF(cell);
    raise_object(exc);
    Py_DECREF(exc);
    return nullptr;
  }
  cell->obj = obj;
  if (cell->behaviour->has_started) {
    cell->state |= kPaused;
    signal_cell(cell, kSysStart);
  }
  if (c->observed) [[unlikely]]
    tell_observer(c->hook_spawned, cell);
  return reinterpret_cast<PyObject*>(cell);
}

}  // namespace

// (class, args, kwargs, parent) -> a started cell; steals nothing.
PyObject* spawn_cell(Core* c, Cell* parent, PyObject* cls, PyObject* args, PyObject* kwargs) {
  if ((parent->state & (kClosed | kChildless)) != 0 || c->closed) {
    PyErr_SetString(UsageError, (parent->state & kClosed) != 0 || c->closed
                                    ? "the parent is stopping: it cannot spawn any more"
                                    : "the parent is being restarted: its next instance may spawn, "
                                      "in `started` for example");
    return nullptr;
  }
  PyObject* b = get_cell_type(cls);
  if (b != nullptr && c->behaviour_of != nullptr) [[unlikely]]
    Py_SETREF(b, instrumented_behaviour(c, cls));
  if (b == nullptr) return nullptr;
  Cell* cell = cell_new(c, reinterpret_cast<Behaviour*>(b), parent);
  Py_DECREF(b);
  if (cell == nullptr) return nullptr;
  return begin_cell(c, cell, parent, args, kwargs);
}

#ifdef Py_GIL_DISABLED
// (class, parent) -> a cell of another shard's core: a ref that can be sent to, no more. The shard
// makes the actor when it comes to that, by settle_cell().
Cell* reserve_cell(Core* c, Cell* parent, PyObject* cls) {
  PyObject* b = get_cell_type(cls);
  if (b == nullptr) return nullptr;
  auto* cell = bare_cell(c, reinterpret_cast<Behaviour*>(b), parent, c->ref_type);
  Py_DECREF(b);
  return cell;
}

// On the cell's own shard. Null with an exception set: the actor has stopped before it began.
PyObject* settle_cell(Cell* cell, PyObject* args, PyObject* kwargs) {
  Core* c = owner(cell);
  Cell* parent = cell->parent;
  if ((parent->state & kClosed) != 0 || c->closed || !prepare(c, cell)) {
    cell->state |= kStopped | kClosed;
    if (!PyErr_Occurred()) PyErr_SetString(UsageError, "the system is stopping");
    return nullptr;
  }
  Py_INCREF(cell);  // begin_cell drops one if it fails
  PyObject* begun = begin_cell(c, cell, parent, args, kwargs);
  Py_XDECREF(begun);
  return begun;
}
#endif

namespace {

void cell_dealloc(PyObject* o) {
  Cell* cell = self_of(o);
  PyTypeObject* type = Py_TYPE(o);
  if ((cell->state & kGuarded) != 0) guard_forget(cell);
  Item it;
  while (cell->box.pop(it))
    item_release(it);
  cell->box.destroy();
  drop_instance(cell);
  Py_DECREF(cell->behaviour);
  Cell* parent = cell->parent;
  Py_XDECREF(cell->args);
  Py_XDECREF(cell->kwargs);
  Py_XDECREF(cell->extra);
#ifdef Py_GIL_DISABLED
  if (cell->visited != 0) {
    let_go_visited(cell);
    parent = nullptr;
  } else {
    Py_DECREF(cell->core);
  }
#else
  Py_DECREF(cell->core);
#endif
  cell_free(cell);
  Py_DECREF(type);
  // A chain of parents that only this leaf kept is let go in a loop: trees may be deep.
  while (parent != nullptr && Py_REFCNT(parent) == 1) {
    Cell* above = parent->parent;
    parent->parent = nullptr;
    Py_DECREF(parent);
    parent = above;
  }
  Py_XDECREF(parent);
}

PyObject* get_uid(PyObject* o, void*) { return PyLong_FromUnsignedLongLong(self_of(o)->uid); }
PyObject* get_incarnation(PyObject* o, void*) {
  return PyLong_FromUnsignedLong(self_of(o)->incarnation);
}
PyObject* get_depth(PyObject* o, void*) { return PyLong_FromUnsignedLong(self_of(o)->depth); }
PyObject* get_limits(PyObject* o, void*) {
  const Limits* l = limits_of(self_of(o));
  return Py_NewRef(reinterpret_cast<PyObject*>(const_cast<Limits*>(l)));
}
PyObject* get_capacity(PyObject* o, void*) {
  return PyLong_FromUnsignedLong(limits_of(self_of(o))->capacity);
}
PyObject* get_flag(PyObject* o, void* bit) {
  return PyBool_FromLong(self_of(o)->state &
                         static_cast<std::uint16_t>(reinterpret_cast<std::uintptr_t>(bit)));
}
PyObject* get_taken(PyObject* o, void*) { return PyLong_FromUnsignedLong(self_of(o)->taken); }
PyObject* get_running(PyObject* o, void*) { return PyLong_FromLong(self_of(o)->running); }
PyObject* get_sys(PyObject* o, void*) { return PyLong_FromLong(self_of(o)->sys); }
PyObject* get_parent(PyObject* o, void*) {
  Cell* p = __atomic_load_n(&self_of(o)->parent, __ATOMIC_RELAXED);
  return Py_NewRef(p != nullptr ? reinterpret_cast<PyObject*>(p) : Py_None);
}
// What another shard may ask for while this one replaces it is read under the cell's lock.
PyObject* get_instance(PyObject* o, void*) {
  PyObject* obj = nullptr;
  Py_BEGIN_CRITICAL_SECTION(o);
  obj = self_of(o)->obj;
  Py_XINCREF(obj);
  Py_END_CRITICAL_SECTION();
  return obj != nullptr ? obj : Py_NewRef(Py_None);
}
PyObject* get_behaviour(PyObject* o, void*) {
  PyObject* behaviour = nullptr;
  Py_BEGIN_CRITICAL_SECTION(o);
  behaviour = Py_NewRef(reinterpret_cast<PyObject*>(self_of(o)->behaviour));
  Py_END_CRITICAL_SECTION();
  return behaviour;
}
PyObject* get_cls(PyObject* o, void*) {
  PyObject* behaviour = get_behaviour(o, nullptr);
  PyObject* cls =
      Py_NewRef(reinterpret_cast<PyObject*>(reinterpret_cast<Behaviour*>(behaviour)->cls));
  Py_DECREF(behaviour);
  return cls;
}
PyObject* get_core(PyObject* o, void*) {
  return Py_NewRef(reinterpret_cast<PyObject*>(owner(self_of(o))));
}
PyObject* get_extra(PyObject* o, void*) {
  PyObject* e = nullptr;
  Py_BEGIN_CRITICAL_SECTION(o);
  e = self_of(o)->extra;
  Py_XINCREF(e);
  Py_END_CRITICAL_SECTION();
  return e != nullptr ? e : Py_NewRef(Py_None);
}
int set_extra(PyObject* o, PyObject* value, void*) {
  Cell* cell = self_of(o);
  PyObject* before = nullptr;
  Py_BEGIN_CRITICAL_SECTION(o);
  before = cell->extra;
  cell->extra = value == Py_None ? nullptr : Py_XNewRef(value);
  Py_END_CRITICAL_SECTION();
  Py_XDECREF(before);
  return 0;
}
// The core of the calling thread in this actor's system; on other threads the actor's own.
Core* here_of(PyObject* o) {
  Core* c = owner(self_of(o));
  Core* here = kOneThreadAtATime ? c : core_here(c);
  return here != nullptr ? here : c;
}
PyObject* get_here(PyObject* o, void*) {
  return Py_NewRef(reinterpret_cast<PyObject*>(here_of(o)));
}
// Whether the calling thread is another shard of its system.
PyObject* get_away(PyObject* o, void*) {
  Core* c = owner(self_of(o));
  Core* here = kOneThreadAtATime ? c : core_here(c);
  return PyBool_FromLong(here != nullptr && here != c);
}

// (limits): a mailbox other than the class's; before the first message only.
PyObject* cell_set_mailbox(PyObject* o, PyObject* limits) {
  Cell* cell = self_of(o);
  if (Py_TYPE(limits) != LimitsType) {
    PyErr_Format(PyExc_TypeError, "expected Limits, got %R", limits);
    return nullptr;
  }
  if (set_limits(cell, reinterpret_cast<Limits*>(limits)) < 0) return nullptr;
  Py_RETURN_NONE;
}

// -> (pressure, fill, bytes, overflowed): how full the mailbox is now.
PyObject* cell_pressure(PyObject* o, PyObject*) {
  Cell* cell = self_of(o);
  const Guard* g = guard_of(cell);
  const Limits* l = limits_of(cell);
  return Py_BuildValue("(idKI)", g != nullptr ? static_cast<int>(g->gauge.state()) : 0,
                       fill_of(cell, l, g),
                       static_cast<unsigned long long>(g != nullptr ? g->bytes : 0),
                       g != nullptr ? g->overflowed : 0u);
}

// (refusal, sender) -> seconds after which the same may be taken; refusal 0: for room alone.
PyObject* cell_retry_after(PyObject* o, PyObject* const* args, Py_ssize_t nargs) {
  const long code = nargs == 2 ? PyLong_AsLong(args[0]) : -1;
  if (code < 0) {
    if (!PyErr_Occurred()) PyErr_SetString(PyExc_TypeError, "retry_after(refusal, sender)");
    return nullptr;
  }
  Cell* cell = self_of(o);
  Cell* sender = PyObject_TypeCheck(args[1], CellType) ? self_of(args[1]) : nullptr;
  return PyFloat_FromDouble(double(retry_after_ns(owner(cell), cell, code, sender)) / 1e9);
}

// (0..3): critical, high, normal or low; from the next time it is ready on.
PyObject* cell_set_rank(PyObject* o, PyObject* rank) {
  const long value = PyLong_AsLong(rank);
  if (value == -1 && PyErr_Occurred()) return nullptr;
  if (value < 0 || value >= actinium::kLanes) {
    PyErr_Format(PyExc_ValueError, "a rank is 0..3, got %ld", value);
    return nullptr;
  }
  if (!set_rank(self_of(o)->core, self_of(o), static_cast<unsigned>(value))) return nullptr;
  Py_RETURN_NONE;
}

// (alone): whether a message sent now, from this thread, would be the next to be handled, and no
// policy of the mailbox has a say in it; `alone`: and no handler runs on this thread.
PyObject* cell_clear(PyObject* o, PyObject* alone) {
  const Cell* cell = self_of(o);
  const Core* c = owner(cell);
  if (this_thread() != c->thread || cell->depth != 0) Py_RETURN_FALSE;
  if (alone == Py_True && c->current != nullptr) Py_RETURN_FALSE;
  return PyBool_FromLong(has_room(c, cell) && (cell->state & kPaused) == 0);
}

// The answer of an ask that is under way beside the mailbox.
PyObject* cell_pending(PyObject* o, PyObject*) {
  Reply* r = reply_new(self_of(o));
  if (r != nullptr) set_home(r, owner(self_of(o)));
  return reinterpret_cast<PyObject*>(r);
}

PyMethodDef methods[] = {{"tell", method(cell_tell), METH_FASTCALL | METH_KEYWORDS, nullptr},
                         {"tell_many", cell_tell_many, METH_O, nullptr},
                         {"ask", method(cell_ask), METH_FASTCALL | METH_KEYWORDS, nullptr},
                         {"forward", method(cell_forward), METH_FASTCALL, nullptr},
                         {"clear", cell_clear, METH_O, nullptr},
                         {"pending", cell_pending, METH_NOARGS, nullptr},
                         {"put_back", cell_put_back, METH_O, nullptr},
                         {"set_behaviour", cell_set_behaviour, METH_O, nullptr},
                         {"blocked_on", cell_blocked_on, METH_NOARGS, nullptr},
                         {"refusal", method(cell_refusal), METH_FASTCALL, nullptr},
                         {"pressure", cell_pressure, METH_NOARGS, nullptr},
                         {"retry_after", method(cell_retry_after), METH_FASTCALL, nullptr},
                         {"open_stream", method(cell_open_stream), METH_FASTCALL, nullptr},
                         {"deliver", cell_deliver, METH_O, nullptr},
                         {"signal", cell_signal, METH_O, nullptr},
                         {"pause", cell_pause, METH_NOARGS, nullptr},
                         {"unpause", cell_unpause, METH_NOARGS, nullptr},
                         {"set_waiters", cell_set_waiters, METH_O, nullptr},
                         {"await_orphans", cell_await_orphans, METH_NOARGS, nullptr},
                         {"cancel_running", cell_cancel_running, METH_NOARGS, nullptr},
                         {"abandon", cell_abandon, METH_NOARGS, nullptr},
                         {"activities", cell_activities, METH_NOARGS, nullptr},
                         {"hold", cell_hold, METH_O, nullptr},
                         {"handle_one", cell_handle_one, METH_NOARGS, nullptr},
                         {"admit", cell_admit, METH_VARARGS, nullptr},
                         {"cancel_stream", cell_cancel_stream, METH_O, nullptr},
                         {"children", cell_children, METH_NOARGS, nullptr},
                         {"signal_children", cell_signal_children, METH_O, nullptr},
                         {"rebuild", cell_rebuild, METH_NOARGS, nullptr},
                         {"finish", cell_finish_method, METH_NOARGS, nullptr},
                         {"set_mailbox", cell_set_mailbox, METH_O, nullptr},
                         {"set_rank", cell_set_rank, METH_O, nullptr},
#ifdef Py_GIL_DISABLED
                         {"post", cell_post, METH_O, nullptr},
                         {"set_mobile", cell_set_mobile, METH_NOARGS, nullptr},
#endif
                         {"__class_getitem__", Py_GenericAlias, METH_O | METH_CLASS, nullptr},
                         {nullptr, nullptr, 0, nullptr}};

void* bit(std::uint16_t b) { return reinterpret_cast<void*>(static_cast<std::uintptr_t>(b)); }

PyGetSetDef getset[] = {{"uid", get_uid, nullptr, nullptr, nullptr},
                        {"incarnation", get_incarnation, nullptr, nullptr, nullptr},
                        {"depth", get_depth, nullptr, nullptr, nullptr},
                        {"capacity", get_capacity, nullptr, nullptr, nullptr},
                        {"limits", get_limits, nullptr, nullptr, nullptr},
                        {"stopped_flag", get_flag, nullptr, nullptr, bit(kStopped)},
                        {"closed_flag", get_flag, nullptr, nullptr, bit(kClosed)},
                        {"paused_flag", get_flag, nullptr, nullptr, bit(kPaused)},
                        {"taken", get_taken, nullptr, nullptr, nullptr},
                        {"running", get_running, nullptr, nullptr, nullptr},
                        {"sys", get_sys, nullptr, nullptr, nullptr},
                        {"parent", get_parent, nullptr, nullptr, nullptr},
                        {"instance", get_instance, nullptr, nullptr, nullptr},
                        {"cls", get_cls, nullptr, nullptr, nullptr},
                        {"behaviour", get_behaviour, nullptr, nullptr, nullptr},
                        {"core", get_core, nullptr, nullptr, nullptr},
                        {"extra", get_extra, set_extra, nullptr, nullptr},
                        {"away", get_away, nullptr, nullptr, nullptr},
                        {"here", get_here, nullptr, nullptr, nullptr},
                        {nullptr, nullptr, nullptr, nullptr, nullptr}};

PyType_Slot slots[] = {
    {Py_tp_doc, const_cast<char*>("One actor of this process; see actinium.core.Ref.")},
    {Py_tp_dealloc, reinterpret_cast<void*>(cell_dealloc)},
    {Py_tp_methods, methods},
    {Py_tp_getset, getset},
    {0, nullptr}};

PyType_Spec spec = {"actinium._native.Cell", sizeof(Cell), 0,
                    Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE | Py_TPFLAGS_DISALLOW_INSTANTIATION,
                    slots};

// The methods again, as the type's own: CPython calls an inherited one by a slower way.
PyType_Slot ref_slots[] = {
    {Py_tp_dealloc, reinterpret_cast<void*>(cell_dealloc)}, {Py_tp_methods, methods}, {0, nullptr}};

PyType_Spec ref_spec = {
    "actinium.core.LocalRef", sizeof(Cell), 0,
    Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE | Py_TPFLAGS_DISALLOW_INSTANTIATION, ref_slots};
PyType_Spec remote_spec = {"actinium.core.RemoteRef", sizeof(Cell), 0,
                           Py_TPFLAGS_DEFAULT | Py_TPFLAGS_DISALLOW_INSTANTIATION, ref_slots};

}  // namespace

// (namespace, base or None) -> a subclass of Cell with these attributes. A `class` statement would
// make one that the cyclic collector tracks, and it would then walk every actor on each round.
PyObject* new_ref_type(PyObject*, PyObject* args) {
  PyObject *names, *base = Py_None;
  if (!PyArg_ParseTuple(args, "O!|O", &PyDict_Type, &names, &base)) return nullptr;
  const bool first = base == Py_None;
  if (!first &&
      !(PyType_Check(base) && PyType_IsSubtype(reinterpret_cast<PyTypeObject*>(base), CellType))) {
    PyErr_Format(PyExc_TypeError, "expected a ref type, got %R", base);
    return nullptr;
  }
  PyObject* type = PyType_FromSpecWithBases(first ? &ref_spec : &remote_spec,
                                            first ? reinterpret_cast<PyObject*>(CellType) : base);
  if (type == nullptr) return nullptr;
  PyObject *name, *value;
  for (Py_ssize_t i = 0; PyDict_Next(names, &i, &name, &value);) {
    if (PyObject_SetAttr(type, name, value) < 0) {
      Py_DECREF(type);
      return nullptr;
    }
  }
  return type;
}

int init_cell(PyObject* module) {
  s_behaviour = PyUnicode_InternFromString("_behaviour");
  return add_type(module, &CellType, &spec);
}

}  // namespace binding
