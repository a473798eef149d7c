// Enumerates the interleavings of a small concurrent program, over the code that is shipped.
//
// The structure under test is instantiated over `explore::Atomics` instead of StdAtomics. Its
// threads are fibers of one OS thread; each stops before every atomic operation and lock, and the
// scheduler decides who goes on. All orders are visited, depth first, but for those that differ
// only in the order of independent operations (sleep sets: P. Godefroid, "Partial-Order Methods
// for the Verification of Concurrent Systems", 1996). A body must be deterministic and finite: it
// waits with `Atomic::wait`, or with `explore::yield` between two polls, never by spinning.
//
//   const auto result = explore::all([](explore::Run& run) {
//     Queue<explore::Atomics> queue;                  // built anew for every order
//     run.thread([&] { queue.push(&a); });
//     run.thread([&] { EXPLORE(queue.pop() != b); });
//     if (!run.go()) return;                          // true when all threads have ended
//     EXPLORE(queue.empty());
//   });
//   CHECK_EXPLORED(result);
//
// Memory orders count in two ways. Every atomic carries the vector clock that its releases
// publish, and plain memory accessed through the policy's read and write (or `explore::touch`) is
// checked against it: an access that no happens-before edge orders is a data race and fails.
// With `Options::store_buffers` a store that is not seq_cst waits in a buffer of its thread
// (total store order, as on x86): the order in which "I sleep" and "is it empty?" pass each other.
#pragma once

#include <setjmp.h>
#include <ucontext.h>

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <type_traits>
#include <unordered_map>
#include <vector>

namespace explore {

inline constexpr unsigned kMaxThreads = 6;

struct Options {
  bool store_buffers = false;
  std::uint64_t max_orders = 5'000'000;  // beyond it the search fails: it would not be exhaustive
};

struct Result {
  std::uint64_t orders = 0;  // explored to the end
  std::uint64_t pruned = 0;  // cut short, since another order stands for them
  std::string failure;       // empty: none was found
  bool ok() const { return failure.empty(); }
};

namespace detail {

using Clock = std::array<std::uint32_t, kMaxThreads + 1>;  // the last is the body's own

inline void join(Clock& into, const Clock& from) {
  for (std::size_t i = 0; i < into.size(); ++i) {
    into[i] = into[i] < from[i] ? from[i] : into[i];
  }
}

// What a thread is about to do: the places it touches and whether it can go on.
struct Op {
  const char* what = "starts";
  const void* place = nullptr;
  const void* place2 = nullptr;
  bool writes = false;
  std::function<bool()> enabled;
  bool anywhere = false;  // depends on every write

  bool depends_on(const Op& other) const {
    if (!writes && !other.writes) {
      return false;
    }
    if (anywhere || other.anywhere) {
      return true;
    }
    const auto touches = [&other](const void* p) {
      return p != nullptr && (p == other.place || p == other.place2);
    };
    return touches(place) || touches(place2);
  }
};

struct Buffered {
  const void* place;
  std::function<void()> apply;
};

// Switching by setjmp and longjmp needs no system call; the sanitizers only know swapcontext.
#ifdef __SANITIZE_ADDRESS__
struct Fiber {
  ucontext_t context{};
  void switch_to(Fiber& other) { swapcontext(&context, &other.context); }
};
#else
struct Fiber {
  ucontext_t context{};
  jmp_buf at;
  bool entered = true;  // false: only made, and `at` holds nothing yet
  [[gnu::noinline]] void switch_to(Fiber& other) {
    if (_setjmp(at) != 0) {
      return;
    }
    if (other.entered) {
      _longjmp(other.at, 1);
    }
    other.entered = true;
    setcontext(&other.context);
  }
};
#endif

struct Thread {
  Fiber fiber;
  std::unique_ptr<char[]> stack;
  std::function<void()> body;
  Op next;
  Clock clock{};
  std::deque<Buffered> buffer;
  std::uint64_t writes = 0;
  std::uint64_t seen = 0;  // of the others' writes, when it last yielded
  bool ended = false;
};

// One decision on the path: who could go, who went, who need not go any more.
struct Node {
  std::uint32_t enabled = 0;
  std::uint32_t sleep = 0;
  std::uint32_t done = 0;
  unsigned chosen = 0;
};

// What plain memory remembers of its last accesses.
struct Shadow {
  unsigned writer = kMaxThreads;
  std::uint32_t written = 0;
  Clock reads{};
};

struct Step {
  unsigned actor;
  const char* what;
  const void* place;
};

class Search {
 public:
  static constexpr std::size_t kStack = 64 * 1024;
  static constexpr unsigned kBody = kMaxThreads;  // the body outside go()

