// Stepping coroutines without an asyncio task per message.
//
// Libraries ask asyncio for the current task: `asyncio.timeout`, TaskGroup, anyio, httpx and
// aiohttp cancel it, count its cancellations and key their state by it. An Activation offers
// what they use of a task (cancel, cancelling, uncancel, get_coro ...) and is entered as the
// loop's current task while its coroutine runs. Handlers that end without waiting share one
// activation, so that entering costs once per batch and not once per message.
#include "runtime.hpp"
#include "send.hpp"
// after Python.h
#include <structmember.h>

#include <cstddef>

namespace binding {

void handler_failed(Core* c, Cell* cell, Item& it, Handler* h);
void handler_done(Core* c, Item& it, PyObject* value);

PyTypeObject* ActivationType;

namespace {

PyObject* f_swap_task;    // Python 3.12 and later
PyObject* current_tasks;  // 3.11: the dict behind asyncio.current_task()
PyObject* f_cancelled_error;
PyObject* s_throw;
PyObject* s_blocking;
PyObject* s_add_done_callback;
PyObject* s_cancel;
PyObject* kw_context;
PyObject* kw_msg;

// Makes `task` (or None) the loop's current task, whichever was it before.
void set_current_task(Core* c, PyObject* task) {
  if (current_tasks != nullptr) {
    const int bad = task != Py_None ? PyDict_SetItem(current_tasks, c->loop, task)
                                    : PyDict_DelItem(current_tasks, c->loop);
    if (bad < 0) report_unraisable(c->loop);
    return;
  }
  PyObject* args[3] = {nullptr, c->loop, task};
  PyObject* before =
      PyObject_Vectorcall(f_swap_task, args + 1, 2 | PY_VECTORCALL_ARGUMENTS_OFFSET, nullptr);
  if (before == nullptr) report_unraisable(f_swap_task);
  Py_XDECREF(before);
}

inline void enter(Core* c, Activation* a) {
  if (c->entered == a) return;
  set_current_task(c, reinterpret_cast<PyObject*>(a));
  c->entered = a;
}

Activation* activation_new(Core* c) {
  Activation* a = PyObject_New(Activation, ActivationType);
  if (a == nullptr) return nullptr;
  char* body = reinterpret_cast<char*>(a) + sizeof(PyObject);
  __builtin_memset(body, 0, sizeof(Activation) - sizeof(PyObject));
  a->core = reinterpret_cast<Core*>(Py_NewRef(reinterpret_cast<PyObject*>(c)));
  return a;
}

void run_callbacks(Core* c, Activation* a) {
  PyObject* list = a->callbacks;
  a->callbacks = nullptr;
  for (Py_ssize_t i = 0; i < PyList_GET_SIZE(list); i++) {
    PyObject* pair = PyList_GET_ITEM(list, i);
    PyObject* args[4] = {nullptr, PyTuple_GET_ITEM(pair, 0), reinterpret_cast<PyObject*>(a),
                         PyTuple_GET_ITEM(pair, 1)};
    PyObject* r =
        PyObject_Vectorcall(c->call_soon, args + 1, 2 | PY_VECTORCALL_ARGUMENTS_OFFSET, kw_context);
    if (r == nullptr) report_unraisable(c->call_soon);
    Py_XDECREF(r);
  }
  Py_DECREF(list);
}

// With limits per handler one that ended may leave another behind that wants to be alone.
void keep_busy(Cell* cell) {
  for (const Activation* a = cell->activations; a != nullptr; a = a->next) {
    if (cell->running >= limit_of(cell->behaviour, a->handler)) cell->state |= kBusy;
  }
}

// Gives an ended activation back: to the spare place if nobody else knows it.
void retire(Core* c, Activation* a) {
  a->done = 1;
  if (a->callbacks != nullptr) run_callbacks(c, a);
  Py_CLEAR(a->coro);
  Py_CLEAR(a->waiting);
  if (a->parked && a->abandoned) {
    a->parked = 0;
    Py_DECREF(a->cell);  // the caller of step holds it
  } else if (a->parked) {
    Cell* cell = a->cell;
    a->parked = 0;
    if (a->prev != nullptr) {
      a->prev->next = a->next;
    } else {
      cell->activations = a->next;
    }
    if (a->next != nullptr) a->next->prev = a->prev;
    a->next = a->prev = nullptr;
    cell->running--;
    c->n_running--;
    cell->state &= static_cast<std::uint16_t>(~kBusy);
    if (cell->behaviour->mixed) keep_busy(cell);
    Py_DECREF(cell);  // the caller of step holds it
  }
  const Py_ssize_t known = 1 + (c->entered == a ? 1 : 0);
  const bool unknown = Py_REFCNT(a) == known && a->weakrefs == nullptr && a->name == nullptr;
  if (unknown && (c->spare == nullptr || c->spare == a)) {
    if (!same_context(a->context, c->context)) Py_CLEAR(a->context);  // this handler changed it
    Py_CLEAR(a->cancel_message);
    Py_CLEAR(a->throwing);
    a->cell = nullptr;
    a->handler = nullptr;
    a->cancels = 0;
    a->must_cancel = a->done = a->system = a->abandoned = 0;
    c->spare = a;
    return;
  }
  if (c->spare == a) c->spare = nullptr;
  a->cell = nullptr;
  Py_DECREF(a);
}

void throw_later(Activation* a, PyObject* exc) {  // steals exc
  Py_XSETREF(a->throwing, exc);
  schedule_activation(a);
}

void wait_for_reply(Core* c, Activation* a, PyObject* awaited) {
  auto* r = reinterpret_cast<Reply*>(awaited);
  if (not_from_here(home_of(r), "waiting for a reply")) {
    throw_later(a, take_exception());
    return;
  }
  r->blocking = 0;
  if (r->done) {
    schedule_activation(a);
    return;
  }
  const Cell* target = r->target;
  if (!r->sleeping && same_shard(c, target) &&
      (target == a->cell || (target->state & kBusy) != 0) && is_alone(a)) [[unlikely]] {
    if (refuse_circle(c, a->cell, r)) {
      schedule_activation(a);
      return;
    }
  }
  if ((target->state & kElsewhere) != 0 && is_alone(a)) [[unlikely]] {
    if (refuse_circle(c, a->cell, r)) {
      schedule_activation(a);
      return;
    }
  }
  r->waiter = reinterpret_cast<Activation*>(Py_NewRef(reinterpret_cast<PyObject*>(a)));
}

// Waits for anything that speaks asyncio's future protocol.
void wait_for_future(Core* c, Activation* a, PyObject* awaited) {
  PyObject* blocking = PyObject_GetAttr(awaited, s_blocking);
  const bool is_future = blocking != nullptr && blocking != Py_None;
  if (!is_future) {
    PyErr_Clear();
    Py_XDECREF(blocking);
    PyErr_Format(PyExc_RuntimeError, "a handler awaited %R, which is not an asyncio awaitable",
                 awaited);
    throw_later(a, take_exception());
    return;
  }
  Py_DECREF(blocking);
  if (is_alone(a)) refuse_circles(c, a->cell, awaited);
  PyObject* args[4] = {nullptr, awaited, reinterpret_cast<PyObject*>(a), c->context};
  PyObject* r = nullptr;
  if (PyObject_SetAttr(awaited, s_blocking, Py_False) == 0) {
    r = PyObject_VectorcallMethod(s_add_done_callback, args + 1, 2 | PY_VECTORCALL_ARGUMENTS_OFFSET,
                                  kw_context);
  }
  if (r == nullptr) {
    throw_later(a, take_exception());
    return;
  }
  Py_DECREF(r);
}

void park(Core* c, Activation* a, PyObject* awaited) {  // steals awaited
  Cell* cell = a->cell;
  if (!a->parked) {
    a->parked = 1;
    Py_INCREF(cell);  // until it retires
    if (c->spare == a) c->spare = nullptr;
    a->next = cell->activations;
    if (a->next != nullptr) a->next->prev = a;
    cell->activations = a;
    cell->running++;
    c->n_running++;
    a->since = c->virtual_ns >= 0 ? c->virtual_ns : c->last_check;
    if ((cell->state & kLaned) != 0) a->lane = static_cast<std::uint8_t>(cell->box.last_lane());
  }
  const bool counts = !a->abandoned;
  if (counts && (a->system || cell->running >= limit_of(cell->behaviour, a->handler))) {
    cell->state |= kBusy;
  }
  Py_XSETREF(a->waiting, awaited);
  if (awaited == Py_None) {  // asyncio.sleep(0)
    schedule_activation(a);
  } else if (Py_TYPE(awaited) == ReplyType &&
             reinterpret_cast<Reply*>(awaited)->waiter == nullptr) {
    wait_for_reply(c, a, awaited);
  } else {
    wait_for_future(c, a, awaited);
  }
  if (a->must_cancel && !a->scheduled) {  // cancelled while it ran: the wait is over at once
    a->must_cancel = 0;
    a->cancels--;  // cancel_activation counts it again
    PyObject* message = Py_XNewRef(a->cancel_message);
    cancel_activation(a, message);
    Py_XDECREF(message);
  }
}

// Sends None, or raises what is due, into the coroutine.
PySendResult send_or_throw(Activation* a, PyObject** out) {
  if (!a->must_cancel && a->throwing == nullptr) {
    return PyIter_Send(a->coro, Py_None, out);
  }
  PyObject* exc = a->throwing;
  a->throwing = nullptr;
  if (a->must_cancel) {
    a->must_cancel = 0;
    Py_XDECREF(exc);
    exc = a->cancel_message != nullptr && a->cancel_message != Py_None
              ? PyObject_CallOneArg(f_cancelled_error, a->cancel_message)
              : PyObject_CallNoArgs(f_cancelled_error);
    if (exc == nullptr) return PYGEN_ERROR;
  }
  *out = PyObject_CallMethodOneArg(a->coro, s_throw, exc);
  Py_DECREF(exc);
  if (*out != nullptr) return PYGEN_NEXT;
  if (!PyErr_ExceptionMatches(PyExc_StopIteration)) return PYGEN_ERROR;
  PyObject* stop = take_exception();
  *out = Py_NewRef(reinterpret_cast<PyStopIterationObject*>(stop)->value);
  Py_DECREF(stop);
  return PYGEN_RETURN;
}

Step step(Core* c, Activation* a) {
  enter(c, a);
  Cell* cell = a->cell;
  if (PyContext_Enter(a->context) < 0) report_unraisable(a->context);
  c->current = cell;
  c->activation = a;
  c->deadline = a->deadline;
  PyObject* out = nullptr;
  const PySendResult sent = send_or_throw(a, &out);
  c->current = nullptr;
  c->activation = nullptr;
  PyObject* exc = sent == PYGEN_ERROR ? take_exception() : nullptr;
  if (PyContext_Exit(a->context) < 0) report_unraisable(a->context);
  if (sent == PYGEN_NEXT) {
    park(c, a, out);
    return Step::kParked;
  }
  Item it = a->item;
  a->item = Item{};
  Handler* h = a->handler;
  const bool was_parked = a->parked;
  const bool a_system = a->system;
  if (sent == PYGEN_ERROR && was_parked) cell->box.set_last_lane(a->lane);  // should it go back
  Py_INCREF(cell);
  retire(c, a);
  if (sent == PYGEN_RETURN) {
    if (h != nullptr) {
      handler_done(c, it, out);
    }
    Py_DECREF(out);
  } else if (it.msg != nullptr || it.extra != nullptr || a_system) {
    raise_object(exc);
    Py_DECREF(exc);
    handler_failed(c, cell, it, h);
  } else {  // its actor was stopped by force meanwhile: nobody is left to decide
    Py_DECREF(exc);
  }
  if (was_parked) settle_idle(c, cell);
  Py_DECREF(cell);
  return Step::kFinished;
}

}  // namespace

// Takes a handler that does not end out of its actor's books; it runs on for nobody.
Item abandon_activation(Core* c, Activation* a) {
  Cell* cell = a->cell;
  if (a->prev != nullptr) {
    a->prev->next = a->next;
  } else {
    cell->activations = a->next;
  }
  if (a->next != nullptr) a->next->prev = a->prev;
  a->next = a->prev = nullptr;
  a->abandoned = 1;
  cell->running--;
  c->n_running--;
  cell->state &= static_cast<std::uint16_t>(~kBusy);
  const Item item = a->item;
  a->item = Item{};
  return item;
}

Step start_coroutine(Core* c, Cell* cell, Handler* h, PyObject* coro, Item& item, bool system) {
  Activation* a = c->spare;
  if (a == nullptr) {
    a = activation_new(c);
    if (a == nullptr) {
      Py_DECREF(coro);
      handler_failed(c, cell, item, h);
      return Step::kFinished;
    }
    c->spare = a;
  }
  if (a->context == nullptr) a->context = PyContext_Copy(c->context);
  a->cell = cell;
  a->coro = coro;
  a->handler = h;
  a->item = item;
  item = Item{};
  a->system = system;
  a->deadline = c->deadline;
  return step(c, a);
}

void resume_activation(Core* c, Activation* a) {
  if (a->done || !a->parked) return;
  Py_CLEAR(a->waiting);
  step(c, a);
}

bool cancel_activation(Activation* a, PyObject* message) {
  if (a->done || a->coro == nullptr) return false;
  a->cancels++;
  if (a->waiting != nullptr && a->waiting != Py_None && !a->scheduled) {
    PyObject* waiting = Py_NewRef(a->waiting);
    PyObject* args[3] = {nullptr, waiting, message != nullptr ? message : Py_None};
    PyObject* r =
        PyObject_VectorcallMethod(s_cancel, args + 1, 1 | PY_VECTORCALL_ARGUMENTS_OFFSET, kw_msg);
    const int done = r != nullptr ? PyObject_IsTrue(r) : -1;
    if (done < 0) report_unraisable(waiting);
    Py_XDECREF(r);
    Py_DECREF(waiting);
    if (done > 0) return true;
  }
  a->must_cancel = 1;
  Py_XSETREF(a->cancel_message, Py_XNewRef(message));
  return true;
}

void leave_entered(Core* c) {
  if (c->entered == nullptr) return;
  set_current_task(c, Py_None);
  c->entered = nullptr;
}

void drop_spare(Core* c) {
  Activation* spare = c->spare;
  c->spare = nullptr;
  Py_XDECREF(spare);
}

namespace {

Activation* self_of(PyObject* o) { return reinterpret_cast<Activation*>(o); }

void activation_dealloc(PyObject* o) {
  Activation* a = self_of(o);
  PyTypeObject* type = Py_TYPE(o);
  if (a->weakrefs != nullptr) PyObject_ClearWeakRefs(o);
  item_release(a->item);
  Py_XDECREF(a->coro);
  Py_XDECREF(a->context);
  Py_XDECREF(a->waiting);
  Py_XDECREF(a->name);
  Py_XDECREF(a->cancel_message);
  Py_XDECREF(a->throwing);
  Py_XDECREF(a->callbacks);
  Py_DECREF(a->core);
  PyObject_Free(o);
  Py_DECREF(type);
}

// The done-callback of an awaited future.
PyObject* activation_call(PyObject* o, PyObject*, PyObject*) {
  Activation* a = self_of(o);
  Core* c = a->core;
  if (a->done || !a->parked || c->closed) Py_RETURN_NONE;
  if (c->manual || c->pumping) {
    schedule_activation(a);
    Py_RETURN_NONE;
  }
  Py_INCREF(o);
  c->pumping = 1;
  resume_activation(c, a);
  leave_entered(c);
  c->deadline = 0;
  c->pumping = 0;
  if (c->closed) drop_spare(c);
  Py_DECREF(o);
  if (c->want_idle && !c->armed && core_arm(c) < 0) return nullptr;
  Py_RETURN_NONE;
}

PyObject* activation_cancel(PyObject* o, PyObject* const* args, Py_ssize_t n, PyObject* names) {
  PyObject* message = nullptr;
  if (n + (names != nullptr ? PyTuple_GET_SIZE(names) : 0) > 0) message = args[0];
  return PyBool_FromLong(cancel_activation(self_of(o), message));
}

PyObject* activation_cancelling(PyObject* o, PyObject*) {
  return PyLong_FromUnsignedLong(self_of(o)->cancels);
}

PyObject* activation_uncancel(PyObject* o, PyObject*) {
  Activation* a = self_of(o);
  if (a->cancels > 0) a->cancels--;
  if (a->cancels == 0) a->must_cancel = 0;
  return PyLong_FromUnsignedLong(a->cancels);
}

PyObject* activation_done(PyObject* o, PyObject*) { return PyBool_FromLong(self_of(o)->done); }
PyObject* activation_cancelled(PyObject*, PyObject*) { Py_RETURN_FALSE; }

PyObject* activation_get_coro(PyObject* o, PyObject*) {
  PyObject* coro = self_of(o)->coro;
  return Py_NewRef(coro != nullptr ? coro : Py_None);
}

PyObject* activation_get_loop(PyObject* o, PyObject*) { return Py_NewRef(self_of(o)->core->loop); }

PyObject* activation_get_context(PyObject* o, PyObject*) {
  PyObject* context = self_of(o)->context;
  return Py_NewRef(context != nullptr ? context : Py_None);
}

PyObject* activation_get_name(PyObject* o, PyObject*) {
  Activation* a = self_of(o);
  if (a->name != nullptr) return Py_NewRef(a->name);
  if (a->cell == nullptr) return PyUnicode_FromString("actor");
  return PyObject_GetAttrString(reinterpret_cast<PyObject*>(a->cell), "path");
}

PyObject* activation_set_name(PyObject* o, PyObject* name) {
  Py_XSETREF(self_of(o)->name, Py_NewRef(name));
  Py_RETURN_NONE;
}

PyObject* activation_add_done_callback(PyObject* o, PyObject* const* args, Py_ssize_t n,
                                       PyObject* names) {
  Activation* a = self_of(o);
  if (n < 1) {
    PyErr_SetString(PyExc_TypeError, "add_done_callback() needs a callable");
    return nullptr;
  }
  const bool given = names != nullptr && PyTuple_GET_SIZE(names) == 1;
  PyObject* pair = PyTuple_Pack(2, args[0], given ? args[n] : a->core->context);
  if (pair == nullptr) return nullptr;
  if (a->callbacks == nullptr) a->callbacks = PyList_New(0);
  const int bad = a->callbacks == nullptr ? -1 : PyList_Append(a->callbacks, pair);
  Py_DECREF(pair);
  if (bad < 0) return nullptr;
  if (a->done) run_callbacks(a->core, a);
  Py_RETURN_NONE;
}

PyObject* activation_remove_done_callback(PyObject* o, PyObject* fn) {
  Activation* a = self_of(o);
  long removed = 0;
  for (Py_ssize_t i = a->callbacks ? PyList_GET_SIZE(a->callbacks) - 1 : -1; i >= 0; i--) {
    PyObject* known = PyTuple_GET_ITEM(PyList_GET_ITEM(a->callbacks, i), 0);
    const int same = PyObject_RichCompareBool(known, fn, Py_EQ);
    if (same < 0) return nullptr;
    if (same && PySequence_DelItem(a->callbacks, i) == 0) removed++;
  }
  return PyLong_FromLong(removed);
}

PyObject* get_fut_waiter(PyObject* o, void*) {
  PyObject* w = self_of(o)->waiting;
  return Py_NewRef(w != nullptr ? w : Py_None);
}

PyObject* get_must_cancel(PyObject* o, void*) { return PyBool_FromLong(self_of(o)->must_cancel); }

PyObject* activation_repr(PyObject* o) {
  PyObject* name = activation_get_name(o, nullptr);
  if (name == nullptr) return nullptr;
  PyObject* r = PyUnicode_FromFormat("<actinium.Activation of %U>", name);
  Py_DECREF(name);
  return r;
}

PyMethodDef methods[] = {
    {"cancel", method(activation_cancel), METH_FASTCALL | METH_KEYWORDS,
     "Asks the handler to stop: raises CancelledError in it at its next step."},
    {"cancelling", activation_cancelling, METH_NOARGS, "Cancel requests not yet taken back."},
    {"uncancel", activation_uncancel, METH_NOARGS, "Takes one cancel request back."},
    {"done", activation_done, METH_NOARGS, "True once the handler has ended."},
    {"cancelled", activation_cancelled, METH_NOARGS, "Always False: see the supervisor."},
    {"get_coro", activation_get_coro, METH_NOARGS, "The coroutine being stepped."},
    {"get_loop", activation_get_loop, METH_NOARGS, "The event loop of the shard."},
    {"get_context", activation_get_context, METH_NOARGS, "The handler's contextvars."},
    {"get_name", activation_get_name, METH_NOARGS, "The actor's path, or the name set."},
    {"set_name", activation_set_name, METH_O, "Sets the name."},
    {"add_done_callback", method(activation_add_done_callback), METH_FASTCALL | METH_KEYWORDS,
     "Calls fn(activation) soon after the handler has ended."},
    {"remove_done_callback", activation_remove_done_callback, METH_O,
     "Forgets a callback; returns how many were removed."},
    {nullptr, nullptr, 0, nullptr}};

PyGetSetDef getset[] = {
    {"_fut_waiter", get_fut_waiter, nullptr, "What the handler awaits.", nullptr},
    {"_must_cancel", get_must_cancel, nullptr, "Whether a cancel is due.", nullptr},
    {nullptr, nullptr, nullptr, nullptr, nullptr}};

PyMemberDef members[] = {
    {"__weaklistoffset__", T_PYSSIZET, offsetof(Activation, weakrefs), READONLY, nullptr},
    {nullptr, 0, 0, 0, nullptr}};

PyType_Slot slots[] = {
    {Py_tp_doc, const_cast<char*>("One async handler being run; asyncio's current task in it.")},
    {Py_tp_dealloc, reinterpret_cast<void*>(activation_dealloc)},
    {Py_tp_call, reinterpret_cast<void*>(activation_call)},
    {Py_tp_repr, reinterpret_cast<void*>(activation_repr)},
    {Py_tp_methods, methods},
    {Py_tp_getset, getset},
    {Py_tp_members, members},
    {0, nullptr}};

PyType_Spec spec = {"actinium._native.Activation", sizeof(Activation), 0,
                    Py_TPFLAGS_DEFAULT | Py_TPFLAGS_DISALLOW_INSTANTIATION, slots};

}  // namespace

int init_activation(PyObject* module) {
  PyObject* tasks = PyImport_ImportModule("asyncio.tasks");
  PyObject* errors = PyImport_ImportModule("asyncio.exceptions");
  if (tasks == nullptr || errors == nullptr) return -1;
  f_swap_task = PyObject_GetAttrString(tasks, "_swap_current_task");
  if (f_swap_task == nullptr) {
    PyErr_Clear();
    current_tasks = PyObject_GetAttrString(tasks, "_current_tasks");
    if (current_tasks == nullptr || !PyDict_Check(current_tasks)) {
      PyErr_SetString(PyExc_ImportError, "this Python's asyncio offers no way to set its task");
      return -1;
    }
  }
  f_cancelled_error = PyObject_GetAttrString(errors, "CancelledError");
  Py_DECREF(tasks);
  Py_DECREF(errors);
  init_circle();
  s_throw = PyUnicode_InternFromString("throw");
  s_blocking = PyUnicode_InternFromString("_asyncio_future_blocking");
  s_add_done_callback = PyUnicode_InternFromString("add_done_callback");
  s_cancel = PyUnicode_InternFromString("cancel");
  kw_context = Py_BuildValue("(s)", "context");
  kw_msg = Py_BuildValue("(s)", "msg");
  if (!f_cancelled_error || !kw_context || !kw_msg) return -1;
  return add_type(module, &ActivationType, &spec);
}

}  // namespace binding
