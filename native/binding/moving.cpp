// Actors that move from a busy shard to an idle one, where there is no GIL.
//
// Nobody takes anything: a shard that has run dry asks, and who has more to do than one thread can
// gives, between two turns of its run loop, up to half of what is ready there. So an actor is only
// ever touched by the thread of its shard, which also decides that it goes (SC-1), and a shard that
// nobody asks pays for a look at two words a turn. Whom to ask is the choice of VictimChooser; when
// nobody shows any load, or whoever was asked had nothing to give, the first that has gives.
//
// An actor that may move is one that the system placed (`mobile`) and that is nothing but its
// class, its instance and its mailbox at that moment: no handler under way, no child, no rank, no
// guard of its mailbox, and no `extra`, where all is kept that the Python side knows of one actor
// (a name, watchers, timers, links, what supervision remembers, tasks of pipe()). An actor that has
// asked stays too: its replies belong to its shard. And what waits for it has to be worth the trip
// (Settings.move_us): messages between shards cost tens of microseconds when the other one sleeps.
//
// What the old shard may still have of it, hints to urgent messages and places in line ahead of its
// turn, is void there once it has moved (order.cpp). The step itself, and why the order per sender
// survives it, is in actinium/handover.hpp. From it until the notice is read the actor is kQueued,
// so that nothing runs it, and belongs to its new shard already. Refs to the cores and parents it
// had are kept until its end (`visited`): another thread may just have read the old one.
#include "shards.hpp"

#ifdef Py_GIL_DISABLED

#include <bit>

#include "actinium/handover.hpp"
#include "send.hpp"

