#!/usr/bin/env bash
# Sets Actinium up in .venv and runs every check: needs Python 3.11+ and a C++ compiler.
#
#   scripts/setup_and_test.sh           format, types, layers, native unit tests, tests
#   scripts/setup_and_test.sh --wide    also native tests under sanitizers and the slow tests
#
# CI=true means --wide. All checks run, also after one has failed; the exit code is 1 if any did.
set -uo pipefail
cd "$(dirname "$0")/.."
. scripts/environment.sh

wide=no
[ "${CI:-}" = true ] && wide=yes
for argument in "$@"; do
  case "$argument" in
    --wide) wide=yes ;;
    *) fail "expected nothing or --wide, got '$argument'" ;;
  esac
done

started=$SECONDS
failed=0
summary=""

check() { # title, command...
  local title="$1" begun=$SECONDS verdict=ok
  shift
  printf '\n=== %s: %s\n' "$title" "$*"
  if ! "$@"; then
    verdict=FAILED
    failed=$((failed + 1))
  fi
  summary+="$(printf '%-28s %-7s %4d s' "$title" "$verdict" $((SECONDS - begun)))"$'\n'
}

run_pytest() { # on up to four cores, each file on one of them, in the order of the files
  local cores
  cores="$(nproc)"
  .venv/bin/python -m pytest -n $((cores < 4 ? cores : 4)) --dist loadfile --no-loadscope-reorder \
    --durations=15 --durations-min=5 "$@" 2>&1 | tee build/pytest.log
  return "${PIPESTATUS[0]}"
}

printf '=== setup\n'
install_checkout test
summary+="$(printf '%-28s %-7s %4d s' setup ok $((SECONDS - started)))"$'\n'

bin=.venv/bin
check "ruff" $bin/ruff check .
check "ruff format" $bin/ruff format --check .
check "mypy" $bin/mypy
check "layers" $bin/lint-imports --cache-dir build/import_linter
check "native format" scripts/native_lint.sh
if [ $wide = yes ]; then
  check "native tests, sanitizers" scripts/native_tests.sh plain asan tsan
else
  check "native tests" scripts/native_tests.sh plain
fi
if [ $wide = yes ]; then
  check "further clients" scripts/clients.sh
fi
other_failures=$failed
if [ $wide = yes ]; then
  check "pytest" run_pytest
else
  check "pytest" run_pytest -m "not slow"
fi

printf '\n=== summary\n%s' "$summary"

# The last line has the form of pytest's own; a check beside pytest that failed counts as one test.
tests="$(grep -E '(passed|failed|error|no tests ran).* in [0-9.]+s' build/pytest.log | tail -n 1 | tr -d '=')"
count() { printf '%s' "$tests" | grep -oE "[0-9]+ $1" | grep -oE '[0-9]+' || echo 0; }
line=""
all_failed=$(($(count failed) + other_failures))
if [ $failed -gt $other_failures ] && [ "$(count failed)" -eq 0 ] && [ "$(count error)" -eq 0 ]; then
  all_failed=$((all_failed + 1)) # pytest itself broke down
fi
[ $all_failed -gt 0 ] && line+="$all_failed failed, "
line+="$(count passed) passed"
for kind in skipped deselected xfailed xpassed errors?; do
  number="$(count $kind)"
  [ "$number" -gt 0 ] && line+=", $number ${kind/errors?/error$([ "$number" = 1 ] || echo s)}"
done
printf '\n===== %s in %d.00s =====\n' "$line" $((SECONDS - started))
[ $failed -eq 0 ]
