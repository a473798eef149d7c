// Orders other than first come, first served: ranks and deadlines.
//
// A system where no actor differs from another in rank and no message is urgent uses one plain
// ring and nothing of this. Both orders work by hints: an actor whose message is urgent, or that
// got a message of a better lane than it stands in line for, runs early while its place in the
// ready queue stays, so that it is there once at most (SC-2) and nothing is lost if a hint is.
#pragma once

#include <unordered_map>

#include "actinium/levels.hpp"
#include "actinium/urgent.hpp"
#include "runtime.hpp"

namespace binding {

struct Order {
  bool ranked = false;
  actinium::Levels levels;  // instead of the core's ring, once `ranked`
  actinium::UrgentHeap urgent;
  std::unordered_multimap<const Cell*, actinium::Urgent> parked;  // of actors that cannot run now
  std::int64_t debt = 0;  // messages that urgent ones were handled before others (SC-6)
};

// These are false with an exception set.
bool set_lanes(Core* c, Cell* cell, int lanes);
bool set_rank(Core* c, Cell* cell, unsigned rank);
void note_urgent(Core* c, Cell* cell, std::int64_t deadline);
bool is_urgent(const Item& it);
void forget_parked(Core* c, Cell* cell);
void drop_order(Core* c);
std::int64_t run_ordered(Core* c, std::int64_t limit);
void clear_stale_hints(Core* c);

// ---- pump.cpp
std::int64_t run_early(Core* c, Cell* cell, std::int64_t limit);
std::int64_t run_entry(Core* c, std::uintptr_t entry, std::int64_t limit);

}  // namespace binding
