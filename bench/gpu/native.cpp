// The host's side of the measurements, in C++ so that no interpreter is in the timer. The ring texts
// of the package come before it; it speaks the protocol as any host does.
#include <dlfcn.h>
#include <linux/futex.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <atomic>
#include <condition_variable>
#include <deque>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

namespace {

enum : ac_u32 { ADD = 0x0110 };  // kind of the one message: an amount to add; its reply is the total
constexpr ac_u64 LIMIT_NS = 20'000'000'000ull;  // nothing here takes so long

ac_u64 now() {
  timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (ac_u64)t.tv_sec * 1000000000ull + (ac_u64)t.tv_nsec;
}
void relax() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#endif
}

// One block's rings as the host holds them.
struct Block {
  ac_line* out;
  const ac_line* in;
  ac_dev_block* dev;
  ac_host_block* mine;
  ac_u32 mask, out_step, in_step, first;
  ac_u32 written = 0, read = 0, posted = 0, room_to = 0;
  ac_i64 sent = 0;  // the sum of all amounts
  ac_u32 generation = 0;

  bool room() {
    if ((ac_i32)(room_to - written) > 0) return true;
    room_to = ac_ld32(&dev->h2k_read) + mask + 1;
    return (ac_i32)(room_to - written) > 0;
  }
  ac_u32 handle() const { return first | (generation & 0xfffu) << AC_INDEX_BITS; }
  void put(ac_u32 kind, ac_u32 corr, ac_i64 amount) {
    ac_head head = {kind, handle(), corr, 0, 0, 0, kind == ADD ? 8u : 0u};
    ac_put(&out[(ac_u64)(written & mask) * out_step], written, head,
           [&](ac_u32 k) { return k == 0 ? (ac_u32)amount : k == 1 ? (ac_u32)(amount >> 32) : 0u; });
    written++;
    if (kind == ADD) sent += amount;
  }
  void ring() {  // after a batch: wakes the block if it sleeps
    std::atomic_thread_fence(std::memory_order_seq_cst);
    if (!ac_ld32(&dev->parked)) return;
    __atomic_add_fetch(&mine->bell, 1, __ATOMIC_SEQ_CST);
    syscall(SYS_futex, &mine->bell, FUTEX_WAKE, 1, nullptr, nullptr, 0);
  }
  // The next answer, if it is there: its correlation and first eight bytes.
  bool take(ac_head* head, ac_i64* value) {
    ac_u32 w[2] = {0, 0};
    const bool there = ac_take(
        &in[(ac_u64)(read & mask) * in_step], read, in_step, head, [](ac_u32) { return 8u; },
        [&](ac_u32 k, ac_u32 word) {
          if (k < 2) w[k] = word;
        });
    if (!there) return false;
    *value = (ac_i64)((ac_u64)w[1] << 32 | w[0]);
    read++;
    if (read - posted >= (mask + 1) / 16) ac_st32(&mine->k2h_read, posted = read);
    return true;
  }
  bool answer(ac_u32 corr, ac_i64* value) {
    ac_head head;
    const ac_u64 until = now() + LIMIT_NS;
    for (ac_u32 spins = 1; !take(&head, value); spins++) {
      if (spins % 65536 == 0 && now() > until) return false;
      relax();
    }
    return head.corr == corr && (head.word0 >> 16 & (AC_FLAG_REPLY | AC_FLAG_ERROR)) == AC_FLAG_REPLY;
  }
  bool command(ac_u32 kind) {
    ac_i64 status = -1;
    while (!room()) relax();
    put(kind, 1, 0);
    ring();
    return answer(1, &status) && (ac_u32)status == AC_STATUS_OK;
  }
};

struct Host {
  std::vector<Block> blocks;
  ac_host_line* line;
  std::atomic<bool> ends{false};
  std::thread beats;
};

}  // namespace

