// The objects of the binding and how they own each other.
//
//   Core        one shard: ready queue, timers, inbox; pumped by its event loop
//   Cell        one actor: mailbox, place in the tree, the user's instance. Every ref is a cell
//   Behaviour   one actor class: dispatch table and limits
//   Handler     one method of a behaviour
//   Activation  one `async` handler being stepped; looks like an asyncio task to libraries
//   Reply       the future of one ask
//   Envelope    what a plain message carries beyond sender and value
//   Timer       one scheduled message or callback
//
// A cell lives as long as it runs (its parent holds it) or anybody holds a ref to it. None of
// these types takes part in cyclic collection: stopping an actor cuts every cycle through it,
// and a million actors then cost the collector nothing.
#pragma once

#include <atomic>
#include <mutex>

#include "actinium/hlc.hpp"
#include "actinium/mailbox.hpp"
#include "actinium/mpsc.hpp"
#include "actinium/ring.hpp"
#include "actinium/slab.hpp"
#include "actinium/wheel.hpp"
#include "py.hpp"

namespace binding {

struct Activation;
struct Cell;
struct Core;
struct FlowTable;
struct Limits;
struct Order;
struct Reply;
struct ShardTable;
struct Sharing;

// One message in a mailbox. The item owns what it points to. While its handler runs it may be
// taken away (set aside, handed on): then it has no message, and None as extra.
struct Item {
  PyObject* msg = nullptr;
  Cell* sender = nullptr;
  PyObject* extra = nullptr;  // Reply, Envelope or Timer
  explicit operator bool() const { return msg != nullptr; }
};

enum HandlerKind : std::uint8_t { kPlain, kCoroutine, kGenerator };

struct Handler {
  PyObject_HEAD
  PyObject* fn;
  PyObject* raises;  // tuple of classes that are a reply and not a failure, or null
  PyObject* name;
  std::uint16_t batch;       // most messages it takes in one call, as a list; 0: one, bare
  std::uint16_t concurrent;  // handlers under way while this one waits; 0: as its class says
  std::uint8_t kind;
  std::uint8_t special;  // a stream or a batch: anything but one message in, one answer out
  std::uint8_t cancellable;
};

struct Behaviour {
  PyObject_HEAD
  PyTypeObject* cls;
  PyObject* table;          // dict: message type -> Handler or None
  PyObject* resolve;        // called with a type that is not in the table
  PyObject* states;         // dict: name -> behaviour of the same class, or null
  PyTypeObject* seen_type;  // a one-entry cache before the table
  Handler* seen;
  Limits* limits;  // of the mailbox, see guard.hpp
  std::uint16_t concurrent;
  std::uint8_t rank;
  std::uint8_t has_started;
  std::uint8_t has_stopping;
  std::uint8_t mixed;  // some handler has a limit of its own
};

enum Policy : std::uint8_t {
  kReject,
  kDropNew,
  kDropOld,
  kBlock,
  kDropLow,
  kOverflow,
  kSignal,
};

// Why a message was not taken; the Python side maps them to `Put` and dead-letter reasons.
// The messages evicted by drop_old and drop_low are refused after they had been taken.
enum Refusal : long {
  kFull = 1,
  kFullDropNew = 2,
  kFullDropOld = 3,
  kIsClosed = 4,
  kFullDropLow = 5,
  kNotAccepted = 6,  // its type or its sender is not on the list
  kTooLarge = 7,
  kRateLimited = 8,
  kNoMemory = 9,
  kIsHeld = 10,
};

// Cell::state
enum : std::uint16_t {
  kQueued = 1,        // in the ready queue (SC-2: at most once), or being run
  kBusy = 2,          // as many handlers are under way as the behaviour allows
  kPaused = 4,        // starting, restarting or waiting for its supervisor
  kClosed = 8,        // refuses new user messages
  kStopped = 16,      // gone for good
  kWatched = 32,      // somebody wants to know of each message taken out, see message_taken()
  kOrphans = 64,      // somebody waits for the last child to stop
  kGuarded = 128,     // has a Guard
  kUrgent = 256,      // urgent messages wait until it can run again
  kLaned = 512,       // its place in line depends on what waits
  kElsewhere = 1024,  // no actor of this process: has no mailbox
  kHeld = 2048,       // in quarantine: refuses new user messages for a while
  kChildless = 4096,  // its children are being stopped, and it gets no new ones
};

// Cell::sys: what the runtime asks of the actor; handled before any user message (MB-3).
enum : std::uint16_t {
  kSysStart = 1,
  kSysRestart = 2,
  kSysStop = 4,
  kSysDrain = 8,   // stop once the mailbox is empty
  kSysProbe = 16,  // handle one message, to see whether it works again
};

struct Cell {
  PyObject_HEAD
  Core* core;
  PyObject* obj;
  Behaviour* behaviour;
  actinium::Mailbox<Item> box;
  Activation* activations;
  Cell* parent;
  Cell* child;  // the newest
  Cell* older;  // siblings
  Cell* newer;
  PyObject* args;    // of the constructor, for restarts
  PyObject* kwargs;  // or null
  PyObject* extra;   // the Python side's rarely needed part, or null
  std::uint64_t uid;
  std::uint32_t depth;
  std::uint32_t straight;  // the depth up to which a message needs no second look, see guard.hpp
  std::uint32_t incarnation;
  std::uint32_t taken;  // messages taken out of the mailbox, modulo 2^32
  std::uint16_t state;
  std::uint16_t sys;
  std::uint16_t running;     // handlers suspended or being stepped
  std::uint8_t rank;         // its place among the four levels
  std::uint8_t queued_rank;  // where it stands in line
#ifdef Py_GIL_DISABLED
  std::uint8_t mobile;    // the system may move it to another shard: see moving.cpp
  std::uint64_t visited;  // the shards whose cores it holds, once it has moved
#endif
};

// The core that an actor belongs to. Where there is no GIL another thread may be about to move it;
// on the thread of that core it stays until the run loop gives it away.
inline Core* owner(const Cell* cell) {
#ifdef Py_GIL_DISABLED
  return __atomic_load_n(&cell->core, __ATOMIC_ACQUIRE);
#else
  return cell->core;
#endif
}

// Core::closing: why a message does not go straight into its mailbox.
enum : std::uint8_t {
  kClosing = 1,  // takes nothing from outside any more
  kTapped = 2,   // a test looks at each message first
};

struct Core {
  PyObject_HEAD
  actinium::Ring ready;  // Cell*, or Activation* with the lowest bit set
  Order* order;          // null while nobody has a rank and nothing is urgent
  actinium::TimerWheel* wheel;
  actinium::MpscQueue* inbox;
  std::atomic<std::uint32_t> inbox_armed;
  std::atomic<std::int64_t> inbox_size;