  explicit Search(Options options) : options_(options) {}

  static Search*& active() {
    static Search* instance = nullptr;
    return instance;
  }

  // -- used by the threads

  bool in_thread() const { return running_ != kBody; }
  bool buffers() const { return options_.store_buffers; }
  Thread& self() { return threads_[running_]; }
  Clock& clock() { return in_thread() ? self().clock : body_clock_; }
  void tick() { ++clock()[running_]; }

  // Stops until the scheduler lets this thread do `op`.
  void announce(Op op) {
    if (!in_thread() || over()) {
      return;
    }
    Thread& me = self();
    me.next = std::move(op);
    me.fiber.switch_to(scheduler_);
  }

  void fail(const std::string& why) {
    if (!over()) {
      failure_ = why;
      for (const Step& step : trace_) {
        char line[96];
        std::snprintf(line, sizeof line, "\n    thread %u%s %s %p", step.actor % kMaxThreads,
                      step.actor < kMaxThreads ? "" : "'s store", step.what, step.place);
        failure_ += line;
      }
    }
    if (in_thread()) {  // never resumed: the search is over
      self().fiber.switch_to(scheduler_);
    }
  }

  void plain_access(const void* place, bool writes) {
    Shadow& shadow = shadows_[place];
    const Clock& now = clock();
    bool ordered = shadow.written <= now[shadow.writer];
    if (writes) {
      for (std::size_t t = 0; t < now.size(); ++t) {
        ordered = ordered && shadow.reads[t] <= now[t];
      }
    }
    if (!ordered) {
      fail(std::string("data race: an unordered ") + (writes ? "write" : "read"));
      return;
    }
    tick();
    if (writes) {
      shadow.writer = running_;
      shadow.written = clock()[running_];
      shadow.reads = {};
    } else {
      shadow.reads[running_] = clock()[running_];
    }
  }

  // A write to all of it, after which it is as new memory.
  void end_of_life(const void* from, std::size_t bytes) {
    const auto* const start = static_cast<const char*>(from);
    for (auto it = shadows_.begin(); it != shadows_.end() && !over();) {
      const auto* const place = static_cast<const char*>(it->first);
      if (place >= start && place < start + bytes) {
        plain_access(place, true);
        it = shadows_.erase(it);
      } else {
        ++it;
      }
    }
  }

  // -- used by Run

  // Counts what the other threads wrote: a yielding thread waits to see it change.
  std::uint64_t changes_by_others(const Thread& me) const { return writes_ - me.writes; }

  void add(std::function<void()> body) {
    if (threads_.size() == kMaxThreads) {
      std::fprintf(stderr, "explorer: more than %u threads\n", kMaxThreads);
      std::abort();
    }
    threads_.emplace_back();
    Thread& thread = threads_.back();
    thread.body = std::move(body);
    thread.clock = body_clock_;
    if (stacks_.empty()) {
      thread.stack = std::make_unique<char[]>(kStack);
    } else {
      thread.stack = std::move(stacks_.back());
      stacks_.pop_back();
    }
    ucontext_t& context = thread.fiber.context;
    getcontext(&context);
    context.uc_stack.ss_sp = thread.stack.get();
    context.uc_stack.ss_size = kStack;
    context.uc_link = nullptr;
    makecontext(&context, &Search::enter, 0);
#ifndef __SANITIZE_ADDRESS__
    thread.fiber.entered = false;
#endif
  }

  void go() {
    while (!over()) {
      const std::uint32_t enabled = enabled_now();
      if (enabled == 0) {
        if (!all_ended()) {
          fail("deadlock: nobody can go on");
        }
        break;
      }
      step(pick(enabled));
    }
    for (Thread& thread : threads_) {
      join(body_clock_, thread.clock);
      stacks_.push_back(std::move(thread.stack));
    }
    threads_.clear();
    writes_ = 0;
  }

  Result run(const std::function<void()>& body) {
    Search* const before = active();
    active() = this;
    Result result;
    do {
      depth_ = 0;
      pruned_ = false;
      trace_.clear();
      shadows_.clear();
      body_clock_ = {};
      body();
      ++(pruned_ ? result.pruned : result.orders);
      if (result.orders + result.pruned > options_.max_orders && !over()) {
        failure_ = "not exhaustive: more orders than Options::max_orders";
      }
    } while (!over() && backtrack());
    active() = before;
    result.failure = failure_;
    return result;
  }

