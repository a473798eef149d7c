// Asks that wait for each other.
//
// A waits for B which waits for ... A: none of them can ever go on, so the ask that closes the
// circle fails at once. Looked at only when a handler begins to wait for an actor that is busy,
// by following what each actor on the way waits for itself. Exact, not a guess: an actor blocks
// its mailbox only while a handler that wants to be alone is under way, and a handler waits for
// a reply, for several (asyncio.gather and the like) or for the next item of a stream.
#include "runtime.hpp"

namespace binding {

namespace {

constexpr int kDeepest = 16;
constexpr int kMostVisits = 4096;  // wide fan-outs behind wide fan-outs

PyTypeObject* gather_type;  // what asyncio.gather returns, if this Python has it

struct Trail {
  const Cell* cells[kDeepest + 1];
  int length = 0;
  int visits = 0;
  bool elsewhere = false;  // it leads to an actor of another process
};

// The handler that keeps a cell from taking its next message, or null.
const Activation* blocker(const Cell* cell) {
  if ((cell->state & kBusy) == 0) return nullptr;
  for (const Activation* a = cell->activations; a != nullptr; a = a->next) {
    if (is_alone(a)) return a;
  }
  return nullptr;
}

bool waits_for(const Core* c, PyObject* waiting, const Cell* asker, Trail& trail);

bool leads_back(const Core* c, const Cell* target, const Cell* asker, Trail& trail) {
  if (trail.length > kDeepest || ++trail.visits > kMostVisits) return false;
  if (!same_shard(c, target)) return false;  // not to be looked at from this thread
  trail.cells[trail.length++] = target;
  if (target == asker) return true;
  if ((target->state & kElsewhere) != 0) trail.elsewhere = true;
  const Activation* a = blocker(target);
  if (a != nullptr && a->waiting != nullptr && waits_for(c, a->waiting, asker, trail)) return true;
  trail.length--;
  return false;
}

bool is_join(const Core* c, PyObject* o) {
  return Py_TYPE(o) == c->join_type || Py_TYPE(o) == gather_type;
}

// Calls what(child) for what a join waits for until it returns true.
template <class F>
bool any_child(PyObject* join, F what) {
  PyObject* children = PyObject_GetAttrString(join, "_children");
  PyObject* list = children != nullptr ? PySequence_Fast(children, "children") : nullptr;
  Py_XDECREF(children);
  if (list == nullptr) {
    PyErr_Clear();
    return false;
  }
  bool found = false;
  for (Py_ssize_t i = 0; i < PySequence_Fast_GET_SIZE(list) && !found; i++) {
    found = what(PySequence_Fast_GET_ITEM(list, i));
  }
  Py_DECREF(list);
  return found;
}

// Adds the replies behind what a handler waits for; false with an error raised.
bool add_replies(const Core* c, PyObject* waiting, PyObject* list) {
  if (Py_TYPE(waiting) == ReplyType) {
    const auto* r = reinterpret_cast<const Reply*>(waiting);
    return r->done || r->sleeping || PyList_Append(list, waiting) == 0;
  }
  if (!is_join(c, waiting)) return true;
  return !any_child(waiting, [&](PyObject* child) { return !add_replies(c, child, list); });
}

bool waits_for(const Core* c, PyObject* waiting, const Cell* asker, Trail& trail) {
  if (Py_TYPE(waiting) == ReplyType) {
    const auto* r = reinterpret_cast<const Reply*>(waiting);
    return !r->done && !r->sleeping && leads_back(c, r->target, asker, trail);
  }
  if (Py_TYPE(waiting) == c->ref_type) {
    return leads_back(c, reinterpret_cast<const Cell*>(waiting), asker, trail);
  }
  if (!is_join(c, waiting)) return false;
  return any_child(waiting, [&](PyObject* child) { return waits_for(c, child, asker, trail); });
}

// hook(path) -> AskCycle; the path begins and ends with the asker.
PyObject* error_of(const Core* c, const Cell* asker, const Trail& trail) {
  PyObject* path = PyTuple_New(trail.length + 1);
  if (path == nullptr) return take_exception();
  for (int i = 0; i <= trail.length; i++) {
    const Cell* cell = i == 0 ? asker : trail.cells[i - 1];
    PyTuple_SET_ITEM(path, i, Py_NewRef(reinterpret_cast<PyObject*>(const_cast<Cell*>(cell))));
  }
  PyObject* exc = PyObject_CallOneArg(c->hook_cycle, path);
  Py_DECREF(path);
  return exc != nullptr ? exc : take_exception();
}

void fail_future(PyObject* future, PyObject* exc) {
  PyObject* r = PyObject_CallMethod(future, "set_exception", "O", exc);
  if (r == nullptr) report_unraisable(future);
  Py_XDECREF(r);
}

}  // namespace

bool refuse_circle(Core* c, const Cell* asker, Reply* r) {
  Trail trail;
  if (leads_back(c, r->target, asker, trail)) {
    PyObject* exc = error_of(c, asker, trail);
    reply_fail(r, exc);
    Py_DECREF(exc);
  } else if (trail.elsewhere) {
    auto* cell = reinterpret_cast<PyObject*>(const_cast<Cell*>(asker));
    PyObject* args[3] = {nullptr, cell, reinterpret_cast<PyObject*>(r)};
    PyObject* x = PyObject_Vectorcall(c->hook_led_away, args + 1,
                                      2 | PY_VECTORCALL_ARGUMENTS_OFFSET, nullptr);
    if (x == nullptr) report_unraisable(cell);
    Py_XDECREF(x);
  }
  return r->done != 0;
}

// -> the replies that the one handler at work waits for, if it keeps the actor from its next
// message; None if nothing does. For circles that lead through other processes.
PyObject* cell_blocked_on(PyObject* o, PyObject*) {
  const auto* cell = reinterpret_cast<const Cell*>(o);
  const Activation* a = blocker(cell);
  if (a == nullptr || a->waiting == nullptr) Py_RETURN_NONE;
  PyObject* list = PyList_New(0);
  if (list != nullptr && !add_replies(owner(cell), a->waiting, list)) Py_CLEAR(list);
  return list;
}

// Of several replies those that close a circle fail; the others go on.
void refuse_circles(Core* c, const Cell* asker, PyObject* join) {
  if (!is_join(c, join)) return;
  any_child(join, [&](PyObject* child) {
    if (Py_TYPE(child) == ReplyType) {
      auto* r = reinterpret_cast<Reply*>(child);
      if (!r->done && !r->sleeping) refuse_circle(c, asker, r);
      return false;
    }
    Trail trail;
    if (!waits_for(c, child, asker, trail)) return false;
    PyObject* exc = error_of(c, asker, trail);
    fail_future(join, exc);
    Py_DECREF(exc);
    return true;
  });
}

void init_circle() {
  PyObject* tasks = PyImport_ImportModule("asyncio.tasks");
  PyObject* type = tasks != nullptr ? PyObject_GetAttrString(tasks, "_GatheringFuture") : nullptr;
  if (type == nullptr) PyErr_Clear();
  gather_type = reinterpret_cast<PyTypeObject*>(type);
  Py_XDECREF(tasks);
}

}  // namespace binding
