// actinium._native: the only part of the native code that sees Python.
#include "context.hpp"
#include "counters.hpp"
#include "guard.hpp"
#include "ring.hpp"

namespace binding {

PyObject* UsageError;

int add_type(PyObject* module, PyTypeObject** slot, PyType_Spec* spec) {
  *slot = reinterpret_cast<PyTypeObject*>(PyType_FromSpec(spec));
  if (*slot == nullptr) return -1;
  return PyModule_AddType(module, *slot);
}

}  // namespace binding

namespace {

PyObject* message_size(PyObject*, PyObject* message) {
  return PyLong_FromUnsignedLongLong(binding::message_size(message));
}

PyMethodDef functions[] = {
    {"message_size", message_size, METH_O, "Bytes of the texts and buffers in a message."},
    {"new_ref_type", binding::new_ref_type, METH_VARARGS,
     "Makes the class of refs from its methods."},
    {"memory", binding::memory, METH_NOARGS, "What the native core holds in this process."},
    {"trim_memory", binding::trim_memory, METH_O,
     "Unmaps what has been empty for so many seconds; returns how much still has to wait."},
    {nullptr, nullptr, 0, nullptr}};

PyModuleDef definition = {PyModuleDef_HEAD_INIT,
                          "actinium._native",
                          "Native core of actinium: cells, mailboxes, scheduling, timers.",
                          -1,
                          functions,
                          nullptr,
                          nullptr,
                          nullptr,
                          nullptr};

}  // namespace

PyMODINIT_FUNC PyInit__native() {
  PyObject* m = PyModule_Create(&definition);
  if (m == nullptr) return nullptr;
#ifdef Py_GIL_DISABLED
  // Each system keeps to its thread; what others may do goes through its inbox (inbox.cpp).
  PyUnstable_Module_SetGIL(m, Py_MOD_GIL_NOT_USED);
#endif
  using namespace binding;
  use_huge_pages();
  PyObject* errors = PyImport_ImportModule("actinium.errors");
  if (errors == nullptr) {
    Py_DECREF(m);
    return nullptr;
  }
  UsageError = PyObject_GetAttrString(errors, "UsageError");
  Py_DECREF(errors);
  const bool ok = UsageError != nullptr && init_context() == 0 && init_actor(m) == 0 &&
                  init_payload(m) == 0 && init_limits(m) == 0 && init_behaviour(m) == 0 &&
                  init_send(m) == 0 && init_cell(m) == 0 && init_reply(m) == 0 &&
                  init_activation(m) == 0 && init_timer(m) == 0 && init_core(m) == 0 &&
                  init_channel(m) == 0 && init_plan(m) == 0 && init_ring(m) == 0 &&
                  init_poller(m) == 0 && init_counters(m) == 0 && init_bound(m) == 0 &&
                  PyModule_AddIntConstant(m, "SYS_START", kSysStart) == 0 &&
                  PyModule_AddIntConstant(m, "SYS_RESTART", kSysRestart) == 0 &&
                  PyModule_AddIntConstant(m, "SYS_STOP", kSysStop) == 0 &&
                  PyModule_AddIntConstant(m, "SYS_DRAIN", kSysDrain) == 0 &&
                  PyModule_AddIntConstant(m, "SYS_PROBE", kSysProbe) == 0 &&
                  PyModule_AddIntConstant(m, "FULL", kFull) == 0 &&
                  PyModule_AddIntConstant(m, "FULL_DROP_NEW", kFullDropNew) == 0 &&
                  PyModule_AddIntConstant(m, "FULL_DROP_OLD", kFullDropOld) == 0 &&
                  PyModule_AddIntConstant(m, "CLOSED", kIsClosed) == 0 &&
                  PyModule_AddIntConstant(m, "FULL_DROP_LOW", kFullDropLow) == 0 &&
                  PyModule_AddIntConstant(m, "NOT_ACCEPTED", kNotAccepted) == 0 &&
                  PyModule_AddIntConstant(m, "TOO_LARGE", kTooLarge) == 0 &&
                  PyModule_AddIntConstant(m, "RATE_LIMITED", kRateLimited) == 0 &&
                  PyModule_AddIntConstant(m, "NO_MEMORY", kNoMemory) == 0 &&
                  PyModule_AddIntConstant(m, "HELD", kIsHeld) == 0;
  if (!ok) {
    Py_DECREF(m);
    return nullptr;
  }
  return m;
}
