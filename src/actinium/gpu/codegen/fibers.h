// A GPU of fibers: CUDA's own words for a kernel that runs on one thread of this processor. Comes
// before the kernel's text, which is not changed. Each thread of each block is a fiber; it gives
// way where threads of a GPU can be overtaken: at barriers, shuffles, loads and stores of shared
// words, naps. Who goes on next follows from a seed, so a run can be repeated.
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>
#if !defined(__x86_64__)
#include <ucontext.h>
#endif

#include <string>
#include <vector>

typedef unsigned int ac_emu_u32;
typedef unsigned long long ac_emu_u64;

struct ac_emu_dim {
  ac_emu_u32 x, y, z;
};
enum ac_emu_state { AC_EMU_READY, AC_EMU_WAITS, AC_EMU_NAPS, AC_EMU_DONE };

struct ac_emu_block;
struct ac_emu_fiber {
#if defined(__x86_64__)
  void* sp;
#else
  ucontext_t context;
#endif
  void* stack;
  ac_emu_dim thread, block;
  ac_emu_block* of;
  ac_emu_state state;
  ac_emu_u64 until;  // of a nap, or of a wait that ends by itself; 0: it does not
  const char* what;  // for whom reads a dump
  const void* where;
  int line;
  ac_emu_u32 phase;  // of its warp's exchanges
};
struct ac_emu_barrier {
  ac_emu_u32 arrived, wanted;
  std::vector<ac_emu_fiber*> waiting;
};
struct ac_emu_warp {
  ac_emu_barrier barrier;
  ac_emu_u64 values[2][32];
};
struct ac_emu_block {
  unsigned char* shared;
  std::vector<ac_emu_warp> warps;
  ac_emu_barrier named[16];
  std::vector<ac_emu_fiber*> at_mbarriers;
};
struct ac_emu {
  unsigned char *region, *states;
  ac_emu_dim threads, blocks;
  std::vector<ac_emu_block> all_blocks;
  std::vector<ac_emu_fiber> fibers;
  std::vector<ac_emu_fiber*> ready, resting;
  ac_emu_fiber scheduler;
  ac_emu_fiber* self;
  ac_emu_u64 seed, random, now, first, switches, work, moved, watchdog;  // first: when a nap ends
  bool real, trapped;
  ac_emu_u32 live;
  std::string words;
};
static thread_local ac_emu* ac_emu_on;

#if defined(__x86_64__)
extern "C" void ac_emu_switch(ac_emu_fiber* from, ac_emu_fiber* to);
asm(R"(
.text
.globl ac_emu_switch
.hidden ac_emu_switch
.type ac_emu_switch,@function
ac_emu_switch:
  pushq %rbx
  pushq %rbp
  pushq %r12
  pushq %r13
  pushq %r14
  pushq %r15
  movq %rsp,(%rdi)
  movq (%rsi),%rsp
  popq %r15
  popq %r14
  popq %r13
  popq %r12
  popq %rbp
  popq %rbx
  ret
.size ac_emu_switch,.-ac_emu_switch
)");
#else
static void ac_emu_switch(ac_emu_fiber* from, ac_emu_fiber* to) {
  swapcontext(&from->context, &to->context);
}
#endif

static ac_emu_u64 ac_emu_clock() {
  timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (ac_emu_u64)t.tv_sec * 1000000000ull + (ac_emu_u64)t.tv_nsec;
}
static ac_emu_u64 ac_emu_draw(ac_emu* e) {
  e->random ^= e->random << 13;
  e->random ^= e->random >> 7;
  return e->random ^= e->random << 17;
}
static ac_emu_u64 ac_emu_time() { return ac_emu_on->real ? ac_emu_clock() : ac_emu_on->now; }

