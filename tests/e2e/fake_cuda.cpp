// A driver library without a device: it keeps the calls of this package and of its benchmarks, and
// runs their kernels on this processor, so that all of it can be driven without a GPU. The resident
// kernel is the CPU text of the program, named by AC_FAKE_RESIDENT.
#include <dlfcn.h>
#include <string.h>
#include <time.h>

#include <atomic>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <thread>
#include <vector>

typedef unsigned u32;
typedef uint64_t u64;

namespace {
struct Function {
  std::string name;
};
struct Stream {
  std::vector<std::thread> threads;
  std::atomic<int> running{0};
};
struct Launch {
  void* function;
  std::vector<u64> values;
};
struct Graph {
  Launch launch;
};
Stream streams[64];
int stream_count;
int context;
Graph* captured;
bool capturing;

u64 ns() {
  timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (u64)t.tv_sec * 1000000000ull + t.tv_nsec;
}
struct Mapped {
  volatile int64_t amount;
  volatile u32 tag, pad[13];
  volatile int64_t total;
  volatile u32 done, rest[13];
};

void run(const std::string& name, const std::vector<u64>& v, Stream* stream) {
  if (name == "bench_add" || name == "bench_add_value") {
    auto* line = (Mapped*)v[0];
    auto* total = (int64_t*)v[1];
    *total += name == "bench_add" ? line->amount : (int64_t)v[2];
    line->total = *total;
    std::atomic_thread_fence(std::memory_order_release);
    line->done = line->tag;
  } else if (name == "bench_echo") {
    auto* there = (const volatile u32*)v[0];
    auto* back = (volatile u32*)v[1];
    stream->running++;
    stream->threads.emplace_back([=] {
      for (u32 last = 0, value; (value = *there) != 0xffffffffu;) {
        if (value != last) *back = last = value;
        else std::this_thread::yield();
      }
      stream->running--;
    });
  } else if (name == "bench_reads") {
    const u32 n = (u32)v[2];
    for (u32 i = 0; i < n; i++) ((u32*)v[3])[i] = 100;
    ((u64*)v[4])[0] = ((u64*)v[4])[1] = 100ull * n;
  } else {  // a barrier: rounds, check, words, whole
    ((u64*)v[3])[0] = ((u64*)v[3])[1] = 20ull * (u32)v[0];
  }
}
int argument_count(const std::string& name) {
  if (name == "bench_echo") return 2;
  if (name.rfind("bench_add", 0) == 0) return 3;
  return name == "bench_reads" ? 5 : 4;
}
}  // namespace

