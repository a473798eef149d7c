// What lies between the producer of a stream and its consumer: items, credits, one end.
//
// Invariants: the producer is never further ahead than the window in items and bytes, but for the
// item that crosses the line (ST-1); the consumer sees a gapless prefix and then one end (ST-2).
// An item costs a push, a pop and no future while neither side waits.
#include <memory>
#include <new>

#include "actinium/ring.hpp"
#include "guard.hpp"
#include "send.hpp"

namespace binding {

PyTypeObject* ChannelType;
PyTypeObject* StreamBaseType;
PyTypeObject* NextType;

namespace {

PyObject* s_create_future;
PyObject* s_set_result;
PyObject* s_done;
PyObject* s_result;
PyObject* s_end;
PyObject* s_open;
PyObject* s_blocking;

struct Channel {
  PyObject_HEAD
  Core* core;
  actinium::Ring items;  // an item and its bytes, in turn
  PyObject* waits;       // called for a future when the consumer has to wait
  PyObject* reader;      // a future the consumer waits for, or null
  PyObject* room;        // the same of the producer
  PyObject* error;
  std::uint64_t window;
  std::uint64_t most;  // bytes
  std::uint64_t size;
  std::uint64_t moved;  // items in and out, ever
  std::uint64_t away;   // items that were sent to another process and are not read there yet
  std::uint8_t ended;
  std::uint8_t cancelled;
};

struct StreamBase {
  PyObject_HEAD
  Channel* channel;
  std::uint8_t opened;
};

struct Next {
  PyObject_HEAD
  Channel* channel;
  PyObject* awaited;  // the future it waited for last, or null
};

Channel* self_of(PyObject* o) { return reinterpret_cast<Channel*>(o); }

std::uint64_t waiting(const Channel* ch) { return ch->items.size() / 2 + ch->away; }
bool full(const Channel* ch) { return waiting(ch) >= ch->window || ch->size >= ch->most; }

void account(Channel* ch, std::uint64_t in, std::uint64_t out) {
  ch->size += in - out;
  FlowTable* flow = ch->core->flow;
  flow->others += in - out;
  flow->gone += out;
  if (flow->limit != 0) memory_changed(ch->core);
}

// Ends a wait; the slot is empty after it.
void wake(PyObject** slot) {
  PyObject* future = *slot;
  if (future == nullptr) return;
  *slot = nullptr;
  PyObject* done = PyObject_CallMethodNoArgs(future, s_done);
  PyObject* r =
      done == Py_False ? PyObject_CallMethodOneArg(future, s_set_result, Py_None) : nullptr;
  if (r == nullptr) report_unraisable(future);
  Py_XDECREF(r);
  Py_XDECREF(done);
  Py_DECREF(future);
}

// Lets a waiting producer go on, once half of the window is read.
void grant(Channel* ch) {
  if (ch->room == nullptr) return;
  if (waiting(ch) <= ch->window / 2 && ch->size <= ch->most / 2) wake(&ch->room);
}

PyObject* pop(Channel* ch) {
  auto* item = reinterpret_cast<PyObject*>(ch->items.pop());
  const std::uint64_t bytes = ch->items.pop();
  if (bytes != 0) account(ch, 0, bytes);
  ch->moved++;
  return item;
}

void clear(Channel* ch) {
  ch->away = 0;
  if (ch->items.empty() && ch->size != 0) account(ch, 0, ch->size);
  while (!ch->items.empty()) {
    PyObject* item = pop(ch);
    Py_DECREF(item);
  }
}

// Keeps a new future, stolen, as what one side waits for.
PyObject* wait_on(PyObject** slot, PyObject* future) {
  if (future != nullptr) Py_XSETREF(*slot, Py_NewRef(future));
  return future;
}

// (core, items, bytes, waits)
PyObject* channel_new(PyTypeObject* type, PyObject* args, PyObject*) {
  PyObject *core, *waits;
  long long window, most;
  if (!PyArg_ParseTuple(args, "O!LLO", CoreType, &core, &window, &most, &waits)) return nullptr;
  if (window < 1 || most < 1) {
    PyErr_Format(PyExc_ValueError, "a window needs 1 item and 1 byte or more, got %lld, %lld",
                 window, most);
    return nullptr;
  }
  PyObject* o = type->tp_alloc(type, 0);
  if (o == nullptr) return nullptr;
  Channel* ch = self_of(o);
  ::new (&ch->items) actinium::Ring();
  ch->core = reinterpret_cast<Core*>(Py_NewRef(core));
  ch->waits = Py_NewRef(waits);
  ch->window = static_cast<std::uint64_t>(window);
  ch->most = static_cast<std::uint64_t>(most);
  return o;
}

void channel_dealloc(PyObject* o) {
  PyTypeObject* type = Py_TYPE(o);
  Channel* ch = self_of(o);
  clear(ch);
  std::destroy_at(&ch->items);
  Py_XDECREF(ch->waits);
  Py_XDECREF(ch->reader);
  Py_XDECREF(ch->room);
  Py_XDECREF(ch->error);
  Py_DECREF(ch->core);
  type->tp_free(o);
  Py_DECREF(type);
}

// (item) -> whether the producer has to look before it goes on: no credit left, or cancelled.
PyObject* channel_push(PyObject* o, PyObject* item) {
  Channel* ch = self_of(o);
  if (ch->cancelled) Py_RETURN_TRUE;
  const std::uint64_t bytes = message_size(item);
  if (!ch->items.push(reinterpret_cast<std::uintptr_t>(item)) || !ch->items.push(bytes)) {
    return PyErr_NoMemory();
  }
  Py_INCREF(item);
  ch->moved++;
  if (bytes != 0) account(ch, bytes, 0);
  if (ch->reader != nullptr) wake(&ch->reader);
  return PyBool_FromLong(full(ch));
}

// (bytes) -> as push(): an item of so many bytes has gone to a reader in another process.
PyObject* channel_sent(PyObject* o, PyObject* bytes) {
  Channel* ch = self_of(o);
  const unsigned long long n = PyLong_AsUnsignedLongLong(bytes);
  if (n == static_cast<unsigned long long>(-1) && PyErr_Occurred()) return nullptr;
  ch->away++;
  ch->moved++;
  account(ch, n, 0);
  return PyBool_FromLong(full(ch));
}

// (items, bytes): that reader has read so much.
PyObject* channel_read(PyObject* o, PyObject* args) {
  Channel* ch = self_of(o);
  unsigned long long items, bytes;
  if (!PyArg_ParseTuple(args, "KK", &items, &bytes)) return nullptr;
  ch->away -= items < ch->away ? items : ch->away;
  account(ch, 0, bytes < ch->size ? bytes : ch->size);
  ch->moved++;
  grant(ch);
  Py_RETURN_NONE;
}

// -> a future to wait for credit, or None when there is some or the stream was cancelled.
PyObject* channel_credit(PyObject* o, PyObject*) {
  Channel* ch = self_of(o);
  if (ch->cancelled || !full(ch)) Py_RETURN_NONE;
  return wait_on(&ch->room, PyObject_CallMethodNoArgs(ch->core->loop, s_create_future));
}

PyObject* channel_end(PyObject* o, PyObject*) {
  Channel* ch = self_of(o);
  ch->ended = 1;
  wake(&ch->reader);
  Py_RETURN_NONE;
}

PyObject* channel_fail(PyObject* o, PyObject* error) {
  Channel* ch = self_of(o);
  if (ch->ended) Py_RETURN_NONE;
  Py_XSETREF(ch->error, Py_NewRef(error));
  return Py_TYPE(o) == ChannelType ? channel_end(o, nullptr) : PyObject_CallMethodNoArgs(o, s_end);
}

// (error): the consumer leaves; what waits unread is dropped and the producer hears of it.
PyObject* channel_cancel(PyObject* o, PyObject* error) {
  Channel* ch = self_of(o);
  ch->cancelled = 1;
  clear(ch);
  wake(&ch->room);
  return channel_fail(o, error);
}

// (error): fails, and lets no further item in; what was produced can still be read.
PyObject* channel_cut(PyObject* o, PyObject* error) {
  Channel* ch = self_of(o);
  ch->cancelled = 1;
  wake(&ch->room);
  return channel_fail(o, error);
}

// -> all items that are there.
PyObject* channel_take(PyObject* o, PyObject*) {
  Channel* ch = self_of(o);
  PyObject* list = PyList_New(static_cast<Py_ssize_t>(waiting(ch)));
  if (list == nullptr) return nullptr;
  for (Py_ssize_t i = 0; i < PyList_GET_SIZE(list); i++)
    PyList_SET_ITEM(list, i, pop(ch));
  grant(ch);
  return list;
}

PyObject* get_ended(PyObject* o, void*) { return PyBool_FromLong(self_of(o)->ended); }
PyObject* get_cancelled(PyObject* o, void*) { return PyBool_FromLong(self_of(o)->cancelled); }
PyObject* get_moved(PyObject* o, void*) { return PyLong_FromUnsignedLongLong(self_of(o)->moved); }
PyObject* get_size(PyObject* o, void*) { return PyLong_FromUnsignedLongLong(self_of(o)->size); }
PyObject* get_waiting(PyObject* o, void*) {
  return PyLong_FromUnsignedLongLong(waiting(self_of(o)));
}

PyObject* get_window(PyObject* o, void*) { return PyLong_FromUnsignedLongLong(self_of(o)->window); }
PyObject* get_most(PyObject* o, void*) { return PyLong_FromUnsignedLongLong(self_of(o)->most); }
PyObject* get_error(PyObject* o, void*) {
  PyObject* error = self_of(o)->error;
  return Py_NewRef(error != nullptr ? error : Py_None);
}
PyObject* get_room(PyObject* o, void*) {
  PyObject* room = self_of(o)->room;
  return Py_NewRef(room != nullptr ? room : Py_None);
}
int set_room(PyObject* o, PyObject* room, void*) {
  Py_XSETREF(self_of(o)->room, room == Py_None ? nullptr : Py_XNewRef(room));
  return 0;
}

PyMethodDef channel_methods[] = {
    {"push", channel_push, METH_O, nullptr},      {"credit", channel_credit, METH_NOARGS, nullptr},
    {"sent", channel_sent, METH_O, nullptr},      {"was_read", channel_read, METH_VARARGS, nullptr},
    {"end", channel_end, METH_NOARGS, nullptr},   {"fail", channel_fail, METH_O, nullptr},
    {"cancel", channel_cancel, METH_O, nullptr},  {"cut", channel_cut, METH_O, nullptr},
    {"take", channel_take, METH_NOARGS, nullptr}, {nullptr, nullptr, 0, nullptr}};

PyGetSetDef channel_getset[] = {
    {"ended", get_ended, nullptr, "Whether no further item comes.", nullptr},
    {"cancelled", get_cancelled, nullptr, "Whether the producer should stop.", nullptr},
    {"window", get_window, nullptr, "Items the producer may be ahead.", nullptr},
    {"most", get_most, nullptr, "Bytes the producer may be ahead.", nullptr},
    {"error", get_error, nullptr, "What it failed with, or None.", nullptr},
    {"room", get_room, set_room, "The future of a producer that waits for credit.", nullptr},
    {"moved", get_moved, nullptr, "Items in and out, ever.", nullptr},
    {"size", get_size, nullptr, "Bytes produced and not yet read.", nullptr},
    {"waiting", get_waiting, nullptr, "Items produced and not yet read.", nullptr},
    {nullptr, nullptr, nullptr, nullptr, nullptr}};

PyType_Slot channel_slots[] = {
    {Py_tp_doc, const_cast<char*>("The items and credits of one stream.")},
    {Py_tp_new, reinterpret_cast<void*>(channel_new)},
    {Py_tp_dealloc, reinterpret_cast<void*>(channel_dealloc)},
    {Py_tp_methods, channel_methods},
    {Py_tp_getset, channel_getset},
    {0, nullptr}};

PyType_Spec channel_spec = {"actinium._native.Channel", sizeof(Channel), 0,
                            Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE, channel_slots};

// ---- the consumer's next item, as an awaitable

PySendResult next_send(PyObject* o, PyObject*, PyObject** out) {
  auto* next = reinterpret_cast<Next*>(o);
  Channel* ch = next->channel;
  *out = nullptr;
  if (next->awaited != nullptr) {  // it may have been failed or cancelled, by who found a circle
    PyObject* r = PyObject_CallMethodNoArgs(next->awaited, s_result);
    Py_CLEAR(next->awaited);
    if (r == nullptr) return PYGEN_ERROR;
    Py_DECREF(r);
  }
  if (!ch->items.empty()) {
    *out = pop(ch);
    grant(ch);
    return PYGEN_RETURN;
  }
  if (ch->ended) {
    if (ch->error != nullptr) {
      raise_object(ch->error);
    } else {
      PyErr_SetNone(PyExc_StopAsyncIteration);
    }
    return PYGEN_ERROR;
  }
  PyObject* future = wait_on(&ch->reader, PyObject_CallNoArgs(ch->waits));
  if (future == nullptr) return PYGEN_ERROR;
  if (PyObject_SetAttr(future, s_blocking, Py_True) < 0) {
    Py_DECREF(future);
    return PYGEN_ERROR;
  }
  next->awaited = Py_NewRef(future);
  *out = future;
  return PYGEN_NEXT;
}

PyObject* next_iternext(PyObject* o) {
  PyObject* value;
  const PySendResult sent = next_send(o, Py_None, &value);
  if (sent != PYGEN_RETURN) return value;
  // A tuple or exception as value must not be unpacked into StopIteration's arguments.
  PyObject* stop = PyObject_CallOneArg(PyExc_StopIteration, value);
  Py_DECREF(value);
  if (stop != nullptr) {
    PyErr_SetObject(PyExc_StopIteration, stop);
    Py_DECREF(stop);
  }
  return nullptr;
}

PyObject* next_self(PyObject* o) { return Py_NewRef(o); }

void next_dealloc(PyObject* o) {
  PyTypeObject* type = Py_TYPE(o);
  Py_DECREF(reinterpret_cast<PyObject*>(reinterpret_cast<Next*>(o)->channel));
  Py_XDECREF(reinterpret_cast<Next*>(o)->awaited);
  PyObject_Free(o);
  Py_DECREF(type);
}

PyType_Slot next_slots[] = {{Py_tp_doc, const_cast<char*>("The next item of a stream.")},
                            {Py_tp_dealloc, reinterpret_cast<void*>(next_dealloc)},
                            {Py_tp_iter, reinterpret_cast<void*>(next_self)},
                            {Py_tp_iternext, reinterpret_cast<void*>(next_iternext)},
                            {Py_am_await, reinterpret_cast<void*>(next_self)},
                            {Py_am_send, reinterpret_cast<void*>(next_send)},
                            {0, nullptr}};

PyType_Spec next_spec = {"actinium._native.Next", sizeof(Next), 0,
                         Py_TPFLAGS_DEFAULT | Py_TPFLAGS_DISALLOW_INSTANTIATION, next_slots};

// ---- the consumer's end

PyObject* stream_new(PyTypeObject* type, PyObject*, PyObject*) { return type->tp_alloc(type, 0); }

PyObject* stream_bind(PyObject* o, PyObject* channel) {
  if (Py_TYPE(channel) != ChannelType) {
    PyErr_Format(PyExc_TypeError, "expected a Channel, got %R", channel);
    return nullptr;
  }
  auto* s = reinterpret_cast<StreamBase*>(o);
  Py_XSETREF(s->channel, self_of(Py_NewRef(channel)));
  Py_RETURN_NONE;
}

PyObject* stream_anext(PyObject* o) {
  auto* s = reinterpret_cast<StreamBase*>(o);
  if (!s->opened) {
    PyObject* r = PyObject_CallMethodNoArgs(o, s_open);
    if (r == nullptr) return nullptr;
    Py_DECREF(r);
  }
  Next* next = PyObject_New(Next, NextType);
  if (next == nullptr) return nullptr;
  next->awaited = nullptr;
  next->channel = self_of(Py_NewRef(reinterpret_cast<PyObject*>(s->channel)));
  return reinterpret_cast<PyObject*>(next);
}

void stream_dealloc(PyObject* o) {
  PyTypeObject* type = Py_TYPE(o);
  Py_XDECREF(reinterpret_cast<PyObject*>(reinterpret_cast<StreamBase*>(o)->channel));
  type->tp_free(o);
  Py_DECREF(type);
}

PyObject* get_channel(PyObject* o, void*) {
  auto* ch = reinterpret_cast<PyObject*>(reinterpret_cast<StreamBase*>(o)->channel);
  return Py_NewRef(ch != nullptr ? ch : Py_None);
}
PyObject* get_opened(PyObject* o, void*) {
  return PyBool_FromLong(reinterpret_cast<StreamBase*>(o)->opened);
}
int set_opened(PyObject* o, PyObject* value, void*) {
  reinterpret_cast<StreamBase*>(o)->opened = value == Py_True;
  return 0;
}

PyMethodDef stream_methods[] = {{"bind", stream_bind, METH_O, nullptr},
                                {nullptr, nullptr, 0, nullptr}};

PyGetSetDef stream_getset[] = {
    {"channel", get_channel, nullptr, "What it reads from.", nullptr},
    {"opened", get_opened, set_opened, "Whether the producer was asked.", nullptr},
    {nullptr, nullptr, nullptr, nullptr, nullptr}};

PyType_Slot stream_slots[] = {{Py_tp_doc, const_cast<char*>("Native base of actinium.Stream.")},
                              {Py_tp_new, reinterpret_cast<void*>(stream_new)},
                              {Py_tp_dealloc, reinterpret_cast<void*>(stream_dealloc)},
                              {Py_tp_methods, stream_methods},
                              {Py_tp_getset, stream_getset},
                              {Py_am_anext, reinterpret_cast<void*>(stream_anext)},
                              {0, nullptr}};

PyType_Spec stream_spec = {"actinium._native.StreamBase", sizeof(StreamBase), 0,
                           Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE, stream_slots};

}  // namespace

int init_channel(PyObject* module) {
  s_create_future = PyUnicode_InternFromString("create_future");
  s_set_result = PyUnicode_InternFromString("set_result");
  s_done = PyUnicode_InternFromString("done");
  s_result = PyUnicode_InternFromString("result");
  s_end = PyUnicode_InternFromString("end");
  s_open = PyUnicode_InternFromString("_open");
  s_blocking = PyUnicode_InternFromString("_asyncio_future_blocking");
  if (add_type(module, &ChannelType, &channel_spec) < 0) return -1;
  if (add_type(module, &NextType, &next_spec) < 0) return -1;
  return add_type(module, &StreamBaseType, &stream_spec);
}

}  // namespace binding
