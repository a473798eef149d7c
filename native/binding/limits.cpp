// How a mailbox is bounded, as given by the Python side, and how large a message is.
#include <cmath>

#include "guard.hpp"
#include "send.hpp"

namespace binding {

PyTypeObject* LimitsType;

namespace {

Limits* self_of(PyObject* o) { return reinterpret_cast<Limits*>(o); }

PyObject* s_fields;
PyObject* s_match;

// The names of a type's fields, or null when it has none; a small cache before the look-up.
struct Shape {
  PyTypeObject* type;
  PyObject* fields;
};
Shape shapes[64];

PyObject* fields_of(PyTypeObject* type) {
  Shape& slot = shapes[type_slot(type)];
  if (slot.type == type) return slot.fields;
  auto* o = reinterpret_cast<PyObject*>(type);
  PyObject* fields = PyObject_GetAttr(o, s_fields);  // msgspec's
  if (fields == nullptr) {
    PyErr_Clear();
    fields = PyObject_GetAttr(o, s_match);  // a dataclass's
  }
  if (fields == nullptr || !PyTuple_Check(fields)) {
    PyErr_Clear();
    Py_CLEAR(fields);
  }
  Py_INCREF(type);
  PyTypeObject* old = slot.type;
  slot.type = type;
  Py_XSETREF(slot.fields, fields);
  Py_XDECREF(reinterpret_cast<PyObject*>(old));
  return slot.fields;
}

std::uint64_t buffer_size(PyObject* o) {
  Py_buffer view;
  if (PyObject_GetBuffer(o, &view, PyBUF_FULL_RO) < 0) {
    PyErr_Clear();
    return 0;
  }
  const auto size = static_cast<std::uint64_t>(view.len);
  PyBuffer_Release(&view);
  return size;
}

std::uint64_t size_at(PyObject* o, int depth) {
  PyTypeObject* type = Py_TYPE(o);
  if (type == &PyBytes_Type) return static_cast<std::uint64_t>(PyBytes_GET_SIZE(o));
  if (type == &PyUnicode_Type) {
    return static_cast<std::uint64_t>(PyUnicode_GET_LENGTH(o)) * PyUnicode_KIND(o);
  }
  if (type == &PyLong_Type || type == &PyFloat_Type || o == Py_None || depth == 0) return 0;
  if (PyObject_CheckBuffer(o)) return buffer_size(o);
  std::uint64_t sum = 0;
  if (PyTuple_Check(o)) {
    for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(o); i++)
      sum += size_at(PyTuple_GET_ITEM(o, i), depth - 1);
    return sum;
  }
  PyObject* fields = fields_of(type);
  if (fields == nullptr) return 0;
  Py_INCREF(fields);  // an attribute may be computed and push it out of the cache
  for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(fields); i++) {
    PyObject* value = PyObject_GetAttr(o, PyTuple_GET_ITEM(fields, i));
    if (value == nullptr) {
      PyErr_Clear();
      continue;
    }
    sum += size_at(value, depth - 1);
    Py_DECREF(value);
  }
  Py_DECREF(fields);
  return sum;
}

PyObject* limits_new(PyTypeObject* type, PyObject* args, PyObject* kwargs) {
  static const char* names[] = {"capacity",    "policy", "lanes",      "overflow",   "max_bytes",
                                "high",        "low",    "types",      "senders",    "max_size",
                                "interval_ns", "burst",  "per_sender", "count_only", nullptr};
  unsigned capacity, overflow = 0;
  int policy = 0, lanes = 1, per_sender = 0, count_only = 0;
  unsigned long long max_bytes = 0, max_size = 0;
  double high = 0.8, low = 0.5;
  PyObject *types = Py_None, *senders = Py_None;
  long long interval = 0, burst = 1;
  if (!PyArg_ParseTupleAndKeywords(args, kwargs, "I|iiIKddOOKLLpp", const_cast<char**>(names),
                                   &capacity, &policy, &lanes, &overflow, &max_bytes, &high, &low,
                                   &types, &senders, &max_size, &interval, &burst, &per_sender,
                                   &count_only)) {
    return nullptr;
  }
  PyObject* o = type->tp_alloc(type, 0);
  if (o == nullptr) return nullptr;
  Limits* l = self_of(o);
  l->types = types != Py_None ? Py_NewRef(types) : nullptr;
  l->senders = senders != Py_None ? Py_NewRef(senders) : nullptr;
  l->max_bytes = max_bytes;
  l->max_size = max_size;
  l->interval_ns = interval;
  l->burst = burst;
  l->high = high;
  l->low = low;
  l->capacity = capacity;
  l->policy = static_cast<std::uint8_t>(policy);
  l->lanes = static_cast<std::uint8_t>(lanes);
  l->per_sender = per_sender != 0;
  l->count_only = count_only != 0;
  const std::uint64_t most =
      policy == kSignal ? std::uint64_t{2} * capacity : std::uint64_t{capacity} + overflow;
  l->most = most < UINT32_MAX ? static_cast<std::uint32_t>(most) : UINT32_MAX;
  if (capacity == UINT32_MAX) {
    l->straight = capacity;
  } else {  // the message that reaches the high mark is looked at
    const double mark = std::ceil(high * capacity) - 1;
    l->straight = mark > 0 ? static_cast<std::uint32_t>(mark) : 0;
  }
  if (l->types || l->senders || max_bytes || max_size || interval) l->straight = 0;
  return o;
}

void limits_dealloc(PyObject* o) {
  PyTypeObject* type = Py_TYPE(o);
  Py_XDECREF(self_of(o)->types);
  Py_XDECREF(self_of(o)->senders);
  type->tp_free(o);
  Py_DECREF(type);
}

PyObject* get_count_only(PyObject* o, void*) { return PyBool_FromLong(self_of(o)->count_only); }
PyObject* get_max_bytes(PyObject* o, void*) {
  return PyLong_FromUnsignedLongLong(self_of(o)->max_bytes);
}
PyObject* get_max_size(PyObject* o, void*) {
  return PyLong_FromUnsignedLongLong(self_of(o)->max_size);
}
PyObject* get_most(PyObject* o, void*) { return PyLong_FromUnsignedLong(self_of(o)->most); }

PyGetSetDef getset[] = {
    {"count_only", get_count_only, nullptr, "Whether its dead letters are only counted.", nullptr},
    {"max_bytes", get_max_bytes, nullptr, "Bytes that may wait; 0: no bound.", nullptr},
    {"max_size", get_max_size, nullptr, "Bytes of one message; 0: no bound.", nullptr},
    {"most", get_most, nullptr, "The depth that is never exceeded.", nullptr},
    {nullptr, nullptr, nullptr, nullptr, nullptr}};

PyType_Slot slots[] = {{Py_tp_doc, const_cast<char*>("How a mailbox is bounded.")},
                       {Py_tp_new, reinterpret_cast<void*>(limits_new)},
                       {Py_tp_dealloc, reinterpret_cast<void*>(limits_dealloc)},
                       {Py_tp_getset, getset},
                       {0, nullptr}};

PyType_Spec spec = {"actinium._native.Limits", sizeof(Limits), 0, Py_TPFLAGS_DEFAULT, slots};

}  // namespace

std::uint64_t message_size(PyObject* msg) { return size_at(msg, 4); }

int init_limits(PyObject* module) {
  s_fields = PyUnicode_InternFromString("__struct_fields__");
  s_match = PyUnicode_InternFromString("__match_args__");
  return add_type(module, &LimitsType, &spec);
}

}  // namespace binding
