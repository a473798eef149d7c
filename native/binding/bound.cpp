// Several limits checked and charged in one call, and what was charged, for its end.
#include <new>

#include "counters.hpp"
#include "types.hpp"

namespace binding {

namespace {

using actinium::Bound;

struct BoundObject {
  PyObject_HEAD
  Bound bound;
  PyObject* counters[Bound::kRows];
  PyObject* touched;  // called after every change, or null
};

enum State : std::uint8_t { kOpen, kSettled, kReleased };

constexpr std::size_t kParts = 4;

struct BoundsObject {
  PyObject_HEAD
  std::size_t count;
  BoundObject* parts[kParts];
};

struct ChargeObject {
  PyObject_HEAD
  std::size_t count;
  State state;
  BoundObject* owners[kParts];
  Bound::Charged charged[kParts];
};

PyTypeObject* BoundType;
PyTypeObject* BoundsType;
PyTypeObject* ChargeType;

BoundObject* bound_of(PyObject* o) { return reinterpret_cast<BoundObject*>(o); }
BoundsObject* bounds_of(PyObject* o) { return reinterpret_cast<BoundsObject*>(o); }
ChargeObject* charge_of(PyObject* o) { return reinterpret_cast<ChargeObject*>(o); }

// (now, amount, ...) with up to four amounts; those left out are 0.
bool read_amounts(PyObject* const* args, Py_ssize_t n, std::int64_t* second, Bound::Amounts& into) {
  if (n < 2 || n > 1 + static_cast<Py_ssize_t>(Bound::kAmounts)) {
    PyErr_SetString(PyExc_TypeError, "expected a time and one to four amounts");
    return false;
  }
  const double now = PyFloat_AsDouble(args[0]);
  if (now == -1.0 && PyErr_Occurred() != nullptr) return false;
  *second = static_cast<std::int64_t>(now);
  for (Py_ssize_t i = 1; i < n; i++) {
    if (!to_amount(args[i], &into[i - 1])) return false;
  }
  return true;
}

PyObject* bound_new(PyTypeObject* type, PyObject* args, PyObject* kwargs) {
  static const char* names[] = {"most", "span", nullptr};
  PyObject* most = Py_None;
  long long span = 0;
  if (!PyArg_ParseTupleAndKeywords(args, kwargs, "|OL", const_cast<char**>(names), &most, &span)) {
    return nullptr;
  }
  std::int64_t number = -1;
  if (most != Py_None && !to_amount(most, &number)) return nullptr;
  PyObject* o = type->tp_alloc(type, 0);
  if (o == nullptr) return nullptr;
  new (&bound_of(o)->bound) Bound;
  bound_of(o)->bound.most = number;
  bound_of(o)->bound.span = span;
  return o;
}

void bound_dealloc(PyObject* o) {
  PyTypeObject* type = Py_TYPE(o);
  for (PyObject* counters : bound_of(o)->counters)
    Py_XDECREF(counters);
  Py_XDECREF(bound_of(o)->touched);
  type->tp_free(o);
  Py_DECREF(type);
}

// arm([(counters, place, limit or None, window), ...])
PyObject* arm(PyObject* o, PyObject* rows) {
  PyObject* list = PySequence_Fast(rows, "expected a sequence of rows");
  if (list == nullptr) return nullptr;
  const auto count = static_cast<std::size_t>(PySequence_Fast_GET_SIZE(list));
  Bound::Row made[Bound::kRows];
  PyObject* counters[Bound::kRows] = {};
  bool well = count <= Bound::kRows;
  if (!well) PyErr_Format(PyExc_ValueError, "at most %zu rows, got %zu", Bound::kRows, count);
  for (std::size_t i = 0; well && i < count; i++) {
    PyObject* row = PySequence_Fast_GET_ITEM(list, static_cast<Py_ssize_t>(i));
    PyObject* limit;
    Py_ssize_t place;
    long long window;
    std::int64_t number = -1;
    well = PyTuple_Check(row) &&
           PyArg_ParseTuple(row, "O!nOL", CountersType, &counters[i], &place, &limit, &window);
    if (well && limit != Py_None) well = to_amount(limit, &number);
    if (well && (place < 0 || place >= static_cast<Py_ssize_t>(Bound::kAmounts))) well = false;
    if (well) {
      made[i] = {&windows_of(counters[i]), static_cast<std::size_t>(place), window, number};
    }
  }
  Py_DECREF(list);
  if (!well) {
    if (PyErr_Occurred() == nullptr) {
      PyErr_SetString(PyExc_ValueError, "a row is (counters, place 0 to 3, limit, window)");
    }
    return nullptr;
  }
  BoundObject* self = bound_of(o);
  self->bound.count = count;
  for (std::size_t i = 0; i < Bound::kRows; i++) {
    self->bound.rows[i] = made[i];
    Py_XSETREF(self->counters[i], Py_XNewRef(counters[i]));
  }
  Py_RETURN_NONE;
}

// Tells who wants to know that something was charged or has ended; false with an exception set.
bool tell(BoundObject* bound) {
  if (bound->touched == nullptr) return true;
  PyObject* nothing = PyObject_CallNoArgs(bound->touched);
  Py_XDECREF(nothing);
  return nothing != nullptr;
}

PyObject* charged(BoundObject* const* bounds, std::size_t count, std::int64_t second,
                  const Bound::Amounts& amounts) {
  PyObject* made = ChargeType->tp_alloc(ChargeType, 0);
  if (made == nullptr) return nullptr;
  ChargeObject* charge = charge_of(made);
  charge->count = count;
  for (std::size_t i = 0; i < count; i++) {
    Py_INCREF(bounds[i]);
    charge->owners[i] = bounds[i];
    charge->charged[i] = bounds[i]->bound.take(second, amounts);
  }
  for (std::size_t i = 0; i < count; i++) {
    if (!tell(bounds[i])) {
      Py_DECREF(made);
      return nullptr;
    }
  }
  return made;
}

PyObject* take(PyObject* o, PyObject* const* args, Py_ssize_t n) {
  std::int64_t second;
  Bound::Amounts amounts = {};
  if (!read_amounts(args, n, &second, amounts)) return nullptr;
  BoundObject* self = bound_of(o);
  if (!self->bound.fits(second, amounts)) Py_RETURN_NONE;
  return charged(&self, 1, second, amounts);
}

PyObject* force(PyObject* o, PyObject* const* args, Py_ssize_t n) {
  std::int64_t second;
  Bound::Amounts amounts = {};
  if (!read_amounts(args, n, &second, amounts)) return nullptr;
  BoundObject* self = bound_of(o);
  return charged(&self, 1, second, amounts);
}

PyObject* held(PyObject* o, PyObject* number) {
  const Py_ssize_t place = PyLong_AsSsize_t(number);
  if (place < 0 || place >= static_cast<Py_ssize_t>(Bound::kAmounts)) {
    if (PyErr_Occurred() == nullptr) PyErr_SetString(PyExc_IndexError, "a place is 0 to 3");
    return nullptr;
  }
  return from_sum(bound_of(o)->bound.held[place]);
}

PyObject* get_running(PyObject* o, void*) {
  return PyLong_FromLongLong(bound_of(o)->bound.running);
}
PyObject* get_most(PyObject* o, void*) {
  const std::int64_t most = bound_of(o)->bound.most;
  if (most < 0) Py_RETURN_NONE;
  return PyLong_FromLongLong(most);
}

int set_most(PyObject* o, PyObject* value, void*) {
  std::int64_t most = -1;
  if (value != nullptr && value != Py_None && !to_amount(value, &most)) return -1;
  bound_of(o)->bound.most = most;
  return 0;
}

PyObject* get_touched(PyObject* o, void*) {
  PyObject* touched = bound_of(o)->touched;
  return Py_NewRef(touched != nullptr ? touched : Py_None);
}

int set_touched(PyObject* o, PyObject* value, void*) {
  PyObject* touched = value != nullptr && value != Py_None ? Py_NewRef(value) : nullptr;
  Py_XSETREF(bound_of(o)->touched, touched);
  return 0;
}

PyObject* get_settled(PyObject* o, void*) { return from_sum(bound_of(o)->bound.settled); }

PyMethodDef bound_methods[] = {
    {"arm", arm, METH_O,
     "Sets what is counted: (counters, place of the amount, limit or None, window) each."},
    {"take", method(take), METH_FASTCALL,
     "take(now, amount, ...): charges all of it where all of it fits now, else None."},
    {"force", method(force), METH_FASTCALL, "The same, whether it fits or not."},
    {"held", held, METH_O, "The sum of one of the amounts over what has not ended."},
    {nullptr, nullptr, 0, nullptr}};

PyGetSetDef bound_getset[] = {
    {"most", get_most, set_most, "How many charges there may be at once; None: any number.",
     nullptr},
    {"touched", get_touched, set_touched, "Called after each change; None: nobody wants to know.",
     nullptr},
    {"running", get_running, nullptr, "How many charges have not ended.", nullptr},
    {"settled", get_settled, nullptr, "What the others have used, of the first amount.", nullptr},
    {nullptr, nullptr, nullptr, nullptr, nullptr}};

PyType_Slot bound_slots[] = {
    {Py_tp_doc, const_cast<char*>("Limits that are charged together or not at all.")},
    {Py_tp_new, reinterpret_cast<void*>(bound_new)},
    {Py_tp_dealloc, reinterpret_cast<void*>(bound_dealloc)},
    {Py_tp_methods, bound_methods},
    {Py_tp_getset, bound_getset},
    {0, nullptr}};

PyType_Spec bound_spec = {"actinium._native.Bound", sizeof(BoundObject), 0, Py_TPFLAGS_DEFAULT,
                          bound_slots};

PyObject* bounds_new(PyTypeObject* type, PyObject* args, PyObject*) {
  const Py_ssize_t count = PyTuple_GET_SIZE(args);
  if (count < 1 || count > static_cast<Py_ssize_t>(kParts)) {
    PyErr_Format(PyExc_ValueError, "expected 1 to %zu bounds, got %zd", kParts, count);
    return nullptr;
  }
  for (Py_ssize_t i = 0; i < count; i++) {
    if (Py_TYPE(PyTuple_GET_ITEM(args, i)) != BoundType) {
      PyErr_Format(PyExc_TypeError, "expected a Bound, got %R", PyTuple_GET_ITEM(args, i));
      return nullptr;
    }
  }
  PyObject* o = type->tp_alloc(type, 0);
  if (o == nullptr) return nullptr;
  bounds_of(o)->count = static_cast<std::size_t>(count);
  for (Py_ssize_t i = 0; i < count; i++) {
    bounds_of(o)->parts[i] = bound_of(Py_NewRef(PyTuple_GET_ITEM(args, i)));
  }
  return o;
}

void bounds_dealloc(PyObject* o) {
  PyTypeObject* type = Py_TYPE(o);
  for (BoundObject* part : bounds_of(o)->parts)
    Py_XDECREF(reinterpret_cast<PyObject*>(part));
  type->tp_free(o);
  Py_DECREF(type);
}

PyObject* take_all(PyObject* o, PyObject* const* args, Py_ssize_t n) {
  std::int64_t second;
  Bound::Amounts amounts = {};
  if (!read_amounts(args, n, &second, amounts)) return nullptr;
  const BoundsObject* self = bounds_of(o);
  for (std::size_t i = 0; i < self->count; i++) {
    if (!self->parts[i]->bound.fits(second, amounts)) Py_RETURN_NONE;
  }
  return charged(self->parts, self->count, second, amounts);
}

PyObject* force_all(PyObject* o, PyObject* const* args, Py_ssize_t n) {
  std::int64_t second;
  Bound::Amounts amounts = {};
  if (!read_amounts(args, n, &second, amounts)) return nullptr;
  return charged(bounds_of(o)->parts, bounds_of(o)->count, second, amounts);
}

PyObject* tightest(PyObject* o, PyObject* time) {
  const double now = PyFloat_AsDouble(time);
  if (now == -1.0 && PyErr_Occurred() != nullptr) return nullptr;
  const auto second = static_cast<std::int64_t>(now);
  actinium::Rest rests[Bound::kAmounts];
  const BoundsObject* self = bounds_of(o);
  for (std::size_t i = 0; i < self->count; i++)
    self->parts[i]->bound.rest(second, rests);
  PyObject* numbers[3 * Bound::kAmounts];
  Py_ssize_t count = 0;
  for (const actinium::Rest& rest : rests) {
    if (rest.limit < 0) continue;
    numbers[count++] = from_sum(rest.limit);
    numbers[count++] = from_sum(rest.left);
    numbers[count++] = PyLong_FromLongLong(rest.seconds);
  }
  PyObject* tuple = PyTuple_New(count);
  for (Py_ssize_t i = 0; i < count; i++) {
    if (tuple == nullptr || numbers[i] == nullptr) {
      Py_CLEAR(tuple);
      Py_XDECREF(numbers[i]);
    } else {
      PyTuple_SET_ITEM(tuple, i, numbers[i]);
    }
  }
  return tuple;
}

PyMethodDef bounds_methods[] = {
    {"take", method(take_all), METH_FASTCALL,
     "take(now, amount, ...): charges all of them where all of it fits now, else None."},
    {"force", method(force_all), METH_FASTCALL, "The same, whether it fits or not."},
    {"tightest", tightest, METH_O,
     "At a time, for each amount that has a limit: the limit of which the least is left, how much "
     "that is, and the seconds until all of it is."},
    {nullptr, nullptr, 0, nullptr}};

PyType_Slot bounds_slots[] = {
    {Py_tp_doc, const_cast<char*>("Several bounds that are charged together or not at all.")},
    {Py_tp_new, reinterpret_cast<void*>(bounds_new)},
    {Py_tp_dealloc, reinterpret_cast<void*>(bounds_dealloc)},
    {Py_tp_methods, bounds_methods},
    {0, nullptr}};

PyType_Spec bounds_spec = {"actinium._native.Bounds", sizeof(BoundsObject), 0, Py_TPFLAGS_DEFAULT,
                           bounds_slots};

void charge_dealloc(PyObject* o) {
  PyTypeObject* type = Py_TYPE(o);
  for (BoundObject* owner : charge_of(o)->owners)
    Py_XDECREF(reinterpret_cast<PyObject*>(owner));
  type->tp_free(o);
  Py_DECREF(type);
}

PyObject* end(PyObject* o, State state, std::int64_t second, const Bound::Amounts& used) {
  ChargeObject* charge = charge_of(o);
  if (charge->state != kOpen) Py_RETURN_FALSE;
  charge->state = state;
  for (std::size_t i = 0; i < charge->count; i++) {
    charge->owners[i]->bound.settle(second, charge->charged[i], used);
  }
  for (std::size_t i = 0; i < charge->count; i++) {
    if (!tell(charge->owners[i])) return nullptr;
  }
  Py_RETURN_TRUE;
}

PyObject* settle(PyObject* o, PyObject* const* args, Py_ssize_t n) {
  std::int64_t second;
  Bound::Amounts used = {};
  if (!read_amounts(args, n, &second, used)) return nullptr;
  return end(o, kSettled, second, used);
}

PyObject* release(PyObject* o, PyObject*) { return end(o, kReleased, 0, Bound::Amounts{}); }

PyObject* get_open(PyObject* o, void*) { return PyBool_FromLong(charge_of(o)->state == kOpen); }
PyObject* get_amount(PyObject* o, void*) {
  return PyLong_FromLongLong(charge_of(o)->charged[0].amounts[0]);
}
PyObject* get_state(PyObject* o, void*) {
  static const char* const names[] = {"reserved", "settled", "released"};
  return PyUnicode_FromString(names[charge_of(o)->state]);
}

PyMethodDef charge_methods[] = {
    {"settle", method(settle), METH_FASTCALL,
     "settle(now, amount, ...): it has used so much; False where it has ended before."},
    {"release", release, METH_NOARGS, "It has used nothing; False where it has ended before."},
    {nullptr, nullptr, 0, nullptr}};

PyGetSetDef charge_getset[] = {
    {"open", get_open, nullptr, "Whether it has not ended.", nullptr},
    {"amount", get_amount, nullptr, "The first of its amounts.", nullptr},
    {"state", get_state, nullptr, "reserved, then settled or released.", nullptr},
    {nullptr, nullptr, nullptr, nullptr, nullptr}};

PyType_Slot charge_slots[] = {
    {Py_tp_doc, const_cast<char*>("What one thing was charged; it is ended once.")},
    {Py_tp_dealloc, reinterpret_cast<void*>(charge_dealloc)},
    {Py_tp_methods, charge_methods},
    {Py_tp_getset, charge_getset},
    {0, nullptr}};

PyType_Spec charge_spec = {"actinium._native.Charge", sizeof(ChargeObject), 0,
                           Py_TPFLAGS_DEFAULT | Py_TPFLAGS_DISALLOW_INSTANTIATION, charge_slots};

}  // namespace

int init_bound(PyObject* module) {
  if (add_type(module, &BoundType, &bound_spec) < 0) return -1;
  if (add_type(module, &BoundsType, &bounds_spec) < 0) return -1;
  return add_type(module, &ChargeType, &charge_spec);
}

}  // namespace binding
