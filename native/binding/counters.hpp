// Counters as Python sees them, and how amounts become numbers of it.
#pragma once

#include <actinium/windows.hpp>

#include "py.hpp"

namespace binding {

struct CountersObject {
  PyObject_HEAD
  actinium::Windows windows;
};

extern PyTypeObject* CountersType;

inline actinium::Windows& windows_of(PyObject* o) {
  return reinterpret_cast<CountersObject*>(o)->windows;
}

PyObject* from_sum(actinium::Sum sum);
// An integer of any size; one beyond 64 bits is the largest or smallest there is: no limit is as
// high. False with an exception set.
bool to_amount(PyObject* number, std::int64_t* amount);

int init_counters(PyObject* module);
int init_bound(PyObject* module);

}  // namespace binding