  Cell* current;           // whose handler runs now
  const Item* item;        // its message, while a handler is entered directly
  Activation* activation;  // the coroutine being stepped
  std::int64_t deadline;   // of the message being handled; 0: none
  Activation* spare;
  Activation* entered;            // asyncio's current task
  PyTypeObject* known_types[64];  // types found to be messages, by address

  PyObject* loop;
  PyObject* call_soon;
  PyObject* call_soon_threadsafe;
  PyObject* call_later;
  PyObject* pump;  // bound methods, made once
  PyObject* on_timer;
#ifdef Py_GIL_DISABLED
  PyObject* on_inbox;
#endif
  PyObject* context;  // contextvars at creation: no caller's context leaks into a handler
  PyObject* scratch;  // a copy of it that `def` handlers run in
  PyObject* timer_handle;
  std::uint64_t timer_due;
  PyObject* trim_handle;  // of the loop's timer that looks at empty segments again
  Reply* first_due;       // asks that wait for as long as asks do, oldest first
  Reply* last_due;

  PyTypeObject* ref_type;
  PyTypeObject* context_type;
  PyObject* accepted;  // what tell returns for a message that was taken
  Cell* user;          // parent of what the system spawns
  PyObject* hook_refused;
  PyObject* hook_ask_refused;
  PyObject* hook_unhandled;
  PyObject* hook_failed;
  PyObject* hook_expired;
  PyObject* hook_system;
  PyObject* hook_closed;
  PyObject* hook_room;
  PyObject* hook_pressed;
  PyObject* hook_shifted;
  PyObject* hook_memory;
  PyObject* hook_orphans;
  PyObject* hook_is_message;
  PyObject* hook_stream;
  PyObject* hook_timeout;
  PyObject* hook_cycle;
  PyObject* hook_led_away;
  PyObject* hook_idle;
  PyObject* hook_noticed;
  PyObject* hook_spawned;
  PyObject* hook_ended;
  PyTypeObject* join_type;  // a future that waits for the replies in its `_children`
  PyObject* hook_spawn;     // for spawns with more than class and arguments

