// What stands before a mailbox; see guard.hpp.
//
// Order of the checks: closed (before this), accept list, size, rate, memory, capacity. A token
// of a rate is taken only once the message is in.
#include "guard.hpp"

#include "order.hpp"
#include "send.hpp"

namespace binding {
namespace {

constexpr double kLevels[] = {0.60, 0.80, 0.95};
constexpr double kHysteresis = 0.05;
constexpr std::size_t kManySenders = 1024;

Guard* guard_made(Core* c, Cell* cell) {
  Guard& g = c->flow->guards[cell];
  if ((cell->state & kGuarded) == 0) {
    cell->state |= kGuarded;
    Limits* l = cell->behaviour->limits;
    g.limits = reinterpret_cast<Limits*>(Py_NewRef(reinterpret_cast<PyObject*>(l)));
    g.counts = l->max_bytes != 0 || c->flow->limit != 0;
    g.drain.begin(core_now(c));
    g.seen = cell->taken;
    g.waited_for = (cell->state & kWatched) != 0;
  }
  return &g;
}

void add_bytes(Core* c, Guard* g, std::uint64_t size) {
  if (size == 0) return;
  g->bytes += size;
  c->flow->payload += size;
  memory_changed(c);
}

void remove_bytes(Core* c, Guard* g, std::uint64_t size) {
  const std::uint64_t n = size < g->bytes ? size : g->bytes;
  if (n == 0) return;
  g->bytes -= n;
  c->flow->payload -= n;
  c->flow->gone += n;
  memory_changed(c);
}

void keep_watch(Cell* cell, const Guard* g) {
  if (g->waited_for || g->counts || g->overflowed != 0 ||
      g->gauge.state() != actinium::Pressure::normal) {
    cell->state |= kWatched;
  } else {
    cell->state &= static_cast<std::uint16_t>(~kWatched);
  }
}

void learn_rate(Core* c, Cell* cell, Guard* g) {
  if (g->drain.observe(cell->taken - g->seen, core_now(c))) g->seen = cell->taken;
}

void call_hook(PyObject* hook, Cell* cell) {
  PyObject* r = PyObject_CallOneArg(hook, reinterpret_cast<PyObject*>(cell));
  if (r == nullptr) report_unraisable(hook);
  Py_XDECREF(r);
}

// `full`: a message has just found no room.
void update_gauge(Core* c, Cell* cell, Guard* g, bool full) {
  const bool calm = g->gauge.state() == actinium::Pressure::normal;
  const Limits* l = g->limits;
  if (!g->gauge.update(full ? 1.0 : fill_of(cell, l, g), l->high, l->low)) return;
  if (calm) {
    g->drain.begin(core_now(c));
    g->seen = cell->taken;
  } else {
    learn_rate(c, cell, g);
  }
  call_hook(c->hook_shifted, cell);
}

actinium::TokenBucket* bucket_of(Core* c, Guard* g, const Cell* sender) {
  if (!g->limits->per_sender) return &g->bucket;
  if (g->buckets == nullptr)
    g->buckets = new std::unordered_map<std::uint64_t, actinium::TokenBucket>();
  const std::uint64_t key = sender != nullptr ? sender->uid : 0;
  if (g->buckets->size() >= kManySenders && g->buckets->count(key) == 0) {
    // Those that are full again are as good as new ones.
    const std::int64_t now = core_now(c);
    std::erase_if(*g->buckets, [now](const auto& entry) { return entry.second.full(now); });
  }
  return &(*g->buckets)[key];
}

bool is_timer(const Item& it) { return it.extra != nullptr && Py_TYPE(it.extra) == TimerType; }

bool on_list(const Limits* l, const Item& it) {
  int found = 1;
  if (l->types != nullptr) found = PyObject_IsInstance(it.msg, l->types);
  if (found > 0 && l->senders != nullptr) {
    found = PySet_Contains(l->senders,
                           it.sender != nullptr ? reinterpret_cast<PyObject*>(it.sender) : Py_None);
  }
  if (found < 0) report_unraisable(it.msg);
  return found > 0;
}

// Memory is short: messages without payload still pass, the runtime's own work does not ask.
bool memory_refuses(const FlowTable* flow, const Item& it, std::uint64_t size) {
  if (flow->limit == 0) return false;
  if (flow->level >= kHigh && it.extra != nullptr && Py_TYPE(it.extra) == EnvelopeType &&
      reinterpret_cast<Envelope*>(it.extra)->kind == kStream) {
    return true;
  }
  if (size == 0) return false;
  return flow->level == kAtLimit || flow->payload + flow->others + size > flow->limit;
}

// What an actor set for itself, by a timer, needs no admission.
long admission(Core* c, Guard* g, const Item& it, std::uint64_t size) {
  const Limits* l = g->limits;
  if (is_timer(it)) return 0;
  if ((l->types != nullptr || l->senders != nullptr) && !on_list(l, it)) return kNotAccepted;
  if ((l->max_size != 0 && size > l->max_size) || (l->max_bytes != 0 && size > l->max_bytes)) {
    return kTooLarge;
  }
  if (l->interval_ns != 0 &&
      bucket_of(c, g, it.sender)->wait(core_now(c), l->interval_ns, l->burst) > 0) {
    return kRateLimited;
  }
  return memory_refuses(c->flow, it, size) ? long{kNoMemory} : 0;
}

bool fits(const Cell* cell, const Guard* g, std::uint64_t size) {
  const Limits* l = g->limits;
  return cell->depth < l->most && (l->max_bytes == 0 || g->bytes + size <= l->max_bytes);
}

std::uint64_t size_for(const Guard* g, PyObject* msg) {
  return g->counts || g->limits->max_size != 0 ? message_size(msg) : 0;
}

// One less important message makes room for one, if it is enough.
bool can_displace(const Cell* cell, const Guard* g, unsigned lane, std::uint64_t size) {
  const Item* victim = cell->box.newest_below(lane);
  if (victim == nullptr) return false;
  const std::uint64_t room = g->counts ? message_size(victim->msg) : 0;
  return g->limits->max_bytes == 0 || g->bytes - room + size <= g->limits->max_bytes;
}

long capacity_refusal(const Cell* cell, const Guard* g, unsigned lane, std::uint64_t size) {
  if (fits(cell, g, size)) return 0;
  switch (g->limits->policy) {
    case kDropOld:
      return cell->box.empty() ? long{kFull} : 0;  // all that waits is still in the inbox
    case kDropLow:
      return can_displace(cell, g, lane, size) ? 0 : long{kFull};
    case kDropNew:
      return kFullDropNew;
    default:
      return kFull;
  }
}

// Takes messages out until this one fits. Null with an exception set, or the Put.
PyObject* make_room(Core* c, Cell* cell, Guard* g, unsigned lane, std::uint64_t size) {
  PyObject* put = nullptr;
  while (!fits(cell, g, size)) {
    Item victim;
    long code = kFullDropOld;
    if (g->limits->policy == kDropLow) {
      code = kFullDropLow;
      victim = *cell->box.newest_below(lane);
      cell->box.drop_newest_below(lane);
    } else if (!cell->box.pop_least(victim)) {
      break;  // what is left is on its way from other threads
    }
    cell->depth--;
    c->n_accepted--;
    if (g->counts) remove_bytes(c, g, message_size(victim.msg));
    Py_XDECREF(put);
    put = refuse(c, cell, victim, code);
    if (put == nullptr) return nullptr;
  }
  return put != nullptr ? put : Py_NewRef(Py_None);
}

bool put_in(Cell* cell, Guard* g, Item& it, unsigned lane) {
  const std::uint32_t inside = cell->depth - g->overflowed;
  if (g->limits->policy == kOverflow && (g->overflowed != 0 || inside >= g->limits->capacity)) {
    if (!g->overflow.push(Overflowed{it, lane})) return false;
    g->overflowed++;
    return true;
  }
  return cell->box.push(it, lane);
}

void refill(Cell* cell, Guard* g, bool all) {
  Overflowed next;
  while (g->overflowed != 0 && (all || cell->depth - g->overflowed < g->limits->capacity) &&
         g->overflow.pop(next)) {
    g->overflowed--;
    if (!cell->box.push(next.item, next.lane)) {  // no memory: it waits for a better moment
      g->overflow.push(next);
      g->overflowed++;
      return;
    }
  }
}

// hook(cell, sender, overflowed) -> Put: taken, but it should go slower.
PyObject* pressed(Core* c, Cell* cell, PyObject* sender, bool overflowed) {
  PyObject* args[4] = {nullptr, reinterpret_cast<PyObject*>(cell), sender,
                       overflowed ? Py_True : Py_False};
  return PyObject_Vectorcall(c->hook_pressed, args + 1, 3 | PY_VECTORCALL_ARGUMENTS_OFFSET,
                             nullptr);
}

}  // namespace

Guard* guard_of(const Cell* cell) {
  if ((cell->state & kGuarded) == 0) return nullptr;
  const auto found = owner(cell)->flow->guards.find(const_cast<Cell*>(cell));
  return found != owner(cell)->flow->guards.end() ? &found->second : nullptr;
}

const Limits* limits_of(const Cell* cell) {
  const Guard* g = guard_of(cell);
  return g != nullptr ? g->limits : cell->behaviour->limits;
}

double fill_of(const Cell* cell, const Limits* l, const Guard* g) {
  const double items = double(cell->depth) / l->capacity;
  if (l->max_bytes == 0 || g == nullptr) return items;
  const double bytes = double(g->bytes) / double(l->max_bytes);
  return items > bytes ? items : bytes;
}

PyObject* offer_guarded(Core* c, Cell* cell, Item& it, unsigned lane, std::int64_t hurry) {
  Guard* g = guard_made(c, cell);
  const std::uint64_t size = size_for(g, it.msg);
  long code = admission(c, g, it, size);
  const bool admitted = code == 0;
  if (admitted) code = capacity_refusal(cell, g, lane, size);
  if (code != 0) {
    update_gauge(c, cell, g, admitted);
    keep_watch(cell, g);
    return refuse(c, cell, it, code);
  }
  PyObject* put = make_room(c, cell, g, lane, size);
  if (put == nullptr) {
    item_release(it);
    return nullptr;
  }
  const Limits* l = g->limits;
  if (l->interval_ns != 0 && !is_timer(it)) {
    bucket_of(c, g, it.sender)->take(core_now(c), l->interval_ns);
  }
  PyObject* sender =
      Py_NewRef(it.sender != nullptr ? reinterpret_cast<PyObject*>(it.sender) : Py_None);
  const std::uint32_t before = g->overflowed;
  const bool across = this_thread() != c->thread;
  if (across ? !send_across(c, cell, it, lane) : !put_in(cell, g, it, lane)) {
    item_release(it);
    Py_DECREF(sender);
    Py_DECREF(put);
    return PyErr_NoMemory();
  }
  if (!across) {
    cell->depth++;
    c->n_accepted++;
  }
  if (g->counts) add_bytes(c, g, size);
  update_gauge(c, cell, g, put != Py_None);
  keep_watch(cell, g);
  if (!across) {
    make_ready(c, cell);
    if (hurry != 0) note_urgent(c, cell, hurry);
  }
  const bool overflowed = g->overflowed > before;
  if (put == Py_None && (overflowed || fill_of(cell, l, g) >= l->high)) {
    Py_SETREF(put, pressed(c, cell, sender, overflowed));
  } else if (put == Py_None) {
    Py_SETREF(put, Py_NewRef(c->accepted));
  }
  Py_DECREF(sender);
  return put;
}

long guarded_refusal(Core* c, Cell* cell, const Item& it, unsigned lane) {
  Guard* g = guard_made(c, cell);
  const std::uint64_t size = size_for(g, it.msg);
  const long code = admission(c, g, it, size);
  return code != 0 ? code : capacity_refusal(cell, g, lane, size);
}

void message_taken(Core* c, Cell* cell, PyObject* msg) {
  Guard* g = guard_of(cell);
  if (g == nullptr) {
    call_hook(c->hook_room, cell);
    return;
  }
  if (g->counts) remove_bytes(c, g, cell->depth == 0 ? g->bytes : message_size(msg));
  refill(cell, g, false);
  update_gauge(c, cell, g, false);
  keep_watch(cell, g);
  if (g->waited_for) call_hook(c->hook_room, cell);
}

void message_delivered(Core* c, Cell* cell, PyObject* msg) {
  Guard* g = guard_made(c, cell);
  if (!g->counts) return;
  add_bytes(c, g, message_size(msg));
  keep_watch(cell, g);
}

void guard_finish(Core* c, Cell* cell) {
  Guard* g = guard_of(cell);
  refill(cell, g, true);
  remove_bytes(c, g, g->bytes);
  g->counts = 0;
}

void guard_forget(Cell* cell) {
  Guard* g = guard_of(cell);
  Overflowed left;
  while (g->overflow.pop(left))
    item_release(left.item);
  remove_bytes(owner(cell), g, g->bytes);
  delete g->buckets;
  Py_DECREF(reinterpret_cast<PyObject*>(g->limits));
  owner(cell)->flow->guards.erase(cell);
}

int set_limits(Cell* cell, Limits* l) {
  if (l->lanes > 1 && !cell->box.has_lanes()) {
    if (!cell->box.empty()) {
      PyErr_SetString(UsageError, "lanes must be set before the first message");
      return -1;
    }
    if (!set_lanes(owner(cell), cell, l->lanes)) return -1;
  }
  Core* c = owner(cell);
  cell->straight = c->flow->limit == 0 ? l->straight : 0;
  if (l == cell->behaviour->limits) return 0;
  Guard* g = guard_made(c, cell);
  Py_INCREF(reinterpret_cast<PyObject*>(l));
  Py_SETREF(g->limits, l);
  g->counts = l->max_bytes != 0 || c->flow->limit != 0;
  return 0;
}

std::int64_t retry_after_ns(Core* c, Cell* cell, long refusal, Cell* sender) {
  Guard* g = guard_of(cell);
  if (g == nullptr) return 0;
  const Limits* l = g->limits;
  if (refusal == kRateLimited) {
    return bucket_of(c, g, sender)->wait(core_now(c), l->interval_ns, l->burst);
  }
  if (refusal == kNoMemory) {
    FlowTable* flow = c->flow;
    if (flow->drain.observe(flow->gone, core_now(c))) flow->gone = 0;
    const double used = double(flow->payload + flow->others);
    const double excess = used - (kLevels[2] - kHysteresis) * double(flow->limit);
    return flow->drain.retry_after(excess > 0 ? excess : 0);
  }
  learn_rate(c, cell, g);
  const double excess = (fill_of(cell, l, g) - l->low) * l->capacity;
  return g->drain.retry_after(excess > 0 ? excess : 0);
}

void watch_takes(Cell* cell, bool on) {
  Guard* g = guard_of(cell);
  if (g != nullptr) {
    g->waited_for = on;
    keep_watch(cell, g);
  } else if (on) {
    cell->state |= kWatched;
  } else {
    cell->state &= static_cast<std::uint16_t>(~kWatched);
  }
}

// hook(level): memory in use has crossed one of the levels.
void memory_changed(Core* c) {
  FlowTable* flow = c->flow;
  if (flow->limit == 0) return;
  const double share = double(flow->payload + flow->others) / double(flow->limit);
  std::uint8_t level = flow->level;
  while (level < kAtLimit && share >= kLevels[level])
    level++;
  while (level > kCalm && share < kLevels[level - 1] - kHysteresis)
    level--;
  if (level == flow->level) return;
  if (flow->level < kHigh && level >= kHigh) {
    flow->drain.begin(core_now(c));
    flow->gone = 0;
  }
  flow->level = level;
  PyObject* number = PyLong_FromLong(level);
  PyObject* r = PyObject_CallOneArg(c->hook_memory, number);
  if (r == nullptr) report_unraisable(c->hook_memory);
  Py_XDECREF(r);
  Py_DECREF(number);
}

}  // namespace binding
