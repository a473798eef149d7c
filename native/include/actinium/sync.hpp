// Where the lock-free parts get their atomics from.
//
// They take this as a template argument so that a test can hand them its own: one that stops
// before each operation and lets a search decide which thread goes on (native/tests/explorer.hpp).
// What is searched is then the shipped code, not a model of it.
#pragma once

#include <atomic>

namespace actinium {

struct ThreadSync {
  template <class T>
  using Atomic = std::atomic<T>;
};

}  // namespace actinium
