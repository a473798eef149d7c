// The native bases of what users subclass and hold: Actor and Context.
#include "runtime.hpp"
#include "send.hpp"

namespace binding {

PyTypeObject* ActorBaseType;
PyTypeObject* ContextBaseType;

namespace {

Cell* cell_of_context(PyObject* o) { return reinterpret_cast<ContextBase*>(o)->cell; }

PyObject* actor_ctx(PyObject* o, void*) {
  Cell* cell = reinterpret_cast<ActorBase*>(o)->cell;
  if (cell == nullptr) {
    PyErr_Format(UsageError,
                 "%s has no ctx: it was not spawned by a system, or its actor has stopped or "
                 "restarted since",
                 Py_TYPE(o)->tp_name);
    return nullptr;
  }
  PyTypeObject* type = owner(cell)->context_type;
  PyObject* ctx = type->tp_alloc(type, 0);
  if (ctx == nullptr) return nullptr;
  reinterpret_cast<ContextBase*>(ctx)->cell =
      reinterpret_cast<Cell*>(Py_NewRef(reinterpret_cast<PyObject*>(cell)));
  return ctx;
}

PyGetSetDef actor_getset[] = {
    {"ctx", actor_ctx, nullptr, "What this actor can do within the system.", nullptr},
    {nullptr, nullptr, nullptr, nullptr, nullptr}};

void actor_dealloc(PyObject* o) {
  PyTypeObject* type = Py_TYPE(o);
  type->tp_free(o);
  Py_DECREF(type);
}

PyType_Slot actor_slots[] = {{Py_tp_doc, const_cast<char*>("Native base of actinium.Actor.")},
                             {Py_tp_dealloc, reinterpret_cast<void*>(actor_dealloc)},
                             {Py_tp_getset, actor_getset},
                             {0, nullptr}};

PyType_Spec actor_spec = {"actinium._native.ActorBase", sizeof(ActorBase), 0,
                          Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE, actor_slots};

void context_dealloc(PyObject* o) {
  PyTypeObject* type = Py_TYPE(o);
  Py_XDECREF(cell_of_context(o));
  type->tp_free(o);
  Py_DECREF(type);
}

PyObject* context_self_ref(PyObject* o, void*) {
  return Py_NewRef(reinterpret_cast<PyObject*>(cell_of_context(o)));
}

PyObject* context_sender(PyObject* o, void*) {
  Cell* cell = cell_of_context(o);
  const Item* it = current_item(owner(cell), cell);
  if (it == nullptr || it->sender == nullptr) Py_RETURN_NONE;
  return Py_NewRef(reinterpret_cast<PyObject*>(it->sender));
}

PyObject* context_current(PyObject* o, void*) {  // (msg, sender, extra) or None
  Cell* cell = cell_of_context(o);
  const Item* it = current_item(owner(cell), cell);
  if (it == nullptr || it->msg == nullptr) Py_RETURN_NONE;
  return PyTuple_Pack(3, it->msg, it->sender ? reinterpret_cast<PyObject*>(it->sender) : Py_None,
                      it->extra ? it->extra : Py_None);
}

// The reply to be given later; the handler's own return value then goes nowhere.
PyObject* context_take_reply(PyObject* o, PyObject*) {
  Cell* cell = cell_of_context(o);
  const Item* it = current_item(owner(cell), cell);
  if (it == nullptr || it->extra == nullptr || Py_TYPE(it->extra) != ReplyType) Py_RETURN_NONE;
  reinterpret_cast<Reply*>(it->extra)->deferred = 1;
  return Py_NewRef(it->extra);
}

PyObject* context_remaining(PyObject* o, void*) {
  const Cell* cell = cell_of_context(o);
  const Core* c = owner(cell);
  std::int64_t deadline = 0;
  if (c->current == cell && this_thread() == c->thread) {
    deadline = c->deadline;
  } else if (const Item* it = current_item(c, cell)) {  // in a task or thread of its handler
    deadline = deadline_of(*it);
  }
  if (deadline == 0) Py_RETURN_NONE;
  const std::int64_t left = deadline - core_now(c);
  return PyFloat_FromDouble(left > 0 ? double(left) / 1e9 : 0.0);
}

PyObject* context_spawn(PyObject* o, PyObject* const* args, Py_ssize_t nargs, PyObject* names) {
  Cell* cell = cell_of_context(o);
  return spawn_from_call(owner(cell), cell, args, nargs, names);
}

PyObject* context_sleep(PyObject* o, PyObject* seconds) {
  return cell_sleep(reinterpret_cast<PyObject*>(cell_of_context(o)), seconds);
}

PyMethodDef context_methods[] = {
    {"sleep", context_sleep, METH_O, nullptr},
    {"spawn", method(context_spawn), METH_FASTCALL | METH_KEYWORDS, nullptr},
    {"take_current", context_take_current, METH_NOARGS, nullptr},
    {"take_reply", context_take_reply, METH_NOARGS, nullptr},
    {nullptr, nullptr, 0, nullptr}};

PyGetSetDef context_getset[] = {{"self_ref", context_self_ref, nullptr, nullptr, nullptr},
                                {"sender", context_sender, nullptr, nullptr, nullptr},
                                {"current", context_current, nullptr, nullptr, nullptr},
                                {"remaining", context_remaining, nullptr, nullptr, nullptr},
                                {nullptr, nullptr, nullptr, nullptr, nullptr}};

PyType_Slot context_slots[] = {{Py_tp_doc, const_cast<char*>("Native base of actinium.Context.")},
                               {Py_tp_dealloc, reinterpret_cast<void*>(context_dealloc)},
                               {Py_tp_methods, context_methods},
                               {Py_tp_getset, context_getset},
                               {0, nullptr}};

PyType_Spec context_spec = {
    "actinium._native.ContextBase", sizeof(ContextBase), 0,
    Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE | Py_TPFLAGS_DISALLOW_INSTANTIATION, context_slots};

}  // namespace

int init_actor(PyObject* module) {
  if (add_type(module, &ActorBaseType, &actor_spec) < 0) return -1;
  return add_type(module, &ContextBaseType, &context_spec);
}

}  // namespace binding
