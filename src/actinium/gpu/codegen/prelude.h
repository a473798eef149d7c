// What generated handlers and kernels stand on, for g++ and NVRTC alike; no include on CUDA.
// A level is who runs one handler: 0 a thread, 1 a warp, 2 a block, 3 a grid.
#ifdef __CUDACC__
#define AC_FN static __device__ __forceinline__
#define AC_ONCE static __device__ __noinline__
#else
#include <math.h>
#define AC_FN static inline
#define AC_ONCE static
#endif

// fault: number of the place in the program that stopped, 0 for none; the first one stays.
// told: bytes of the outbox that hold messages; outbox: room bytes, aligned to 8.
// budget: how many counted rounds of loops a handler may run, 0 for any number.
// now: microseconds since 1970; me, sender: handles of the actor and of who sent the message.
// scratch: room for one value of each warp.
struct ac_ctx {
  ac_u32 fault;
  ac_u32 told;
  ac_u64 budget;
  ac_u64 now;
  ac_u64 me;
  ac_u64 sender;
  ac_u8* outbox;
  ac_u32 room;
  ac_u32 spare;
  ac_u64 scratch[32];
};

AC_FN void ac_clear(ac_ctx* c, ac_u64 budget) {
  c->fault = c->told = c->room = c->spare = 0;
  c->budget = budget;
  c->now = c->me = c->sender = 0;
  c->outbox = 0;
}

// A message in the outbox; its bytes follow, filled up to 8.
struct ac_told {
  ac_u64 to;
  ac_u32 kind;
  ac_u32 size;
};
#ifndef AC_OWN_TELL  // a runtime may send at once instead; it defines both
// All threads ask whether a message still fits, each with a count of its own, and answer alike.
AC_FN bool ac_may_tell(ac_ctx* c, ac_u32& used, ac_u32 size) {
  ac_u32 need = (ac_u32)sizeof(ac_told) + ((size + 7u) & ~7u);
  if (used > c->room || need > c->room - used) return false;
  used += need;
  return true;
}
// One thread sends.
template <class T> AC_FN void ac_tell(ac_ctx* c, ac_u64 to, ac_u32 kind, const T* data, ac_u32 size) {
  ac_told* entry = (ac_told*)(c->outbox + c->told);
  entry->to = to;
  entry->kind = kind;
  entry->size = size;
  *(T*)(entry + 1) = *data;
  c->told += (ac_u32)sizeof(ac_told) + ((size + 7u) & ~7u);
}
#endif

