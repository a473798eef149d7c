#include <cstring>

#include "check.hpp"

// Runs all tests, or those whose name contains the first argument.
int main(int argc, char** argv) {
  int ran = 0;
  for (const check::Test& test : check::tests()) {
    if (argc > 1 && std::strstr(test.name, argv[1]) == nullptr) {
      continue;
    }
    std::printf("%s\n", test.name);
    std::fflush(stdout);
    test.body();
    ++ran;
  }
  std::printf("%d native tests passed\n", ran);
  return ran == 0 ? 1 : 0;
}
