// A small test frame: TEST(name) { CHECK(...); }, run by main.cpp.
//
// A failed check prints where and what and ends the process: what follows a broken invariant
// tells nothing, and the sanitizers' reports stay next to it.
#pragma once

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <vector>

namespace check {

struct Test {
  const char* name;
  void (*body)();
};

inline std::vector<Test>& tests() {
  static std::vector<Test> all;
  return all;
}

struct Register {
  Register(const char* name, void (*body)()) { tests().push_back({name, body}); }
};

[[noreturn]] inline void fail(const char* file, int line, const char* text) {
  std::fprintf(stderr, "%s:%d: check failed: %s\n", file, line, text);
  std::exit(1);
}

// SplitMix64: small, seeded, the same everywhere.
class Random {
 public:
  explicit Random(std::uint64_t seed) : state_(seed) {}
  std::uint64_t next() {
    std::uint64_t z = (state_ += 0x9E3779B97F4A7C15u);
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
    return z ^ (z >> 31);
  }
  std::uint64_t below(std::uint64_t n) { return next() % n; }

 private:
  std::uint64_t state_;
};

// Sanitizers slow threads down by an order of magnitude; fewer rounds show the same races.
#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
inline constexpr bool kSanitized = true;
#else
inline constexpr bool kSanitized = false;
#endif

// Multiplies the length of the longest tests: ACTINIUM_TEST_SCALE=42 makes 10^8 steps of them.
inline int scale() {
  const char* const value = std::getenv("ACTINIUM_TEST_SCALE");
  const int n = value != nullptr ? std::atoi(value) : 1;
  return n > 0 ? n : 1;
}

}  // namespace check

#define TEST(name)                                                   \
  static void test_##name();                                         \
  static const check::Register register_##name(#name, &test_##name); \
  static void test_##name()

#define CHECK(condition)                           \
  do {                                             \
    if (!(condition)) {                            \
      check::fail(__FILE__, __LINE__, #condition); \
    }                                              \
  } while (false)