  bool over() const { return !failure_.empty(); }

 private:
  static void enter() {
    Search& search = *active();
    const unsigned me = search.running_;
    search.self().body();
    search.threads_[me].ended = true;
    search.threads_[me].fiber.switch_to(search.scheduler_);
  }

  // Actors of the schedule are the threads and, behind them, one flusher per thread's buffer.
  Op op_of(unsigned actor) {
    if (actor < kMaxThreads) {
      return threads_[actor].next;
    }
    Thread& owner = threads_[actor - kMaxThreads];
    return {"reaches memory", owner.buffer.front().place, &owner.buffer, true, nullptr};
  }

  std::uint32_t enabled_now() {
    std::uint32_t mask = 0;
    for (unsigned t = 0; t < threads_.size(); ++t) {
      const Thread& thread = threads_[t];
      if (!thread.ended && (!thread.next.enabled || thread.next.enabled())) {
        mask |= 1u << t;
      }
      if (!thread.buffer.empty()) {
        mask |= 1u << (t + kMaxThreads);
      }
    }
    return mask;
  }

  bool all_ended() const {
    for (const Thread& thread : threads_) {
      if (!thread.ended) {
        return false;
      }
    }
    return true;
  }

  unsigned pick(std::uint32_t enabled) {
    if (pruned_) {  // only to let the fibers run to their ends
      return static_cast<unsigned>(__builtin_ctz(enabled));
    }
    if (depth_ < path_.size()) {
      Node& node = path_[depth_++];
      if (node.enabled != enabled) {
        fail("the body is not deterministic");
      }
      return node.chosen;
    }
    Node node;
    node.enabled = enabled;
    node.sleep = next_sleep_;
    const std::uint32_t open = enabled & ~node.sleep;
    if (open == 0) {
      pruned_ = true;
      return static_cast<unsigned>(__builtin_ctz(enabled));
    }
    node.chosen = static_cast<unsigned>(__builtin_ctz(open));
    path_.push_back(node);
    ++depth_;
    return node.chosen;
  }

  void step(unsigned actor) {
    if (over()) {
      return;
    }
    const Op op = op_of(actor);
    if (!pruned_) {
      // Who was tried here before, or slept already, need not be tried after an operation that
      // is independent of theirs.
      const Node& node = path_[depth_ - 1];
      next_sleep_ = 0;
      const std::uint32_t sleepers = (node.sleep | node.done) & node.enabled;
      for (unsigned other = 0; other < 2 * kMaxThreads; ++other) {
        if ((sleepers >> other & 1) != 0 && other != actor && !op.depends_on(op_of(other))) {
          next_sleep_ |= 1u << other;
        }
      }
    }
    trace_.push_back({actor, op.what, op.place});
    if (op.writes) {
      ++writes_;
      ++threads_[actor % kMaxThreads].writes;
    }
    if (actor >= kMaxThreads) {
      Thread& owner = threads_[actor - kMaxThreads];
      const auto apply = std::move(owner.buffer.front().apply);
      owner.buffer.pop_front();
      apply();
      return;
    }
    running_ = actor;
    scheduler_.switch_to(threads_[actor].fiber);
    running_ = kBody;
  }

  bool backtrack() {
    next_sleep_ = 0;
    while (!path_.empty()) {
      Node& node = path_.back();
      node.done |= 1u << node.chosen;
      const std::uint32_t open = node.enabled & ~node.sleep & ~node.done;
      if (open != 0) {
        node.chosen = static_cast<unsigned>(__builtin_ctz(open));
        return true;
      }
      path_.pop_back();
    }
    return false;
  }