namespace binding {

namespace {

constexpr std::uint32_t kMostGiven = 32;

std::uint64_t bit_of(std::size_t place) { return std::uint64_t(1) << place; }

bool may_move(const Core* c, const Cell* cell) {
  return cell->mobile && cell->state == kQueued && cell->sys == 0 && cell->running == 0 &&
         cell->activations == nullptr && cell->child == nullptr && cell->extra == nullptr &&
         cell->rank == actinium::kNormal && !cell->box.has_lanes() && cell->straight != 0 &&
         cell->parent == c->user;
}

bool is_worth_it(const Core* c, const Cell* cell) {
  return static_cast<std::int64_t>(cell->depth) * c->sharing->pace_ns >= c->sharing->worth_ns;
}

// Takes one of the shards out of a set that others change too; null: it is empty.
Core* take_one(ShardTable* table, std::atomic<std::uint64_t>& set) {
  for (std::uint64_t now = set.load(std::memory_order_acquire); now != 0;) {
    const std::uint64_t bit = now & -now;
    if (set.compare_exchange_weak(now, now & ~bit, std::memory_order_acq_rel)) {
      return table->places[std::countr_zero(bit)].core;
    }
  }
  return nullptr;
}

// Who gets the actor at hand, of `waiting` others: null when nobody asks any more.
Core* receiver(Core* c, std::size_t waiting) {
  Sharing* s = c->sharing;
  if (s->left == 0) {
    ShardTable* table = c->shards;
    s->to = take_one(table, table->places[s->place].asked);
    if (s->to == nullptr) s->to = take_one(table, table->hungry);
    if (s->to == nullptr || s->to == c) return nullptr;
    const auto half = static_cast<std::uint32_t>((waiting + 1) / 2);
    s->left = half < kMostGiven ? half : kMostGiven;
  }
  s->left--;
  return s->to;
}

// Whoever names a core or parent it has found in the cell may do so as long as the cell lives.
void keep(Cell* cell, const ShardTable* table, std::size_t place) {
  if ((cell->visited & bit_of(place)) != 0) return;
  cell->visited |= bit_of(place);
  Py_INCREF(table->places[place].core);
  Py_INCREF(table->places[place].user);
}

// From one list of children into another; the reference of the list goes with it.
void change_parent(Cell* cell, Cell* from, Cell* to) {
  (cell->newer != nullptr ? cell->newer->older : from->child) = cell->older;
  if (cell->older != nullptr) cell->older->newer = cell->newer;
  cell->newer = nullptr;
  cell->older = to->child;
  if (to->child != nullptr) to->child->newer = cell;
  to->child = cell;
}

}  // namespace

// Offers an actor that was taken out of the ready queue to whoever asked. True: it is gone, with
// the reference that the queue had.
bool give_away(Core* c, Cell* cell) {
  const std::size_t waiting = ready_count(c);
  if (waiting == 0 || (c->closing | c->manual) != 0 || c->choose != nullptr || !may_move(c, cell) ||
      !is_worth_it(c, cell)) {
    return false;
  }
  Core* to = receiver(c, waiting);
  if (to == nullptr) return false;
  void* memory = actinium::slab_alloc(sizeof(Inbound), actinium::Region::inbox);
  if (memory == nullptr) return false;
  ShardTable* table = c->shards;
  const std::size_t here = c->sharing->place;
  const std::size_t there = to->sharing->place;
  Cell* user = table->places[there].user;
  Wake wake;
  bool moved = false;
  // Their lists of children: the new one must not be changed before the actor is in it.
  Py_BEGIN_CRITICAL_SECTION2(c->user, user);
  moved = actinium::hand_over(
      c, to, [](const Core* other) { return !other->closed && !other->sharing->closed; },
      [&](Core* other) {
        cell->visited |= bit_of(here);  // whose references it has from its beginning
        keep(cell, table, there);
        other->n_coming.fetch_add(1, std::memory_order_relaxed);
        table->moves.fetch_add(1, std::memory_order_relaxed);
        __atomic_store_n(&cell->parent, user, __ATOMIC_RELAXED);
        __atomic_store_n(&cell->core, other, __ATOMIC_RELEASE);
        Item none;
        push_inbound(other, cell, none, static_cast<unsigned>(here), memory, Inward::kActor, &wake);
      });
  if (moved) change_parent(cell, c->user, user);
  Py_END_CRITICAL_SECTION2();
  if (!moved) {  // something is in the inbox here; or they close there
    c->sharing->left = 0;
    if (!to->sharing->closed) table->hungry.fetch_or(bit_of(there), std::memory_order_release);
    actinium::slab_free(memory, sizeof(Inbound), actinium::Region::inbox);
    return false;
  }
  c->n_cells--;
  wake_loop(to, wake);
  Py_DECREF(cell);
  return true;
}

// The notice of a move has come; it brings the actor's turn.
void actor_arrived(Core* c, Cell* cell, std::size_t from) {
  Sharing* s = c->sharing;
  c->n_coming.fetch_sub(1, std::memory_order_relaxed);
  c->n_cells++;
  s->taken++;
  s->chooser.learn(from, true);
  if (s->asked == from) s->asked = s->place;
  Py_INCREF(cell);
  enqueue(c, reinterpret_cast<std::uintptr_t>(cell));
  if (!c->armed && core_arm(c) < 0) report_unraisable(nullptr);
}

// Nothing is ready here: asks whoever shows most, or all.
void ask_for_work(Core* c) {
  Sharing* s = c->sharing;
  if (s->asking || s->closed || (c->closing | c->manual) != 0 || c->user == nullptr) return;
  ShardTable* table = c->shards;
  if (s->asked != s->place) s->chooser.learn(s->asked, false);
  s->asked = s->chooser.choose([table](std::size_t place) {
    const std::uint32_t load = table->places[place].load.load(std::memory_order_relaxed);
    return load > 1 ? load : 0;
  });
  s->asking = true;
  auto& set = s->asked != s->place ? table->places[s->asked].asked : table->hungry;
  set.fetch_or(bit_of(s->place), std::memory_order_release);
}

// There is something to do after all.
void stop_asking(Core* c) {
  Sharing* s = c->sharing;
  s->asking = false;
  const std::uint64_t mine = bit_of(s->place);
  if (s->asked != s->place) {
    auto& set = c->shards->places[s->asked].asked;
    if ((set.fetch_and(~mine, std::memory_order_relaxed) & mine) != 0) s->asked = s->place;
  }
  if ((c->shards->hungry.load(std::memory_order_relaxed) & mine) != 0) {
    c->shards->hungry.fetch_and(~mine, std::memory_order_relaxed);
  }
}

void show_load(Core* c, std::uint32_t now) {
  c->sharing->shown = now;
  c->shards->places[c->sharing->place].load.store(now, std::memory_order_relaxed);
}

// At the end of a slice: who asked and got nothing here asks everybody.
void pass_on_asks(Core* c) {
  ShardTable* table = c->shards;
  auto& set = table->places[c->sharing->place].asked;
  c->sharing->left = 0;
  if (set.load(std::memory_order_relaxed) == 0) return;
  table->hungry.fetch_or(set.exchange(0, std::memory_order_acq_rel), std::memory_order_release);
}

// From here on no actor comes any more; those that were on their way are in the inbox.
void take_no_more(Core* c) {
  if (c->sharing == nullptr || c->sharing->closed) return;
  {
    const std::lock_guard hold(c->gate);
    c->sharing->closed = true;
  }
  stop_asking(c);
  pass_on_asks(c);
  show_load(c, 0);
}

// What a cell that has moved holds: all cores and parents it had.
void let_go_visited(Cell* cell) {
  ShardTable* table = cell->core->shards;
  table->users.fetch_add(1);
  for (std::uint64_t left = cell->visited; left != 0; left &= left - 1) {
    const ShardTable::Place& place = table->places[std::countr_zero(left)];
    Py_DECREF(place.user);
    Py_DECREF(place.core);
  }
  forget_table(table);
}

// From now on the system may move it.
PyObject* cell_set_mobile(PyObject* o, PyObject*) {
  reinterpret_cast<Cell*>(o)->mobile = 1;
  Py_RETURN_NONE;
}

}  // namespace binding

#endif
