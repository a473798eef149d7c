// Floors and baselines on the device, for NVRTC. Each kernel does one thing.
typedef unsigned u32;
typedef unsigned long long u64;
typedef long long i64;

__device__ __forceinline__ u64 device_ns() {
  u64 t;
  asm volatile("mov.u64 %0, %%globaltimer;" : "=l"(t));
  return t;
}
__device__ __forceinline__ u32 ld_sys(const u32* p) {
  u32 v;
  asm volatile("ld.relaxed.sys.global.u32 %0, [%1];" : "=r"(v) : "l"(p) : "memory");
  return v;
}
__device__ __forceinline__ void st_sys(u32* p, u32 v) {
  asm volatile("st.relaxed.sys.global.u32 [%0], %1;" ::"l"(p), "r"(v) : "memory");
}

struct Mapped {  // as in native.cpp
  volatile i64 amount;
  volatile u32 tag, pad[13];
  volatile i64 total;
  volatile u32 done, rest[13];
};

// What one launch of the baselines does: the work of one message.
extern "C" __global__ void bench_add(Mapped* line, i64* total, u32 fenced) {
  if (threadIdx.x) return;
  *total += line->amount;
  line->total = *total;
  if (fenced) __threadfence_system();
  line->done = line->tag;
}

// The same for launches that follow each other without a wait: the message is an argument.
extern "C" __global__ void bench_add_value(Mapped* line, i64* total, i64 amount) {
  if (threadIdx.x) return;
  *total += amount;
  line->total = *total;
}

// A word there and back: the least that a round trip through mapped memory can take.
extern "C" __global__ void bench_echo(const u32* there, u32* back) {
  for (u32 last = 0;;) {
    const u32 v = ld_sys(there);
    if (v == 0xffffffffu) return;
    if (v != last) st_sys(back, last = v);
  }
}

// Loads of mapped memory, each of which waits for the one before; cycles of each. Word i holds i + 1.
extern "C" __global__ void bench_reads(const u32* host, u32 words, u32 n, u32* cycles, u64* whole) {
  const u64 ns = device_ns(), all = clock64();
  u32 at = 0, wrong = 0;
  for (u32 i = 0; i < n; i++) {
    const u64 start = clock64();
    const u32 v = ld_sys(&host[at]);
    at = v % words;
    cycles[i] = (u32)(clock64() - start);
    wrong += at != (i + 1) % words;
  }
  whole[0] = clock64() - all;
  whole[1] = device_ns() - ns;
  whole[2] = wrong;
}

// B5: one barrier for each round, and nothing else. `seen` non-zero: a round of the check instead, in
// which each thread sees what another wrote before the barrier; whole[2] counts what it did not see.
#define AROUND(name, attributes, barrier)                                                            \
  extern "C" __global__ void attributes name(u32 n, u32 check, u32* words, u64* whole) {             \
    const u32 me = blockIdx.x * blockDim.x + threadIdx.x, all = gridDim.x * blockDim.x;              \
    const u32 other = name##_scope == 0 ? blockIdx.x * blockDim.x + (threadIdx.x + 1) % blockDim.x   \
                                        : (me + blockDim.x) % all;                                   \
    u32 wrong = 0, round = 0;                                                                        \
    (void)round;                                                                                     \
    barrier;                                                                                         \
    const u64 ns = device_ns(), start = clock64();                                                   \
    if (check) {                                                                                     \
      for (u32 i = 1; i <= n; i++) {                                                                 \
        ((volatile u32*)words)[me] = i;                                                              \
        __threadfence();                                                                             \
        barrier;                                                                                     \
        wrong += ((volatile u32*)words)[other] != i;                                                 \
        barrier;                                                                                     \
      }                                                                                              \
    } else {                                                                                         \
      for (u32 i = 0; i < n; i++) {                                                                  \
        barrier;                                                                                     \
      }                                                                                              \
    }                                                                                                \
    const u64 cycles = clock64() - start, took = device_ns() - ns;                                   \
    if (wrong) atomicAdd(&whole[2], (u64)wrong);                                                     \
    if (me == 0) {                                                                                   \
      whole[0] = cycles;                                                                             \
      whole[1] = took;                                                                               \
    }                                                                                                \
  }
enum { bench_empty_scope = 0, bench_block_scope = 0, bench_grid_scope = 1, bench_cluster2_scope = 1,
       bench_cluster4_scope = 1, bench_cluster8_scope = 1 };

__device__ u32 arrived;  // of the grid's barrier; starts at 0 with each load of the module
__device__ __forceinline__ void grid_barrier(u32& round) {
  __syncthreads();
  round++;
  if (threadIdx.x == 0) {
    asm volatile("red.release.gpu.global.add.u32 [%0], 1;" ::"l"(&arrived) : "memory");
    u32 v;
    do {
      asm volatile("ld.acquire.gpu.global.u32 %0, [%1];" : "=r"(v) : "l"(&arrived) : "memory");
    } while (v < round * gridDim.x);
  }
  __syncthreads();
}
__device__ __forceinline__ void cluster_barrier() {
#if __CUDA_ARCH__ >= 900
  asm volatile("barrier.cluster.arrive.release.aligned;\n barrier.cluster.wait.acquire.aligned;" ::: "memory");
#endif
}
// A block's barrier written by hand with an atomic in shared memory.
__device__ __forceinline__ void counter_barrier(u32* count, u32& round) {
  round++;
  __threadfence_block();
  atomicAdd(count, 1u);
  while (*(volatile u32*)count < round * blockDim.x) {
  }
  __threadfence_block();
}

AROUND(bench_empty, , asm volatile("" ::: "memory"))
AROUND(bench_block, , __syncthreads())
AROUND(bench_grid, , grid_barrier(round))
#if __CUDA_ARCH__ >= 900
AROUND(bench_cluster2, __cluster_dims__(2, 1, 1), cluster_barrier())
AROUND(bench_cluster4, __cluster_dims__(4, 1, 1), cluster_barrier())
AROUND(bench_cluster8, __cluster_dims__(8, 1, 1), cluster_barrier())
#endif
extern "C" __global__ void bench_counter(u32 n, u32 check, u32* words, u64* whole) {
  __shared__ u32 count;
  if (threadIdx.x == 0) count = 0;
  __syncthreads();
  u32 round = 0, wrong = 0;
  const u32 other = (threadIdx.x + 1) % blockDim.x;
  const u64 ns = device_ns(), start = clock64();
  for (u32 i = 1; i <= n; i++) {
    if (check) ((volatile u32*)words)[threadIdx.x] = i;
    if (check) __threadfence_block();
    counter_barrier(&count, round);
    if (check) wrong += ((volatile u32*)words)[other] != i;
    if (check) counter_barrier(&count, round);
  }
  const u64 cycles = clock64() - start, took = device_ns() - ns;
  if (wrong) atomicAdd(&whole[2], (u64)wrong);
  if (threadIdx.x == 0) {
    whole[0] = cycles;
    whole[1] = took;
  }
}
