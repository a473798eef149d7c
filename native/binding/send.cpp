// Sending: tell, ask and streams, from an actor, from outside and from other threads.
#include "send.hpp"

#include "order.hpp"

#include <cmath>
#include <new>

#include "guard.hpp"

namespace binding {

PyTypeObject* EnvelopeType;

namespace {

PyObject* s_deadline;
PyObject* s_priority;
PyObject* s_timeout;
PyObject* s_sender;
PyObject* s_urgent;
PyObject* s_forward;
PyObject* s_lane[actinium::kLanes];

Cell* self_of(PyObject* o) { return reinterpret_cast<Cell*>(o); }

// Zero stands for "no deadline"; a virtual clock may well show it.
std::int64_t instant(std::int64_t ns) { return ns != 0 ? ns : 1; }

// What may be said beside the message.
struct Options {
  std::int64_t deadline = 0;
  std::int64_t timeout = -1;  // < 0: the default
  unsigned lane = actinium::kNormal;
  bool forever = false;
  int urgent = -1;  // < 0: by whether a time was named
  PyObject* sender = nullptr;
};

bool read_seconds(PyObject* value, const char* what, std::int64_t* ns, bool* forever) {
  const double seconds = PyFloat_AsDouble(value);
  if (seconds == -1.0 && PyErr_Occurred()) return false;
  if (std::isnan(seconds) || seconds < 0) {
    PyErr_Format(PyExc_ValueError, "%s must be 0 or more seconds, got %R", what, value);
    return false;
  }
  *forever = seconds > 9e9;
  *ns = *forever ? 0 : static_cast<std::int64_t>(seconds * 1e9);
  return true;
}

bool read_lane(PyObject* value, unsigned* lane) {
  for (unsigned i = 0; i < actinium::kLanes; i++) {
    if (value == s_lane[i]) {
      *lane = i;
      return true;
    }
  }
  for (unsigned i = 0; i < actinium::kLanes; i++) {
    const int same = PyUnicode_Check(value) ? PyUnicode_Compare(value, s_lane[i]) : 1;
    if (same == 0) {
      *lane = i;
      return true;
    }
  }
  PyErr_Format(PyExc_ValueError, "priority must be 'critical', 'high', 'normal' or 'low', got %R",
               value);
  return false;
}

bool read_options(Core* c, PyObject* const* values, PyObject* names, Options* out) {
  const Py_ssize_t n = names != nullptr ? PyTuple_GET_SIZE(names) : 0;
  for (Py_ssize_t i = 0; i < n; i++) {
    PyObject* name = PyTuple_GET_ITEM(names, i);
    PyObject* value = values[i];
    if (value == Py_None) continue;
    bool forever = false;
    if (PyUnicode_Compare(name, s_deadline) == 0) {
      std::int64_t ns;
      if (!read_seconds(value, "deadline", &ns, &forever)) return false;
      if (!forever) out->deadline = instant(core_now(c) + ns);
    } else if (PyUnicode_Compare(name, s_timeout) == 0) {
      if (!read_seconds(value, "timeout", &out->timeout, &out->forever)) return false;
    } else if (PyUnicode_Compare(name, s_priority) == 0) {
      if (!read_lane(value, &out->lane)) return false;
    } else if (PyUnicode_Compare(name, s_urgent) == 0) {
      out->urgent = value == Py_True ? 1 : 0;
    } else if (PyUnicode_Compare(name, s_sender) == 0) {
      out->sender = PyObject_TypeCheck(value, CellType) ? value : nullptr;
    } else {
      PyErr_Format(PyExc_TypeError, "unexpected keyword %R", name);
      return false;
    }
  }
  return true;
}

}  // namespace

Envelope* envelope_new(EnvelopeKind kind, PyObject* stream, std::int64_t deadline) {
  Envelope* e = PyObject_New(Envelope, EnvelopeType);
  if (e == nullptr) return nullptr;
  e->stream = Py_XNewRef(stream);
  e->deadline = deadline;
  e->count = 0;
  e->urgent = 0;
  e->kind = kind;
  return e;
}

namespace {

// False when memory ran out; uses up the item either way. On the shard's thread only.
inline bool put(Core* c, Cell* cell, Item& it) {
  if (!cell->box.push(it)) [[unlikely]] {
    item_release(it);
    return false;
  }
  cell->depth++;
  c->n_accepted++;
  make_ready(c, cell);
  return true;
}

}  // namespace

// A ref to an actor elsewhere has no mailbox; what its cell carries takes the message.
static PyObject* send_on(Cell* cell, Item& it, unsigned lane) {
  timer_arrived(it.extra);
  PyObject* number = PyLong_FromUnsignedLong(lane);
  PyObject* args[6] = {cell->extra,
                       reinterpret_cast<PyObject*>(cell),
                       it.msg,
                       it.sender ? reinterpret_cast<PyObject*>(it.sender) : Py_None,
                       it.extra ? it.extra : Py_None,
                       number};
  PyObject* put =
      PyObject_VectorcallMethod(s_forward, args, 6 | PY_VECTORCALL_ARGUMENTS_OFFSET, nullptr);
  Py_XDECREF(number);
  item_release(it);
  return put;
}

// hook(cell, msg, sender, extra, code) -> Put; uses up the item.
PyObject* refuse(Core* c, Cell* cell, Item& it, long code) {
  timer_arrived(it.extra);
  PyObject* number = PyLong_FromLong(code);
  PyObject* args[6] = {nullptr,
                       reinterpret_cast<PyObject*>(cell),
                       it.msg,
                       it.sender ? reinterpret_cast<PyObject*>(it.sender) : Py_None,
                       it.extra ? it.extra : Py_None,
                       number};
  PyObject* hook = hook_for_any_thread(c, &Core::hook_refused);
  PyObject* put = PyObject_Vectorcall(hook, args + 1, 5 | PY_VECTORCALL_ARGUMENTS_OFFSET, nullptr);
  Py_DECREF(hook);
  Py_XDECREF(number);
  item_release(it);
  return put;
}

// Puts an item into the mailbox, or says why not. Uses up the item; returns the Put.
PyObject* offer(Core* c, Cell* cell, Item& it, unsigned lane) {
#ifdef Py_GIL_DISABLED
  if (this_thread() != c->thread) return offer_across(c, cell, it, lane);
#endif
  if ((c->closing & kTapped) != 0) [[unlikely]] {
    PyObject* put = nullptr;
    if (tapped(c, cell, it, lane, &put)) return put;
  }
  return offer_untapped(c, cell, it, lane);
}

PyObject* offer_untapped(Core* c, Cell* cell, Item& it, unsigned lane) {
  const bool here = this_thread() == c->thread;
  const std::int64_t hurry = here && is_urgent(it) ? deadline_of(it) : 0;
  const bool outside = it.sender == nullptr && (c->closing & kClosing) != 0;
  if ((cell->state & (kClosed | kHeld)) != 0 || outside) [[unlikely]] {
    const bool held = (cell->state & kClosed) == 0 && !outside;
    return refuse(c, cell, it, held ? kIsHeld : kIsClosed);
  }
  if (cell->depth >= cell->straight) [[unlikely]] {
    if ((cell->state & kElsewhere) != 0) return send_on(cell, it, lane);
    return offer_guarded(c, cell, it, lane, hurry);
  }
  if (!here) [[unlikely]] {
    if (!send_across(c, cell, it, lane)) {
      item_release(it);
      return PyErr_NoMemory();
    }
    return Py_NewRef(c->accepted);
  }
  if (!cell->box.push(it, lane)) {
    item_release(it);
    return PyErr_NoMemory();
  }
  make_ready(c, cell);
  cell->depth++;
  c->n_accepted++;
  if (hurry != 0) note_urgent(c, cell, hurry);
  return Py_NewRef(c->accepted);
}

bool check_message_slow(Core* c, PyTypeObject* type) {
  if (!kOneThreadAtATime && this_thread() != c->thread) {
    Core* here = core_here(c);
    if (here != nullptr) return check_message(here, type);
  }
  PyObject* hook = hook_for_any_thread(c, &Core::hook_is_message);
  PyObject* yes = PyObject_CallOneArg(hook, reinterpret_cast<PyObject*>(type));
  Py_DECREF(hook);
  if (yes == nullptr) return false;
  Py_DECREF(yes);
  if (!kOneThreadAtATime && this_thread() != c->thread) return true;
  PyTypeObject*& slot = c->known_types[type_slot(type)];
  Py_INCREF(type);
  Py_XSETREF(slot, type);
  return true;
}

namespace {

// Whether a time that was named makes a message urgent: one that is shorter than the default.
bool in_less_than_usual(const Core* c, std::int64_t timeout) {
  return timeout >= 0 && timeout < c->ask_timeout_ns;
}

// Whether what is being handled is urgent; what it leads to then is too.
bool in_a_hurry(const Core* c) {
  if (c->current == nullptr || c->deadline == 0) return false;
  const Item* it = current_item(c, c->current);
  return it != nullptr && is_urgent(*it);
}

Cell* sender_now(Core* c, const Options& o) {
  if (o.sender != nullptr) return self_of(Py_NewRef(o.sender));
  return current_sender(c);
}

}  // namespace

PyObject* cell_tell(PyObject* o, PyObject* const* args, Py_ssize_t nargs, PyObject* names) {
  Cell* cell = self_of(o);
  Core* c = owner(cell);
  if (nargs != 1) {
    PyErr_Format(PyExc_TypeError, "tell() takes one message, got %zd", nargs);
    return nullptr;
  }
  PyObject* msg = args[0];
  if (!check_message(c, Py_TYPE(msg))) return nullptr;
  if (names == nullptr) [[likely]] {
    Item it{Py_NewRef(msg), current_sender(c), nullptr};
    if (this_thread() == c->thread && has_room(c, cell)) [[likely]] {
      return put(c, cell, it) ? Py_NewRef(c->accepted) : PyErr_NoMemory();
    }
    return offer(c, cell, it, actinium::kNormal);
  }
  Options options;
  if (!read_options(c, args + nargs, names, &options)) return nullptr;
  PyObject* extra = nullptr;
  if (options.deadline != 0) {
    extra = reinterpret_cast<PyObject*>(envelope_new(kTell, nullptr, options.deadline));
    if (extra == nullptr) return nullptr;
    reinterpret_cast<Envelope*>(extra)->urgent = options.urgent != 0;
  }
  Item it{Py_NewRef(msg), sender_now(c, options), extra};
  return offer(c, cell, it, options.lane);
}

// (message, sender or None) -> why a tell of it would be refused now; None: it would be taken.
PyObject* cell_refusal(PyObject* o, PyObject* const* args, Py_ssize_t nargs) {
  Cell* cell = self_of(o);
  Core* c = owner(cell);
  if (nargs != 2) {
    PyErr_SetString(PyExc_TypeError, "refusal() takes a message and its sender");
    return nullptr;
  }
  if ((cell->state & kClosed) != 0 || ((c->closing & kClosing) != 0 && c->current == nullptr)) {
    return PyLong_FromLong(kIsClosed);
  }
  if ((cell->state & kHeld) != 0) return PyLong_FromLong(kIsHeld);
  if (cell->depth < cell->straight) Py_RETURN_NONE;
  Cell* sender =
      PyObject_TypeCheck(args[1], CellType) ? self_of(Py_NewRef(args[1])) : current_sender(c);
  const long code = guarded_refusal(c, cell, Item{args[0], sender, nullptr}, actinium::kNormal);
  Py_XDECREF(reinterpret_cast<PyObject*>(sender));
  if (code == 0) Py_RETURN_NONE;
  return PyLong_FromLong(code);
}

PyObject* cell_ask(PyObject* o, PyObject* const* args, Py_ssize_t nargs, PyObject* names) {
  Cell* cell = self_of(o);
  Core* c = owner(cell);
  if (nargs < 1 || nargs > 2) {
    PyErr_Format(PyExc_TypeError, "ask() takes a message and a timeout, got %zd values", nargs);
    return nullptr;
  }
  PyObject* msg = args[0];
  if (!check_message(c, Py_TYPE(msg))) return nullptr;
  if (this_thread() != c->thread) {
    c = core_here(c);  // the asker's from here on
    if (c == nullptr) {
      PyErr_SetString(UsageError,
                      "ask() belongs to the thread of the system's event loop; from another "
                      "thread use ac.blocking(system).ask(ref, msg)");
      return nullptr;
    }
  }
  Options options;
  if (nargs == 2 && args[1] != Py_None &&
      !read_seconds(args[1], "timeout", &options.timeout, &options.forever)) {
    return nullptr;
  }
  if (names != nullptr && !read_options(c, args + nargs, names, &options)) return nullptr;
  Reply* r = reply_new(cell);
  if (r == nullptr) return nullptr;
  set_home(r, c);
  stays_here(c);
  const std::int64_t wait = options.timeout >= 0 ? options.timeout : c->ask_timeout_ns;
  if (!options.forever) {
    // A long timeout may come late by the coarse clock's slack, never early.
    const bool coarse = wait > 20 * kCoarseSlackNs && c->virtual_ns < 0;
    r->deadline = instant((coarse ? coarse_ns() + kCoarseSlackNs : core_now(c)) + wait);
  }
  if (options.deadline != 0 && (r->deadline == 0 || options.deadline < r->deadline)) {
    r->deadline = options.deadline;
  }
  if (c->current != nullptr && c->deadline != 0 &&
      (r->deadline == 0 || c->deadline < r->deadline)) {
    r->deadline = c->deadline;
    r->inherited = 1;
  }
  const bool named = in_less_than_usual(c, options.timeout) || options.deadline != 0;
  const bool hurry =
      options.urgent < 0 ? named || (r->inherited && in_a_hurry(c)) : options.urgent != 0;
  r->urgent = r->deadline != 0 && hurry;
  auto* reply = reinterpret_cast<PyObject*>(r);
  if ((!same_shard(c, cell) || (cell->state & kClosed) == 0) && r->deadline != 0) {
    reply_time(c, r, options.timeout < 0 && options.deadline == 0 && !r->inherited);
    if (!c->armed && !c->pumping) core_arm_timer(c);
  }
  Item it{Py_NewRef(msg), sender_now(c, options), Py_NewRef(reply)};
  if (options.lane == actinium::kNormal && r->urgent == 0 && same_shard(c, cell) &&
      has_room(c, cell)) [[likely]] {
    if (put(c, cell, it)) return reply;
    PyErr_NoMemory();
  } else {
    PyObject* outcome = offer(core_of(c, cell), cell, it, options.lane);
    if (outcome != nullptr) {
      Py_DECREF(outcome);
      return reply;
    }
  }
  Py_DECREF(reply);
  return nullptr;
}

// sleep(seconds) -> awaitable: on the shard's own timers, at a fraction of what the loop's cost.
PyObject* cell_sleep(PyObject* o, PyObject* seconds) {
  Cell* cell = self_of(o);
  Core* c = owner(cell);
  std::int64_t ns;
  bool forever;
  if (!read_seconds(seconds, "seconds", &ns, &forever)) return nullptr;
  if (this_thread() != c->thread) {
    PyErr_SetString(UsageError, "sleep() belongs to the thread of the system's event loop");
    return nullptr;
  }
  Reply* r = reply_new(cell);
  if (r == nullptr) return nullptr;
  stays_here(c);
  r->sleeping = 1;
  if (!forever) {
    r->deadline = instant(core_now(c) + ns - 1);  // an instant on a tick is due at that tick
    reply_time(c, r, false);
    if (!c->armed && !c->pumping) core_arm_timer(c);
  }
  return reinterpret_cast<PyObject*>(r);
}

// (msg, stream) -> Put: opens a stream; `stream` is what the generator's items go to.
PyObject* cell_open_stream(PyObject* o, PyObject* const* args, Py_ssize_t nargs) {
  Cell* cell = self_of(o);
  Core* c = owner(cell);
  if (nargs < 3 || nargs > 4) {
    PyErr_SetString(PyExc_TypeError,
                    "open_stream() takes a message, a stream, seconds and whether it is urgent");
    return nullptr;
  }
  if (!check_message(c, Py_TYPE(args[0])) || not_from_here(c, "stream()")) return nullptr;
  std::int64_t deadline = 0;
  bool forever = true;
  if (args[2] != Py_None && !read_seconds(args[2], "timeout", &deadline, &forever)) return nullptr;
  const bool named = !forever && in_less_than_usual(c, deadline);
  bool inherited = false;
  deadline = forever ? 0 : instant(core_now(c) + deadline);
  if (c->current != nullptr && c->deadline != 0 && (deadline == 0 || c->deadline < deadline)) {
    deadline = c->deadline;
    inherited = true;
  }
  Envelope* e = envelope_new(kStream, args[1], deadline);
  if (e == nullptr) return nullptr;
  stays_here(c);
  e->urgent = nargs == 4 ? args[3] == Py_True : named || (inherited && in_a_hurry(c));
  Item it{Py_NewRef(args[0]), current_sender(c), reinterpret_cast<PyObject*>(e)};
  return offer(c, cell, it, actinium::kNormal);
}

bool deliver_here(Core* c, Cell* cell, Item& it) {
  if (!cell->box.push(it)) {
    item_release(it);
    return false;
  }
  cell->depth++;
  c->n_accepted++;
  if (cell->straight == 0) [[unlikely]]
    message_delivered(c, cell, it.msg);
  make_ready(c, cell);
  return true;
}

// Signals of the runtime reach the mailbox whatever its bound (MB-3).
PyObject* cell_deliver(PyObject* o, PyObject* msg) {
  Cell* cell = self_of(o);
  if ((cell->state & kStopped) != 0) Py_RETURN_FALSE;
  Envelope* e = envelope_new(kNotice, nullptr, 0);
  if (e == nullptr) return nullptr;
  Item it{Py_NewRef(msg), nullptr, reinterpret_cast<PyObject*>(e)};
#ifdef Py_GIL_DISABLED
  if (this_thread() != owner(cell)->thread) {
    const Sent sent = send_in(nullptr, cell, it, actinium::kNormal, Inward::kNotice);
    if (sent == Sent::kYes) Py_RETURN_TRUE;
    if (sent != Sent::kHere) {
      item_release(it);
      if (sent == Sent::kClosed) Py_RETURN_FALSE;
      return PyErr_NoMemory();
    }
  }
#endif
  if (!deliver_here(owner(cell), cell, it)) return PyErr_NoMemory();
  Py_RETURN_TRUE;
}

// (msg, sender, extra): takes a message that was refused after all, whatever the bound.
PyObject* cell_admit(PyObject* o, PyObject* args) {
  Cell* cell = self_of(o);
  Core* c = owner(cell);
  PyObject *msg, *sender, *extra;
  if (!PyArg_ParseTuple(args, "OOO:admit", &msg, &sender, &extra)) return nullptr;
  Item it{Py_NewRef(msg), nullptr, extra != Py_None ? Py_NewRef(extra) : nullptr};
  if (PyObject_TypeCheck(sender, CellType)) it.sender = self_of(Py_NewRef(sender));
  const bool here = this_thread() == c->thread;
  if (here ? !cell->box.push(it) : !send_across(c, cell, it, actinium::kNormal)) {
    item_release(it);
    return PyErr_NoMemory();
  }
  cell->depth++;
  c->n_accepted++;
  if (cell->straight == 0) message_delivered(c, cell, msg);
  if (here) make_ready(c, cell);
  Py_RETURN_NONE;
}

namespace {

void envelope_dealloc(PyObject* o) {
  PyTypeObject* type = Py_TYPE(o);
  Py_XDECREF(reinterpret_cast<Envelope*>(o)->stream);
  PyObject_Free(o);
  Py_DECREF(type);
}

PyObject* envelope_stream(PyObject* o, void*) {
  PyObject* s = reinterpret_cast<Envelope*>(o)->stream;
  return Py_NewRef(s != nullptr ? s : Py_None);
}

PyObject* envelope_count(PyObject* o, void*) {
  return PyLong_FromUnsignedLong(reinterpret_cast<Envelope*>(o)->count);
}

PyObject* envelope_urgent(PyObject* o, void*) {
  return PyBool_FromLong(reinterpret_cast<Envelope*>(o)->urgent);
}

PyObject* envelope_deadline(PyObject* o, void*) {
  const std::int64_t ns = reinterpret_cast<Envelope*>(o)->deadline;
  if (ns == 0) Py_RETURN_NONE;
  return PyFloat_FromDouble(static_cast<double>(ns) / 1e9);
}

PyGetSetDef envelope_getset[] = {{"stream", envelope_stream, nullptr, nullptr, nullptr},
                                 {"deadline", envelope_deadline, nullptr, nullptr, nullptr},
                                 {"count", envelope_count, nullptr, nullptr, nullptr},
                                 {"urgent", envelope_urgent, nullptr, nullptr, nullptr},
                                 {nullptr, nullptr, nullptr, nullptr, nullptr}};

PyType_Slot envelope_slots[] = {
    {Py_tp_doc, const_cast<char*>("What a message carries beyond sender and value.")},
    {Py_tp_dealloc, reinterpret_cast<void*>(envelope_dealloc)},
    {Py_tp_getset, envelope_getset},
    {0, nullptr}};

PyType_Spec envelope_spec = {"actinium._native.Envelope", sizeof(Envelope), 0,
                             Py_TPFLAGS_DEFAULT | Py_TPFLAGS_DISALLOW_INSTANTIATION,
                             envelope_slots};

}  // namespace

int init_send(PyObject* module) {
  s_deadline = PyUnicode_InternFromString("deadline");
  s_priority = PyUnicode_InternFromString("priority");
  s_timeout = PyUnicode_InternFromString("timeout");
  s_sender = PyUnicode_InternFromString("sender");
  s_urgent = PyUnicode_InternFromString("urgent");
  s_forward = PyUnicode_InternFromString("forward");
  const char* lanes[] = {"critical", "high", "normal", "low"};
  for (int i = 0; i < actinium::kLanes; i++)
    s_lane[i] = PyUnicode_InternFromString(lanes[i]);
  return add_type(module, &EnvelopeType, &envelope_spec);
}

}  // namespace binding
