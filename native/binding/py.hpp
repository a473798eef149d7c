// Small helpers over the C-API: what every file of the binding needs and nothing else.
#pragma once

#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include <cstdint>
#include <ctime>

// CPython has these from 3.13 on; with a GIL they are nothing.
#ifndef Py_BEGIN_CRITICAL_SECTION
#define Py_BEGIN_CRITICAL_SECTION(object) {
#define Py_END_CRITICAL_SECTION() }
#endif

namespace binding {

inline std::int64_t monotonic_ns() {
  timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return std::int64_t(t.tv_sec) * 1'000'000'000 + t.tv_nsec;
}

// A clock that is behind monotonic_ns() by at most kCoarseSlackNs and several times cheaper.
constexpr std::int64_t kCoarseSlackNs = 10'000'000;
inline std::int64_t coarse_ns() {
  timespec t;
  clock_gettime(CLOCK_MONOTONIC_COARSE, &t);
  return std::int64_t(t.tv_sec) * 1'000'000'000 + t.tv_nsec;
}

// The raised exception, normalised and with its traceback; a new reference, never null.
inline PyObject* take_exception() {
#if PY_VERSION_HEX >= 0x030C0000
  PyObject* value = PyErr_GetRaisedException();
#else
  PyObject *type, *value, *trace;
  PyErr_Fetch(&type, &value, &trace);
  PyErr_NormalizeException(&type, &value, &trace);
  if (trace != nullptr) PyException_SetTraceback(value, trace);
  Py_XDECREF(type);
  Py_XDECREF(trace);
#endif
  return value != nullptr ? value : Py_NewRef(Py_None);
}

// Raises an exception object; borrows it.
inline void raise_object(PyObject* exc) {
  PyErr_SetObject(reinterpret_cast<PyObject*>(Py_TYPE(exc)), exc);
}

// An error nobody can be told about goes to sys.unraisablehook, never away in silence.
inline void report_unraisable(PyObject* where) {
  if (PyErr_Occurred()) PyErr_WriteUnraisable(where);
}

template <class F>
PyCFunction method(F f) {
  return reinterpret_cast<PyCFunction>(reinterpret_cast<void*>(f));
}

}  // namespace binding