#if defined(__CUDACC__)
#ifndef AC_BLOCK_LANE  // a runtime that keeps warps for itself says which threads are left
#define AC_BLOCK_LANE threadIdx.x
#define AC_BLOCK_LANES blockDim.x
#define AC_BLOCK_SYNC() __syncthreads()
#endif
template <int L> AC_FN ac_u64 ac_lane() {
  return L == 0 ? 0 : L == 1 ? (AC_BLOCK_LANE & 31u) : L == 2 ? (ac_u64)AC_BLOCK_LANE
                                                  : (ac_u64)blockIdx.x * blockDim.x + threadIdx.x;
}
template <int L> AC_FN ac_u64 ac_lanes() {
  return L == 0 ? 1 : L == 1 ? 32u : L == 2 ? (ac_u64)AC_BLOCK_LANES : (ac_u64)gridDim.x * blockDim.x;
}
template <int L> AC_FN void ac_sync() {
  if (L == 1) __syncwarp();
  if (L == 2) AC_BLOCK_SYNC();
}
AC_FN void ac_fault(ac_ctx* c, ac_u32 site) { atomicCAS(&c->fault, 0u, site); }
AC_FN ac_u32 ac_f32_bits(float x) { return __float_as_uint(x); }
AC_FN float ac_f32_from_bits(ac_u32 x) { return __uint_as_float(x); }
AC_FN ac_u64 ac_f64_bits(double x) { return (ac_u64)__double_as_longlong(x); }
AC_FN double ac_f64_from_bits(ac_u64 x) { return __longlong_as_double((long long)x); }
AC_FN int ac_popc(ac_u32 x) { return __popc(x); }
AC_FN int ac_popc(ac_u64 x) { return __popcll(x); }
AC_FN int ac_clz(ac_u32 x) { return __clz((int)x); }
AC_FN int ac_clz(ac_u64 x) { return __clzll((long long)x); }
AC_FN int ac_ffs(ac_u32 x) { return __ffs((int)x); }
AC_FN int ac_ffs(ac_u64 x) { return __ffsll((long long)x); }
AC_FN ac_u32 ac_brev(ac_u32 x) { return __brev(x); }
AC_FN ac_u64 ac_brev(ac_u64 x) { return __brevll(x); }
AC_FN ac_u32 ac_mulhi(ac_u32 a, ac_u32 b) { return __umulhi(a, b); }
AC_FN ac_i32 ac_mulhi(ac_i32 a, ac_i32 b) { return __mulhi(a, b); }
AC_FN ac_u64 ac_mulhi(ac_u64 a, ac_u64 b) { return __umul64hi(a, b); }
AC_FN ac_i64 ac_mulhi(ac_i64 a, ac_i64 b) { return __mul64hi(a, b); }
template <class T> AC_FN T ac_inf();
template <> __device__ __forceinline__ float ac_inf<float>() { return __uint_as_float(0x7f800000u); }
template <> __device__ __forceinline__ double ac_inf<double>() {
  return __longlong_as_double(0x7ff0000000000000ll);
}
#else
#ifdef AC_THREADS  // a test runs a block as threads; it defines what a lane is, and the barrier
template <int L> AC_FN ac_u64 ac_lane() { return L == 0 ? 0 : ac_test_lane(); }
template <int L> AC_FN ac_u64 ac_lanes() { return L == 0 ? 1 : ac_test_lanes(); }
template <int L> AC_FN void ac_sync() {
  if (L == 1 || L == 2) ac_test_sync();
}
#else
template <int L> AC_FN ac_u64 ac_lane() { return 0; }
template <int L> AC_FN ac_u64 ac_lanes() { return 1; }
template <int L> AC_FN void ac_sync() {}
#endif
AC_FN void ac_fault(ac_ctx* c, ac_u32 site) {
  ac_u32 none = 0;
  __atomic_compare_exchange_n(&c->fault, &none, site, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED);
}
template <class To, class From> AC_FN To ac_view(From x) {
  To to;
  __builtin_memcpy(&to, &x, sizeof(to));
  return to;
}
AC_FN ac_u32 ac_f32_bits(float x) { return ac_view<ac_u32>(x); }
AC_FN float ac_f32_from_bits(ac_u32 x) { return ac_view<float>(x); }
AC_FN ac_u64 ac_f64_bits(double x) { return ac_view<ac_u64>(x); }
AC_FN double ac_f64_from_bits(ac_u64 x) { return ac_view<double>(x); }
AC_FN int ac_popc(ac_u32 x) { return __builtin_popcount(x); }
AC_FN int ac_popc(ac_u64 x) { return __builtin_popcountll(x); }
AC_FN int ac_clz(ac_u32 x) { return x ? __builtin_clz(x) : 32; }
AC_FN int ac_clz(ac_u64 x) { return x ? __builtin_clzll(x) : 64; }
AC_FN int ac_ffs(ac_u32 x) { return __builtin_ffs((int)x); }
AC_FN int ac_ffs(ac_u64 x) { return __builtin_ffsll((long long)x); }
template <class T> AC_FN T ac_brev(T x) {
  T r = 0;
  for (unsigned i = 0; i < sizeof(T) * 8; i++) r |= (T)((x >> i) & 1) << (sizeof(T) * 8 - 1 - i);
  return r;
}
AC_FN ac_u32 ac_mulhi(ac_u32 a, ac_u32 b) { return (ac_u32)(((ac_u64)a * b) >> 32); }
AC_FN ac_i32 ac_mulhi(ac_i32 a, ac_i32 b) { return (ac_i32)(((ac_i64)a * b) >> 32); }
AC_FN ac_u64 ac_mulhi(ac_u64 a, ac_u64 b) { return (ac_u64)(((unsigned __int128)a * b) >> 64); }
AC_FN ac_i64 ac_mulhi(ac_i64 a, ac_i64 b) { return (ac_i64)(((__int128)a * b) >> 64); }
template <class T> AC_FN T ac_inf() { return (T)__builtin_inf(); }
#endif

// Whether n more rounds exceed the budget; they are counted if not.
AC_FN bool ac_over(ac_u64& steps, ac_u64 limit, ac_u64 n) {
  if (steps > limit || n > limit - steps) {
    steps = limit + 1;
    return true;
  }
  steps += n;
  return false;
}

// Python's arithmetic. A zero divisor is caught before; integers wrap at their width.
template <class T> AC_FN T ac_floordiv(T a, T b) {
  if ((T)-1 < (T)0 && b == (T)-1) return (T)(0 - (ac_u64)a);
  T q = (T)(a / b);
  return (T)(q - (T)((a % b != 0) && ((a < 0) != (b < 0))));
}
template <class T> AC_FN T ac_mod(T a, T b) {
  if ((T)-1 < (T)0 && b == (T)-1) return 0;
  T r = (T)(a % b);
  return (T)(r != 0 && ((r < 0) != (b < 0)) ? r + b : r);
}
AC_FN float ac_fmod(float a, float b) { return fmodf(a, b); }
AC_FN double ac_fmod(double a, double b) { return fmod(a, b); }
AC_FN float ac_floor(float a) { return floorf(a); }
AC_FN double ac_floor(double a) { return floor(a); }
AC_FN float ac_copysign(float a, float b) { return copysignf(a, b); }
AC_FN double ac_copysign(double a, double b) { return copysign(a, b); }
AC_FN float ac_pow(float a, float b) { return powf(a, b); }
AC_FN double ac_pow(double a, double b) { return pow(a, b); }
template <class F> AC_FN F ac_fdivmod(F a, F b, bool want_mod) {  // CPython's float_divmod
  if (b == 0) return want_mod ? (F)(ac_inf<F>() - ac_inf<F>()) : a / b;
  F mod = ac_fmod(a, b);
  F div = (a - mod) / b;
  if (mod != 0) {
    if ((b < 0) != (mod < 0)) {
      mod += b;
      div -= 1;
    }
  } else {
    mod = ac_copysign((F)0, b);
  }
  if (want_mod) return mod;
  if (div == 0) return ac_copysign((F)0, a / b);
  F floor = ac_floor(div);
  return div - floor > (F)0.5 ? floor + 1 : floor;
}
AC_FN float ac_floordiv(float a, float b) { return ac_fdivmod(a, b, false); }
AC_FN double ac_floordiv(double a, double b) { return ac_fdivmod(a, b, false); }
AC_FN float ac_mod(float a, float b) { return ac_fdivmod(a, b, true); }
AC_FN double ac_mod(double a, double b) { return ac_fdivmod(a, b, true); }
template <class T, class U> AC_FN T ac_ipow(T base, ac_u64 n) {
  U r = 1, b = (U)base;
  for (; n; n >>= 1, b *= b)
    if (n & 1) r *= b;
  return (T)r;
}
AC_FN ac_i64 ac_index(ac_i64 i, ac_i64 n) { return i < 0 ? i + n : i; }
AC_FN ac_u64 ac_trips(ac_i64 low, ac_i64 high, ac_i64 step) {
  if (step > 0) return low < high ? ((ac_u64)high - (ac_u64)low - 1) / (ac_u64)step + 1 : 0;
  return low > high ? ((ac_u64)low - (ac_u64)high - 1) / (0 - (ac_u64)step) + 1 : 0;
}
AC_FN ac_u64 ac_trips(ac_u64 low, ac_u64 high, ac_i64 step) {
  if (step > 0) return low < high ? (high - low - 1) / (ac_u64)step + 1 : 0;
  return low > high ? (low - high - 1) / (0 - (ac_u64)step) + 1 : 0;
}

