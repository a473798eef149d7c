// The future of one ask.
//
// Speaks asyncio's future protocol, so that tasks, gather and wait_for take it as it is; a
// handler that awaits it is resumed by the core without any asyncio object in between.
// Invariant MS-3: it completes exactly once; whatever comes later is counted and dropped.
// Where there is no GIL it belongs to the asker's thread: see shards.cpp.
#include "runtime.hpp"
#include "send.hpp"

namespace binding {

PyTypeObject* ReplyType;

namespace {

PyObject* f_invalid_state;
PyObject* f_cancelled_error;
PyObject* kw_context;

#ifdef Py_GIL_DISABLED
constexpr int kKeep = 0;  // mimalloc keeps them for each thread
#else
constexpr int kKeep = 256;
#endif
Reply* free_replies[kKeep + 1];
int n_free_replies = 0;

Reply* self_of(PyObject* o) { return reinterpret_cast<Reply*>(o); }

void soon(Reply* r, PyObject* fn, PyObject* context) {
  PyObject* args[4] = {nullptr, fn, reinterpret_cast<PyObject*>(r), context};
  PyObject* x =
      PyObject_Vectorcall(home_of(r)->call_soon, args + 1, 2 | PY_VECTORCALL_ARGUMENTS_OFFSET,
                          context != nullptr ? kw_context : nullptr);
  if (x == nullptr) report_unraisable(fn);
  Py_XDECREF(x);
}

// What its timer held of it. Whoever calls has a reference of his own.
void let_go([[maybe_unused]] Reply* r) {
#ifdef Py_GIL_DISABLED
  if (!r->kept) return;
  r->kept = 0;
  Py_DECREF(r);
#endif
}

void untime(Reply* r) {
  Core* c = home_of(r);
  if (r->timed == kInList) [[likely]] {
    (r->earlier != nullptr ? r->earlier->later : c->first_due) = r->later;
    (r->later != nullptr ? r->later->earlier : c->last_due) = r->earlier;
  } else if (r->timed == kOnWheel) {
    void* payload;
    c->wheel->cancel(r->timer, &payload);
  }
  r->timed = kUntimed;
  let_go(r);
}

void finish(Reply* r) {
#ifdef Py_GIL_DISABLED
  __atomic_store_n(&r->done, 1, __ATOMIC_RELEASE);
#else
  r->done = 1;
#endif
  untime(r);
  if (r->waiter != nullptr) {
    Activation* a = r->waiter;
    r->waiter = nullptr;
    schedule_activation(a);
    Py_DECREF(a);
  }
  if (r->callback == nullptr) return;
  soon(r, r->callback, r->callback_context);
  Py_CLEAR(r->callback);
  Py_CLEAR(r->callback_context);
  if (r->more == nullptr) return;
  for (Py_ssize_t i = 0; i + 1 < PyList_GET_SIZE(r->more); i += 2) {
    PyObject* context = PyList_GET_ITEM(r->more, i + 1);
    soon(r, PyList_GET_ITEM(r->more, i), context == Py_None ? nullptr : context);
  }
  Py_CLEAR(r->more);
}

void raise_outcome(Reply* r) {
  if (r->cancelled) {
    PyErr_SetNone(f_cancelled_error);
  } else {
    raise_object(r->exc);
  }
}

// A cancellable handler ends with the wait for it.
void cancel_handler_of(Reply* r) {
  if (!kOneThreadAtATime && this_thread() != owner(r->target)->thread) return;
  auto* o = reinterpret_cast<PyObject*>(r);
  for (Activation* a = r->target->activations; a != nullptr; a = a->next) {
    if (a->item.extra == o && a->handler != nullptr && a->handler->cancellable) {
      cancel_activation(a, nullptr);
      return;
    }
  }
}

}  // namespace

Reply* reply_new(Cell* target) {
  Reply* r;
  if (n_free_replies > 0) {
    r = free_replies[--n_free_replies];
    PyObject_Init(reinterpret_cast<PyObject*>(r), ReplyType);
  } else {
    r = PyObject_New(Reply, ReplyType);
    if (r == nullptr) return nullptr;
  }
  __builtin_memset(reinterpret_cast<char*>(r) + sizeof(PyObject), 0,
                   sizeof(Reply) - sizeof(PyObject));
  r->target = reinterpret_cast<Cell*>(Py_NewRef(reinterpret_cast<PyObject*>(target)));
#ifdef Py_GIL_DISABLED
  r->core = reinterpret_cast<Core*>(Py_NewRef(reinterpret_cast<PyObject*>(owner(target))));
#endif
  return r;
}

#ifdef Py_GIL_DISABLED
void set_home(Reply* r, Core* asker) {
  if (r->core == asker) return;
  Py_SETREF(r->core, reinterpret_cast<Core*>(Py_NewRef(reinterpret_cast<PyObject*>(asker))));
}

// The outcome that another shard has sent.
void reply_arrived(Core* c, Item& it, bool failed) {
  auto* r = reinterpret_cast<Reply*>(it.extra);
  if (r->done) {
    c->n_late++;
  } else {
    (failed ? r->exc : r->result) = Py_NewRef(it.msg);
    finish(r);
  }
  item_release(it);
}

void reply_withdrawn(Reply* r) { cancel_handler_of(r); }
#endif

void reply_set(Reply* r, PyObject* value) {
#ifdef Py_GIL_DISABLED
  if (!is_home(r)) {
    reply_across(r, value, false);
    return;
  }
#endif
  if (r->done) return;
  r->result = Py_NewRef(value);
  finish(r);
}

void reply_fail(Reply* r, PyObject* exc) {
#ifdef Py_GIL_DISABLED
  if (!is_home(r)) {
    reply_across(r, exc, true);
    return;
  }
#endif
  if (r->done) return;
  r->exc = Py_NewRef(exc);
  finish(r);
}

// Watches the deadline of an ask that is under way.
void reply_time(Core* c, Reply* r, bool by_default) {
#ifdef Py_GIL_DISABLED
  if (c->shards != nullptr) {
    r->kept = 1;
    Py_INCREF(r);
  }
#endif
  if (by_default && (c->last_due == nullptr || c->last_due->deadline <= r->deadline)) {
    r->earlier = c->last_due;
    (c->last_due != nullptr ? c->last_due->later : c->first_due) = r;
    c->last_due = r;
    r->timed = kInList;
    return;
  }
  r->timer = c->wheel->schedule(tick_after(r->deadline),
                                reinterpret_cast<void*>(reinterpret_cast<std::uintptr_t>(r) | 1));
  r->timed = kOnWheel;
}

// Ends the asks of the list whose time has come.
void fire_replies(Core* c, std::uint64_t tick, int budget) {
  while (c->first_due != nullptr && tick_after(c->first_due->deadline) <= tick && budget-- > 0) {
    Reply* r = c->first_due;
    Py_INCREF(r);
    untime(r);
    reply_on_timer(c, r);
    Py_DECREF(r);
  }
}

std::optional<std::uint64_t> next_due(const Core* c) {
  auto next = c->wheel->next_due();
  if (c->first_due != nullptr) {
    const std::uint64_t tick = tick_after(c->first_due->deadline);
    if (!next || tick < *next) next = tick;
  }
  return next;
}

void reply_forget_time(Reply* r) {
  r->timed = kUntimed;
  let_go(r);
}

void reply_on_timer(Core* c, Reply* r) {
  r->timed = kUntimed;
  if (r->done) return;
  if (r->sleeping) {
    reply_set(r, Py_None);
    return;
  }
#ifdef Py_GIL_DISABLED
  const bool kept = r->kept != 0;
  r->kept = 0;
#endif
  r->expired = 1;
  PyObject* exc = PyObject_CallOneArg(c->hook_timeout, reinterpret_cast<PyObject*>(r));
  if (exc == nullptr) exc = take_exception();
  cancel_handler_of(r);
  reply_fail(r, exc);
  Py_DECREF(exc);
#ifdef Py_GIL_DISABLED
  withdraw_across(r);
  if (kept) Py_DECREF(r);
#endif
}

namespace {

void reply_dealloc(PyObject* o) {
  Reply* r = self_of(o);
  PyTypeObject* type = Py_TYPE(o);
  untime(r);
  Py_XDECREF(r->result);
  Py_XDECREF(r->exc);
  Py_XDECREF(r->waiter);
  Py_XDECREF(r->callback);
  Py_XDECREF(r->callback_context);
  Py_XDECREF(r->more);
  Py_DECREF(r->target);
#ifdef Py_GIL_DISABLED
  Py_DECREF(r->core);
#endif
  if (n_free_replies < kKeep) {
    free_replies[n_free_replies++] = r;
  } else {
    PyObject_Free(o);
  }
  Py_DECREF(type);
}

PyObject* reply_self(PyObject* o) { return Py_NewRef(o); }

PySendResult reply_send(PyObject* o, PyObject*, PyObject** out) {
  Reply* r = self_of(o);
  if (!r->done) {
    r->blocking = 1;
    *out = Py_NewRef(o);
    return PYGEN_NEXT;
  }
  if (r->result == nullptr) {
    raise_outcome(r);
    *out = nullptr;
    return PYGEN_ERROR;
  }
  *out = Py_NewRef(r->result);
  return PYGEN_RETURN;
}

PyObject* reply_next(PyObject* o) {
  PyObject* value;
  switch (reply_send(o, Py_None, &value)) {
    case PYGEN_NEXT:
      return value;
    case PYGEN_RETURN: {
      // A tuple or exception as value must not be unpacked into StopIteration's arguments.
      PyObject* stop = PyObject_CallOneArg(PyExc_StopIteration, value);
      Py_DECREF(value);
      if (stop != nullptr) {
        PyErr_SetObject(PyExc_StopIteration, stop);
        Py_DECREF(stop);
      }
      return nullptr;
    }
    default:
      return nullptr;
  }
}

PyObject* reply_method_send(PyObject* o, PyObject*) { return reply_next(o); }

PyObject* reply_throw(PyObject*, PyObject* const* args, Py_ssize_t n) {
  if (n < 1) {
    PyErr_SetString(PyExc_TypeError, "throw() needs an exception");
  } else if (PyExceptionInstance_Check(args[0])) {
    raise_object(args[0]);
  } else if (!PyExceptionClass_Check(args[0])) {
    PyErr_Format(PyExc_TypeError, "expected an exception, got %R", args[0]);
  } else if (n > 1 && args[1] != Py_None) {
    PyErr_SetObject(args[0], args[1]);
  } else {
    PyErr_SetNone(args[0]);
  }
  return nullptr;
}

PyObject* reply_close(PyObject*, PyObject*) { Py_RETURN_NONE; }

PyObject* reply_add_done_callback(PyObject* o, PyObject* const* args, Py_ssize_t n,
                                  PyObject* names) {
  Reply* r = self_of(o);
  if (n < 1) {
    PyErr_SetString(PyExc_TypeError, "add_done_callback() needs a callable");
    return nullptr;
  }
  if (not_from_here(home_of(r), "waiting for a reply")) return nullptr;
  PyObject* context = names != nullptr && PyTuple_GET_SIZE(names) > 0 ? args[n] : nullptr;
  if (context == Py_None) context = nullptr;
  if (r->done) {
    soon(r, args[0], context);
  } else if (r->callback == nullptr) {
    r->callback = Py_NewRef(args[0]);
    r->callback_context = Py_XNewRef(context);
  } else {
    if (r->more == nullptr && (r->more = PyList_New(0)) == nullptr) return nullptr;
    if (PyList_Append(r->more, args[0]) < 0 ||
        PyList_Append(r->more, context != nullptr ? context : Py_None) < 0) {
      return nullptr;
    }
  }
  Py_RETURN_NONE;
}

PyObject* reply_remove_done_callback(PyObject* o, PyObject* fn) {
  Reply* r = self_of(o);
  long removed = 0;
  for (Py_ssize_t i = r->more != nullptr ? PyList_GET_SIZE(r->more) - 2 : -1; i >= 0; i -= 2) {
    const int same = PyObject_RichCompareBool(PyList_GET_ITEM(r->more, i), fn, Py_EQ);
    if (same < 0) return nullptr;
    if (same && PyList_SetSlice(r->more, i, i + 2, nullptr) == 0) removed++;
  }
  if (r->callback != nullptr) {
    const int same = PyObject_RichCompareBool(r->callback, fn, Py_EQ);
    if (same < 0) return nullptr;
    if (same) {
      removed++;
      Py_CLEAR(r->callback);
      Py_CLEAR(r->callback_context);
      if (r->more != nullptr && PyList_GET_SIZE(r->more) >= 2) {  // the next takes its place
        r->callback = Py_NewRef(PyList_GET_ITEM(r->more, 0));
        PyObject* context = PyList_GET_ITEM(r->more, 1);
        r->callback_context = context == Py_None ? nullptr : Py_NewRef(context);
        if (PyList_SetSlice(r->more, 0, 2, nullptr) < 0) return nullptr;
      }
    }
  }
  return PyLong_FromLong(removed);
}

PyObject* reply_cancel(PyObject* o, PyObject* const*, Py_ssize_t, PyObject*) {
  Reply* r = self_of(o);
  if (not_from_here(home_of(r), "cancelling an ask")) return nullptr;
  if (r->done) Py_RETURN_FALSE;
  r->cancelled = 1;
  cancel_handler_of(r);
  finish(r);
#ifdef Py_GIL_DISABLED
  withdraw_across(r);
#endif
  Py_RETURN_TRUE;
}

bool must_be_done(Reply* r) {
  if (r->done) return true;
  PyErr_SetString(f_invalid_state, "the reply has not come yet");
  return false;
}

PyObject* reply_result(PyObject* o, PyObject*) {
  Reply* r = self_of(o);
  if (!must_be_done(r)) return nullptr;
  if (r->result != nullptr) return Py_NewRef(r->result);
  raise_outcome(r);
  return nullptr;
}

PyObject* reply_exception(PyObject* o, PyObject*) {
  Reply* r = self_of(o);
  if (!must_be_done(r)) return nullptr;
  if (r->cancelled) {
    raise_outcome(r);
    return nullptr;
  }
  return Py_NewRef(r->exc != nullptr ? r->exc : Py_None);
}

// To whom answers an ask of another shard, it is done once the answer is on its way.
PyObject* reply_done_method(PyObject* o, PyObject*) {
  const Reply* r = self_of(o);
  return PyBool_FromLong(is_home(r) ? r->done : is_done(r));
}

PyObject* reply_cancelled(PyObject* o, PyObject*) { return PyBool_FromLong(self_of(o)->cancelled); }

PyObject* reply_get_loop(PyObject* o, PyObject*) { return Py_NewRef(home_of(self_of(o))->loop); }

// For handlers that answer later, and for the runtime: first one wins, False for the rest.
PyObject* reply_resolve(PyObject* o, PyObject* value) {
  Reply* r = self_of(o);
#ifdef Py_GIL_DISABLED
  if (!is_home(r)) return PyBool_FromLong(reply_across(r, value, false));
#endif
  if (r->done) {
    home_of(r)->n_late++;
    Py_RETURN_FALSE;
  }
  reply_set(r, value);
  Py_RETURN_TRUE;
}

PyObject* reply_reject(PyObject* o, PyObject* exc) {
  Reply* r = self_of(o);
  if (!PyExceptionInstance_Check(exc)) {
    PyErr_Format(PyExc_TypeError, "expected an exception, got %R", exc);
    return nullptr;
  }
#ifdef Py_GIL_DISABLED
  if (!is_home(r)) return PyBool_FromLong(reply_across(r, exc, true));
#endif
  if (r->done) {
    home_of(r)->n_late++;
    Py_RETURN_FALSE;
  }
  reply_fail(r, exc);
  Py_RETURN_TRUE;
}

PyObject* get_blocking(PyObject* o, void*) { return PyBool_FromLong(self_of(o)->blocking); }

int set_blocking(PyObject* o, PyObject* value, void*) {
  self_of(o)->blocking = value == Py_True;
  return 0;
}

PyObject* get_target(PyObject* o, void*) {
  return Py_NewRef(reinterpret_cast<PyObject*>(self_of(o)->target));
}

PyObject* get_inherited(PyObject* o, void*) { return PyBool_FromLong(self_of(o)->inherited); }

// asyncio's gather looks for these two at a future that was cancelled.
PyObject* get_cancel_message(PyObject*, void*) { Py_RETURN_NONE; }

PyObject* reply_make_cancelled_error(PyObject*, PyObject*) {
  return PyObject_CallNoArgs(f_cancelled_error);
}

PyMethodDef methods[] = {
    {"_make_cancelled_error", reply_make_cancelled_error, METH_NOARGS, nullptr},
    {"send", reply_method_send, METH_O, nullptr},
    {"throw", method(reply_throw), METH_FASTCALL, nullptr},
    {"close", reply_close, METH_NOARGS, nullptr},
    {"cancel", method(reply_cancel), METH_FASTCALL | METH_KEYWORDS,
     "Takes the request back if it has not been handled; its answer will reach nobody."},
    {"add_done_callback", method(reply_add_done_callback), METH_FASTCALL | METH_KEYWORDS,
     "Calls fn(reply) soon after it has completed."},
    {"remove_done_callback", reply_remove_done_callback, METH_O, "Forgets a callback."},
    {"result", reply_result, METH_NOARGS, "The value, or raises what the ask ended with."},
    {"exception", reply_exception, METH_NOARGS, "What the ask ended with, or None."},
    {"done", reply_done_method, METH_NOARGS, "True once an outcome is there."},
    {"cancelled", reply_cancelled, METH_NOARGS, "True if the asker gave up."},
    {"get_loop", reply_get_loop, METH_NOARGS, "The event loop of the asked actor's shard."},
    {"resolve", reply_resolve, METH_O, "Answers; False if an outcome was there already."},
    {"reject", reply_reject, METH_O, "Fails; False if an outcome was there already."},
    {nullptr, nullptr, 0, nullptr}};

PyObject* get_deadline(PyObject* o, void*) {
  const std::int64_t ns = self_of(o)->deadline;
  if (ns == 0) Py_RETURN_NONE;
  return PyFloat_FromDouble(static_cast<double>(ns) / 1e9);
}

PyObject* get_urgent(PyObject* o, void*) { return PyBool_FromLong(self_of(o)->urgent); }

PyGetSetDef getset[] = {
    {"_asyncio_future_blocking", get_blocking, set_blocking, nullptr, nullptr},
    {"target", get_target, nullptr, "The actor that was asked.", nullptr},
    {"_cancel_message", get_cancel_message, nullptr, nullptr, nullptr},
    {"deadline", get_deadline, nullptr, "On the core's clock in seconds, or None.", nullptr},
    {"urgent", get_urgent, nullptr, "Whether a time was named for it.", nullptr},
    {"inherited", get_inherited, nullptr, "Whether the deadline came from an outer ask.", nullptr},
    {nullptr, nullptr, nullptr, nullptr, nullptr}};

PyType_Slot slots[] = {{Py_tp_doc, const_cast<char*>("The reply of one ask: await it.")},
                       {Py_tp_dealloc, reinterpret_cast<void*>(reply_dealloc)},
                       {Py_am_await, reinterpret_cast<void*>(reply_self)},
                       {Py_am_send, reinterpret_cast<void*>(reply_send)},
                       {Py_tp_iter, reinterpret_cast<void*>(reply_self)},
                       {Py_tp_iternext, reinterpret_cast<void*>(reply_next)},
                       {Py_tp_methods, methods},
                       {Py_tp_getset, getset},
                       {0, nullptr}};

PyType_Spec spec = {"actinium._native.Reply", sizeof(Reply), 0,
                    Py_TPFLAGS_DEFAULT | Py_TPFLAGS_DISALLOW_INSTANTIATION, slots};

}  // namespace

int init_reply(PyObject* module) {
  PyObject* errors = PyImport_ImportModule("asyncio.exceptions");
  if (errors == nullptr) return -1;
  f_invalid_state = PyObject_GetAttrString(errors, "InvalidStateError");
  f_cancelled_error = PyObject_GetAttrString(errors, "CancelledError");
  Py_DECREF(errors);
  kw_context = Py_BuildValue("(s)", "context");
  if (f_invalid_state == nullptr || f_cancelled_error == nullptr || kw_context == nullptr) {
    return -1;
  }
  return add_type(module, &ReplyType, &spec);
}

}  // namespace binding
