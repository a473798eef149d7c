// What port_cuda.h says in PTX, on fibers. A host's words are real memory, which another thread or
// process may write meanwhile.
AC_FN ac_chunk ac_ld16(const ac_chunk* p, int line = __builtin_LINE()) {
  ac_emu_point(line);
  ac_chunk c;
  c.tag = __atomic_load_n(&p->tag, __ATOMIC_ACQUIRE);
  for (int i = 0; i < 3; i++) c.w[i] = __atomic_load_n(&p->w[i], __ATOMIC_RELAXED);
  return c;
}
AC_FN void ac_st16(ac_chunk* p, ac_chunk c, int line = __builtin_LINE()) {
  ac_emu_point(line);
  for (int i = 0; i < 3; i++) __atomic_store_n(&p->w[i], c.w[i], __ATOMIC_RELAXED);
  __atomic_store_n(&p->tag, c.tag, __ATOMIC_RELEASE);
}
#define AC_EMU_WORD(bits)                                                                 \
  AC_FN ac_u##bits ac_ld##bits(const ac_u##bits* p, int line = __builtin_LINE()) {        \
    ac_emu_point(line);                                                                   \
    return __atomic_load_n(p, __ATOMIC_ACQUIRE);                                          \
  }                                                                                       \
  AC_FN void ac_st##bits(ac_u##bits* p, ac_u##bits v, int line = __builtin_LINE()) {      \
    ac_emu_point(line);                                                                   \
    __atomic_store_n(p, v, __ATOMIC_RELEASE);                                             \
  }                                                                                       \
  AC_FN ac_u##bits ac_near_ld(const ac_u##bits* p, int line = __builtin_LINE()) {         \
    ac_emu_point(line);                                                                   \
    return *p;                                                                            \
  }                                                                                       \
  AC_FN void ac_near_st(ac_u##bits* p, ac_u##bits v, int line = __builtin_LINE()) {       \
    ac_emu_point(line);                                                                   \
    *p = v;                                                                               \
  }                                                                                       \
  AC_FN ac_u##bits ac_near_cas(ac_u##bits* p, ac_u##bits expected, ac_u##bits v,          \
                               int line = __builtin_LINE()) {                             \
    return atomicCAS(p, expected, v, line);                                               \
  }
AC_EMU_WORD(32)
AC_EMU_WORD(64)

// An mbarrier, in the 8 bytes that it has on a GPU too: a bulk copy would count in bytes.
struct ac_emu_mb {
  ac_i32 bytes;
  ac_u16 wanted;
  ac_u8 missing, phase;
};
AC_FN void ac_mb_init(ac_u64* b, ac_u32 arrivals) {
  *(ac_emu_mb*)b = {0, (ac_u16)arrivals, (ac_u8)arrivals, 0};
}
AC_FN void ac_emu_mb_turn(ac_u64* b) {
  ac_emu_mb* m = (ac_emu_mb*)b;
  if (m->missing || m->bytes) return;
  m->phase ^= 1;
  m->missing = (ac_u8)m->wanted;
  std::vector<ac_emu_fiber*>& all = ac_emu_on->self->of->at_mbarriers;
  for (size_t i = 0; i < all.size();) {
    ac_emu_fiber* f = all[i];
    if (f->where == b && f->state == AC_EMU_WAITS) ac_emu_make_ready(f);
    if (f->state != AC_EMU_WAITS) {
      all[i] = all.back();
      all.pop_back();
    } else {
      i++;
    }
  }
}
AC_FN void ac_mb_arrive(ac_u64* b, int line = __builtin_LINE()) {
  ac_emu_point(line);
  ((ac_emu_mb*)b)->missing--;
  ac_emu_mb_turn(b);
}
AC_FN bool ac_mb_try(ac_u64* b, ac_u32 parity, int line = __builtin_LINE()) {
  ac_emu_point(line);
  const ac_emu_mb* m = (const ac_emu_mb*)b;
  if (m->phase != parity) return true;
  ac_emu_on->self->of->at_mbarriers.push_back(ac_emu_on->self);
  ac_emu_away(AC_EMU_WAITS, ac_emu_on->real ? 1000000 : 20000, "mbarrier", b, line);
  std::vector<ac_emu_fiber*>& all = ac_emu_on->self->of->at_mbarriers;
  for (size_t i = 0; i < all.size(); i++)
    if (all[i] == ac_emu_on->self) {
      all[i] = all.back();
      all.pop_back();
      break;
    }
  return m->phase != parity;
}
AC_FN void ac_bar(ac_u32 id, ac_u32 threads, int line = __builtin_LINE()) {
  static const char* const names[16] = {"bar 0", "bar 1", "bar 2", "bar 3", "bar 4", "bar 5",
                                        "bar 6", "bar 7", "bar 8", "bar 9", "bar 10", "bar 11",
                                        "bar 12", "bar 13", "bar 14", "bar 15"};
  ac_emu_meet(ac_emu_on->self->of->named[id & 15], threads, names[id & 15], line);
}
AC_FN void ac_fence_system() { __atomic_thread_fence(__ATOMIC_ACQ_REL); }
AC_FN ac_u64 ac_device_ns() { return ac_emu_time(); }
AC_FN ac_u64 ac_ticks() { return ac_emu_time() * 2; }
AC_FN void ac_nap(ac_u32 ns, int line = __builtin_LINE()) {
  ac_emu_away(AC_EMU_NAPS, ac_emu_on->real && ns < 50000 ? 50000 : ns, "naps", 0, line);
}
AC_FN void ac_trap(int line = __builtin_LINE()) {
  ac_emu_on->trapped = true;
  ac_emu_away(AC_EMU_WAITS, 0, "trap", 0, line);
}
AC_FN void ac_work(int change) {
  ac_emu_on->work += (ac_u64)(ac_i64)change;
  ac_emu_on->moved = ac_emu_on->switches;
}
#define AC_SHARED(name) unsigned char* const name = ac_emu_on->self->of->shared
#define AC_ROLLED
#define AC_COLD __attribute__((noinline))
#define AC_IDLE_POLLS (ac_emu_on->real ? 16u : 4096u)  // other threads want this processor too
