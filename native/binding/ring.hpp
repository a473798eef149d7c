// The host's end of one block's rings: see ring.cpp and ring_wait.cpp.
#pragma once

#include <vector>

#include "actinium/gpu_ring.hpp"
#include "plan.hpp"

namespace binding {

struct Poller;

// What an ask waits with, and so how it is answered.
enum class How : std::uint8_t {
  kFree,
  kReply,   // the core's own future
  kFuture,  // asyncio's, or one like it
  kCall,    // anything that is called with the value
  kSync,    // a thread in ask_sync; the waiter is its SyncWait
};

// The ask of a thread that waits here, kept on its stack.
struct SyncWait {
  PyObject* value = nullptr;
  PyObject* event = nullptr;  // what came instead of a value
  std::uint8_t done = 0;      // read without the GIL
};

struct Waiter {
  union {
    PyObject* who;
    SyncWait* sync;
  };
  Plan* plan;  // of the reply, or null
  std::uint32_t next;
  std::uint16_t generation;
  How how;
};

// An answer that another thread took and the owner's `poll` hands over.
struct Settled {
  PyObject* who;
  PyObject* value;
  How how;
};

struct RingEnd {
  PyObject_HEAD
  Py_buffer view;
  actinium::gpu::Region region;
  actinium::gpu::ToBlock to;
  actinium::gpu::FromBlock from;
  ac_dev_block* dev;
  std::vector<Waiter> waiters;
  std::vector<Settled> settled;
  std::vector<std::pair<std::uint16_t, Plan*>> kinds;  // in order
  PyObject* events;                                    // list: what the next poll returns first
  PyObject* failed;                                    // called when ask_sync cannot answer
  Poller* poller;                                      // borrowed; it holds this end
  int notify;                                          // its eventfd, or -1
  std::uint32_t first_free, last_free;
  std::uint32_t block;
  std::uint32_t in_flight;
  std::uint64_t late, answered, waited_ns;
  std::uint32_t full_at;  // how many had been put when somebody began to wait for room
  std::uint8_t wants;     // somebody waits for room; read by the poller
  bool wakes;             // the block can ring the host's bell
  bool rings;             // each message wakes the block; else `ring` does
  bool open;
};

extern PyTypeObject* RingEndType;
constexpr std::uint32_t kNone = ~std::uint32_t{0};

// ---- ring.cpp
std::uint64_t wall_us();
void ring_bell(RingEnd* r);
// Whether there is room for who waits for it; any thread may ask.
inline bool ring_has_wanted_room(const RingEnd* r) {
  return __atomic_load_n(&r->wants, __ATOMIC_ACQUIRE) != 0 &&
         __atomic_load_n(&r->full_at, __ATOMIC_RELAXED) -
                 __atomic_load_n(&r->dev->h2k_read, __ATOMIC_ACQUIRE) <
             r->to.capacity();
}
// Gives a message the clock and, unless it is 0, the instant (us since 1970) when it expires.
void ring_stamp(actinium::gpu::Head& h, std::uint64_t expires);
// Takes up to `limit` messages. `here`: on the owner's thread, which answers futures; else they
// are kept for it. Returns how many, or -1 with an exception set.
int ring_drain(RingEnd* r, int limit, bool here);
// Hands over what other threads kept; the events to report, a new list.
PyObject* ring_poll(RingEnd* r, int limit);
int init_ring(PyObject* module);

// ---- ring_send.cpp
PyObject* ring_tell(PyObject* o, PyObject* const* args, Py_ssize_t n);
PyObject* ring_put(PyObject* o, PyObject* args, PyObject* kwargs);
PyObject* ring_ask(PyObject* o, PyObject* const* args, Py_ssize_t n);
PyObject* ring_ask_sync(PyObject* o, PyObject* const* args, Py_ssize_t n);
PyObject* ring_tell_many(PyObject* o, PyObject* args, PyObject* kwargs);
// A number for an ask; 0 with an exception set. Its waiter is set by the caller.
std::uint32_t waiter_new(RingEnd* r);
Waiter* waiter_of(RingEnd* r, std::uint32_t corr);  // null: it has been answered or given up
void waiter_free(RingEnd* r, std::uint32_t corr);   // drops nothing
bool ring_usable(RingEnd* r);                       // else with an exception set

// ---- poller.cpp
void poller_forget(Poller* p, RingEnd* r);
void poller_rest(Poller* p);  // the loop will look: until then it need not
void poller_look(Poller* p);  // has it look again now
int init_poller(PyObject* module);
long futex_wait(std::uint32_t* word, std::uint32_t value, std::int64_t ns);
void futex_wake(std::uint32_t* word);

}  // namespace binding
