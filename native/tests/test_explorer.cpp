// The explorer itself: it must find what is wrong, and visit neither too much nor too little.
#include <memory>
#include <mutex>

#include "check.hpp"
#include "explorer.hpp"

// Fibers on one OS thread: nothing for ThreadSanitizer to see, and it does not know swapcontext.
#ifndef __SANITIZE_THREAD__

namespace {

bool found(const explore::Result& result, const char* what) {
  return result.failure.find(what) != std::string::npos;
}

constexpr auto kRelaxed = std::memory_order_relaxed;
constexpr auto kRelease = std::memory_order_release;
constexpr auto kAcquire = std::memory_order_acquire;

}  // namespace

TEST(explorer_visits_independent_operations_in_one_order_only) {
  const auto result = explore::all([](explore::Run& run) {
    explore::Atomic<int> a;
    explore::Atomic<int> b;
    run.thread([&] { a.store(1); });
    run.thread([&] { b.store(1); });
    if (!run.go()) return;
    EXPLORE(a.load() == 1 && b.load() == 1);
  });
  CHECK_EXPLORED(result);
  CHECK(result.orders == 1);
}

TEST(explorer_visits_every_order_of_dependent_operations) {
  int seen[7] = {};
  const auto result = explore::all([&](explore::Run& run) {
    explore::Atomic<int> a;
    run.thread([&] { a.fetch_add(1); });
    run.thread([&] { a.store(a.load() * 2); });
    if (!run.go()) return;
    ++seen[a.load()];
  });
  CHECK_EXPLORED(result);
  CHECK(result.orders == 3);
  CHECK(seen[0] > 0 && seen[1] > 0 && seen[2] > 0);  // lost, after, before
}

TEST(explorer_finds_a_lost_update) {
  const auto result = explore::all([](explore::Run& run) {
    explore::Atomic<int> a;
    for (int t = 0; t < 2; ++t) {
      run.thread([&] { a.store(a.load() + 1); });
    }
    if (!run.go()) return;
    EXPLORE(a.load() == 2);
  });
  CHECK(found(result, "a.load() == 2"));
}

TEST(explorer_finds_a_race_that_a_missing_release_leaves) {
  for (const bool released : {false, true}) {
    const auto result = explore::all([released](explore::Run& run) {
      int value = 0;
      explore::Atomic<bool> ready;
      run.thread([&] {
        explore::Atomics::write(value, 1);
        ready.store(true, released ? kRelease : kRelaxed);
      });
      run.thread([&] {
        if (ready.load(kAcquire)) EXPLORE(explore::Atomics::read(value) == 1);
      });
      run.go();
    });
    CHECK(result.ok() == released);
    CHECK(released || found(result, "data race"));
  }
}

// Dekker: both may read 0 where stores wait in buffers, and only there.
TEST(explorer_store_buffers_let_a_store_and_a_later_load_pass) {
  for (const auto order : {kRelease, std::memory_order_seq_cst}) {
    const auto result = explore::all(
        [order](explore::Run& run) {
          explore::Atomic<int> a;
          explore::Atomic<int> b;
          int x = 1;
          int y = 1;
          run.thread([&] {
            a.store(1, order);
            x = b.load();
          });
          run.thread([&] {
            b.store(1, order);
            y = a.load();
          });
          if (!run.go()) return;
          EXPLORE(x + y > 0);
        },
        {.store_buffers = true});
    CHECK(result.ok() == (order != kRelease));
  }
}

TEST(explorer_finds_a_deadlock) {
  const auto result = explore::all([](explore::Run& run) {
    explore::Mutex a;
    explore::Mutex b;
    run.thread([&] {
      a.lock();
      b.lock();
      b.unlock();
      a.unlock();
    });
    run.thread([&] {
      b.lock();
      a.lock();
      a.unlock();
      b.unlock();
    });
    run.go();
  });
  CHECK(found(result, "deadlock"));
}

TEST(explorer_polls_with_yield_and_ends) {
  const auto result = explore::all([](explore::Run& run) {
    explore::Atomic<int> a;
    run.thread([&] { a.store(1); });
    run.thread([&] {
      while (a.load() == 0)
        explore::yield();
    });
    run.go();
  });
  CHECK_EXPLORED(result);
}

TEST(explorer_says_when_it_was_not_exhaustive) {
  const auto result = explore::all(
      [](explore::Run& run) {
        explore::Atomic<int> a;
        for (int t = 0; t < 3; ++t) {
          run.thread([&] {
            for (int i = 0; i < 3; ++i)
              a.fetch_add(1);
          });
        }
        run.go();
      },
      {.max_orders = 100});
  CHECK(found(result, "not exhaustive"));
}

#endif