// Float to integer: towards zero, saturating, NaN to 0.
template <class T, class F> AC_FN T ac_saturate(F x, F low, F high, T least, T most) {
  if (!(x == x)) return 0;
  return x <= low ? least : x >= high ? most : (T)x;
}
#define AC_TO(type, low, high, least, most)                       \
  template <class F> AC_FN type ac_to_##type(F x) {               \
    return ac_saturate<type, F>(x, (F)low, (F)high, least, most); \
  }
AC_TO(ac_i8, -128.0, 128.0, -128, 127)
AC_TO(ac_i16, -32768.0, 32768.0, -32768, 32767)
AC_TO(ac_i32, -2147483648.0, 2147483648.0, -2147483647 - 1, 2147483647)
AC_TO(ac_i64, -9223372036854775808.0, 9223372036854775808.0, -9223372036854775807ll - 1,
      9223372036854775807ll)
AC_TO(ac_u8, 0.0, 256.0, 0, 255)
AC_TO(ac_u16, 0.0, 65536.0, 0, 65535)
AC_TO(ac_u32, 0.0, 4294967296.0, 0, 4294967295u)
AC_TO(ac_u64, 0.0, 18446744073709551616.0, 0, 18446744073709551615ull)
template <class F> AC_FN ac_i32 ac_to_i32(F x) { return ac_to_ac_i32(x); }
template <class F> AC_FN ac_i64 ac_to_i64(F x) { return ac_to_ac_i64(x); }

// Floats of 16 bits: held as the f32 they are equal to, rounded after each operation.
template <int digits, int least, int most> AC_FN float ac_round16(double x) {
  ac_u64 bits = ac_f64_bits(x) & 0x7ff0000000000000ull;
  if (bits == 0x7ff0000000000000ull) return (float)x;
  int e = (int)(bits >> 52) - 1023;
  if (e < least) e = least;
  double quantum = ac_f64_from_bits((ac_u64)(e - digits + 1 + 1023) << 52);
  double r = rint(x / quantum) * quantum;
  double limit = ac_f64_from_bits((ac_u64)(most + 1 + 1023) << 52);
  return r >= limit ? ac_inf<float>() : r <= -limit ? -ac_inf<float>() : (float)r;
}
AC_FN float ac_round_f16(double x) { return ac_round16<11, -14, 15>(x); }
AC_FN float ac_round_bf16(double x) { return ac_round16<8, -126, 127>(x); }
AC_FN ac_u32 ac_bf16_bits(float x) { return x == x ? ac_f32_bits(x) >> 16 : 0x7fc0u; }
AC_FN float ac_bf16_from_bits(ac_u32 b) { return ac_f32_from_bits(b << 16); }
AC_FN ac_u32 ac_f16_bits(float x) {
  ac_u32 b = ac_f32_bits(x), sign = (b >> 16) & 0x8000u, magnitude = b & 0x7fffffffu;
  if (magnitude > 0x7f800000u) return sign | 0x7e00u;
  if (magnitude == 0x7f800000u) return sign | 0x7c00u;
  if (magnitude >= 0x38800000u) return sign | ((magnitude - 0x38000000u) >> 13);
  return sign | (ac_u32)(ac_f32_from_bits(magnitude) * 16777216.0f);
}
AC_FN float ac_f16_from_bits(ac_u32 b) {
  ac_u32 sign = (b & 0x8000u) << 16, magnitude = b & 0x7fffu;
  if (magnitude >= 0x7c00u) return ac_f32_from_bits(sign | 0x7f800000u | ((magnitude & 0x3ffu) << 13));
  if (magnitude >= 0x0400u) return ac_f32_from_bits(sign | ((magnitude << 13) + 0x38000000u));
  float small = (float)magnitude * 5.9604644775390625e-8f;
  return sign ? -small : small;
}
// Floats of 8 bits and fewer: E and M bits of exponent and fraction, a bias, the largest number,
// and what a NaN becomes: 1 one of its own, 0 the largest number. Rounding saturates.
AC_FN int ac_exponent(float x) { return (int)(ac_f32_bits(x) >> 23 & 0xffu) - 127; }
AC_FN int ac_exponent(double x) { return (int)(ac_f64_bits(x) >> 52 & 0x7ffu) - 1023; }
AC_FN float ac_power_of_two(int e, float) { return ac_f32_from_bits((ac_u32)(e + 127) << 23); }
AC_FN double ac_power_of_two(int e, double) { return ac_f64_from_bits((ac_u64)(e + 1023) << 52); }
AC_FN float ac_nearest(float x) { return rintf(x); }
AC_FN double ac_nearest(double x) { return rint(x); }
template <int M, int bias, bool nan, class F> AC_FN float ac_round_narrow(F x, F most) {
  if (x != x) return nan ? (float)x : (float)most;
  if (x >= most || x <= -most) return (float)(x < 0 ? -most : most);
  int e = ac_exponent(x) < 1 - bias ? 1 - bias : ac_exponent(x);
  F quantum = ac_power_of_two(e - M, x);
  return (float)(ac_nearest(x / quantum) * quantum);
}
template <int E, int M, int bias> AC_FN ac_u32 ac_narrow_bits(float x) {
  ac_u32 b = ac_f32_bits(x), sign = b >> 31 << (E + M), magnitude = b & 0x7fffffffu;
  if (magnitude > 0x7f800000u) return 0x7fu;
  if (magnitude == 0x7f800000u) return sign | (((1u << E) - 1) << M);
  if (magnitude >= (ac_u32)(128 - bias) << 23) return sign | ((magnitude >> (23 - M)) - ((ac_u32)(127 - bias) << M));
  return sign | (ac_u32)(ac_f32_from_bits(magnitude) * ac_power_of_two(bias - 1 + M, 0.0f));
}
template <int E, int M, int bias> AC_FN float ac_narrow_from(ac_u32 b) {
  ac_u32 sign = (b >> (E + M) & 1u) << 31, e = b >> M & ((1u << E) - 1), m = b & ((1u << M) - 1);
  if (E == 5 && e == 31) return ac_f32_from_bits(sign | 0x7f800000u | m << (23 - M));
  if (E == 4 && (b & 0x7fu) == 0x7fu) return ac_f32_from_bits(sign | 0x7fc00000u);
  if (e) return ac_f32_from_bits(sign | (e + 127 - bias) << 23 | m << (23 - M));
  float small = (float)m * ac_power_of_two(1 - bias - M, 0.0f);
  return sign ? -small : small;
}
#define AC_NARROW(name, E, M, bias, most, nan)                                                    \
  AC_FN float ac_round_##name(float x) { return ac_round_narrow<M, bias, nan, float>(x, most); }  \
  AC_FN float ac_round_##name(double x) { return ac_round_narrow<M, bias, nan, double>(x, most); } \
  AC_FN ac_u32 ac_##name##_bits(float x) { return ac_narrow_bits<E, M, bias>(x); }                \
  AC_FN float ac_##name##_from_bits(ac_u32 b) { return ac_narrow_from<E, M, bias>(b); }
