// Exhaustive search over the interleavings of a few threads, for lock-free code on small bounds.
//
// Code under test takes its atomics from a policy (actinium/sync.hpp); with `explorer::Sync` each
// atomic operation becomes a point where another thread may go on. `explore` runs the scenario
// again and again, each time along another interleaving, until none is left; a failed check, or
// a state in which nobody can go on (a lost wake-up), ends the process with the schedule printed.
//
// Threads are fibers of one OS thread. A plain store (relaxed or release) goes into the thread's
// store buffer and becomes visible at some later step, in order: what x86 does, so a protocol that
// lacks a sequentially consistent store or fence between its store and its load is caught. Orders
// weaker than that are ThreadSanitizer's part.
//
// Two operations that do not touch the same atomic, or only read it, may be swapped without any
// difference; sleep sets (P. Godefroid, "Partial-Order Methods", 1996) skip such repetitions and
// nothing else.
#pragma once

#include <setjmp.h>
#include <ucontext.h>

#include <array>
#include <atomic>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <functional>
#include <memory>
#include <utility>
#include <vector>

#include "check.hpp"

namespace explorer {

// One run's threads, made anew for each interleaving, and what must hold once all have ended.
struct Scenario {
  std::vector<std::function<void()>> threads;
  std::function<void()> check;
};

struct Result {
  std::uint64_t interleavings = 0;  // run to the end
  std::uint64_t skipped = 0;        // found to repeat one of those
  bool complete = false;            // false: the limit came first
};

namespace detail {

inline constexpr int kMaxThreads = 4;
inline constexpr int kMaxActors = 2 * kMaxThreads;  // each thread and its store buffer
inline constexpr std::size_t kStack = 64 << 10;
inline constexpr std::size_t kMaxSteps = 2000;

struct Op {
  const void* address = nullptr;  // null: depends on everything that is written
  bool writes = false;
};

inline bool dependent(const Op& a, const Op& b) {
  if (!a.writes && !b.writes) {
    return false;
  }
  return a.address == b.address || a.address == nullptr || b.address == nullptr;
}

struct Store {
  void* address;
  std::uint64_t bits;
  std::uint8_t size;
};

struct Fiber {
  std::function<void()> body;
  std::function<bool()> until;  // set: waits for this
  std::vector<Store> buffer;
  ucontext_t start;
  jmp_buf at;
  Op next;
  bool started = false;
  bool ended = false;
  bool drains = false;  // its next operation waits for its own stores to be visible
};

struct Node {
  std::uint32_t able = 0;
  std::uint32_t sleep = 0;  // whose step from here repeats another interleaving
  std::uint32_t tried = 0;
  int chosen = -1;

  std::uint32_t fresh() const { return able & ~sleep & ~tried; }
};

class Engine {
 public:
  static Engine*& current() {
    static Engine* engine = nullptr;
    return engine;
  }

  explicit Engine(std::function<Scenario()> make) : make_(std::move(make)) {
    for (auto& stack : stacks_) {
      stack = std::make_unique<char[]>(kStack);
    }
  }

  Result run(std::uint64_t limit) {
    Result result;
    current() = this;
    do {
      if (run_once()) {
        ++result.interleavings;
      } else {
        ++result.skipped;
      }
      result.complete = !backtrack();
    } while (!result.complete && result.interleavings + result.skipped < limit);
    current() = nullptr;
    return result;
  }

  // Called by a fiber before an operation that others can notice.
  void point(Op op, bool drains) {
    if (running_ < 0) {
      return;  // setting up or checking: nobody else runs
    }
    Fiber& fiber = fibers_[static_cast<std::size_t>(running_)];
    fiber.next = op;
    fiber.drains = drains;
    if (_setjmp(fiber.at) == 0) {
      _longjmp(home_, 1);
    }
  }

  void wait(std::function<bool()> until) {
    Fiber& fiber = fibers_[static_cast<std::size_t>(running_)];
    fiber.until = std::move(until);
    point(Op{nullptr, false}, true);
    fiber.until = nullptr;
  }

  bool exploring() const { return running_ >= 0; }

  void put(Store store) { fibers_[static_cast<std::size_t>(running_)].buffer.push_back(store); }

