// What the lock-free structures are made of: a policy, so that a test can put itself in between.
//
// Each structure takes the policy as a template parameter and is shipped over StdAtomics, which
// compiles to nothing but the operation itself. The tests instantiate the same code over a policy
// that stops before every shared access and enumerates the orders (native/tests/explorer.hpp).
//
// A policy has `Atomic<T>` and `Mutex` with the interface of the standard ones, and `read` and
// `write` for plain memory that is handed from thread to thread by way of an atomic.
#pragma once

#include <atomic>
#include <mutex>

namespace actinium {

struct StdAtomics {
  template <class T>
  using Atomic = std::atomic<T>;
  using Mutex = std::mutex;

  template <class T>
  static T read(const T& place) noexcept {
    return place;
  }
  template <class T>
  static void write(T& place, T value) noexcept {
    place = value;
  }
};

}  // namespace actinium
