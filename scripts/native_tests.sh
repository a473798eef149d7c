#!/usr/bin/env bash
# Builds and runs the C++ unit tests of the core. Usage: scripts/native_tests.sh [plain] [asan] [tsan]
# (default: all three). Builds stay under build/native-*, so a second run only builds what changed.
set -euo pipefail
cd "$(dirname "$0")/.."

# CMake and Ninja come from the system, else from the virtual environment (pip install cmake ninja).
PATH="$PATH:$PWD/.venv/bin"
for tool in cmake ninja "${CXX:-g++}"; do
  if ! command -v "$tool" >/dev/null; then
    echo "native_tests: '$tool' was not found. Install a C++20 compiler (Debian: apt-get install" \
      "g++) and the build tools: python -m pip install cmake ninja" >&2
    exit 2
  fi
done

run() { # name, sanitizers
  local build="build/native-$1"
  echo "-- native tests: $1"
  cmake -S . -B "$build" -G Ninja -DACTINIUM_TESTS=ON -DACTINIUM_SANITIZE="$2" >"$build.log" 2>&1 ||
    { cat "$build.log" >&2; return 1; }
  ninja -C "$build" >"$build.log" 2>&1 || { cat "$build.log" >&2; return 1; }
  "${fixed_addresses[@]}" ctest --test-dir "$build" --output-on-failure --no-tests=error
}

# ThreadSanitizer of older compilers cannot map its shadow where the kernel randomises addresses
# over more bits than it knew of; where that may be switched off for a process, it is.
fixed_addresses=(env)
if command -v setarch >/dev/null && setarch "$(uname -m)" -R true 2>/dev/null; then
  fixed_addresses=(setarch "$(uname -m)" -R)
fi

mkdir -p build
if [ $# -eq 0 ]; then
  set -- plain asan tsan
fi
for kind in "$@"; do
  case "$kind" in
    plain) run plain "" ;;
    asan) run asan address,undefined ;;
    tsan) run tsan thread ;;
    *)
      echo "native_tests: expected plain, asan or tsan, got '$kind'" >&2
      exit 2
      ;;
  esac
done
