#include "batch.hpp"

#include "send.hpp"

namespace binding {

namespace {

bool belongs(const Cell* cell, const Handler* h, const Item* next) {
  if (next == nullptr || next->extra != nullptr) return false;
  const Handler* found = behaviour_find(cell->behaviour, Py_TYPE(next->msg));
  if (found == nullptr) PyErr_Clear();  // it comes up again once that message has its turn
  return found == h;
}

}  // namespace

bool gather_batch(Cell* cell, Handler* h, Item& it) {
  const std::uint32_t most = cell->depth < h->batch ? cell->depth + 1 : h->batch;
  PyObject* list = PyList_New(most);
  Envelope* batch = list != nullptr ? envelope_new(kBatch, nullptr, 0) : nullptr;
  if (batch == nullptr) {
    Py_XDECREF(list);
    return false;
  }
  std::uint32_t n = 0;
  Item next = it;
  while (true) {
    PyList_SET_ITEM(list, n++, next.msg);
    Py_XDECREF(reinterpret_cast<PyObject*>(next.sender));
    if (n == most || !belongs(cell, h, cell->box.front())) break;
    cell->box.pop(next);
    cell->depth--;
    cell->taken++;
  }
  Py_SET_SIZE(reinterpret_cast<PyVarObject*>(list), n);
  owner(cell)->until_check -= static_cast<std::int32_t>(n) - 1;
  batch->count = n;
  it = Item{list, nullptr, reinterpret_cast<PyObject*>(batch)};
  return true;
}

std::uint64_t handled_before_end(const Item& it, bool declared) {
  const Envelope* batch = batch_of(it);
  if (batch == nullptr) return declared ? 1 : 0;
  const auto left = static_cast<std::uint64_t>(PyList_GET_SIZE(it.msg));
  if (declared) return batch->count;
  return left < batch->count ? batch->count - left : 0;
}

namespace {

// Hands over one message at a time, however it goes; false with an exception set.
bool send_one(Core* c, Cell* cell, PyObject* msg, std::uint64_t* taken) {
  if (!check_message(c, Py_TYPE(msg))) return false;
  Item it{Py_NewRef(msg), current_sender(c), nullptr};
  PyObject* put = offer(c, cell, it, actinium::kNormal);
  if (put == nullptr) return false;
  bool ok = put == c->accepted;
  if (!ok) {  // the Put of a refusal, or of a message that drove another one out
    PyObject* said = PyObject_GetAttrString(put, "ok");
    if (said == nullptr) report_unraisable(put);
    ok = said == Py_True;
    Py_XDECREF(said);
  }
  Py_DECREF(put);
  *taken += ok ? 1 : 0;
  return true;
}

// Puts messages of a list or tuple straight into the mailbox while nothing is in the way, and
// returns how many.
Py_ssize_t send_plainly(Core* c, Cell* cell, PyObject** messages, Py_ssize_t n) {
  if (this_thread() != c->thread || (cell->state & (kClosed | kHeld)) != 0 || c->closing) return 0;
  const std::uint32_t room = cell->straight > cell->depth ? cell->straight - cell->depth : 0;
  if (n > room) n = room;
  Cell* sender = c->current;
  Py_ssize_t i = 0;
  for (; i < n; i++) {
    PyObject* msg = messages[i];
    if (c->known_types[type_slot(Py_TYPE(msg))] != Py_TYPE(msg)) break;
    if (!cell->box.push(Item{msg, sender, nullptr})) break;
    Py_INCREF(msg);
    Py_XINCREF(reinterpret_cast<PyObject*>(sender));
  }
  if (i == 0) return 0;
  cell->depth += static_cast<std::uint32_t>(i);
  c->n_accepted += static_cast<std::uint64_t>(i);
  make_ready(c, cell);
  return i;
}

}  // namespace

// tell_many(messages) -> how many were taken.
PyObject* cell_tell_many(PyObject* o, PyObject* messages) {
  auto* cell = reinterpret_cast<Cell*>(o);
  Core* c = owner(cell);
  std::uint64_t taken = 0;
  if (PyList_CheckExact(messages) || PyTuple_CheckExact(messages)) {
    // A refusal runs Python code, which may change the list: looked at anew each time.
    for (Py_ssize_t i = 0; i < PySequence_Fast_GET_SIZE(messages);) {
      const Py_ssize_t n = send_plainly(c, cell, PySequence_Fast_ITEMS(messages) + i,
                                        PySequence_Fast_GET_SIZE(messages) - i);
      i += n;
      taken += static_cast<std::uint64_t>(n);
      if (i >= PySequence_Fast_GET_SIZE(messages)) break;
      PyObject* msg = Py_NewRef(PySequence_Fast_GET_ITEM(messages, i));
      const bool sent = send_one(c, cell, msg, &taken);
      Py_DECREF(msg);
      if (!sent) return nullptr;
      i++;
    }
    return PyLong_FromUnsignedLongLong(taken);
  }
  PyObject* iterator = PyObject_GetIter(messages);
  if (iterator == nullptr) return nullptr;
  PyObject* msg = nullptr;
  bool sent = true;
  while (sent && (msg = PyIter_Next(iterator)) != nullptr) {
    if (this_thread() == c->thread && send_plainly(c, cell, &msg, 1) == 1) {
      taken++;
    } else {
      sent = send_one(c, cell, msg, &taken);
    }
    Py_DECREF(msg);
  }
  Py_DECREF(iterator);
  if (!sent || PyErr_Occurred()) return nullptr;
  return PyLong_FromUnsignedLongLong(taken);
}

}  // namespace binding
