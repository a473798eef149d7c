// What an actor class can do: its dispatch table, built once in Python, read here.
#include "guard.hpp"
#include "runtime.hpp"

namespace binding {

PyTypeObject* BehaviourType;
PyTypeObject* HandlerType;

namespace {

Behaviour* self_of(PyObject* o) { return reinterpret_cast<Behaviour*>(o); }

}  // namespace

// One dict look-up for a type seen before; a new type is resolved (base classes, Any) once.
Handler* behaviour_find_slow(Behaviour* b, PyTypeObject* type) {
  auto* key = reinterpret_cast<PyObject*>(type);
  PyObject* found = PyDict_GetItemWithError(b->table, key);
  if (found == nullptr) {
    if (PyErr_Occurred()) return nullptr;
    PyObject* resolved = PyObject_CallFunctionObjArgs(b->resolve, b, key, nullptr);
    if (resolved == nullptr) return nullptr;
    found = PyDict_SetDefault(b->table, key, resolved);  // another shard may have been first
    Py_DECREF(resolved);                                 // the table holds what it has
    if (found == nullptr) return nullptr;
  }
  if (found == Py_None) return nullptr;
#ifndef Py_GIL_DISABLED
  b->seen_type = type;  // kept alive by the table
  b->seen = reinterpret_cast<Handler*>(found);
#endif
  return reinterpret_cast<Handler*>(found);
}

namespace {

PyObject* handler_new(PyTypeObject* type, PyObject* args, PyObject* kwargs) {
  static const char* names[] = {"fn",   "kind",  "raises",     "cancellable",
                                "name", "batch", "concurrent", nullptr};
  PyObject *fn, *raises = Py_None, *name = Py_None;
  int kind = 0, cancellable = 0;
  unsigned short batch = 0, concurrent = 0;
  if (!PyArg_ParseTupleAndKeywords(args, kwargs, "Oi|OpOHH", const_cast<char**>(names), &fn, &kind,
                                   &raises, &cancellable, &name, &batch, &concurrent)) {
    return nullptr;
  }
  PyObject* o = type->tp_alloc(type, 0);
  if (o == nullptr) return nullptr;
  auto* h = reinterpret_cast<Handler*>(o);
  h->fn = Py_NewRef(fn);
  h->raises = raises == Py_None ? nullptr : Py_NewRef(raises);
  h->name = Py_NewRef(name);
  h->concurrent = concurrent;
  h->kind = static_cast<std::uint8_t>(kind);
  h->cancellable = cancellable != 0;
  h->batch = batch;
  h->special = kind == kGenerator || batch > 0;
  return o;
}

void handler_dealloc(PyObject* o) {
  PyTypeObject* type = Py_TYPE(o);
  auto* h = reinterpret_cast<Handler*>(o);
  Py_XDECREF(h->fn);
  Py_XDECREF(h->raises);
  Py_XDECREF(h->name);
  type->tp_free(o);
  Py_DECREF(type);
}

PyObject* handler_raises(PyObject* o, void*) {
  PyObject* r = reinterpret_cast<Handler*>(o)->raises;
  return r != nullptr ? Py_NewRef(r) : PyTuple_New(0);
}
PyObject* handler_kind(PyObject* o, void*) {
  return PyLong_FromLong(reinterpret_cast<Handler*>(o)->kind);
}
PyObject* handler_name(PyObject* o, void*) {
  return Py_NewRef(reinterpret_cast<Handler*>(o)->name);
}
PyObject* handler_concurrent(PyObject* o, void*) {
  return PyLong_FromLong(reinterpret_cast<Handler*>(o)->concurrent);
}
PyObject* handler_fn(PyObject* o, void*) { return Py_NewRef(reinterpret_cast<Handler*>(o)->fn); }

PyGetSetDef handler_getset[] = {{"raises", handler_raises, nullptr, nullptr, nullptr},
                                {"kind", handler_kind, nullptr, nullptr, nullptr},
                                {"concurrent", handler_concurrent, nullptr, nullptr, nullptr},
                                {"name", handler_name, nullptr, nullptr, nullptr},
                                {"fn", handler_fn, nullptr, nullptr, nullptr},
                                {nullptr, nullptr, nullptr, nullptr, nullptr}};

PyType_Slot handler_slots[] = {{Py_tp_doc, const_cast<char*>("One handler of an actor class.")},
                               {Py_tp_new, reinterpret_cast<void*>(handler_new)},
                               {Py_tp_dealloc, reinterpret_cast<void*>(handler_dealloc)},
                               {Py_tp_getset, handler_getset},
                               {0, nullptr}};

PyType_Spec handler_spec = {"actinium._native.Handler", sizeof(Handler), 0, Py_TPFLAGS_DEFAULT,
                            handler_slots};

PyObject* behaviour_new(PyTypeObject* type, PyObject* args, PyObject* kwargs) {
  static const char* names[] = {"cls",         "table",        "resolve", "limits", "concurrent",
                                "has_started", "has_stopping", "mixed",   "rank",   nullptr};
  PyObject *cls, *table, *resolve, *limits;
  int concurrent, has_started, has_stopping, mixed = 0;
  int rank = actinium::kNormal;
  if (!PyArg_ParseTupleAndKeywords(args, kwargs, "O!O!OO!ipp|pi", const_cast<char**>(names),
                                   &PyType_Type, &cls, &PyDict_Type, &table, &resolve, LimitsType,
                                   &limits, &concurrent, &has_started, &has_stopping, &mixed,
                                   &rank)) {
    return nullptr;
  }
  if (!PyType_IsSubtype(reinterpret_cast<PyTypeObject*>(cls), ActorBaseType)) {
    PyErr_Format(PyExc_TypeError, "%R is not a subclass of ActorBase", cls);
    return nullptr;
  }
  PyObject* o = type->tp_alloc(type, 0);
  if (o == nullptr) return nullptr;
  Behaviour* b = self_of(o);
  b->cls = reinterpret_cast<PyTypeObject*>(Py_NewRef(cls));
  b->table = Py_NewRef(table);
  b->resolve = Py_NewRef(resolve);
  b->limits = reinterpret_cast<Limits*>(Py_NewRef(limits));
  b->concurrent = static_cast<std::uint16_t>(concurrent);
  b->rank = static_cast<std::uint8_t>(rank);
  b->has_started = has_started != 0;
  b->has_stopping = has_stopping != 0;
  b->mixed = mixed != 0;
  return o;
}

int behaviour_traverse(PyObject* o, visitproc visit, void* arg) {
  Py_VISIT(Py_TYPE(o));
  Py_VISIT(reinterpret_cast<PyObject*>(self_of(o)->cls));
  Py_VISIT(self_of(o)->table);
  Py_VISIT(self_of(o)->resolve);
  Py_VISIT(self_of(o)->states);
  return 0;
}

int behaviour_clear(PyObject* o) {
  Behaviour* b = self_of(o);
  b->seen_type = nullptr;
  b->seen = nullptr;
  Py_CLEAR(b->table);
  Py_CLEAR(b->resolve);
  Py_CLEAR(b->states);
  PyTypeObject* cls = b->cls;
  b->cls = nullptr;
  Py_XDECREF(reinterpret_cast<PyObject*>(cls));
  return 0;
}

void behaviour_dealloc(PyObject* o) {
  PyTypeObject* type = Py_TYPE(o);
  PyObject_GC_UnTrack(o);
  behaviour_clear(o);
  Py_XDECREF(reinterpret_cast<PyObject*>(self_of(o)->limits));
  type->tp_free(o);
  Py_DECREF(type);
}

PyObject* behaviour_table(PyObject* o, void*) { return PyDict_Copy(self_of(o)->table); }
PyObject* behaviour_cls(PyObject* o, void*) {
  return Py_NewRef(reinterpret_cast<PyObject*>(self_of(o)->cls));
}

PyObject* behaviour_states(PyObject* o, void*) {
  PyObject* states = self_of(o)->states;
  return Py_NewRef(states != nullptr ? states : Py_None);
}
int behaviour_set_states(PyObject* o, PyObject* value, void*) {
  if (value == nullptr || !PyDict_Check(value)) {
    PyErr_SetString(PyExc_TypeError, "states is a dict of behaviours");
    return -1;
  }
  Py_XSETREF(self_of(o)->states, Py_NewRef(value));
  return 0;
}

PyGetSetDef behaviour_getset[] = {
    {"states", behaviour_states, behaviour_set_states, nullptr, nullptr},
    {"table", behaviour_table, nullptr, nullptr, nullptr},
    {"cls", behaviour_cls, nullptr, nullptr, nullptr},
    {nullptr, nullptr, nullptr, nullptr, nullptr}};

PyType_Slot behaviour_slots[] = {{Py_tp_doc, const_cast<char*>("What an actor class can do.")},
                                 {Py_tp_new, reinterpret_cast<void*>(behaviour_new)},
                                 {Py_tp_dealloc, reinterpret_cast<void*>(behaviour_dealloc)},
                                 {Py_tp_traverse, reinterpret_cast<void*>(behaviour_traverse)},
                                 {Py_tp_clear, reinterpret_cast<void*>(behaviour_clear)},
                                 {Py_tp_getset, behaviour_getset},
                                 {0, nullptr}};

PyType_Spec behaviour_spec = {"actinium._native.Behaviour", sizeof(Behaviour), 0,
                              Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC, behaviour_slots};

}  // namespace

int init_behaviour(PyObject* module) {
  if (add_type(module, &HandlerType, &handler_spec) < 0) return -1;
  return add_type(module, &BehaviourType, &behaviour_spec);
}

}  // namespace binding