AC_NARROW(f8e4m3, 4, 3, 7, 448, true)
AC_NARROW(f8e5m2, 5, 2, 15, 57344, true)
AC_NARROW(f6e3m2, 3, 2, 3, 28, false)
AC_NARROW(f6e2m3, 2, 3, 1, 7.5, false)
AC_NARROW(f4e2m1, 2, 1, 1, 6, false)
#ifdef __CUDACC__  // with native=True, by the instruction of devices that have it
#define AC_NATIVE(name, cvt)                                                             \
  AC_FN ac_u32 ac_native_##name(float x) {                                               \
    unsigned short pair;                                                                 \
    asm("cvt.rn.satfinite." cvt ".f32 %0, %1, %2;" : "=h"(pair) : "f"(0.0f), "f"(x)); \
    return pair & 0xffu;                                                                 \
  }
AC_NATIVE(f8e4m3, "e4m3x2")
AC_NATIVE(f8e5m2, "e5m2x2")
#if __CUDA_ARCH__ >= 1000
AC_NATIVE(f6e3m2, "e3m2x2")
AC_NATIVE(f6e2m3, "e2m3x2")
AC_FN ac_u32 ac_native_f4e2m1(float x) {
  unsigned short pair;
  asm("{ .reg .b8 b; cvt.rn.satfinite.e2m1x2.f32 b, %1, %2; cvt.u16.u8 %0, b; }" : "=h"(pair) : "f"(0.0f), "f"(x));
  return pair & 0xfu;
}
#endif
#endif
AC_FN ac_u32 ac_pack_f16x2(float a, float b) {
  return ac_f16_bits(ac_round_f16(a)) | (ac_f16_bits(ac_round_f16(b)) << 16);
}

