#include "order.hpp"

#include <new>

namespace binding {

namespace {

constexpr std::uintptr_t kEarlyTag = 2;

// The clock of ageing and not of deadlines: coarse is good enough.
std::int64_t ageing_clock(const Core* c) {
  return c->virtual_ns >= 0 ? c->virtual_ns : coarse_ns();
}

Order* order_of(Core* c) {
  if (c->order == nullptr) c->order = new (std::nothrow) Order;
  return c->order;
}

unsigned level_of(const Cell* cell) {
  return (cell->state & kLaned) != 0 ? cell->box.best_lane() : cell->rank;
}

bool use_levels(Core* c) {
  Order* order = order_of(c);
  if (order == nullptr) {
    PyErr_NoMemory();
    return false;
  }
  const std::int64_t now = ageing_clock(c);
  order->ranked = true;
  while (!c->ready.empty())
    order->levels.push(c->ready.pop(), actinium::kNormal, now);
  return true;
}

}  // namespace

// Four lanes instead of one queue; only on an empty mailbox. False with an exception set.
bool set_lanes(Core* c, Cell* cell, int lanes) {
  if (lanes <= 1 || cell->box.has_lanes()) return true;
  if (!use_levels(c)) return false;
  if (!cell->box.use_lanes()) {
    PyErr_NoMemory();
    return false;
  }
  cell->state |= kLaned;
  return true;
}

// Its place among the four levels of the ready queue. False with an exception set.
bool set_rank(Core* c, Cell* cell, unsigned rank) {
  if (rank != actinium::kNormal && !use_levels(c)) return false;
  cell->rank = cell->queued_rank = static_cast<std::uint8_t>(rank);
  return true;
}

// Into the ready queue of a system that has an order.
void enqueue_ordered(Core* c, std::uintptr_t entry) {
  Order* order = c->order;
  const bool is_cell = (entry & 1) == 0;
  auto* cell = is_cell ? reinterpret_cast<Cell*>(entry)
                       : reinterpret_cast<Activation*>(entry & ~std::uintptr_t(1))->cell;
  if (!order->ranked) {
    c->ready.push(entry);
  } else {
    unsigned level = cell != nullptr ? unsigned(cell->rank) : unsigned(actinium::kNormal);
    if (is_cell) {
      // What the runtime asks of an actor comes before every rank (MB-3).
      level = cell->sys != 0 ? unsigned(actinium::kCritical) : level_of(cell);
      cell->queued_rank = static_cast<std::uint8_t>(level);
    }
    order->levels.push(entry, level, ageing_clock(c));
  }
  if (!is_cell || (cell->state & kUrgent) == 0) return;
  cell->state &= static_cast<std::uint16_t>(~kUrgent);
  const auto [first, last] = order->parked.equal_range(cell);
  for (auto it = first; it != last; ++it)
    order->urgent.put_back(it->second);
  order->parked.erase(first, last);
}

// A message or signal better than the place in line the actor has.
void raise_rank(Core* c, Cell* cell) {
  Order* order = c->order;
  if (order == nullptr || !order->ranked || (cell->state & kQueued) == 0) return;
  const unsigned level = cell->sys != 0 ? unsigned(actinium::kCritical) : level_of(cell);
  if (level >= cell->queued_rank) return;
  cell->queued_rank = static_cast<std::uint8_t>(level);
  Py_INCREF(cell);
  order->levels.push(reinterpret_cast<std::uintptr_t>(cell) | kEarlyTag, level, ageing_clock(c));
}

bool is_urgent(const Item& it) {
  if (it.extra == nullptr) return false;
  if (Py_TYPE(it.extra) == ReplyType) return reinterpret_cast<Reply*>(it.extra)->urgent != 0;
  if (Py_TYPE(it.extra) == EnvelopeType) return reinterpret_cast<Envelope*>(it.extra)->urgent != 0;
  return false;
}

// Called once the message is in the mailbox. Where next to nothing waits, turns come soon enough.
void note_urgent(Core* c, Cell* cell, std::int64_t deadline) {
  const std::size_t waiting = ready_count(c);
  if (waiting <= 1 && cell->depth <= c->batch) return;
  Order* order = order_of(c);
  if (order == nullptr) return;  // no memory for the hint: the message keeps its turn
  Py_INCREF(cell);
  order->urgent.push(deadline, cell, cell->taken + cell->depth);
}

namespace {

bool still_waits(const actinium::Urgent& hint, const Cell* cell) {
  return static_cast<std::int32_t>(hint.until - cell->taken) > 0 && (cell->state & kStopped) == 0;
}

bool runnable(const Cell* cell) {
  return (cell->state & (kQueued | kBusy | kPaused | kStopped)) == kQueued && cell->sys == 0;
}

// The most urgent hint that can be followed now; those of actors that cannot run are parked.
bool take_urgent(Core* c, actinium::Urgent* out) {
  Order* order = c->order;
  while (!order->urgent.empty()) {
    const actinium::Urgent hint = order->urgent.pop();
    auto* cell = static_cast<Cell*>(hint.actor);
    if (!same_shard(c, cell) || !still_waits(hint, cell)) {  // it moved to where it gets its turn
      Py_DECREF(cell);
    } else if (runnable(cell)) {
      *out = hint;
      return true;
    } else {
      order->parked.emplace(cell, hint);
      cell->state |= kUrgent;
    }
  }
  return false;
}

std::int64_t run_urgent(Core* c, const actinium::Urgent& hint, std::int64_t limit) {
  auto* cell = static_cast<Cell*>(hint.actor);
  const auto ahead = static_cast<std::int64_t>(hint.until - cell->taken);
  const std::int64_t n = run_early(c, cell, ahead < limit ? ahead : limit);
  c->order->debt += n;
  if (still_waits(hint, cell)) {
    c->order->urgent.put_back(hint);
  } else {
    Py_DECREF(cell);
  }
  return n;
}

}  // namespace

// One turn in a system that has an order.
std::int64_t run_ordered(Core* c, std::int64_t limit) {
  Order* order = c->order;
  actinium::Urgent hint;
  const std::optional<std::size_t> chosen = chosen_place(c, ready_count(c));
  if (!chosen && order->debt <= 0 && take_urgent(c, &hint)) return run_urgent(c, hint, limit);
  std::int64_t n;
  if (!order->ranked) {
    if (chosen) c->ready.bring_to_head(*chosen);
    n = run_entry(c, c->ready.pop(), limit);
  } else {
    actinium::Levels& levels = order->levels;
    const actinium::Levels::Pick pick =
        chosen ? actinium::Levels::Pick{levels.pick_at(*chosen), 0} : levels.pick(ageing_clock(c));
    auto* cell = reinterpret_cast<Cell*>(pick.entry & ~kEarlyTag);
    if ((pick.entry & kEarlyTag) == 0) {
      n = run_entry(c, pick.entry, limit);
    } else {
      n = 0;
      if (same_shard(c, cell)) {
        cell->queued_rank = actinium::kLow;  // where its own place lies is not known any more
        if ((cell->state & kQueued) != 0) n = run_early(c, cell, limit);
      }
      Py_DECREF(cell);
    }
    levels.charge(pick.payer, n);
  }
  order->debt = order->debt > n ? order->debt - n : 0;
  return n;
}

// Lets go of hints whose messages were handled; without this they would keep dead refs alive.
void clear_stale_hints(Core* c) {
  actinium::Urgent hint;
  if (c->order != nullptr && take_urgent(c, &hint)) c->order->urgent.put_back(hint);
}

void forget_parked(Core* c, Cell* cell) {
  cell->state &= static_cast<std::uint16_t>(~kUrgent);
  const std::size_t n = c->order->parked.erase(cell);
  for (std::size_t i = 0; i < n; i++)
    Py_DECREF(cell);
}

void drop_order(Core* c) {
  Order* order = c->order;
  if (order == nullptr) return;
  while (!order->levels.empty())
    Py_DECREF(reinterpret_cast<PyObject*>(order->levels.pick_at(0) & ~std::uintptr_t(3)));
  while (!order->urgent.empty())
    Py_DECREF(static_cast<PyObject*>(order->urgent.pop().actor));
  for (const auto& [cell, hint] : order->parked)
    Py_DECREF(static_cast<PyObject*>(hint.actor));
  order->parked.clear();
}

std::size_t ready_count(const Core* c) {
  return c->order != nullptr && c->order->ranked ? c->order->levels.size() : c->ready.size();
}

std::uintptr_t ready_at(const Core* c, std::size_t index) {
  return c->order != nullptr && c->order->ranked ? c->order->levels.at(index)
                                                 : c->ready.peek(index);
}

}  // namespace binding
