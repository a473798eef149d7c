// What the ring texts need of a machine, on this processor. Memory that the other side writes is
// read and written through these alone: relaxed, and a chunk of 16 bytes in one piece.
#if defined(__x86_64__)
#include <emmintrin.h>
AC_FN ac_chunk ac_ld16(const ac_chunk* p) {
  __m128i v = _mm_load_si128((const __m128i*)p);
  __asm__ volatile("" : "+x"(v) : : "memory");  // read here, once
  ac_chunk c;
  __builtin_memcpy(&c, &v, 16);
  return c;
}
AC_FN void ac_st16(ac_chunk* p, ac_chunk c) {
  __m128i v;
  __builtin_memcpy(&v, &c, 16);
  __asm__ volatile("" : "+x"(v) : : "memory");
  _mm_store_si128((__m128i*)p, v);
}
#else  // the tag goes last and comes first, so that 16 bytes need not be one piece
AC_FN ac_chunk ac_ld16(const ac_chunk* p) {
  ac_chunk c;
  c.tag = __atomic_load_n(&p->tag, __ATOMIC_ACQUIRE);
  for (int i = 0; i < 3; i++) c.w[i] = __atomic_load_n(&p->w[i], __ATOMIC_RELAXED);
  return c;
}
AC_FN void ac_st16(ac_chunk* p, ac_chunk c) {
  for (int i = 0; i < 3; i++) __atomic_store_n(&p->w[i], c.w[i], __ATOMIC_RELAXED);
  __atomic_store_n(&p->tag, c.tag, __ATOMIC_RELEASE);
}
#endif
AC_FN ac_u32 ac_ld32(const ac_u32* p) { return __atomic_load_n(p, __ATOMIC_ACQUIRE); }
AC_FN ac_u64 ac_ld64(const ac_u64* p) { return __atomic_load_n(p, __ATOMIC_ACQUIRE); }
AC_FN void ac_st32(ac_u32* p, ac_u32 v) { __atomic_store_n(p, v, __ATOMIC_RELEASE); }
AC_FN void ac_st64(ac_u64* p, ac_u64 v) { __atomic_store_n(p, v, __ATOMIC_RELEASE); }
// Words that several threads of this side share.
AC_FN ac_u32 ac_near_ld(const ac_u32* p) { return __atomic_load_n(p, __ATOMIC_RELAXED); }
AC_FN void ac_near_st(ac_u32* p, ac_u32 v) { __atomic_store_n(p, v, __ATOMIC_RELAXED); }
AC_FN ac_u32 ac_near_cas(ac_u32* p, ac_u32 expected, ac_u32 v) {
  __atomic_compare_exchange_n(p, &expected, v, false, __ATOMIC_ACQ_REL, __ATOMIC_RELAXED);
  return expected;
}