  // The newest store of this thread to the address that is not visible yet, or null.
  const Store* own(const void* address) const {
    const auto& buffer = fibers_[static_cast<std::size_t>(running_)].buffer;
    for (auto it = buffer.rbegin(); it != buffer.rend(); ++it) {
      if (it->address == address) {
        return &*it;
      }
    }
    return nullptr;
  }

  [[noreturn]] void fail(const char* what) {
    std::fprintf(stderr, "%s, on the schedule (a thread's step, or 'b' its buffer's):", what);
    for (std::size_t i = 0; i < depth_; ++i) {
      const int who = path_[i].chosen;
      std::fprintf(stderr, " %d%s", who % kMaxThreads, who < kMaxThreads ? "" : "b");
    }
    std::fprintf(stderr, "\n");
    std::exit(1);
  }

 private:
  static void enter() {
    Engine& engine = *current();
    Fiber& fiber = engine.fibers_[static_cast<std::size_t>(engine.running_)];
    fiber.body();
    fiber.ended = true;
    _longjmp(engine.home_, 1);
  }

  void resume(int thread) {
    Fiber& fiber = fibers_[static_cast<std::size_t>(thread)];
    running_ = thread;
    if (_setjmp(home_) == 0) {
      if (fiber.started) {
        _longjmp(fiber.at, 1);
      }
      fiber.started = true;
      getcontext(&fiber.start);
      fiber.start.uc_stack.ss_sp = stacks_[static_cast<std::size_t>(thread)].get();
      fiber.start.uc_stack.ss_size = kStack;
      fiber.start.uc_link = nullptr;
      makecontext(&fiber.start, &Engine::enter, 0);
      setcontext(&fiber.start);
    }
    running_ = -1;
  }

  bool enabled(int who) const {
    const Fiber& fiber = fibers_[static_cast<std::size_t>(who % kMaxThreads)];
    if (who >= kMaxThreads) {
      return !fiber.buffer.empty();
    }
    if (fiber.ended || (fiber.drains && !fiber.buffer.empty())) {
      return false;
    }
    return !fiber.until || fiber.until();
  }

  Op op_of(int who) const {
    const Fiber& fiber = fibers_[static_cast<std::size_t>(who % kMaxThreads)];
    return who < kMaxThreads ? fiber.next : Op{fiber.buffer.front().address, true};
  }

  void step(int who) {
    if (who < kMaxThreads) {
      resume(who);
      return;
    }
    Fiber& fiber = fibers_[static_cast<std::size_t>(who - kMaxThreads)];
    const Store store = fiber.buffer.front();
    fiber.buffer.erase(fiber.buffer.begin());
    std::memcpy(store.address, &store.bits, store.size);
  }

  // One interleaving: along the known path, then wherever was not tried. False: a repetition.
  bool run_once() {
    Scenario scenario = make_();
    const int n = static_cast<int>(scenario.threads.size());
    fibers_ = {};
    depth_ = 0;
    for (int i = 0; i < kMaxThreads; ++i) {
      fibers_[static_cast<std::size_t>(i)].ended = i >= n;
    }
    for (int i = 0; i < n; ++i) {
      fibers_[static_cast<std::size_t>(i)].body = std::move(scenario.threads[std::size_t(i)]);
      resume(i);  // to its first operation: nothing of it is visible yet
    }
    std::uint32_t sleep = 0;
    while (true) {
      std::uint32_t able = 0;
      bool over = true;
      for (int who = 0; who < kMaxActors; ++who) {
        able |= enabled(who) ? 1u << who : 0;
        over = over && (who >= kMaxThreads || fibers_[std::size_t(who)].ended);
      }
      if (able == 0) {
        if (!over) {
          fail("nobody can go on");
        }
        break;
      }
      if (depth_ == path_.size()) {
        path_.push_back(Node{.able = able, .sleep = sleep});
        if (path_.back().fresh() == 0) {
          path_.pop_back();
          return false;
        }
      }
      Node& node = path_[depth_];
      if (node.chosen < 0) {
        node.chosen = __builtin_ctz(node.fresh());
      }
      const Op taken = op_of(node.chosen);
      sleep = 0;
      for (int who = 0; who < kMaxActors; ++who) {
        const bool passed = ((node.sleep | node.tried) >> who & 1) != 0;
        if (passed && who != node.chosen && enabled(who) && !dependent(op_of(who), taken)) {
          sleep |= 1u << who;
        }
      }
      if (++depth_ > kMaxSteps) {
        fail("a run did not end: a loop that waits must use explorer::wait_until");
      }
      step(node.chosen);
    }
    scenario.check();
    return true;
  }

