// The host's end of one block's rings: attaching, taking what comes back, and who waits for it.
//
// All of an end's state belongs to who holds the GIL (without one, its lock); the region's words
// are atomic. What a thread that waits in `ask_sync` or `tell_many` takes and is not its own is
// kept for the owner's `poll`, because a future may be answered on its loop's thread only.
#include "ring.hpp"

#include <unistd.h>

#include <algorithm>
#include <mutex>
#include <new>

#include "actinium/hlc.hpp"
#include "runtime.hpp"

namespace binding {

PyTypeObject* RingEndType;

namespace {

using actinium::gpu::Attached;
using actinium::gpu::Byte;
using actinium::gpu::Head;

constexpr std::uint32_t kMostAsks = 65536;
constexpr std::uint64_t kMaxSkewUs = 60'000'000;

actinium::DeviceClock host_clock;
std::mutex owned_lock;
std::vector<const void*> owned;  // host lines of blocks whose end somebody has
PyObject* s_set_result;
PyObject* s_done;

RingEnd* self_of(PyObject* o) { return reinterpret_cast<RingEnd*>(o); }

// Raises actinium.errors.<name> with a text.
void raise_named(const char* name, PyObject* text) {
  if (text == nullptr) return;
  PyObject* errors = PyImport_ImportModule("actinium.errors");
  PyObject* type = errors != nullptr ? PyObject_GetAttrString(errors, name) : nullptr;
  Py_XDECREF(errors);
  if (type != nullptr) PyErr_SetObject(type, text);
  Py_XDECREF(type);
  Py_DECREF(text);
}

void raise_attached(Attached what, const RingEnd* r, unsigned long long program) {
  const ac_config& c = r->region.config;
  switch (what) {
    case Attached::too_small:
      raise_named(
          "RegionCorrupt",
          PyUnicode_FromFormat("the region has %zd bytes, fewer than its configuration says "
                               "(%llu, and %zd of it alone)",
                               r->view.len, static_cast<unsigned long long>(c.size),
                               static_cast<Py_ssize_t>(sizeof c)));
      return;
    case Attached::bad_magic:
      raise_named("BadMagic",
                  PyUnicode_FromFormat("no region of this version starts with %llx; expected %llx",
                                       static_cast<unsigned long long>(c.magic),
                                       static_cast<unsigned long long>(AC_MAGIC)));
      return;
    case Attached::other_program: {
      PyObject* errors = PyImport_ImportModule("actinium.errors");
      PyObject* error =
          errors == nullptr
              ? nullptr
              : PyObject_CallMethod(errors, "LayoutMismatch", "ssKK", "ac_config", "program",
                                    program, static_cast<unsigned long long>(c.program));
      Py_XDECREF(errors);
      if (error != nullptr) raise_object(error);
      Py_XDECREF(error);
      return;
    }
    default:
      raise_named("RegionCorrupt",
                  PyUnicode_FromString("a count or an offset of the region's configuration is out "
                                       "of bounds; write geometry.config to its start"));
  }
}

Plan* known_kind(const RingEnd* r, std::uint16_t kind) {
  const auto found = std::lower_bound(
      r->kinds.begin(), r->kinds.end(), kind,
      [](const std::pair<std::uint16_t, Plan*>& a, std::uint16_t k) { return a.first < k; });
  return found != r->kinds.end() && found->first == kind ? found->second : nullptr;
}

// Bytes of data of a message that does not say so itself.
std::uint64_t size_of(RingEnd* r, const Head& h) {
  if (h.kind < AC_USER) return h.flags & AC_FLAG_BOUNCED ? 0 : AC_INLINE;
  if (h.flags & AC_FLAG_BOUNCED) {
    const Plan* plan = known_kind(r, h.kind);
    return plan != nullptr ? plan->size + (h.flags & AC_FLAG_SENDER ? 8u : 0u) : AC_INLINE;
  }
  if (h.flags & AC_FLAG_TOLD) {
    const Plan* plan = known_kind(r, h.kind);
    return plan != nullptr ? plan->size + 4 : AC_INLINE;
  }
  if (h.flags & AC_FLAG_ERROR) return 12;
  const Waiter* w = waiter_of(r, h.corr);
  return w == nullptr ? AC_INLINE : w->plan != nullptr ? w->plan->size : 0;
}

// (flags, kind, dest, corr, waiter, data, expires)
PyObject* event_of(const Head& h, PyObject* who, const Byte* data) {
  const unsigned long long expires = h.deadline != 0 ? (h.stamp >> 12) + h.deadline : 0;
  return Py_BuildValue("(IIIIOy#K)", unsigned{h.flags}, unsigned{h.kind}, unsigned{h.dest},
                       unsigned{h.corr}, who != nullptr ? who : Py_None,
                       reinterpret_cast<const char*>(data), static_cast<Py_ssize_t>(h.size),
                       expires);
}

int add_event(RingEnd* r, const Head& h, PyObject* who, const Byte* data) {
  PyObject* event = event_of(h, who, data);
  const int result = event != nullptr ? PyList_Append(r->events, event) : -1;
  Py_XDECREF(event);
  return result;
}

// Answers a future; on its own thread. Steals both.
void settle(How how, PyObject* who, PyObject* value) {
  if (how == How::kReply) {
    reply_set(reinterpret_cast<Reply*>(who), value);
  } else {
    PyObject* result;
    if (how == How::kFuture) {
      PyObject* done = PyObject_CallMethodNoArgs(who, s_done);
      if (done == Py_True) {
        result = done;
      } else {
        Py_XDECREF(done);
        result = done == nullptr ? nullptr : PyObject_CallMethodOneArg(who, s_set_result, value);
      }
    } else {
      result = PyObject_CallOneArg(who, value);
    }
    if (result == nullptr) report_unraisable(who);
    Py_XDECREF(result);
  }
  Py_DECREF(who);
  Py_DECREF(value);
}

void finish_sync(SyncWait* wait, PyObject* value, PyObject* event) {
  wait->value = value;
  wait->event = event;
  __atomic_store_n(&wait->done, std::uint8_t{1}, __ATOMIC_RELEASE);
}

int take_reply(RingEnd* r, const Head& h, const Byte* data, bool here) {
  Waiter* w = waiter_of(r, h.corr);
  if (w == nullptr) {
    r->late++;
    return 0;
  }
  const bool told = w->plan != nullptr && h.kind >= AC_USER;
  PyObject* value;
  if (h.kind < AC_USER) {
    value = PyBytes_FromStringAndSize(reinterpret_cast<const char*>(data),
                                      static_cast<Py_ssize_t>(h.size));
  } else if (!told) {
    value = Py_NewRef(Py_None);
  } else if (h.size < w->plan->size) {
    value = nullptr;
    PyErr_Format(PyExc_ValueError, "a reply of %u bytes came where %u are due", h.size,
                 w->plan->size);
  } else {
    value = plan_unpack(w->plan, data);
    w = waiter_of(r, h.corr);  // a class's own code may have run
    if (w == nullptr) {
      Py_XDECREF(value);
      PyErr_Clear();
      r->late++;
      return 0;
    }
  }
  const Waiter was = *w;
  waiter_free(r, h.corr);
  Py_XDECREF(reinterpret_cast<PyObject*>(was.plan));
  r->answered++;
  if (value == nullptr) {  // what came is reported as it is, with its waiter
    report_unraisable(nullptr);
    if (was.how == How::kSync) {
      finish_sync(was.sync, nullptr, event_of(h, nullptr, data));
      return was.sync->event != nullptr ? 0 : -1;
    }
    const int result = add_event(r, h, was.who, data);
    Py_DECREF(was.who);
    return result;
  }
  if (was.how == How::kSync) {
    finish_sync(was.sync, value, nullptr);
  } else if (here) {
    settle(was.how, was.who, value);
  } else {
    r->settled.push_back({was.who, value, was.how});
  }
  return 0;
}

// What is no plain answer: a fault, a bounced message, one that a handler told.
int take_event(RingEnd* r, const Head& h, const Byte* data) {
  Waiter* w =
      (h.flags & (AC_FLAG_REPLY | AC_FLAG_BOUNCED)) && h.corr != 0 && !(h.flags & AC_FLAG_TOLD)
          ? waiter_of(r, h.corr)
          : nullptr;
  if (w != nullptr && w->how == How::kSync) {
    const Waiter was = *w;
    waiter_free(r, h.corr);
    Py_XDECREF(reinterpret_cast<PyObject*>(was.plan));
    finish_sync(was.sync, nullptr, event_of(h, nullptr, data));
    if (was.sync->event == nullptr) return -1;
    if (h.flags & AC_FLAG_BOUNCED) return 0;
    return add_event(r, h, nullptr, data);  // a fault is its supervisor's business too
  }
  if (w != nullptr && (h.flags & AC_FLAG_REPLY) && !(h.flags & AC_FLAG_BOUNCED)) {
    const Waiter was = *w;
    waiter_free(r, h.corr);
    Py_XDECREF(reinterpret_cast<PyObject*>(was.plan));
    const int result = add_event(r, h, was.who, data);
    Py_DECREF(was.who);
    return result;
  }
  return add_event(r, h, nullptr, data);
}

void ring_dealloc(PyObject* o);

PyObject* ring_new(PyTypeObject* type, PyObject* args, PyObject* kwargs) {
  static const char* names[] = {"region", "block", "program", "kinds",
                                "failed", "wakes", "rings",   nullptr};
  PyObject *region, *kinds, *failed;
  unsigned int block;
  unsigned long long program;
  int wakes = 1, rings = 1;
  if (!PyArg_ParseTupleAndKeywords(args, kwargs, "OIKO!O|pp:RingEnd", const_cast<char**>(names),
                                   &region, &block, &program, &PyDict_Type, &kinds, &failed, &wakes,
                                   &rings)) {
    return nullptr;
  }
  PyObject* made = type->tp_alloc(type, 0);
  if (made == nullptr) return nullptr;
  RingEnd* r = self_of(made);
  new (&r->waiters) std::vector<Waiter>();
  new (&r->settled) std::vector<Settled>();
  new (&r->kinds) std::vector<std::pair<std::uint16_t, Plan*>>();
  new (&r->to) actinium::gpu::ToBlock();
  new (&r->from) actinium::gpu::FromBlock();
  new (&r->region) actinium::gpu::Region();
  r->notify = -1;
  r->first_free = r->last_free = kNone;
  r->block = block;
  r->wakes = wakes != 0;
  r->rings = rings != 0;
  r->failed = Py_NewRef(failed);
  r->events = PyList_New(0);
  if (r->events == nullptr || PyObject_GetBuffer(region, &r->view, PyBUF_WRITABLE) < 0) {
    Py_DECREF(made);
    return nullptr;
  }
  const Attached what = r->region.attach(static_cast<Byte*>(r->view.buf),
                                         static_cast<std::uint64_t>(r->view.len), program);
  if (what != Attached::ok) {
    raise_attached(what, r, program);
    Py_DECREF(made);
    return nullptr;
  }
  if (block >= r->region.config.blocks) {
    PyErr_Format(PyExc_IndexError, "the region has %u blocks, got number %u",
                 unsigned{r->region.config.blocks}, block);
    Py_DECREF(made);
    return nullptr;
  }
  Py_ssize_t at = 0;
  PyObject *kind, *plan;
  while (PyDict_Next(kinds, &at, &kind, &plan)) {
    const long number = PyLong_AsLong(kind);
    if (number < 0 || number > 0xFFFF || !Py_IS_TYPE(plan, PlanType)) {
      PyErr_Clear();
      PyErr_Format(PyExc_TypeError, "kinds must be {number: RecordPlan}, got %R: %R", kind, plan);
      Py_DECREF(made);
      return nullptr;
    }
    r->kinds.emplace_back(static_cast<std::uint16_t>(number),
                          reinterpret_cast<Plan*>(Py_NewRef(plan)));
  }
  std::sort(r->kinds.begin(), r->kinds.end());
  r->to.open(r->region, block);
  r->from.open(r->region, block);
  r->dev = reinterpret_cast<ac_dev_block*>(r->region.base + r->region.config.dev_blocks) + block;
  const std::lock_guard<std::mutex> lock(owned_lock);
  if (std::find(owned.begin(), owned.end(), r->dev) != owned.end()) {
    raise_named("RingOwned",
                PyUnicode_FromFormat("block %u of this region has a host end already; a ring has "
                                     "one producer and one consumer: use that end, or close it",
                                     block));
    Py_DECREF(made);
    return nullptr;
  }
  owned.push_back(r->dev);
  r->open = true;
  return made;
}

// Lets go of the region; returns the (number, waiter) of each ask that was not answered.
PyObject* close_end(RingEnd* r) {
  PyObject* left = PyList_New(0);
  if (r->poller != nullptr) poller_forget(r->poller, r);
  if (r->open) {
    r->open = false;
    const std::lock_guard<std::mutex> lock(owned_lock);
    owned.erase(std::find(owned.begin(), owned.end(), r->dev));
  }
  std::vector<Waiter> waiters = std::move(r->waiters);
  r->waiters.clear();
  r->first_free = r->last_free = kNone;
  r->in_flight = 0;
  for (std::size_t i = 0; i < waiters.size(); i++) {
    const Waiter& w = waiters[i];
    if (w.how == How::kFree) continue;
    Py_XDECREF(reinterpret_cast<PyObject*>(w.plan));
    if (w.how == How::kSync) {
      finish_sync(w.sync, nullptr, nullptr);
      continue;
    }
    PyObject* pair = left == nullptr
                         ? nullptr
                         : Py_BuildValue("(IO)", unsigned(w.generation) << 16 | unsigned(i), w.who);
    if (pair == nullptr || PyList_Append(left, pair) < 0) Py_CLEAR(left);
    Py_XDECREF(pair);
    Py_DECREF(w.who);
  }
  return left;
}

void ring_dealloc(PyObject* o) {
  PyTypeObject* type = Py_TYPE(o);
  RingEnd* r = self_of(o);
  PyObject* left = close_end(r);
  if (left == nullptr) PyErr_Clear();
  Py_XDECREF(left);
  for (const Settled& s : r->settled) {
    Py_DECREF(s.who);
    Py_DECREF(s.value);
  }
  for (const auto& kind : r->kinds)
    Py_DECREF(reinterpret_cast<PyObject*>(kind.second));
  r->settled.~vector();
  r->waiters.~vector();
  r->kinds.~vector();
  Py_XDECREF(r->events);
  Py_XDECREF(r->failed);
  PyBuffer_Release(&r->view);
  type->tp_free(o);
  Py_DECREF(type);
}

PyObject* method_close(PyObject* o, PyObject*) {
  PyObject* left;
  Py_BEGIN_CRITICAL_SECTION(o);
  left = close_end(self_of(o));
  Py_END_CRITICAL_SECTION();
  return left;
}

PyObject* method_poll(PyObject* o, PyObject* const* args, Py_ssize_t n) {
  long limit = 1024;
  if (n > 1) {
    PyErr_SetString(PyExc_TypeError, "poll(limit=1024)");
    return nullptr;
  }
  if (n == 1) {
    limit = PyLong_AsLong(args[0]);
    if (limit == -1 && PyErr_Occurred()) return nullptr;
  }
  PyObject* events = nullptr;
  Py_BEGIN_CRITICAL_SECTION(o);
  if (ring_usable(self_of(o))) {
    events = ring_poll(self_of(o), static_cast<int>(std::clamp(limit, 0l, 1l << 20)));
  }
  Py_END_CRITICAL_SECTION();
  return events;
}

PyObject* method_forget(PyObject* o, PyObject* number) {
  const unsigned long corr = PyLong_AsUnsignedLong(number);
  if (corr == static_cast<unsigned long>(-1) && PyErr_Occurred()) return nullptr;
  PyObject* who = nullptr;
  Py_BEGIN_CRITICAL_SECTION(o);
  RingEnd* r = self_of(o);
  const Waiter* w = corr <= 0xFFFFFFFFul ? waiter_of(r, static_cast<std::uint32_t>(corr)) : nullptr;
  if (w != nullptr && w->how != How::kSync) {
    who = w->who;
    Py_XDECREF(reinterpret_cast<PyObject*>(w->plan));
    waiter_free(r, static_cast<std::uint32_t>(corr));
  }
  Py_END_CRITICAL_SECTION();
  return who != nullptr ? who : Py_NewRef(Py_None);
}

PyObject* method_unread(PyObject* o, PyObject*) {
  PyObject* all = nullptr;
  Py_BEGIN_CRITICAL_SECTION(o);
  RingEnd* r = self_of(o);
  if (ring_usable(r)) {
    all = PyList_New(0);
    const std::uint32_t waiting = r->to.waiting();
    std::vector<Byte> data(std::size_t{r->to.lines()} * 48);
    for (std::uint32_t i = waiting; all != nullptr && i > 0; i--) {
      Head h = r->to.look(r->to.written() - i, data.data());
      const Plan* plan = h.kind >= AC_USER ? known_kind(r, h.kind) : nullptr;
      const std::uint32_t size =
          plan == nullptr ? 0 : plan->size + (h.flags & AC_FLAG_SENDER ? 8u : 0u);
      h.size = std::min(h.size, size);
      PyObject* event = event_of(h, nullptr, data.data());
      if (event == nullptr || PyList_Append(all, event) < 0) Py_CLEAR(all);
      Py_XDECREF(event);
    }
  }
  Py_END_CRITICAL_SECTION();
  return all;
}

PyObject* method_ring(PyObject* o, PyObject*) {
  RingEnd* r = self_of(o);
  if (!ring_usable(r)) return nullptr;
  ring_bell(r);
  Py_RETURN_NONE;
}

// (on): while it is on, the poller wakes the loop for room as it does for a message.
PyObject* method_want_room(PyObject* o, PyObject* on) {
  RingEnd* r = self_of(o);
  Py_BEGIN_CRITICAL_SECTION(o);
  __atomic_store_n(&r->full_at, r->to.written(), __ATOMIC_RELAXED);
  __atomic_store_n(&r->wants, static_cast<std::uint8_t>(on == Py_True), __ATOMIC_RELEASE);
  if (on == Py_True && r->poller != nullptr) poller_look(r->poller);
  Py_END_CRITICAL_SECTION();
  Py_RETURN_NONE;
}

PyObject* method_stats(PyObject* o, PyObject*) {
  PyObject* all = nullptr;
  Py_BEGIN_CRITICAL_SECTION(o);
  RingEnd* r = self_of(o);
  if (ring_usable(r)) {
    all = Py_BuildValue("{sIsIsIsIsKsKsK}", "put", unsigned{r->to.written()}, "taken",
                        unsigned{r->from.read()}, "waiting", unsigned{r->to.waiting()}, "in_flight",
                        unsigned{r->in_flight}, "answered",
                        static_cast<unsigned long long>(r->answered), "late",
                        static_cast<unsigned long long>(r->late), "waited_ns",
                        static_cast<unsigned long long>(r->waited_ns));
  }
  Py_END_CRITICAL_SECTION();
  return all;
}

PyObject* get_room(PyObject* o, void*) {
  RingEnd* r = self_of(o);
  return ring_usable(r) ? PyLong_FromUnsignedLong(r->to.room()) : nullptr;
}
PyObject* get_ready(PyObject* o, void*) {
  RingEnd* r = self_of(o);
  return ring_usable(r) ? PyBool_FromLong(r->from.ready()) : nullptr;
}
PyObject* get_block(PyObject* o, void*) { return PyLong_FromUnsignedLong(self_of(o)->block); }

PyMethodDef methods[] = {
    {"tell", method(ring_tell), METH_FASTCALL,
     "tell(dest, plan, message, sender=0, expires=0): False when the ring is full."},
    {"tell_many", method(ring_tell_many), METH_VARARGS | METH_KEYWORDS,
     "Packed records or messages, in order; returns how many were put."},
    {"put", method(ring_put), METH_VARARGS | METH_KEYWORDS,
     "A message as bytes, or a command: False when the ring is full."},
    {"ask", method(ring_ask), METH_FASTCALL,
     "ask(dest, plan, message, reply, waiter, sender=0, expires=0): the ask's number, 0 when "
     "full."},
    {"ask_sync", method(ring_ask_sync), METH_FASTCALL,
     "ask_sync(dest, plan, message, reply, timeout): the reply; blocks this thread."},
    {"poll", method(method_poll), METH_FASTCALL,
     "Takes up to `limit` messages: answers asks, returns all else as events."},
    {"forget", method_forget, METH_O, "Gives an ask up; its waiter, or None if it was answered."},
    {"ring", method_ring, METH_NOARGS, "Wakes the block if it sleeps."},
    {"want_room", method_want_room, METH_O,
     "want_room(on): has the poller wake the loop once the ring has room."},
    {"unread", method_unread, METH_NOARGS, "The messages that the block has not taken, as events."},
    {"stats", method_stats, METH_NOARGS, "Counts of this end."},
    {"close", method_close, METH_NOARGS,
     "Lets go of the block; the (number, waiter) of each unanswered ask."},
    {nullptr, nullptr, 0, nullptr}};

PyGetSetDef getset[] = {{"room", get_room, nullptr, "Free slots towards the block.", nullptr},
                        {"ready", get_ready, nullptr, "Whether something has come.", nullptr},
                        {"block", get_block, nullptr, "Number of the block.", nullptr},
                        {nullptr, nullptr, nullptr, nullptr, nullptr}};

PyType_Slot slots[] = {{Py_tp_doc, const_cast<char*>("The host's end of one block's rings.")},
                       {Py_tp_new, reinterpret_cast<void*>(ring_new)},
                       {Py_tp_dealloc, reinterpret_cast<void*>(ring_dealloc)},
                       {Py_tp_methods, methods},
                       {Py_tp_getset, getset},
                       {0, nullptr}};

PyType_Spec spec = {"actinium._native.RingEnd", sizeof(RingEnd), 0, Py_TPFLAGS_DEFAULT, slots};

}  // namespace

std::uint64_t wall_us() {
  timespec t;
  clock_gettime(CLOCK_REALTIME, &t);
  return static_cast<std::uint64_t>(t.tv_sec) * 1'000'000 +
         static_cast<std::uint64_t>(t.tv_nsec) / 1000;
}

bool ring_usable(RingEnd* r) {
  if (r->open) return true;
  PyErr_SetString(UsageError, "this end of a ring was closed");
  return false;
}

void ring_bell(RingEnd* r) {
  if (r->to.must_ring()) futex_wake(r->to.ring());
}

void ring_stamp(Head& h, std::uint64_t expires) {
  const std::uint64_t now = wall_us();
  h.flags = static_cast<std::uint16_t>(h.flags | AC_FLAG_STAMPED);
  h.stamp = host_clock.tick(now);
  const std::uint64_t from = h.stamp >> 12;
  if (expires != 0) {
    const std::uint64_t left = expires > from ? expires - from : 1;
    h.deadline = static_cast<std::uint32_t>(std::min<std::uint64_t>(left, 0xFFFFFFFFu));
  }
}

std::uint32_t waiter_new(RingEnd* r) {
  if (r->first_free == kNone) {
    const std::size_t before = r->waiters.size();
    if (before >= kMostAsks) {
      raise_named("TooManyInFlight",
                  PyUnicode_FromFormat("%u asks of block %u wait for their replies; await some of "
                                       "them first, or give asks a shorter timeout",
                                       kMostAsks, r->block));
      return 0;
    }
    const std::size_t now = before == 0 ? 64 : before * 2;
    r->waiters.resize(now);
    for (std::size_t i = before; i < now; i++) {
      Waiter& w = r->waiters[i];
      w = {};
      w.generation = 1;
      w.next = i + 1 < now ? static_cast<std::uint32_t>(i + 1) : kNone;
    }
    r->first_free = static_cast<std::uint32_t>(before);
    r->last_free = static_cast<std::uint32_t>(now - 1);
  }
  const std::uint32_t i = r->first_free;
  r->first_free = r->waiters[i].next;
  if (r->first_free == kNone) r->last_free = kNone;
  r->in_flight++;
  return std::uint32_t{r->waiters[i].generation} << 16 | i;
}

Waiter* waiter_of(RingEnd* r, std::uint32_t corr) {
  const std::uint32_t i = corr & 0xFFFF;
  if (i >= r->waiters.size()) return nullptr;
  Waiter& w = r->waiters[i];
  return w.how != How::kFree && w.generation == corr >> 16 ? &w : nullptr;
}

// The longest free goes first, so that a number is used again as late as can be.
void waiter_free(RingEnd* r, std::uint32_t corr) {
  const std::uint32_t i = corr & 0xFFFF;
  Waiter& w = r->waiters[i];
  w.how = How::kFree;
  w.generation = static_cast<std::uint16_t>(w.generation == 0xFFFF ? 1 : w.generation + 1);
  w.next = kNone;
  (r->first_free == kNone ? r->first_free : r->waiters[r->last_free].next) = i;
  r->last_free = i;
  r->in_flight--;
}

int ring_drain(RingEnd* r, int limit, bool here) {
  constexpr std::size_t kSmall = 1024;
  alignas(16) Byte small[kSmall];
  Byte* data = small;
  if (r->from.data_room() > kSmall) {
    data = static_cast<Byte*>(PyMem_Malloc(r->from.data_room()));
    if (data == nullptr) {
      PyErr_NoMemory();
      return -1;
    }
  }
  int n = 0, failed = 0;
  while (n < limit && failed == 0 && r->open) {
    Head h;
    if (!r->from.take(h, data, [r](const Head& head) { return size_of(r, head); })) break;
    n++;
    if ((h.flags & AC_FLAG_STAMPED) && !(h.flags & AC_FLAG_BOUNCED)) {
      const std::uint64_t now = wall_us();
      if ((h.stamp >> 12) <= now + kMaxSkewUs) host_clock.merge(h.stamp, now);  // HC-3
    }
    constexpr unsigned kinds = AC_FLAG_REPLY | AC_FLAG_ERROR | AC_FLAG_BOUNCED | AC_FLAG_TOLD;
    failed =
        (h.flags & kinds) == AC_FLAG_REPLY ? take_reply(r, h, data, here) : take_event(r, h, data);
  }
  if (n < limit && here) r->from.post();  // idle: all credit there is
  if (data != small) PyMem_Free(data);
  if (!here && r->notify >= 0 && (PyList_GET_SIZE(r->events) > 0 || !r->settled.empty())) {
    const std::uint64_t one = 1;
    [[maybe_unused]] const auto written = write(r->notify, &one, sizeof one);
  }
  return failed == 0 ? n : -1;
}

PyObject* ring_poll(RingEnd* r, int limit) {
  std::vector<Settled> settled = std::move(r->settled);
  r->settled.clear();
  for (const Settled& s : settled)
    settle(s.how, s.who, s.value);
  if (ring_drain(r, limit, true) < 0) return nullptr;
  if (PyList_GET_SIZE(r->events) == 0) return PyList_New(0);
  PyObject* fresh = PyList_New(0);
  if (fresh == nullptr) return nullptr;
  PyObject* events = r->events;
  r->events = fresh;
  return events;
}

int init_ring(PyObject* module) {
  s_set_result = PyUnicode_InternFromString("set_result");
  s_done = PyUnicode_InternFromString("done");
  if (s_set_result == nullptr || s_done == nullptr) return -1;
  return add_type(module, &RingEndType, &spec);
}

}  // namespace binding
