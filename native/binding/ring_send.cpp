// Sending through the host's end of a ring: one message, many, and asks that wait here.
#include <atomic>
#include <cstring>

#include "ring.hpp"
#include "runtime.hpp"

namespace binding {

namespace {

using actinium::gpu::Byte;
using actinium::gpu::Head;

constexpr std::int64_t kHeldSpinNs = 5'000;    // holding the GIL
constexpr std::int64_t kFreeSpinNs = 20'000;   // without it
constexpr std::int64_t kSleepNs = 10'000'000;  // at most, then it looks whether the block lives
constexpr Py_ssize_t kTurn = 8191;             // messages after which other threads may run
constexpr std::int64_t kForEver = std::int64_t{1} << 62;

RingEnd* self_of(PyObject* o) { return reinterpret_cast<RingEnd*>(o); }

inline void pause() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#endif
}

// Bytes of a message being built: on the stack while they are few. The tail up to a whole chunk
// is there too.
class Room {
 public:
  explicit Room(std::size_t size) {
    if (size + 16 > sizeof small_) at_ = static_cast<Byte*>(PyMem_Malloc(size + 16));
    if (at_ == nullptr) {
      PyErr_NoMemory();
      return;
    }
    std::memset(at_ + size, 0, 16);
  }
  Room(const Room&) = delete;
  Room& operator=(const Room&) = delete;
  ~Room() {
    if (at_ != small_) PyMem_Free(at_);
  }
  Byte* at() { return at_; }

