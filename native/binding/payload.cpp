// Bytes that travel by reference: a Block is filled, then sealed into a Payload.
//
// Both stand for one block of slab memory with the buffer protocol over it. A Block belongs to
// who made it and may be written; `seal` moves the memory, uncopied, into a Payload, which nobody
// can write and which may therefore be sent. The memory is freed once, with the last object or
// view that refers to it, by whichever thread lets go of it.
#include <new>

#include "actinium/slab.hpp"
#include "types.hpp"

namespace binding {

PyTypeObject* BlockType;
PyTypeObject* PayloadType;

namespace {

struct Bytes {
  PyObject_HEAD
  char* memory;  // null: none, of a Block that was sealed or an object of no bytes
  Py_ssize_t size;
  Py_ssize_t views;
  std::uint32_t generation;
  bool sealed;      // a Block that is used no more
  PyObject* owner;  // of a Payload: the Block that the memory belongs to, or null
};

Bytes* self_of(PyObject* o) { return reinterpret_cast<Bytes*>(o); }

// Whole lines, which also makes the slab align the block to one.
std::size_t room_for(Py_ssize_t size) { return (static_cast<std::size_t>(size) + 63) / 64 * 64; }

Bytes* make(PyTypeObject* type, Py_ssize_t size) {
  char* memory = nullptr;
  if (size > 0) {
    memory = static_cast<char*>(actinium::slab_alloc(room_for(size), actinium::Region::payload));
    if (memory == nullptr) {
      PyErr_NoMemory();
      return nullptr;
    }
  }
  PyObject* o = type->tp_alloc(type, 0);
  if (o == nullptr) {
    if (memory != nullptr) {
      actinium::slab_free(memory, room_for(size), actinium::Region::payload);
    }
    return nullptr;
  }
  Bytes* b = self_of(o);
  b->memory = memory;
  b->size = size;
  b->generation = memory != nullptr ? actinium::slab_generation(memory) : 0;
  return b;
}

void check(const Bytes* b) {
  if (b->memory != nullptr) {
    actinium::slab_expect(b->memory, room_for(b->size), b->generation);
  }
}

void bytes_dealloc(PyObject* o) {
  PyTypeObject* type = Py_TYPE(o);
  Bytes* b = self_of(o);
  if (b->owner != nullptr) {
    Py_DECREF(b->owner);
  } else if (b->memory != nullptr) {
    check(b);
    actinium::slab_free(b->memory, room_for(b->size), actinium::Region::payload);
  }
  type->tp_free(o);
  Py_DECREF(type);
}

// A new object with a copy of any contiguous buffer.
Bytes* copy_of(PyTypeObject* type, PyObject* source) {
  Py_buffer view;
  if (PyObject_GetBuffer(source, &view, PyBUF_SIMPLE) < 0) return nullptr;
  Bytes* b = make(type, view.len);
  if (b != nullptr && view.len > 0) {
    __builtin_memcpy(b->memory, view.buf, static_cast<std::size_t>(view.len));
  }
  PyBuffer_Release(&view);
  return b;
}

// Block(size): zeroed.
PyObject* block_new(PyTypeObject* type, PyObject* args, PyObject* kwargs) {
  static const char* names[] = {"size", nullptr};
  Py_ssize_t size;
  if (!PyArg_ParseTupleAndKeywords(args, kwargs, "n:Block", const_cast<char**>(names), &size)) {
    return nullptr;
  }
  if (size < 0) {
    PyErr_Format(PyExc_ValueError, "a block has 0 or more bytes, got %zd", size);
    return nullptr;
  }
  Bytes* b = make(type, size);
  // A map of its own comes zeroed from the kernel; to write it here would touch every page.
  const bool fresh = room_for(size) > actinium::slab_detail::kSpanMax;
  if (b != nullptr && size > 0 && !(fresh && !actinium::slab_detail::debug_mode())) {
    __builtin_memset(b->memory, 0, static_cast<std::size_t>(size));
  }
  return reinterpret_cast<PyObject*>(b);
}

PyObject* payload_new(PyTypeObject* type, PyObject* args, PyObject* kwargs) {
  static const char* names[] = {"buffer", nullptr};
  PyObject* from;
  if (!PyArg_ParseTupleAndKeywords(args, kwargs, "O:Payload", const_cast<char**>(names), &from)) {
    return nullptr;
  }
  return reinterpret_cast<PyObject*>(copy_of(type, from));
}

bool usable(const Bytes* b) {
  if (!b->sealed) return true;
  PyErr_SetString(UsageError,
                  "this block was sealed: its bytes belong to the Payload that seal() returned; "
                  "for bytes to write, take payload.mutable_copy()");
  return false;
}

int get_buffer(PyObject* o, Py_buffer* view, int flags) {
  Bytes* b = self_of(o);
  if (!usable(b)) {
    view->obj = nullptr;
    return -1;
  }
  check(b);
  static char none;
  const bool readonly = Py_TYPE(o) == PayloadType;
  if (readonly && (flags & PyBUF_WRITABLE) == PyBUF_WRITABLE) {
    view->obj = nullptr;
    PyErr_SetString(
        PyExc_BufferError,
        "a Payload cannot be written; take payload.mutable_copy(), write that, seal it");
    return -1;
  }
  char* const start = b->memory != nullptr ? b->memory : &none;
  if (PyBuffer_FillInfo(view, o, start, b->size, readonly, flags) < 0) return -1;
  b->views++;
  return 0;
}

void release_buffer(PyObject* o, Py_buffer*) { self_of(o)->views--; }

PyObject* block_seal(PyObject* o, PyObject*) {
  Bytes* b = self_of(o);
  if (!usable(b)) return nullptr;
  if (b->views > 0) {
    PyErr_Format(UsageError,
                 "this block cannot be sealed while %zd of its views can still write it; release "
                 "them first: `with memoryview(block) as view: ...`",
                 b->views);
    return nullptr;
  }
  Bytes* payload = self_of(PayloadType->tp_alloc(PayloadType, 0));
  if (payload == nullptr) return nullptr;
  payload->memory = b->memory;
  payload->size = b->size;
  payload->generation = b->generation;
  b->memory = nullptr;
  b->size = 0;
  b->sealed = true;
  return reinterpret_cast<PyObject*>(payload);
}

// For who filled the block and knows that the views of it that are left write no more: the block
// keeps the bytes, so that those views stay valid, and the Payload keeps the block.
PyObject* block_lend(PyObject* o, PyObject*) {
  Bytes* b = self_of(o);
  if (!usable(b)) return nullptr;
  Bytes* payload = self_of(PayloadType->tp_alloc(PayloadType, 0));
  if (payload == nullptr) return nullptr;
  payload->memory = b->memory;
  payload->size = b->size;
  payload->generation = b->generation;
  payload->owner = Py_NewRef(o);
  b->sealed = true;
  return reinterpret_cast<PyObject*>(payload);
}

PyObject* payload_mutable_copy(PyObject* o, PyObject*) {
  return reinterpret_cast<PyObject*>(copy_of(BlockType, o));
}

Py_ssize_t bytes_length(PyObject* o) {
  const Bytes* b = self_of(o);
  return usable(b) ? b->size : -1;
}

PyObject* bytes_repr(PyObject* o) {
  const Bytes* b = self_of(o);
  const char* name = Py_TYPE(o) == PayloadType ? "Payload" : "Block";
  if (b->sealed) return PyUnicode_FromFormat("<%s: sealed>", name);
  return PyUnicode_FromFormat("<%s of %zd bytes>", name, b->size);
}

PyMethodDef block_methods[] = {
    {"lend", block_lend, METH_NOARGS, nullptr},
    {"seal", block_seal, METH_NOARGS,
     "Moves the bytes, uncopied, into a Payload that can be sent. The block is empty after that."},
    {nullptr, nullptr, 0, nullptr}};

PyMethodDef payload_methods[] = {
    {"mutable_copy", payload_mutable_copy, METH_NOARGS, "A Block with a copy of the bytes."},
    {nullptr, nullptr, 0, nullptr}};

PyType_Slot block_slots[] = {
    {Py_tp_doc, const_cast<char*>("Bytes to fill and then seal into a Payload.")},
    {Py_tp_new, reinterpret_cast<void*>(block_new)},
    {Py_tp_dealloc, reinterpret_cast<void*>(bytes_dealloc)},
    {Py_tp_repr, reinterpret_cast<void*>(bytes_repr)},
    {Py_tp_methods, block_methods},
    {Py_bf_getbuffer, reinterpret_cast<void*>(get_buffer)},
    {Py_bf_releasebuffer, reinterpret_cast<void*>(release_buffer)},
    {Py_sq_length, reinterpret_cast<void*>(bytes_length)},
    {0, nullptr}};

PyType_Slot payload_slots[] = {
    {Py_tp_doc, const_cast<char*>("Bytes that nobody can change, sent by reference.")},
    {Py_tp_new, reinterpret_cast<void*>(payload_new)},
    {Py_tp_dealloc, reinterpret_cast<void*>(bytes_dealloc)},
    {Py_tp_repr, reinterpret_cast<void*>(bytes_repr)},
    {Py_tp_methods, payload_methods},
    {Py_bf_getbuffer, reinterpret_cast<void*>(get_buffer)},
    {Py_bf_releasebuffer, reinterpret_cast<void*>(release_buffer)},
    {Py_sq_length, reinterpret_cast<void*>(bytes_length)},
    {0, nullptr}};

PyType_Spec block_spec = {"actinium.core.Block", sizeof(Bytes), 0, Py_TPFLAGS_DEFAULT, block_slots};
PyType_Spec payload_spec = {"actinium.core.Payload", sizeof(Bytes), 0, Py_TPFLAGS_DEFAULT,
                            payload_slots};

}  // namespace

int init_payload(PyObject* module) {
  if (add_type(module, &BlockType, &block_spec) < 0) return -1;
  return add_type(module, &PayloadType, &payload_spec);
}

}  // namespace binding