  // Moves the last choice that has an alternative on to it. False: all was tried.
  bool backtrack() {
    while (!path_.empty()) {
      Node& node = path_.back();
      node.tried |= 1u << node.chosen;
      node.chosen = -1;
      if (node.fresh() != 0) {
        return true;
      }
      path_.pop_back();
    }
    return false;
  }

  std::function<Scenario()> make_;
  std::array<Fiber, kMaxThreads> fibers_{};
  std::array<std::unique_ptr<char[]>, kMaxThreads> stacks_;
  std::vector<Node> path_;
  std::size_t depth_ = 0;
  jmp_buf home_;
  int running_ = -1;
};

}  // namespace detail

// std::atomic's face, as far as the core uses it.
template <class T>
class Atomic {
  static_assert(std::is_trivially_copyable_v<T> && sizeof(T) <= 8);
  using Order = std::memory_order;

 public:
  Atomic() = default;
  constexpr Atomic(T value) : value_(value) {}
  Atomic(const Atomic&) = delete;
  Atomic& operator=(const Atomic&) = delete;

  T load(Order = Order::seq_cst) const {
    if (detail::Engine* engine = exploring()) {
      engine->point({&value_, false}, false);
      if (const detail::Store* own = engine->own(&value_)) {
        T value;
        std::memcpy(&value, &own->bits, sizeof(T));
        return value;
      }
    }
    return value_;
  }

  void store(T value, Order order = Order::seq_cst) {
    detail::Engine* engine = exploring();
    if (engine != nullptr && order != Order::seq_cst) {
      detail::Store store{&value_, 0, sizeof(T)};
      std::memcpy(&store.bits, &value, sizeof(T));
      engine->put(store);
      return;
    }
    change();
    value_ = value;
  }

  T exchange(T value, Order = Order::seq_cst) {
    change();
    return std::exchange(value_, value);
  }

  bool compare_exchange_strong(T& expected, T value, Order = Order::seq_cst,
                               Order = Order::seq_cst) {
    change();
    if (value_ != expected) {
      expected = value_;
      return false;
    }
    value_ = value;
    return true;
  }
  bool compare_exchange_weak(T& expected, T value, Order = Order::seq_cst, Order = Order::seq_cst) {
    return compare_exchange_strong(expected, value);
  }

  T fetch_add(T n, Order = Order::seq_cst) {
    change();
    return std::exchange(value_, static_cast<T>(value_ + n));
  }
  T fetch_sub(T n, Order = Order::seq_cst) {
    change();
    return std::exchange(value_, static_cast<T>(value_ - n));
  }
  T fetch_or(T bits, Order = Order::seq_cst) {
    change();
    return std::exchange(value_, static_cast<T>(value_ | bits));
  }
  T fetch_and(T bits, Order = Order::seq_cst) {
    change();
    return std::exchange(value_, static_cast<T>(value_ & bits));
  }

 private:
  static detail::Engine* exploring() {
    detail::Engine* engine = detail::Engine::current();
    return engine != nullptr && engine->exploring() ? engine : nullptr;
  }
  void change() {
    if (detail::Engine* engine = exploring()) {
      engine->point({&value_, true}, true);
    }
  }

  T value_{};
};

struct Sync {
  template <class T>
  using Atomic = explorer::Atomic<T>;
};

// In a scenario's thread: goes on once the condition holds. The condition reads atomics by
// `load` or plain variables that only other threads' steps change.
inline void wait_until(std::function<bool()> condition) {
  detail::Engine::current()->wait(std::move(condition));
}

// Runs every interleaving of the scenario, at most `limit` of them.
inline Result explore(std::function<Scenario()> make, std::uint64_t limit = 5'000'000) {
  // Fibers that leap are unknown to the sanitizers; threads under TSan are other tests' part.
  if (check::kSanitized) {
    limit = 0;
  }
  if (limit == 0) {
    return Result{.complete = true};
  }
  return detail::Engine(std::move(make)).run(limit);
}

}  // namespace explorer
