// What the native core holds, and giving back what it does not need.
#include "actinium/slab.hpp"
#include "runtime.hpp"

namespace binding {

namespace {

// Empty segments go back to the system after this long, so that a load that comes and goes
// within it finds its memory warm.
constexpr double kEmptyFor = 10.0;

std::size_t trim(double seconds) {
  return actinium::slab_trim(static_cast<std::uint64_t>(seconds * 1e3));
}

}  // namespace

// -> {"segments", "segments_made", "mapped_bytes", "heaps", "live_blocks", "live_bytes",
//     "regions": {name: (blocks, bytes)}}
PyObject* memory(PyObject*, PyObject*) {
  const actinium::SlabStats stats = actinium::slab_stats();
  PyObject* regions = PyDict_New();
  if (regions == nullptr) return nullptr;
  for (std::size_t i = 0; i < actinium::kRegions; i++) {
    PyObject* counts = Py_BuildValue("(LL)", static_cast<long long>(stats.region_blocks[i]),
                                     static_cast<long long>(stats.region_bytes[i]));
    const bool set =
        counts != nullptr && PyDict_SetItemString(regions, actinium::kRegionNames[i], counts) == 0;
    Py_XDECREF(counts);
    if (!set) {
      Py_DECREF(regions);
      return nullptr;
    }
  }
  return Py_BuildValue(
      "{s:n,s:n,s:n,s:n,s:L,s:L,s:N}", "segments", static_cast<Py_ssize_t>(stats.segments),
      "segments_made", static_cast<Py_ssize_t>(stats.segments_made), "mapped_bytes",
      static_cast<Py_ssize_t>(stats.mapped_bytes), "heaps", static_cast<Py_ssize_t>(stats.heaps),
      "live_blocks", static_cast<long long>(stats.live_blocks), "live_bytes",
      static_cast<long long>(stats.live_bytes), "regions", regions);
}

// (seconds): unmaps segments that were empty for so long; how many empty ones are left waiting.
PyObject* trim_memory(PyObject*, PyObject* seconds) {
  const double s = PyFloat_AsDouble(seconds);
  if (s == -1.0 && PyErr_Occurred()) return nullptr;
  if (!(s >= 0) || s > 4e9) {
    PyErr_Format(PyExc_ValueError, "expected 0 or more seconds, at most 4e9, got %R", seconds);
    return nullptr;
  }
  return PyLong_FromSize_t(trim(s));
}

// Sees to it that empty segments are looked at again, once, when they have been so for a while.
void core_trim_later(Core* c) {
  if (c->trim_handle != nullptr || c->manual || c->closed) return;
  c->trim_handle =
      PyObject_CallMethod(c->loop, "call_later", "dN", kEmptyFor,
                          PyObject_GetAttrString(reinterpret_cast<PyObject*>(c), "on_trim"));
  if (c->trim_handle == nullptr) report_unraisable(c->loop);
}

void core_cancel_trim(Core* c) {
  if (c->trim_handle == nullptr) return;
  PyObject* r = PyObject_CallMethod(c->trim_handle, "cancel", nullptr);
  if (r == nullptr) report_unraisable(c->trim_handle);
  Py_XDECREF(r);
  Py_CLEAR(c->trim_handle);
}

PyObject* core_on_trim(PyObject* o, PyObject*) {
  Core* c = reinterpret_cast<Core*>(o);
  Py_CLEAR(c->trim_handle);
  // The loop may be a little early for the slab's coarse clock.
  if (trim(kEmptyFor - 0.1) != 0) core_trim_later(c);
  Py_RETURN_NONE;
}

}  // namespace binding