extern "C" {

// A host over a region whose kernel runs, with one actor in each block.
void* bench_open(unsigned char* region) {
  const ac_config* c = (const ac_config*)region;
  auto* host = new Host;
  host->line = (ac_host_line*)(region + c->host_line);
  for (ac_u32 i = 0; i < c->blocks; i++) {
    Block b = {};
    b.out = (ac_line*)(region + c->h2k) + (ac_u64)i * c->capacity * c->in_lines;
    b.in = (const ac_line*)(region + c->k2h) + (ac_u64)i * c->capacity * c->out_lines;
    b.dev = (ac_dev_block*)(region + c->dev_blocks) + i;
    b.mine = (ac_host_block*)(region + c->host_blocks) + i;
    b.mask = c->capacity - 1;
    b.out_step = c->in_lines;
    b.in_step = c->out_lines;
    b.first = i * c->actors;
    b.room_to = c->capacity;
    host->blocks.push_back(b);
  }
  host->beats = std::thread([host] {
    while (!host->ends) {
      timespec wall, pause = {0, 5000000};
      clock_gettime(CLOCK_REALTIME, &wall);
      ac_st64(&host->line->wall_us, (ac_u64)wall.tv_sec * 1000000 + wall.tv_nsec / 1000);
      ac_st64(&host->line->heartbeat, host->line->heartbeat + 1);
      nanosleep(&pause, nullptr);
    }
  });
  for (Block& b : host->blocks)
    if (!b.command(AC_COMMAND_SPAWN)) return nullptr;
  return host;
}

// Tells the blocks to end.
void bench_close(Host* host) {
  ac_st32(&host->line->stop, AC_STOP_NOW);
  for (Block& b : host->blocks) b.ring();
  host->ends = true;
  host->beats.join();
  delete host;
}

// B1: asks of block 0, one at a time; with `loaded` every other block has as many messages waiting.
// False if an answer is wrong.
bool bench_asks(Host* host, ac_u32 n, ac_u32 warm, ac_u32 loaded, ac_u32* samples) {
  Block& b = host->blocks[0];
  const size_t others = loaded ? host->blocks.size() : 1;
  for (ac_u32 i = 0; i < n + warm; i++) {
    for (size_t k = 1; k < others; k++) {
      Block& o = host->blocks[k];
      while (o.written - ac_ld32(&o.dev->h2k_read) < loaded && o.room()) o.put(ADD, 0, 1);
      o.ring();
    }
    const ac_i64 amount = 1 + i % 7;
    ac_i64 total = 0;
    const ac_u64 start = now();
    while (!b.room()) relax();
    b.put(ADD, i + 1, amount);
    b.ring();
    if (!b.answer(i + 1, &total)) return false;
    const ac_u64 took = now() - start;
    if (total != b.sent) return false;
    if (i >= warm) samples[i - warm] = took > 0xffffffffu ? 0xffffffffu : (ac_u32)took;
  }
  return true;
}

// B2: n asks over all blocks, at most `window` of a block under way; nanoseconds, 0 if one is wrong.
ac_u64 bench_window(Host* host, ac_u64 n, ac_u32 window) {
  ac_u64 sent = 0, got = 0;
  ac_head head;
  ac_i64 total;
  std::vector<ac_i64> sums(host->blocks.size());
  std::vector<ac_u32> asked(host->blocks.size()), answered(host->blocks.size());
  for (size_t k = 0; k < sums.size(); k++) sums[k] = host->blocks[k].sent;
  const ac_u64 start = now();
  ac_u64 last = start;
  while (got < n) {
    const ac_u64 before = got;
    for (size_t k = 0; k < sums.size(); k++) {
      Block& b = host->blocks[k];
      bool put = false;
      while (sent < n && asked[k] - answered[k] < window && b.room()) {
        asked[k]++;
        b.put(ADD, asked[k], 1 + asked[k] % 7);
        sent++;
        put = true;
      }
      if (put) b.ring();
      while (b.take(&head, &total)) {
        answered[k]++;
        sums[k] += 1 + answered[k] % 7;
        if (head.corr != answered[k] || total != sums[k]) return 0;
        got++;
      }
    }
    if (got != before) last = now();
    else if (now() - last > LIMIT_NS) return 0;
  }
  const ac_u64 took = now() - start;
  for (size_t k = 0; k < sums.size(); k++)
    if (host->blocks[k].sent != sums[k]) return 0;
  return took;
}

// B2: n tells over all blocks, then one ask of each, which is answered when all before it are
// handled; nanoseconds, 0 if a total is wrong.
ac_u64 bench_tells(Host* host, ac_u64 n, ac_u32 batch) {
  ac_u64 sent = 0;
  const ac_u64 start = now();
  ac_u64 last = start;
  while (sent < n) {
    const ac_u64 before = sent;
    for (Block& b : host->blocks) {
      ac_u32 put = 0;
      for (; put < batch && sent < n && b.room(); put++, sent++) b.put(ADD, 0, 1 + sent % 7);
      if (put) b.ring();
    }
    if (sent != before) last = sent % 1024 < batch ? now() : last;
    else if (now() - last > LIMIT_NS) return 0;
  }
  for (Block& b : host->blocks) {
    while (!b.room()) relax();
    b.put(ADD, 1, 0);
    b.ring();
  }
  for (Block& b : host->blocks) {
    ac_i64 total = 0;
    if (!b.answer(1, &total) || total != b.sent) return 0;
  }
  return now() - start;
}

// The hunt for torn, lost and doubled messages: each word of a message, and of its reply, follows from
// the message's number. The actor counts the words that do not; the host those of the replies, and
// replies out of order. Returns how many messages were answered; *wrong counts both kinds.
static ac_u32 hunt_word(ac_u32 n, ac_u32 k) {
  ac_u32 x = n * 0x9e3779b1u + k * 0x85ebca77u;
  x = (x ^ x >> 15) * 0x2c1b3c6du;
  return x ^ x >> 12;
}
enum : ac_u32 { HUNT = 0x0111, HUNT_WORDS = 24, HUNT_BACK = 12 };  // as in hunt.py
ac_u64 bench_hunt(Host* host, ac_u64 n, ac_u64* wrong) {
  ac_u64 sent = 0, got = 0, last = now();
  std::vector<ac_u32> asked(host->blocks.size()), answered(host->blocks.size());
  while (got < n) {
    const ac_u64 before = got;
    for (size_t at = 0; at < asked.size(); at++) {
      Block& b = host->blocks[at];
      bool put = false;
      while (sent < n && asked[at] - answered[at] <= b.mask && b.room()) {
        const ac_u32 number = ++asked[at];
        const ac_head head = {HUNT, b.handle(), number, 0, 0, 0, 4 * (HUNT_WORDS + 1)};
        ac_put(&b.out[(ac_u64)(b.written & b.mask) * b.out_step], b.written, head, [&](ac_u32 k) {
          return k == 0 ? number : k <= HUNT_WORDS ? hunt_word(number, k) : 0u;
        });
        b.written++;
        sent++;
        put = true;
      }
      if (put) b.ring();
      for (;;) {
        ac_head head;
        ac_u32 w[HUNT_BACK + 2] = {};
        const bool there = ac_take(
            &b.in[(ac_u64)(b.read & b.mask) * b.in_step], b.read, b.in_step, &head,
            [](ac_u32) { return (ac_u32)sizeof(w); },
            [&](ac_u32 k, ac_u32 word) {
              if (k < HUNT_BACK + 2) w[k] = word;
            });
        if (!there) break;
        b.read++;
        if (b.read - b.posted >= (b.mask + 1) / 16) ac_st32(&b.mine->k2h_read, b.posted = b.read);
        const ac_u32 number = ++answered[at];
        bool right = head.corr == number && w[0] == number && w[1] == 0;
        for (ac_u32 k = 0; k < HUNT_BACK; k++) right = right && w[k + 2] == hunt_word(number, k + 100);
        *wrong += !right;
        got++;
      }
    }
    if (got != before) last = now();
    else if (now() - last > LIMIT_NS) break;
  }
  return got;
}

// B6: an actor is stopped and another one made in its place; each is a sample. False if one is refused.
bool bench_lives(Host* host, ac_u32 n, ac_u32 warm, ac_u32* samples) {
  Block& b = host->blocks[0];
  for (ac_u32 i = 0; i < n + warm; i++) {
    const ac_u64 start = now();
    if (!b.command(AC_COMMAND_STOP)) return false;
    b.generation++;
    if (!b.command(AC_COMMAND_SPAWN)) return false;
    const ac_u64 took = now() - start;
    if (i >= warm) samples[i - warm] = (ac_u32)took;
  }
  ac_i64 total = -1;
  b.sent = 0;
  b.put(ADD, 9, 5);
  b.ring();
  return b.answer(9, &total) && total == 5;  // it started from its initial state
}

// Floors and baselines on this processor.

// A word there and back between two threads, with nothing else.
bool bench_floor_word(ac_u32 n, ac_u32 warm, ac_u32* samples) {
  struct alignas(128) Word {
    std::atomic<ac_u32> v{0};
  };
  auto words = std::make_unique<Word[]>(2);
  std::thread other([&] {
    for (ac_u32 i = 1; i <= n + warm; i++) {
      while (words[0].v.load(std::memory_order_acquire) != i) relax();
      words[1].v.store(i * 3, std::memory_order_release);
    }
  });
  bool right = true;
  for (ac_u32 i = 1; i <= n + warm; i++) {
    const ac_u64 start = now();
    words[0].v.store(i, std::memory_order_release);
    ac_u32 got;
    while ((got = words[1].v.load(std::memory_order_acquire)) != i * 3) relax();
    const ac_u64 took = now() - start;
    right = right && got == i * 3;
    if (i > warm) samples[i - warm - 1] = (ac_u32)took;
  }
  other.join();
  return right;
}

struct Queue {
  std::mutex lock;
  std::condition_variable there, done;
  std::deque<ac_i64> messages, replies;
  ac_i64 total = 0;
  void serve(ac_u64 n, bool reply) {
    std::unique_lock<std::mutex> held(lock);
    for (ac_u64 i = 0; i < n;) {
      there.wait(held, [&] { return !messages.empty(); });
      while (!messages.empty()) {
        total += messages.front();
        messages.pop_front();
        i++;
        if (reply) replies.push_back(total);
      }
      if (reply) done.notify_one();
    }
    done.notify_one();
  }
};

// A thread with a locked queue and a condition variable: what one would write by hand.
bool bench_queue_asks(ac_u32 n, ac_u32 warm, ac_u32* samples) {
  Queue q;
  std::thread other([&] { q.serve((ac_u64)n + warm, true); });
  ac_i64 sum = 0;
  bool right = true;
  for (ac_u32 i = 0; i < n + warm; i++) {
    const ac_i64 amount = 1 + i % 7;
    const ac_u64 start = now();
    std::unique_lock<std::mutex> held(q.lock);
    q.messages.push_back(amount);
    q.there.notify_one();
    q.done.wait(held, [&] { return !q.replies.empty(); });
    right = right && q.replies.front() == (sum += amount);
    q.replies.pop_front();
    if (i >= warm) samples[i - warm] = (ac_u32)(now() - start);
  }
  other.join();
  return right;
}
ac_u64 bench_queue_tells(ac_u64 n) {
  Queue q;
  std::thread other([&] { q.serve(n, false); });
  ac_i64 sum = 0;
  const ac_u64 start = now();
  for (ac_u64 i = 0; i < n; i++) {
    const ac_i64 amount = 1 + i % 7;
    sum += amount;
    std::lock_guard<std::mutex> held(q.lock);
    q.messages.push_back(amount);
    if (q.messages.size() == 1) q.there.notify_one();
  }
  other.join();
  return q.total == sum ? now() - start : 0;
}
// A thread of its own for each state: made, one message, joined.
bool bench_threads(ac_u32 n, ac_u32 warm, ac_u32* samples) {
  bool right = true;
  for (ac_u32 i = 0; i < n + warm; i++) {
    const ac_u64 start = now();
    ac_i64 total = 0;
    std::thread([&] { total += i; }).join();
    right = right && total == i;
    if (i >= warm) samples[i - warm] = (ac_u32)(now() - start);
  }
  return right;
}

// The handler alone, called n times by the thread that has the messages.
static __attribute__((noinline)) void handle(ac_i64* total, const ac_i64* amount) {
  *total += *amount;
  __asm__ volatile("" : : : "memory");
}
ac_u64 bench_loop(ac_u64 n) {
  ac_i64 total = 0, sum = 0;
  const ac_u64 start = now();
  for (ac_u64 i = 0; i < n; i++) {
    const ac_i64 amount = 1 + i % 7;
    sum += amount;
    handle(&total, &amount);
  }
  return total == sum ? now() - start : 0;
}

// Launches, each of which adds what lies in mapped memory and puts the total back there.

struct Mapped {  // as in kernels.cu
  volatile ac_i64 amount;
  volatile ac_u32 tag, pad[13];
  volatile ac_i64 total;
  volatile ac_u32 done, rest[13];
};

struct Calls {
  int (*launch)(void*, unsigned, unsigned, unsigned, unsigned, unsigned, unsigned, unsigned, void*,
                void**, void**);
  int (*sync)(void*);
  int (*begin)(void*, int);
  int (*end)(void*, void**);
  int (*make)(void**, void*, unsigned long long);
  int (*graph)(void*, void*);
};

// 0, or the first driver call that failed, negative: an answer was wrong. how: 0 launch and wait for
// the stream, 1 the same with a graph, 2 launch and watch the word that the kernel writes.
int bench_launches(void* function, void* stream, Mapped* line, ac_u64 line_there, ac_u64 total_there,
                   int how, ac_u32 n, ac_u32 warm, ac_u32* samples) {
  void* library = dlopen("libcuda.so.1", RTLD_NOW);
  if (!library) return 1;
  Calls c;
  *(void**)&c.launch = dlsym(library, "cuLaunchKernel");
  *(void**)&c.sync = dlsym(library, "cuStreamSynchronize");
  *(void**)&c.begin = dlsym(library, "cuStreamBeginCapture_v2");
  *(void**)&c.end = dlsym(library, "cuStreamEndCapture");
  *(void**)&c.make = dlsym(library, "cuGraphInstantiateWithFlags");
  *(void**)&c.graph = dlsym(library, "cuGraphLaunch");
  if (!c.launch || !c.sync || !c.begin || !c.end || !c.make || !c.graph) return 2;
  ac_u32 flags = how == 2;
  void* arguments[] = {&line_there, &total_there, &flags};
  void* exec = nullptr;
  if (how == 1) {
    void* graph = nullptr;
    if (c.begin(stream, 1)) return 3;
    if (c.launch(function, 1, 1, 1, 32, 1, 1, 0, stream, arguments, nullptr)) return 4;
    if (c.end(stream, &graph) || c.make(&exec, graph, 0)) return 5;
  }
  ac_i64 sum = 0;
  for (ac_u32 i = 0; i < n + warm; i++) {
    const ac_i64 amount = 1 + i % 7;
    const ac_u64 start = now();
    line->amount = amount;
    line->tag = i + 1;
    std::atomic_thread_fence(std::memory_order_release);
    if (how == 1 ? c.graph(exec, stream)
                 : c.launch(function, 1, 1, 1, 32, 1, 1, 0, stream, arguments, nullptr))
      return 6;
    if (how == 2) {
      for (ac_u32 spins = 1; line->done != i + 1; spins++) {
        if (spins % 1048576 == 0 && now() - start > LIMIT_NS) return 8;
        relax();
      }
    } else if (c.sync(stream)) {
      return 7;
    }
    std::atomic_thread_fence(std::memory_order_acquire);
    const ac_i64 total = line->total;
    const ac_u64 took = now() - start;
    if (total != (sum += amount) || line->done != i + 1) return -1;
    if (i >= warm) samples[i - warm] = (ac_u32)took;
  }
  return c.sync(stream) ? 9 : 0;
}

// n launches of which none is waited for, but the last; nanoseconds, 0: a call failed or the total is
// wrong.
ac_u64 bench_launch_flood(void* function, void* stream, Mapped* line, ac_u64 line_there,
                          ac_u64 total_there, ac_u64 n) {
  void* library = dlopen("libcuda.so.1", RTLD_NOW);
  if (!library) return 0;
  Calls c;
  *(void**)&c.launch = dlsym(library, "cuLaunchKernel");
  *(void**)&c.sync = dlsym(library, "cuStreamSynchronize");
  if (!c.launch || !c.sync) return 0;
  ac_i64 sum = 0, amount = 0;
  void* arguments[] = {&line_there, &total_there, &amount};
  const ac_u64 start = now();
  for (ac_u64 i = 0; i < n; i++) {
    sum += amount = 1 + i % 7;
    if (c.launch(function, 1, 1, 1, 32, 1, 1, 0, stream, arguments, nullptr)) return 0;
  }
  if (c.sync(stream)) return 0;
  const ac_u64 took = now() - start;
  return line->total == sum ? took : 0;
}

// A word through mapped memory to a kernel of one thread that only sends it back. False: a wrong one.
bool bench_echo(volatile ac_u32* there, const volatile ac_u32* back, ac_u32 n, ac_u32 warm,
                ac_u32* samples) {
  bool right = true;
  for (ac_u32 i = 1; i <= n + warm && right; i++) {
    const ac_u64 start = now();
    *there = i;
    ac_u32 got;
    while ((got = *back) == i - 1) {
      relax();
      if (now() - start > LIMIT_NS) break;
    }
    const ac_u64 took = now() - start;
    right = got == i;
    if (i > warm) samples[i - warm - 1] = (ac_u32)took;
  }
  *there = 0xffffffffu;  // the kernel ends
  return right;
}

}  // extern "C"
