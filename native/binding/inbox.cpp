// What reaches a shard from other threads.
//
// With a GIL a sender's thread sees to bounds and counts itself and only the mailbox waits for the
// shard's own thread. Without one the whole offer happens there: the sender is told "accepted",
// and a message that finds its mailbox full or closed later becomes a dead letter. Order between
// one sender and one actor is that of the inbox (MS-2).
#include <new>

#include "order.hpp"
#include "send.hpp"
#ifdef Py_GIL_DISABLED
#include "actinium/handover.hpp"
#include "shards.hpp"
#endif

namespace binding {

namespace {

void push(Core* c, Cell* cell, Item& it, unsigned lane, void* memory,
          [[maybe_unused]] Inward what) {
  auto* in = ::new (memory) Inbound{};
  in->cell = reinterpret_cast<Cell*>(Py_XNewRef(reinterpret_cast<PyObject*>(cell)));
  in->item = it;
  in->lane = lane;
#ifdef Py_GIL_DISABLED
  in->what = what;
#endif
  it = Item{};
  c->inbox_size.fetch_add(1, std::memory_order_relaxed);
  c->inbox->push(in);
}

#ifdef Py_GIL_DISABLED
void arrive_offer(Core* c, Cell* cell, Item& it, unsigned lane) {
  PyObject* put = offer(c, cell, it, lane);
  if (put == nullptr) {
    report_unraisable(reinterpret_cast<PyObject*>(cell));
  } else if (put != c->accepted) {  // its sender was told that it was taken
    PyObject* ok = PyObject_GetAttrString(put, "ok");
    if (ok == nullptr) report_unraisable(put);
    if (ok == Py_False) c->n_refused++;
    Py_XDECREF(ok);
  }
  Py_XDECREF(put);
}

void arrive(Core* c, Inbound* in) {
  Item& it = in->item;
  switch (in->what) {
    case Inward::kOffer:
      return arrive_offer(c, in->cell, it, in->lane);
    case Inward::kNotice:
      if ((in->cell->state & kStopped) != 0) {
        item_release(it);
      } else if (!deliver_here(c, in->cell, it)) {
        PyErr_NoMemory();
        report_unraisable(reinterpret_cast<PyObject*>(in->cell));
      }
      return;
    case Inward::kValue:
    case Inward::kError:
      reply_arrived(c, it, in->what == Inward::kError);
      return;
    case Inward::kWithdraw:
      reply_withdrawn(reinterpret_cast<Reply*>(it.extra));
      item_release(it);
      return;
    case Inward::kActor:
      return actor_arrived(c, in->cell, in->lane);
    case Inward::kCall:
      PyObject* r = PyObject_CallNoArgs(it.msg);
      if (r == nullptr) report_unraisable(it.msg);
      Py_XDECREF(r);
      item_release(it);
  }
}
#else
void arrive(Core* c, Inbound* in) {
  Cell* cell = in->cell;
  Item& it = in->item;
  if ((cell->state & kStopped) != 0) {
    cell->depth--;
    give_to_hook(c->hook_closed, cell, it);
  } else {
    const std::int64_t hurry = is_urgent(it) ? deadline_of(it) : 0;
    cell->box.push(it, in->lane);
    make_ready(c, cell);
    if (hurry != 0) note_urgent(c, cell, hurry);
  }
}
#endif

}  // namespace

// A closing core gets other hooks, perhaps while another thread asks for one.
void set_hook(Core* c, PyObject* Core::* slot, PyObject* hook) {
  PyObject* before = nullptr;
  Py_BEGIN_CRITICAL_SECTION(c);
  before = c->*slot;
  c->*slot = hook;
  Py_END_CRITICAL_SECTION();
  Py_XDECREF(before);
}

PyObject* hook_for_any_thread(Core* c, PyObject* Core::* slot) {
  PyObject* hook = nullptr;
  Py_BEGIN_CRITICAL_SECTION(c);
  hook = Py_NewRef(c->*slot);
  Py_END_CRITICAL_SECTION();
  return hook;
}

#ifdef Py_GIL_DISABLED

void push_inbound(Core* c, Cell* cell, Item& it, unsigned lane, void* memory, Inward what,
                  Wake* wake) {
  push(c, cell, it, lane, memory, what);
  if (c->inbox_armed.exchange(1, std::memory_order_seq_cst) == 0 && !c->manual) {
    wake->call = Py_NewRef(c->call_soon_threadsafe);
    wake->on_inbox = Py_NewRef(c->on_inbox);
  }
}

// The loop of another thread has something to read. It may end at this moment.
void wake_loop(Core* c, Wake& wake) {
  if (wake.call == nullptr) return;
  static PyObject* names = Py_BuildValue("(s)", "context");
  PyObject* args[3] = {nullptr, wake.on_inbox, c->context};
  PyObject* r = PyObject_Vectorcall(wake.call, args + 1, 1 | PY_VECTORCALL_ARGUMENTS_OFFSET, names);
  if (r == nullptr && c->closed && PyErr_ExceptionMatches(PyExc_RuntimeError)) PyErr_Clear();
  if (r == nullptr) report_unraisable(wake.call);
  Py_XDECREF(r);
  Py_DECREF(wake.call);
  Py_DECREF(wake.on_inbox);
}

Sent send_in(Core* c, Cell* cell, Item& it, unsigned lane, Inward what) {
  void* memory = actinium::slab_alloc(sizeof(Inbound), actinium::Region::inbox);
  if (memory == nullptr) return Sent::kNoMemory;
  Wake wake;
  bool open = false;  // nobody reads the inbox of a closed core
  Core* const home = actinium::send_to_owner(
      [c, cell]() -> Core* {
        if (cell == nullptr) return c;
        Core* const now = owner(cell);
        return now->thread != this_thread() ? now : nullptr;
      },
      [&](Core* to) {
        open = to->closed == 0;
        if (open) push_inbound(to, cell, it, lane, memory, what, &wake);
      });
  if (!open) {
    actinium::slab_free(memory, sizeof(Inbound), actinium::Region::inbox);
    return home != nullptr ? Sent::kClosed : Sent::kHere;
  }
  wake_loop(home, wake);
  return Sent::kYes;
}

PyObject* offer_across(Core* c, Cell* cell, Item& it, unsigned lane) {
  switch (send_in(c, cell, it, lane, Inward::kOffer)) {
    case Sent::kYes:
      return Py_NewRef(c->accepted);
    case Sent::kHere:
      return offer(owner(cell), cell, it, lane);
    case Sent::kClosed:
      return refuse(c, cell, it, kIsClosed);
    default:
      item_release(it);
      return PyErr_NoMemory();
  }
}

bool not_from_here(const Core* c, const char* what) {
  if (this_thread() == c->thread) return false;
  PyErr_Format(UsageError,
               "%s belongs to the thread of the actor's system; from another thread tell an actor "
               "of that system to do it, or write loop.call_soon_threadsafe(...) with its loop",
               what);
  return true;
}

#endif

// Hands an item to the shard of the cell from any other thread, counted as accepted; one wake-up
// per burst.
bool send_across(Core* c, Cell* cell, Item& it, unsigned lane) {
  void* memory = actinium::slab_alloc(sizeof(Inbound), actinium::Region::inbox);
  if (memory == nullptr) return false;
  // Counted first: waking the loop may let its thread run, which then counts the message out.
  cell->depth++;
  c->n_accepted++;
  push(c, cell, it, lane, memory, Inward::kOffer);
  if (c->inbox_armed.exchange(1, std::memory_order_seq_cst) == 0 && !c->armed) {
    if (core_arm(c) < 0) report_unraisable(nullptr);
  }
  return true;
}

void drain_inbox(Core* c) {
  c->inbox_armed.store(0, std::memory_order_seq_cst);
  while (true) {
    actinium::MpscNode* node = nullptr;
    const actinium::Pop found = c->inbox->pop(node);
    if (found == actinium::Pop::linking) c->inbox_armed.store(1, std::memory_order_seq_cst);
    if (found != actinium::Pop::node) return;
    auto* in = static_cast<Inbound*>(node);
    Cell* cell = in->cell;
    c->inbox_size.fetch_sub(1, std::memory_order_relaxed);
    arrive(c, in);
    Py_XDECREF(reinterpret_cast<PyObject*>(cell));
    in->~Inbound();
    actinium::slab_free(in, sizeof(Inbound), actinium::Region::inbox);
  }
}

void close_inbox(Core* c) {
#ifdef Py_GIL_DISABLED
  {
    const std::lock_guard hold(c->gate);
    c->closed = 1;
  }
  drain_inbox(c);  // pushes are whole within the section: none is half in
#else
  c->closed = 1;
#endif
}

}  // namespace binding
