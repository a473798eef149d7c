#include "context.hpp"

#include <initializer_list>

namespace binding {

bool context_map_known = false;

// Takes two contexts that differ in one variable and a copy of each.
int init_context() {
  PyObject* plain = PyContext_New();
  PyObject* changed = plain != nullptr ? PyContext_Copy(plain) : nullptr;
  PyObject* var = PyContextVar_New("actinium.probe", nullptr);
  if (changed == nullptr || var == nullptr || PyContext_Enter(changed) < 0) return -1;
  PyObject* token = PyContextVar_Set(var, Py_True);
  if (PyContext_Exit(changed) < 0 || token == nullptr) return -1;
  PyObject* plain_copy = PyContext_Copy(plain);
  PyObject* changed_copy = PyContext_Copy(changed);
  if (plain_copy == nullptr || changed_copy == nullptr) return -1;
  context_map_known = context_map(plain) == context_map(plain_copy) &&
                      context_map(changed) == context_map(changed_copy) &&
                      context_map(plain) != context_map(changed);
  for (PyObject* o : {plain, changed, var, token, plain_copy, changed_copy})
    Py_DECREF(o);
  return 0;
}

}  // namespace binding
