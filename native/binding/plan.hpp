// A record's layout compiled for packing and unpacking: see plan.cpp.
#pragma once

#include "py.hpp"

namespace binding {

struct Plan;

struct PlanField {
  PyObject* name;
  Plan* child;      // of a record, else null
  Py_ssize_t slot;  // where an instance keeps its value, or 0
  std::uint32_t offset;
  std::uint32_t count;  // of an array's elements; 0: no array
  std::uint32_t size;   // of one element
  char code;            // of the struct module; 'e' and 'g' for f16 and bf16, 'r' a record
};

struct Plan {
  PyObject_HEAD
  PyObject* record;   // actinium.gpu.layout.record.Record: what the fast way does not take
  PyTypeObject* cls;  // of the values, or null: a dict
  PlanField* fields;
  Py_ssize_t count;
  std::uint32_t size;
  std::uint16_t kind;
  bool bare;   // the one field's value itself
  bool plain;  // all of it is known to the fast way
};

extern PyTypeObject* PlanType;

// Writes the record's bytes; -1 with an exception set.
int plan_pack(Plan* plan, PyObject* value, unsigned char* to);
// The value of so many bytes as the record has; a new reference.
PyObject* plan_unpack(Plan* plan, const unsigned char* from);
int init_plan(PyObject* module);

}  // namespace binding