 private:
  alignas(16) Byte small_[512];
  Byte* at_ = small_;
};

bool number(PyObject* o, std::uint32_t* to) {
  const unsigned long n = PyLong_AsUnsignedLong(o);
  if (n == static_cast<unsigned long>(-1) && PyErr_Occurred()) return false;
  if (n > 0xFFFFFFFFul) {
    PyErr_Format(PyExc_OverflowError, "expected a number of 32 bits, got %R", o);
    return false;
  }
  *to = static_cast<std::uint32_t>(n);
  return true;
}

bool wide_number(PyObject* o, std::uint64_t* to) {
  *to = PyLong_AsUnsignedLongLong(o);
  return !(*to == ~std::uint64_t{0} && PyErr_Occurred());
}

Plan* plan_in(PyObject* o) {
  if (Py_IS_TYPE(o, PlanType)) return reinterpret_cast<Plan*>(o);
  PyErr_Format(PyExc_TypeError, "expected a RecordPlan, got %R", o);
  return nullptr;
}

bool fits(RingEnd* r, std::uint32_t size) {
  if (actinium::gpu::lines_for(size, r->region.config.stamped != 0) <= r->to.lines()) return true;
  PyErr_Format(UsageError,
               "a message of %u bytes does not fit a slot of %u lines; make the region "
               "with in_bytes=%u",
               size, r->to.lines(), size);
  return false;
}

// A message with its sender and its head but for the number.
struct Outgoing {
  Head head;
  std::uint64_t sender = 0, expires = 0;
};

// The bytes of a message, at the place that its sender leaves.
bool build(RingEnd* r, Plan* plan, PyObject* message, Outgoing* out, Byte* to) {
  Head& h = out->head;
  h.kind = plan->kind;
  h.size = plan->size;
  std::size_t at = 0;
  if (out->sender != 0) {
    std::memcpy(to, &out->sender, 8);
    h.flags = AC_FLAG_SENDER;
    h.size += 8;
    at = 8;
  }
  if (message != nullptr && plan_pack(plan, message, to + at) < 0) return false;
  return ring_usable(r);  // a message's own code may have closed it
}

void send(RingEnd* r, Outgoing& out, const Byte* data) {
  if (r->region.config.stamped) ring_stamp(out.head, out.expires);
  r->to.put(out.head, data);
}

bool optional(PyObject* const* args, Py_ssize_t n, Py_ssize_t from, Outgoing* out) {
  return (n <= from || wide_number(args[from], &out->sender)) &&
         (n <= from + 1 || wide_number(args[from + 1], &out->expires));
}

PyObject* tell(RingEnd* r, PyObject* const* args, Py_ssize_t n) {
  Outgoing out;
  Plan* plan;
  if (!ring_usable(r) || !number(args[0], &out.head.dest) || (plan = plan_in(args[1])) == nullptr ||
      !optional(args, n, 3, &out) || !fits(r, plan->size + (out.sender != 0 ? 8u : 0u))) {
    return nullptr;
  }
  Room room(std::size_t{plan->size} + 8);
  if (room.at() == nullptr || !build(r, plan, args[2], &out, room.at())) return nullptr;
  if (!r->to.has_room()) Py_RETURN_FALSE;
  send(r, out, room.at());
  if (r->rings) ring_bell(r);
  Py_RETURN_TRUE;
}

// Puts an ask; its number, 0 when the ring is full, or kNone with an exception set.
std::uint32_t put_ask(RingEnd* r, Outgoing& out, Plan* plan, PyObject* message) {
  const std::uint32_t bytes = plan->size + (out.sender != 0 ? 8u : 0u);
  if (!fits(r, bytes)) return kNone;
  Room room(std::size_t{plan->size} + 8);
  if (room.at() == nullptr || !build(r, plan, message, &out, room.at())) return kNone;
  if (!r->to.has_room()) return 0;
  const std::uint32_t corr = waiter_new(r);
  if (corr == 0) return kNone;
  out.head.corr = corr;
  send(r, out, room.at());
  return corr;
}

How how_of(PyObject* who) {
  if (Py_IS_TYPE(who, ReplyType)) return How::kReply;
  return PyObject_HasAttrString(who, "set_result") ? How::kFuture : How::kCall;
}

PyObject* ask(RingEnd* r, PyObject* const* args, Py_ssize_t n) {
  Outgoing out;
  Plan* plan;
  Plan* reply = nullptr;
  if (!ring_usable(r) || !number(args[0], &out.head.dest) || (plan = plan_in(args[1])) == nullptr ||
      (args[3] != Py_None && (reply = plan_in(args[3])) == nullptr) ||
      !optional(args, n, 5, &out)) {
    return nullptr;
  }
  const How how = how_of(args[4]);
  const std::uint32_t corr = put_ask(r, out, plan, args[2]);
  if (corr == kNone) return nullptr;
  if (corr != 0) {
    Waiter& w = r->waiters[corr & 0xFFFF];
    w.how = how;
    w.who = Py_NewRef(args[4]);
    w.plan = reinterpret_cast<Plan*>(Py_XNewRef(reinterpret_cast<PyObject*>(reply)));
    if (r->rings) ring_bell(r);
  }
  return PyLong_FromUnsignedLong(corr);
}

bool block_ended(const RingEnd* r) {
  const std::uint32_t state = __atomic_load_n(&r->dev->state, __ATOMIC_ACQUIRE);
  return state == AC_STATE_ENDED || state == AC_STATE_ORPHANED;
}

// Sleeps until something comes back or `done` is set; at most so long. Without the GIL.
void sleep_for_reply(RingEnd* r, const std::uint8_t* done, std::int64_t ns) {
  if (!r->wakes) {
    timespec nap = {0, static_cast<long>(ns < 20'000 ? ns : 20'000)};
    nanosleep(&nap, nullptr);
    return;
  }
  std::uint32_t* const bell = &r->dev->bell;
  std::uint32_t* const parked = &r->region.host()->parked;
  const std::uint32_t rung = __atomic_load_n(bell, __ATOMIC_ACQUIRE);
  __atomic_fetch_add(parked, 1u, __ATOMIC_SEQ_CST);
  if (!r->from.ready() && __atomic_load_n(done, __ATOMIC_ACQUIRE) == 0) {
    futex_wait(bell, rung, ns < kSleepNs ? ns : kSleepNs);
  }
  __atomic_fetch_sub(parked, 1u, __ATOMIC_SEQ_CST);
}

// Looks a few times: in the own cache that takes a tenth of a pause, which may come just too late.
bool ready_soon(const RingEnd* r) {
  for (int i = 0; i < 16; i++) {
    if (r->from.ready()) return true;
  }
  return false;
}

// The rest of ask_sync: 1 answered, 0 the time is over, -1 with an exception set.
int wait_for_reply(RingEnd* r, SyncWait* wait, std::int64_t timeout) {
  std::int64_t began = 0;  // no clock is read for a reply that comes at once
  // None can be there yet, and a look would take the slot away from the block that writes it.
  pause();
  for (unsigned i = 1; wait->done == 0; i++) {
    if (ready_soon(r)) {
      if (ring_drain(r, 1, false) < 0) return -1;  // it is most likely the one
      continue;
    }
    if ((i & 15) == 0) {
      const std::int64_t now = monotonic_ns();
      if (began == 0) {
        began = now;
      } else if (now - began >= kHeldSpinNs) {
        break;
      }
    }
    pause();
  }
  if (wait->done != 0) return 1;
  const std::int64_t until = timeout < kForEver ? began + timeout : kForEver;
  r->from.post();
  while (__atomic_load_n(&wait->done, __ATOMIC_ACQUIRE) == 0) {
    const std::int64_t now = monotonic_ns();
    if (now >= until) return 0;
    if (block_ended(r) && !r->from.ready()) return 0;
    Py_BEGIN_ALLOW_THREADS;
    const std::int64_t spin_end = now + kFreeSpinNs;
    while (!r->from.ready() && __atomic_load_n(&wait->done, __ATOMIC_ACQUIRE) == 0) {
      if (monotonic_ns() >= spin_end) {
        sleep_for_reply(r, &wait->done, until - now);
        break;
      }
      for (int i = 0; i < 16; i++)
        pause();
    }
    Py_END_ALLOW_THREADS;
    if (PyErr_CheckSignals() < 0) return -1;
    if (!r->open) return wait->done != 0;
    if (ring_drain(r, 64, false) < 0) return -1;
  }
  return 1;
}

// Waits until a slot is free: 1, 0 the time is over or the block has ended, -1 an exception.
int wait_for_room(RingEnd* r, std::int64_t until) {
  ring_bell(r);
  const std::int64_t began = monotonic_ns();
  int result = 1;
  // Credit comes for many slots at once, so it is worth a short wait with the GIL.
  for (unsigned i = 0; !r->to.has_room() && !r->from.ready(); i++) {
    if ((i & 31) == 31 && monotonic_ns() - began >= kHeldSpinNs) break;
    pause();
  }
  while (!r->to.has_room()) {
    const std::int64_t now = monotonic_ns();
    if (now >= until || block_ended(r)) {
      result = 0;
      break;
    }
    r->from.post();  // the block may wait for room itself
    const std::uint32_t written = r->to.written(), capacity = r->to.capacity();
    const auto full = [r, written, capacity] {
      return written - __atomic_load_n(&r->dev->h2k_read, __ATOMIC_ACQUIRE) >= capacity;
    };
    Py_BEGIN_ALLOW_THREADS;
    const std::int64_t spin_end = now + kFreeSpinNs;
    while (full() && !r->from.ready()) {
      if (monotonic_ns() >= spin_end) {
        timespec nap = {0, 20'000};
        nanosleep(&nap, nullptr);
        break;
      }
      for (int i = 0; i < 16; i++)
        pause();
    }
    Py_END_ALLOW_THREADS;
    if (PyErr_CheckSignals() < 0 || !ring_usable(r)) {
      result = -1;
      break;
    }
    if (ring_drain(r, 1024, false) < 0) {
      result = -1;
      break;
    }
  }
  r->waited_ns += static_cast<std::uint64_t>(monotonic_ns() - began);
  return result;
}

PyObject* fail(RingEnd* r, PyObject* event) {
  PyObject* result = PyObject_CallOneArg(r->failed, event);
  Py_DECREF(event);
  return result;
}

// Nanoseconds; -1 with an exception set.
std::int64_t timeout_in(PyObject* timeout) {
  if (timeout == Py_None) return kForEver;
  const double seconds = PyFloat_AsDouble(timeout);
  if (seconds == -1.0 && PyErr_Occurred()) return -1;
  if (!(seconds >= 0)) {
    PyErr_Format(PyExc_ValueError, "a timeout is 0 or more seconds, got %R", timeout);
    return -1;
  }
  return seconds > 1e9 ? kForEver : static_cast<std::int64_t>(seconds * 1e9);
}

std::int64_t deadline_after(std::int64_t timeout) {
  return timeout < kForEver ? monotonic_ns() + timeout : kForEver;
}

PyObject* ask_sync(RingEnd* r, PyObject* const* args) {
  Outgoing out;
  Plan* plan;
  Plan* reply = nullptr;
  if (!ring_usable(r) || !number(args[0], &out.head.dest) || (plan = plan_in(args[1])) == nullptr ||
      (args[3] != Py_None && (reply = plan_in(args[3])) == nullptr)) {
    return nullptr;
  }
  const std::int64_t timeout = timeout_in(args[4]);
  if (timeout < 0) return nullptr;
  if (!r->to.has_room() && wait_for_room(r, deadline_after(timeout)) < 0) return nullptr;
  if (r->poller != nullptr) poller_rest(r->poller);
  const std::uint32_t corr = put_ask(r, out, plan, args[2]);
  if (corr == kNone) return nullptr;
  if (corr == 0) return fail(r, PyUnicode_FromString(block_ended(r) ? "ended" : "full"));
  SyncWait wait;
  Waiter& w = r->waiters[corr & 0xFFFF];
  w.how = How::kSync;
  w.sync = &wait;
  w.plan = reinterpret_cast<Plan*>(Py_XNewRef(reinterpret_cast<PyObject*>(reply)));
  ring_bell(r);
  const int answered = wait_for_reply(r, &wait, timeout);
  if (wait.done == 0) {  // nobody may write to this stack any more
    Py_XDECREF(reinterpret_cast<PyObject*>(reply));
    waiter_free(r, corr);
  }
  if (answered < 0) {
    Py_XDECREF(wait.value);
    Py_XDECREF(wait.event);
    return nullptr;
  }
  if (wait.value != nullptr) return wait.value;
  if (wait.event != nullptr) return fail(r, wait.event);
  return fail(r, PyUnicode_FromString(!r->open || block_ended(r) ? "ended" : "timeout"));
}

// Packed records, one after another.
Py_ssize_t tell_packed(RingEnd* r, Outgoing& out, Plan* plan, const Py_buffer& view,
                       std::int64_t until) {
  if (view.len % static_cast<Py_ssize_t>(plan->size) != 0) {
    PyErr_Format(PyExc_ValueError, "packed messages of %u bytes each, got %zd bytes", plan->size,
                 view.len);
    return -1;
  }
  Room room(std::size_t{plan->size} + 8);
  if (room.at() == nullptr || !build(r, plan, nullptr, &out, room.at())) return -1;
  Byte* const to = room.at() + (out.sender != 0 ? 8 : 0);
  const Byte* from = static_cast<const Byte*>(view.buf);
  const Py_ssize_t all = view.len / static_cast<Py_ssize_t>(plan->size);
  for (Py_ssize_t i = 0; i < all; i++, from += plan->size) {
    if (!r->to.has_room()) {
      const int room_now = wait_for_room(r, until);
      if (room_now <= 0) return room_now < 0 ? -1 : i;
    }
    std::memcpy(to, from, plan->size);
    send(r, out, room.at());
    if ((i & 255) == 255) ring_bell(r);
    if ((i & kTurn) == kTurn) {
      Py_BEGIN_ALLOW_THREADS;
      Py_END_ALLOW_THREADS;
      if (PyErr_CheckSignals() < 0 || !ring_usable(r)) return -1;
    }
  }
  ring_bell(r);
  return all;
}

Py_ssize_t tell_each(RingEnd* r, Outgoing& out, Plan* plan, PyObject* messages,
                     std::int64_t until) {
  PyObject* iterator = PyObject_GetIter(messages);
  if (iterator == nullptr) return -1;
  Py_ssize_t count = 0;
  PyObject* message;
  while ((message = PyIter_Next(iterator)) != nullptr) {
    Room room(std::size_t{plan->size} + 8);
    const bool built = room.at() != nullptr && build(r, plan, message, &out, room.at());
    Py_DECREF(message);
    const int room_now = !built ? -1 : r->to.has_room() ? 1 : wait_for_room(r, until);
    if (room_now <= 0) {
      Py_DECREF(iterator);
      return room_now < 0 ? -1 : count;
    }
    send(r, out, room.at());
    if ((++count & 255) == 0) ring_bell(r);
  }
  Py_DECREF(iterator);
  ring_bell(r);
  return PyErr_Occurred() ? -1 : count;
}

bool counted(Py_ssize_t n, Py_ssize_t least, Py_ssize_t most, const char* usage) {
  if (n >= least && n <= most) return true;
  PyErr_Format(PyExc_TypeError, "%s: got %zd arguments", usage, n);
  return false;
}

}  // namespace

PyObject* ring_tell(PyObject* o, PyObject* const* args, Py_ssize_t n) {
  if (!counted(n, 3, 5, "tell(dest, plan, message, sender=0, expires=0)")) return nullptr;
  PyObject* result;
  Py_BEGIN_CRITICAL_SECTION(o);
  result = tell(self_of(o), args, n);
  Py_END_CRITICAL_SECTION();
  return result;
}

PyObject* ring_ask(PyObject* o, PyObject* const* args, Py_ssize_t n) {
  if (!counted(n, 5, 7, "ask(dest, plan, message, reply, waiter, sender=0, expires=0)")) {
    return nullptr;
  }
  PyObject* result;
  Py_BEGIN_CRITICAL_SECTION(o);
  result = ask(self_of(o), args, n);
  Py_END_CRITICAL_SECTION();
  return result;
}

PyObject* ring_ask_sync(PyObject* o, PyObject* const* args, Py_ssize_t n) {
  if (!counted(n, 5, 5, "ask_sync(dest, plan, message, reply, timeout)")) return nullptr;
  PyObject* result;
  Py_BEGIN_CRITICAL_SECTION(o);
  result = ask_sync(self_of(o), args);
  Py_END_CRITICAL_SECTION();
  return result;
}

PyObject* ring_tell_many(PyObject* o, PyObject* args, PyObject* kwargs) {
  static const char* names[] = {"dest", "plan", "messages", "timeout", "sender", nullptr};
  RingEnd* r = self_of(o);
  unsigned int dest;
  unsigned long long sender = 0;
  PyObject *described, *messages, *timeout = Py_None;
  if (!PyArg_ParseTupleAndKeywords(args, kwargs, "IOO|OK:tell_many", const_cast<char**>(names),
                                   &dest, &described, &messages, &timeout, &sender)) {
    return nullptr;
  }
  Plan* const plan = plan_in(described);
  const std::int64_t patience = plan != nullptr ? timeout_in(timeout) : -1;
  if (patience < 0) return nullptr;
  const std::int64_t until = deadline_after(patience);
  Outgoing out;
  out.head.dest = dest;
  out.sender = sender;
  Py_ssize_t put = -1;
  Py_BEGIN_CRITICAL_SECTION(o);
  if (ring_usable(r) && fits(r, plan->size + (sender != 0 ? 8u : 0u))) {
    if (PyObject_CheckBuffer(messages)) {
      Py_buffer view;
      if (PyObject_GetBuffer(messages, &view, PyBUF_SIMPLE) == 0) {
        put = tell_packed(r, out, plan, view, until);
        PyBuffer_Release(&view);
      }
    } else {
      put = tell_each(r, out, plan, messages, until);
    }
  }
  Py_END_CRITICAL_SECTION();
  return put < 0 ? nullptr : PyLong_FromSsize_t(put);
}

// put(kind, dest, data=b"", corr=0, waiter=None, flags=0, expires=0): the number of the ask, which
// is `corr` itself for one that is under way, and -1 for a tell; 0 when the ring is full.
PyObject* ring_put(PyObject* o, PyObject* args, PyObject* kwargs) {
  static const char* names[] = {"kind",   "dest",  "data",    "corr",
                                "waiter", "flags", "expires", nullptr};
  RingEnd* r = self_of(o);
  unsigned int kind, dest, corr = 0, flags = 0;
  unsigned long long expires = 0;
  PyObject* waiter = Py_None;
  Py_buffer view = {};
  if (!PyArg_ParseTupleAndKeywords(args, kwargs, "II|y*IOIK:put", const_cast<char**>(names), &kind,
                                   &dest, &view, &corr, &waiter, &flags, &expires)) {
    return nullptr;
  }
  long long result = -2;
  const auto size = static_cast<std::uint32_t>(view.len);
  Py_BEGIN_CRITICAL_SECTION(o);
  Room room(view.len < (1 << 30) ? size : 0);
  if (kind > 0xFFFF || flags & ~unsigned{AC_FLAG_SENDER} || view.len >= 1 << 30) {
    PyErr_SetString(PyExc_ValueError,
                    "a kind has 16 bits, data less than 2**30 bytes; of the flags SENDER alone may "
                    "be given");
  } else if (ring_usable(r) && room.at() != nullptr && fits(r, size)) {
    Outgoing out;
    out.head.kind = static_cast<std::uint16_t>(kind);
    out.head.flags = static_cast<std::uint16_t>(flags);
    out.head.dest = dest;
    out.head.size = size;
    out.expires = expires;
    if (size > 0) std::memcpy(room.at(), view.buf, size);
    if (!r->to.has_room()) {
      result = 0;
    } else {
      if (waiter != Py_None) {
        const How how = how_of(waiter);
        corr = waiter_new(r);
        if (corr != 0) {
          Waiter& w = r->waiters[corr & 0xFFFF];
          w.how = how;
          w.who = Py_NewRef(waiter);
          w.plan = nullptr;
        }
      }
      if (waiter == Py_None || corr != 0) {
        out.head.corr = corr;
        send(r, out, room.at());
        if (r->rings) ring_bell(r);
        result = corr != 0 ? static_cast<long long>(corr) : -1;
      }
    }
  }
  Py_END_CRITICAL_SECTION();
  if (view.obj != nullptr) PyBuffer_Release(&view);
  return result == -2 ? nullptr : PyLong_FromLongLong(result);
}

}  // namespace binding
