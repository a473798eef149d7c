// What a test may put into a core: who comes next, what a mailbox is offered, how handlers are
// called. A core without it pays nothing: no flag of its own is looked at on the way of a message.
#include "runtime.hpp"
#include "send.hpp"

namespace binding {

namespace {

Core* self_of(PyObject* o) { return reinterpret_cast<Core*>(o); }

void set_slot(PyObject** slot, PyObject* value) {
  Py_XSETREF(*slot, value == Py_None ? nullptr : Py_NewRef(value));
}

// What a tap wants done with an item; None lets it pass.
enum Verdict : long { kDrop = 1, kRefuse = 2, kTake = 3, kTwice = 4 };

}  // namespace

// instrument(choose, tap, behaviour_of): each a callable or None.
//   choose(n) -> which of n ready entries comes next, by its place in the queue; None: as it stands
//   tap(cell, msg, sender, extra, lane) -> None or a verdict, before a mailbox is offered a message
//   behaviour_of(cls) -> the behaviour of an actor of this class
PyObject* core_instrument(PyObject* o, PyObject* args) {
  Core* c = self_of(o);
  PyObject *choose, *tap, *behaviour_of;
  if (!PyArg_ParseTuple(args, "OOO", &choose, &tap, &behaviour_of)) return nullptr;
  set_slot(&c->choose, choose);
  set_slot(&c->tap, tap);
  set_slot(&c->behaviour_of, behaviour_of);
  c->closing =
      static_cast<std::uint8_t>((c->closing & ~kTapped) | (c->tap != nullptr ? kTapped : 0));
  Py_RETURN_NONE;
}

// The uids of the actors whose turn may be next, as they stand in the ready queue.
PyObject* core_ready_uids(PyObject* o, PyObject*) {
  Core* c = self_of(o);
  const auto n = static_cast<Py_ssize_t>(ready_count(c));
  PyObject* list = PyList_New(n);
  for (Py_ssize_t i = 0; list != nullptr && i < n; i++) {
    const std::uintptr_t entry = ready_at(c, static_cast<std::size_t>(i));
    void* who = reinterpret_cast<void*>(entry & ~std::uintptr_t(3));
    const Cell* cell =
        (entry & 1) != 0 ? static_cast<Activation*>(who)->cell : static_cast<const Cell*>(who);
    PyObject* uid = PyLong_FromUnsignedLongLong(cell != nullptr ? cell->uid : 0);
    if (uid == nullptr) Py_CLEAR(list);
    if (list != nullptr) PyList_SET_ITEM(list, i, uid);
  }
  return list;
}

// offer(cell, msg, sender, extra, lane) -> Put: what a tap took, handed on without asking it again.
PyObject* core_offer(PyObject* o, PyObject* args) {
  PyObject *cell, *msg, *sender, *extra;
  unsigned lane;
  if (!PyArg_ParseTuple(args, "O!OOOI", CellType, &cell, &msg, &sender, &extra, &lane)) {
    return nullptr;
  }
  Item it{Py_NewRef(msg), nullptr, extra == Py_None ? nullptr : Py_NewRef(extra)};
  if (sender != Py_None) it.sender = reinterpret_cast<Cell*>(Py_NewRef(sender));
  return offer_untapped(self_of(o), reinterpret_cast<Cell*>(cell), it, lane);
}

// The behaviour that a test wants an actor of a class to have; a new reference.
PyObject* instrumented_behaviour(Core* c, PyObject* cls) {
  PyObject* b = PyObject_CallOneArg(c->behaviour_of, cls);
  if (b != nullptr && Py_TYPE(b) != BehaviourType) {
    PyErr_Format(PyExc_TypeError, "expected a Behaviour, got %R", b);
    Py_CLEAR(b);
  }
  return b;
}

// Which of so many ready entries the test wants next; nothing where the core is to decide.
std::optional<std::size_t> chosen_place(Core* c, std::size_t count) {
  if (c->choose == nullptr) return std::nullopt;
  PyObject* n = PyLong_FromSize_t(count);
  PyObject* chosen = n != nullptr ? PyObject_CallOneArg(c->choose, n) : nullptr;
  Py_XDECREF(n);
  const bool own = chosen == Py_None;
  const std::size_t index = chosen != nullptr && !own ? PyLong_AsSize_t(chosen) : 0;
  Py_XDECREF(chosen);
  if (own) return std::nullopt;
  if (PyErr_Occurred()) {
    report_unraisable(c->choose);
    return 0;
  }
  return index < count ? index : 0;
}

// True when the tap has used up the item; *put is then what the sender gets (null: an error).
bool tapped(Core* c, Cell* cell, Item& it, unsigned lane, PyObject** put) {
  if (this_thread() != c->thread || (cell->state & kClosed) != 0) return false;
  PyObject* number = PyLong_FromUnsignedLong(lane);
  PyObject* sender = it.sender != nullptr ? reinterpret_cast<PyObject*>(it.sender) : Py_None;
  PyObject* args[6] = {nullptr, reinterpret_cast<PyObject*>(cell),        it.msg,
                       sender,  it.extra != nullptr ? it.extra : Py_None, number};
  PyObject* said =
      PyObject_Vectorcall(c->tap, args + 1, 5 | PY_VECTORCALL_ARGUMENTS_OFFSET, nullptr);
  Py_XDECREF(number);
  const long verdict = said != nullptr && said != Py_None ? PyLong_AsLong(said) : 0;
  Py_XDECREF(said);
  if (PyErr_Occurred()) {
    report_unraisable(c->tap);
    return false;
  }
  switch (verdict) {
    case kDrop:
      c->n_accepted++;  // and undelivered: the tap has written it down
      [[fallthrough]];
    case kTake:
      item_release(it);
      *put = Py_NewRef(c->accepted);
      return true;
    case kRefuse:
      *put = refuse(c, cell, it, kFull);
      return true;
    case kTwice: {
      Item copy = it;
      Py_INCREF(copy.msg);
      Py_XINCREF(reinterpret_cast<PyObject*>(copy.sender));
      Py_XINCREF(copy.extra);
      PyObject* first = offer_untapped(c, cell, copy, lane);
      if (first == nullptr) report_unraisable(c->tap);
      Py_XDECREF(first);
      return false;
    }
    default:
      return false;
  }
}

}  // namespace binding
