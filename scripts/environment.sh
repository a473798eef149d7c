# Sourced by the setup scripts: a virtual environment in .venv with this checkout installed.
#
#   install_checkout <extra>    makes or reuses .venv and installs ".[<extra>]" into it
#
# Installing is skipped when neither the sources nor the extra have changed since the last time:
# .venv/installed-checkout holds the extra and a hash over everything that goes into the package.

fail() {
  printf 'error: %s\n' "$*" >&2
  exit 2
}

# Prints the first Python of at least 3.11: $PYTHON, else python3, else a versioned one.
find_python() {
  local candidate
  if [ -n "${PYTHON:-}" ]; then
    is_new_enough "$PYTHON" || fail "PYTHON=$PYTHON is not a Python of at least 3.11"
    printf '%s\n' "$PYTHON"
    return
  fi
  for candidate in python3 python3.14 python3.13 python3.12 python3.11; do
    if is_new_enough "$candidate"; then
      printf '%s\n' "$candidate"
      return
    fi
  done
  fail "expected Python 3.11 or newer, found $(python3 --version 2>&1 || echo none)." \
    "Install one (Debian 12: apt-get install python3 python3-venv python3-dev) or set PYTHON="
}

is_new_enough() {
  "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1
}

make_venv() {
  if [ -x .venv/bin/python ] && is_new_enough .venv/bin/python &&
    .venv/bin/python -m pip --version >/dev/null 2>&1; then
    return
  fi
  local python
  python="$(find_python)" || exit 2  # it has said why, in a subshell
  "$python" -m venv --clear .venv >build/venv.log 2>&1 || {
    cat build/venv.log >&2
    fail "$python cannot make a virtual environment (Debian: apt-get install python3-venv)"
  }
}

# What compiling needs, asked for before pip runs, whose own message would be a page long.
check_compiler() {
  local candidate found=""
  for candidate in ${CXX:-g++ c++ clang++}; do
    if command -v "$candidate" >/dev/null; then
      found="$candidate"
      break
    fi
  done
  [ -n "$found" ] || fail "no C++ compiler was found (tried: ${CXX:-g++ c++ clang++})." \
    "Install one that knows C++20 (Debian: apt-get install g++)"
  printf '#include <concepts>\nint main() {}\n' | "$found" -std=c++20 -x c++ -fsyntax-only - ||
    fail "$found does not compile C++20; install GCC 11, Clang 14 or newer, or set CXX="
  .venv/bin/python - <<'PYTHON' || fail "Python.h is missing (Debian: apt-get install python3-dev)"
import pathlib, sys, sysconfig
sys.exit(not pathlib.Path(sysconfig.get_path("include"), "Python.h").is_file())
PYTHON
}

source_hash() {
  {
    .venv/bin/python --version
    find pyproject.toml CMakeLists.txt README.md native src -type f -not -name '*.pyc' \
      -not -path '*/tests/*' -print0 | sort -z | xargs -0 sha256sum
  } | sha256sum | cut -d ' ' -f 1
}

install_checkout() {
  local extra="$1" stamp=.venv/installed-checkout hash
  mkdir -p build
  make_venv
  hash="$(source_hash)"
  # The test extra holds all that `all` does.
  if [ -f "$stamp" ] && grep -qxE "($extra|test) $hash" "$stamp"; then
    return
  fi
  check_compiler
  printf 'installing .[%s] into .venv (log: build/install.log)\n' "$extra"
  rm -f "$stamp"
  .venv/bin/python -m pip install --disable-pip-version-check ".[$extra]" >build/install.log 2>&1 || {
    tail -n 40 build/install.log >&2
    fail "installing .[$extra] failed; the whole log is in build/install.log"
  }
  printf '%s %s\n' "$extra" "$hash" >"$stamp"
}
