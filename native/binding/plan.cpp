// Packing and unpacking of records without a step of the interpreter.
//
// The fast way takes what is plainly right: numbers of the exact type and within range, tuples and
// lists, buffers of the same numbers, instances of the record's own class. For everything else,
// errors included, the record's own Python code is asked, so the two never differ in what they
// take or say.
#include "plan.hpp"

#include <structmember.h>

#include <cmath>
#include <cstring>

#include "types.hpp"

namespace binding {

PyTypeObject* PlanType;

namespace {

using Byte = unsigned char;

Plan* self_of(PyObject* o) { return reinterpret_cast<Plan*>(o); }

template <class T>
bool store_signed(PyObject* value, Byte* to) {
  if (!PyLong_CheckExact(value)) return false;
  int overflow;
  const long long n = PyLong_AsLongLongAndOverflow(value, &overflow);
  const T narrow = static_cast<T>(n);
  if (overflow != 0 || narrow != n) return false;
  std::memcpy(to, &narrow, sizeof narrow);
  return true;
}

template <class T>
bool store_unsigned(PyObject* value, Byte* to) {
  if (!PyLong_CheckExact(value)) return false;
  int overflow;
  const long long n = PyLong_AsLongLongAndOverflow(value, &overflow);
  std::uint64_t wide = static_cast<std::uint64_t>(n);
  if (overflow > 0 && sizeof(T) == 8) {
    wide = PyLong_AsUnsignedLongLong(value);
    if (wide == ~std::uint64_t{0} && PyErr_Occurred()) {
      PyErr_Clear();
      return false;
    }
  } else if (overflow != 0 || n < 0) {
    return false;
  }
  const T narrow = static_cast<T>(wide);
  if (narrow != wide) return false;
  std::memcpy(to, &narrow, sizeof narrow);
  return true;
}

bool as_double(PyObject* value, double* d) {
  if (PyFloat_CheckExact(value)) {
    *d = PyFloat_AS_DOUBLE(value);
    return true;
  }
  if (!PyLong_CheckExact(value)) return false;
  int overflow;
  const long long n = PyLong_AsLongLongAndOverflow(value, &overflow);
  constexpr long long kExact = 1ll << 53;
  if (overflow != 0 || n > kExact || n < -kExact) return false;  // rounded once, by the record
  *d = static_cast<double>(n);
  return true;
}

bool store(char code, PyObject* value, Byte* to) {
  double d;
  switch (code) {
    case 'b':
      return store_signed<std::int8_t>(value, to);
    case 'h':
      return store_signed<std::int16_t>(value, to);
    case 'i':
      return store_signed<std::int32_t>(value, to);
    case 'q':
      return store_signed<std::int64_t>(value, to);
    case 'B':
      return store_unsigned<std::uint8_t>(value, to);
    case 'H':
      return store_unsigned<std::uint16_t>(value, to);
    case 'I':
      return store_unsigned<std::uint32_t>(value, to);
    case 'Q':
      return store_unsigned<std::uint64_t>(value, to);
    case 'd':
      if (!as_double(value, &d)) return false;
      std::memcpy(to, &d, 8);
      return true;
    case 'f': {
      if (!as_double(value, &d)) return false;
      if (std::fabs(d) > 3e38 && std::isfinite(d)) return false;  // near the edge of the type
      const float narrow = static_cast<float>(d);
      std::memcpy(to, &narrow, 4);
      return true;
    }
    case 'e':
      if (!as_double(value, &d) || (std::fabs(d) > 6e4 && std::isfinite(d))) return false;
      return PyFloat_Pack2(d, reinterpret_cast<char*>(to), 1) == 0;
    case '?': {
      if (!PyBool_Check(value)) return false;
      const std::uint32_t one = value == Py_True;
      std::memcpy(to, &one, 4);
      return true;
    }
    default:
      return false;
  }
}

// The numbers of a buffer, if they are the field's own.
bool store_buffer(const PlanField& f, PyObject* value, Byte* to) {
  Py_buffer view;
  if (PyObject_GetBuffer(value, &view, PyBUF_FORMAT | PyBUF_ND) < 0) {
    PyErr_Clear();
    return false;
  }
  const char* format = view.format != nullptr ? view.format : "B";
  if (*format == '<' || *format == '=' || *format == '@') format++;
  bool same = view.ndim == 1 && view.shape[0] == static_cast<Py_ssize_t>(f.count) &&
              view.itemsize == static_cast<Py_ssize_t>(f.size) && format[0] != 0 && format[1] == 0;
  if (same) {
    const char* const group = std::strchr("bhilq", f.code) != nullptr   ? "bhilq"
                              : std::strchr("BHILQ", f.code) != nullptr ? "BHILQ"
                              : f.code == 'f'                           ? "f"
                              : f.code == 'd'                           ? "d"
                              : f.code == 'e'                           ? "e"
                                                                        : "";
    same = std::strchr(group, *format) != nullptr;
  }
  if (same) std::memcpy(to, view.buf, static_cast<std::size_t>(view.len));
  PyBuffer_Release(&view);
  return same;
}

bool store_record(Plan* plan, PyObject* value, Byte* to);

bool store_one(const PlanField& f, PyObject* value, Byte* to) {
  return f.child != nullptr ? store_record(f.child, value, to) : store(f.code, value, to);
}

bool store_field(const PlanField& f, PyObject* value, Byte* to) {
  if (f.count == 0) return store_one(f, value, to);
  if (PyTuple_CheckExact(value) || PyList_CheckExact(value)) {
    if (PySequence_Fast_GET_SIZE(value) != static_cast<Py_ssize_t>(f.count)) return false;
    for (std::uint32_t i = 0; i < f.count; i++) {
      PyObject* item = PySequence_Fast_GET_ITEM(value, i);
      if (!store_one(f, item, to + std::size_t{i} * f.size)) return false;
    }
    return true;
  }
  return f.child == nullptr && PyObject_CheckBuffer(value) && store_buffer(f, value, to);
}

// False, without an exception: the record's own code decides.
bool store_record(Plan* plan, PyObject* value, Byte* to) {
  if (plan->bare) return store_field(plan->fields[0], value, to);
  if (Py_TYPE(value) != plan->cls) return false;
  for (Py_ssize_t i = 0; i < plan->count; i++) {
    const PlanField& f = plan->fields[i];
    PyObject* item;
#ifdef Py_GIL_DISABLED
    item = PyObject_GetAttr(value, f.name);
    if (item == nullptr) {
      PyErr_Clear();
      return false;
    }
    const bool stored = store_field(f, item, to + f.offset);
    Py_DECREF(item);
    if (!stored) return false;
#else
    item = *reinterpret_cast<PyObject**>(reinterpret_cast<char*>(value) + f.slot);
    if (item == nullptr || !store_field(f, item, to + f.offset)) return false;
#endif
  }
  return true;
}

PyObject* load(char code, const Byte* from) {
  switch (code) {
    case 'b':
      return PyLong_FromLong(static_cast<std::int8_t>(*from));
    case 'B':
      return PyLong_FromLong(*from);
    case 'h': {
      std::int16_t n;
      std::memcpy(&n, from, 2);
      return PyLong_FromLong(n);
    }
    case 'H': {
      std::uint16_t n;
      std::memcpy(&n, from, 2);
      return PyLong_FromLong(n);
    }
    case 'i': {
      std::int32_t n;
      std::memcpy(&n, from, 4);
      return PyLong_FromLong(n);
    }
    case 'I': {
      std::uint32_t n;
      std::memcpy(&n, from, 4);
      return PyLong_FromUnsignedLong(n);
    }
    case 'q': {
      long long n;
      std::memcpy(&n, from, 8);
      return PyLong_FromLongLong(n);
    }
    case 'Q': {
      unsigned long long n;
      std::memcpy(&n, from, 8);
      return PyLong_FromUnsignedLongLong(n);
    }
    case 'f': {
      float x;
      std::memcpy(&x, from, 4);
      return PyFloat_FromDouble(static_cast<double>(x));
    }
    case 'd': {
      double x;
      std::memcpy(&x, from, 8);
      return PyFloat_FromDouble(x);
    }
    case 'e':
      return PyFloat_FromDouble(PyFloat_Unpack2(reinterpret_cast<const char*>(from), 1));
    case 'g': {
      const std::uint32_t bits = std::uint32_t{from[0]} << 16 | std::uint32_t{from[1]} << 24;
      float x;
      std::memcpy(&x, &bits, 4);
      return PyFloat_FromDouble(static_cast<double>(x));
    }
    default: {  // '?'
      std::uint32_t n;
      std::memcpy(&n, from, 4);
      return PyBool_FromLong(n != 0);
    }
  }
}

PyObject* load_record(Plan* plan, const Byte* from);

PyObject* load_one(const PlanField& f, const Byte* from) {
  return f.child != nullptr ? load_record(f.child, from) : load(f.code, from);
}

PyObject* load_field(const PlanField& f, const Byte* from) {
  if (f.count == 0) return load_one(f, from);
  PyObject* all = PyTuple_New(f.count);
  for (std::uint32_t i = 0; all != nullptr && i < f.count; i++) {
    PyObject* item = load_one(f, from + std::size_t{i} * f.size);
    if (item == nullptr) {
      Py_CLEAR(all);
      break;
    }
    PyTuple_SET_ITEM(all, i, item);
  }
  return all;
}

PyObject* load_record(Plan* plan, const Byte* from) {
  if (plan->bare) return load_field(plan->fields[0], from);
  constexpr Py_ssize_t kFew = 16;
  PyObject* few[kFew];
  PyObject** values = few;
  if (plan->count > kFew) {
    values = static_cast<PyObject**>(
        PyMem_Malloc(static_cast<std::size_t>(plan->count) * sizeof(PyObject*)));
    if (values == nullptr) return PyErr_NoMemory();
  }
  Py_ssize_t n = 0;
  for (; n < plan->count; n++) {
    values[n] = load_field(plan->fields[n], from + plan->fields[n].offset);
    if (values[n] == nullptr) break;
  }
  PyObject* made = nullptr;
  if (n == plan->count) {
    made = PyObject_Vectorcall(reinterpret_cast<PyObject*>(plan->cls), values,
                               static_cast<std::size_t>(n), nullptr);
  }
  while (n > 0)
    Py_DECREF(values[--n]);
  if (values != few) PyMem_Free(values);
  return made;
}

// Where instances of the class keep this field; 0 if that is not known.
Py_ssize_t slot_of(PyTypeObject* cls, PyObject* name) {
  PyObject* const found = PyObject_GetAttr(reinterpret_cast<PyObject*>(cls), name);
  if (found == nullptr) {
    PyErr_Clear();
    return 0;
  }
  Py_ssize_t slot = 0;
  if (Py_IS_TYPE(found, &PyMemberDescr_Type)) {
    const PyMemberDef* const member = reinterpret_cast<PyMemberDescrObject*>(found)->d_member;
    if (member->type == T_OBJECT_EX) slot = member->offset;
  }
  Py_DECREF(found);
  return slot;
}

void plan_dealloc(PyObject* o) {
  PyTypeObject* type = Py_TYPE(o);
  Plan* p = self_of(o);
  for (Py_ssize_t i = 0; i < p->count; i++) {
    Py_XDECREF(p->fields[i].name);
    Py_XDECREF(reinterpret_cast<PyObject*>(p->fields[i].child));
  }
  PyMem_Free(p->fields);
  Py_XDECREF(p->record);
  Py_XDECREF(reinterpret_cast<PyObject*>(p->cls));
  type->tp_free(o);
  Py_DECREF(type);
}

std::uint32_t size_of_code(char code) {
  switch (code) {
    case 'b':
    case 'B':
      return 1;
    case 'h':
    case 'H':
    case 'e':
    case 'g':
      return 2;
    case 'i':
    case 'I':
    case 'f':
    case '?':
      return 4;
    case 'q':
    case 'Q':
    case 'd':
      return 8;
    default:
      return 0;
  }
}

// Adds one (name, code, offset, count, plan or None); 0, or -1 with an exception set.
int add_field(Plan* p, PyObject* described) {
  PlanField& f = p->fields[p->count];
  const char* code;
  unsigned int offset, count;
  PyObject *name, *child;
  if (!PyArg_ParseTuple(described, "UsIIO", &name, &code, &offset, &count, &child)) return -1;
  f.code = code[0];
  f.offset = offset;
  f.count = count;
  if (child != Py_None) {
    if (!Py_IS_TYPE(child, PlanType)) {
      PyErr_Format(PyExc_TypeError, "expected a RecordPlan for %U, got %R", name, child);
      return -1;
    }
    f.child = reinterpret_cast<Plan*>(Py_NewRef(child));
    f.size = f.child->size;
    p->plain = p->plain && f.child->plain;
  } else {
    f.size = size_of_code(f.code);
    p->plain = p->plain && f.size != 0;
  }
  f.name = Py_NewRef(name);
  p->count++;
  const std::uint64_t end =
      std::uint64_t{f.offset} + std::uint64_t{f.size} * (count > 0 ? count : 1);
  if (end > p->size) {
    PyErr_Format(PyExc_ValueError, "%U ends at %llu, the record at %u", name,
                 static_cast<unsigned long long>(end), p->size);
    return -1;
  }
  if (!p->bare && p->cls != nullptr) f.slot = slot_of(p->cls, name);
  if (!p->bare && f.slot == 0) p->plain = false;
  return 0;
}

// RecordPlan(record, cls, kind, size, bare, fields)
PyObject* plan_new(PyTypeObject* type, PyObject* args, PyObject* kwargs) {
  PyObject *record, *cls, *fields;
  unsigned int kind, size;
  int bare;
  if (kwargs != nullptr && PyDict_GET_SIZE(kwargs) > 0) {
    PyErr_SetString(PyExc_TypeError, "RecordPlan takes no keyword arguments");
    return nullptr;
  }
  if (!PyArg_ParseTuple(args, "OOIIpO!:RecordPlan", &record, &cls, &kind, &size, &bare,
                        &PyTuple_Type, &fields)) {
    return nullptr;
  }
  const Py_ssize_t n = PyTuple_GET_SIZE(fields);
  if (kind > 0xFFFF || size == 0 || size > 1u << 30 || n == 0 || (bare && n != 1) ||
      !(cls == Py_None || PyType_Check(cls))) {
    PyErr_SetString(
        PyExc_ValueError,
        "a plan has a kind of 16 bits, 1..2**30 bytes, fields (one if bare) and a class");
    return nullptr;
  }
  Plan* p = self_of(type->tp_alloc(type, 0));
  if (p == nullptr) return nullptr;
  p->record = Py_NewRef(record);
  p->cls = cls != Py_None ? reinterpret_cast<PyTypeObject*>(Py_NewRef(cls)) : nullptr;
  p->kind = static_cast<std::uint16_t>(kind);
  p->size = size;
  p->bare = bare != 0;
  p->plain = true;
  p->fields = static_cast<PlanField*>(PyMem_Calloc(static_cast<std::size_t>(n), sizeof(PlanField)));
  if (p->fields == nullptr) {
    Py_DECREF(p);
    return PyErr_NoMemory();
  }
  for (Py_ssize_t i = 0; i < n; i++) {
    if (add_field(p, PyTuple_GET_ITEM(fields, i)) < 0) {
      Py_DECREF(p);
      return nullptr;
    }
  }
  return reinterpret_cast<PyObject*>(p);
}

PyObject* method_pack(PyObject* o, PyObject* value) {
  PyObject* made = PyBytes_FromStringAndSize(nullptr, static_cast<Py_ssize_t>(self_of(o)->size));
  if (made != nullptr &&
      plan_pack(self_of(o), value, reinterpret_cast<Byte*>(PyBytes_AS_STRING(made))) < 0) {
    Py_CLEAR(made);
  }
  return made;
}

PyObject* method_unpack(PyObject* o, PyObject* data) {
  Plan* p = self_of(o);
  Py_buffer view;
  if (PyObject_GetBuffer(data, &view, PyBUF_SIMPLE) < 0) return nullptr;
  PyObject* made;
  if (view.len != static_cast<Py_ssize_t>(p->size)) {
    made = PyObject_CallMethod(p->record, "unpack", "O", data);  // says what is wrong
  } else {
    made = plan_unpack(p, static_cast<const Byte*>(view.buf));
  }
  PyBuffer_Release(&view);
  return made;
}

PyObject* get_size(PyObject* o, void*) { return PyLong_FromUnsignedLong(self_of(o)->size); }
PyObject* get_kind(PyObject* o, void*) { return PyLong_FromUnsignedLong(self_of(o)->kind); }
PyObject* get_plain(PyObject* o, void*) { return PyBool_FromLong(self_of(o)->plain); }

PyMethodDef methods[] = {{"pack", method_pack, METH_O, "The bytes of a value, as Record.pack."},
                         {"unpack", method_unpack, METH_O, "The value of bytes, as Record.unpack."},
                         {nullptr, nullptr, 0, nullptr}};

PyGetSetDef getset[] = {{"size", get_size, nullptr, "Bytes of the record.", nullptr},
                        {"kind", get_kind, nullptr, "Number of the message type.", nullptr},
                        {"plain", get_plain, nullptr, "Whether the fast way is used.", nullptr},
                        {nullptr, nullptr, nullptr, nullptr, nullptr}};

PyType_Slot slots[] = {
    {Py_tp_doc, const_cast<char*>("A record's layout, compiled for packing and unpacking.")},
    {Py_tp_new, reinterpret_cast<void*>(plan_new)},
    {Py_tp_dealloc, reinterpret_cast<void*>(plan_dealloc)},
    {Py_tp_methods, methods},
    {Py_tp_getset, getset},
    {0, nullptr}};

PyType_Spec spec = {"actinium._native.RecordPlan", sizeof(Plan), 0, Py_TPFLAGS_DEFAULT, slots};

}  // namespace

int plan_pack(Plan* p, PyObject* value, Byte* to) {
  if (p->plain) {
    std::memset(to, 0, p->size);  // padding is zero
    if (store_record(p, value, to)) return 0;
  }
  PyObject* given = value;
  PyObject* wrapped = nullptr;
  if (p->bare) {
    wrapped = PyDict_New();
    if (wrapped == nullptr || PyDict_SetItem(wrapped, p->fields[0].name, value) < 0) {
      Py_XDECREF(wrapped);
      return -1;
    }
    given = wrapped;
  }
  PyObject* bytes = PyObject_CallMethod(p->record, "pack", "O", given);
  Py_XDECREF(wrapped);
  if (bytes == nullptr) return -1;
  const bool right =
      PyBytes_Check(bytes) && PyBytes_GET_SIZE(bytes) == static_cast<Py_ssize_t>(p->size);
  if (right) {
    std::memcpy(to, PyBytes_AS_STRING(bytes), p->size);
  } else {
    PyErr_Format(PyExc_TypeError, "%R packed to %R, not to %u bytes", p->record, bytes, p->size);
  }
  Py_DECREF(bytes);
  return right ? 0 : -1;
}

PyObject* plan_unpack(Plan* p, const Byte* from) {
  if (p->plain) return load_record(p, from);
  PyObject* made =
      PyObject_CallMethod(p->record, "unpack", "y#", reinterpret_cast<const char*>(from),
                          static_cast<Py_ssize_t>(p->size));
  if (made == nullptr || !p->bare) return made;
  PyObject* value = PyObject_GetItem(made, p->fields[0].name);
  Py_DECREF(made);
  return value;
}

int init_plan(PyObject* module) { return add_type(module, &PlanType, &spec); }

}  // namespace binding
