// Counters per node and window that any number of nodes can merge in any order.
#include "counters.hpp"

#include <new>

#include "types.hpp"

namespace binding {

PyTypeObject* CountersType;

using actinium::Sum;

PyObject* from_sum(Sum sum) {
  if (sum >= INT64_MIN && sum <= INT64_MAX) {
    return PyLong_FromLongLong(static_cast<long long>(sum));
  }
  PyObject* high = PyLong_FromLongLong(static_cast<long long>(sum >> 62));
  PyObject* low = PyLong_FromLongLong(static_cast<long long>(sum & ((Sum{1} << 62) - 1)));
  PyObject* bits = PyLong_FromLong(62);
  PyObject* shifted = high && bits ? PyNumber_Lshift(high, bits) : nullptr;
  PyObject* whole = shifted && low ? PyNumber_Or(shifted, low) : nullptr;
  Py_XDECREF(high);
  Py_XDECREF(low);
  Py_XDECREF(bits);
  Py_XDECREF(shifted);
  return whole;
}

bool to_amount(PyObject* number, std::int64_t* amount) {
  int beyond = 0;
  *amount = PyLong_AsLongLongAndOverflow(number, &beyond);
  if (beyond != 0) {
    *amount = beyond > 0 ? INT64_MAX : INT64_MIN;
    return true;
  }
  return *amount != -1 || PyErr_Occurred() == nullptr;
}

namespace {

CountersObject* self_of(PyObject* o) { return reinterpret_cast<CountersObject*>(o); }

PyObject* counters_new(PyTypeObject* type, PyObject*, PyObject*) {
  PyObject* o = type->tp_alloc(type, 0);
  if (o != nullptr) new (&self_of(o)->windows) actinium::Windows;
  return o;
}

void counters_dealloc(PyObject* o) {
  PyTypeObject* type = Py_TYPE(o);
  self_of(o)->windows.~Windows();
  type->tp_free(o);
  Py_DECREF(type);
}

bool two(PyObject* const* args, Py_ssize_t n, const char* name, std::int64_t* a, std::int64_t* b) {
  if (n != 2) {
    PyErr_Format(PyExc_TypeError, "%s() takes a window and an amount", name);
    return false;
  }
  return to_amount(args[0], a) && to_amount(args[1], b);
}

PyObject* charge(PyObject* o, PyObject* const* args, Py_ssize_t n) {
  std::int64_t window, amount;
  if (!two(args, n, "charge", &window, &amount)) return nullptr;
  windows_of(o).charge(window, amount);
  Py_RETURN_NONE;
}

PyObject* refund(PyObject* o, PyObject* const* args, Py_ssize_t n) {
  std::int64_t window, amount;
  if (!two(args, n, "refund", &window, &amount)) return nullptr;
  windows_of(o).refund(window, amount);
  Py_RETURN_NONE;
}

PyObject* advance(PyObject* o, PyObject* number) {
  std::int64_t first;
  if (!to_amount(number, &first)) return nullptr;
  windows_of(o).advance(first);
  Py_RETURN_NONE;
}

// Appends (window, charged, back) or, of a node, (node, window, charged, back); false with an
// exception set.
bool append(PyObject* list, const actinium::WindowEntry& entry, PyObject* node) {
  PyObject* charged = from_sum(entry.charged);
  PyObject* back = charged != nullptr ? from_sum(entry.back) : nullptr;
  PyObject* row = nullptr;
  if (back != nullptr) {
    const auto window = static_cast<long long>(entry.window);
    row = node != nullptr ? Py_BuildValue("OLOO", node, window, charged, back)
                          : Py_BuildValue("LOO", window, charged, back);
  }
  Py_XDECREF(charged);
  Py_XDECREF(back);
  const bool well = row != nullptr && PyList_Append(list, row) == 0;
  Py_XDECREF(row);
  return well;
}

PyObject* own_entries(PyObject* o, PyObject*) {
  PyObject* list = PyList_New(0);
  for (const auto& entry : windows_of(o).entries()) {
    if (list != nullptr && !append(list, entry, nullptr)) Py_CLEAR(list);
  }
  return list;
}

PyObject* other_entries(PyObject* o, PyObject*) {
  PyObject* list = PyList_New(0);
  for (const auto& other : windows_of(o).theirs()) {
    if (list == nullptr) break;
    const auto length = static_cast<Py_ssize_t>(other.node.size());
    PyObject* node = PyUnicode_FromStringAndSize(other.node.data(), length);
    if (node == nullptr || !append(list, other.entry, node)) Py_CLEAR(list);
    Py_XDECREF(node);
  }
  return list;
}

// merge_entry(node or None for this one, window, charged, back)
PyObject* merge_entry(PyObject* o, PyObject* args) {
  const char* node;
  Py_ssize_t length;
  PyObject *window, *charged, *back;
  if (!PyArg_ParseTuple(args, "z#OOO", &node, &length, &window, &charged, &back)) return nullptr;
  std::int64_t at, plus, minus;
  if (!to_amount(window, &at) || !to_amount(charged, &plus) || !to_amount(back, &minus)) {
    return nullptr;
  }
  if (node == nullptr) {
    windows_of(o).merge_own(at, plus, minus);
  } else {
    windows_of(o).merge_other(std::string(node, static_cast<std::size_t>(length)), at, plus, minus);
  }
  Py_RETURN_NONE;
}

PyObject* get_own(PyObject* o, void*) { return from_sum(windows_of(o).own()); }
PyObject* get_others(PyObject* o, void*) { return from_sum(windows_of(o).others()); }
PyObject* get_used(PyObject* o, void*) {
  return from_sum(windows_of(o).own() + windows_of(o).others());
}
PyObject* get_first(PyObject* o, void*) { return PyLong_FromLongLong(windows_of(o).first()); }
PyObject* get_latest(PyObject* o, void*) { return PyLong_FromLongLong(windows_of(o).latest()); }

PyMethodDef methods[] = {
    {"charge", method(charge), METH_FASTCALL,
     "Counts an amount of this node. A window that is over counts no more."},
    {"refund", method(refund), METH_FASTCALL,
     "Gives back what was charged in a window before; in one that is over, nothing."},
    {"advance", advance, METH_O, "From now on only windows from this one on count."},
    {"own_entries", own_entries, METH_NOARGS,
     "(window, charged, given back) of this node, oldest first."},
    {"other_entries", other_entries, METH_NOARGS,
     "(node, window, charged, given back) of all others."},
    {"merge_entry", merge_entry, METH_VARARGS,
     "Takes in an entry of another node, or (None) of this one."},
    {nullptr, nullptr, 0, nullptr}};

PyGetSetDef getset[] = {
    {"own", get_own, nullptr, "What this node has charged and not given back.", nullptr},
    {"others", get_others, nullptr, "Likewise all other nodes.", nullptr},
    {"used", get_used, nullptr, "What counts, of all nodes.", nullptr},
    {"first", get_first, nullptr, "The first window that counts.", nullptr},
    {"latest", get_latest, nullptr,
     "The last window that this node has charged; -1 where none of it counts any more.", nullptr},
    {nullptr, nullptr, nullptr, nullptr, nullptr}};

PyType_Slot slots[] = {{Py_tp_doc, const_cast<char*>("What one node knows of a count.")},
                       {Py_tp_new, reinterpret_cast<void*>(counters_new)},
                       {Py_tp_dealloc, reinterpret_cast<void*>(counters_dealloc)},
                       {Py_tp_methods, methods},
                       {Py_tp_getset, getset},
                       {0, nullptr}};

PyType_Spec spec = {"actinium._native.CountersBase", sizeof(CountersObject), 0,
                    Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE, slots};

}  // namespace

int init_counters(PyObject* module) { return add_type(module, &CountersType, &spec); }

}  // namespace binding
