// What reaches a shard from other threads.
//
// With a GIL a sender's thread sees to bounds and counts itself and only the mailbox waits for the
// shard's own thread. Without one the whole offer happens there: the sender is told "accepted",
// and a message that finds its mailbox full or closed later becomes a dead letter. Order between
// one sender and one actor is that of the inbox (MS-2).
#include <new>

#include "order.hpp"
#include "send.hpp"

namespace binding {

namespace {

void push(Core* c, Cell* cell, Item& it, unsigned lane, void* memory) {
  auto* in = ::new (memory) Inbound{};
  in->cell = reinterpret_cast<Cell*>(Py_NewRef(reinterpret_cast<PyObject*>(cell)));
  in->item = it;
  in->lane = lane;
  it = Item{};
  c->inbox_size.fetch_add(1, std::memory_order_relaxed);
  c->inbox->push(in);
}

void arrive(Core* c, Cell* cell, Item& it, unsigned lane) {
#ifdef Py_GIL_DISABLED
  PyObject* put = offer(c, cell, it, lane);
  if (put == nullptr) report_unraisable(reinterpret_cast<PyObject*>(cell));
  Py_XDECREF(put);
#else
  if ((cell->state & kStopped) != 0) {
    cell->depth--;
    give_to_hook(c->hook_closed, cell, it);
  } else {
    const std::int64_t hurry = is_urgent(it) ? deadline_of(it) : 0;
    cell->box.push(it, lane);
    make_ready(c, cell);
    if (hurry != 0) note_urgent(c, cell, hurry);
  }
#endif
}

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

PyObject* offer_across(Core* c, Cell* cell, Item& it, unsigned lane) {
  void* memory = actinium::slab_alloc(sizeof(Inbound), actinium::Region::inbox);
  if (memory == nullptr) {
    item_release(it);
    return PyErr_NoMemory();
  }
  PyObject* call = nullptr;
  PyObject* wake = nullptr;
  bool open = false;
  Py_BEGIN_CRITICAL_SECTION(c);  // nobody reads the inbox of a closed core
  open = c->closed == 0;
  if (open) {
    push(c, cell, it, lane, memory);
    if (c->inbox_armed.exchange(1, std::memory_order_seq_cst) == 0 && !c->manual) {
      call = Py_NewRef(c->call_soon_threadsafe);
      wake = Py_NewRef(c->on_inbox);
    }
  }
  Py_END_CRITICAL_SECTION();
  if (!open) {
    actinium::slab_free(memory, sizeof(Inbound), actinium::Region::inbox);
    return refuse(c, cell, it, kIsClosed);
  }
  if (call != nullptr) {
    static PyObject* names = Py_BuildValue("(s)", "context");
    PyObject* args[3] = {nullptr, wake, c->context};
    PyObject* r = PyObject_Vectorcall(call, args + 1, 1 | PY_VECTORCALL_ARGUMENTS_OFFSET, names);
    if (r == nullptr) report_unraisable(call);
    Py_XDECREF(r);
    Py_DECREF(call);
    Py_DECREF(wake);
  }
  return Py_NewRef(c->accepted);
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
  push(c, cell, it, lane, memory);
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
    arrive(c, cell, in->item, in->lane);
    Py_DECREF(cell);
    in->~Inbound();
    actinium::slab_free(in, sizeof(Inbound), actinium::Region::inbox);
  }
}

void close_inbox(Core* c) {
#ifdef Py_GIL_DISABLED
  Py_BEGIN_CRITICAL_SECTION(c);
  c->closed = 1;
  Py_END_CRITICAL_SECTION();
  drain_inbox(c);  // pushes are whole within the section: none is half in
#else
  c->closed = 1;
#endif
}

}  // namespace binding
