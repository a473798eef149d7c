#!/usr/bin/env bash
# Checks the format of all C++ below native/ against .clang-format. With --fix, rewrites it.
set -euo pipefail
cd "$(dirname "$0")/.."

PATH="$PWD/.venv/bin:$PATH"
if ! command -v clang-format >/dev/null; then
  echo "native_lint: clang-format was not found: python -m pip install clang-format" >&2
  exit 2
fi
mapfile -t files < <(find native -name '*.hpp' -o -name '*.cpp' -o -name '*.h' | sort)
case "${1:-}" in
  "") clang-format --dry-run --Werror "${files[@]}" ;;
  --fix) clang-format -i "${files[@]}" ;;
  *)
    echo "native_lint: expected nothing or --fix, got '$1'" >&2
    exit 2
    ;;
esac
