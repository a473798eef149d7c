// A thread that watches the rings of many blocks and wakes an event loop once for all that came.
//
// It takes nothing: it looks whether a slot has begun to arrive, writes to an eventfd and leaves
// the rings alone until `drain` has emptied them. It also keeps the hosts' heartbeats, so that a
// kernel lives as long as the process does, however long the interpreter is busy.
#include <linux/futex.h>
#include <pthread.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <climits>
#include <mutex>
#include <new>

#include "ring.hpp"
#include "types.hpp"

namespace binding {

// Lives until thread and object have let go of it.
struct Poller {
  PyObject_HEAD
  std::vector<RingEnd*> rings;  // changed with the GIL and the lock
  std::mutex lock;              // held while the regions' words are used
  pthread_t thread;
  std::uint32_t told;  // futex word: 1 from the write to the eventfd until drain
  std::uint32_t asleep;
  std::uint32_t stopping;
  std::uint32_t visitors;  // who waits for the thread to sleep no more
  int fd;
  bool running;
  std::uint64_t wakes;
};

namespace {

PyTypeObject* PollerType;
constexpr std::int64_t kBeatNs = 5'000'000;
constexpr std::int64_t kSpinNs = 20'000;
constexpr std::size_t kMostBells = 127;
#ifndef SYS_futex_waitv
#define SYS_futex_waitv 449
#endif

Poller* self_of(PyObject* o) { return reinterpret_cast<Poller*>(o); }

struct WaitV {  // struct futex_waitv, which older headers lack
  std::uint64_t value;
  std::uint64_t address;
  std::uint32_t flags;
  std::uint32_t reserved;
};

void nap(std::int64_t ns) {
  timespec t = {ns / 1'000'000'000, ns % 1'000'000'000};
  nanosleep(&t, nullptr);
}

bool any_ready(const Poller* p) {
  return std::any_of(p->rings.begin(), p->rings.end(),
                     [](const RingEnd* r) { return r->from.ready() || ring_has_wanted_room(r); });
}

// One word per region is enough, but a second beat does no harm.
void beat(Poller* p) {
  const std::uint64_t now = wall_us();
  for (const RingEnd* r : p->rings) {
    ac_host_line* const host = r->region.host();
    __atomic_store_n(&host->wall_us, now, __ATOMIC_RELAXED);
    __atomic_fetch_add(&host->heartbeat, 1, __ATOMIC_RELEASE);
  }
}

// Sleeps until a bell rings, `told` changes or the next beat is due. Called with the lock; the
// rings stay while `asleep` is set.
void sleep_for_bells(Poller* p, std::unique_lock<std::mutex>& lock) {
  WaitV words[kMostBells + 1] = {};
  constexpr std::uint32_t kFutex32 = 2;
  std::size_t n = 0;
  bool bells = p->rings.size() <= kMostBells;
  words[n++] = {0, reinterpret_cast<std::uint64_t>(&p->told), kFutex32, 0};
  for (RingEnd* r : p->rings) {
    // Nobody rings for room.
    bells = bells && r->wakes && __atomic_load_n(&r->wants, __ATOMIC_RELAXED) == 0;
    if (!bells) break;
    words[n++] = {__atomic_load_n(&r->dev->bell, __ATOMIC_ACQUIRE),
                  reinterpret_cast<std::uint64_t>(&r->dev->bell), kFutex32, 0};
  }
  __atomic_store_n(&p->asleep, 1u, __ATOMIC_SEQ_CST);
  if (!bells) {
    const bool waiting = std::any_of(p->rings.begin(), p->rings.end(), [](const RingEnd* r) {
      return __atomic_load_n(&r->in_flight, __ATOMIC_RELAXED) != 0 ||
             __atomic_load_n(&r->wants, __ATOMIC_RELAXED) != 0;
    });
    lock.unlock();
    nap(waiting ? 10'000 : 500'000);
    lock.lock();
  } else {
    for (const RingEnd* r : p->rings) {
      __atomic_fetch_add(&r->region.host()->parked, 1u, __ATOMIC_SEQ_CST);
    }
    const bool go_on = any_ready(p) || __atomic_load_n(&p->stopping, __ATOMIC_SEQ_CST) != 0;
    lock.unlock();
    if (!go_on) {
      timespec until;
      clock_gettime(CLOCK_MONOTONIC, &until);
      until.tv_nsec += kBeatNs;
      if (until.tv_nsec >= 1'000'000'000) {
        until.tv_nsec -= 1'000'000'000;
        until.tv_sec++;
      }
      const long slept =
          syscall(SYS_futex_waitv, words, static_cast<unsigned>(n), 0u, &until, CLOCK_MONOTONIC);
      if (slept < 0 && errno == ENOSYS) nap(200'000);
    }
    lock.lock();
    for (const RingEnd* r : p->rings) {
      __atomic_fetch_sub(&r->region.host()->parked, 1u, __ATOMIC_SEQ_CST);
    }
  }
  __atomic_store_n(&p->asleep, 0u, __ATOMIC_SEQ_CST);
}

void* poller_run(void* raw) {
  auto* const p = static_cast<Poller*>(raw);
  std::int64_t beaten = 0, active = monotonic_ns();
  std::unique_lock<std::mutex> lock(p->lock);
  while (__atomic_load_n(&p->stopping, __ATOMIC_ACQUIRE) == 0) {
    const std::int64_t now = monotonic_ns();
    if (now - beaten >= kBeatNs) {
      beaten = now;
      beat(p);
    }
    if (__atomic_load_n(&p->told, __ATOMIC_ACQUIRE) != 0) {  // the loop's turn
      lock.unlock();
      futex_wait(&p->told, 1, kBeatNs);
      lock.lock();
      active = monotonic_ns();
      continue;
    }
    if (any_ready(p)) {
      __atomic_store_n(&p->told, 1u, __ATOMIC_RELEASE);
      p->wakes++;
      const std::uint64_t one = 1;
      [[maybe_unused]] const auto written = write(p->fd, &one, sizeof one);
      continue;
    }
    if (now - active < kSpinNs) {
      lock.unlock();
      for (int i = 0; i < 32; i++) {
#if defined(__x86_64__)
        __builtin_ia32_pause();
#endif
      }
      lock.lock();
      continue;
    }
    if (__atomic_load_n(&p->visitors, __ATOMIC_SEQ_CST) != 0) {
      lock.unlock();
      nap(20'000);
      lock.lock();
      continue;
    }
    sleep_for_bells(p, lock);
    if (any_ready(p)) active = monotonic_ns();
  }
  return nullptr;
}

// While it lives the thread uses no word of any ring. Made with the GIL, which it may release.
class Quiet {
 public:
  explicit Quiet(Poller* p) : p_(p), lock_(p->lock, std::defer_lock) {
    __atomic_fetch_add(&p->visitors, 1u, __ATOMIC_SEQ_CST);
    Py_BEGIN_ALLOW_THREADS;
    lock_.lock();
    while (__atomic_load_n(&p->asleep, __ATOMIC_SEQ_CST) != 0) {
      lock_.unlock();
      futex_wake(&p->told);
      nap(20'000);
      lock_.lock();
    }
    Py_END_ALLOW_THREADS;
  }
  Quiet(const Quiet&) = delete;
  Quiet& operator=(const Quiet&) = delete;
  ~Quiet() { __atomic_fetch_sub(&p_->visitors, 1u, __ATOMIC_SEQ_CST); }

 private:
  Poller* p_;
  std::unique_lock<std::mutex> lock_;
};

PyObject* poller_new(PyTypeObject* type, PyObject* args, PyObject* kwargs) {
  static const char* names[] = {"fd", nullptr};
  int fd;
  if (!PyArg_ParseTupleAndKeywords(args, kwargs, "i:RingPoller", const_cast<char**>(names), &fd)) {
    return nullptr;
  }
  PyObject* made = type->tp_alloc(type, 0);
  if (made == nullptr) return nullptr;
  Poller* p = self_of(made);
  new (&p->rings) std::vector<RingEnd*>();
  new (&p->lock) std::mutex();
  p->fd = fd;
  const int failed = pthread_create(&p->thread, nullptr, poller_run, p);
  if (failed != 0) {
    errno = failed;
    PyErr_SetFromErrno(PyExc_OSError);
    Py_DECREF(made);
    return nullptr;
  }
  p->running = true;
  return made;
}

void stop_thread(Poller* p) {
  if (!p->running) return;
  p->running = false;
  __atomic_store_n(&p->stopping, 1u, __ATOMIC_SEQ_CST);
  __atomic_store_n(&p->told, 2u, __ATOMIC_SEQ_CST);
  futex_wake(&p->told);
  Py_BEGIN_ALLOW_THREADS;
  pthread_join(p->thread, nullptr);
  Py_END_ALLOW_THREADS;
  std::vector<RingEnd*> rings;
  std::swap(rings, p->rings);
  for (RingEnd* r : rings) {
    r->poller = nullptr;
    r->notify = -1;
    Py_DECREF(reinterpret_cast<PyObject*>(r));
  }
}

void poller_dealloc(PyObject* o) {
  PyTypeObject* type = Py_TYPE(o);
  Poller* p = self_of(o);
  stop_thread(p);
  p->rings.~vector();
  p->lock.~mutex();
  type->tp_free(o);
  Py_DECREF(type);
}

RingEnd* ring_in(PyObject* o) {
  if (Py_IS_TYPE(o, RingEndType)) return reinterpret_cast<RingEnd*>(o);
  PyErr_Format(PyExc_TypeError, "expected a RingEnd, got %R", o);
  return nullptr;
}

PyObject* method_add(PyObject* o, PyObject* end) {
  Poller* p = self_of(o);
  RingEnd* r = ring_in(end);
  if (r == nullptr || !ring_usable(r)) return nullptr;
  if (!p->running || r->poller != nullptr) {
    PyErr_SetString(UsageError, p->running ? "this end of a ring is watched already"
                                           : "this poller was stopped");
    return nullptr;
  }
  const Quiet lock(p);
  p->rings.push_back(reinterpret_cast<RingEnd*>(Py_NewRef(end)));
  r->poller = p;
  r->notify = p->fd;
  Py_RETURN_NONE;
}

PyObject* method_remove(PyObject* o, PyObject* end) {
  RingEnd* r = ring_in(end);
  if (r == nullptr) return nullptr;
  if (r->poller == self_of(o)) poller_forget(self_of(o), r);
  Py_RETURN_NONE;
}

// Empties the eventfd and polls each end; [(end, events)] of those that have events.
PyObject* method_drain(PyObject* o, PyObject* const* args, Py_ssize_t n) {
  Poller* p = self_of(o);
  long limit = 4096;
  if (n > 1) {
    PyErr_SetString(PyExc_TypeError, "drain(limit=4096)");
    return nullptr;
  }
  if (n == 1) {
    limit = PyLong_AsLong(args[0]);
    if (limit == -1 && PyErr_Occurred()) return nullptr;
  }
  std::uint64_t count;
  [[maybe_unused]] const auto got = read(p->fd, &count, sizeof count);
  PyObject* all = PyList_New(0);
  std::vector<RingEnd*> rings;
  {
    const std::lock_guard<std::mutex> lock(p->lock);
    rings = p->rings;
    for (RingEnd* r : rings)
      Py_INCREF(reinterpret_cast<PyObject*>(r));
  }
  for (RingEnd* r : rings) {
    auto* const end = reinterpret_cast<PyObject*>(r);
    if (all != nullptr && r->open) {
      PyObject* events = nullptr;
      Py_BEGIN_CRITICAL_SECTION(end);
      events = ring_poll(r, static_cast<int>(std::clamp(limit, 0l, 1l << 20)));
      Py_END_CRITICAL_SECTION();
      PyObject* pair = events == nullptr             ? nullptr
                       : PyList_GET_SIZE(events) > 0 ? PyTuple_Pack(2, end, events)
                                                     : Py_NewRef(Py_None);
      if (pair == nullptr || (pair != Py_None && PyList_Append(all, pair) < 0)) Py_CLEAR(all);
      Py_XDECREF(pair);
      Py_XDECREF(events);
    }
    Py_DECREF(end);
  }
  if (__atomic_exchange_n(&p->told, 0u, __ATOMIC_SEQ_CST) != 0) futex_wake(&p->told);
  return all;
}

PyObject* method_stop(PyObject* o, PyObject*) {
  stop_thread(self_of(o));
  Py_RETURN_NONE;
}

PyObject* get_wakes(PyObject* o, void*) {
  return PyLong_FromUnsignedLongLong(__atomic_load_n(&self_of(o)->wakes, __ATOMIC_RELAXED));
}

PyMethodDef methods[] = {
    {"add", method_add, METH_O, "Watches an end; its events come out of drain from now on."},
    {"remove", method_remove, METH_O, "Watches it no more."},
    {"drain", method(method_drain), METH_FASTCALL,
     "Polls each end: [(end, events)] of those that have events. Call it when fd can be read."},
    {"stop", method_stop, METH_NOARGS, "Ends the thread, and with it the heartbeats."},
    {nullptr, nullptr, 0, nullptr}};

PyGetSetDef getset[] = {{"wakes", get_wakes, nullptr, "How often it woke the loop.", nullptr},
                        {nullptr, nullptr, nullptr, nullptr, nullptr}};

PyType_Slot slots[] = {
    {Py_tp_doc, const_cast<char*>("Watches rings from a thread and wakes a loop by an eventfd.")},
    {Py_tp_new, reinterpret_cast<void*>(poller_new)},
    {Py_tp_dealloc, reinterpret_cast<void*>(poller_dealloc)},
    {Py_tp_methods, methods},
    {Py_tp_getset, getset},
    {0, nullptr}};

PyType_Spec spec = {"actinium._native.RingPoller", sizeof(Poller), 0, Py_TPFLAGS_DEFAULT, slots};

}  // namespace

long futex_wait(std::uint32_t* word, std::uint32_t value, std::int64_t ns) {
  timespec t = {ns / 1'000'000'000, ns % 1'000'000'000};
  return syscall(SYS_futex, word, FUTEX_WAIT, value, &t, nullptr, 0);
}

void futex_wake(std::uint32_t* word) {
  syscall(SYS_futex, word, FUTEX_WAKE, INT_MAX, nullptr, nullptr, 0);
}

// Else each reply that a thread of the loop waits for would ring a bell and wake this one too.
void poller_rest(Poller* p) {
  std::uint32_t none = 0;
  if (__atomic_load_n(&p->told, __ATOMIC_RELAXED) != 0 ||
      !__atomic_compare_exchange_n(&p->told, &none, 1u, false, __ATOMIC_SEQ_CST,
                                   __ATOMIC_RELAXED)) {
    return;
  }
  const std::uint64_t one = 1;
  [[maybe_unused]] const auto written = write(p->fd, &one, sizeof one);
  poller_look(p);
}

void poller_look(Poller* p) {
  if (__atomic_load_n(&p->asleep, __ATOMIC_SEQ_CST) != 0) futex_wake(&p->told);
}

void poller_forget(Poller* p, RingEnd* r) {
  {
    const Quiet lock(p);
    const auto at = std::find(p->rings.begin(), p->rings.end(), r);
    if (at == p->rings.end()) return;
    p->rings.erase(at);
    r->poller = nullptr;
    r->notify = -1;
  }
  Py_DECREF(reinterpret_cast<PyObject*>(r));
}

int init_poller(PyObject* module) { return add_type(module, &PollerType, &spec); }

}  // namespace binding
