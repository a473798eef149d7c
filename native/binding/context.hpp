// Whether two contextvars contexts hold the same variables.
//
// Contexts made from one another share their map until one of them changes, so comparing two
// pointers answers in a few instructions what `==` answers in a hundred. CPython has the map in
// a field that no public function reads; `init_context` looks whether it lies where it is
// expected, and without that the contexts are compared as Python does.
#pragma once

#include "py.hpp"

namespace binding {

extern bool context_map_known;

inline const void* context_map(PyObject* context) {
  struct Head {
    PyObject_HEAD
    void* previous;
    void* map;
  };
  return reinterpret_cast<const Head*>(context)->map;
}

inline bool same_context(PyObject* a, PyObject* b) {
  if (context_map_known) [[likely]]
    return context_map(a) == context_map(b);
  const int same = PyObject_RichCompareBool(a, b, Py_EQ);
  if (same < 0) PyErr_Clear();
  return same == 1;
}

int init_context();

}  // namespace binding
