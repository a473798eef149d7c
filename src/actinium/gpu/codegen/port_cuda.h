// What the resident text needs of a GPU, in PTX. Each of these is in port_emulator.h too.
AC_FN ac_chunk ac_ld16(const ac_chunk* p) {
  ac_chunk c;
  asm volatile("ld.relaxed.sys.global.v4.b32 {%0,%1,%2,%3}, [%4];"
               : "=r"(c.w[0]), "=r"(c.w[1]), "=r"(c.w[2]), "=r"(c.tag) : "l"(p) : "memory");
  return c;
}
AC_FN void ac_st16(ac_chunk* p, ac_chunk c) {
  asm volatile("st.relaxed.sys.global.v4.b32 [%0], {%1,%2,%3,%4};"
               : : "l"(p), "r"(c.w[0]), "r"(c.w[1]), "r"(c.w[2]), "r"(c.tag) : "memory");
}
AC_FN ac_u32 ac_ld32(const ac_u32* p) {
  ac_u32 v;
  asm volatile("ld.relaxed.sys.global.b32 %0, [%1];" : "=r"(v) : "l"(p) : "memory");
  return v;
}
AC_FN ac_u64 ac_ld64(const ac_u64* p) {
  ac_u64 v;
  asm volatile("ld.relaxed.sys.global.b64 %0, [%1];" : "=l"(v) : "l"(p) : "memory");
  return v;
}
AC_FN void ac_st32(ac_u32* p, ac_u32 v) {
  asm volatile("st.relaxed.sys.global.b32 [%0], %1;" : : "l"(p), "r"(v) : "memory");
}
AC_FN void ac_st64(ac_u64* p, ac_u64 v) {
  asm volatile("st.relaxed.sys.global.b64 [%0], %1;" : : "l"(p), "l"(v) : "memory");
}
// Words in shared memory that several threads of the block use.
AC_FN ac_u32 ac_near_ld(const ac_u32* p) { return *(const volatile ac_u32*)p; }
AC_FN void ac_near_st(ac_u32* p, ac_u32 v) { *(volatile ac_u32*)p = v; }
AC_FN ac_u32 ac_near_cas(ac_u32* p, ac_u32 expected, ac_u32 v) { return atomicCAS(p, expected, v); }
AC_FN ac_u64 ac_near_ld(const ac_u64* p) { return *(const volatile ac_u64*)p; }
AC_FN void ac_near_st(ac_u64* p, ac_u64 v) { *(volatile ac_u64*)p = v; }
AC_FN ac_u64 ac_near_cas(ac_u64* p, ac_u64 expected, ac_u64 v) { return atomicCAS(p, expected, v); }

AC_FN ac_u32 ac_shared_at(const void* p) { return (ac_u32)__cvta_generic_to_shared(p); }
AC_FN void ac_mb_init(ac_u64* b, ac_u32 arrivals) {
  asm volatile("mbarrier.init.shared::cta.b64 [%0], %1;" : : "r"(ac_shared_at(b)), "r"(arrivals) : "memory");
}
AC_FN void ac_mb_arrive(ac_u64* b) {
  asm volatile("mbarrier.arrive.release.cta.shared::cta.b64 _, [%0];" : : "r"(ac_shared_at(b)) : "memory");
}
// Whether the phase of this parity is over; waits for it a while.
AC_FN bool ac_mb_try(ac_u64* b, ac_u32 parity) {
  ac_u32 over;
  asm volatile(
      "{ .reg .pred p; mbarrier.try_wait.parity.acquire.cta.shared::cta.b64 p, [%1], %2; selp.u32 %0, 1, 0, p; }"
      : "=r"(over) : "r"(ac_shared_at(b)), "r"(parity) : "memory");
  return over != 0;
}
AC_FN void ac_bar(ac_u32 id, ac_u32 threads) {
  asm volatile("bar.sync %0, %1;" : : "r"(id), "r"(threads) : "memory");
}
AC_FN void ac_fence_system() { asm volatile("fence.acq_rel.sys;" : : : "memory"); }
AC_FN ac_u64 ac_device_ns() {
  ac_u64 t;
  asm volatile("mov.u64 %0, %%globaltimer;" : "=l"(t));
  return t;
}
AC_FN ac_u64 ac_ticks() { return (ac_u64)clock64(); }
AC_FN void ac_nap(ac_u32 ns) { __nanosleep(ns); }
AC_FN void ac_trap() { asm volatile("trap;"); }
AC_FN void ac_work(int) {}  // for a watchdog: messages taken (1), done (-1), or waiting for the host (0)
#define AC_SHARED(name) extern __shared__ __align__(128) unsigned char name[]
#define AC_ROLLED _Pragma("unroll 1")
#define AC_COLD __device__ __noinline__