// Intrinsics that need more than an expression.
AC_FN int ac_ctz(ac_u32 x) { return x ? ac_ffs(x) - 1 : 32; }
AC_FN int ac_ctz(ac_u64 x) { return x ? ac_ffs(x) - 1 : 64; }
AC_FN ac_u32 ac_bswap(ac_u32 x) {
  return x >> 24 | ((x >> 8) & 0xff00u) | ((x << 8) & 0xff0000u) | x << 24;
}
AC_FN ac_u64 ac_bswap(ac_u64 x) {
  return (ac_u64)ac_bswap((ac_u32)x) << 32 | ac_bswap((ac_u32)(x >> 32));
}
template <class T> AC_FN T ac_rotl(T x, int n) {
  unsigned w = sizeof(T) * 8, k = (unsigned)n & (w - 1);
  return k ? (T)(x << k | x >> (w - k)) : x;
}
template <class T> AC_FN T ac_low_ones(ac_u32 n) {
  return n >= sizeof(T) * 8 ? (T) ~(T)0 : (T)(((T)1 << n) - 1);
}
template <class T> AC_FN T ac_bfe(T x, ac_u32 at, ac_u32 n) {
  at &= 255;
  n &= 255;
  return at >= sizeof(T) * 8 ? 0 : (T)((x >> at) & ac_low_ones<T>(n));
}
template <class T> AC_FN T ac_bfi(T into, T x, ac_u32 at, ac_u32 n) {
  at &= 255;
  n &= 255;
  if (at >= sizeof(T) * 8) return into;
  T mask = (T)(ac_low_ones<T>(n) << at);
  return (T)((into & (T)~mask) | ((T)(x << at) & mask));
}
AC_FN ac_u32 ac_next_pow2(ac_u32 x) {
  if (x <= 1) return 1;
  return x > 0x80000000u ? 0 : 1u << (32 - ac_clz(x - 1)) % 32;
}
AC_FN ac_u32 ac_spread(ac_u32 x) {
  x &= 0xffffu;
  x = (x | x << 8) & 0x00ff00ffu;
  x = (x | x << 4) & 0x0f0f0f0fu;
  x = (x | x << 2) & 0x33333333u;
  return (x | x << 1) & 0x55555555u;
}
AC_FN ac_u32 ac_funnel_left(ac_u32 lo, ac_u32 hi, ac_u32 n) {
  return (ac_u32)((((ac_u64)hi << 32 | lo) << (n & 31)) >> 32);
}
AC_FN ac_u32 ac_funnel_right(ac_u32 lo, ac_u32 hi, ac_u32 n) {
  return (ac_u32)(((ac_u64)hi << 32 | lo) >> (n & 31));
}
AC_FN ac_u32 ac_byte_perm(ac_u32 x, ac_u32 y, ac_u32 s) {
  ac_u64 source = (ac_u64)y << 32 | x;
  ac_u32 r = 0;
  for (int i = 0; i < 4; i++) r |= (ac_u32)((source >> (8 * ((s >> (4 * i)) & 7))) & 255) << (8 * i);
  return r;
}
template <class F> AC_FN ac_u32 ac_bytes(ac_u32 a, ac_u32 b, F f) {
  ac_u32 r = 0;
  for (int i = 0; i < 32; i += 8) r |= (f((a >> i) & 255u, (b >> i) & 255u) & 255u) << i;
  return r;
}
AC_FN ac_u32 ac_dp4a(ac_u32 a, ac_u32 b, ac_u32 c) {
  for (int i = 0; i < 32; i += 8) c += ((a >> i) & 255u) * ((b >> i) & 255u);
  return c;
}
AC_FN ac_i32 ac_dp4a_i8(ac_u32 a, ac_u32 b, ac_i32 c) {
  ac_u32 r = (ac_u32)c;
  for (int i = 0; i < 32; i += 8) r += (ac_u32)((ac_i8)(a >> i) * (ac_i8)(b >> i));
  return (ac_i32)r;
}
template <class T> AC_FN T ac_most() {
  return (T)-1 < (T)0 ? (T)((((ac_u64)1) << (sizeof(T) * 8 - 1)) - 1) : (T)-1;
}
template <class T> AC_FN T ac_least() { return (T)-1 < (T)0 ? (T)(-ac_most<T>() - 1) : (T)0; }
template <class T> AC_FN T ac_add_sat(T a, T b) {
  if (b > 0 && a > ac_most<T>() - b) return ac_most<T>();
  if (b < 0 && a < ac_least<T>() - b) return ac_least<T>();
  return (T)(a + b);
}
template <class T> AC_FN T ac_sub_sat(T a, T b) {
  if (b > 0 && a < ac_least<T>() + b) return ac_least<T>();
  if (b < 0 && a > ac_most<T>() + b) return ac_most<T>();
  return (T)(a - b);
}
template <class T> AC_FN T ac_clamp(T x, T lo, T hi) { return x < lo ? lo : hi < x ? hi : x; }
template <class T> AC_FN T ac_mul_sat(T a, T b) {
  if ((T)-1 < (T)0) {
    ac_i64 p = (ac_i64)a * (ac_i64)b;
    return (T)ac_clamp<ac_i64>(p, ac_least<T>(), ac_most<T>());
  }
  ac_u64 p = (ac_u64)a * (ac_u64)b;
  return p > (ac_u64)ac_most<T>() ? ac_most<T>() : (T)p;
}
AC_FN ac_u32 ac_isqrt(ac_u32 x) {
  ac_u32 r = 0;
  for (ac_u32 bit = 1u << 15; bit; bit >>= 1)
    if ((ac_u64)(r | bit) * (r | bit) <= x) r |= bit;
  return r;
}
template <class T> AC_FN T ac_gcd(T a, T b) {
  while (b) {
    T t = a % b;
    a = b;
    b = t;
  }
  return a;
}
template <class T> AC_FN T ac_ceil_div(T a, T b) { return b ? a / b + (a % b != 0) : 0; }
AC_FN ac_u32 ac_fmix32(ac_u32 x) {
  x = (x ^ x >> 16) * 0x85ebca6bu;
  x = (x ^ x >> 13) * 0xc2b2ae35u;
  return x ^ x >> 16;
}
AC_FN ac_u64 ac_fmix64(ac_u64 x) {
  x = (x ^ x >> 33) * 0xff51afd7ed558ccdull;
  x = (x ^ x >> 33) * 0xc4ceb9fe1a85ec53ull;
  return x ^ x >> 33;
}
AC_FN ac_u32 ac_philox(ac_u64 seed, ac_u64 counter, ac_u32 word) {
  ac_u32 c0 = (ac_u32)counter, c1 = (ac_u32)(counter >> 32), c2 = 0, c3 = 0;
  ac_u32 k0 = (ac_u32)seed, k1 = (ac_u32)(seed >> 32);
  for (int i = 0; i < 10; i++) {
    ac_u32 h0 = ac_mulhi(0xd2511f53u, c0), l0 = 0xd2511f53u * c0;
    ac_u32 h1 = ac_mulhi(0xcd9e8d57u, c2), l1 = 0xcd9e8d57u * c2;
    c0 = h1 ^ c1 ^ k0;
    c1 = l1;
    c2 = h0 ^ c3 ^ k1;
    c3 = l0;
    k0 += 0x9e3779b9u;
    k1 += 0xbb67ae85u;
  }
  word &= 3;
  return word == 0 ? c0 : word == 1 ? c1 : word == 2 ? c2 : c3;
}
AC_FN double ac_normal(ac_u32 a, ac_u32 b) {
  double u = ((a >> 8) + 1) * 5.9604644775390625e-8, v = (b >> 8) * 5.9604644775390625e-8;
  return sqrt(-2.0 * log(u)) * cos(6.283185307179586477 * v);
}
AC_FN float ac_exp(float x) { return expf(x); }
AC_FN double ac_exp(double x) { return exp(x); }
AC_FN float ac_log(float x) { return logf(x); }
AC_FN double ac_log(double x) { return log(x); }
AC_FN float ac_log1p(float x) { return log1pf(x); }
AC_FN double ac_log1p(double x) { return log1p(x); }
AC_FN float ac_sin(float x) { return sinf(x); }
AC_FN double ac_sin(double x) { return sin(x); }
AC_FN float ac_erfc(float x) { return erfcf(x); }
AC_FN double ac_erfc(double x) { return erfc(x); }
AC_FN float ac_exp10(float x) { return powf(10.0f, x); }
AC_FN double ac_exp10(double x) { return pow(10.0, x); }
AC_FN float ac_significand(float x) { int e; return frexpf(x, &e); }
AC_FN double ac_significand(double x) { int e; return frexp(x, &e); }
AC_FN bool ac_is_normal(float x) {
  ac_u32 e = ac_f32_bits(x) & 0x7f800000u;
  return e != 0 && e != 0x7f800000u;
}
AC_FN bool ac_is_normal(double x) {
  ac_u64 e = ac_f64_bits(x) & 0x7ff0000000000000ull;
  return e != 0 && e != 0x7ff0000000000000ull;
}
template <class F> AC_FN F ac_sinpi(F x) {
  F r = ac_fmod(x, (F)2);
  if (r == 0 || r == 1 || r == -1) return ac_copysign((F)0, x);
  return (F)sin(3.14159265358979323846 * (double)r);
}
template <class F> AC_FN F ac_cospi(F x) {
  double r = fabs((double)ac_fmod(x, (F)2));
  if (r == 0.5 || r == 1.5) return 0;
  return (F)sin(3.14159265358979323846 * (r < 1 ? 0.5 - r : r - 1.5));
}
template <class F> AC_FN F ac_sinc(F x) { return x != 0 ? ac_sin(x) / x : (F)1; }
template <class F> AC_FN F ac_smoothstep(F a, F b, F x) {
  F s = (x - a) / (b - a);
  s = s < 0 ? (F)0 : s > 1 ? (F)1 : s;
  return s * s * ((F)3 - (F)2 * s);
}
template <class F> AC_FN F ac_sigmoid(F x) { return (F)1 / ((F)1 + ac_exp(-x)); }
template <class F> AC_FN F ac_logaddexp(F a, F b) {
  return (a < b ? b : a) + ac_log1p(ac_exp(a < b ? a - b : b - a));
}
template <class F> AC_FN F ac_xlogx(F x) { return x != 0 ? x * ac_log(x) : (F)0; }
template <class F> AC_FN F ac_norm_cdf(F x) { return (F)0.5 * ac_erfc(-x * (F)0.70710678118654752440); }
template <class F> AC_FN F ac_gelu(F x) { return x * ac_norm_cdf<F>(x); }
template <class F> AC_FN F ac_norm_pdf(F x) { return ac_exp((F)-0.5 * x * x) * (F)0.39894228040143267794; }