  Options options_;
  std::deque<Thread> threads_;
  std::vector<std::unique_ptr<char[]>> stacks_;
  std::vector<Node> path_;
  std::size_t depth_ = 0;
  std::uint32_t next_sleep_ = 0;
  bool pruned_ = false;
  std::uint64_t writes_ = 0;
  unsigned running_ = kBody;
  Fiber scheduler_;
  Clock body_clock_{};
  std::unordered_map<const void*, Shadow> shadows_;
  std::vector<Step> trace_;
  std::string failure_;
};

inline bool acquires(std::memory_order o) {
  return o == std::memory_order_acquire || o == std::memory_order_acq_rel ||
         o == std::memory_order_seq_cst || o == std::memory_order_consume;
}
inline bool releases(std::memory_order o) {
  return o == std::memory_order_release || o == std::memory_order_acq_rel ||
         o == std::memory_order_seq_cst;
}

}  // namespace detail

// The interface of std::atomic; each operation is a point where another thread may go first.
template <class T>
class Atomic {
  static_assert(std::is_trivially_copyable_v<T>);
  using Order = std::memory_order;
  static constexpr Order kSeqCst = std::memory_order_seq_cst;

 public:
  constexpr Atomic() noexcept = default;
  constexpr Atomic(T value) noexcept : value_(value) {}  // NOLINT: as std::atomic
  Atomic(const Atomic&) = delete;
  Atomic& operator=(const Atomic&) = delete;
  T operator=(T value) noexcept {
    store(value);
    return value;
  }
  operator T() const noexcept { return load(); }

  T load(Order order = kSeqCst) const noexcept {
    search().announce({"loads", this, nullptr, false, nullptr});
    return read(order);
  }

  void store(T value, Order order = kSeqCst) noexcept {
    detail::Search& s = search();
    if (s.buffers() && s.in_thread() && order != kSeqCst) {
      s.announce({"buffers a store to", &s.self().buffer, nullptr, true, nullptr});
      s.tick();
      pending_.push_back({&s.self(), value});
      const bool publishes = detail::releases(order);
      s.self().buffer.push_back({this, [this, value, publishes, clock = s.clock()] {
                                   pending_.pop_front();
                                   value_ = value;
                                   published_ = publishes ? clock : detail::Clock{};
                                 }});
      return;
    }
    announce_write("stores", s);
    s.tick();
    value_ = value;
    published_ = detail::releases(order) ? s.clock() : detail::Clock{};
  }

  T exchange(T value, Order order = kSeqCst) noexcept {
    return modify("exchanges", order, [value](T) { return value; });
  }
  T fetch_add(T n, Order order = kSeqCst) noexcept {
    return modify("adds to", order, [n](T old) { return static_cast<T>(old + n); });
  }
  T fetch_sub(T n, Order order = kSeqCst) noexcept {
    return modify("subtracts from", order, [n](T old) { return static_cast<T>(old - n); });
  }
  T fetch_or(T n, Order order = kSeqCst) noexcept {
    return modify("sets bits of", order, [n](T old) { return static_cast<T>(old | n); });
  }
  T fetch_and(T n, Order order = kSeqCst) noexcept {
    return modify("clears bits of", order, [n](T old) { return static_cast<T>(old & n); });
  }

  bool compare_exchange_strong(T& expected, T desired, Order success, Order failure) noexcept {
    announce_write("compares and exchanges", search());
    if (value_ != expected) {
      expected = read(failure);
      return false;
    }
    read(success);
    write(desired, success);
    return true;
  }
  bool compare_exchange_strong(T& expected, T desired, Order order = kSeqCst) noexcept {
    return compare_exchange_strong(expected, desired, order, on_failure(order));
  }
  bool compare_exchange_weak(T& expected, T desired, Order success, Order failure) noexcept {
    return compare_exchange_strong(expected, desired, success, failure);
  }
  bool compare_exchange_weak(T& expected, T desired, Order order = kSeqCst) noexcept {
    return compare_exchange_strong(expected, desired, order);
  }

  // Blocks until another thread has made the value different.
  void wait(T old, Order order = kSeqCst) const noexcept {
    search().announce({"awaits", this, nullptr, false, [this, old] { return value_ != old; }});
    read(order);
  }
  void notify_one() noexcept {}
  void notify_all() noexcept {}

 private:
  struct Pending {
    const detail::Thread* owner;
    T value;
  };

  static detail::Search& search() {
    if (detail::Search::active() == nullptr) {
      std::fprintf(stderr, "explorer: an atomic was used outside explore::all\n");
      std::abort();
    }
    return *detail::Search::active();
  }
  static constexpr Order on_failure(Order order) {
    if (order == std::memory_order_acq_rel) return std::memory_order_acquire;
    return order == std::memory_order_release ? std::memory_order_relaxed : order;
  }