extern "C" {
int cuInit(u32) { return 0; }
int cuDriverGetVersion(int* v) { return *v = 13000, 0; }
int cuDeviceGetCount(int* n) { return *n = 1, 0; }
int cuDeviceGet(int* d, int ordinal) { return *d = ordinal, 0; }
int cuDeviceGetName(char* name, int length, int) { return strncpy(name, "No device at all", length), 0; }
int cuDeviceTotalMem_v2(size_t* size, int) { return *size = 1ull << 30, 0; }
int cuDeviceGetAttribute(int* value, int attribute, int) {
  switch (attribute) {
    case 16: return *value = 2, 0;       // multiprocessors
    case 17: return *value = 0, 0;       // time limit
    case 75: return *value = 9, 0;       // compute capability
    case 76: return *value = 0, 0;
    default: return *value = 1, 0;
  }
}
int cuDevicePrimaryCtxRetain(void** c, int) { return *c = &context, 0; }
int cuDevicePrimaryCtxRelease_v2(int) { return 0; }
int cuCtxSetCurrent(void*) { return 0; }
int cuCtxGetCurrent(void** c) { return *c = nullptr, 0; }
int cuCtxSynchronize() {
  for (int i = 0; i < stream_count; i++)
    while (streams[i].running) std::this_thread::yield();
  return 0;
}
int cuModuleLoadData(void** module, const void* image) {
  if (memcmp(image, "\x7f" "ELF", 4)) return 200;
  return *module = &context, 0;
}
int cuModuleUnload(void*) { return 0; }
int cuModuleGetFunction(void** f, void*, const char* name) { return *f = new Function{name}, 0; }
int cuFuncGetAttribute(int* value, int, void*) { return *value = 32, 0; }
int cuFuncSetAttribute(void*, int attribute, int) { return attribute == 8 ? 0 : 1; }
int cuOccupancyMaxActiveBlocksPerMultiprocessor(int* n, void*, int, size_t) { return *n = 1, 0; }
int cuMemAlloc_v2(u64* at, size_t size) { return *at = (u64)calloc(1, size), 0; }
int cuMemFree_v2(u64 at) { return free((void*)at), 0; }
int cuMemAllocAsync(u64* at, size_t size, void*) { return cuMemAlloc_v2(at, size); }
int cuMemFreeAsync(u64 at, void*) { return cuMemFree_v2(at); }
int cuMemHostAlloc(void** p, size_t size, u32) { return *p = aligned_alloc(4096, size), 0; }
int cuMemFreeHost(void* p) { return free(p), 0; }
int cuMemHostRegister_v2(void*, size_t, u32 flags) { return flags == 3 ? 0 : 1; }
int cuMemHostUnregister(void*) { return 0; }
int cuMemHostGetDevicePointer_v2(u64* at, void* p, u32) { return *at = (u64)p, 0; }
int cuMemsetD8_v2(u64 at, unsigned char value, size_t n) { return memset((void*)at, value, n), 0; }
int cuMemsetD8Async(u64 at, unsigned char value, size_t n, void*) { return cuMemsetD8_v2(at, value, n); }
int cuMemcpyDtoH_v2(void* to, u64 from, size_t n) { return memcpy(to, (void*)from, n), 0; }
int cuMemGetInfo_v2(size_t* a, size_t* b) { return *a = *b = 1, 0; }
int cuStreamCreate(void** s, u32 flags) { return *s = &streams[stream_count++], flags == 1 ? 0 : 1; }
int cuStreamDestroy_v2(void*) { return 0; }
int cuStreamQuery(void* s) {
  auto* stream = (Stream*)s;
  if (stream->running) return 600;
  for (auto& thread : stream->threads) thread.join();
  stream->threads.clear();
  return 0;
}
int cuStreamSynchronize(void* s) {
  while (cuStreamQuery(s)) std::this_thread::yield();
  return 0;
}
int cuStreamBeginCapture_v2(void*, int) { return capturing = true, 0; }
int cuLaunchKernel(void* f, u32, u32, u32, u32, u32, u32, u32, void* s, void** arguments, void**) {
  auto* function = (Function*)f;
  std::vector<u64> values;
  const bool two_ints = argument_count(function->name) == 4;
  for (int i = 0; i < argument_count(function->name); i++) {
    const bool small = two_ints ? i < 2 : function->name == "bench_reads" ? i == 1 || i == 2
                                        : function->name == "bench_add" && i == 2;
    values.push_back(small ? *(u32*)arguments[i] : *(u64*)arguments[i]);
  }
  if (capturing) captured = new Graph{{f, values}};
  else run(function->name, values, (Stream*)s);
  return 0;
}
int cuStreamEndCapture(void*, void** graph) { return capturing = false, *graph = captured, 0; }
int cuGraphInstantiateWithFlags(void** exec, void* graph, u64) { return *exec = graph, 0; }
int cuGraphLaunch(void* exec, void* s) {
  auto* graph = (Graph*)exec;
  run(((Function*)graph->launch.function)->name, graph->launch.values, (Stream*)s);
  return 0;
}
int cuLaunchCooperativeKernel(void* f, u32 blocks, u32, u32, u32, u32, u32, u32, void* s, void** arguments) {
  if (((Function*)f)->name != "ac_resident") return 1;
  void* library = dlopen(getenv("AC_FAKE_RESIDENT"), RTLD_NOW);
  auto* body = (int (*)(void*, void*, u32, u32))dlsym(library, "ac_run");
  auto* stream = (Stream*)s;
  void *region = *(void**)arguments[0], *states = *(void**)arguments[1];
  for (u32 b = 0; b < blocks; b++) {
    stream->running++;
    stream->threads.emplace_back([=] {
      body(region, states, b, blocks);
      stream->running--;
    });
  }
  return 0;
}
int cuGetProcAddress_v2(const char* symbol, void** to, int, u64, int* status) {
  const std::string name(symbol);
  *to = nullptr;
  for (const char* suffix : {"_v2", ""})
    if (!*to) *to = dlsym(RTLD_DEFAULT, (name + suffix).c_str());
  void* self = dlopen("libcuda.so.1", RTLD_NOW | RTLD_NOLOAD);
  for (const char* suffix : {"_v2", ""})
    if (!*to && self) *to = dlsym(self, (name + suffix).c_str());
  if (status) *status = *to ? 0 : 1;
  return *to ? 0 : 500;
}
}