// Python's min, max and abs: the first of two equal ones; integers wrap.
template <class T> AC_FN T ac_min(T a, T b) { return b < a ? b : a; }
template <class T> AC_FN T ac_max(T a, T b) { return a < b ? b : a; }

// Atomic updates; each gives the value before.
#ifdef __CUDACC__
template <class T> AC_FN T ac_atomic_add(T* p, T v) { return atomicAdd(p, v); }
AC_FN ac_i64 ac_atomic_add(ac_i64* p, ac_i64 v) { return (ac_i64)atomicAdd((ac_u64*)p, (ac_u64)v); }
template <class T> AC_FN T ac_atomic_sub(T* p, T v) { return ac_atomic_add(p, (T)(0 - v)); }
template <class T> AC_FN T ac_atomic_min(T* p, T v) { return atomicMin(p, v); }
template <class T> AC_FN T ac_atomic_max(T* p, T v) { return atomicMax(p, v); }
template <class T> AC_FN T ac_atomic_and(T* p, T v) { return atomicAnd(p, v); }
template <class T> AC_FN T ac_atomic_or(T* p, T v) { return atomicOr(p, v); }
template <class T> AC_FN T ac_atomic_xor(T* p, T v) { return atomicXor(p, v); }
AC_FN ac_i64 ac_atomic_and(ac_i64* p, ac_i64 v) { return (ac_i64)atomicAnd((ac_u64*)p, (ac_u64)v); }
AC_FN ac_i64 ac_atomic_or(ac_i64* p, ac_i64 v) { return (ac_i64)atomicOr((ac_u64*)p, (ac_u64)v); }
AC_FN ac_i64 ac_atomic_xor(ac_i64* p, ac_i64 v) { return (ac_i64)atomicXor((ac_u64*)p, (ac_u64)v); }
template <class T> AC_FN T ac_atomic_exch(T* p, T v) { return atomicExch(p, v); }
AC_FN ac_i64 ac_atomic_exch(ac_i64* p, ac_i64 v) { return (ac_i64)atomicExch((ac_u64*)p, (ac_u64)v); }
AC_FN ac_u32 ac_atomic_inc(ac_u32* p, ac_u32 v) { return atomicInc(p, v); }
AC_FN ac_u32 ac_atomic_dec(ac_u32* p, ac_u32 v) { return atomicDec(p, v); }
template <class T> AC_FN T ac_atomic_cas(T* p, T expected, T v) { return atomicCAS(p, expected, v); }
AC_FN ac_i64 ac_atomic_cas(ac_i64* p, ac_i64 e, ac_i64 v) {
  return (ac_i64)atomicCAS((ac_u64*)p, (ac_u64)e, (ac_u64)v);
}
#else
template <class T, class F> AC_FN T ac_update(T* p, F next) {
  T old, fresh;
  __atomic_load(p, &old, __ATOMIC_RELAXED);
  do {
    fresh = next(old);
  } while (!__atomic_compare_exchange(p, &old, &fresh, true, __ATOMIC_RELAXED, __ATOMIC_RELAXED));
  return old;
}
template <class T> struct ac_raw { typedef ac_u64 type; };
template <> struct ac_raw<ac_i32> { typedef ac_u32 type; };
template <> struct ac_raw<ac_u32> { typedef ac_u32 type; };
template <class T> AC_FN T ac_plus(T a, T b) {
  typedef typename ac_raw<T>::type U;
  return (T)((U)a + (U)b);
}
AC_FN float ac_plus(float a, float b) { return a + b; }
AC_FN double ac_plus(double a, double b) { return a + b; }
template <class T> AC_FN T ac_atomic_add(T* p, T v) {
  return ac_update(p, [v](T old) { return ac_plus(old, v); });
}
template <class T> AC_FN T ac_atomic_sub(T* p, T v) { return ac_atomic_add(p, (T)(0 - (ac_u64)v)); }
template <class T> AC_FN T ac_atomic_min(T* p, T v) {
  return ac_update(p, [v](T old) { return v < old ? v : old; });
}
template <class T> AC_FN T ac_atomic_max(T* p, T v) {
  return ac_update(p, [v](T old) { return old < v ? v : old; });
}
template <class T> AC_FN T ac_atomic_and(T* p, T v) {
  return ac_update(p, [v](T old) { return (T)(old & v); });
}
template <class T> AC_FN T ac_atomic_or(T* p, T v) {
  return ac_update(p, [v](T old) { return (T)(old | v); });
}
template <class T> AC_FN T ac_atomic_xor(T* p, T v) {
  return ac_update(p, [v](T old) { return (T)(old ^ v); });
}
template <class T> AC_FN T ac_atomic_exch(T* p, T v) {
  return ac_update(p, [v](T) { return v; });
}
AC_FN ac_u32 ac_atomic_inc(ac_u32* p, ac_u32 v) {
  return ac_update(p, [v](ac_u32 old) { return old >= v ? 0u : old + 1u; });
}
AC_FN ac_u32 ac_atomic_dec(ac_u32* p, ac_u32 v) {
  return ac_update(p, [v](ac_u32 old) { return old == 0 || old > v ? v : old - 1u; });
}
template <class T> AC_FN T ac_atomic_cas(T* p, T expected, T v) {
  return ac_update(p, [expected, v](T old) { return old == expected ? v : old; });
}
#endif

