// The same calls for ctypes, cffi and a bare loop: the core's ring ends, with no Python around.
#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <actinium/gpu_ring.hpp>

#include <climits>
#include <cstring>
#include <ctime>

namespace {

namespace ring = actinium::gpu;

struct Host {
  ring::Region region;
  ring::ToBlock to;
  ring::FromBlock from;
  unsigned char data[4096];
  unsigned int corr = 0;
};
Host host;

long long now_ns() {
  timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec * 1000000000ll + t.tv_nsec;
}

void bell() {
  if (host.to.must_ring())
    syscall(SYS_futex, host.to.ring(), FUTEX_WAKE, INT_MAX, nullptr, nullptr, 0);
}

void put(unsigned int dest, long long amount, unsigned int corr) {
  while (!host.to.has_room()) {
    host.from.post();
    bell();
  }
  alignas(16) unsigned char bytes[36] = {};
  std::memcpy(bytes, &amount, 8);
  ring::Head h;
  h.kind = 0x0110;
  h.dest = dest;
  h.corr = corr;
  h.size = 16;
  host.to.put(h, bytes);
}

}  // namespace

extern "C" int bench_attach(void* region, unsigned long long size, unsigned long long program) {
  const auto what = host.region.attach(static_cast<unsigned char*>(region), size, program);
  if (what != ring::Attached::ok) return static_cast<int>(what);
  host.to.open(host.region, 0);
  host.from.open(host.region, 0);
  return 0;
}

extern "C" long long bench_ask(unsigned int dest, long long amount) {
  put(dest, amount, ++host.corr);
  bell();
  ring::Head h;
  while (!host.from.take(h, host.data, [](const ring::Head&) { return 8; })) {
#if defined(__x86_64__)
    __builtin_ia32_pause();
#endif
  }
  long long total;
  std::memcpy(&total, host.data, 8);
  return total;
}

// A command for a free place: SPAWN; the status.
extern "C" unsigned int bench_spawn(unsigned int dest) {
  ring::Head h;
  h.kind = AC_COMMAND_SPAWN;
  h.dest = dest;
  while (!host.to.has_room()) {
  }
  host.to.put(h, host.data);
  bell();
  while (!host.from.take(h, host.data, [](const ring::Head&) { return 8; })) {
  }
  unsigned int status;
  std::memcpy(&status, host.data, 4);
  return status;
}

// The least and the total of so many asks in windows of 8, in nanoseconds.
extern "C" long long bench_asks(unsigned int dest, long long n, double* windows) {
  long long total = 0;
  for (long long i = 0; i < n / 8; i++) {
    const long long began = now_ns();
    for (int k = 0; k < 8; k++)
      total = bench_ask(dest, 1);
    windows[i] = static_cast<double>(now_ns() - began) / 8;
  }
  return total;
}

extern "C" void bench_tells(unsigned int dest, const void* packed, long long n) {
  const auto* from = static_cast<const unsigned char*>(packed);
  for (long long i = 0; i < n; i++, from += 16) {
    long long amount;
    std::memcpy(&amount, from, 8);
    put(dest, amount, 0);
  }
  bell();
}