  std::uintptr_t thread;
  std::int64_t slice_ns;
  std::int64_t ask_timeout_ns;
  std::int64_t virtual_ns;  // < 0: the real clock
  std::int64_t slice_end;
  std::int64_t last_check;
  std::uint64_t next_uid;
  std::uint32_t batch;
  std::int32_t until_check;
  std::uint8_t armed;
  std::uint8_t pumping;
  std::uint8_t slice_over;
  std::uint8_t manual;  // stepped by a test, never by the loop
  std::uint8_t want_idle;
  std::uint8_t closing;   // no plain sending: kClosing, kTapped
  std::uint8_t observed;  // somebody wants to hear of actors that come and go
  std::uint8_t closed;

  std::uint64_t n_accepted;
  std::uint64_t n_handled;
  std::uint64_t n_withdrawn;  // asks and timers taken back by their owner
  std::uint64_t n_late;
  std::uint64_t n_slices;
  std::int64_t n_cells;
  std::int64_t n_running;
  actinium::HybridClock* hlc;
  FlowTable* flow;

#ifdef Py_GIL_DISABLED
  std::mutex gate;                     // held by who puts something into the inbox
  ShardTable* shards;                  // of its system, or null: see shards.cpp
  Sharing* sharing;                    // its own part in that
  std::uint64_t uid_step;              // so that the shards of a system give out different numbers
  std::uint64_t n_refused;             // messages of other shards that their mailbox did not take
  std::atomic<std::int64_t> n_coming;  // actors that other shards have spawned here, not made yet
#endif