// Values of all threads of a level, joined in the same order on each run.
#define AC_JOIN(name, expression, zero)                  \
  struct ac_join_##name {                                \
    template <class T> static AC_FN_MEMBER T of(T a, T b) { return expression; } \
    template <class T> static AC_FN_MEMBER T none() { return zero; }             \
  };
#ifdef __CUDACC__
#define AC_FN_MEMBER __device__ __forceinline__
#else
#define AC_FN_MEMBER inline
#endif
template <class T> struct ac_limits { static AC_FN_MEMBER T most() { return ac_most<T>(); } static AC_FN_MEMBER T least() { return ac_least<T>(); } };
template <> struct ac_limits<float> { static AC_FN_MEMBER float most() { return ac_inf<float>(); } static AC_FN_MEMBER float least() { return -ac_inf<float>(); } };
template <> struct ac_limits<double> { static AC_FN_MEMBER double most() { return ac_inf<double>(); } static AC_FN_MEMBER double least() { return -ac_inf<double>(); } };
template <> struct ac_limits<bool> { static AC_FN_MEMBER bool most() { return true; } static AC_FN_MEMBER bool least() { return false; } };
template <class T> struct ac_modular { static AC_FN_MEMBER T add(T a, T b) { return (T)((ac_u64)a + (ac_u64)b); } static AC_FN_MEMBER T mul(T a, T b) { return (T)((ac_u64)a * (ac_u64)b); } };
template <> struct ac_modular<float> { static AC_FN_MEMBER float add(float a, float b) { return a + b; } static AC_FN_MEMBER float mul(float a, float b) { return a * b; } };
template <> struct ac_modular<double> { static AC_FN_MEMBER double add(double a, double b) { return a + b; } static AC_FN_MEMBER double mul(double a, double b) { return a * b; } };
AC_JOIN(add, (ac_modular<T>::add(a, b)), (T)0)
AC_JOIN(mul, (ac_modular<T>::mul(a, b)), (T)1)
AC_JOIN(min, (ac_min<T>(a, b)), ac_limits<T>::most())
AC_JOIN(max, (ac_max<T>(a, b)), ac_limits<T>::least())
AC_JOIN(and, (T)(a & b), (T) ~(T)0)
AC_JOIN(or, (T)(a | b), (T)0)
AC_JOIN(xor, (T)(a ^ b), (T)0)

