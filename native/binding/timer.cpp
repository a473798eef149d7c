// Scheduled messages and callbacks on the shard's wheel.
//
// A message timer belongs to the incarnation that made it: after a restart or stop its message
// never reaches a handler, and neither does that of a cancelled timer, even when it waits in
// the mailbox already (TM-2).
#include "runtime.hpp"
#include "send.hpp"

namespace binding {

PyTypeObject* TimerType;

namespace {

Timer* self_of(PyObject* o) { return reinterpret_cast<Timer*>(o); }

void arm(Timer* t) {
  Core* c = t->core;
  const std::int64_t ms = (t->due_ns + 999'999) / 1'000'000;
  t->handle = c->wheel->schedule(static_cast<std::uint64_t>(ms), t);
  t->armed = 1;
  Py_INCREF(t);  // the wheel's
  if (!c->pumping) core_arm_timer(c);
}

}  // namespace

void timer_fire(Core* c, Timer* t) {
  t->armed = 0;
  Cell* cell = t->cell;
  const bool alive =
      !t->cancelled && !((c->closing & kClosing) != 0 && cell != nullptr) &&
      (cell == nullptr || ((cell->state & kStopped) == 0 && cell->incarnation == t->incarnation));
  if (alive && cell == nullptr) {
    PyObject* r = PyObject_CallNoArgs(t->what);
    if (r == nullptr) report_unraisable(t->what);
    Py_XDECREF(r);
  } else if (alive && (cell->state & kClosed) == 0) {
    if (t->waiting) {  // an actor that is late gets one message, not one per period
      t->missed++;
    } else {
      t->waiting = 1;
      Item it{Py_NewRef(t->what), nullptr, Py_NewRef(reinterpret_cast<PyObject*>(t))};
      PyObject* put = offer(core_of(c, cell), cell, it, actinium::kNormal);
      if (put == nullptr) report_unraisable(t->what);
      Py_XDECREF(put);
    }
  }
  if (alive && t->period_ns > 0 && !t->cancelled) {
    // Fixed rate: the next due time counts from the last one; periods gone by are skipped.
    const std::int64_t now = core_now(c);
    t->due_ns = (t->fixed_delay ? now : t->due_ns) + t->period_ns;
    if (t->due_ns <= now) {
      const std::int64_t gone = (now - t->due_ns) / t->period_ns + 1;
      t->missed += static_cast<std::uint64_t>(gone);
      t->due_ns += gone * t->period_ns;
    }
    arm(t);
  }
  Py_DECREF(t);
}

namespace {

PyObject* timer_cancel(PyObject* o, PyObject*) {
  Timer* t = self_of(o);
  if (t->cancelled) Py_RETURN_FALSE;
  t->cancelled = 1;
  if (!t->armed) Py_RETURN_FALSE;
  t->armed = 0;
  void* payload;
  const bool was = t->core->wheel->cancel(t->handle, &payload);
  if (was) Py_DECREF(o);
  return PyBool_FromLong(was);
}

void timer_dealloc(PyObject* o) {
  PyTypeObject* type = Py_TYPE(o);
  Timer* t = self_of(o);
  Py_XDECREF(t->cell);
  Py_XDECREF(t->what);
  Py_DECREF(t->core);
  PyObject_Free(o);
  Py_DECREF(type);
}

PyObject* get_active(PyObject* o, void*) { return PyBool_FromLong(self_of(o)->armed); }
PyObject* get_missed(PyObject* o, void*) { return PyLong_FromUnsignedLongLong(self_of(o)->missed); }

PyMethodDef methods[] = {
    {"cancel", timer_cancel, METH_NOARGS,
     "Takes the timer back; True if it would still have fired. A message of it that waits in "
     "the mailbox is dropped too."},
    {nullptr, nullptr, 0, nullptr}};

PyGetSetDef getset[] = {
    {"active", get_active, nullptr, "Whether it will fire (again).", nullptr},
    {"missed", get_missed, nullptr, "Periods skipped because the shard was late.", nullptr},
    {nullptr, nullptr, nullptr, nullptr, nullptr}};

PyType_Slot slots[] = {{Py_tp_doc, const_cast<char*>("One scheduled message or callback.")},
                       {Py_tp_dealloc, reinterpret_cast<void*>(timer_dealloc)},
                       {Py_tp_methods, methods},
                       {Py_tp_getset, getset},
                       {0, nullptr}};

PyType_Spec spec = {"actinium._native.Timer", sizeof(Timer), 0,
                    Py_TPFLAGS_DEFAULT | Py_TPFLAGS_DISALLOW_INSTANTIATION, slots};

}  // namespace

// Core.schedule(delay, what, cell=None, every=0, fixed_delay=False) -> Timer
PyObject* core_schedule(PyObject* o, PyObject* args) {
  auto* c = reinterpret_cast<Core*>(o);
  double delay, every = 0;
  PyObject *what, *cell = Py_None;
  int fixed_delay = 0;
  if (!PyArg_ParseTuple(args, "dO|Odp", &delay, &what, &cell, &every, &fixed_delay)) {
    return nullptr;
  }
  if (!(delay >= 0) || !(every >= 0) || delay > 4e9 || every > 4e9) {
    PyErr_SetString(PyExc_ValueError, "delays are 0 or more seconds, at most 4e9");
    return nullptr;
  }
  if (cell != Py_None && !PyObject_TypeCheck(cell, CellType)) {
    PyErr_Format(PyExc_TypeError, "expected a local ref, got %R", cell);
    return nullptr;
  }
  if (this_thread() != c->thread) {
    PyErr_SetString(UsageError,
                    "timers belong to the thread of the system's event loop; from another thread "
                    "tell an actor to set one");
    return nullptr;
  }
  if (cell != Py_None && !check_message(c, Py_TYPE(what))) return nullptr;
  Timer* t = PyObject_New(Timer, TimerType);
  if (t == nullptr) return nullptr;
  __builtin_memset(reinterpret_cast<char*>(t) + sizeof(PyObject), 0,
                   sizeof(Timer) - sizeof(PyObject));
  t->core = reinterpret_cast<Core*>(Py_NewRef(o));
  t->what = Py_NewRef(what);
  if (cell != Py_None) {
    t->cell = reinterpret_cast<Cell*>(Py_NewRef(cell));
    t->incarnation = t->cell->incarnation;
  }
  t->fixed_delay = fixed_delay != 0;
  t->period_ns = static_cast<std::int64_t>(every * 1e9);
  t->due_ns = core_now(c) + static_cast<std::int64_t>(delay * 1e9);
  arm(t);
  return reinterpret_cast<PyObject*>(t);
}

int init_timer(PyObject* module) { return add_type(module, &TimerType, &spec); }

}  // namespace binding