  PyObject* choose;  // a test's, or null: see instrument.cpp
  PyObject* tap;
  PyObject* behaviour_of;
};

// Where the end of an ask's patience is kept. Most asks wait for the default time, so their
// deadlines come in order: a list holds those, at a tenth of the wheel's cost.
enum Timed : std::uint8_t { kUntimed, kOnWheel, kInList };

// Without a GIL the actor may be on another shard than the asker, which owns the reply: see
// shards.cpp.
struct Reply {
  PyObject_HEAD
#ifdef Py_GIL_DISABLED
  Core* core;                          // the asker's
  std::atomic<std::uint8_t> answered;  // by another thread: the outcome is on its way
  std::uint8_t kept;  // by the timer, so that it does not end on another thread before that
#endif
  PyObject* result;
  PyObject* exc;
  Activation* waiter;
  PyObject* callback;
  PyObject* callback_context;
  PyObject* more;  // list of (callback, context) beyond the first
  Cell* target;
  actinium::TimerWheel::Handle timer;
  Reply* earlier;  // in the core's list
  Reply* later;
  std::int64_t deadline;
  std::uint8_t timed;  // Timed
  std::uint8_t done;
  std::uint8_t blocking;
  std::uint8_t cancelled;
  std::uint8_t expired;
  std::uint8_t deferred;
  std::uint8_t urgent;     // the asker named a time, or what led to this did
  std::uint8_t sleeping;   // no ask: ends with its deadline, and ends well
  std::uint8_t inherited;  // the deadline came from the message being handled
};

enum EnvelopeKind : std::uint8_t { kTell, kStream, kNotice, kBatch };

struct Envelope {
  PyObject_HEAD
  PyObject* stream;
  std::int64_t deadline;
  std::uint32_t count;  // of messages, where the item's message is a list of them (kBatch)
  std::uint8_t kind;
  std::uint8_t urgent;
};

struct Activation {
  PyObject_HEAD
  PyObject* weakrefs;
  Core* core;
  Cell* cell;
  Activation* next;
  Activation* prev;
  PyObject* coro;
  PyObject* context;
  PyObject* waiting;  // what the coroutine awaits
  PyObject* name;
  PyObject* cancel_message;
  PyObject* throwing;  // raised in the coroutine at its next step
  PyObject* callbacks;
  Handler* handler;  // null: work of the runtime itself
  Item item;
  std::int64_t deadline;
  std::int64_t since;  // when it first had to wait
  std::uint32_t cancels;
  std::uint8_t must_cancel;
  std::uint8_t done;
  std::uint8_t parked;
  std::uint8_t scheduled;
  std::uint8_t system;
  std::uint8_t abandoned;  // its actor no longer counts it
  std::uint8_t lane;       // its message came from, once it is parked
};

struct Timer {
  PyObject_HEAD
  Core* core;
  Cell* cell;      // null: a callback
  PyObject* what;  // the message or the callable
  actinium::TimerWheel::Handle handle;
  std::int64_t period_ns;
  std::int64_t due_ns;
  std::uint64_t missed;
  std::uint32_t incarnation;
  std::uint8_t armed;
  std::uint8_t cancelled;
  std::uint8_t fixed_delay;  // periods count from the firing, not from the due time
  std::uint8_t waiting;      // its last message is still in the mailbox
};

struct ActorBase {
  PyObject_HEAD
  Cell* cell;  // borrowed; null before spawn and after stop
};

struct ContextBase {
  PyObject_HEAD
  Cell* cell;
};

// What an entry of the inbox asks for.
enum class Inward : std::uint8_t {
  kOffer,     // the item for the cell's mailbox
  kNotice,    // the same, whatever the mailbox's bound
  kValue,     // the message is the outcome of the reply that is the item's extra
  kError,     // the same, of one that failed
  kWithdraw,  // nobody waits for that reply any more
  kCall,      // the message is to be called
  kActor,     // the cell itself has moved here, from the shard whose number is the lane
};

// An item on its way from another thread.
struct Inbound : actinium::MpscNode {
  Cell* cell;
  Item item;
  unsigned lane;
#ifdef Py_GIL_DISABLED
  Inward what;
#endif
};

extern PyTypeObject* CoreType;
extern PyTypeObject* CellType;
extern PyTypeObject* BehaviourType;
extern PyTypeObject* HandlerType;
extern PyTypeObject* ActivationType;
extern PyTypeObject* ReplyType;
extern PyTypeObject* EnvelopeType;
extern PyTypeObject* TimerType;
extern PyTypeObject* ActorBaseType;
extern PyTypeObject* ContextBaseType;
extern PyTypeObject* BlockType;
extern PyTypeObject* PayloadType;

PyObject* new_ref_type(PyObject* module, PyObject* names);
int init_core(PyObject* module);
int init_send(PyObject* module);
int init_cell(PyObject* module);
int init_behaviour(PyObject* module);
int init_activation(PyObject* module);
int init_reply(PyObject* module);
int init_timer(PyObject* module);
int init_channel(PyObject* module);
int init_actor(PyObject* module);
int init_payload(PyObject* module);
void use_huge_pages();
PyObject* memory(PyObject*, PyObject*);
PyObject* trim_memory(PyObject*, PyObject* seconds);
int add_type(PyObject* module, PyTypeObject** slot, PyType_Spec* spec);

extern PyObject* UsageError;  // actinium.errors.UsageError

inline std::int64_t core_now(const Core* c) {
  return c->virtual_ns >= 0 ? c->virtual_ns : monotonic_ns();
}

// Whether an instant has passed; reads the exact clock only when it is near.
inline bool core_passed(const Core* c, std::int64_t instant) {
  if (c->virtual_ns < 0 && coarse_ns() + kCoarseSlackNs < instant) return false;
  return core_now(c) > instant;
}

inline std::uintptr_t this_thread() {
  return reinterpret_cast<std::uintptr_t>(__builtin_thread_pointer());
}

}  // namespace binding