static void ac_emu_make_ready(ac_emu_fiber* f) {
  f->state = AC_EMU_READY;
  f->until = 0;
  ac_emu_on->ready.push_back(f);
}
// Those whose nap is over; time stands still for nobody who could go on.
static void ac_emu_wake(ac_emu* e) {
  if (e->now < e->first && !e->ready.empty()) return;
  e->first = ~0ull;
  std::vector<ac_emu_fiber*>& all = e->resting;
  for (size_t i = 0; i < all.size();) {
    ac_emu_fiber* f = all[i];
    const bool over = f->state == AC_EMU_READY || f->state == AC_EMU_DONE || f->until == 0;
    if (over || f->until <= e->now) {
      all[i] = all.back();
      all.pop_back();
      if (!over) ac_emu_make_ready(f);
    } else {
      if (f->until < e->first) e->first = f->until;
      i++;
    }
  }
}
// Gives the processor to whoever is next; returns when this fiber is.
static void ac_emu_away(ac_emu_state state, ac_emu_u64 ns, const char* what, const void* where, int line) {
  ac_emu* e = ac_emu_on;
  ac_emu_fiber* me = e->self;
  me->state = state;
  me->what = what;
  me->where = where;
  me->line = line;
  me->until = ns ? e->now + ns : 0;
  if (state == AC_EMU_READY) e->ready.push_back(me);
  else if (ns) e->resting.push_back(me);
  if (me->until && me->until < e->first) e->first = me->until;
  ac_emu_switch(me, &e->scheduler);
}
// Where another thread may overtake this one; under a seed it sometimes does.
static void ac_emu_point(int line) {
  if (ac_emu_on->seed && ac_emu_draw(ac_emu_on) % 4 == 0) ac_emu_away(AC_EMU_READY, 0, "runs", 0, line);
}
static void ac_emu_meet(ac_emu_barrier& b, ac_emu_u32 wanted, const char* what, int line) {
  b.wanted = wanted;
  if (++b.arrived < wanted) {
    b.waiting.push_back(ac_emu_on->self);
    ac_emu_away(AC_EMU_WAITS, 0, what, &b, line);
    return;
  }
  b.arrived = 0;
  std::vector<ac_emu_fiber*> woken;
  woken.swap(b.waiting);
  for (ac_emu_fiber* f : woken) ac_emu_make_ready(f);
  ac_emu_point(line);
}

// CUDA's words
#define __CUDACC__ 1
#define __device__
#define __global__
#define __shared__ static
#define __forceinline__ inline
#define __noinline__ __attribute__((noinline))
#define __launch_bounds__(...)
#define threadIdx (ac_emu_on->self->thread)
#define blockIdx (ac_emu_on->self->block)
#define blockDim (ac_emu_on->threads)
#define gridDim (ac_emu_on->blocks)

static inline void __syncthreads(int line = __builtin_LINE()) {
  ac_emu_meet(ac_emu_on->self->of->named[0], ac_emu_on->threads.x, "__syncthreads", line);
}
static inline ac_emu_warp& ac_emu_my_warp() {
  return ac_emu_on->self->of->warps[ac_emu_on->self->thread.x >> 5];
}
static inline void __syncwarp(int line = __builtin_LINE()) {
  ac_emu_meet(ac_emu_my_warp().barrier, 32, "__syncwarp", line);
}
template <class T> static inline ac_emu_u64* ac_emu_exchange(T value, const char* what, int line) {
  ac_emu_warp& w = ac_emu_my_warp();
  ac_emu_u64* room = w.values[ac_emu_on->self->phase++ & 1];
  ac_emu_u64 bits = 0;
  memcpy(&bits, &value, sizeof value);
  room[ac_emu_on->self->thread.x & 31] = bits;
  ac_emu_meet(w.barrier, 32, what, line);
  return room;
}
template <class T> static inline T ac_emu_value(ac_emu_u64 bits) {
  T value;
  memcpy(&value, &bits, sizeof value);
  return value;
}
template <class T> static inline T __shfl_sync(ac_emu_u32, T v, int from, int line = __builtin_LINE()) {
  return ac_emu_value<T>(ac_emu_exchange(v, "__shfl_sync", line)[from & 31]);
}
template <class T> static inline T __shfl_xor_sync(ac_emu_u32, T v, int with, int line = __builtin_LINE()) {
  const ac_emu_u32 from = (ac_emu_on->self->thread.x & 31) ^ (ac_emu_u32)with;
  return ac_emu_value<T>(ac_emu_exchange(v, "__shfl_xor_sync", line)[from & 31]);
}
template <class T> static inline T __shfl_up_sync(ac_emu_u32, T v, unsigned by, int line = __builtin_LINE()) {
  const ac_emu_u32 me = ac_emu_on->self->thread.x & 31;
  return ac_emu_value<T>(ac_emu_exchange(v, "__shfl_up_sync", line)[me >= by ? me - by : me]);
}
template <class T> static inline T __shfl_down_sync(ac_emu_u32, T v, unsigned by, int line = __builtin_LINE()) {
  const ac_emu_u32 me = ac_emu_on->self->thread.x & 31;
  return ac_emu_value<T>(ac_emu_exchange(v, "__shfl_down_sync", line)[me + by < 32 ? me + by : me]);
}
static inline ac_emu_u32 __ballot_sync(ac_emu_u32, bool p, int line = __builtin_LINE()) {
  const ac_emu_u64* all = ac_emu_exchange<ac_emu_u32>(p, "__ballot_sync", line);
  ac_emu_u32 mask = 0;
  for (int i = 0; i < 32; i++) mask |= (ac_emu_u32)(all[i] & 1) << i;
  return mask;
}
static inline int __any_sync(ac_emu_u32 m, bool p, int line = __builtin_LINE()) {
  return __ballot_sync(m, p, line) != 0;
}
static inline int __all_sync(ac_emu_u32 m, bool p, int line = __builtin_LINE()) {
  return __ballot_sync(m, p, line) == 0xffffffffu;
}
template <class T, class F> static inline T ac_emu_update(T* p, F next, int line) {
  ac_emu_point(line);
  const T old = *p;
  *p = next(old);
  return old;
}
#define AC_EMU_ATOMIC(name, expression)                                                     \
  template <class T> static inline T name(T* p, T v, int line = __builtin_LINE()) {         \
    return ac_emu_update(p, [v](T old) { (void)old; return (T)(expression); }, line);       \
  }