template <class J, int L, class T> AC_FN T ac_reduce(ac_ctx* c, T x) {
#if defined(__CUDACC__)
  if (L == 0) return x;
  for (int o = 16; o; o >>= 1) x = J::of(x, __shfl_xor_sync(0xffffffffu, x, o));
  if (L == 1) return x;
  T* room = reinterpret_cast<T*>(c->scratch);
  if ((AC_BLOCK_LANE & 31u) == 0) room[AC_BLOCK_LANE >> 5] = x;
  AC_BLOCK_SYNC();
  x = room[0];
  for (unsigned i = 1; i < (AC_BLOCK_LANES + 31u) / 32u; i++) x = J::of(x, room[i]);
  AC_BLOCK_SYNC();
  return x;
#elif defined(AC_THREADS)
  if (L == 0) return x;
  T* room = reinterpret_cast<T*>(c->scratch);
  room[ac_test_lane()] = x;
  ac_test_sync();
  x = room[0];
  for (ac_u64 i = 1; i < ac_test_lanes(); i++) x = J::of(x, room[i]);
  ac_test_sync();
  return x;
#else
  (void)c;
  return x;
#endif
}
#define AC_REDUCE(name) \
  template <int L, class T> AC_FN T ac_reduce_##name(ac_ctx* c, T x) { return ac_reduce<ac_join_##name, L, T>(c, x); }
AC_REDUCE(add)
AC_REDUCE(mul)
AC_REDUCE(min)
AC_REDUCE(max)
AC_REDUCE(and)
AC_REDUCE(or)
AC_REDUCE(xor)
template <int L> AC_FN bool ac_any_of(ac_ctx* c, bool x) { return ac_reduce<ac_join_or, L, ac_u32>(c, x) != 0; }
template <int L> AC_FN bool ac_all_of(ac_ctx* c, bool x) { return ac_reduce<ac_join_min, L, ac_u32>(c, x) != 0; }

// Running values of an array in place; others have seen it before, and see it after.
template <class J, int L, class T> AC_FN void ac_scan(ac_ctx* c, T* a, ac_i64 n) {
  T carry = J::template none<T>();
  const ac_i64 lane = (ac_i64)ac_lane<L>(), lanes = (ac_i64)ac_lanes<L>();
  for (ac_i64 from = 0; from < n; from += lanes) {
    T x = from + lane < n ? a[from + lane] : J::template none<T>(), all = x;
#if defined(__CUDACC__)
    if (L != 0) {
      for (unsigned o = 1; o < 32; o <<= 1) {
        T before = __shfl_up_sync(0xffffffffu, x, o);
        if ((lane & 31) >= o) x = J::of(before, x);
      }
      all = __shfl_sync(0xffffffffu, x, 31);
    }
    if (L == 2) {
      T* room = reinterpret_cast<T*>(c->scratch);
      if ((lane & 31) == 31) room[lane >> 5] = x;
      AC_BLOCK_SYNC();
      T before = J::template none<T>();
      all = J::template none<T>();
      for (ac_i64 i = 0; i < (lanes + 31) / 32; i++) {
        if (i == lane >> 5) before = all;
        all = J::of(all, room[i]);
      }
      x = J::of(before, x);
      AC_BLOCK_SYNC();
    }
#elif defined(AC_THREADS)
    if (L != 0) {
      T* room = reinterpret_cast<T*>(c->scratch);
      room[lane] = x;
      ac_sync<L>();
      T before = J::template none<T>();
      all = J::template none<T>();
      for (ac_i64 i = 0; i < lanes; i++) {
        if (i == lane) before = all;
        all = J::of(all, room[i]);
      }
      x = J::of(before, x);
      ac_sync<L>();
    }
#endif
    if (from + lane < n) a[from + lane] = J::of(carry, x);
    carry = J::of(carry, all);
  }
  (void)c;
  ac_sync<L>();
}

// A neighbour of a stencil beyond the edge: 0 clamp, 1 zero (says so by -1), 2 periodic.
template <int B> AC_FN ac_i64 ac_edge(ac_i64 i, ac_i64 n) {
  if (i >= 0 && i < n) return i;
  if (B == 1) return -1;
  if (B == 0) return i < 0 ? 0 : n - 1;
  return ((i % n) + n) % n;
}
