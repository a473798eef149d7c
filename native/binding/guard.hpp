// What stands before a mailbox that is more than a plain queue below its high mark.
//
// A cell's `straight` is the depth up to which a message goes straight in, which is all that a
// plain tell looks at. Beyond it, or from the first message on where each has to be looked at
// (bytes counted, a rate, an accept list, a memory limit: `straight` is 0), messages come through
// here. So a mailbox without such wishes pays nothing for them, and has no guard until it first
// comes under pressure.
#pragma once

#include <unordered_map>

#include "actinium/fifo.hpp"
#include "actinium/flow.hpp"
#include "runtime.hpp"

namespace binding {

// How a mailbox is bounded; shared by all actors of a class.
struct Limits {
  PyObject_HEAD
  PyObject* types;           // classes that may come, a tuple; null: all
  PyObject* senders;         // a frozenset of refs, None for outside; null: all
  std::uint64_t max_bytes;   // of all that waits; 0: no bound
  std::uint64_t max_size;    // of one message; 0: no bound
  std::int64_t interval_ns;  // between two messages in the long run; 0: no bound
  std::int64_t burst;
  double high;
  double low;
  std::uint32_t capacity;
  std::uint32_t most;      // the depth never exceeded (MB-1)
  std::uint32_t straight;  // see above
  std::uint8_t policy;
  std::uint8_t lanes;
  std::uint8_t per_sender;
  std::uint8_t count_only;  // dead letters of it are counted, not kept
};

struct Overflowed {
  Item item;
  unsigned lane;
};

struct Guard {
  Limits* limits;
  actinium::Fifo<Overflowed> overflow;  // what waits behind the mailbox
  std::uint32_t overflowed;
  std::uint32_t seen;  // cell->taken at the last observation of the drain rate
  std::uint64_t bytes;
  actinium::Gauge gauge;
  actinium::DrainRate drain;
  actinium::TokenBucket bucket;
  std::unordered_map<std::uint64_t, actinium::TokenBucket>* buckets;  // by sender, or null
  std::uint8_t counts;                                                // bytes
  std::uint8_t waited_for;                                            // somebody awaits room
};

// What is shared by the mailboxes of a core.
struct FlowTable {
  std::unordered_map<Cell*, Guard> guards;
  actinium::DrainRate drain;
  std::uint64_t limit;    // bytes; 0: none
  std::uint64_t payload;  // in mailboxes
  std::uint64_t others;   // what others have accounted for: streams, links
  std::uint64_t gone;     // bytes that left since the last observation of the drain rate
  std::uint8_t level;     // normal, elevated, high, critical
};

enum Level : std::uint8_t { kCalm, kElevated, kHigh, kAtLimit };

extern PyTypeObject* LimitsType;
int init_limits(PyObject* module);
// Bytes of the buffers and texts in a message, in fields and tuples down to four levels.
std::uint64_t message_size(PyObject* msg);

Guard* guard_of(const Cell* cell);  // null: it has none
const Limits* limits_of(const Cell* cell);
double fill_of(const Cell* cell, const Limits* l, const Guard* g);  // 1.0: full

// What offer() does beyond `straight`: takes the message or says why not. Uses up the item.
// `hurry` is the deadline of an urgent message, else 0.
PyObject* offer_guarded(Core* c, Cell* cell, Item& it, unsigned lane, std::int64_t hurry);
// Why a message would not be taken now; 0: it would.
long guarded_refusal(Core* c, Cell* cell, const Item& it, unsigned lane);
// After a message has left the mailbox of a cell with kWatched.
void message_taken(Core* c, Cell* cell, PyObject* msg);
// Accounts for a message of the runtime itself, which is never refused.
void message_delivered(Core* c, Cell* cell, PyObject* msg);
// Brings what waits behind a mailbox into it and forgets its bytes: the cell stops.
void guard_finish(Core* c, Cell* cell);
void guard_forget(Cell* cell);          // the cell goes
int set_limits(Cell* cell, Limits* l);  // -1 with an exception set
std::int64_t retry_after_ns(Core* c, Cell* cell, long refusal, Cell* sender);
void watch_takes(Cell* cell, bool on);  // for whoever awaits room
void memory_changed(Core* c);

}  // namespace binding