AC_EMU_ATOMIC(atomicExch, v)
AC_EMU_ATOMIC(atomicMin, v < old ? v : old)
AC_EMU_ATOMIC(atomicMax, old < v ? v : old)
AC_EMU_ATOMIC(atomicAnd, old & v)
AC_EMU_ATOMIC(atomicOr, old | v)
AC_EMU_ATOMIC(atomicXor, old ^ v)
AC_EMU_ATOMIC(atomicInc, old >= v ? 0 : old + 1)
AC_EMU_ATOMIC(atomicDec, old == 0 || old > v ? v : old - 1)
static inline int atomicAdd(int* p, int v, int line = __builtin_LINE()) {
  return ac_emu_update(p, [v](int old) { return (int)((unsigned)old + (unsigned)v); }, line);
}
template <class T> static inline T atomicAdd(T* p, T v, int line = __builtin_LINE()) {
  return ac_emu_update(p, [v](T old) { return (T)(old + v); }, line);
}
template <class T> static inline T atomicCAS(T* p, T expected, T v, int line = __builtin_LINE()) {
  return ac_emu_update(p, [expected, v](T old) { return old == expected ? v : old; }, line);
}
template <class To, class From> static inline To ac_emu_bits(From x) {
  To to;
  memcpy(&to, &x, sizeof to);
  return to;
}
static inline unsigned __float_as_uint(float x) { return ac_emu_bits<unsigned>(x); }
static inline float __uint_as_float(unsigned x) { return ac_emu_bits<float>(x); }
static inline long long __double_as_longlong(double x) { return ac_emu_bits<long long>(x); }
static inline double __longlong_as_double(long long x) { return ac_emu_bits<double>(x); }
static inline int __popc(unsigned x) { return __builtin_popcount(x); }
static inline int __popcll(unsigned long long x) { return __builtin_popcountll(x); }
static inline int __clz(int x) { return x ? __builtin_clz((unsigned)x) : 32; }
static inline int __clzll(long long x) { return x ? __builtin_clzll((unsigned long long)x) : 64; }
static inline int __ffs(int x) { return __builtin_ffs(x); }
static inline int __ffsll(long long x) { return __builtin_ffsll(x); }
template <class T> static inline T ac_emu_reversed(T x) {
  T r = 0;
  for (unsigned i = 0; i < sizeof(T) * 8; i++) r |= (T)((x >> i) & 1) << (sizeof(T) * 8 - 1 - i);
  return r;
}
static inline unsigned __brev(unsigned x) { return ac_emu_reversed(x); }
static inline unsigned long long __brevll(unsigned long long x) { return ac_emu_reversed(x); }
static inline unsigned __umulhi(unsigned a, unsigned b) { return (unsigned)((unsigned long long)a * b >> 32); }
static inline int __mulhi(int a, int b) { return (int)((long long)a * b >> 32); }
static inline unsigned long long __umul64hi(unsigned long long a, unsigned long long b) {
  return (unsigned long long)((unsigned __int128)a * b >> 64);
}
static inline long long __mul64hi(long long a, long long b) { return (long long)((__int128)a * b >> 64); }