  // A write to memory itself: what the thread still buffers has to get there first.
  void announce_write(const char* what, detail::Search& s) {
    if (!s.in_thread()) {
      return;
    }
    const auto* const buffer = &s.self().buffer;
    s.announce({what, this, buffer, true, [buffer] { return buffer->empty(); }});
  }

  T read(Order order) const noexcept {
    detail::Search& s = search();
    s.tick();
    if (s.in_thread()) {
      for (auto it = pending_.rbegin(); it != pending_.rend(); ++it) {
        if (it->owner == &s.self()) return it->value;
      }
    }
    if (detail::acquires(order)) {
      detail::join(s.clock(), published_);
    }
    return value_;
  }

  // The second half of a read-modify-write: it goes on with the release sequence of the first.
  void write(T value, Order order) noexcept {
    detail::Search& s = search();
    value_ = value;
    if (detail::releases(order)) {
      detail::join(published_, s.clock());
    }
  }

  template <class F>
  T modify(const char* what, Order order, F&& next) noexcept {
    announce_write(what, search());
    const T old = read(order);
    write(next(old), order);
    return old;
  }

  T value_{};
  mutable detail::Clock published_{};
  std::deque<Pending> pending_;
};

class Mutex {
 public:
  void lock() {
    detail::Search& s = *detail::Search::active();
    if (s.in_thread()) {
      const auto* const buffer = &s.self().buffer;
      s.announce(
          {"locks", this, buffer, true, [this, buffer] { return !held_ && buffer->empty(); }});
    }
    s.tick();
    held_ = true;
    detail::join(s.clock(), published_);
  }
  void unlock() {
    detail::Search& s = *detail::Search::active();
    if (s.in_thread()) {
      const auto* const buffer = &s.self().buffer;
      s.announce({"unlocks", this, buffer, true, [buffer] { return buffer->empty(); }});
    }
    s.tick();
    held_ = false;
    published_ = s.clock();
  }

 private:
  bool held_ = false;
  detail::Clock published_{};
};

struct Atomics {
  template <class T>
  using Atomic = explore::Atomic<T>;
  using Mutex = explore::Mutex;

  template <class T>
  static T read(const T& place) noexcept {
    detail::Search::active()->plain_access(&place, false);
    return place;
  }
  template <class T>
  static void write(T& place, T value) noexcept {
    detail::Search::active()->plain_access(&place, true);
    place = value;
  }
};

// States that this thread now uses (writes) the memory: another's unordered use is a race.
inline void touch(const void* place) { detail::Search::active()->plain_access(place, true); }

// Goes on once the others have written something since the last time: the pause of a poll loop.
inline void yield() {
  detail::Search& s = *detail::Search::active();
  detail::Thread& me = s.self();
  detail::Op op{"yields", nullptr, nullptr, false, nullptr, true};
  op.enabled = [&s, &me] { return s.changes_by_others(me) != me.seen; };
  s.announce(std::move(op));
  me.seen = s.changes_by_others(me);
}

// The same for a whole range that is given away: what was ever used in it, by whomever.
inline void touch_all(const void* from, std::size_t bytes) {
  detail::Search::active()->end_of_life(from, bytes);
}

// One order of the program: adds threads, runs them, lets the body look at what came out.
class Run {
 public:
  explicit Run(detail::Search& search) : search_(search) {}
  void thread(std::function<void()> body) { search_.add(std::move(body)); }
  // False when the search has ended with a failure: the body then returns at once.
  bool go() {
    search_.go();
    return !search_.over();
  }

 private:
  detail::Search& search_;
};

// Runs `body` once for every order that can make a difference, until one fails.
inline Result all(const std::function<void(Run&)>& body, Options options = {}) {
  detail::Search search(options);
  return search.run([&] {
    Run run(search);
    body(run);
  });
}

inline void require(bool condition, const char* text) {
  if (!condition) {
    detail::Search::active()->fail(text);
  }
}

}  // namespace explore

#define EXPLORE(condition) explore::require(static_cast<bool>(condition), #condition)

#define CHECK_EXPLORED(result)                                      \
  do {                                                              \
    const explore::Result& explored_ = (result);                    \
    std::printf("    %llu orders, %llu pruned\n",                   \
                static_cast<unsigned long long>(explored_.orders),  \
                static_cast<unsigned long long>(explored_.pruned)); \
    if (!explored_.ok()) {                                          \
      check::fail(__FILE__, __LINE__, explored_.failure.c_str());   \
    }                                                               \
  } while (false)
