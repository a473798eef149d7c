// Taking the current message away from its handler: to set it aside, or to hand it on.
//
// The item leaves the handler's hands with all it carries: sender, reply, deadline. What stays
// behind is an item without a message, so that the end of the handler answers and counts
// nothing; whoever has the item now does both (MS-1).
#include "guard.hpp"
#include "runtime.hpp"
#include "send.hpp"

namespace binding {

namespace {

// The item whose handler runs at this moment; null with UsageError raised.
Item* item_at_hand(Core* c, const Cell* cell, const char* what) {
  if (this_thread() != c->thread || c->current == nullptr ||
      (cell != nullptr && c->current != cell)) {
    PyErr_Format(UsageError, "%s belongs in a handler, while its message is current", what);
    return nullptr;
  }
  auto* it = const_cast<Item*>(current_item(c, c->current));
  if (it == nullptr || it->msg == nullptr) {
    PyErr_Format(UsageError, "%s: the current message was stashed or forwarded already", what);
    return nullptr;
  }
  if (it->extra == nullptr) return it;
  if (Py_TYPE(it->extra) == ReplyType && reinterpret_cast<Reply*>(it->extra)->deferred) {
    PyErr_Format(UsageError, "%s: ctx.defer() took the reply of this message already", what);
    return nullptr;
  }
  if (Py_TYPE(it->extra) != EnvelopeType) return it;
  const auto kind = reinterpret_cast<Envelope*>(it->extra)->kind;
  if (kind == kStream || kind == kBatch) {
    PyErr_Format(UsageError, "%s: %s cannot be taken away from its handler", what,
                 kind == kStream ? "the request for a stream" : "a batch of messages");
    return nullptr;
  }
  return it;
}

Item take(Item* it) {
  const Item taken = *it;
  *it = Item{};
  it->extra = Py_NewRef(Py_None);
  return taken;
}

bool is_notice(PyObject* extra) {
  return Py_TYPE(extra) == EnvelopeType && reinterpret_cast<Envelope*>(extra)->kind == kNotice;
}

PyObject* or_none(PyObject* steals) { return steals != nullptr ? steals : Py_NewRef(Py_None); }

}  // namespace

// -> (msg, sender, extra, lane): the current message, which is nobody's until it is put back.
PyObject* context_take_current(PyObject* o, PyObject*) {
  Cell* cell = reinterpret_cast<ContextBase*>(o)->cell;
  Item* it = item_at_hand(owner(cell), cell, "ctx.stash()");
  if (it == nullptr) return nullptr;
  const Activation* a = owner(cell)->activation;  // null: a `def` handler
  PyObject* lane = PyLong_FromLong(a != nullptr && a->parked ? a->lane : cell->box.last_lane());
  PyObject* tuple = lane != nullptr ? PyTuple_New(4) : nullptr;
  if (tuple == nullptr) {
    Py_XDECREF(lane);
    return nullptr;
  }
  Item taken = take(it);
  // Whether a notice is wanted was asked when it came; it would not be found wanted again.
  if (taken.extra != nullptr && is_notice(taken.extra)) Py_CLEAR(taken.extra);
  PyTuple_SET_ITEM(tuple, 0, taken.msg);
  PyTuple_SET_ITEM(tuple, 1, or_none(reinterpret_cast<PyObject*>(taken.sender)));
  PyTuple_SET_ITEM(tuple, 2, or_none(taken.extra));
  PyTuple_SET_ITEM(tuple, 3, lane);
  return tuple;
}

// (list of such tuples): before all that waits in their lanes, in the order of the list; whatever
// the bound, since they were accepted once (MB-1 counts them as set aside until then). Without a
// lane: that of the message whose handler ended last.
PyObject* cell_put_back(PyObject* o, PyObject* list) {
  auto* cell = reinterpret_cast<Cell*>(o);
  if (!PyList_Check(list) || (cell->state & kStopped) != 0) {
    PyErr_SetString(PyExc_TypeError, "put_back() takes a list, for an actor that has not stopped");
    return nullptr;
  }
  for (Py_ssize_t i = PyList_GET_SIZE(list) - 1; i >= 0; i--) {
    PyObject *msg, *sender, *extra;
    unsigned lane = cell->box.last_lane();
    if (!PyArg_ParseTuple(PyList_GET_ITEM(list, i), "OOO|I", &msg, &sender, &extra, &lane)) {
      return nullptr;
    }
    const Item it{Py_NewRef(msg),
                  sender != Py_None ? reinterpret_cast<Cell*>(Py_NewRef(sender)) : nullptr,
                  extra != Py_None ? Py_NewRef(extra) : nullptr};
    if (!cell->box.push_front(it, lane)) return PyErr_NoMemory();
    cell->depth++;
    if (cell->straight == 0) [[unlikely]]
      message_delivered(owner(cell), cell, msg);
  }
  if (PyList_GET_SIZE(list) > 0) make_ready(owner(cell), cell);
  Py_RETURN_NONE;
}

// (message or None) -> Put: hands the current message, or another in its place, on to this
// actor with sender, reply and deadline.
PyObject* cell_forward(PyObject* o, PyObject* const* args, Py_ssize_t nargs) {
  auto* cell = reinterpret_cast<Cell*>(o);
  Core* c = core_here(owner(cell));  // of the actor that hands it on
  if (c == nullptr) c = owner(cell);
  if (nargs > 1) {
    PyErr_Format(PyExc_TypeError, "forward() takes at most one message, got %zd", nargs);
    return nullptr;
  }
  PyObject* msg = nargs == 1 && args[0] != Py_None ? args[0] : nullptr;
  if (msg != nullptr && !check_message(c, Py_TYPE(msg))) return nullptr;
  Item* it = item_at_hand(c, nullptr, "ref.forward()");
  if (it == nullptr) return nullptr;
  Item taken = take(it);
  c->n_handled++;  // what the first actor had to do with it is done
  if (msg != nullptr) Py_SETREF(taken.msg, Py_NewRef(msg));
  if (taken.extra != nullptr && Py_TYPE(taken.extra) == ReplyType) {
    auto* r = reinterpret_cast<Reply*>(taken.extra);
    if (is_home(r)) Py_SETREF(r->target, reinterpret_cast<Cell*>(Py_NewRef(o)));
  } else if (taken.extra != nullptr &&
             (is_notice(taken.extra) || Py_TYPE(taken.extra) == TimerType)) {
    Py_CLEAR(taken.extra);  // it means something to the first actor only
  }
  return offer(core_of(c, cell), cell, taken, actinium::kNormal);
}

}  // namespace binding
