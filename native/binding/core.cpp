// One shard: what the event loop pumps.
#include <new>

#include "guard.hpp"
#include "order.hpp"
#include "runtime.hpp"
#include "send.hpp"

namespace binding {

PyTypeObject* CoreType;
PyObject* core_schedule(PyObject* o, PyObject* args);
PyObject* core_instrument(PyObject* o, PyObject* args);
PyObject* core_ready_uids(PyObject* o, PyObject*);
PyObject* core_offer(PyObject* o, PyObject* args);
PyObject* core_join_shards(PyObject* o, PyObject* args);
PyObject* core_post(PyObject* o, PyObject* fn);
PyObject* core_reserve(PyObject* o, PyObject* args);
PyObject* core_settle(PyObject* o, PyObject* args);
PyObject* core_load(PyObject* o, PyObject*);

namespace {

Core* self_of(PyObject* o) { return reinterpret_cast<Core*>(o); }

PyObject* s_name;
PyObject* s_mailbox;
PyObject* s_supervise;
PyObject* s_priority;

struct Hook {
  const char* name;
  PyObject* Core::* slot;
};

constexpr Hook kHooks[] = {
    {"accepted", &Core::accepted},        {"refused", &Core::hook_refused},
    {"unhandled", &Core::hook_unhandled}, {"failed", &Core::hook_failed},
    {"expired", &Core::hook_expired},     {"system", &Core::hook_system},
    {"closed", &Core::hook_closed},       {"room", &Core::hook_room},
    {"orphans", &Core::hook_orphans},     {"is_message", &Core::hook_is_message},
    {"stream", &Core::hook_stream},       {"timeout", &Core::hook_timeout},
    {"cycle", &Core::hook_cycle},         {"idle", &Core::hook_idle},
    {"spawn", &Core::hook_spawn},         {"noticed", &Core::hook_noticed},
    {"spawned", &Core::hook_spawned},     {"ended", &Core::hook_ended},
    {"pressed", &Core::hook_pressed},     {"shifted", &Core::hook_shifted},
    {"memory", &Core::hook_memory},       {"led_away", &Core::hook_led_away},
};

PyObject* core_new(PyTypeObject* type, PyObject* args, PyObject* kwargs) {
  static const char* names[] = {"loop",        "ref_type", "context_type", "slice_ns",     "batch",
                                "ask_timeout", "manual",   "virtual_ns",   "memory_limit", nullptr};
  PyObject *loop, *ref_type, *context_type;
  long long slice = 200'000, virtual_ns = -1;
  unsigned batch = 64;
  double ask_timeout = 5.0;
  int manual = 0;
  unsigned long long memory_limit = 0;
  if (!PyArg_ParseTupleAndKeywords(args, kwargs, "OO!O!|LIdpLK", const_cast<char**>(names), &loop,
                                   &PyType_Type, &ref_type, &PyType_Type, &context_type, &slice,
                                   &batch, &ask_timeout, &manual, &virtual_ns, &memory_limit)) {
    return nullptr;
  }
  auto* refs = reinterpret_cast<PyTypeObject*>(ref_type);
  if (!PyType_IsSubtype(refs, CellType) || PyType_IS_GC(refs)) {
    PyErr_Format(PyExc_TypeError, "%R was not made by new_ref_type()", ref_type);
    return nullptr;
  }
  PyObject* o = type->tp_alloc(type, 0);
  if (o == nullptr) return nullptr;
  Core* c = self_of(o);
  ::new (&c->ready) actinium::Ring();
  c->virtual_ns = virtual_ns;
  c->wheel =
      new (std::nothrow) actinium::TimerWheel(static_cast<std::uint64_t>(core_now(c) / 1'000'000));
  c->inbox = new (std::nothrow) actinium::MpscQueue();
  c->hlc = new (std::nothrow) actinium::HybridClock();
  c->flow = new (std::nothrow) FlowTable{};
  ::new (&c->inbox_armed) std::atomic<std::uint32_t>(0);
  ::new (&c->inbox_size) std::atomic<std::int64_t>(0);
  c->thread = this_thread();
  c->slice_ns = slice;
  c->batch = batch;
  c->ask_timeout_ns = static_cast<std::int64_t>(ask_timeout * 1e9);
  c->manual = manual != 0;
  c->next_uid = 1;
#ifdef Py_GIL_DISABLED
  ::new (&c->gate) std::mutex();
  c->uid_step = 1;
#endif
  c->flow->limit = memory_limit;
  c->loop = Py_NewRef(loop);
  c->ref_type = reinterpret_cast<PyTypeObject*>(Py_NewRef(ref_type));
  c->context_type = reinterpret_cast<PyTypeObject*>(Py_NewRef(context_type));
  c->call_soon = PyObject_GetAttrString(loop, "call_soon");
  c->call_soon_threadsafe = PyObject_GetAttrString(loop, "call_soon_threadsafe");
  c->call_later = PyObject_GetAttrString(loop, "call_later");
  c->pump = PyObject_GetAttrString(o, "pump");
  c->on_timer = PyObject_GetAttrString(o, "on_timer");
#ifdef Py_GIL_DISABLED
  c->on_inbox = PyObject_GetAttrString(o, "on_inbox");
  if (!c->on_inbox) {
    Py_DECREF(o);
    return nullptr;
  }
#endif
  c->context = PyContext_CopyCurrent();
  c->scratch = c->context != nullptr ? PyContext_Copy(c->context) : nullptr;
  if (!c->wheel || !c->inbox || !c->hlc || !c->flow || !c->call_soon || !c->call_soon_threadsafe ||
      !c->call_later || !c->pump || !c->on_timer || !c->context || !c->scratch) {
    Py_DECREF(o);
    return nullptr;
  }
  return o;
}

PyObject* core_set_hooks(PyObject* o, PyObject* hooks) {
  Core* c = self_of(o);
  for (const Hook& h : kHooks) {
    PyObject* fn = PyObject_GetAttrString(hooks, h.name);
    if (fn == nullptr) return nullptr;
    set_hook(c, h.slot, fn);
  }
  PyObject* join = PyObject_GetAttrString(hooks, "join_type");
  if (join == nullptr) return nullptr;
  Py_XSETREF(c->join_type, reinterpret_cast<PyTypeObject*>(join));
  Py_RETURN_NONE;
}

// (class) -> the first cell, parent of nothing's child; its instance is made without arguments.
PyObject* core_spawn_root(PyObject* o, PyObject* cls) {
  Core* c = self_of(o);
  PyObject* b = PyObject_GetAttrString(cls, "_behaviour");
  if (b == nullptr) return nullptr;
  Cell* root = cell_new(c, reinterpret_cast<Behaviour*>(b), nullptr);
  Py_DECREF(b);
  if (root == nullptr) return nullptr;
  c->n_cells++;
  PyObject* empty = PyTuple_New(0);
  root->args = empty;
  PyTypeObject* type = root->behaviour->cls;
  root->obj = type->tp_new(type, empty, nullptr);
  if (root->obj == nullptr) {
    Py_DECREF(root);
    return nullptr;
  }
  reinterpret_cast<ActorBase*>(root->obj)->cell = root;
  return reinterpret_cast<PyObject*>(root);
}

// (ref type, class) -> a cell that is no actor of this core: it has no mailbox, so that every
// message for it goes to the hook `refused`, which sends it on.
PyObject* core_foreign(PyObject* o, PyObject* args) {
  PyObject *type, *cls;
  if (!PyArg_ParseTuple(args, "O!O!", &PyType_Type, &type, &PyType_Type, &cls)) return nullptr;
  if (!PyType_IsSubtype(reinterpret_cast<PyTypeObject*>(type), CellType)) {
    PyErr_Format(PyExc_TypeError, "expected a ref type, got %R", type);
    return nullptr;
  }
  PyObject* b = PyObject_GetAttrString(cls, "_behaviour");
  if (b == nullptr) return nullptr;
  Cell* cell = cell_new(self_of(o), reinterpret_cast<Behaviour*>(b), nullptr,
                        reinterpret_cast<PyTypeObject*>(type));
  Py_DECREF(b);
  if (cell != nullptr) {
    cell->state |= kElsewhere;
    cell->straight = 0;
  }
  return reinterpret_cast<PyObject*>(cell);
}

PyObject* core_set_user(PyObject* o, PyObject* cell) {
  Core* c = self_of(o);
  if (!PyObject_TypeCheck(cell, CellType)) {
    PyErr_Format(PyExc_TypeError, "expected a cell, got %R", cell);
    return nullptr;
  }
  Py_XSETREF(c->user, reinterpret_cast<Cell*>(Py_NewRef(cell)));
  Py_RETURN_NONE;
}

PyObject* core_spawn(PyObject* o, PyObject* const* args, Py_ssize_t nargs, PyObject* names) {
  Core* c = self_of(o);
  return spawn_from_call(c, c->user, args, nargs, names);
}

// (parent, class, args, kwargs) -> cell: the plain spawn, for the hook to call.
PyObject* core_spawn_plain(PyObject* o, PyObject* args) {
  PyObject *parent, *cls, *cargs, *ckwargs;
  if (!PyArg_ParseTuple(args, "O!OO!O", CellType, &parent, &cls, &PyTuple_Type, &cargs, &ckwargs)) {
    return nullptr;
  }
  return spawn_cell(self_of(o), reinterpret_cast<Cell*>(parent), cls, cargs,
                    ckwargs == Py_None ? nullptr : ckwargs);
}

PyObject* core_pump(PyObject* o, PyObject*) {
  Core* c = self_of(o);
  if (c->closed || c->pumping) Py_RETURN_NONE;
  run_slice(c, c->slice_ns, INT64_MAX);
  if (ready_count(c) != 0 || c->inbox_armed.load(std::memory_order_relaxed) != 0) {
    if (core_arm(c) < 0) return nullptr;
  } else {
    c->armed = 0;
  }
  Py_RETURN_NONE;
}

PyObject* core_on_timer(PyObject* o, PyObject*) {
  Core* c = self_of(o);
  Py_CLEAR(c->timer_handle);
  c->timer_due = 0;
  if (c->armed) Py_RETURN_NONE;  // a slice is due anyway and looks at the timers first
  c->armed = 1;
  return core_pump(o, nullptr);
}

#ifdef Py_GIL_DISABLED
// Something was put into the inbox of a shard that may be asleep.
PyObject* core_on_inbox(PyObject* o, PyObject*) {
  Core* c = self_of(o);
  if (c->armed || c->closed) Py_RETURN_NONE;  // a slice is due anyway and reads the inbox
  c->armed = 1;
  return core_pump(o, nullptr);
}
#endif

// step(n) -> messages left ready: for tests that hold the schedule in their hands.
PyObject* core_step(PyObject* o, PyObject* arg) {
  Core* c = self_of(o);
  const long long n = PyLong_AsLongLong(arg);
  if (n == -1 && PyErr_Occurred()) return nullptr;
  if (c->pumping) {
    PyErr_SetString(UsageError, "step() was called from within a handler");
    return nullptr;
  }
  PyObject* tasks = PyImport_ImportModule("asyncio.tasks");
  if (tasks == nullptr) return nullptr;
  PyObject* task = PyObject_CallMethod(tasks, "current_task", "O", c->loop);
  if (task == nullptr) PyErr_Clear();
  const bool inside = task != nullptr && task != Py_None;
  if (inside) {
    PyObject* r = PyObject_CallMethod(tasks, "_leave_task", "OO", c->loop, task);
    Py_XDECREF(r);
    if (r == nullptr) report_unraisable(task);
  }
  run_slice(c, 0, n);
  if (inside) {
    PyObject* r = PyObject_CallMethod(tasks, "_enter_task", "OO", c->loop, task);
    Py_XDECREF(r);
    if (r == nullptr) report_unraisable(task);
  }
  Py_XDECREF(task);
  Py_DECREF(tasks);
  c->armed = ready_count(c) == 0 ? 0 : 1;
  return PyLong_FromSize_t(ready_count(c));
}

PyObject* core_now_method(PyObject* o, PyObject*) {
  return PyFloat_FromDouble(double(core_now(self_of(o))) / 1e9);
}

PyObject* core_set_time(PyObject* o, PyObject* seconds) {
  Core* c = self_of(o);
  const double s = PyFloat_AsDouble(seconds);
  if (s == -1.0 && PyErr_Occurred()) return nullptr;
  if (c->virtual_ns < 0) {
    PyErr_SetString(UsageError, "this core runs on the real clock");
    return nullptr;
  }
  const auto ns = static_cast<std::int64_t>(s * 1e9 + 0.5);
  if (ns > c->virtual_ns) c->virtual_ns = ns;
  Py_RETURN_NONE;
}

PyObject* core_next_timer(PyObject* o, PyObject*) {
  Core* c = self_of(o);
  const auto next = next_due(c);
  if (!next) Py_RETURN_NONE;
  return PyFloat_FromDouble(double(*next) / 1e3);
}

PyObject* core_want_idle(PyObject* o, PyObject* on) {
  Core* c = self_of(o);
  c->want_idle = on == Py_True;
  if (c->want_idle && !c->armed && core_arm(c) < 0) return nullptr;
  Py_RETURN_NONE;
}

PyObject* core_observe(PyObject* o, PyObject* on) {
  self_of(o)->observed = on == Py_True;
  Py_RETURN_NONE;
}

// (bytes): adds to, or with a negative number takes from, what others than mailboxes hold.
PyObject* core_account(PyObject* o, PyObject* bytes) {
  Core* c = self_of(o);
  const long long n = PyLong_AsLongLong(bytes);
  if (n == -1 && PyErr_Occurred()) return nullptr;
  FlowTable* flow = c->flow;
  const auto before = static_cast<long long>(flow->others);
  flow->others = static_cast<std::uint64_t>(before + n > 0 ? before + n : 0);
  if (n < 0) flow->gone += static_cast<std::uint64_t>(-n);
  memory_changed(c);
  Py_RETURN_NONE;
}

// -> (limit, bytes in mailboxes, bytes of others, level)
PyObject* core_memory(PyObject* o, PyObject*) {
  const FlowTable* flow = self_of(o)->flow;
  return Py_BuildValue("(KKKi)", static_cast<unsigned long long>(flow->limit),
                       static_cast<unsigned long long>(flow->payload),
                       static_cast<unsigned long long>(flow->others), flow->level);
}

// (actor, type of its message, whether there is work, progress): what the shard does now, for a
// look from another thread. Two looks that show the same progress show the same handler.
PyObject* core_snapshot(PyObject* o, PyObject*) {
  Core* c = self_of(o);
  Cell* cell = c->current;
  const Item* it = cell != nullptr ? current_item(c, cell) : nullptr;
  PyObject* msg = it != nullptr ? it->msg : nullptr;
  return Py_BuildValue(
      "(OzO(KKI))", cell != nullptr ? reinterpret_cast<PyObject*>(cell) : Py_None,
      msg != nullptr ? Py_TYPE(msg)->tp_name : nullptr, c->armed || c->pumping ? Py_True : Py_False,
      static_cast<unsigned long long>(c->n_slices), static_cast<unsigned long long>(c->n_handled),
      cell != nullptr ? static_cast<unsigned>(cell->taken) : 0U);
}

PyObject* core_set_closing(PyObject* o, PyObject*) {
  self_of(o)->closing |= kClosing;
  take_no_more(self_of(o));
  Py_RETURN_NONE;
}

std::uint64_t wall_ms() {
  timespec t;
  clock_gettime(CLOCK_REALTIME, &t);
  return static_cast<std::uint64_t>(t.tv_sec) * 1000 +
         static_cast<std::uint64_t>(t.tv_nsec / 1'000'000);
}

PyObject* core_tick(PyObject* o, PyObject*) {
  Core* c = self_of(o);
  const std::uint64_t ms =
      c->virtual_ns >= 0 ? static_cast<std::uint64_t>(c->virtual_ns / 1'000'000) : wall_ms();
  return PyLong_FromUnsignedLongLong(c->hlc->tick(ms));
}

std::size_t count_timers(const Core* c) {
  std::size_t n = c->wheel->size();
  if (!kOneThreadAtATime && this_thread() != c->thread) return n;  // the list is the shard's own
  for (const Reply* r = c->first_due; r != nullptr; r = r->later)
    n++;
  return n;
}

// (n): so many messages that handlers had passed on came back unhandled.
PyObject* core_returned(PyObject* o, PyObject* count) {
  const auto n = PyLong_AsUnsignedLongLong(count);
  if (n == static_cast<unsigned long long>(-1) && PyErr_Occurred() != nullptr) return nullptr;
  self_of(o)->n_handled -= n;
  Py_RETURN_NONE;
}

// (n): so many messages went to their handlers beside the mailbox.
PyObject* core_passed(PyObject* o, PyObject* count) {
  const auto n = PyLong_AsUnsignedLongLong(count);
  if (n == static_cast<unsigned long long>(-1) && PyErr_Occurred() != nullptr) return nullptr;
  self_of(o)->n_accepted += n;
  self_of(o)->n_handled += n;
  Py_RETURN_NONE;
}

// (on): while it is on, something is under way that no handler waits for.
PyObject* core_hold(PyObject* o, PyObject* on) {
  Core* c = self_of(o);
  if (on == Py_True) {
    c->n_running++;
  } else {
    c->n_running--;
    if (c->want_idle && !c->armed && core_arm(c) < 0) return nullptr;
  }
  Py_RETURN_NONE;
}

PyObject* core_statistics(PyObject* o, PyObject*) {
  Core* c = self_of(o);
  const actinium::SlabStats slab = actinium::slab_stats();
  return Py_BuildValue(
      "{s:K,s:K,s:K,s:K,s:K,s:L,s:L,s:n,s:n,s:K,s:K,s:K}", "accepted", c->n_accepted, "handled",
      c->n_handled, "withdrawn", c->n_withdrawn, "late_replies", c->n_late, "slices", c->n_slices,
      "actors", static_cast<long long>(c->n_cells), "running", static_cast<long long>(c->n_running),
      "ready", static_cast<Py_ssize_t>(ready_count(c)), "timers",
      static_cast<Py_ssize_t>(count_timers(c)), "slab_segments",
      static_cast<unsigned long long>(slab.segments), "slab_blocks",
      static_cast<unsigned long long>(slab.live_blocks), "slab_bytes",
      static_cast<unsigned long long>(slab.live_bytes));
}

// No slice runs after this; what is still ready or scheduled is let go.
// close(hooks): `hooks` take what still comes to refs of this core.
PyObject* core_close(PyObject* o, PyObject* hooks) {
  Core* c = self_of(o);
  PyObject* set = core_set_hooks(o, hooks);
  if (set == nullptr) return nullptr;
  Py_DECREF(set);
  c->closing = kClosing;
  take_no_more(c);
  close_inbox(c);
  leave_shards(c);
  while (!c->ready.empty()) {
    const std::uintptr_t entry = c->ready.pop();
    Py_DECREF(reinterpret_cast<PyObject*>(entry & ~std::uintptr_t(1)));
  }
  drop_order(c);
  for (Reply* r = c->first_due; r != nullptr;) {
    Reply* const later = r->later;
    reply_forget_time(r);
    r = later;
  }
  c->first_due = c->last_due = nullptr;
  c->wheel->drain([](void* payload) {
    const auto tagged = reinterpret_cast<std::uintptr_t>(payload);
    if ((tagged & 1) != 0) {
      reply_forget_time(reinterpret_cast<Reply*>(tagged & ~std::uintptr_t(1)));
    } else {
      reinterpret_cast<Timer*>(payload)->armed = 0;
      Py_DECREF(reinterpret_cast<PyObject*>(payload));
    }
  });
  if (c->timer_handle != nullptr) {
    PyObject* r = PyObject_CallMethod(c->timer_handle, "cancel", nullptr);
    if (r == nullptr) report_unraisable(c->timer_handle);
    Py_XDECREF(r);
    Py_CLEAR(c->timer_handle);
  }
  core_cancel_trim(c);
  Py_CLEAR(c->pump);  // bound methods of this very object
  Py_CLEAR(c->on_timer);
#ifdef Py_GIL_DISABLED
  Py_CLEAR(c->on_inbox);
#endif
  Py_CLEAR(c->user);
  Py_CLEAR(c->choose);  // a test's closures may hold this object
  Py_CLEAR(c->tap);
  Py_CLEAR(c->behaviour_of);
  if (!c->pumping) drop_spare(c);  // else it may be in use: the slice drops it at its end
  Py_RETURN_NONE;
}

void core_dealloc(PyObject* o) {
  PyTypeObject* type = Py_TYPE(o);
  Core* c = self_of(o);
  for (const Hook& h : kHooks)
    Py_XDECREF(c->*h.slot);
  for (PyTypeObject* t : c->known_types)
    Py_XDECREF(t);
  Py_XDECREF(c->loop);
  Py_XDECREF(c->call_soon);
  Py_XDECREF(c->call_soon_threadsafe);
  Py_XDECREF(c->call_later);
  Py_XDECREF(c->pump);
  Py_XDECREF(c->on_timer);
#ifdef Py_GIL_DISABLED
  Py_XDECREF(c->on_inbox);
  forget_shards(c);
  c->gate.~mutex();
#endif
  Py_XDECREF(c->context);
  Py_XDECREF(c->scratch);
  Py_XDECREF(c->timer_handle);
  Py_XDECREF(c->trim_handle);
  Py_XDECREF(c->ref_type);
  Py_XDECREF(c->context_type);
  Py_XDECREF(reinterpret_cast<PyObject*>(c->join_type));
  Py_XDECREF(c->user);
  Py_XDECREF(c->spare);
  Py_XDECREF(c->choose);
  Py_XDECREF(c->tap);
  Py_XDECREF(c->behaviour_of);
  delete c->wheel;
  delete c->inbox;
  delete c->hlc;
  delete c->flow;
  delete c->order;
  c->ready.~RingOf();
  type->tp_free(o);
  Py_DECREF(type);
}

PyObject* core_get_closed(PyObject* o, void*) { return PyBool_FromLong(self_of(o)->closed); }
PyObject* core_get_loop(PyObject* o, void*) { return Py_NewRef(self_of(o)->loop); }

PyMethodDef methods[] = {{"set_hooks", core_set_hooks, METH_O, nullptr},
                         {"spawn_root", core_spawn_root, METH_O, nullptr},
                         {"foreign", core_foreign, METH_VARARGS, nullptr},
                         {"set_user", core_set_user, METH_O, nullptr},
                         {"spawn", method(core_spawn), METH_FASTCALL | METH_KEYWORDS, nullptr},
                         {"spawn_plain", core_spawn_plain, METH_VARARGS, nullptr},
                         {"pump", core_pump, METH_NOARGS, nullptr},
                         {"on_timer", core_on_timer, METH_NOARGS, nullptr},
#ifdef Py_GIL_DISABLED
                         {"on_inbox", core_on_inbox, METH_NOARGS, nullptr},
                         {"join_shards", core_join_shards, METH_VARARGS, nullptr},
                         {"post", core_post, METH_O, nullptr},
                         {"reserve", core_reserve, METH_VARARGS, nullptr},
                         {"settle", core_settle, METH_VARARGS, nullptr},
                         {"load", core_load, METH_NOARGS, nullptr},
#endif
                         {"on_trim", core_on_trim, METH_NOARGS, nullptr},
                         {"step", core_step, METH_O, nullptr},
                         {"schedule", core_schedule, METH_VARARGS, nullptr},
                         {"now", core_now_method, METH_NOARGS, nullptr},
                         {"set_time", core_set_time, METH_O, nullptr},
                         {"next_timer", core_next_timer, METH_NOARGS, nullptr},
                         {"want_idle", core_want_idle, METH_O, nullptr},
                         {"tick", core_tick, METH_NOARGS, nullptr},
                         {"statistics", core_statistics, METH_NOARGS, nullptr},
                         {"account", core_account, METH_O, nullptr},
                         {"memory", core_memory, METH_NOARGS, nullptr},
                         {"snapshot", core_snapshot, METH_NOARGS, nullptr},
                         {"set_closing", core_set_closing, METH_NOARGS, nullptr},
                         {"observe", core_observe, METH_O, nullptr},
                         {"close", core_close, METH_O, nullptr},
                         {"instrument", core_instrument, METH_VARARGS, nullptr},
                         {"ready_uids", core_ready_uids, METH_NOARGS, nullptr},
                         {"returned", core_returned, METH_O, nullptr},
                         {"passed", core_passed, METH_O, nullptr},
                         {"hold", core_hold, METH_O, nullptr},
                         {"offer", core_offer, METH_VARARGS, nullptr},
                         {nullptr, nullptr, 0, nullptr}};

PyGetSetDef getset[] = {{"closed", core_get_closed, nullptr, nullptr, nullptr},
                        {"loop", core_get_loop, nullptr, nullptr, nullptr},
                        {nullptr, nullptr, nullptr, nullptr, nullptr}};

PyType_Slot slots[] = {
    {Py_tp_doc, const_cast<char*>("One shard: ready queue, timers and inbox of its actors.")},
    {Py_tp_new, reinterpret_cast<void*>(core_new)},
    {Py_tp_dealloc, reinterpret_cast<void*>(core_dealloc)},
    {Py_tp_methods, methods},
    {Py_tp_getset, getset},
    {0, nullptr}};

PyType_Spec spec = {"actinium._native.Core", sizeof(Core), 0, Py_TPFLAGS_DEFAULT, slots};

bool is_option(PyObject* name) {
  return PyUnicode_Compare(name, s_name) == 0 || PyUnicode_Compare(name, s_mailbox) == 0 ||
         PyUnicode_Compare(name, s_supervise) == 0 || PyUnicode_Compare(name, s_priority) == 0;
}

}  // namespace

// spawn(cls, *args, **kwargs): straight to the cell unless an option for the runtime is among
// the keywords.
PyObject* spawn_from_call(Core* c, Cell* parent, PyObject* const* args, Py_ssize_t nargs,
                          PyObject* names) {
  if (not_from_here(c, "spawn()")) return nullptr;
  if (nargs < 1 || !PyType_Check(args[0])) {
    PyErr_SetString(PyExc_TypeError, "spawn() takes an actor class and then its arguments");
    return nullptr;
  }
  if (parent == nullptr) {
    PyErr_SetString(UsageError, "the system has stopped");
    return nullptr;
  }
  PyObject* cargs = PyTuple_New(nargs - 1);
  if (cargs == nullptr) return nullptr;
  for (Py_ssize_t i = 1; i < nargs; i++)
    PyTuple_SET_ITEM(cargs, i - 1, Py_NewRef(args[i]));
  PyObject* kwargs = nullptr;
  bool options = false;
  const Py_ssize_t named = names != nullptr ? PyTuple_GET_SIZE(names) : 0;
  if (named > 0) {
    kwargs = PyDict_New();
    for (Py_ssize_t i = 0; kwargs != nullptr && i < named; i++) {
      PyObject* name = PyTuple_GET_ITEM(names, i);
      options = options || is_option(name);
      if (PyDict_SetItem(kwargs, name, args[nargs + i]) < 0) Py_CLEAR(kwargs);
    }
    if (kwargs == nullptr) {
      Py_DECREF(cargs);
      return nullptr;
    }
  }
  PyObject* r = nullptr;
  if (!options) {
    r = spawn_cell(c, parent, args[0], cargs, kwargs);
  }
  if (options || r == nullptr) {
    // The Python side applies the options, or explains the failure (set as current exception).
    PyObject* exc = options ? Py_NewRef(Py_None) : take_exception();
    PyObject* call[6] = {nullptr, reinterpret_cast<PyObject*>(parent),  args[0],
                         cargs,   kwargs != nullptr ? kwargs : Py_None, exc};
    r = PyObject_Vectorcall(c->hook_spawn, call + 1, 5 | PY_VECTORCALL_ARGUMENTS_OFFSET, nullptr);
    Py_DECREF(exc);
  }
  Py_DECREF(cargs);
  Py_XDECREF(kwargs);
  return r;
}

int init_core(PyObject* module) {
  s_name = PyUnicode_InternFromString("name");
  s_mailbox = PyUnicode_InternFromString("mailbox");
  s_supervise = PyUnicode_InternFromString("supervise");
  s_priority = PyUnicode_InternFromString("priority");
  return add_type(module, &CoreType, &spec);
}

}  // namespace binding
